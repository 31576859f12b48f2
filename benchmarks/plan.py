"""How much is measured: sizes for the default run, for BENCH_FULL=1, and for the test of the benchmarks."""

from dataclasses import dataclass

from benchmarks.decoding import KINDS
from benchmarks.forward import MODELS


@dataclass(frozen=True)
class Plan:
    """Sizes of everything."""

    scene: int = 2048
    """Side of the image that is grouped, merged and connected."""
    centres: tuple[int, ...] = (500,)
    centres_alone: tuple[int, ...] = (5000,)
    """Without the peer."""
    measured_objects: tuple[int, ...] = (500, 5000)
    tile: int = 1024
    """Side of the scene that images of growing size repeat."""
    tile_centres: int = 125
    repeats: tuple[int, ...] = (1, 2, 4, 8)
    memory_sides: tuple[int, ...] = (4096, 8192)
    memory_tile: str = "auto"
    decoded_sides: tuple[int, ...] = (4096,)
    alternating_jobs: int = 200
    alternating_models: tuple[str, ...] = ("mitonet@1", "mitonet-mini@1", "mitonet@1")
    """Each with weights of its own."""
    models: tuple[str, ...] = MODELS
    forward_sides: tuple[int, ...] = (512, 1024)
    forward_seconds: float = 3.0
    """At least, for each network, size and mode."""
    floor_matrix: int = 2048
    """Side of the matrices whose product is the floor."""
    agreement_images: int = 24
    stack_slices: tuple[int, ...] = (64, 256, 1024)
    stack_side: int = 512
    beyond: tuple[tuple[int, int], ...] = ((256, 2048),)
    """Slices, and their sides, of volumes that are larger than their worker's memory."""
    matched_objects: tuple[int, ...] = (500,)
    """In each of 16 slices of the same side."""
    consensus: tuple[tuple[int, int], ...] = ((256, 5000),)
    """Sides of cubes, and objects in each view of them."""

    @property
    def steps(self) -> int:
        """Number of measurements, among them the installation of the peer, agreement, alternation."""
        return 3 + sum(
            len(each)
            for each in (
                self.centres,
                self.centres_alone,
                self.measured_objects,
                self.repeats,
                self.memory_sides,
                self.decoded_sides * len(KINDS),
                self.models,
                self.stack_slices,
                self.beyond,
                self.matched_objects,
                self.consensus,
            )
        )


FULL = Plan(
    centres=(500, 5000),
    centres_alone=(),
    repeats=(1, 2, 4, 8, 16),
    memory_sides=(4096, 16384),
    decoded_sides=(4096, 16384),
)
