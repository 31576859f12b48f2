"""`python -m workers.models.convert FILE OUT` makes weights that emserve loads of a file that torch wrote.

FILE is a TorchScript archive or a checkpoint, OUT becomes a safetensors file. What was found is printed as
JSON (`Conversion`). What cannot be converted ends it with EX_DATAERR and one line on stderr.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emserve.errors import EmserveError
from workers.models.checkpoint import read_tensors
from workers.models.recognise import Recognised, recognise
from workers.models.registry import build_outline
from workers.models.released import from_released
from workers.models.weights import save


@dataclass(frozen=True)
class Conversion:
    """What a file held."""

    architecture: str
    architecture_config: dict[str, Any]  # the fields differ from one architecture to the next
    channels: int
    """Of its semantic output: 1, or one per class and one for the background."""
    fused: bool
    parameters: int
    """How many numbers the network has, BatchNorm folded in."""
    sha256: str
    """Of the file that was written."""


def convert(source: Path, out: Path) -> Conversion:
    """Writes the network in `source`, folded, as float32, to `out`.

    Raises what `read_tensors`, `recognise` and `from_released` raise, and WeightsUnwritable.
    """
    tensors = read_tensors(source)
    found: Recognised = recognise(tensors)
    network = from_released(build_outline(found.architecture, found.config), tensors)
    sha256 = save(network, out, "fp32")
    return Conversion(
        architecture=found.architecture,
        architecture_config=found.config,
        channels=found.channels,
        fused=found.fused,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        sha256=sha256,
    )


def main() -> None:
    try:
        conversion = convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except EmserveError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(os.EX_DATAERR)
    except OSError as error:
        sys.stderr.write(f"{error.filename or sys.argv[1]}: {error.strerror}\n")
        sys.exit(os.EX_DATAERR)
    sys.stdout.write(json.dumps(asdict(conversion)))


if __name__ == "__main__":
    main()
