"""The packaged starter finds the mitochondria of phantoms that it has never seen."""

from pathlib import Path

from benchmarks.agreement import measure_agreement
from emserve.cards import Catalogue
from training.score import score
from workers.inference.engine import Engine
from workers.models.weights import load_card


def test_the_starter_finds_most_mitochondria_of_fresh_phantoms() -> None:
    catalogue = Catalogue(Path("no such folder"))
    card = catalogue.runnable("mitonet@starter")
    weights = catalogue.weights(card)
    assert weights is not None
    scores = score(Engine(load_card(card, weights)), card, count=24, first_seed=1)
    assert scores.true > 500
    assert scores.f1_50 >= 0.6


def test_bf16_gives_the_label_maps_of_fp32() -> None:
    agreement = measure_agreement(images=6)
    assert agreement.objects > 100
    assert agreement.with_fp32 >= 0.985  # over 24 phantoms 0.992
