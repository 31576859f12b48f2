"""Planes that the note of an OME-TIFF speaks of and the file lacks."""

from tifffile import TiffPageSeries

_FEW = 5


def planes_lacking(series: TiffPageSeries) -> str | None:
    """What `series` lacks of what the note says; None where all is there. tifffile fills in background."""
    lacking = [str(number) for number, page in enumerate(series.pages) if page is None]
    if not lacking:
        return None
    named = ", ".join(lacking[:_FEW])
    more = f" and {len(lacking) - _FEW} more" if len(lacking) > _FEW else ""
    return (
        f"The OME-TIFF speaks of {len(series.pages)} planes and lacks {named}{more}: it is one of a set of "
        "files, or was cut off. Save all planes in one file."
    )
