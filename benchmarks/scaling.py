"""What post-processing costs per megapixel, from small images to large ones."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.clock import fastest
from benchmarks.scenes import lay_out, make_scene
from benchmarks.starter import starter_card
from benchmarks.table import Table
from emserve.params import Parameters
from workers.inference.measure import Scene, measure
from workers.inference.pipeline import find_objects
from workers.inference.rows import ArrayRows, Workspace

_FIRST, _REPEATS = 10, 3  # runs of the smallest image, which is over in no time, and of the others
_FLAT = 1.1


@dataclass(frozen=True)
class Cost:
    """Processor seconds per megapixel of an image of `megapixels`, on one thread."""

    megapixels: float
    objects_s: float
    """Centres, grouping, merging, connecting."""
    measures_s: float

    @property
    def total_s(self) -> float:
        return self.objects_s + self.measures_s


def measure_cost(side: int, centres: int, times: int) -> Cost:
    """Cost of a scene of `side` pixels that is repeated `times` in both directions."""
    params, card = Parameters(downsampling=1), starter_card()
    megapixels = (side * times) ** 2 / (1 << 20)
    repeats = _FIRST if times == 1 else _REPEATS
    with TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        maps = lay_out(make_scene(side, centres), workspace, times)
        objects_s = fastest(lambda: find_objects(maps, params, card, workspace), repeats)
        labels, confidence = find_objects(maps, params, card, workspace)
        image = ArrayRows(np.random.default_rng(1).integers(0, 256, maps.classes.shape, dtype=np.uint8))
        scene = Scene(image, None, card.class_names, confidence)
        measures_s = fastest(lambda: measure(labels, scene), repeats)
    return Cost(megapixels, objects_s / megapixels, measures_s / megapixels)


def is_flat(costs: tuple[Cost, ...]) -> bool:
    """Whether no image costs over a tenth more per pixel than the smallest."""
    return max(cost.total_s for cost in costs) <= _FLAT * costs[0].total_s


def table(costs: tuple[Cost, ...]) -> Table:
    rows = tuple(
        (
            f"{cost.megapixels:g} Mpx",
            f"{1000 * cost.objects_s:.1f} ms",
            f"{1000 * cost.measures_s:.1f} ms",
            f"{1000 * cost.total_s:.1f} ms",
            f"{cost.total_s / costs[0].total_s:.2f}",
        )
        for cost in costs
    )
    head = ("image", "objects, per Mpx", "measures, per Mpx", "both, per Mpx", "of the first")
    said = "Flat within 10 %." if is_flat(costs) else "Not flat within 10 %."
    return Table("Cost per megapixel", head, rows, f"{said} Processor time, one thread.")
