"""The peer: empanada-dl, the program that the released models were made for, as a process of its own.

It is under the GPL, so it lives in a virtual environment that is made here on wish, and nothing of it is
in this repository. It shares torch with our environment by a path file, not by a second copy.
"""

import json
import subprocess
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.scenes import Scene

_PACKAGES = (
    ["--no-deps", "empanada-dl==0.1.7"],
    # Its consensus does not compile with numba 0.61 and later. Ours stay where they are.
    ["--ignore-installed", "numba==0.59.1", "numpy==1.26.4", "tqdm"],
)
_PROGRAM = Path(__file__).with_name("peer_process.py")
_MATCHING_PROGRAM = Path(__file__).with_name("peer_matching_process.py")
_CONSENSUS_PROGRAM = Path(__file__).with_name("peer_consensus_process.py")
_INSTALL_SECONDS, _RUN_SECONDS = 600, 3600
_MOST_CENTRES = 500


class PeerMissing(Exception):
    """The peer cannot be installed here, or gave no result."""


@dataclass(frozen=True)
class PeerRun:
    """Processor seconds of each step on one thread, and what came out.

    The peer goes over the whole image for every 20 centres when it groups, and for every centre when it
    merges, so of many centres it is given the first 500, and the seconds of these two steps are multiplied.
    """

    centres_s: float
    grouping_s: float
    merging_s: float
    connecting_s: float
    labels: npt.NDArray[np.int64] | None
    """(H, W) 0 and the objects, in no particular order; None if some centres were left out."""


@dataclass(frozen=True)
class PeerMatching:
    """Processor seconds per slice of each step on one thread, and how many objects it found."""

    runs_s: float
    forward_s: float
    backward_s: float
    objects: int


@dataclass(frozen=True)
class PeerConsensus:
    """Processor seconds on one thread, and how many objects were agreed on."""

    consensus_s: float
    objects: int


class Peer:
    """The peer in its virtual environment."""

    def __init__(self, folder: Path) -> None:
        self._python = folder / "bin" / "python"

    @classmethod
    def install(cls, folder: Path) -> "Peer":
        """Makes the environment in `folder`, once. Raises PeerMissing with the reason."""
        peer, ready = cls(folder), folder / ".ready"
        if ready.exists():
            return peer
        try:
            venv.create(folder, with_pip=True, clear=True)
        except (subprocess.CalledProcessError, OSError) as error:
            raise PeerMissing(f"empanada-dl got no virtual environment: {error}") from error
        ours = sysconfig.get_paths()["purelib"]
        theirs = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})["purelib"]
        (Path(theirs) / "beside.pth").write_text(ours + "\n")
        for package in _PACKAGES:
            peer._run(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", *package], folder)
        peer._run(["-c", "import empanada.inference.postprocess, empanada.consensus"], folder)
        ready.touch()
        return peer

    def _run(self, arguments: list[str], folder: Path) -> None:
        command = [str(self._python), *arguments]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise PeerMissing(f"empanada-dl could not be installed: {error}") from error
        if done.returncode:
            raise PeerMissing(f"empanada-dl could not be installed: {_last_line(done.stderr)}")

    def segment(self, scene: Scene) -> PeerRun:
        """Runs the peer's post-processing on a scene, in a fresh process with one thread."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            for key in ("classes", "heat", "offsets"):
                np.save(folder / f"{key}.npy", getattr(scene, key))
            measured = self._report(_PROGRAM, folder, str(_MOST_CENTRES))
            times = max(1, measured["found"] / _MOST_CENTRES)
            return PeerRun(
                centres_s=measured["centres_s"],
                grouping_s=times * measured["grouping_s"],
                merging_s=times * measured["merging_s"],
                connecting_s=measured["connecting_s"],
                labels=np.load(folder / "labels.npy") if times == 1 else None,
            )

    def match(self, stack: npt.NDArray[np.uint32]) -> PeerMatching:
        """Runs the peer's matching on slices (n, H, W) of labels, in a fresh process with one thread."""
        with TemporaryDirectory() as name:
            np.save(Path(name) / "stack.npy", stack)
            return PeerMatching(**self._report(_MATCHING_PROGRAM, Path(name)))

    def agree(self, views: npt.NDArray[np.uint32]) -> PeerConsensus:
        """Runs the peer's consensus of three volumes (3, Z, Y, X) of labels, in a fresh process with one
        thread."""
        with TemporaryDirectory() as name:
            np.save(Path(name) / "views.npy", views)
            return PeerConsensus(**self._report(_CONSENSUS_PROGRAM, Path(name)))

    def _report(self, program: Path, folder: Path, *rest: str) -> dict[str, Any]:  # values of JSON
        command = [str(self._python), str(program), str(folder), *rest]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise PeerMissing(f"empanada-dl took more than {_RUN_SECONDS} s") from error
        if done.returncode:
            raise PeerMissing(f"empanada-dl stopped ({done.returncode}): {_last_line(done.stderr)}")
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return report


def _last_line(said: str) -> str:
    return (said.strip() or "no reason given").splitlines()[-1]
