"""Writes the examples beside it, out of one real job: `python openapi/examples/make_examples.py URL`.

The service at URL segments a phantom; what names the machine it runs on is replaced.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import tifffile

from training.phantoms import make_phantom

_HERE = Path(__file__).parent
_PARAMS = {"min_size": 50, "fill_holes_in_segmentation": True}
_TAGS = {"sample_id": "S-17"}
_WORKER = "lab-cpu-1-8efa84f0"
_PLATFORM = "Linux-6.1.0-x86_64-with-glibc2.36"


def _write(name: str, value: Any) -> None:  # a body as any client sees it
    (_HERE / name).write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _create(http: httpx.Client, image: bytes, params: Mapping[str, object]) -> httpx.Response:
    parts: dict[str, tuple[str | None, bytes | str]] = {
        "image": ("cell.tif", image),
        "model": (None, "mitonet"),
        "params": (None, json.dumps(params)),
        "tags": (None, json.dumps(_TAGS)),
    }
    return http.post("/v1/jobs", files=parts)


def _phantom() -> bytes:
    phantom = make_phantom(7, (256, 256), 12.0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cell.tif"
        per_micrometre = 1000 / phantom.pixel_size_nm
        tifffile.imwrite(
            path,
            phantom.image,
            imagej=True,
            resolution=(per_micrometre, per_micrometre),
            metadata={"axes": "YX", "unit": "um"},
        )
        return path.read_bytes()


def main(url: str) -> None:
    image = _phantom()
    with httpx.Client(base_url=url, timeout=60) as http:
        _write("params.json", _PARAMS)
        _write("problem.json", _create(http, image, {"confidence_thr": 2, "min_size": -1}).json())
        queued = _create(http, image, _PARAMS).raise_for_status().json()
        _write("job-queued.json", queued)
        path = queued["links"]["self"]
        _write("job.json", http.get(path, headers={"Prefer": "wait=60"}).raise_for_status().json())
        _write("objects.json", http.get(f"{path}/objects").raise_for_status().json())
        provenance = http.get(f"{path}/provenance").raise_for_status().json()
        provenance["software"]["platform"] = _PLATFORM
        _write("provenance.json", provenance)
        model = http.get("/v1/models/mitonet").raise_for_status().json()
        for resident in model["residents"]:
            resident["worker"] = _WORKER
        _write("model.json", model)


if __name__ == "__main__":
    main(sys.argv[1])
