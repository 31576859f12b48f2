"""Peak resident memory of whole segmentations, each in a fresh process."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.lib.format import open_memmap

from benchmarks.surroundings import AS_IN_SERVICE
from benchmarks.table import Table, seconds
from training.phantoms import make_phantom

_ROOT = Path(__file__).parents[1]
_PHANTOM = 1024  # pixels; larger images repeat it
_PIXEL_SIZE_NM = 16.0
_ALLOWED_BYTES = 300_000_000
_LONGEST_SECONDS = 4 * 3600


@dataclass(frozen=True)
class Peak:
    """What one segmentation with the starter model took."""

    side: int
    tile: str
    """A number of pixels, or `auto`, as users give it."""
    idle_bytes: int
    """With the model loaded, before the image."""
    peak_bytes: int
    objects: int
    cpu_s: float
    """Of the whole process, imports included."""


def measure_peak(side: int, tile: str, folder: Path) -> Peak:
    """Segments a phantom of `side` pixels in tiles of `tile`; its files lie in `folder` meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as name:
        path = Path(name).absolute() / "image.npy"
        write_image(path, side)
        command = [sys.executable, "-m", "benchmarks.segment_process", str(path), tile]
        done = subprocess.run(
            command,
            cwd=_ROOT,
            env={**os.environ, **AS_IN_SERVICE},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=_LONGEST_SECONDS,
        )
    return Peak(side, tile, **json.loads(done.stdout.splitlines()[-1]))


def write_image(path: Path, side: int) -> None:
    """A .npy file (side, side) of uint8: a phantom, repeated."""
    small = make_phantom(1, (min(side, _PHANTOM),) * 2, _PIXEL_SIZE_NM).image
    image = open_memmap(path, mode="w+", dtype=np.uint8, shape=(side, side))
    for y0 in range(0, side, len(small)):
        rows = np.tile(small, (1, -(-side // small.shape[1])))[: side - y0, :side]
        image[y0 : y0 + len(rows)] = rows
    image.flush()


def growth_bytes(peaks: tuple[Peak, ...]) -> int:
    """How much more the largest image takes than the smallest."""
    return peaks[-1].peak_bytes - peaks[0].peak_bytes


def table(peaks: tuple[Peak, ...]) -> Table:
    rows = tuple(
        (
            f"{peak.side} x {peak.side}",
            peak.tile,
            _megabytes(peak.idle_bytes),
            _megabytes(peak.peak_bytes),
            str(peak.objects),
            seconds(peak.cpu_s),
        )
        for peak in peaks
    )
    growth = growth_bytes(peaks)
    within = "within" if growth <= _ALLOWED_BYTES else "MORE THAN"
    note = (
        f"The largest takes {_megabytes(growth)} more than the smallest, {within} 300 MB. fp32, one thread."
    )
    return Table(
        "Peak resident memory", ("image", "tile", "model loaded", "peak", "objects", "cpu"), rows, note
    )


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB"
