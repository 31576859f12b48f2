"""What is asked of a volume, and what is found in it."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from emserve.cards import ModelCard
from emserve.jobs import JobWarning
from emserve.params import Parameters
from workers.inference.measure import ObjectTable
from workers.inference.volume.source import VolumeSource


@dataclass(frozen=True)
class Request3D:
    """One volume and what is wanted of it."""

    source: VolumeSource
    voxel_size_nm: tuple[float, float, float] | None
    """Distance of slices, height and width of a voxel."""
    params: Parameters
    """With `mode`, `min_size`, `min_extent` and a number for `downsampling`."""
    card: ModelCard
    identity: str
    """Whatever else the network's answers depend on: SHA-256 of the weights, device, precision, threads,
    versions of the software. What was computed under another identity is not used."""
    range_pixels: int = 1 << 23
    """Pixels of the slices that an interrupted volume infers again at most; at least a batch of slices."""

    @property
    def instances(self) -> bool:
        """Whether objects are wanted, not only classes."""
        return not self.params.semantic_only

    @property
    def things(self) -> frozenset[int]:
        """Classes of which objects are wanted."""
        return frozenset(self.card.thing_list) if self.instances else frozenset()


class LabelVolume(Protocol):
    """A label map (Z, Y, X), computed as it is read; reading it once and in order is cheapest."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Z, Y, X."""

    @property
    def count(self) -> int:
        """The largest label."""

    def read(self, z0: int, z1: int) -> npt.NDArray[np.uint32]:
        """(z1 - z0, Y, X) labels: 0 background, objects 1 to n by class, then by first voxel."""


@dataclass(frozen=True)
class Segmentation3D:
    """What the network found."""

    labels: LabelVolume
    """Readable as long as the workspace is open. With `semantic_only` the class of each voxel; with mode
    `slices` each slice's objects follow those of the slice before."""
    objects: ObjectTable
    """A row per object; mode `slices` has the measures of images, and the number of the slice."""
    warnings: tuple[JobWarning, ...]
