"""Requests for a job that are refused although their image is fine; none of them leaves anything."""

import gzip
import json
import re
from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.exchange import Json, post, refused, stored_jobs
from tests.pictures import phantom, tiff
from tests.running_service import RunningService


@pytest.fixture(autouse=True)
def _nothing_is_left(service: RunningService) -> Iterator[None]:
    before = stored_jobs(service)
    yield
    assert stored_jobs(service) == before


def test_an_unknown_model(http: httpx.Client, cell: bytes) -> None:
    problem = refused(post(http, cell, model="unet"), 422, "unknown-model", "'unet'", "mitonet@starter")
    assert problem["errors"][0]["pointer"] == "/model"


@pytest.mark.parametrize(
    "model", ["mitonet@2", "mitonet@starter@starter", "../mitonet", "MitoNet", "mito\0net"]
)
def test_an_unknown_version_or_a_strange_name(http: httpx.Client, cell: bytes, model: str) -> None:
    refused(post(http, cell, model=model), 422, "unknown-model", "mitonet@starter")


@pytest.mark.parametrize("model", ["mitonet@1", "mitonet-mini", "nucleonet@2"])
def test_a_model_without_weights(http: httpx.Client, cell: bytes, model: str) -> None:
    problem = refused(post(http, cell, model=model), 422, "model-missing", model, "mitonet@starter")
    assert problem["errors"][0]["pointer"] == "/model"


@pytest.mark.parametrize("model", [None, ""])
def test_no_model(http: httpx.Client, cell: bytes, model: str | None) -> None:
    problem = refused(post(http, cell, model=model), 422, "invalid-request", "mitonet@starter")
    assert problem["errors"][0]["pointer"] == "/model"


def test_no_model_with_a_raw_body(http: httpx.Client, cell: bytes) -> None:
    refused(http.post("/v1/jobs", content=cell), 422, "invalid-request", "mitonet@starter")


def test_fields_in_the_address_beside_a_form(http: httpx.Client, cell: bytes) -> None:
    address = '/v1/jobs?params={"min_size":5}'
    response = http.post(address, files={"image": ("cell.tif", cell)}, data={"model": "mitonet"})
    problem = refused(response, 422, "invalid-request", "params", "part of the form")
    assert problem["errors"][0]["pointer"] == "/query/params"


def test_an_unknown_parameter(http: httpx.Client, cell: bytes) -> None:
    response = post(http, cell, params={"confidence": 0.5})
    problem = refused(response, 422, "invalid-request", "confidence", "confidence_thr")
    assert problem["errors"][0]["pointer"] == "/params/confidence"


@pytest.mark.parametrize(
    ("field", "text", "name"),
    [
        ("params", '{"min_size": 10, "min_size": 90}', "min_size"),
        ("tags", '{"slide": "12", "animal": "a", "slide": "12"}', "slide"),
    ],
)
def test_of_a_name_given_twice_none_is_chosen(
    http: httpx.Client, cell: bytes, field: str, text: str, name: str
) -> None:
    parts: dict[str, Json] = {field: text}
    problem = refused(post(http, cell, **parts), 422, "invalid-request", name, "more than once")
    assert [each["pointer"] for each in problem["errors"]] == [f"/{field}/{name}"]


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("downsampling", 0, "1, 2, 4, 8, 16, 32, 64 or auto"),
        ("downsampling", 3, "1, 2, 4, 8, 16, 32, 64 or auto"),
        ("downsampling", 128, "1, 2, 4, 8, 16, 32, 64 or auto"),
        ("downsampling", "full", "auto"),
        ("confidence_thr", 0.09, "0.1"),
        ("confidence_thr", 0.91, "0.9"),
        ("center_confidence_thr", 0.04, "0.05"),
        ("center_confidence_thr", 0.91, "0.9"),
        ("min_distance_object_centers", 0, "1"),
        ("min_distance_object_centers", 36, "35"),
        ("min_size", -1, "0"),
        ("min_extent", -1, "0"),
        ("channel", -1, "0"),
        ("pixel_size_nm", [0, 4], "0"),
        ("pixel_size_nm", [4, -4], "0"),
        ("pixel_size_nm", [4], "two"),
        ("pixel_size_nm", [4, 4, 4, 4], "or three"),
        ("axes", "ABC", "YX"),
        ("intensity_range", "full", "percentile"),
        ("axes", "Y", "such as ZYX"),
        ("tile_size", 255, "256 to 16384"),
        ("tile_size", 20000, "256 to 16384"),
        ("tile_size", "whole", "auto, 0"),
        ("intensity_range", [5], "two numbers"),
        ("intensity_range", [5, 6, 7], "two numbers"),
    ],
)
def test_a_parameter_out_of_range(
    http: httpx.Client, cell: bytes, name: str, value: Json, limit: str
) -> None:
    response = post(http, cell, params={name: value})
    problem = refused(response, 422, "invalid-request", f"/params/{name}", limit, f"given: {value!r}")
    (fault,) = problem["errors"]  # one for one value, however many forms it may have
    assert fault["pointer"] == f"/params/{name}"
    assert not re.search("pattern|after validation|Value error", fault["detail"])


@pytest.mark.parametrize("given", [[9, 5], [5, 5]])
def test_a_grey_range_that_is_none(http: httpx.Client, cell: bytes, given: list[int]) -> None:
    response = post(http, cell, params={"intensity_range": given})
    refused(response, 422, "invalid-request", "/params/intensity_range", str(given[0]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("confidence_thr", "high"),
        ("confidence_thr", None),
        ("confidence_thr", [0.5]),
        ("min_size", 1.5),
        ("min_size", {}),
        ("fine_boundaries", "perhaps"),
        ("semantic_only", 7),
        ("pixel_size_nm", 4),
        ("pixel_size_nm", ["4", "wide"]),
        ("axes", 3),
    ],
)
def test_a_parameter_of_the_wrong_type(http: httpx.Client, cell: bytes, name: str, value: Json) -> None:
    refused(post(http, cell, params={name: value}), 422, "invalid-request", f"/params/{name}")


@pytest.mark.parametrize("text", ["{", "confidence_thr=0.5", '{"min_size": 1,}', "\x00", "{'a': 1}"])
def test_parameters_that_are_no_json(http: httpx.Client, cell: bytes, text: str) -> None:
    refused(post(http, cell, params=text), 422, "invalid-request", "/params", "JSON")


@pytest.mark.parametrize("text", ["[]", "1", "null", '"min_size"', '[{"min_size": 1}]'])
def test_parameters_that_are_no_object(http: httpx.Client, cell: bytes, text: str) -> None:
    refused(post(http, cell, params=text), 422, "invalid-request", "/params")


@pytest.mark.parametrize("text", ['{"confidence_thr": NaN}', '{"intensity_range": [0, Infinity]}'])
def test_numbers_that_are_none(http: httpx.Client, cell: bytes, text: str) -> None:
    refused(post(http, cell, params=text, model="mitonet"), 422, "invalid-request", "/params")


def test_parameters_too_long_to_read(http: httpx.Client, cell: bytes) -> None:
    text = json.dumps({"axes": "Y" * 70_000})
    refused(post(http, cell, params=text), 422, "invalid-request", "'params'", "65536")


def test_parameters_nested_too_deeply(http: httpx.Client, cell: bytes) -> None:
    refused(post(http, cell, params="[" * 30_000), 422, "invalid-request", "/params")


def test_bad_parameters_of_a_raw_upload(http: httpx.Client, cell: bytes) -> None:
    query = {"model": "mitonet", "params": '{"min_size": -5}'}
    refused(
        http.post("/v1/jobs", content=cell, params=query), 422, "invalid-request", "-5", "/params/min_size"
    )


def test_automatic_downsampling_without_a_pixel_size(http: httpx.Client) -> None:
    image = _without_pixel_size()
    problem = refused(
        post(http, image, params={"downsampling": "auto"}), 422, "invalid-request", "pixel_size_nm", "1, 2, 4"
    )
    assert problem["errors"][0]["pointer"] == "/params/downsampling"


@pytest.mark.parametrize(
    "tags",
    [
        "{",
        "sample",
        [],
        "null",
        {"number": 7},
        {"nested": {"a": "b"}},
        {"": "empty name"},
        {"a b": "space"},
        {"a:b": "colon"},
        {"n" * 65: "long name"},
        {"long": "v" * 257},
        {f"tag{number}": "" for number in range(33)},
    ],
)
def test_wrong_tags(http: httpx.Client, cell: bytes, tags: Json) -> None:
    problem = refused(post(http, cell, tags=tags), 422, "invalid-request", "/tags")
    assert problem["errors"][0]["pointer"].startswith("/tags")


def test_an_unknown_part(http: httpx.Client, cell: bytes) -> None:
    refused(post(http, cell, modle="x"), 422, "invalid-request", "'modle'", "image, model, params and tags")


@pytest.mark.parametrize("part", ["image", "model", "params"])
def test_a_part_that_stands_twice(http: httpx.Client, cell: bytes, part: str) -> None:
    values: dict[str, tuple[str | None, str | bytes]] = {
        "image": ("cell.tif", cell),
        "model": (None, "mitonet"),
        "params": (None, "{}"),
    }
    parts = [*values.items(), (part, values[part])]
    refused(http.post("/v1/jobs", files=parts), 422, "invalid-request", part)


def test_a_form_encoded_body_is_told_the_right_line(http: httpx.Client) -> None:
    response = http.post("/v1/jobs", params={"model": "mitonet"}, data={"image": "cell.tif"})
    refused(
        response,
        415,
        "unsupported-media-type",
        "'application/x-www-form-urlencoded'",
        "curl -X POST -T cell.tif",
        "/v1/jobs?model=mitonet&filename=cell.tif",
    )


def test_a_body_that_was_compressed_on_its_way(http: httpx.Client, cell: bytes) -> None:
    headers = {"Content-Encoding": "gzip"}
    response = http.post("/v1/jobs?model=mitonet", content=gzip.compress(cell), headers=headers)
    refused(response, 415, "unsupported-media-type", "Content-Encoding is 'gzip'", "as it is")
    assert response.headers["accept-encoding"] == "identity"
    in_two_lines = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
    response = http.post("/v1/jobs?model=mitonet", content=gzip.compress(cell), headers=in_two_lines)
    refused(response, 415, "unsupported-media-type", "Content-Encoding is 'identity, gzip'")
    plain = http.post("/v1/jobs?model=mitonet", content=cell, headers={"Content-Encoding": "Identity"})
    assert plain.status_code == 202
    assert http.delete(f"/v1/jobs/{plain.json()['id']}").status_code == 204


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain; charset=utf-8", "video/mp4", "image", "nonsense"]
)
def test_a_body_of_another_type(http: httpx.Client, cell: bytes, content_type: str) -> None:
    query, headers = {"model": "mitonet"}, {"Content-Type": content_type}
    response = http.post("/v1/jobs", content=cell, params=query, headers=headers)
    given = repr(content_type.partition(";")[0])
    refused(response, 415, "unsupported-media-type", given, "multipart/form-data", "curl")


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=other"],
)
def test_a_form_that_cannot_be_read(http: httpx.Client, cell: bytes, content_type: str) -> None:
    response = http.post("/v1/jobs", content=cell, headers={"Content-Type": content_type})
    refused(response, 422, "invalid-request", "multipart/form-data", "-F image=@cell.tif")


@pytest.mark.parametrize("name", [b'image"; filename="\xe9.tif', b"\xff"])
def test_names_that_are_not_utf_8(http: httpx.Client, cell: bytes, name: bytes) -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + cell + b"\r\n--B--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=B"}
    refused(
        http.post("/v1/jobs", content=body, headers=headers), 422, "invalid-request", "UTF-8", "filename="
    )


def test_a_wrong_wait(http: httpx.Client, cell: bytes) -> None:
    response = http.post("/v1/jobs", params={"model": "mitonet", "wait": "soon"}, content=cell)
    problem = refused(response, 422, "invalid-request", "/query/wait", "soon")
    assert problem["errors"][0]["pointer"] == "/query/wait"


def _without_pixel_size() -> bytes:
    return tiff(phantom(side=64).image)
