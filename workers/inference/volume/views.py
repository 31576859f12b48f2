"""Views: the slices of a plane and what the network says of them, inferred once and kept in the ledger."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from workers.inference.engine import Engine
from workers.inference.maps import Look
from workers.inference.pipeline import Request2D, choose_look
from workers.inference.preprocess import GreyValues
from workers.inference.rows import ArrayRows, Workspace
from workers.inference.volume.inference import Inference, OnSlices
from workers.inference.volume.ledger import Ledger
from workers.inference.volume.median import RecursiveMedian
from workers.inference.volume.plane import Plane
from workers.inference.volume.ranges import Keys, Range, cut
from workers.inference.volume.record import DamagedRecord, RangeRecord, SliceRecord
from workers.inference.volume.request import Request3D
from workers.inference.volume.steps import Steps

log = logging.getLogger(__name__)


class Recorder:
    """Infers ranges of slices, unless the ledger has them."""

    def __init__(self, request: Request3D, engine: Engine, workspace: Workspace, ledger: Ledger) -> None:
        self.request, self.engine, self.ledger = request, engine, ledger
        self.inference = Inference(request.source, request.params, engine, workspace)


class View:
    """One plane of a volume."""

    def __init__(self, plane: Plane, recorder: Recorder, values: GreyValues) -> None:
        self.plane = plane
        self._recorder = recorder
        self._wanted = self._look = _choose_look(plane, recorder, values)
        self._keys = Keys(recorder.request, self._wanted)

    @property
    def slices(self) -> int:
        return self.plane.slices(self._recorder.request.source.shape)

    @property
    def smaller(self) -> Look | None:
        """The look that the device had memory for, where it is not the one that was wanted."""
        return None if self._look == self._wanted else self._look

    def infer(self, steps: Steps) -> None:
        """Sees to it that the ledger has every range."""
        for part in self._ranges():
            record = self._noted(part)
            if record is None:
                record = self._infer(part, steps.add)
            else:
                steps.add(part.end - part.begin)
            # Where memory was short it stays so: the next range does not begin by running out of it.
            cut_to = replace(self._look.cut, tile=record.tile)
            self._look = replace(self._look, cut=cut_to, batch=record.batch)

    def records(self) -> Iterator[tuple[SliceRecord, int]]:
        """Each slice's record and the pixels per point of its grid, in order."""
        for part in self._ranges():
            record = self._noted(part) or self._infer(part, _count_nothing)
            for each in record.slices:
                yield each, record.scale

    def filtered(self, median_slices: int) -> Iterator[tuple[SliceRecord, int]]:
        """The same after the median over neighbouring slices."""
        median, scale = RecursiveMedian(median_slices), 1
        for record, scale in self.records():
            for each in median.push(record):
                yield each, scale
        for each in median.end():
            yield each, scale

    def _ranges(self) -> Iterator[Range]:
        request = self._recorder.request
        return cut(self.plane, request.source.shape, self._wanted.batch, request.range_pixels)

    def _noted(self, part: Range) -> RangeRecord | None:
        """What the ledger has of a range; None where it has nothing, or nothing that can be read."""
        key = self._keys.of(part)
        entry = self._recorder.ledger.load(key)
        if entry is None:
            return None
        try:
            return RangeRecord.from_bytes(entry)
        except DamagedRecord as error:  # as a power cut leaves it; the range is inferred again
            log.warning("a note of finished slices is damaged", extra={"note": key, "reason": str(error)})
            return None

    def _infer(self, part: Range, on_slices: OnSlices) -> RangeRecord:
        inference = self._recorder.inference
        record = inference.records(part.plane, part.begin, part.end, self._look, on_slices)
        self._recorder.ledger.save(self._keys.of(part), record.to_bytes())
        return record


def _count_nothing(_slices: int) -> None:
    """For slices that count as inferred: their notes got lost."""


def _choose_look(plane: Plane, recorder: Recorder, values: GreyValues) -> Look:
    request = recorder.request
    image = ArrayRows(request.source.planes(plane.axis, 0, 1)[0])  # stands for all
    asked = Request2D(image, plane.pixel_size(request.voxel_size_nm), request.params, request.card)
    look = choose_look(asked, image, values, recorder.engine)
    return replace(look, probabilities=True)
