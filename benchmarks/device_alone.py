"""`python -m benchmarks.device_alone --device cuda:0`: tiles per second, and how busy an image keeps it."""

import os

from benchmarks.surroundings import AS_IN_SERVICE

# Before numpy and torch are loaded. Torch has all cores here, as a worker on its own has.
os.environ.update({name: value for name, value in AS_IN_SERVICE.items() if name != "OMP_NUM_THREADS"})

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.__main__ import drawn
from benchmarks.throughput import (
    measure_occupation,
    measure_throughput,
    occupation_table,
    throughput_table,
)
from emserve.cards import Catalogue
from workers.devices import devices
from workers.models.ready import DTYPES

_FOLDER = Path(__file__).parent / "results"
_MODELS = ("mitonet@1", "mitonet-mini@1", "nucleonet@2", "dropnet@1", "mitonet@starter")


def main(
    device: Annotated[str, typer.Option(help="cpu, cuda:0, …; without it the first there is")] = "",
    side: Annotated[int, typer.Option(help="Of the image that is segmented, in pixels")] = 16384,
    models: Annotated[
        Path, typer.Option(help="Folder of pulled models; the image is segmented by those that are there")
    ] = Path("data/models"),
) -> None:
    """Measures every network in both precisions on one device."""
    console, device = Console(width=120), device or devices()[0]
    catalogue, runs, images = Catalogue(models), [], []
    for model in _MODELS:
        card = catalogue.find(model)
        weights = catalogue.weights(card)
        for precision in DTYPES:
            console.print(f"{model} in {precision}")
            runs.append(measure_throughput(model, device, precision))
            if weights is not None:
                images.append(measure_occupation(card, weights, device, precision, side, _FOLDER))
    console.print(drawn(throughput_table(device, tuple(runs))))
    console.print(drawn(occupation_table(device, tuple(images))))


if __name__ == "__main__":
    typer.run(main)
