"""Phantoms are the same for the same seed, and their truth is what an annotator would draw."""

import subprocess
import sys
import tracemalloc
from functools import cache
from pathlib import Path
from typing import Any

import cc3d
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from training.phantoms import (
    Phantom,
    Structure,
    Truth,
    VolumePhantom,
    make_phantom,
    make_volume_phantom,
)
from training.phantoms.organelle import Organelle

_SEEDS = range(12)
_WIDE_SEEDS = range(16)  # few nuclei are whole in a field
_VOLUME_SEEDS = range(3)
_CRUMB = 60


@cache
def phantom(seed: int) -> Phantom:
    return make_phantom(seed, (256, 320))


@cache
def wide_phantom(seed: int) -> Phantom:
    """With a field that holds whole nuclei."""
    return make_phantom(seed, (256, 320), 30.0)


@cache
def volume(seed: int) -> VolumePhantom:
    return make_volume_phantom(seed, (12, 128, 144), (30.0, 10.0, 10.0))


def maps(truth: Truth) -> list[NDArray[np.uint16]]:
    return [truth.of(structure) for structure in Structure]


def pieces(labels: NDArray[np.uint16]) -> NDArray[Any]:  # cc3d chooses the width
    """Objects as connected pixels of one label; diagonal neighbours hang together."""
    found: NDArray[Any] = cc3d.connected_components(labels, connectivity=8 if labels.ndim == 2 else 26)
    return found


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others() -> None:
    first, again, other = phantom(3), make_phantom(3, (256, 320)), phantom(4)
    np.testing.assert_array_equal(first.image, again.image)
    for label_map, same in zip(maps(first.truth), maps(again.truth), strict=True):
        np.testing.assert_array_equal(label_map, same)
    assert not np.array_equal(first.image, other.image)


def test_the_same_seed_gives_the_same_volume() -> None:
    again = make_volume_phantom(1, (12, 128, 144), (30.0, 10.0, 10.0))
    np.testing.assert_array_equal(volume(1).image, again.image)
    np.testing.assert_array_equal(volume(1).truth.mitochondria, again.truth.mitochondria)


@pytest.mark.parametrize("seed", _SEEDS)
def test_every_label_is_one_piece_that_can_be_seen(seed: int) -> None:
    made = phantom(seed)
    assert made.image.shape == (256, 320)
    assert made.image.dtype == np.uint8
    for labels in maps(made.truth):
        assert labels.shape == made.image.shape
        areas = np.bincount(labels.ravel())[1:]
        assert (areas >= _CRUMB).all()  # without gaps, too
        assert pieces(labels).max() == len(areas)


@pytest.mark.parametrize(
    ("structure", "smallest_um2"),
    [(Structure.MITOCHONDRIA, 0.02), (Structure.LIPID_DROPLETS, 0.05), (Structure.NUCLEI, 1.5)],
)
def test_no_object_is_too_small_to_be_named(structure: Structure, smallest_um2: float) -> None:
    areas_um2 = [
        area_px * made.pixel_size_nm**2 / 1e6
        for made in (*map(phantom, _SEEDS), *map(wide_phantom, _WIDE_SEEDS))
        for area_px in np.bincount(made.truth.of(structure).ravel())[1:]
    ]
    assert len(areas_um2) > 10
    assert min(areas_um2) >= smallest_um2


@pytest.mark.parametrize("seed", _VOLUME_SEEDS)
def test_an_object_keeps_its_label_through_all_slices(seed: int) -> None:
    made = volume(seed)
    assert made.image.shape == (12, 128, 144)
    for labels in maps(made.truth):
        sizes = np.bincount(labels.ravel())[1:]
        assert (sizes >= _CRUMB).all()
        assert pieces(labels).max() == len(sizes)
    mitochondria = made.truth.mitochondria
    assert sum(len(np.unique(part)) > 1 for part in mitochondria) > 6
    both = (mitochondria[:-1] > 0) & (mitochondria[1:] > 0)
    assert (mitochondria[:-1] == mitochondria[1:])[both].mean() > 0.9


@pytest.mark.parametrize("made", [phantom, volume], ids=["image", "volume"])
def test_no_pixel_belongs_to_two_structures(made: Any) -> None:  # Phantom or VolumePhantom of a seed
    for seed in _VOLUME_SEEDS:
        assert np.sum([labels > 0 for labels in maps(made(seed).truth)], axis=0).max() <= 1


@pytest.mark.parametrize("made", [phantom, volume], ids=["image", "volume"])
def test_every_object_is_of_the_kind_that_its_map_says(made: Any) -> None:  # as above
    kinds = (Organelle.MITOCHONDRION, Organelle.NUCLEUS, Organelle.DROPLET)
    for seed in _VOLUME_SEEDS:
        truth = made(seed).truth
        assert truth.kinds.shape == truth.nuclei.shape
        for labels, kind in zip(maps(truth), kinds, strict=True):
            assert set(np.unique(truth.kinds[labels > 0])) <= {kind}


def test_all_structures_are_common() -> None:
    made = (make_phantom(seed, (384, 384)) for seed in _SEEDS)
    present = np.array([[labels.any() for labels in maps(each.truth)] for each in made])
    mitochondria, nuclei, droplets = present.sum(axis=0)
    assert mitochondria >= 10
    assert nuclei >= 2
    assert droplets >= 1


def test_objects_can_be_told_from_what_is_around_them() -> None:
    """Most mitochondria differ from a band around them by more than chance, in brightness or in texture."""
    seen = [
        _stands_out(phantom(seed).image, phantom(seed).truth.mitochondria == label)
        for seed in _SEEDS
        for label in range(1, phantom(seed).truth.mitochondria.max() + 1)
    ]
    assert len(seen) > 60
    assert np.mean(seen) > 0.85


def _stands_out(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> bool:
    grey = image.astype(np.float32)
    band = ndimage.binary_dilation(mask, iterations=8) & ~mask
    inside, around = grey[mask], grey[band]
    error = np.sqrt(inside.var() / inside.size + around.var() / around.size)
    return bool(abs(inside.mean() - around.mean()) > 3 * error or inside.std() > 1.25 * around.std())


def test_a_chosen_pixel_size_is_that_of_the_phantom() -> None:
    assert make_phantom(1, (96, 96), 10.0).pixel_size_nm == 10.0
    assert all(2 <= phantom(seed).pixel_size_nm <= 20 for seed in _SEEDS)


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (64, 2)])
def test_images_of_any_size_can_be_made(shape: tuple[int, int]) -> None:
    assert make_phantom(1, shape).image.shape == shape


def test_pixels_of_volumes_are_square() -> None:
    with pytest.raises(ValueError, match="square"):
        make_volume_phantom(1, (2, 32, 32), (30.0, 8.0, 10.0))


def test_a_volume_takes_no_more_memory_than_its_slices_need() -> None:
    """For all slices only the result is held, ten bytes a voxel, and what numbers its objects at the end."""
    peaks = [_peak_bytes((slices, 96, 96)) for slices in (24, 48)]
    assert peaks[1] - peaks[0] < 30 * 24 * 96 * 96


def _peak_bytes(shape: tuple[int, int, int]) -> int:
    tracemalloc.start()
    make_volume_phantom(2, shape, (30.0, 10.0, 10.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_the_command_writes_image_and_truth_with_their_pixel_size(tmp_path: Path) -> None:
    out, truth = tmp_path / "image.tif", tmp_path / "truth.tif"
    run("--out", str(out), "--truth", str(truth), "--seed", "2", "--size", "128", "--structure", "nuclei")
    expected = make_phantom(2, (128, 128))
    np.testing.assert_array_equal(tifffile.imread(out), expected.image)
    np.testing.assert_array_equal(tifffile.imread(truth), expected.truth.nuclei)
    with tifffile.TiffFile(out) as file:
        pixels, per = file.pages.first.tags["XResolution"].value
    assert 1000 * per / pixels == pytest.approx(expected.pixel_size_nm, rel=1e-3)


def test_the_command_writes_volumes(tmp_path: Path) -> None:
    out, truth = tmp_path / "volume.tif", tmp_path / "truth.tif"
    run("--out", str(out), "--truth", str(truth), "--seed", "3", "--size", "64", "--slices", "5")
    expected = make_volume_phantom(3, (5, 64, 64), (30.0, 10.0, 10.0))
    np.testing.assert_array_equal(tifffile.imread(out), expected.image)
    np.testing.assert_array_equal(tifffile.imread(truth), expected.truth.mitochondria)
    with tifffile.TiffFile(out) as file:
        assert (file.imagej_metadata or {})["spacing"] == pytest.approx(0.03)


def run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "training.phantoms", *arguments], check=True, timeout=60)
