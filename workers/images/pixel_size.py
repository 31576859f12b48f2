"""How large a pixel is, as a TIFF file says it."""

import html
import math
import re
from typing import Any

from tifffile import TiffFile, TiffPage

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
_ATTRIBUTE = re.compile(r"\b(PhysicalSize[XYZ](?:Unit)?)\s*=\s*[\"']([^\"']*)[\"']")


def tiff_spacing(tiff: TiffFile) -> dict[str, float]:
    """How far pixels are apart in nanometres along Y and X, and slices along Z, as far as a TIFF's metadata
    says it (OME, ImageJ, then the plain tags)."""
    page = tiff.pages.first
    if tiff.is_ome:
        return _from_ome(page.description)
    if tiff.is_imagej:
        metadata = tiff.imagej_metadata or {}
        unit = str(metadata.get("unit", "")).replace("\\u00B5", "\u00b5")
        if unit in _NANOMETRES:
            return _from_resolution(page, _NANOMETRES[unit]) | _slices(metadata, _NANOMETRES[unit])
    unit_tag = page.tags.valueof("ResolutionUnit", 2)
    if unit_tag not in (2, 3):
        return {}
    return _unless_for_print(_from_resolution(page, _INCH_NM if unit_tag == 2 else _CENTIMETRE_NM))


def _from_ome(description: str) -> dict[str, float]:
    pixels = _PIXELS_ELEMENT.search(description)
    values = dict(_ATTRIBUTE.findall(pixels.group())) if pixels else {}
    return _usable({axis: _ome_length(values, axis) for axis in "ZYX"})


def _ome_length(values: dict[str, str], axis: str) -> float | None:
    unit = html.unescape(values.get(f"PhysicalSize{axis}Unit", "µm"))
    try:
        return float(values[f"PhysicalSize{axis}"]) * _NANOMETRES[unit]
    except (KeyError, ValueError):
        return None


def _slices(metadata: dict[str, Any], unit_nm: float) -> dict[str, float]:
    """ImageJ's distance of slices; some programs write it negative."""
    try:
        return _usable({"Z": abs(float(metadata["spacing"])) * unit_nm})
    except (KeyError, TypeError, ValueError):
        return {}


def _from_resolution(page: TiffPage, unit_nm: float) -> dict[str, float]:
    return _usable({axis: _per_pixel(page, f"{axis}Resolution", unit_nm) for axis in "YX"})


def _per_pixel(page: TiffPage, tag: str, unit_nm: float) -> float | None:
    try:
        numerator, denominator = page.tags.valueof(tag)
        return float(unit_nm * denominator / numerator)
    except (TypeError, ValueError, ZeroDivisionError):
        return None


def _usable(sizes: dict[str, float | None]) -> dict[str, float]:
    return {
        axis: size for axis, size in sizes.items() if size is not None and math.isfinite(size) and size > 0
    }


def _unless_for_print(sizes: dict[str, float]) -> dict[str, float]:
    """`sizes`, unless they say how large to show the image."""
    if len(sizes) < 2 or max(sizes.values()) >= _LARGEST_NM:
        return {}
    dots = [_INCH_NM / each for each in sizes.values()]
    for_print = all(any(math.isclose(each, dpi, rel_tol=5e-3) for dpi in _DOTS_PER_INCH) for each in dots)
    return {} if for_print else sizes
