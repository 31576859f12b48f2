"""What a device does in a second, and how much of an image's time it works: by wall clock, all threads."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.forward import operations
from benchmarks.memory import write_image
from benchmarks.table import Table, seconds
from emserve.cards import Catalogue, ModelCard
from emserve.errors import OutOfMemory
from emserve.params import Parameters
from workers.inference.engine import Engine, Heads2D
from workers.inference.pipeline import AUTO_TILE, Request2D, segment
from workers.inference.rows import Workspace
from workers.models.fold import fold
from workers.models.place import Place
from workers.models.ready import DTYPES, Precision
from workers.models.registry import build
from workers.models.weights import load_card

BATCHES = (1, 2, 4, 8, 16, 32)
_WARM_UP, _FEWEST_RUNS = 2, 3
_ASKED_EVERY_MS = 200


@dataclass(frozen=True)
class Throughput:
    """Tiles per second of one network at the batch that gives most."""

    model: str
    precision: Precision
    side: int
    """Of a tile, in pixels."""
    batch: int
    tiles_per_s: float
    """From an array in memory to the maps in memory."""
    peak_share: float
    """Of as many operations in a second as one product of large matrices reaches there."""


@dataclass(frozen=True)
class Occupation:
    """How much of the time of one image its device works."""

    model: str
    precision: Precision
    side: int
    """Of the image."""
    tiles: int
    wall_s: float
    """From grey values to measured objects."""
    engine_s: float
    """In which the engine had tiles: computing, and copying to the device and back."""
    busy_share: float | None
    """Of the wall time in which a GPU had something to compute, as its driver says; None on a CPU."""


def measure_throughput(
    model: str,
    device: str,
    precision: Precision,
    *,
    side: int = AUTO_TILE,
    batches: tuple[int, ...] = BATCHES,
    at_least_s: float = 3.0,
    matrix: int = 8192,
) -> Throughput:
    """Tries each batch, from the smallest, for as long as the device has memory for it.

    Weights are random: what they are does not change the time.
    """
    card = Catalogue(Path("no folder of models")).find(model)
    torch.manual_seed(1)
    engine = Engine(fold(build(card.architecture, card.architecture_config).eval()), device, precision)
    rates: dict[int, float] = {}
    for batch in batches:
        tiles = np.random.default_rng(1).standard_normal((batch, side, side), np.float32)
        try:
            rates[batch] = batch * _rate(partial(_predict, engine, tiles), at_least_s)
        except OutOfMemory:
            break
    if not rates:
        raise OutOfMemory(f"{device} has too little memory for a tile of {side} pixels")
    best = max(rates, key=lambda batch: rates[batch])
    done = rates[best] * operations(card, side)
    peak = _operations_per_second(device, precision, matrix, at_least_s)
    return Throughput(model, precision, side, best, rates[best], done / peak)


def measure_occupation(
    card: ModelCard, weights: Path, device: str, precision: Precision, side: int, folder: Path
) -> Occupation:
    """Segments a repeated phantom of `side` pixels; its files lie in `folder` meanwhile."""
    engine = _WatchedEngine(load_card(card, weights), device, precision)
    _predict(engine, np.zeros((engine.batch, AUTO_TILE, AUTO_TILE), np.float32))  # warms up
    engine.spent_s = 0.0
    tiles = 0

    def on_progress(_stage: object, _done: int, total: int, unit: str) -> None:
        nonlocal tiles
        tiles = max(tiles, total) if unit == "tiles" else tiles

    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as name, Workspace(Path(name)) as workspace:
        path = Path(name) / "image.npy"
        write_image(path, side)
        request = Request2D(workspace.open_npy(path), None, Parameters(downsampling=1), card)
        with _Driver(device) as driver:
            begun = time.perf_counter()
            segment(request, engine, workspace, on_progress)
            wall_s = time.perf_counter() - begun
    return Occupation(card.id, precision, side, tiles, wall_s, engine.spent_s, driver.busy_share)


def _predict(engine: Engine, tiles: npt.NDArray[np.float32]) -> None:
    engine.predict(tiles).render(0, tiles.shape[1])


def _rate(work: Callable[[], object], at_least_s: float) -> float:
    """Runs per second, after some that warm up."""
    for _ in range(_WARM_UP):
        work()
    begun, runs = time.perf_counter(), 0
    while runs < _FEWEST_RUNS or time.perf_counter() - begun < at_least_s:
        work()
        runs += 1
    return runs / (time.perf_counter() - begun)


def _operations_per_second(device: str, precision: Precision, side: int, at_least_s: float) -> float:
    """Of a product of large matrices: the most that this device gives."""
    matrix = torch.ones(side, side, dtype=DTYPES[precision], device=device)

    def multiply() -> None:
        product = matrix @ matrix
        product[0, 0].item()  # a GPU is waited for

    return 2.0 * side**3 * _rate(multiply, at_least_s)


class _WatchedEngine(Engine):
    """An engine whose time is taken."""

    spent_s = 0.0

    def predict(
        self,
        images: npt.NDArray[np.float32],
        downsampling: int = 1,
        fine_boundaries: bool = False,
        places: list[Place] | None = None,
    ) -> Heads2D:
        with self._watched():
            heads = super().predict(images, downsampling, fine_boundaries, places)

        def render(y0: int, y1: int) -> npt.NDArray[np.float32]:
            with self._watched():
                return heads.render(y0, y1)

        return replace(heads, render=render)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.spent_s += time.perf_counter() - begun


class _Driver:
    """Asks a GPU's driver now and then which share of the time something was computed."""

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._process: subprocess.Popen[str] | None = None
        self.busy_share: float | None = None

    def __enter__(self) -> Self:
        program = shutil.which("nvidia-smi")
        if self._device.type == "cuda" and program:
            asked = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
            # The driver's numbers are not torch's where CUDA_VISIBLE_DEVICES chooses.
            gpu = torch.cuda.get_device_properties(self._device).uuid
            often = [f"--id=GPU-{gpu}", f"--loop-ms={_ASKED_EVERY_MS}"]
            self._process = subprocess.Popen([program, *asked, *often], stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            answers = self._process.communicate()[0].split()
            percents = [int(answer) for answer in answers if answer.isdigit()]
            self.busy_share = float(np.mean(percents)) / 100 if percents else None


def throughput_table(device: str, runs: tuple[Throughput, ...]) -> Table:
    rows = tuple(
        (
            run.model,
            run.precision,
            f"{run.side} x {run.side}",
            str(run.batch),
            f"{run.tiles_per_s:.3g}",
            f"{run.peak_share:.0%}",
        )
        for run in runs
    )
    head = ("model", "precision", "tile", "best batch", "tiles/s", "of the peak")
    note = "Wall clock, all threads. Peak: as many operations in one product of large matrices there."
    return Table(f"Tiles per second on {device}", head, rows, note)


def occupation_table(device: str, runs: tuple[Occupation, ...]) -> Table:
    rows = tuple(
        (
            run.model,
            run.precision,
            f"{run.side} x {run.side}",
            str(run.tiles),
            seconds(run.wall_s),
            f"{run.engine_s / run.wall_s:.0%}",
            "-" if run.busy_share is None else f"{run.busy_share:.0%}",
        )
        for run in runs
    )
    head = ("model", "precision", "image", "tiles", "all", "in the engine", "GPU busy")
    note = "From grey values to measured objects. GPU busy: as its driver says, every 0.2 s."
    return Table(f"One image on {device}", head, rows, note)
