"""`python -m workers.devices` prints the devices of this machine as JSON: CUDA devices, else the CPU."""

import json
import sys

import torch


def devices() -> list[str]:
    """Names that a worker's --device takes."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [f"cuda:{index}" for index in range(count)] or ["cpu"]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(devices()))
