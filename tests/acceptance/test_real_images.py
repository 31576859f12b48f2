"""Real EM images go through the whole service; they are measured on, never part of the project."""

import io
from pathlib import Path

import httpx
import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.acceptance.exchange import run
from tests.pictures import tiff


def _file(em_images: Path, name: str) -> bytes:
    """A 2D image as a file; of the stack one slice."""
    path = em_images / name
    image = tifffile.imread(path)
    return path.read_bytes() if image.ndim == 2 else tiff(image[len(image) // 2])


@pytest.mark.parametrize(
    "name", ["panoptic_image.tiff", "unlabelled_image.tiff", "sbem_stack_20x1024x1024.tif"]
)
def test_a_real_image_comes_back_as_labels_objects_and_a_preview(
    http: httpx.Client, em_images: Path, name: str
) -> None:
    job = run(http, _file(em_images, name), params={"downsampling": 2})
    labels = np.load(io.BytesIO(http.get(job["links"]["labels"], params={"format": "npy"}).content))
    assert list(labels.shape) == job["input"]["shape"] == job["result"]["shape"]
    assert labels.max() == job["result"]["objects"]
    objects = http.get(job["links"]["objects"]).json()["objects"]
    assert [each["area_px"] for each in objects] == np.bincount(labels.ravel())[1:].tolist()
    preview = Image.open(io.BytesIO(http.get(job["links"]["preview"]).content))
    assert max(preview.size) <= 1024
    assert len(preview.getcolors(1 << 24) or ()) > 100
