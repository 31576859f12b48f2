"""Two files are compared as their arrays are, however differently they are cut into slabs."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from scipy import ndimage

from workers.evaluation import stored_array
from workers.evaluation.comparison import compare
from workers.evaluation.instances import Instances
from workers.evaluation.overlaps import Overlaps, UnusableLabels, find_overlaps
from workers.evaluation.stored_array import open_array
from workers.evaluation.summary import summarise


def blobs(shape: tuple[int, ...], seed: int) -> NDArray[np.int32]:
    """Labelled blobs of some pixels' width."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    labels, _ = ndimage.label(noise > noise.std())
    return labels.astype(np.int32)


def write(folder: Path, found: NDArray[Any], truth: NDArray[Any]) -> tuple[Path, Path]:
    """A TIFF of thin strips or of pages, and a Zarr array of thick chunks."""
    layout: dict[str, Any] = {"rowsperstrip": 7, "photometric": "minisblack", "compression": "zlib"}
    tifffile.imwrite(folder / "found.tif", found, **layout)
    zarr.create_array(folder / "truth.zarr", data=truth, chunks=(5, *truth.shape[1:]))
    return folder / "found.tif", folder / "truth.zarr"


def compared(files: tuple[Path, Path], *, components: bool = False) -> Overlaps:
    with open_array(files[0]) as found, open_array(files[1]) as truth:
        pair = Instances(found, components=components), Instances(truth, components=components)
        return compare(*pair)[0]


@pytest.mark.parametrize("slab_bytes", [1, 1 << 14, 1 << 25])
@pytest.mark.parametrize("shape", [(64, 90), (12, 30, 40)], ids=["2D", "3D"])
def test_files_score_as_their_arrays_do(
    shape: tuple[int, ...], slab_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_array, "SLAB_BYTES", slab_bytes)
    truth = blobs(shape, 0)
    found = np.roll(truth, 1, axis=-1) * (blobs(shape, 1) % 4 != 1)
    expected = summarise([find_overlaps(found, truth)])
    assert 0 < expected.f1_50 < 1
    assert summarise([compared(write(tmp_path, found, truth))]) == expected


@pytest.mark.parametrize("shape", [(64, 90), (12, 30, 40)], ids=["2D", "3D"])
def test_masks_score_as_their_components_do(
    shape: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_array, "SLAB_BYTES", 1)
    truth = blobs(shape, 0)
    found, _ = ndimage.label(np.roll(truth, 1, axis=-1) > 0)
    masks = [np.where(labels > 0, 255, 0).astype(np.uint8) for labels in (found, truth)]
    scores = summarise([compared(write(tmp_path, masks[0], masks[1]), components=True)])
    assert scores == summarise([find_overlaps(found, truth)])
    assert scores.true > 5
    assert scores.hits > 0


def test_a_few_slabs_are_all_that_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_array, "SLAB_BYTES", 1 << 16)
    labels = np.kron(np.arange(64, dtype=np.uint32).reshape(8, 8), np.ones((128, 128), np.uint32))
    layout: dict[str, Any] = {"tile": (16, 512), "compression": "zlib"}
    tifffile.imwrite(tmp_path / "a.tif", labels, **layout)
    compared((tmp_path / "a.tif", tmp_path / "a.tif"))  # what is imported and compiled does not count
    tracemalloc.start()
    try:
        compared((tmp_path / "a.tif", tmp_path / "a.tif"))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < labels.nbytes / 4


def test_a_negative_label_is_found_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_array, "SLAB_BYTES", 1)
    labels = np.zeros((64, 90), np.int16)
    labels[63, 89] = -7
    with pytest.raises(UnusableLabels, match=r"found\.tif holds the label -7"):
        compared(write(tmp_path, labels, abs(labels)))
