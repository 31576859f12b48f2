"""Merging: class map and centre numbers become one label map, objects 1 to n without gaps."""

from dataclasses import dataclass

import cc3d
import fastremap
import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint32]
Classes = npt.NDArray[np.uint8]

MIN_STUFF_PIXELS = 64
"""A class without instances that has fewer pixels than this in the whole image is dropped."""


@dataclass(frozen=True)
class Merged:
    """A label map and what each label stands for; the arrays of n + 1 begin with the background's entry."""

    labels: Labels
    """(H, W) 0 background, objects 1 to n: by class, then in the order of their first pixels."""
    class_ids: npt.NDArray[np.uint8]
    """(n + 1,) class of each label."""
    centre_ids: npt.NDArray[np.uint32]
    """(n + 1,) centre that the label's pixels were grouped to, from 1; 0 where there is none."""

    @property
    def count(self) -> int:
        return len(self.class_ids) - 1


def harden(probabilities: npt.NDArray[np.float32], threshold: float) -> Classes:
    """(H, W) class of each pixel from (C, H, W) probabilities, 0 being background.

    One map is the only class where it reaches `threshold`; of several the highest wins, the first of
    them being the background.
    """
    if len(probabilities) == 1:
        return np.asarray(probabilities[0] >= np.float32(threshold), np.uint8)
    return np.asarray(probabilities.argmax(axis=0), np.uint8)


def merge(
    classes: Classes, centre_ids: Labels, things: frozenset[int], min_stuff_pixels: int = MIN_STUFF_PIXELS
) -> Merged:
    """Objects of a class map (H, W) and a map of centre numbers (H, W).

    A centre's pixels have the class that most of them have, the smallest on a tie; each of their
    8-connected components is an object. A class outside `things` is one object. Foreground of a thing
    class without any centre is dropped, as the reference does.
    """
    is_thing = np.isin(classes, list(things))
    grouped = np.where(is_thing, centre_ids, 0).astype(np.uint32, copy=False)
    class_of_centre = _majority(classes, grouped)
    components = cc3d.connected_components(grouped, connectivity=8)
    components, n = _number_by_first_pixel(components.astype(np.uint32, copy=False))
    centre_of = np.zeros(n + 1, np.uint32)
    centre_of[components.ravel()] = grouped.ravel()
    merged = Merged(components, class_of_centre[centre_of], centre_of)
    for class_id in range(1, int(classes.max(initial=0)) + 1):
        if class_id not in things:
            merged = _with_stuff(merged, classes, class_id, min_stuff_pixels)
    return _sorted_by_class(merged)


def merge_semantic(classes: Classes) -> Merged:
    """A class map (H, W) as it is: the value of a pixel is its class; classes of few pixels are dropped."""
    areas = np.bincount(classes.ravel())
    labels = np.where(areas[classes] >= MIN_STUFF_PIXELS, classes, 0).astype(np.uint32)
    n = int(labels.max(initial=0))
    return Merged(labels, np.arange(n + 1, dtype=np.uint8), np.zeros(n + 1, np.uint32))


def keep(merged: Merged, wanted: npt.NDArray[np.bool_]) -> Merged:
    """Only the labels that are `wanted` (n + 1,), renumbered without gaps."""
    wanted = wanted.copy()
    wanted[0] = True
    table = np.where(wanted, np.cumsum(wanted) - 1, 0).astype(np.uint32)
    return Merged(table[merged.labels], merged.class_ids[wanted], merged.centre_ids[wanted])


def _majority(classes: Classes, grouped: Labels) -> npt.NDArray[np.uint8]:
    """(K + 1,) class that most pixels of each number have; 0 for number 0."""
    n_classes = int(classes.max(initial=0)) + 1
    n_centres = int(grouped.max(initial=0)) + 1
    codes = grouped.ravel().astype(np.int64) * n_classes + classes.ravel()
    votes = np.bincount(codes, minlength=n_centres * n_classes).reshape(n_centres, n_classes)
    winners = np.asarray(votes.argmax(axis=1), np.uint8)
    winners[0] = 0
    return winners


def _number_by_first_pixel(components: Labels) -> tuple[Labels, int]:
    """Components numbered 1 to n in row-major order of their first pixels, and n."""
    renumbered, mapping = fastremap.renumber(components, preserve_zero=True)
    return renumbered.astype(np.uint32, copy=False), sum(1 for old in mapping if old != 0)


def _with_stuff(merged: Merged, classes: Classes, class_id: int, min_pixels: int) -> Merged:
    """Adds a class without instances as one label, unless it has fewer pixels than `min_pixels`."""
    mask = classes == class_id
    if np.count_nonzero(mask) < min_pixels:
        return merged
    return Merged(
        np.where(mask, np.uint32(merged.count + 1), merged.labels),
        np.append(merged.class_ids, np.uint8(class_id)),
        np.append(merged.centre_ids, np.uint32(0)),
    )


def _sorted_by_class(merged: Merged) -> Merged:
    order = np.argsort(merged.class_ids, kind="stable")  # the background, class 0, stays first
    if np.array_equal(order, np.arange(len(order))):
        return merged
    table = np.empty(len(order), np.uint32)
    table[order] = np.arange(len(order), dtype=np.uint32)
    return Merged(table[merged.labels], merged.class_ids[order], merged.centre_ids[order])
