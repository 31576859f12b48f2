"""Full-size archives of the released form, pulled from a publisher, give the reference's label maps."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from emserve.cards import Catalogue
from emserve.params import Parameters
from tests.commands import run
from tests.exports import export, released_tensors
from tests.golden_models import CARDS, card_of, plain_network, shapes_of
from tests.partition import agreement
from tests.sheets import all_labels
from tests.unit.models.test_goldens import image_of
from tests.zenodo import Zenodo, zenodo
from workers.inference.engine import Engine
from workers.inference.pipeline import Request2D, segment
from workers.inference.rows import ArrayRows, Workspace
from workers.models.checkpoint import read_tensors
from workers.models.weights import load_card

_IMAGE = "d300x421u8"

pytestmark = pytest.mark.timeout(600)  # a gigabyte is written, sent, read and converted


@pytest.fixture(scope="module")
def publisher(goldens: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zenodo]:
    """Serves the four archives, with seeded weights, under the records and names of the released ones."""
    folder = tmp_path_factory.mktemp("released")
    files: dict[str, dict[str, Path | bytes]] = {}
    for model in CARDS:
        card = card_of(model)
        assert card.source.record
        assert card.source.file
        path = export(plain_network(model, goldens), card.architecture, folder / card.source.file)
        files.setdefault(card.source.record, {})[card.source.file] = path
    with zenodo(files=files) as server:
        yield server


@pytest.mark.parametrize(("model", "count"), [("MitoNet_v1", 181), ("MitoNet_v1_mini", 641)])
def test_the_archives_of_these_tests_have_the_released_form(
    model: str, count: int, publisher: Zenodo, goldens: Path
) -> None:
    card = card_of(model)
    archive = publisher.files[str(card.source.record)][str(card.source.file)]
    assert isinstance(archive, Path)
    tensors = read_tensors(archive)
    shapes = shapes_of(model, goldens, "_fused_export")
    assert {key: tuple(tensor.shape) for key, tensor in tensors.items()} == shapes
    assert len(tensors) == count
    for key, tensor in released_tensors(plain_network(model, goldens), card.architecture).items():
        assert torch.equal(tensors[key], tensor), key


@pytest.fixture(scope="module")
def catalogue(publisher: Zenodo, tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """All four, pulled by one command."""
    models = tmp_path_factory.mktemp("pulled") / "models"
    done = run("models", "pull", "--all", "--model-dir", models, "--from", publisher.url)
    assert done.returncode == 0, done.stderr
    return Catalogue(models)


@pytest.mark.parametrize("model", CARDS)
def test_a_pulled_model_divides_the_image_as_the_reference_does(
    model: str, catalogue: Catalogue, goldens: Path, workspace: Workspace
) -> None:
    card = catalogue.runnable(CARDS[model])
    weights = catalogue.weights(card)
    assert weights is not None
    assert card.licence == "cc-by-4.0"
    engine = Engine(load_card(card, weights))
    request = Request2D(ArrayRows(image_of(_IMAGE, goldens)), None, Parameters(), card)
    found = segment(request, engine, workspace, lambda *_: None)
    with np.load(goldens / f"e2e2d_{model}_{_IMAGE}.npz") as file:
        assert agreement(all_labels(found.labels), file["seg_default"]) >= 0.999
