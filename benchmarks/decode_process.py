"""Decodes an image file and prints what memory and time it took.

`python -m benchmarks.decode_process IMAGE OUT.npy`, with JSON on the last line: so that what is measured is
one image in a fresh process and nothing else.
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.resident import peak_bytes
from emserve.jobs import ImageSource
from workers.images.decode import decode


def main(path: Path, out: Path) -> None:
    idle, started = peak_bytes(), time.process_time()
    with path.open("rb") as file:
        decode(file, ImageSource(), out)
    report = {"idle_bytes": idle, "peak_bytes": peak_bytes(), "cpu_s": time.process_time() - started}
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
