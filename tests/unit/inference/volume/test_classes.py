"""A network of several classes: medians of probabilities, objects of one class, another class as a whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from emserve.cards import Catalogue, ModelCard
from emserve.params import Parameters
from tests.volumes import MemoryLedger
from training.stacks import ArrayVolume
from workers.inference.engine import Engine
from workers.inference.preprocess import choose_levels, look, normalise
from workers.inference.rows import ArrayRows, Workspace
from workers.inference.volume.pipeline import segment_volume
from workers.inference.volume.request import Request3D
from workers.models.fold import fold
from workers.models.panoptic import PanopticNetwork
from workers.models.registry import build

Volume = NDArray[Any]


@pytest.fixture(scope="module")
def several() -> tuple[ModelCard, Engine]:
    """A small network with random weights for two classes, the second of which has no instances."""
    starter = Catalogue(Path("no such folder")).find("mitonet@starter")
    config = {**starter.architecture_config, "num_classes": 3}
    card = starter.model_copy(
        update={"class_names": {1: "mito", 2: "ground"}, "thing_list": [1], "architecture_config": config}
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        network = build(card.architecture, config).eval()
        _balance(network, torch.rand(1, 1, 48, 64) * 6 - 4)
    return card, Engine(fold(network))


def _balance(network: PanopticNetwork, image: torch.Tensor) -> None:
    """Lets each class have its share of an image."""
    layer = network.semantic_head.head[1]
    assert isinstance(layer, torch.nn.Conv2d)
    assert layer.bias is not None
    with torch.no_grad():
        spread, mean = torch.std_mean(network(image).coarse_logits, dim=(0, 2, 3))
        layer.weight.copy_(layer.weight / spread[:, None, None, None])
        layer.bias.copy_((layer.bias - mean) / spread)


@pytest.fixture(scope="module")
def volume() -> Volume:
    return np.random.default_rng(1).integers(0, 255, (7, 48, 64), dtype=np.uint8)


def run(volume: Volume, several: tuple[ModelCard, Engine], folder: Path, pixels: int, **params: Any) -> Any:
    card, engine = several
    chosen = Parameters(**{"mode": "stack", "min_size": 0, "min_extent": 0, **params})
    request = Request3D(ArrayVolume(volume), None, chosen, card, "", pixels)
    with Workspace(folder) as workspace:
        found = segment_volume(request, engine, workspace, MemoryLedger(), lambda *_: None)
        return found.labels.read(0, len(volume)), found.objects.columns


def test_the_class_of_a_voxel_is_that_of_the_largest_median(
    volume: Volume, several: tuple[ModelCard, Engine], tmp_path: Path
) -> None:
    card, engine = several
    levels = choose_levels(volume.dtype, look(ArrayRows(volume[0])), "dtype", invert=False)
    greys = (normalise(each, card.norms, levels) for each in volume)
    maps = np.stack([engine.predict(grey[None]).render(0, len(grey))[0] for grey in greys])
    for n in range(1, len(maps) - 1):
        maps[n] = np.median(maps[n - 1 : n + 2], axis=0)
    expected = maps.argmax(axis=1)
    assert set(np.unique(expected)) >= {1, 2}
    labels, _ = run(volume, several, tmp_path, 1 << 23, semantic_only=True)
    np.testing.assert_array_equal(labels, expected)


def test_objects_have_classes_and_cuts_change_nothing(
    volume: Volume, several: tuple[ModelCard, Engine], tmp_path: Path
) -> None:
    labels, table = run(volume, several, tmp_path, 1 << 23)
    again, _ = run(volume, several, tmp_path, 1)
    np.testing.assert_array_equal(labels, again)
    assert set(table["class_id"].tolist()) == {1, 2}
    assert np.count_nonzero(table["class_id"] == 2) == 1  # all of it
    assert np.all(np.diff(table["class_id"]) >= 0)
    assert set(table["class_name"].tolist()) == {"mito", "ground"}
    assert np.isnan(table["centre_confidence"][table["class_id"] == 2]).all()


@pytest.mark.parametrize("params", [{}, {"label_erosion": 1}], ids=["as they are", "eroded"])
def test_with_classes_only_each_class_is_a_row_under_its_id(
    volume: Volume, several: tuple[ModelCard, Engine], tmp_path: Path, params: dict[str, Any]
) -> None:
    labels, table = run(volume, several, tmp_path, 1 << 23, semantic_only=True, **params)
    assert table["label"].tolist() == table["class_id"].tolist() == [1, 2]
    for row, label in enumerate(table["label"]):
        assert table["volume_vx"][row] == np.count_nonzero(labels == label)
        assert table["grey_mean"][row] == pytest.approx(volume[labels == label].mean())


def test_with_classes_only_one_that_is_not_there_has_no_row(
    volume: Volume, several: tuple[ModelCard, Engine], tmp_path: Path
) -> None:
    whole, _ = run(volume, several, tmp_path, 1 << 23, semantic_only=True)
    _, first, second = np.bincount(whole.ravel())
    labels, table = run(volume, several, tmp_path, 1 << 23, semantic_only=True, min_size=first + 1)
    assert first < second
    assert set(np.unique(labels)) == {0, 2}
    assert table["label"].tolist() == table["class_id"].tolist() == [2]
    assert table["volume_vx"].tolist() == [second]
