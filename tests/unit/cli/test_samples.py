"""Images that a publisher offers to try its models on, brought by hand."""

from pathlib import Path

import pytest
import typer

from emserve.cli.models.samples import Sample, given_samples, published_samples
from emserve.installer.folder import ModelFolder
from emserve.installer.publisher import FolderPublisher
from tests.zenodo import Zenodo

_IMAGES, _VOLUMES = "15319873", "15311513"
_IMAGE, _VOLUME = "nanotomy_islet_rat375_crop1.tif", "hela_cell_em.tif"
_FILES: dict[str, dict[str, Path | bytes]] = {
    _IMAGES: {_IMAGE: b"image", "notes.txt": b"-"},
    _VOLUMES: {_VOLUME: b"volume"},
}


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """What somebody has fetched: both records with their files."""
    folder, publisher = tmp_path / "brought", Zenodo(files=_FILES)
    folder.mkdir()
    for number, files in _FILES.items():
        (folder / f"{number}.json").write_bytes(publisher.record(number))
        for name in files:
            (folder / name).write_bytes(publisher.content(number, name))
    return folder


def samples(brought: Path) -> list[Sample]:
    models, into = ModelFolder(brought / "models"), brought / "into"
    into.mkdir()
    return published_samples({"2d": _IMAGES, "3d": _VOLUMES}, FolderPublisher(brought), models, into)


def test_images_and_volumes_are_those_of_their_records(brought: Path) -> None:
    image, volume = samples(brought)
    assert (image.path.name, image.path.read_bytes(), image.params) == (_IMAGE, b"image", {})
    assert (volume.path.name, volume.path.read_bytes(), volume.params) == (
        _VOLUME,
        b"volume",
        {"axes": "ZYX"},
    )


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda folder: (folder / f"{_VOLUMES}.json").unlink(),
            f"The 3d images of record {_VOLUMES} are left out",
        ),
        (lambda folder: (folder / f"{_VOLUMES}.json").write_text("{"), "is no record of a publisher"),
        (
            lambda folder: (folder / f"{_VOLUMES}.json").write_text('{"id": 1}'),
            "lists no file that ends in .tif",
        ),
        (lambda folder: (folder / _VOLUME).unlink(), f"{_VOLUME} of record {_VOLUMES} is left out"),
        (lambda folder: (folder / _VOLUME).write_bytes(b"other"), "has the checksum"),
        (lambda folder: (folder / "models").write_text("no folder"), "cannot be written to"),
    ],
    ids=["no record", "broken record", "empty record", "no file", "another file", "no room"],
)
def test_what_cannot_be_had_is_told_and_costs_no_other(
    spoil: object, words: str, brought: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(spoil)
    spoil(brought)
    names = [sample.path.name for sample in samples(brought)]
    assert names == ([] if (brought / "models").is_file() else [_IMAGE])
    assert words in " ".join(capsys.readouterr().err.split())


def test_of_a_folder_images_and_zarrs_are_tried(tmp_path: Path) -> None:
    for name in ("b.TIF", "a.zarr/.zgroup", "notes.txt", "more/c.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert given_samples(tmp_path) == [Sample(tmp_path / "a.zarr"), Sample(tmp_path / "b.TIF")]
    assert given_samples(tmp_path / "a.zarr") == [Sample(tmp_path / "a.zarr")]
    assert given_samples(tmp_path / "notes.txt") == [Sample(tmp_path / "notes.txt")]  # the service judges it


def test_a_folder_without_an_image_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="holds no image"):
        given_samples(tmp_path)
