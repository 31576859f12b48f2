"""Reads TIFF files: classic and BigTIFF, plain, OME and ImageJ."""

from collections.abc import Iterator
from math import ceil, prod
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from tifffile import PHOTOMETRIC, TiffFile, TiffFrame, TiffPage, TiffPageSeries

from emserve.errors import UnreadableImage, UnsuitableImage
from workers.images.grey import FoundImage, GreyImage
from workers.images.imagej import planes_cut_off
from workers.images.ome_planes import planes_lacking
from workers.images.pixel_size import tiff_spacing
from workers.images.raw import RawArray
from workers.images.tiff_page import PagePixels
from workers.images.tiff_structure import CUT_OFF, MANY_PAGES, MIXED, count_pages

_COMPRESSIONS = {
    1: "none",
    5: "LZW",
    8: "deflate",
    32946: "deflate",
    50000: "zstd",
    34926: "zstd",
    7: "JPEG",
    32773: "PackBits",
}
# Layouts of single makers: not ours to support, and some have tifffile look for files beside this one.
_OTHER_LAYOUTS = (
    "agilent", "avs", "bif", "eer", "fluoview", "lsm", "mdgel", "micromanager", "mmstack", "ndpi", "ndtiff",
    "nih", "philips", "qpi", "scanimage", "scn", "sis", "stk", "svs",
)  # fmt: skip
_PADDED_TILE_PIXELS = 1 << 24
_COLOURS = 3


class TiffReader:
    """A TIFF with one image in it. Raises UnreadableImage when it is damaged or cut off, UnsuitableImage
    when it holds several images or is compressed in a way that is not accepted, TooManyPages."""

    def __init__(self, file: BinaryIO, max_pages: int | None = None) -> None:
        self._file = file
        self._size_bytes = file.seek(0, 2)
        self._pages = count_pages(file, max_pages)
        file.seek(0)
        flags: dict[str, Any] = dict.fromkeys((f"is_{name}" for name in _OTHER_LAYOUTS), False)
        self._tiff = TiffFile(file, _multifile=False, **flags)
        self._series = self._only_series()
        self._page: TiffPage = self._series.keyframe
        sides = list(zip(self._series.axes, self._series.shape, strict=True))
        kept = [(axis, side) for axis, side in sides if axis in "YX" or side != 1]
        self._axes = "".join(axis for axis, _ in kept)
        self._shape = tuple(side for _, side in kept)
        self.found = self._find()
        self._check_compression()
        self._check_order()
        self._check_data()

    def _only_series(self) -> TiffPageSeries:
        """The one image of the file, smaller copies and masks of it left out."""
        tiff = self._tiff
        described = tiff.is_ome or tiff.is_shaped or tiff.is_imagej
        if self._pages > MANY_PAGES and not described and not tiff.is_uniform:
            raise UnsuitableImage(MIXED.format(pages=self._pages))
        first, *others = self._tiff.series
        more = [each for each in others if not (each.keyframe.is_reduced or each.keyframe.is_mask)]
        if more:
            raise UnsuitableImage(
                f"The TIFF holds {1 + len(more)} images of different kinds ({self._pages} pages): "
                f"{_shown(first)} and {_shown(more[0])}, to name two. Slices of a volume have the same size "
                "and data type; save the image or the volume that is meant as a file of its own."
            )
        if (reason := planes_cut_off(tiff, first) or planes_lacking(first)) is not None:
            raise UnreadableImage(reason)
        return first

    def _check_compression(self) -> None:
        compression = self._page.compression
        if int(compression) not in _COMPRESSIONS:
            accepted = ", ".join(dict.fromkeys(_COMPRESSIONS.values()))
            raise UnsuitableImage(
                f"The TIFF is compressed with {getattr(compression, 'name', int(compression))}; this server "
                f"takes {accepted}. Save it with one of these."
            )

    def _check_order(self) -> None:
        """Slices can be decoded one by one."""
        if self._series.dataoffset is not None:
            return
        split = self._page_axes(self._axes) or 0
        if any(axis not in "YXCS" for axis in self._axes[split:]):
            raise UnsuitableImage(
                "The TIFF has several slices in a page, compressed together: save the volume with a page for "
                "each slice."
            )

    def _check_data(self) -> None:
        for page in self._series.pages:
            if page is not None:
                self._check_segments(page)
        if len(self._series.pages) == 1 and self._is_plain and self._bytes_needed() > self._size_bytes:
            raise UnreadableImage(CUT_OFF)

    def _check_segments(self, page: TiffPage | TiffFrame) -> None:
        """Every strip or tile lies inside the file, and there are as many as the image needs."""
        offsets = np.asarray(page.dataoffsets, dtype=np.uint64)
        counts = np.asarray(page.databytecounts, dtype=np.uint64)
        if len(offsets) != len(counts) or len(offsets) < prod(self._page.chunked):
            raise UnreadableImage("The TIFF lacks some of its strips or tiles: save the image again.")
        if (counts == 0).any() or (offsets == 0).any():
            raise UnreadableImage("The TIFF has empty strips or tiles; it was not written to its end.")
        size = np.uint64(self._size_bytes)
        if (offsets > size).any() or (counts > size - offsets).any():
            raise UnreadableImage(CUT_OFF)
        if self._is_plain and int(counts.sum()) < ceil(self._page.size * self._bits / 8):
            raise UnreadableImage("The TIFF holds fewer pixels than its header says: save the image again.")
        tile_pixels = prod(self._page.chunks)
        if tile_pixels > max(4 * self._page.size, _PADDED_TILE_PIXELS):
            raise UnreadableImage(f"The TIFF's tiles have {tile_pixels} pixels, more than its image.")

    @property
    def _is_plain(self) -> bool:
        return int(self._page.compression) == 1

    @property
    def _bits(self) -> int:
        return int(np.max(self._page.bitspersample))  # packed colours have several

    def _bytes_needed(self) -> int:
        return prod(self._shape) * self._bits // 8

    @property
    def _is_palette(self) -> bool:
        return self._page.photometric == PHOTOMETRIC.PALETTE and self._page.colormap is not None

    def _find(self) -> FoundImage:
        shape, axes, dtype = self._shape, self._axes, self._dtype()
        if self._is_palette:
            shape, axes, dtype = (*shape, _COLOURS), axes + "S", "uint8"
        return FoundImage("tiff", shape, axes, dtype, tiff_spacing(self._tiff))

    def _dtype(self) -> str:
        dtype = self._page.dtype
        if dtype is None:
            return "unknown"
        expected = 1 if dtype == np.bool_ else dtype.itemsize * 8
        if self._bits == expected:
            return dtype.name
        return f"{dtype.name.rstrip('0123456789')}{self._bits}"

    def bands(self, image: GreyImage) -> Iterator[NDArray[Any]]:
        """By strips or rows of tiles, which are decoded one after another."""
        stored = self._stored_bands(image, image.axes[: len(self._shape)])
        if self._is_palette:
            colours = self._colours(image.index[image.axes[-1]])
            return (np.take(colours, band) for band in stored)
        if self._page.photometric == PHOTOMETRIC.MINISWHITE:
            return map(_inverted, stored)
        return stored

    def _stored_bands(self, image: GreyImage, axes: str) -> Iterator[NDArray[Any]]:
        """The pixels as they are in the file; `axes` are those of its array."""
        begin = self._series.dataoffset
        if begin is not None:
            stored = np.dtype(self._series.dtype).newbyteorder(self._tiff.byteorder)
            return RawArray(self._file, begin, self._shape, stored).bands(image, axes)
        split = self._page_axes(axes)
        if split is None:
            whole = np.asarray(self._series.asarray(maxworkers=1))
            return image.of_bands([whole.reshape(self._shape)], axes)
        place = [image.index[axis] for axis in axes[:split]]
        number = int(np.ravel_multi_index(place, self._shape[:split])) if place else 0
        page = self._series.pages[number]
        if page is None:  # which was looked at when the file was opened
            raise ValueError(number)
        return PagePixels(self._file, page, self._shape[split:], axes[split:]).bands(image)

    def _page_axes(self, axes: str) -> int | None:
        """How many of the leading axes count pages; None when a page is not a plane or several."""
        for split in range(min(axes.index("Y"), axes.index("X")) + 1):
            if prod(self._shape[:split]) == len(self._series.pages):
                return split if prod(self._shape[split:]) == self._page.size else None
        return None

    def _colours(self, channel: int) -> NDArray[np.uint8]:
        """Grey value of each palette entry in a channel (red, green, blue)."""
        colours = np.asarray(self._page.colormap, dtype=np.uint16)
        return np.asarray(colours[channel] >> (8 if colours.max() > 255 else 0), dtype=np.uint8)


def _shown(series: TiffPageSeries) -> str:
    return f"{' x '.join(str(side) for side in series.shape)} {series.dtype}"


def _inverted(plane: NDArray[Any]) -> NDArray[Any]:
    """White is zero in the file; black is zero from here on."""
    return np.asarray(np.negative(plane) if plane.dtype.kind == "f" else np.invert(plane))
