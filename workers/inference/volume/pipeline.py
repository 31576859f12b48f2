"""The story of one volume: from grey values to a label map and a table of its objects."""

from workers.inference.engine import Engine
from workers.inference.pipeline import OnProgress
from workers.inference.rows import Workspace
from workers.inference.volume.ledger import Ledger
from workers.inference.volume.request import Request3D, Segmentation3D


def segment_volume(
    request: Request3D, engine: Engine, workspace: Workspace, ledger: Ledger, on_progress: OnProgress
) -> Segmentation3D:
    """Segments one volume.

    Inference of a range of slices is kept in `ledger`; where it was finished before, it is not repeated.
    `on_progress` hears of each slice, in the stages INFER, GROUP and TRACK, in this order.

    Raises ImageValues for NaN and infinite grey values, OutOfMemory where even small tiles are too much for
    the device, and OSError where the workspace is full.
    """
    raise NotImplementedError
