"""Where memory is short the tile shrinks, and the job goes on and says so; a large image takes little more
memory than a small one. In processes of their own: neither a limit on the address space nor a peak can be
taken back."""

import os
import subprocess
import sys

import pytest

_BEGIN = """
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

def run(image, **params):
    with tempfile.TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        request = Request2D(ArrayRows(image), None, Parameters(**params), card)
        return segment(request, engine, workspace, lambda *_: None)
"""

_LIMITED = """
image = large_image(2048)
run(image[:256, :256], tile_size=0)  # what libraries allocate once is there
used = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), -1))
found = run(image, tile_size=0)
print(found.labels.count > 0, [warning.code for warning in found.warnings])
"""


_LARGER = """
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10

image = large_image(1024)
larger = image.repeat(8, axis=0).repeat(8, axis=1)
run(image)  # the network sees as much
before = peak()
found = run(larger, downsampling=8)
print(found.labels.count > 20, found.warnings, peak() - before)
"""

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")


def _printed(script: str) -> str:
    process = subprocess.run(
        [sys.executable, "-c", _BEGIN + script],
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 20)},  # freed blocks go back, and count no more
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


@needs_linux
def test_a_tile_that_does_not_fit_is_halved_until_it_does() -> None:
    assert _printed(_LIMITED) == "True ['low-device-memory']"


@needs_linux
def test_a_large_image_of_which_the_network_sees_little_is_never_whole_in_memory() -> None:
    told, megabytes = _printed(_LARGER).rsplit(maxsplit=1)
    assert told == "True ()"
    assert int(megabytes) < 150  # its class map takes 268 MB in float32
