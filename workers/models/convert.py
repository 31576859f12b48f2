"""`python -m workers.models.convert FILE OUT` makes weights that emserve loads of a file that torch wrote.

FILE is a TorchScript archive or a checkpoint, OUT becomes a safetensors file. What was found is printed as
JSON (`Conversion`). What cannot be converted ends it with EX_DATAERR and one line on stderr.
"""

import os
import sys
from pathlib import Path

from emserve.errors import EmserveError
from emserve.installer.conversion import Conversion
from workers.models.checkpoint import read_tensors
from workers.models.recognise import recognise
from workers.models.registry import build_outline
from workers.models.released import from_released
from workers.models.weights import save


def convert(source: Path, out: Path) -> Conversion:
    """Writes the network in `source`, folded, as float32, to `out`.

    Raises what `read_tensors`, `recognise` and `from_released` raise, and WeightsUnwritable.
    """
    tensors = read_tensors(source)
    found = recognise(tensors)
    network = from_released(build_outline(found.architecture, found.config), tensors)
    return Conversion(
        architecture=found.architecture,
        architecture_config=found.config,
        channels=found.channels,
        fused=found.fused,
        sha256=save(network, out, "fp32"),
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
    sys.stdout.write(conversion.model_dump_json())


if __name__ == "__main__":
    main()
