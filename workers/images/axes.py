"""What the axes of a file's array are: as the file or the caller names them."""

from emserve.errors import FieldError, InvalidRequest, UnsuitableImage
from emserve.jobs import JobWarning

PLANE = "YX"
SLICES = "Z"
SAMPLES = "S"
CHANNELS = "C" + SAMPLES
TIMES = "T"
_KNOWN = PLANE + SLICES + CHANNELS + TIMES
_LETTERS = "Y and X for the plane, Z for slices, C for channels, T for times, such as ZYX or CZYX"


def choose_axes(found: str, shape: tuple[int, ...], given: str | None) -> tuple[str, list[JobWarning]]:
    """A letter of KNOWN for each side of `shape`, and what was assumed for it.

    A single axis that the file does not name, as of a TIFF of many pages, is taken for slices. Raises
    InvalidRequest where `given`, what the caller says, does not fit, UnsuitableImage where the file says too
    little or has an order that cannot be read slice by slice.
    """
    unnamed = [at for at, axis in enumerate(found) if axis not in _KNOWN]
    axes = given or found
    if not given and len(unnamed) == 1 and SLICES not in found:
        axes = found.replace(found[unnamed[0]], SLICES)
    if not _fits(axes, shape):
        raise _misfit(found, shape, given)
    if SAMPLES in found and axes[found.index(SAMPLES)] in PLANE:
        raise _colours(found, shape, axes)
    if axes.find(SLICES) > min(axes.index("Y"), axes.index("X")):
        raise UnsuitableImage(
            f"The axes are {axes}: of a volume whole slices have to lie one after the other, so Z must come "
            "before Y and X. Save the volume with its axes in the order ZYX."
        )
    if given or not unnamed:
        return axes, []
    return axes, [_assumption(shape[unnamed[0]])]


def _fits(axes: str, shape: tuple[int, ...]) -> bool:
    is_complete = len(axes) == len(shape) and set(PLANE) <= set(axes) <= set(_KNOWN)
    return is_complete and len(set(axes)) == len(axes)


def _misfit(found: str, shape: tuple[int, ...], given: str | None) -> InvalidRequest | UnsuitableImage:
    shown = " x ".join(str(side) for side in shape)
    detail = f"The image is an array of {shown}; `axes` needs one letter for each side: {_LETTERS}."
    errors = [FieldError("/params/axes", detail)]
    if given is None:
        said = "".join(axis if axis in _KNOWN else "?" for axis in found)
        return UnsuitableImage(f"{detail} The file says {said}.", errors=errors)
    return InvalidRequest(f"{detail} Given: {given}.", errors=errors)


def _colours(found: str, shape: tuple[int, ...], given: str) -> InvalidRequest:
    """Of axes that take the colours of a pixel for pixels."""
    at = found.index(SAMPLES)
    shown = " x ".join(str(side) for side in shape)
    detail = (
        f"The image is an array of {shown} whose {shape[at]} values along axis {at + 1} are the colours of a "
        f"pixel, and the axes {given} would make them its {given[at]}. Leave `axes` away and choose one "
        '(`"params": {"channel": 0}`), or convert the image to grey.'
    )
    return InvalidRequest(detail, errors=[FieldError("/params/axes", detail)])


def _assumption(planes: int) -> JobWarning:
    return JobWarning(
        code="axes-assumed",
        detail=f"The file does not say what its {planes} planes are; they are taken for the slices of a "
        'volume (`"axes": "ZYX"`). If they are channels or times, say so with `axes`.',
    )
