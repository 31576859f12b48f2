"""A run of seconds gives a network that can be released, loaded and gone on from."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from emserve.cards import Catalogue
from training.augment import NORMS, random_crop
from training.phantoms import Phantom, Structure, Truth, make_phantom
from training.pool import FIRST_SEED, PhantomPool, fill
from training.release import main as release
from training.release import starter_card
from training.starters import STARTERS, Family, Starter
from training.targets import STRIDE, make_targets
from training.train import ARCHITECTURE, STARTER_CONFIG, Recipe, learning_rate, train
from workers.models.registry import build
from workers.models.weights import load_card


def test_offsets_lead_from_every_pixel_of_an_object_to_its_centre() -> None:
    labels = np.zeros((32, 48), np.uint16)
    labels[4:12, 8:24] = 1
    labels[20:28, 30:40] = 2
    targets = make_targets(labels)
    y, x = np.nonzero(targets.inside[0])
    reached = STRIDE * np.stack([y, x]) + targets.offset[:, y, x]
    first = labels[STRIDE * y, STRIDE * x] == 1
    np.testing.assert_allclose(reached[:, first].T, [(7.5, 15.5)] * int(first.sum()), atol=1e-4)
    np.testing.assert_allclose(reached[:, ~first].T, [(23.5, 34.5)] * int((~first).sum()), atol=1e-4)
    peaks = np.argwhere(targets.centre[0] > 0.9 * targets.centre.max())
    assert {(2, 4), (6, 9)} <= {tuple(peak) for peak in peaks.tolist()}


def test_crops_have_their_size_and_pad_with_the_mean_grey() -> None:
    rng = np.random.default_rng(1)
    phantom = make_phantom(1, (96, 96))
    crops = [random_crop(rng, phantom, STARTERS[Family.MITONET], 128) for _ in range(20)]
    assert all(crop.image.shape == crop.labels.shape == (128, 128) for crop in crops)
    assert all(crop.image.min() >= 0 and crop.image.max() <= 1 for crop in crops)
    padded = [crop for crop in crops if crop.image[-1, -1] == np.float32(NORMS.mean)]
    assert padded
    assert all(crop.labels[-1, -1] == 0 for crop in padded)


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    recipe = Recipe(minutes=1)
    rates = [learning_rate(recipe, done) for done in np.linspace(0, 1, 101)]
    assert rates[0] == 0
    assert max(rates) == pytest.approx(recipe.peak_rate, rel=0.05)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> PhantomPool:
    folder = tmp_path_factory.mktemp("pool")
    fill(folder, 3)
    return PhantomPool(folder)


def test_a_pool_holds_the_truth_of_every_structure(pool: PhantomPool) -> None:
    made = make_phantom(FIRST_SEED, (576, 576))
    kept = next(
        drawn
        for drawn in (pool.draw(np.random.default_rng(seed)) for seed in range(100))
        if np.array_equal(drawn.image, made.image)
    )
    assert kept.pixel_size_nm == made.pixel_size_nm
    for structure in Structure:
        np.testing.assert_array_equal(kept.truth.of(structure), made.truth.of(structure))


@pytest.mark.parametrize("starter", STARTERS.values(), ids=STARTERS)
def test_each_model_learns_what_its_card_says(starter: Starter) -> None:
    assert starter_card(starter, None).class_names == {1: starter.structure}
    empty = np.zeros((96, 96), np.uint16)
    truth = Truth(empty.copy(), empty.copy(), empty.copy())
    truth.of(starter.structure)[:] = 1  # this one everywhere, the others nowhere
    phantom = Phantom(np.full((96, 96), 100, np.uint8), truth, 10.0)
    crops = [random_crop(np.random.default_rng(seed), phantom, starter, 32) for seed in range(5)]
    assert all(crop.labels[0, 0] == 1 for crop in crops)


def test_training_learns_can_go_on_and_be_released(pool: PhantomPool, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    assert len(pool) == 3
    family = Family.NUCLEONET
    family = Family.NUCLEONET
    starter = STARTERS[family]
    network = build(ARCHITECTURE, STARTER_CONFIG)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    recipe = Recipe(minutes=0.02, side=96, batch=2, points=64)
    train(network, pool, starter, recipe, seed=1, run=tmp_path / "run")
    kept = torch.load(tmp_path / "run" / "network.pt", weights_only=True)
    assert kept.keys() == before.keys()
    assert any(not torch.equal(kept[name], before[name]) for name in kept)
    build(ARCHITECTURE, STARTER_CONFIG).load_state_dict(kept)  # to go on from

    release(tmp_path / "run", tmp_path, family)
    catalogue = Catalogue(tmp_path)
    card = catalogue.find(f"{family}@starter")
    assert card.class_names == {1: starter.structure}
    weights = catalogue.weights(card)
    assert weights == tmp_path / f"{family}@starter.safetensors"
    load_card(card, weights)
    assert json.loads((tmp_path / f"{family}@starter.json").read_text())["licence"] == "Apache-2.0"
