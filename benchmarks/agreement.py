"""What bf16 changes: label maps of the starter model on phantoms, beside those of fp32."""

from dataclasses import dataclass

from benchmarks.starter import starter_card, starter_engine
from benchmarks.table import Table
from training.score import fresh_phantoms, segmented, truth
from workers.evaluation.overlaps import find_overlaps
from workers.evaluation.summary import summarise


@dataclass(frozen=True)
class Agreement:
    """Panoptic quality over the objects of several phantoms."""

    images: int
    objects: int
    """What fp32 finds."""
    with_fp32: float
    """bf16 judged by fp32."""
    fp32_with_truth: float
    bf16_with_truth: float


def measure_agreement(images: int) -> Agreement:
    """Segments the first `images` phantoms in both precisions."""
    card = starter_card()
    exact, fast = starter_engine("fp32"), starter_engine("bf16")
    between, exactly, quickly = [], [], []
    for phantom in fresh_phantoms(card, images, first_seed=1):
        expected, found = segmented(phantom, exact, card), segmented(phantom, fast, card)
        between.append(find_overlaps(found, expected))
        exactly.append(find_overlaps(expected, truth(phantom, card)))
        quickly.append(find_overlaps(found, truth(phantom, card)))
    scores = summarise(between)
    return Agreement(
        images=images,
        objects=scores.true,
        with_fp32=scores.panoptic_quality,
        fp32_with_truth=summarise(exactly).panoptic_quality,
        bf16_with_truth=summarise(quickly).panoptic_quality,
    )


def table(runs: tuple[Agreement, ...]) -> Table:
    rows = tuple(
        (
            str(run.images),
            str(run.objects),
            f"{run.with_fp32:.3f}",
            f"{run.fp32_with_truth:.3f}",
            f"{run.bf16_with_truth:.3f}",
        )
        for run in runs
    )
    head = ("phantoms", "objects", "bf16 with fp32", "fp32 with the truth", "bf16 with the truth")
    return Table("Agreement of bf16", head, rows, "Panoptic quality of the starter model's label maps.")
