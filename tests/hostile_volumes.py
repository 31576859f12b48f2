"""Volumes that are made to break whoever reads them, each by its name; see tests.hostile."""

import io
import json
import stat
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from tests import hostile
from tests.archives import ome, slices_of, zarr_files, zip_of
from tests.hostile import GREY, LONG, SHORT, Tag
from tests.pictures import tiff

STACK = np.stack([GREY, GREY[::-1], GREY.T])
SEVERAL = np.stack([np.stack([STACK] * 3)] * 2)  # (T, C, Z, Y, X)
ARRAY = "cell.zarr/0/zarr.json"


def repeated(side: int, pages: int) -> bytes:
    """A TIFF of many pages of zeros that all have the same strip."""
    strip = hostile.zlib_zeros(-(-side * side // (1 << 24)) << 24)
    page = {
        **hostile.page(),
        hostile.WIDTH: Tag(LONG, 1, side),
        hostile.HEIGHT: Tag(LONG, 1, side),
        hostile.ROWS: Tag(LONG, 1, side),
        hostile.COMPRESSION: Tag(SHORT, 1, hostile.ZLIB),
        hostile.COUNTS: Tag(LONG, 1, len(strip)),
    }
    return hostile.tiff_of([page] * pages, strip)


def _zarr(change: Callable[[Any], object], name: str = ARRAY) -> bytes:
    """A Zarr whose metadata in `name` is changed."""
    files = zarr_files(STACK, ome("zyx"))
    meta = json.loads(files[name])
    change(meta)
    return zip_of({**files, name: json.dumps(meta).encode()})


def _link() -> bytes:
    value = io.BytesIO(zip_of(slices_of(STACK)))
    with zipfile.ZipFile(value, "a") as archive:
        link = zipfile.ZipInfo("cell_4.tif")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return value.getvalue()


def _without_chunk() -> bytes:
    files = zarr_files(STACK, ome("zyx"))
    del files[next(name for name in files if name[-1].isdigit())]
    return zip_of(files)


def _pages(*pages: NDArray[Any]) -> bytes:
    """A TIFF of these pages, which need not be alike."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in pages:
            writer.write(page)
    return file.getvalue()


def _grid(side: int) -> Callable[[Any], object]:
    return lambda meta: meta["chunk_grid"]["configuration"].update(chunk_shape=[side] * 3)


REFUSED: dict[str, Callable[[], bytes]] = {
    "zip of nothing": lambda: zip_of({}),
    "zip cut off": lambda: zip_of(slices_of(STACK))[:-9],
    "zip out of its folder": lambda: zip_of({**slices_of(STACK), "../cell_4.tif": b""}),
    "zip of an absolute name": lambda: zip_of({**slices_of(STACK), "/etc/cell_4.tif": b""}),
    "zip with a link": _link,
    "zip bomb of slices": lambda: zip_of({"1.tif": bytes(1 << 27), "2.tif": bytes(9)}, zipfile.ZIP_DEFLATED),
    "zip in a zip": lambda: zip_of({"1.tif": zip_of(slices_of(STACK)), "2.tif": zip_of(slices_of(STACK))}),
    "slices without one": lambda: zip_of({f"{number}.tif": tiff(GREY) for number in (1, 2, 4)}),
    "slices of two sizes": lambda: zip_of({**slices_of(STACK), "cell_2.tif": tiff(GREY[:20])}),
    "slices of two data types": lambda: zip_of(
        {**slices_of(STACK), "cell_2.tif": tiff(GREY.astype(np.int16))}
    ),
    "pages of two sizes": lambda: _pages(GREY, GREY[:20], GREY),
    "pages of two data types": lambda: _pages(GREY, GREY.astype(np.int16), GREY),
    "stack of several times": lambda: tiff(SEVERAL[:, 0], ome=True, metadata={"axes": "TZYX"}),
    "stack of several channels and times": lambda: tiff(SEVERAL, ome=True, metadata={"axes": "TCZYX"}),
    "stack of doubles": lambda: tiff(STACK.astype(np.float64), photometric="minisblack"),
    "slices that are none": lambda: zip_of({"1.tif": b"II*\0", "2.tif": b""}),
    "zarr without a chunk": _without_chunk,
    "zarr of an unknown codec": lambda: _zarr(lambda meta: meta["codecs"].append({"name": "acme"})),
    "zarr of pickled objects": lambda: _zarr(
        lambda meta: meta["codecs"].append({"name": "numcodecs.pickle"})
    ),
    "zarr of huge chunks": lambda: _zarr(_grid(1 << 20)),
    "zarr of chunks of nothing": lambda: _zarr(_grid(0)),
    "zarr of a billion a side": lambda: _zarr(lambda meta: meta.update(shape=[10**9] * 3)),
    "zarr of negative sides": lambda: _zarr(lambda meta: meta.update(shape=[-3, 32, 32])),
    "zarr without axes": lambda: zip_of(zarr_files(STACK, {"multiscales": [{"datasets": [{"path": "0"}]}]})),
    "zarr of too many axes": lambda: zip_of(zarr_files(STACK, ome("tczyx"))),
    "zarr of axes in another order": lambda: zip_of(zarr_files(STACK, ome("yxz"))),
    "zarr of axes that nobody knows": lambda: zip_of(zarr_files(STACK, ome("abz"))),
    "zarr of several channels and times": lambda: zip_of(zarr_files(SEVERAL, ome("tczyx"))),
    "zarr of an array outside": lambda: zip_of(
        zarr_files(STACK, {"multiscales": [{"axes": ["z", "y", "x"], "datasets": [{"path": "../../0"}]}]})
    ),
    "zarr of metadata that is no json": lambda: zip_of({**zarr_files(STACK, ome("zyx")), ARRAY: b"{"}),
    "zarr of nested metadata": lambda: zip_of({"zarr.json": b"[" * 100_000}),
}
"""What must be refused when its upload ends."""

SUSPECT: dict[str, Callable[[], bytes]] = {
    "stack whose pages share a strip": lambda: hostile.tiff_of([hostile.page()] * 9),
    "zarr of chunks that are noise": lambda: zip_of(
        {
            name: value[:9] if name[-1].isdigit() else value
            for name, value in zarr_files(STACK, ome("zyx")).items()
        }
    ),
    "zarr of chunks that unpack to more": lambda: _zarr(_grid(16)),
}
"""What may be refused, may fail once it is decoded, or may be read: never by a fault of the service."""

FILES = {**REFUSED, **SUSPECT}
