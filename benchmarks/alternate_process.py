"""Runs jobs over three models in turn, with room for two, and prints the memory after each.

`python -m benchmarks.alternate_process JOBS FOLDER MODEL...`, with JSON on the last line. Weights are random;
they and the shelf are as in a worker, which loads a model anew for each of these jobs.
"""

import itertools
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import torch

from emserve.cards import Catalogue, ModelCard
from emserve.params import Parameters
from training.phantoms import make_phantom
from workers.inference.engine import Engine
from workers.inference.pipeline import Request2D, segment
from workers.inference.rows import ArrayRows, Workspace
from workers.models.fold import fold
from workers.models.registry import build
from workers.models.shelf import Shelf
from workers.models.weights import save

_SIDE = 128
_SLACK = 1.05  # the shelf counts a network before BatchNorm is folded, which is a little more


def main(jobs: int, folder: Path, models: list[str]) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)
    cards = [_stored(folder, number, model) for number, model in enumerate(models)]
    sizes = sorted(path.stat().st_size for path in folder.glob("*.safetensors"))
    evicted: list[str] = []
    shelf = Shelf("cpu", int(_SLACK * sum(sizes[-2:])), on_eviction=evicted.append)
    image = ArrayRows(make_phantom(1, (_SIDE, _SIDE), 16.0).image)
    resident = []
    for card in itertools.islice(itertools.cycle(cards), jobs):
        engine = Engine(shelf.get(card, folder / f"{card.id}.safetensors"))
        request = Request2D(image, None, Parameters(semantic_only=True), card)
        with TemporaryDirectory() as scratch, Workspace(Path(scratch)) as workspace:
            segment(request, engine, workspace, lambda *_: None)
        resident.append(psutil.Process().memory_info().rss)
    loads = [warm.load_seconds for warm in shelf.residents()]
    report = {
        "resident_bytes": resident,
        "evictions": len(evicted),
        "load_s": sum(loads) / len(loads),
        "cpu_s": time.process_time(),
    }
    sys.stdout.write(json.dumps(report) + "\n")


def _stored(folder: Path, number: int, model: str) -> ModelCard:
    """A model of this form with weights of its own."""
    card = Catalogue(Path("no folder of models")).find(model)
    card = card.model_copy(update={"name": f"model-{number}"})
    network = fold(build(card.architecture, card.architecture_config))
    sha256 = save(network, folder / f"{card.id}.safetensors", "fp32")
    return card.model_copy(update={"weights_sha256": sha256})


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
