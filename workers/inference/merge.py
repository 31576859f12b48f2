"""Merging: class map and centre numbers become one label map, objects 1 to n without gaps."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from workers.images.sheet import Sheet
from workers.inference.components import Components
from workers.inference.rows import Workspace, bands

Labels = npt.NDArray[np.uint32]
Classes = npt.NDArray[np.uint8]
CentresOf = Callable[[int, Classes], Labels]
"""Given the first row and the classes of a band (rows, W): the centre number of each pixel, 0 for none."""

MIN_STUFF_PIXELS = 64
"""A class without instances that has fewer pixels than this in the whole image is dropped."""

BAND_PIXELS = 1 << 20  # what is worked on at once fits into the processor's cache


@dataclass(frozen=True)
class Merged:
    """A label map and what each label stands for; the arrays of n + 1 begin with the background's entry."""

    sheet: Sheet
    """(H, W) uint32 numbers, `table` of which are the labels."""
    table: Labels
    """Label of each number in the sheet: 0 background, objects 1 to n by class, then by first pixel."""
    class_ids: npt.NDArray[np.uint8]
    """(n + 1,) class of each label."""
    centre_ids: Labels
    """(n + 1,) centre that the label's pixels were grouped to, from 1; 0 where there is none."""

    @property
    def count(self) -> int:
        return len(self.class_ids) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        return self.sheet.shape

    def read(self, y0: int, y1: int) -> Labels:
        """(rows, W) labels of rows y0 to y1 - 1."""
        return np.asarray(self.table[self.sheet.read(y0, y1)])

    def keep(self, wanted: npt.NDArray[np.bool_]) -> Self:
        """Only the labels that are `wanted` (n + 1,), renumbered without gaps."""
        wanted = wanted.copy()
        wanted[0] = True
        renumbered = np.where(wanted, np.cumsum(wanted) - 1, 0).astype(np.uint32)
        return replace(
            self,
            table=renumbered[self.table],
            class_ids=self.class_ids[wanted],
            centre_ids=self.centre_ids[wanted],
        )


def harden(probabilities: npt.NDArray[np.float32], threshold: float) -> Classes:
    """(H, W) class of each pixel from (C, H, W) probabilities, 0 being background.

    One map is the only class where it reaches `threshold`; of several the highest wins, the first of
    them being the background.
    """
    if len(probabilities) == 1:
        return np.asarray(probabilities[0] >= np.float32(threshold), np.uint8)
    return np.asarray(probabilities.argmax(axis=0), np.uint8)


def band_rows(width: int, multiple: int = 1) -> int:
    """How many rows of an image to work on at once: a multiple of `multiple`."""
    return max(1, BAND_PIXELS // (width * multiple)) * multiple


@dataclass(frozen=True)
class Kinds:
    """What the classes of a model are."""

    things: frozenset[int]
    """Classes that have instances."""
    min_stuff_pixels: int = MIN_STUFF_PIXELS

    def things_of(self, band: Classes) -> npt.NDArray[np.bool_]:
        """(rows, W) where a band's class has instances."""
        found = np.zeros(band.shape, np.bool_)
        for class_id in self.things:
            found |= band == class_id
        return found


def merge(
    classes: Sheet, centres_of: CentresOf, kinds: Kinds, workspace: Workspace, multiple: int = 1
) -> Merged:
    """Objects of a class map (H, W) whose pixels were grouped to centres.

    A centre's pixels have the class that most of them have, the smallest on a tie; each of their
    8-connected components is an object. A class outside `things` is one object. Foreground of a thing
    class without any centre is dropped, as the reference does. Bands begin at multiples of `multiple`.
    """
    height, width = classes.shape
    sheet = workspace.sheet("labels", classes.shape, np.uint32)
    components, votes, areas = Components(connectivity=8), _Votes(kinds), np.zeros(256, np.int64)
    for y0, y1 in bands(height, band_rows(width, multiple)):
        band = classes.read(y0, y1)
        things = kinds.things_of(band)
        grouped = np.where(things, centres_of(y0, band), np.uint32(0))
        votes.add(grouped, band)
        areas += np.bincount(band[~things & (band > 0)], minlength=256)
        sheet.write(y0, components.add(grouped))
    merged = _labelled(sheet, components, votes)
    for class_id in np.flatnonzero(areas):
        if areas[class_id] >= kinds.min_stuff_pixels:
            merged = _with_stuff(merged, classes, int(class_id))
    return _sorted_by_class(merged)


def merge_semantic(classes: Sheet, workspace: Workspace) -> Merged:
    """A class map (H, W) as it is: the value of a pixel is its class; classes of few pixels are dropped."""
    sheet = workspace.sheet("labels", classes.shape, np.uint32)
    areas = np.zeros(256, np.int64)
    for y0, y1 in bands(classes.shape[0], band_rows(classes.shape[1])):
        band = classes.read(y0, y1)
        areas += np.bincount(band.ravel(), minlength=256)
        sheet.write(y0, band)
    kept = areas >= MIN_STUFF_PIXELS
    kept[0] = False
    n = int(np.flatnonzero(kept).max(initial=0))
    numbers = np.arange(256, dtype=np.uint32)
    return Merged(
        sheet, np.where(kept, numbers, 0), np.arange(n + 1, dtype=np.uint8), np.zeros(n + 1, np.uint32)
    )


class _Votes:
    """How many pixels of each class each centre has."""

    def __init__(self, kinds: Kinds) -> None:
        self._only = min(kinds.things) if len(kinds.things) == 1 else None  # then there is nothing to count
        self._counts = np.zeros((1, 1), np.int64)  # (K + 1, classes), grown as they appear

    def add(self, grouped: Labels, band: Classes) -> None:
        if self._only is not None:
            return
        rows = max(len(self._counts), int(grouped.max(initial=0)) + 1)
        columns = max(self._counts.shape[1], int(band.max(initial=0)) + 1)
        grown = np.zeros((rows, columns), np.int64)
        grown[: self._counts.shape[0], : self._counts.shape[1]] = self._counts
        inside = grouped > 0
        codes = grouped[inside].astype(np.int64) * columns + band[inside]
        self._counts = grown + np.bincount(codes, minlength=rows * columns).reshape(rows, columns)

    def classes(self, centre_ids: Labels) -> Classes:
        """Class of most of each centre's pixels; that of 0 is 0."""
        if self._only is not None:
            return np.where(centre_ids > 0, np.uint8(self._only), np.uint8(0))
        return np.asarray(self._counts.argmax(axis=1)[centre_ids], np.uint8)


def _labelled(sheet: Sheet, components: Components, votes: _Votes) -> Merged:
    final, n = components.merged()
    centre_ids = np.zeros(n + 1, np.uint32)
    centre_ids[final] = components.values()
    return Merged(sheet, final.astype(np.uint32), votes.classes(centre_ids), centre_ids)


def _with_stuff(merged: Merged, classes: Sheet, class_id: int) -> Merged:
    """Adds a class without instances as one label."""
    number = len(merged.table)
    height, width = classes.shape
    for y0, y1 in bands(height, band_rows(width)):
        mask = classes.read(y0, y1) == class_id
        if mask.any():
            merged.sheet.write(y0, np.where(mask, np.uint32(number), merged.sheet.read(y0, y1)))
    return replace(
        merged,
        table=np.append(merged.table, np.uint32(merged.count + 1)),
        class_ids=np.append(merged.class_ids, np.uint8(class_id)),
        centre_ids=np.append(merged.centre_ids, np.uint32(0)),
    )


def _sorted_by_class(merged: Merged) -> Merged:
    order = np.argsort(merged.class_ids, kind="stable")  # the background, class 0, stays first
    rank = np.empty(len(order), np.uint32)
    rank[order] = np.arange(len(order), dtype=np.uint32)
    return replace(
        merged,
        table=rank[merged.table],
        class_ids=merged.class_ids[order],
        centre_ids=merged.centre_ids[order],
    )
