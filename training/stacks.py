"""Volumes in memory, segmented as the service segments a stack."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from emserve.cards import ModelCard
from emserve.params import Parameters
from workers.evaluation.overlaps import Labels
from workers.inference.engine import Engine
from workers.inference.rows import Workspace
from workers.inference.volume.pipeline import segment_volume
from workers.inference.volume.request import Request3D
from workers.inference.volume.source import Greys

VoxelSize = tuple[float, float, float]


class ArrayVolume:
    """An array (Z, Y, X) of any grey data type as a volume's source."""

    def __init__(self, array: Greys) -> None:
        self._array = array
        depth, height, width = array.shape
        self.shape = (depth, height, width)
        self.dtype = array.dtype

    def planes(self, axis: int, begin: int, end: int) -> Greys:
        return np.moveaxis(self._array, axis, 0)[begin:end]


class HeldLedger:
    """What would outlive an interruption."""

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}

    def load(self, key: str) -> bytes | None:
        return self.entries.get(key)

    def save(self, key: str, entry: bytes) -> None:
        self.entries[key] = entry


def segment_stack(
    volume: Greys, voxel_size_nm: VoxelSize | None, params: Parameters, engine: Engine, card: ModelCard
) -> Labels:
    """(Z, Y, X) labels of a (Z, Y, X) volume, as a job of `mode` stack has them.

    `params` hold what the job says; the model's own defaults are filled in here.
    """
    asked = card.stack_parameters(params.model_copy(update={"mode": "stack"}), volume.shape)
    request = Request3D(ArrayVolume(volume), voxel_size_nm, asked, card, "")
    with TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        found = segment_volume(request, engine, workspace, HeldLedger(), lambda *_: None)
        return found.labels.read(0, len(volume))
