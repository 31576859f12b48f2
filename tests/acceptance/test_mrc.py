"""MRC files, which microscopes write, run as TIFFs do."""

from dataclasses import replace
from typing import Literal

import httpx
import numpy as np
import pytest

from tests.acceptance.exchange import Json, post, refused, run
from tests.mrcs import MrcOptions, mrc
from tests.pictures import phantom

SIXTEEN_NM = MrcOptions(cell_angstrom=(256 * 160.0, 256 * 160.0, 160.0))


def _labels(http: httpx.Client, job: Json) -> bytes:
    response = http.get(job["links"]["labels"], params={"format": "npy"})
    assert response.status_code == 200, response.text
    return response.content


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_mrc_of_signed_bytes_gives_what_the_tiff_gives(
    http: httpx.Client, finished: Json, order: Literal["<", ">"]
) -> None:
    signed = (phantom().image ^ np.uint8(128)).view(np.int8)
    job = run(http, mrc(signed, replace(SIXTEEN_NM, order=order)), filename="cell.mrc")
    assert job["input"]["dtype"] == "uint8"
    assert job["input"]["pixel_size_nm"] == [16.0, 16.0]
    assert job["input"]["pixel_size_source"] == "file"
    assert job["result"]["objects"] > 0
    assert _labels(http, job) == _labels(http, finished)


def test_an_mrc_of_floats_runs_with_a_range(http: httpx.Client, finished: Json) -> None:
    value = mrc(phantom().image.astype(np.float32), SIXTEEN_NM)
    job = run(http, value, filename="cell.mrc", params={"intensity_range": [0, 255]})
    assert job["input"]["dtype"] == "float32"
    assert job["result"]["objects"] == finished["result"]["objects"]


def test_an_mrc_that_was_cut_off_is_refused(http: httpx.Client) -> None:
    value = mrc(np.zeros((64, 64), np.int16))
    refused(post(http, value[:-1]), 422, "unreadable-image", "9215 bytes", "9216", "cut off")
