"""One run of all measurements."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.agreement import Agreement, measure_agreement
from benchmarks.alternation import Alternation, measure_alternation
from benchmarks.beyond_memory import Beyond, measure_beyond
from benchmarks.decoding import KINDS, Decoding, measure_decoding
from benchmarks.forward import MODES, Forward, measure_forward
from benchmarks.measures import Measures
from benchmarks.measures import compare as compare_measures
from benchmarks.memory import Peak, measure_peak
from benchmarks.peer import Peer, PeerMissing
from benchmarks.plan import Plan
from benchmarks.post_processing import PostProcessing
from benchmarks.post_processing import compare as compare_post_processing
from benchmarks.results import Machine, Results
from benchmarks.scaling import Cost, measure_cost
from benchmarks.tracking import Consensus, Matching, measure_consensus, measure_matching
from benchmarks.volumes import Stack, measure_stack

_MATCHED_SLICES = 16

T = TypeVar("T")
OnStep = Callable[[str], None]
"""Called with what is measured next."""


class Run:
    """Measures what a plan says; files that are needed meanwhile lie in `folder`."""

    def __init__(self, plan: Plan, folder: Path, on_step: OnStep) -> None:
        self._plan, self._folder, self._on_step = plan, folder, on_step
        self._peer_faults: list[str] = []

    def results(self, *, with_peer: bool = True) -> Results:
        peer, missing = self.peer() if with_peer else (None, "The peer was not asked for.")
        return Results(
            machine=Machine.here(),
            post_processing=tuple(self._post_processing(peer)),
            measures=tuple(self._measures()),
            costs=tuple(self._costs()),
            peaks=tuple(self._peaks()),
            decodings=tuple(self._decodings()),
            alternations=(self._alternation(),),
            forward=tuple(self._forward()),
            agreement=self._agreement(),
            stacks=tuple(self.stacks()),
            beyond=tuple(self.beyond()),
            matchings=tuple(self.matchings(peer)),
            consensuses=tuple(self.consensuses(peer)),
            peer_missing=" ".join(filter(None, [missing, *self._peer_faults])),
        )

    def peer(self) -> tuple[Peer | None, str]:
        """The peer, or why it is not there."""
        self._on_step("installing empanada-dl beside")
        try:
            return Peer.install(self._folder / "peer-venv"), ""
        except PeerMissing as reason:
            return None, str(reason)

    def _post_processing(self, peer: Peer | None) -> list[PostProcessing]:
        plan, runs = self._plan, []
        for centres in (*plan.centres, *plan.centres_alone):
            self._on_step(f"grouping and merging with {centres} centres")
            compared = peer if centres in plan.centres else None
            runs.append(self._beside(compared, partial(compare_post_processing, plan.scene, centres)))
        return runs

    def _beside(self, peer: Peer | None, measure: Callable[[Peer | None], T]) -> T:
        """What is measured beside the peer, or alone where it stops: that costs no other measurement."""
        try:
            return measure(peer)
        except PeerMissing as reason:
            self._peer_faults.append(f"{reason}.")
            return measure(None)

    def _measures(self) -> list[Measures]:
        runs = []
        for objects in self._plan.measured_objects:
            self._on_step(f"measures of {objects} objects")
            runs.append(compare_measures(objects))
        return runs

    def _costs(self) -> list[Cost]:
        plan, costs = self._plan, []
        for times in plan.repeats:
            self._on_step(f"cost at {plan.tile * times} x {plan.tile * times}")
            costs.append(measure_cost(plan.tile, plan.tile_centres, times))
        return costs

    def _peaks(self) -> list[Peak]:
        plan, peaks = self._plan, []
        for side in plan.memory_sides:
            self._on_step(f"memory at {side} x {side}")
            peaks.append(measure_peak(side, plan.memory_tile, self._folder))
        return peaks

    def _decodings(self) -> list[Decoding]:
        runs = []
        for side in self._plan.decoded_sides:
            for kind in KINDS:
                self._on_step(f"decoding {kind} of {side} x {side}")
                runs.append(measure_decoding(kind, side, self._folder))
        return runs

    def _alternation(self) -> Alternation:
        plan = self._plan
        self._on_step(f"{plan.alternating_jobs} jobs over three models")
        return measure_alternation(plan.alternating_jobs, plan.alternating_models, self._folder)

    def _forward(self) -> list[Forward]:
        runs = []
        for model in self._plan.models:
            self._on_step(f"forward pass of {model}")
            runs += [
                measure_forward(model, side, mode, self._plan.forward_seconds, self._plan.floor_matrix)
                for side in self._plan.forward_sides
                for mode in MODES
            ]
        return runs

    def _agreement(self) -> tuple[Agreement, ...]:
        self._on_step("agreement of bf16")
        return (measure_agreement(self._plan.agreement_images),)

    def stacks(self) -> Iterator[Stack]:
        for slices in self._plan.stack_slices:
            self._on_step(f"a stack of {slices} slices")
            yield measure_stack(slices, self._plan.stack_side, self._folder)

    def beyond(self) -> list[Beyond]:
        runs = []
        for slices, side in self._plan.beyond:
            self._on_step(f"a volume larger than memory: {slices} x {side} x {side}")
            runs.append(measure_beyond(slices, side, self._folder))
        return runs

    def matchings(self, peer: Peer | None) -> list[Matching]:
        runs = []
        for objects in self._plan.matched_objects:
            self._on_step(f"matching {objects} objects from slice to slice")
            alone = partial(measure_matching, self._plan.stack_side, objects, _MATCHED_SLICES)
            runs.append(self._beside(peer, alone))
        return runs

    def consensuses(self, peer: Peer | None) -> list[Consensus]:
        runs = []
        for side, objects in self._plan.consensus:
            self._on_step(f"consensus of three views with {objects} objects")
            runs.append(self._beside(peer, partial(measure_consensus, side, objects)))
        return runs
