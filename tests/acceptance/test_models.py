"""Models: what can be asked for, and what is known of it."""

import re

import httpx
import pytest

from tests.acceptance.exchange import Json, refused, run

_RELEASED = ["mitonet@1", "mitonet-mini@1", "dropnet@1", "nucleonet@2"]
_STARTERS = ["mitonet@starter", "nucleonet@starter", "dropnet@starter"]


def test_the_list_names_every_model_with_its_state(http: httpx.Client, finished: Json) -> None:
    assert finished["model"]["version"] == "starter"
    states = {model["id"]: model["state"] for model in http.get("/v1/models").json()["models"]}
    assert states.pop("mitonet@starter") == "loaded"
    assert {states.pop(each) for each in _STARTERS[1:]} <= {"available", "loaded"}
    assert states == dict.fromkeys(_RELEASED, "missing")


@pytest.mark.parametrize("name", [*_STARTERS, *_RELEASED])
def test_a_model_says_what_it_is(http: httpx.Client, name: str) -> None:
    model = http.get(f"/v1/models/{name}").json()
    assert f"{model['name']}@{model['version']}" == model["id"] == name
    assert model["class_names"].keys() == {"1"}
    assert model["thing_list"] == [1]
    assert set(model["norms"]) == {"mean", "std"}
    assert model["padding_factor"] >= 1
    assert model["source"]["publisher"]
    for said in ("title", "description", "licence", "citation", "architecture"):
        assert model[said]


def test_a_bare_name_is_the_version_that_would_run(http: httpx.Client) -> None:
    assert http.get("/v1/models/mitonet").json()["id"] == "mitonet@starter"


def test_the_starter_says_its_checksum_and_its_pixel_size(http: httpx.Client, finished: Json) -> None:
    model = http.get("/v1/models/mitonet@starter").json()
    assert re.fullmatch("[0-9a-f]{64}", model["sha256"])
    assert model["sha256"] == finished["model"]["sha256"]
    assert model["native_pixel_size_nm"] == 11.0


@pytest.mark.parametrize("name", _STARTERS)
def test_a_starter_says_what_it_learnt_from_how_good_it_is_and_where_it_fails(
    http: httpx.Client, name: str
) -> None:
    model = http.get(f"/v1/models/{name}").json()
    assert "Generated images only" in model["trained_on"]
    assert model["weaknesses"]
    assert any(score["data"].startswith("generated images") for score in model["scores"])
    assert all(0 < score["f1_50"] <= 1 and score["objects"] > 0 for score in model["scores"])


def test_a_model_describes_its_parameters(http: httpx.Client, finished: Json) -> None:
    schema = http.get("/v1/models/mitonet").json()["parameters_schema"]
    assert set(schema["properties"]) == set(finished["params"])
    assert schema["additionalProperties"] is False
    confidence = schema["properties"]["confidence_thr"]
    assert (confidence["minimum"], confidence["maximum"], confidence["default"]) == (0.1, 0.9, 0.4)


@pytest.mark.parametrize(
    "name", ["nothing", "mitonet@99", "@", "m%C3%AFtonet", "x" * 500], ids=lambda name: name[:12]
)
def test_an_unknown_model_is_not_found(http: httpx.Client, name: str) -> None:
    refused(http.get(f"/v1/models/{name}"), 404, "model-not-found", "mitonet@starter")


def test_a_model_name_is_no_path(http: httpx.Client) -> None:
    refused(http.get("/v1/models/..%2F..%2Fetc"), 404, "not-found")


def test_a_models_own_defaults_are_shown_and_used(http: httpx.Client, cell: bytes) -> None:
    properties = http.get("/v1/models/mitonet@starter").json()["parameters_schema"]["properties"]
    job = run(http, cell)
    for name in ("min_size", "min_distance_object_centers"):
        assert job["params"][name] == properties[name]["default"]
    assert run(http, cell, params={"min_size": 0})["params"]["min_size"] == 0
    halved = run(http, cell, params={"downsampling": 2})["params"]["min_size"]
    assert halved == 4 * properties["min_size"]["default"]  # the same size to the network
