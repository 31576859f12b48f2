"""Volumes that come as a zip: of slices, of an OME-Zarr; and every reason to refuse one."""

import io
import json
import stat
import struct
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numcodecs import LZ4, Blosc
from PIL import Image
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from emserve.errors import (
    EmserveError,
    InvalidRequest,
    TooManyPages,
    UnreadableImage,
    UnsuitableImage,
    UnsupportedMediaType,
)
from emserve.jobs import ImageHeader, ImageSource
from tests.archives import ome, slices_of, zarr_files, zip_of
from tests.mrcs import MrcOptions, mrc
from tests.pictures import tiff
from tests.working_copies import copied, noise
from workers.images.headers import inspect

VOLUME = noise((12, 90, 70), "uint16")
SLICES = slices_of(VOLUME)
ZARR = zarr_files(VOLUME, ome("zyx"))


def look(value: bytes, max_pages: int = 100, **source: Any) -> ImageHeader:
    return inspect(io.BytesIO(value), ImageSource(**source), None, max_pages)


def refusal(kind: type[EmserveError], value: bytes, **source: Any) -> str:
    with pytest.raises(kind) as caught:
        look(value, **source)
    assert type(caught.value) is kind
    return str(caught.value)


# ---- slices -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("name", ["cell_{}.tif", "a 2x2/{:04}.TIF", "2024-10-07 s{}.tiff"])
def test_slices_are_a_volume_in_the_order_of_their_numbers(
    name: str, compression: int, tmp_path: Path
) -> None:
    files = dict(reversed(slices_of(VOLUME, name, compression="zlib").items()))
    value = zip_of(files, compression)
    header = look(value)
    assert (header.format, header.shape, header.axes) == ("slices", [12, 90, 70], "ZYX")
    np.testing.assert_array_equal(copied(value, tmp_path), VOLUME)


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_slices_may_be_pictures(kind: str, tmp_path: Path) -> None:
    volume = noise((3, 40, 50), "uint8")
    files = {}
    for number, plane in enumerate(volume):
        file = io.BytesIO()
        Image.fromarray(plane).save(file, format=kind)
        files[f"{number}.{kind}"] = file.getvalue()
    found = copied(zip_of(files), tmp_path)
    assert found.shape == volume.shape
    if kind == "png":
        np.testing.assert_array_equal(found, volume)


def test_a_slice_does_not_say_how_far_the_next_one_is() -> None:
    one = MrcOptions(cell_angstrom=(50.0 * 70, 50.0 * 90, 50.0))  # as deep as a pixel is wide
    header = look(zip_of({f"s{z}.mrc": mrc(VOLUME[z], one) for z in range(3)}))
    assert header.pixel_size_nm is None
    assert [warning.code for warning in header.warnings] == ["slice-distance-unknown"]


def test_of_colour_slices_a_channel_is_chosen(tmp_path: Path) -> None:
    colour = noise((3, 40, 50, 3), "uint8")
    value = zip_of(slices_of(colour, photometric="rgb"))
    assert "3 channels" in refusal(UnsuitableImage, value)
    np.testing.assert_array_equal(copied(value, tmp_path, ImageSource(channel=1)), colour[..., 1])


def test_every_second_slice_is_a_volume_too() -> None:
    files = {f"{2 * number}.tif": value for number, value in enumerate(SLICES.values())}
    assert look(zip_of(files)).shape == [12, 90, 70]


def test_what_systems_add_to_a_zip_is_left_out() -> None:
    litter = {"__MACOSX/._cell_1.tif": b"x", ".DS_Store": b"x", "stack/Thumbs.db": b"x"}
    assert look(zip_of({**litter, **SLICES})).shape == [12, 90, 70]


def test_one_slice_is_an_image() -> None:
    assert look(zip_of({"cell.tif": tiff(VOLUME[0])})).shape == [90, 70]


def test_missing_numbers_are_named() -> None:
    files = {name: value for name, value in SLICES.items() if name not in ("cell_5.tif", "cell_9.tif")}
    message = refusal(UnsuitableImage, zip_of(files))
    assert "number 5, 9 is missing" in message


@pytest.mark.parametrize("odd", [VOLUME[0, :, :69], VOLUME[0].astype(np.uint8), VOLUME[:2]])
@pytest.mark.parametrize("name", ["cell_7.tif", "cell_12.tif"])
def test_a_slice_unlike_the_first_is_named(odd: Any, name: str) -> None:
    value = zip_of({**SLICES, name: tiff(odd, photometric="minisblack")})
    message = refusal(UnsuitableImage, value)
    assert name in message


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"cell_01.tif": tiff(VOLUME[0])}, "both slice 1"),
        ({"notes.txt": b"x"}, "notes.txt"),
        ({"other_13.tif": tiff(VOLUME[0])}, "other_13.tif"),
        ({"cell_13.tif": b"II*\0" + bytes(50)}, "cell_13.tif"),
        ({"cell_13.tif": zip_of(SLICES)}, "cell_13.tif"),
    ],
)
def test_a_file_that_does_not_belong_there_is_named(more: dict[str, bytes], word: str) -> None:
    with pytest.raises((UnsuitableImage, UnreadableImage, UnsupportedMediaType)) as caught:
        look(zip_of({**SLICES, **more}))
    assert word in str(caught.value)


def test_files_that_no_number_counts_are_refused() -> None:
    files = {f"{letter}.tif": tiff(VOLUME[0]) for letter in "abc"}
    assert "differ by a number" in refusal(UnsuitableImage, zip_of(files))
    files = {f"{7 * number % 5}_{3 * number % 4}.tif": tiff(VOLUME[0]) for number in range(6)}
    assert "No single number" in refusal(UnsuitableImage, zip_of(files))


def test_more_slices_than_pages_are_allowed_are_refused() -> None:
    with pytest.raises(TooManyPages):
        look(zip_of(SLICES), max_pages=11)


def test_a_slice_that_turns_out_damaged_is_named(tmp_path: Path) -> None:
    value = bytearray(zip_of(slices_of(VOLUME, compression="zlib"), zipfile.ZIP_STORED))
    place = value.index(b"cell_7.tif") + 300
    value[place : place + 3] = b"???"
    with pytest.raises(UnreadableImage, match=r"cell_7\.tif"):
        copied(bytes(value), tmp_path)


# ---- zips that are built to harm ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../cell_1.tif", "a/../../cell_1.tif", "/etc/cell_1.tif", "a\\..\\cell_1.tif", "C:/1.tif"]
)
def test_a_zip_that_leads_out_of_its_folder_is_refused_by_the_name(name: str) -> None:
    assert "leads out" in refusal(UnreadableImage, zip_of({**SLICES, name: tiff(VOLUME[0])}))


def test_a_link_in_a_zip_is_refused() -> None:
    value = io.BytesIO(zip_of(SLICES))
    with zipfile.ZipFile(value, "a") as archive:
        link = zipfile.ZipInfo("cell_13.tif")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "'cell_13.tif' is a link" in refusal(UnreadableImage, value.getvalue())


def test_a_bomb_is_refused_by_what_it_says_of_itself() -> None:
    value = zip_of({"1.tif": bytes(1 << 27), "2.tif": bytes(1 << 27)}, zipfile.ZIP_DEFLATED)
    assert len(value) < 1 << 20
    assert "bomb" in refusal(UnreadableImage, value)


def test_entries_that_share_their_bytes_are_refused() -> None:
    value = bytearray(zip_of({f"{number}.tif": bytes(10_000) for number in range(1, 30)}))
    directory = value.index(b"PK\x01\x02")
    first = value.rindex(b"PK\x03\x04", 0, directory)
    overlapping = value[first:directory] + value[directory:]
    end = overlapping.rindex(b"PK\x05\x06")
    struct.pack_into("<I", overlapping, end + 16, directory - first)
    place = directory - first
    while (place := overlapping.find(b"PK\x01\x02", place)) >= 0:
        struct.pack_into("<I", overlapping, place + 42, 0)
        place += 4
    assert "overlap" in refusal(UnreadableImage, bytes(overlapping))


def test_a_zip_that_is_cut_off_encrypted_or_packed_oddly_is_refused() -> None:
    assert "cut off" in refusal(UnreadableImage, zip_of(SLICES)[:-30])
    assert "no file" in refusal(UnsuitableImage, b"PK\x03\x04" + zip_of({}))
    assert "method 14" in refusal(UnsuitableImage, zip_of(SLICES, zipfile.ZIP_LZMA))
    encrypted = bytearray(zip_of(SLICES))
    place = encrypted.index(b"PK\x01\x02")
    encrypted[place + 8] |= 1
    assert "encrypted" in refusal(UnsuitableImage, bytes(encrypted))


# ---- Zarr -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize(
    ("version", "options"),
    [
        (2, {}),
        (2, {"compressors": Blosc("zstd", shuffle=Blosc.SHUFFLE), "chunks": (5, 90, 33)}),
        (2, {"compressors": LZ4(), "chunk_key_encoding": {"name": "v2", "separator": "/"}}),
        (3, {"compressors": ZstdCodec(level=1)}),
        (3, {"compressors": [GzipCodec()], "chunks": (64, 64, 64)}),
        (3, {"compressors": BloscCodec(), "chunks": (4, 30, 70), "shards": (8, 60, 70)}),
        (3, {"compressors": None, "chunks": (1, 100, 100)}),
    ],
)
def test_a_zarr_is_copied(
    version: Literal[2, 3], options: dict[str, Any], dtype: str, tmp_path: Path
) -> None:
    volume = noise((12, 90, 70), dtype)
    value = zip_of(zarr_files(volume, ome("zyx"), version, **options))
    header = look(value)
    assert (header.format, header.shape, header.dtype) == ("zarr", [12, 90, 70], dtype)
    np.testing.assert_array_equal(copied(value, tmp_path), volume)


@pytest.mark.parametrize(("version", "name"), [(2, "."), (3, "."), (2, "a/b.zarr"), (3, "b.ome.zarr")])
def test_its_root_may_lie_anywhere(version: Literal[2, 3], name: str, tmp_path: Path) -> None:
    value = zip_of(zarr_files(VOLUME, ome("zyx"), version, name))
    np.testing.assert_array_equal(copied(value, tmp_path), VOLUME)


@pytest.mark.parametrize("version", [2, 3])
def test_of_five_axes_the_chosen_volume_is_copied(version: Literal[2, 3], tmp_path: Path) -> None:
    array = noise((2, 3, 7, 40, 50), "uint8")
    value = zip_of(zarr_files(array, ome("tczyx"), version))
    assert "3 channels" in refusal(UnsuitableImage, value)
    assert "2 times" in refusal(UnsuitableImage, value, channel=2)
    found = copied(value, tmp_path, ImageSource(time=1, channel=2))
    np.testing.assert_array_equal(found, array[1, 2])


@pytest.mark.parametrize(
    ("unit", "scale", "size"),
    [
        ("nanometer", [30.0, 4.0, 5.0], [30, 4, 5]),
        ("micrometer", [0.03, 0.004, 0.005], [30, 4, 5]),
        ("angstrom", [300.0, 40.0, 50.0], [30, 4, 5]),
        (None, [30.0, 4.0, 5.0], None),
        ("parsec", [30.0, 4.0, 5.0], None),
    ],
)
def test_its_voxels_have_the_size_that_it_says(
    unit: str | None, scale: list[float], size: list[float] | None
) -> None:
    header = look(zip_of(zarr_files(VOLUME, ome("zyx", scale, unit))))
    assert header.pixel_size_nm == (None if size is None else pytest.approx(size))


def test_a_zarr_without_names_of_axes_needs_them_from_the_caller(tmp_path: Path) -> None:
    for value in (
        zip_of(zarr_files(VOLUME, {"multiscales": [{"datasets": [{"path": "0"}]}]}, 2)),
        zip_of(
            {name.removeprefix("cell.zarr/0/"): content for name, content in ZARR.items() if "/0/" in name}
        ),
    ):
        assert "ZYX" in refusal(UnsuitableImage, value)
        np.testing.assert_array_equal(copied(value, tmp_path, ImageSource(axes="ZYX")), VOLUME)
        assert "90" in refusal(InvalidRequest, value, axes="ZCYX")


def test_an_image_in_a_zarr_is_an_image() -> None:
    assert look(zip_of(zarr_files(VOLUME[0], ome("yx")))).shape == [90, 70]


@pytest.mark.parametrize("version", [2, 3])
def test_missing_chunks_are_named(version: Literal[2, 3]) -> None:
    files = zarr_files(VOLUME, ome("zyx"), version)
    gone = [name for name in files if name[-1].isdigit()][3]
    del files[gone]
    message = refusal(UnreadableImage, zip_of(files))
    assert gone in message
    assert "write_empty_chunks" in message


def _with(change: Any, version: Literal[2, 3] = 3, name: str = "cell.zarr/0/zarr.json") -> bytes:
    files = zarr_files(VOLUME, ome("zyx"), version)
    meta = json.loads(files[name])
    change(meta)
    return zip_of({**files, name: json.dumps(meta).encode()})


def test_an_unknown_codec_behind_shards_is_named() -> None:
    files = zarr_files(VOLUME, ome("zyx"), 3, chunks=(4, 30, 70), shards=(8, 60, 70))
    meta = json.loads(files["cell.zarr/0/zarr.json"])
    meta["codecs"].append({"name": "numcodecs.lzma"})
    value = zip_of({**files, "cell.zarr/0/zarr.json": json.dumps(meta).encode()})
    assert "'numcodecs.lzma'" in refusal(UnsuitableImage, value)


def test_an_unknown_codec_is_named() -> None:
    new = _with(lambda meta: meta["codecs"].append({"name": "acme_squeeze"}))
    assert "'acme_squeeze'" in refusal(UnsuitableImage, new)
    old = _with(lambda meta: meta.update(compressor={"id": "pickle"}), 2, "cell.zarr/0/.zarray")
    assert "'pickle'" in refusal(UnsuitableImage, old)


@pytest.mark.parametrize(
    "change",
    [
        lambda meta: meta.pop("shape"),
        lambda meta: meta.update(shape=[12, 90]),
        lambda meta: meta.update(shape="12 x 90 x 70"),
        lambda meta: meta.update(shape=[12.0, 90.0, 70.0]),
        lambda meta: meta.update(shape=["12", "90", "70"]),
        lambda meta: meta.update(data_type="complex256x"),
        lambda meta: meta.update(node_type="group"),
        lambda meta: meta["chunk_grid"]["configuration"].update(chunk_shape=[0, 20, 20]),
        lambda meta: meta["chunk_grid"]["configuration"].update(chunk_shape=[20, 20]),
    ],
)
def test_metadata_that_lies_is_damage(change: Any) -> None:
    assert len(refusal(UnreadableImage, _with(change))) > 40


def test_chunks_that_are_too_large_are_refused() -> None:
    value = _with(lambda meta: meta["chunk_grid"]["configuration"].update(chunk_shape=[4000, 4000, 4000]))
    assert "smaller chunks" in refusal(UnsuitableImage, value)


def test_a_zarr_of_more_voxels_than_it_has_files_lacks_chunks() -> None:
    assert "lacks chunks" in refusal(UnreadableImage, _with(lambda meta: meta.update(shape=[10**9] * 3)))


def test_a_zarr_of_several_arrays_without_an_image_is_refused() -> None:
    files = zarr_files(VOLUME, {})
    assert "0, zarr.json" not in refusal(UnsuitableImage, zip_of(files))
    assert "multiscales" in refusal(UnsuitableImage, zip_of(files))


@pytest.mark.parametrize("version", [2, 3])
def test_the_only_image_of_a_bioformats2raw_zarr_is_taken(version: Literal[2, 3], tmp_path: Path) -> None:
    marks = {"zarr.json": {"zarr_format": 3, "node_type": "group"}, ".zgroup": {"zarr_format": 2}}
    name = "zarr.json" if version == 3 else ".zgroup"
    root = {
        f"cell.zarr/{name}": json.dumps(marks[name]).encode(),
        "cell.zarr/OME/METADATA.ome.xml": b"<OME/>",
    }
    first = zarr_files(VOLUME, ome("zyx"), version, "cell.zarr/0")
    second = zarr_files(VOLUME, ome("zyx"), version, "cell.zarr/1")
    np.testing.assert_array_equal(copied(zip_of({**root, **first}), tmp_path), VOLUME)
    message = refusal(UnsuitableImage, zip_of({**root, **first, **second}))
    assert "2 images: cell.zarr/0, cell.zarr/1" in message


def test_of_several_images_in_a_zip_none_is_chosen() -> None:
    other = zarr_files(VOLUME, ome("zyx"), 2, "deep/other.zarr")
    assert "cell.zarr, deep/other.zarr" in refusal(UnsuitableImage, zip_of({**ZARR, **other}))
    assert "cell.zarr, deep/other.zarr" in refusal(UnsuitableImage, zip_of({**other, **ZARR}))
    picture = {"old/notes.txt": b"x", "old/slice.TIF": b"x"}
    assert "cell.zarr, old/slice.TIF" in refusal(UnsuitableImage, zip_of({**ZARR, **picture}))


def test_a_damaged_chunk_is_told(tmp_path: Path) -> None:
    files = {**ZARR}
    name = next(name for name in files if name.endswith("c/0/1/1"))
    files[name] = files[name][:20]
    with pytest.raises(UnreadableImage, match="slices 0 to 11"):
        copied(zip_of(files), tmp_path)
