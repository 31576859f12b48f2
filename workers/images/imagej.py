"""What ImageJ's note in a TIFF says of its planes."""

from math import prod

from tifffile import TiffFile, TiffPageSeries

_CUT_OFF = (
    "ImageJ's note in the TIFF speaks of {said} planes and the file holds {held}: it was cut off, or has the "
    "note of another file. Send the whole file, or save it again."
)


def planes_cut_off(tiff: TiffFile, series: TiffPageSeries) -> str | None:
    """Why `series` is not all that ImageJ says there is; None where it is, or where ImageJ says nothing.

    A stack of several gigabytes has one page, whose note says how many planes follow. Where fewer
    do, tifffile gives the first alone.
    """
    metadata = tiff.imagej_metadata if tiff.is_imagej else None
    try:
        said = int((metadata or {}).get("images", 1))
    except (TypeError, ValueError):
        return None
    sides = zip(series.axes, series.shape, strict=True)
    held = prod(side for axis, side in sides if axis not in "YXS")
    return _CUT_OFF.format(said=said, held=held) if said > held else None
