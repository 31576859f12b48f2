"""Where memory is short the tile shrinks, and the job goes on and says so. In a process of its own: a limit
on the address space cannot be taken back."""

import os
import subprocess
import sys

import pytest

_SCRIPT = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np, psutil, torch
from emserve.cards import Catalogue
from emserve.params import Parameters
from tests.pictures import large_image
from workers.inference.engine import Engine
from workers.inference.pipeline import Request2D, segment
from workers.inference.rows import ArrayRows, Workspace
from workers.models.weights import load_card

torch.set_num_threads(1)
catalogue = Catalogue(Path("no such folder"))
card = catalogue.runnable("mitonet@starter")
engine = Engine(load_card(card, catalogue.weights(card)))
image = large_image(int(sys.argv[1]))

def run(side):
    with tempfile.TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        request = Request2D(ArrayRows(image[:side, :side]), None, Parameters(tile_size=0), card)
        return segment(request, engine, workspace, lambda *_: None)

run(256)  # what libraries allocate once is there
used = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]), -1))
found = run(len(image))
print(found.labels.count > 0, [warning.code for warning in found.warnings])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_a_tile_that_does_not_fit_is_halved_until_it_does() -> None:
    process = subprocess.run(
        [sys.executable, "-c", _SCRIPT, "2048", str(200 << 20)],
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 20)},  # freed blocks go back, and count no more
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.strip() == "True ['low-device-memory']"
