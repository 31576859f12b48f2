"""Weights are numbers in a file of a known sum, never code."""

import pickle
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from emserve.cards import Catalogue
from workers.models.weights import WeightsChanged, WeightsMismatch, WeightsUnreadable, load_card


class _Explosive:
    """Leaves a file where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path, ...]]:
        return Path.touch, (self._marker,)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path)


def test_a_pickle_in_place_of_weights_is_not_opened(catalogue: Catalogue, tmp_path: Path) -> None:
    marker, file = tmp_path / "unpickled", tmp_path / "weights.safetensors"
    file.write_bytes(pickle.dumps(_Explosive(marker)))
    with pytest.raises(WeightsUnreadable, match=file.name):
        load_card(catalogue.find("mitonet@1").model_copy(update={"weights_sha256": None}), file)
    assert not marker.exists()


def test_weights_that_the_card_does_not_name_are_refused(catalogue: Catalogue, tmp_path: Path) -> None:
    card = catalogue.find("mitonet@starter")
    packaged = catalogue.weights(card)
    assert packaged is not None
    changed = tmp_path / "weights.safetensors"
    tensors = load_file(packaged)
    save_file({key: tensor + 1 for key, tensor in tensors.items()}, changed)
    with pytest.raises(WeightsChanged, match="SHA-256"):
        load_card(card, changed)


def test_weights_that_lack_a_tensor_are_refused(catalogue: Catalogue, tmp_path: Path) -> None:
    card = catalogue.find("mitonet@starter")
    packaged = catalogue.weights(card)
    assert packaged is not None
    lacking = tmp_path / "weights.safetensors"
    first, *others = load_file(packaged).items()
    save_file(dict(others), lacking)
    with pytest.raises(WeightsMismatch, match=first[0]):
        load_card(card.model_copy(update={"weights_sha256": None}), lacking)
