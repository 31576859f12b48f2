"""Who lies where, so that bodies do not lie in each other."""

import numpy as np

from training.phantoms.shapes import Tube
from training.phantoms.space import Frame

_WIDEST_NM = 1500.0


class Crowd:
    """The bodies that were placed, as balls."""

    def __init__(self) -> None:
        self._points = np.zeros((0, 3))
        self._radii = np.zeros(0)

    def admit(self, tube: Tube, packing: float) -> bool:
        """Whether the tube has a place of its own; then it is placed.

        Neighbours keep `packing` times the sum of their radii: below 1 they touch and flatten each other.
        """
        points, radii = tube.samples()
        reach = radii.max() + _WIDEST_NM
        low, high = points.min(axis=0) - reach, points.max(axis=0) + reach
        near = np.all((self._points > low) & (self._points < high), axis=1)
        apart = np.linalg.norm(points[:, None] - self._points[near], axis=2)
        if np.any(apart < packing * (radii[:, None] + self._radii[near])):
            return False
        self._points = np.concatenate([self._points, points])
        self._radii = np.concatenate([self._radii, radii])
        return True


def area_seen(tube: Tube, frame: Frame) -> float:
    """Area of a tube on a slice in square nanometres, about: the mean over some slices, inside the image."""
    middle = 0.5 * (tube.starts + tube.ends)
    radius = tube.radii.mean(axis=1)
    inside = np.all((middle[:, 1:] > 0) & (middle[:, 1:] < frame.extent_nm[1:]), axis=1)
    height = np.abs(middle[:, :1] - frame.planes_nm)  # (n, planes)
    chord = 2 * np.sqrt(np.clip(radius[:, None] ** 2 - height**2, 0, None))
    length = np.linalg.norm((tube.ends - tube.starts)[:, 1:], axis=1) + 1.5 * radius / len(radius)
    return float((chord * (length * inside)[:, None]).sum(axis=0).mean())
