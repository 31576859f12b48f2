"""How large a pixel is, as a TIFF file says it."""

import html
import math
import re

from tifffile import TiffFile, TiffPage

PixelSize = tuple[float, float]
"""Height and width of a pixel in nanometres."""

_NANOMETRES = {
    "pm": 1e-3,
    "\u00c5": 0.1,
    "\u212b": 0.1,  # the sign for angstrom that OME prescribes
    "angstrom": 0.1,
    "nm": 1.0,
    "nanometer": 1.0,
    "um": 1e3,
    "\u00b5m": 1e3,  # micro sign
    "\u03bcm": 1e3,  # Greek mu
    "micron": 1e3,
    "microns": 1e3,
    "micrometer": 1e3,
    "mm": 1e6,
    "cm": 1e7,
    "m": 1e9,
}
_INCH_NM = 25.4e6
_CENTIMETRE_NM = 1e7
_LARGEST_NM = 100_000.0
# Resolutions of screens and printers, which programs write for want of a better one.
_DOTS_PER_INCH = (72, 90, 96, 100, 120, 144, 150, 180, 200, 220, 240, 250, 254, 300, 350, 360, 400, 600, 1200)
_PIXELS_ELEMENT = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_ATTRIBUTE = re.compile(r"\b(PhysicalSize[XY](?:Unit)?)\s*=\s*[\"']([^\"']*)[\"']")


def tiff_pixel_size(tiff: TiffFile) -> PixelSize | None:
    """The pixel size in a TIFF's metadata (OME, ImageJ, then the plain tags), or None."""
    page = tiff.pages.first
    if tiff.is_ome:
        return _from_ome(page.description)
    if tiff.is_imagej:
        unit = str((tiff.imagej_metadata or {}).get("unit", "")).replace("\\u00B5", "\u00b5")
        if unit in _NANOMETRES:
            return _from_resolution(page, _NANOMETRES[unit])
    unit_tag = page.tags.valueof("ResolutionUnit", 2)
    if unit_tag not in (2, 3):
        return None
    return _unless_for_print(_from_resolution(page, _INCH_NM if unit_tag == 2 else _CENTIMETRE_NM))


def _from_ome(description: str) -> PixelSize | None:
    pixels = _PIXELS_ELEMENT.search(description)
    values = dict(_ATTRIBUTE.findall(pixels.group())) if pixels else {}
    sizes = [_ome_length(values, axis) for axis in "YX"]
    return _checked(*sizes)


def _ome_length(values: dict[str, str], axis: str) -> float | None:
    unit = html.unescape(values.get(f"PhysicalSize{axis}Unit", "µm"))
    try:
        return float(values[f"PhysicalSize{axis}"]) * _NANOMETRES[unit]
    except (KeyError, ValueError):
        return None


def _from_resolution(page: TiffPage, unit_nm: float) -> PixelSize | None:
    return _checked(*(_per_pixel(page, f"{axis}Resolution", unit_nm) for axis in "YX"))


def _per_pixel(page: TiffPage, tag: str, unit_nm: float) -> float | None:
    try:
        numerator, denominator = page.tags.valueof(tag)
        return float(unit_nm * denominator / numerator)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _checked(height: float | None, width: float | None) -> PixelSize | None:
    if height is None or width is None:
        return None
    usable = all(math.isfinite(each) and each > 0 for each in (height, width))
    return (height, width) if usable else None


def _unless_for_print(size: PixelSize | None) -> PixelSize | None:
    """`size`, unless it is one that says how large to show the image."""
    if size is None or max(size) >= _LARGEST_NM:
        return None
    dots = [_INCH_NM / each for each in size]
    for_print = all(any(math.isclose(each, dpi, rel_tol=5e-3) for dpi in _DOTS_PER_INCH) for each in dots)
    return None if for_print else size
