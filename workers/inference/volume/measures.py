"""Measures of each object of a volume, in voxels and, where the voxel size is known, in nanometres.

A measure without a value (nanometres of unknown voxels, the confidence of what has no centre) is NaN.
"""

import numpy as np
import numpy.typing as npt

from workers.inference.measure import Column, ObjectTable, class_names_of, tally
from workers.inference.volume.labelled import Labelled
from workers.inference.volume.plane import Shape
from workers.inference.volume.request import Request3D
from workers.inference.volume.source import Greys
from workers.inference.volume.spans import Integers, Spans, paint
from workers.inference.volume.surface import Surfaces
from workers.inference.volume.survey import Survey
from workers.inference.volume.tracking import OnSlice

Floats = npt.NDArray[np.float64]

_UNIT = (1.0, 1.0, 1.0)
_AXES = ("z", "y", "x")


def measure_volume(found: Labelled, request: Request3D, on_slice: OnSlice) -> ObjectTable:
    """The measures of every object that has voxels; reads labels and grey values once, slice by slice."""
    n, volume, source = found.count, found.volume, request.source
    size = request.voxel_size_nm
    surfaces = Surfaces(n, (_UNIT,) if size is None else (_UNIT, size))
    survey, sums = Survey.empty(n), _Sums(n)
    for z in range(volume.shape[0]):
        spans = volume.slice(z)
        labels = paint(spans, volume.shape[1:])
        survey.add(z, spans, volume.shape)
        sums.add(z, spans, volume.shape, source.planes(0, z, z + 1)[0][labels > 0])
        surfaces.add(labels)
        on_slice()
    surfaces.finish()
    columns = {
        "label": np.arange(n + 1),
        "class_id": found.class_ids.astype(np.int64),
        "class_name": class_names_of(found.class_ids, request.card.class_names),
        "volume_vx": survey.voxels,
        "volume_nm3": survey.voxels * (np.nan if size is None else float(np.prod(size))),
        **_boxes(survey, size),
        **sums.columns(),
        "slices": sums.slices,
        **_surface_columns(surfaces.areas, survey.voxels, size),
        "centre_confidence": found.confidence,
    }
    present = np.flatnonzero(survey.voxels)
    return ObjectTable({name: column[present] for name, column in columns.items()})


def _boxes(survey: Survey, size: tuple[float, float, float] | None) -> dict[str, Column]:
    """Half-open bounding boxes, and their sides."""
    boxes = {f"bbox_{axis}0_vx": low for axis, low in zip(_AXES, survey.low, strict=True)}
    boxes |= {f"bbox_{axis}1_vx": high for axis, high in zip(_AXES, survey.high, strict=True)}
    sides = zip(_AXES, survey.extents, size or (np.nan,) * 3, strict=True)
    return boxes | {f"extent_{axis}_nm": extent * unit for axis, extent, unit in sides}


def _surface_columns(
    areas: Floats, voxels: Integers, size: tuple[float, float, float] | None
) -> dict[str, Column]:
    """Marching-cubes surface, and sphericity: the surface of a ball of the same volume over the object's."""
    in_nm = np.full(len(voxels), np.nan) if size is None else areas[1]
    true_volume = voxels * (1.0 if size is None else float(np.prod(size)))
    with np.errstate(invalid="ignore", divide="ignore"):  # of the background, which has no row
        sphericity = np.cbrt(np.pi) * np.cbrt(6 * true_volume) ** 2 / areas[-1]
    return {"surface_vx2": areas[0], "surface_nm2": in_nm, "sphericity": sphericity}


class _Sums:
    """Sums over each object's voxels. Grey values are taken relative to that of the object's first voxel, so
    that no precision is lost on a bright ground."""

    def __init__(self, n: int) -> None:
        self.slices = np.zeros(n + 1, np.int64)
        self._voxels = np.zeros(n + 1, np.int64)
        self._places = np.zeros((3, n + 1), np.float64)
        self._ground = np.zeros(n + 1, np.float64)
        self._greys = np.zeros((2, n + 1), np.float64)  # value, square

    def add(self, z: int, spans: Spans, shape: Shape, greys: Greys) -> None:
        """Another slice, with the grey values of its spans, span after span."""
        if len(spans) == 0:
            return
        label, length = spans.owner, spans.length
        begins = np.cumsum(length) - length
        self._meet_new(label, greys[begins])
        y, x = np.divmod(spans.begin, shape[2])
        for row, sums in enumerate((z * length, y * length, length * (2 * x + length - 1) / 2)):
            tally(self._places[row], label, sums)
        values = greys - np.repeat(self._ground[label], length)
        for row, sums in enumerate((values, values * values)):
            tally(self._greys[row], label, np.add.reduceat(sums, begins))
        tally(self._voxels, label, length)
        self.slices[np.unique(label)] += 1

    def _meet_new(self, label: Integers, greys: Greys) -> None:
        labels, first = np.unique(label, return_index=True)
        new = self._voxels[labels] == 0
        self._ground[labels[new]] = greys[first[new]]

    def columns(self) -> dict[str, Column]:
        """Centroid, and mean and (population) standard deviation of the uploaded grey values."""
        voxels = np.maximum(self._voxels, 1)
        mean, square = self._greys / voxels
        centroid = {
            f"centroid_{axis}_vx": sums / voxels for axis, sums in zip(_AXES, self._places, strict=True)
        }
        grey_sd = np.sqrt(np.maximum(square - mean * mean, 0))
        return {**centroid, "grey_mean": self._ground + mean, "grey_sd": grey_sd}
