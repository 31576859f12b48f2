"""Objects, preview and provenance; and how result files travel: whole, in ranges, or not again."""

import base64
import csv
import hashlib
import io
import re

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.acceptance.exchange import Json, accepted, ended, refused, run
from tests.pictures import phantom, tiff

_FILES = ["labels", "labels?format=npy", "labels?format=png", "objects", "objects?format=csv", "preview.png"]


def test_objects_agree_with_the_label_map(http: httpx.Client, finished: Json) -> None:
    path = f"/v1/jobs/{finished['id']}"
    labels = np.load(io.BytesIO(http.get(f"{path}/labels?format=npy").content))
    answer = http.get(f"{path}/objects").json()
    rows = answer["objects"]
    assert answer["count"] == len(rows) == finished["result"]["objects"]
    assert [row["label"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["area_px"] for row in rows] == np.bincount(labels.ravel())[1:].tolist()
    assert [row["area_nm2"] for row in rows] == pytest.approx(
        [256.0 * row["area_px"] for row in rows],
        rel=1e-5,  # six digits are sent
    )
    assert {row["class_name"] for row in rows} == {"mito"}


@pytest.mark.parametrize("wish", ["query", "header"])
def test_the_csv_has_the_rows_of_the_json(http: httpx.Client, finished: Json, wish: str) -> None:
    path = f"/v1/jobs/{finished['id']}/objects"
    if wish == "query":
        response = http.get(path, params={"format": "csv"})
    else:
        response = http.get(path, headers={"Accept": "text/csv"})
    assert response.headers["content-type"].startswith("text/csv")
    rows = http.get(path).json()["objects"]
    table = list(csv.DictReader(io.StringIO(response.text)))
    assert list(table[0]) == list(rows[0])
    for column in ("label", "area_px", "perimeter_px", "grey_mean"):
        assert [float(each[column]) for each in table] == [row[column] for row in rows]


def test_the_preview_of_a_large_image_is_small(http: httpx.Client) -> None:
    job = run(http, tiff(np.tile(phantom(side=250).image, (6, 6))), params={"downsampling": 4})
    assert job["input"]["shape"] == [1500, 1500]
    response = http.get(f"/v1/jobs/{job['id']}/preview.png")
    assert response.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(response.content)) as image:
        assert max(image.size) <= 1024
        assert min(image.size) >= 512
        assert image.mode == "RGB"


def test_the_preview_shows_the_objects_in_colour(http: httpx.Client, finished: Json) -> None:
    with Image.open(io.BytesIO(http.get(f"/v1/jobs/{finished['id']}/preview.png").content)) as image:
        red, _, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(int), -1, 0)
    assert np.abs(red - blue).max() > 50


def test_provenance_says_what_ran(http: httpx.Client, finished: Json) -> None:
    response = http.get(f"/v1/jobs/{finished['id']}/provenance")
    assert response.headers["content-type"] == "application/json"
    told = response.json()
    assert told["job_id"] == finished["id"]
    for same in ("input", "model", "params", "attempt", "created_at"):
        assert told[same] == finished[same]
    assert [warning["code"] for warning in told["warnings"]] == ["starter-weights"]
    assert told["warnings"] == finished["warnings"]
    assert told["device"] == finished["result"]["device"] == "cpu"
    assert told["precision"] == "fp32"
    assert {"emserve", "torch", "numpy", "python", "platform"} <= set(told["software"])
    assert {"decode", "infer", "group", "write"} <= set(told["seconds"])
    assert all(seconds >= 0 for seconds in told["seconds"].values())


@pytest.mark.parametrize("file", _FILES)
def test_a_file_says_its_length_its_digest_and_its_name(
    http: httpx.Client, finished: Json, file: str
) -> None:
    response = http.get(f"/v1/jobs/{finished['id']}/{file}")
    digest = base64.b64encode(hashlib.sha256(response.content).digest()).decode()
    assert response.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["accept-ranges"] == "bytes"
    assert 'filename="cell.mitonet.' in response.headers["content-disposition"]


def test_a_hostile_file_name_stays_a_name(http: httpx.Client) -> None:
    name = 'a/..\\é"; filename=x.html\r\nSet-Cookie: a=b;<script>%0d%0a.tif'
    query = {"model": "mitonet", "filename": name}
    job = ended(http, accepted(http.post("/v1/jobs", params=query, content=tiff(phantom(side=64).image))))
    headers = http.get(job["links"]["objects"]).headers
    safe = r"attachment; filename=\"[\w.()+ -]+\"; filename\*=UTF-8''[\w.()%+-]+"
    assert re.fullmatch(safe, headers["content-disposition"], re.ASCII)
    assert "set-cookie" not in headers


@pytest.mark.parametrize("file", _FILES)
def test_head_answers_with_the_headers_of_get(http: httpx.Client, finished: Json, file: str) -> None:
    path = f"/v1/jobs/{finished['id']}/{file}"
    whole, head = http.get(path), http.head(path)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-length", "content-type", "etag", "repr-digest", "accept-ranges"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize("file", _FILES)
def test_who_has_a_file_already_gets_no_body(http: httpx.Client, finished: Json, file: str) -> None:
    path = f"/v1/jobs/{finished['id']}/{file}"
    etag = http.get(path).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = http.get(path, headers={"If-None-Match": known})
        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == etag
    in_two_lines = [("If-None-Match", '"other"'), ("If-None-Match", etag)]
    assert http.get(path, headers=in_two_lines).status_code == 304
    assert http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-9", 0, 10), ("100-", 100, None), ("-7", -7, None), ("5-99999999", 5, None)],
)
def test_a_range_is_a_part_of_the_file(
    http: httpx.Client, finished: Json, asked: str, start: int, end: int | None
) -> None:
    path = f"/v1/jobs/{finished['id']}/labels"
    whole = http.get(path).content
    response = http.get(path, headers={"Range": f"bytes={asked}"})
    expected = whole[start:end]
    assert response.status_code == 206
    assert response.content == expected
    first = start % len(whole)
    assert response.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(whole)}"


def test_a_range_of_another_version_gives_the_whole_file(http: httpx.Client, finished: Json) -> None:
    path = f"/v1/jobs/{finished['id']}/labels"
    etag = http.get(path).headers["etag"]
    assert http.get(path, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    assert http.get(path, headers={"Range": "bytes=0-9", "If-Range": '"older"'}).status_code == 200


@pytest.mark.parametrize("asked", ["99999999-", "-0"])
def test_a_range_outside_the_file_is_refused(http: httpx.Client, finished: Json, asked: str) -> None:
    path = f"/v1/jobs/{finished['id']}/labels"
    size = len(http.get(path).content)
    response = http.get(path, headers={"Range": f"bytes={asked}"})
    refused(response, 416, "range-not-satisfiable", asked, str(size))
    assert response.headers["content-range"] == f"bytes */{size}"


@pytest.mark.parametrize(
    "asked",
    ["bytes=-", "bytes=5-2", "bytes=0-1,3-4", "items=0-3", "bytes=a-b", f"bytes={'9' * 5000}-"],
    ids=lambda asked: asked[:12],
)
def test_a_range_that_is_none_gives_the_whole_file(http: httpx.Client, finished: Json, asked: str) -> None:
    path = f"/v1/jobs/{finished['id']}/labels"
    response = http.get(path, headers={"Range": asked})
    assert response.status_code == 200
    assert response.content == http.get(path).content


def test_head_knows_no_ranges(http: httpx.Client, finished: Json) -> None:
    path = f"/v1/jobs/{finished['id']}/labels"
    head = http.head(path, headers={"Range": "bytes=0-9"})
    assert head.status_code == 200
    assert head.headers["content-length"] == str(len(http.get(path).content))
