"""The order of slices that come as files of their own, by the number in their names."""

import re
from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import PurePosixPath

from emserve.errors import UnsuitableImage
from emserve.naming import IMAGE_SUFFIXES

_NUMBER = re.compile(r"(\d+)")
_FEW = 5
_MOST_GAPS = 100_000  # numbers of dates and times leave many


def in_order(names: Sequence[str]) -> list[str]:
    """`names` in the order of the number that counts them. Raises UnsuitableImage, naming what is wrong,
    where one is no image, where a number is missing or there twice, and where no number counts them."""
    _check_kinds(names)
    if len(names) < 2:
        return list(names)
    numbers = {name: tuple(int(each) for each in _NUMBER.findall(name)) for name in names}
    _check_pattern(names)
    columns = [column for column in zip(*numbers.values(), strict=True) if len(set(column)) > 1]
    counting = [column for column in columns if _gaps(column) == []]
    if not counting and len(columns) != 1:
        raise UnsuitableImage(
            f"No single number counts the files in the zip ({names[0]!r}, {names[1]!r}, …): name slices by "
            "one number, such as slice_0001.tif."
        )
    column = counting[0] if counting else columns[0]
    placed = sorted(zip(column, names, strict=True))
    for (number, name), (other, twin) in pairwise(placed):
        if number == other:
            raise UnsuitableImage(f"{name!r} and {twin!r} are both slice {number}: one of them is too many.")
    if gaps := _gaps(column):
        more = f" and {len(gaps) - _FEW} more" if len(gaps) > _FEW else ""
        raise UnsuitableImage(
            f"Of the slices {placed[0][1]!r} to {placed[-1][1]!r} in the zip, number "
            f"{', '.join(map(str, gaps[:_FEW]))}{more} is missing: add it, or number the slices anew."
        )
    return [name for _, name in placed]


def _check_kinds(names: Sequence[str]) -> None:
    odd = [name for name in names if not name.lower().endswith(IMAGE_SUFFIXES)]
    if odd or not names:
        raise UnsuitableImage(
            f"The zip holds {f'{odd[0]!r}' if odd else 'no file'}, and this server takes a zip of slices "
            f"({', '.join(IMAGE_SUFFIXES)}) or of an OME-Zarr: leave other files out."
        )


def _check_pattern(names: Sequence[str]) -> None:
    """Names differ in numbers alone."""
    patterns: dict[str, str] = {}
    for name in names:
        patterns.setdefault(_NUMBER.sub("#", str(PurePosixPath(name))), name)
    if len(patterns) > 1:
        first, second, *_ = patterns.values()
        raise UnsuitableImage(
            f"The files in the zip have names of more than one kind, such as {first!r} and {second!r}: "
            "slices of one volume differ by a number alone."
        )


def _gaps(column: Sequence[int]) -> list[int]:
    """Numbers that are missing between the first and the last, as far as those that are there have a step."""
    ordered = sorted(set(column))
    if len(ordered) < len(column):
        return [ordered[0]]  # some are there twice, so this counts nothing
    steps = [after - before for before, after in pairwise(ordered)]
    if min(steps) == max(steps):
        return []
    step = min(steps)
    missing = (number for before, after in pairwise(ordered) for number in range(before + step, after, step))
    return list(islice(missing, _MOST_GAPS))
