"""The catalogue: which version a name means, which weights it finds."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from emserve.cards import PACKAGED_CARDS, Catalogue, ModelCard
from emserve.errors import ModelMissing, UnknownModel
from emserve.params import Parameters


def _install(folder: Path, card_id: str) -> None:
    """Puts weights of a packaged model into `folder`; what is in them is not read here."""
    folder.mkdir(exist_ok=True)
    (folder / f"{card_id}.safetensors").write_bytes(b"weights")


def _add_card(folder: Path, name: str, version: str) -> None:
    card = json.loads((PACKAGED_CARDS / "mitonet@1.json").read_text())
    (folder / f"{name}@{version}.json").write_text(json.dumps({**card, "name": name, "version": version}))


def test_a_bare_name_is_the_starter_while_nothing_else_is_installed(tmp_path: Path) -> None:
    card = Catalogue(tmp_path).find("mitonet")
    assert card.id == "mitonet@starter"
    assert card.is_starter


def test_a_bare_name_is_the_released_version_once_that_is_installed(tmp_path: Path) -> None:
    _install(tmp_path, "mitonet@1")
    assert Catalogue(tmp_path).runnable("mitonet").id == "mitonet@1"


def test_a_pin_decides_what_a_bare_name_means(tmp_path: Path) -> None:
    _install(tmp_path, "mitonet@1")
    pinned = Catalogue(tmp_path, {"mitonet": "starter"})
    assert pinned.find("mitonet").id == "mitonet@starter"
    assert pinned.find("mitonet@1").id == "mitonet@1"


def test_a_pin_on_a_version_that_does_not_exist_is_an_unknown_model(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel):
        Catalogue(tmp_path, {"mitonet": "9"}).find("mitonet")


def test_a_model_without_weights_is_known_but_cannot_run(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    assert catalogue.find("mitonet-mini").id == "mitonet-mini@1"
    with pytest.raises(ModelMissing, match="mitonet@starter") as caught:
        catalogue.runnable("mitonet-mini")
    assert caught.value.errors[0].pointer == "/model"


@pytest.mark.parametrize("reference", ["", "nobody", "mitonet@9", "MitoNet", "mitonet@", "@1", "../mitonet"])
def test_what_names_no_model_is_unknown_or_the_bare_name(tmp_path: Path, reference: str) -> None:
    catalogue = Catalogue(tmp_path)
    if reference == "mitonet@":
        assert catalogue.find(reference) == catalogue.find("mitonet")
    else:
        with pytest.raises(UnknownModel, match="mitonet@starter"):
            catalogue.find(reference)


def test_of_several_installed_versions_the_newest_is_meant(tmp_path: Path) -> None:
    for version in ("1", "2", "10"):
        _add_card(tmp_path, "ourmodel", version)
        _install(tmp_path, f"ourmodel@{version}")
    assert Catalogue(tmp_path).find("ourmodel").version == "10"


def test_a_card_in_the_model_folder_wins_over_the_packaged_one(tmp_path: Path) -> None:
    card = json.loads((PACKAGED_CARDS / "mitonet@1.json").read_text())
    (tmp_path / "mitonet@1.json").write_text(json.dumps({**card, "title": "Ours"}))
    assert Catalogue(tmp_path).find("mitonet@1").title == "Ours"


@pytest.mark.parametrize("path", sorted(PACKAGED_CARDS.glob("*.json")), ids=lambda path: path.stem)
def test_a_packaged_card_is_named_as_its_file_and_names_its_origin(path: Path) -> None:
    card = ModelCard.model_validate_json(path.read_text())
    assert card.id == path.stem
    assert set(card.thing_list) <= set(card.class_names)
    assert 0 not in card.class_names
    assert card.licence
    assert card.citation
    assert card.source.publisher


def test_packaged_weights_are_small_enough_for_a_repository() -> None:
    sizes_bytes = {path.name: path.stat().st_size for path in PACKAGED_CARDS.glob("*.safetensors")}
    assert len(sizes_bytes) == 3
    assert {name for name, size in sizes_bytes.items() if size > 8e6} == set()


def test_a_model_may_have_defaults_of_its_own_that_a_job_overrides() -> None:
    card = (
        Catalogue(Path("no such folder"))
        .find("mitonet@1")
        .model_copy(update={"defaults": {"min_size": 60, "confidence_thr": 0.6}})
    )
    assert card.parameters() == Parameters(min_size=60, confidence_thr=0.6)
    assert card.parameters(Parameters(min_size=0)) == Parameters(min_size=0, confidence_thr=0.6)


def test_sizes_of_images_are_none_of_stacks_and_these_a_model_may_have_too() -> None:
    card = Catalogue(Path("no such folder")).find("mitonet@1")
    of_images = card.model_copy(update={"defaults": {"min_size": 60, "confidence_thr": 0.6}})
    assert of_images.stack_parameters(Parameters(), (20, 64, 64)) == Parameters(
        min_size=500, min_extent=5, confidence_thr=0.6
    )
    of_both = of_images.model_copy(update={"stack_defaults": {"min_size": 250, "confidence_thr": 0.7}})
    own = Parameters(min_size=250, min_extent=5, confidence_thr=0.7)
    assert of_both.stack_parameters(Parameters(), (20, 64, 64)) == own
    assert of_both.stack_parameters(Parameters(min_size=None, min_extent=None), (20, 64, 64)) == own
    assert of_both.stack_parameters(Parameters(min_size=0, confidence_thr=0.5), (20, 64, 64)) == Parameters(
        min_size=0, min_extent=5, confidence_thr=0.5
    )
    assert of_both.stack_parameters(Parameters(), (3, 64, 64)).min_extent == 3  # nothing is longer
    assert of_both.stack_parameters(Parameters(min_extent=9), (3, 64, 64)).min_extent == 9
    assert of_both.parameters() == Parameters(min_size=60, confidence_thr=0.6)


def test_a_models_own_sizes_are_pixels_that_its_network_sees() -> None:
    card = Catalogue(Path("no such folder")).find("mitonet@1")
    of_stacks = {"min_size": 250, "min_slice_size": 90}
    own = card.model_copy(update={"defaults": {"min_size": 60}, "stack_defaults": of_stacks})
    halved = Parameters(downsampling=2)
    assert own.parameters(halved).min_size == 240
    assert own.stack_parameters(halved, (20, 64, 64)).min_size == 1000
    assert own.stack_parameters(halved, (20, 64, 64)).min_slice_size == 360
    assert own.stack_parameters(Parameters(min_slice_size=0), (20, 64, 64)).min_slice_size == 0
    # Everybody's is in the volume's own voxels.
    assert card.stack_parameters(halved, (20, 64, 64)).min_size == 500
    assert own.parameters(Parameters(downsampling=2, min_size=60)).min_size == 60  # so is what a job says
    shrinking = own.model_copy(update={"defaults": {"min_size": 60, "downsampling": 4}})
    assert shrinking.parameters().min_size == 960


@pytest.mark.parametrize("defaults", ["defaults", "stack_defaults"])
def test_a_card_with_a_default_that_no_parameter_takes_is_refused(defaults: str) -> None:
    fields = Catalogue(Path("no such folder")).find("mitonet@1").model_dump()
    with pytest.raises(ValidationError, match="minimum_size"):
        ModelCard.model_validate({**fields, defaults: {"minimum_size": 60}})
