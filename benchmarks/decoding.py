"""Peak resident memory of decoding an image file, each in a fresh process."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from benchmarks.table import Table, seconds
from training.phantoms import make_phantom

_ROOT = Path(__file__).parents[1]
_PHANTOM = 1024  # pixels; larger images repeat it
_PIXEL_SIZE_NM = 16.0
_LONGEST_SECONDS = 3600
_TIFFS: dict[str, dict[str, Any]] = {  # tifffile's options
    "TIFF, not compressed": {},
    "TIFF, strips, LZW": {"rowsperstrip": 64, "compression": "lzw"},
    "TIFF, tiles, deflate": {"tile": (256, 256), "compression": "zlib", "predictor": True},
}
_PICTURES = {"PNG": ("png", {"compress_level": 1}), "JPEG": ("jpeg", {})}
KINDS = (*_TIFFS, *_PICTURES)


@dataclass(frozen=True)
class Decoding:
    """What decoding one image of 8 bits took."""

    kind: str
    side: int
    idle_bytes: int
    """Before the image."""
    peak_bytes: int
    cpu_s: float


def measure_decoding(kind: str, side: int, folder: Path) -> Decoding:
    """Decodes a phantom of `side` pixels; its files lie in `folder` meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as name:
        path = Path(name).absolute() / "image"
        _write(path, kind, _image(side))
        command = [
            sys.executable,
            "-m",
            "benchmarks.decode_process",
            str(path),
            str(path.with_suffix(".npy")),
        ]
        done = subprocess.run(
            command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=_LONGEST_SECONDS
        )
    return Decoding(kind, side, **json.loads(done.stdout.splitlines()[-1]))


def _image(side: int) -> NDArray[np.uint8]:
    small = make_phantom(1, (min(side, _PHANTOM),) * 2, _PIXEL_SIZE_NM).image
    times = -(-side // len(small))
    return np.tile(small, (times, times))[:side, :side]


def _write(path: Path, kind: str, image: NDArray[np.uint8]) -> None:
    if kind in _TIFFS:
        tifffile.imwrite(path, image, **_TIFFS[kind])
    else:
        name, options = _PICTURES[kind]
        Image.fromarray(image).save(path, format=name, **options)


def table(decodings: tuple[Decoding, ...]) -> Table:
    rows = tuple(
        (
            each.kind,
            f"{each.side} x {each.side}",
            _megabytes(each.side**2),
            _megabytes(each.idle_bytes),
            _megabytes(each.peak_bytes),
            seconds(each.cpu_s),
        )
        for each in decodings
    )
    note = "8 bits a pixel. Only a JPEG is held as a whole."
    return Table("Decoding", ("file", "image", "pixels", "before", "peak", "cpu"), rows, note)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB"
