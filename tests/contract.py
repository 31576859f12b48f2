"""The whole contract, tried with generated requests against a running service (schemathesis).

Requests that fit the served OpenAPI document and requests that do not, for every operation, with ids of
jobs that exist and of none, with images that can run and with any bytes. Whatever the answer, the document
must know it: its status, its media type, its headers, its body. A server error is always a fault.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, CheckFunction, GenerationMode
from schemathesis.checks import negative_data_rejection, positive_data_acceptance, response_schema_conformance
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

Json = Any  # an OpenAPI document, free-form by nature
Operation = APIOperation[Any, Any, Any, Any]  # the kinds of its parameters are schemathesis's own affair
AnyCase = Case[Operation]

_BATCH = 9  # cases of one operation in a row
_SECONDS = 90  # for one answer: the longest wait that a request may ask for, and some
# No schema can say which bytes are an image, or which model is installed; so neither that what fits is
# accepted, nor that a case with an image put into it ought to be refused.
_UNFIT = [positive_data_acceptance]
_UNFIT_WITH_IMAGE = [*_UNFIT, negative_data_rejection]
_SETTINGS = settings(
    max_examples=_BATCH,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
_MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@dataclass
class Examination:
    """What came of it."""

    cases: int = 0
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """How often each operation answered with each status."""
    faults: dict[str, str] = field(default_factory=dict)
    """The first of each kind of fault: what is wrong, and a curl that shows it."""

    def report(self) -> str:
        """All faults, for a person."""
        return "\n\n".join(f"{name}\n{text}" for name, text in self.faults.items())


@dataclass(frozen=True)
class Sample:
    """What requests may name so that they are not all refused."""

    values: Mapping[str, Sequence[str]]
    """Of parameters in paths: names of what is there."""
    image: bytes
    """One that a model can run on."""
    spare: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """The same of operations, such as "DELETE /v1/jobs/{job_id}", that use up what they name."""


class _Examiner:
    """Sends the cases and keeps the findings."""

    def __init__(self, session: requests.Session, sample: Sample) -> None:
        self.found = Examination()
        self._session = session
        self._sample = sample
        self._exhausted: set[tuple[str, GenerationMode]] = set()

    def look_at(self, operation: Operation, mode: GenerationMode, number: int) -> None:
        """A batch of cases of one operation, fewer where there are no more; `number` is their seed."""
        if (operation.label, mode) in self._exhausted:
            return
        fits = mode is GenerationMode.POSITIVE
        known = self._known(operation, number) if fits else None

        @seed(number)
        @_SETTINGS
        @given(operation.as_strategy(generation_mode=mode, path_parameters=known))
        def send(case: AnyCase) -> None:
            if fits and number % 2:
                self._put_image(case)
                self._send(case, _UNFIT_WITH_IMAGE)
            else:
                self._send(case, _UNFIT)

        try:
            send()
        except Unsatisfiable:  # an operation that takes nothing cannot be asked wrongly
            self._exhausted.add((operation.label, mode))

    def _known(self, operation: Operation, number: int) -> dict[str, str] | None:
        """Values of the path that are there; every third batch goes without."""
        if number % 3 == 0:
            return None
        sample = self._sample.spare.get(operation.label, self._sample.values)
        return {
            name: values[number // 3 % len(values)]
            for name, values in sample.items()
            if f"{{{name}}}" in operation.path
        }

    def _put_image(self, case: AnyCase) -> None:
        """Puts a real image where any bytes are."""
        if isinstance(case.body, dict) and "image" in case.body:
            body: Any = {**case.body, "image": self._sample.image, "model": "mitonet"}
            case.body = body
        elif case.media_type in ("application/octet-stream", "image/*"):
            case.body = self._sample.image
            case.query = {**case.query, "model": "mitonet", "params": "{}", "tags": "{}"}

    def _send(self, case: AnyCase, unfit: list[CheckFunction]) -> None:
        self.found.cases += 1
        response = case.call(session=self._session, timeout=_SECONDS)
        self.found.answers[case.operation.label, response.status_code] += 1
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            unfit = [*unfit, response_schema_conformance]  # a part of JSON cannot be read as JSON
        try:
            case.validate_response(response, excluded_checks=unfit)
        except FailureGroup as group:
            for fault in group.exceptions:
                name = f"{case.operation.label} {response.status_code} {type(fault).__name__}"
                self.found.faults.setdefault(name, str(group))


def examine(
    url: str, cases: int, sample: Sample, first_seed: int = 1, document: Json | None = None
) -> Examination:
    """Sends at least `cases` generated requests to the service at `url` and compares its answers with
    `document`, the OpenAPI document that it serves unless another is given.

    The same seed makes the same requests, apart from the ids of jobs.
    """
    with requests.Session() as session:
        session.trust_env = False  # no proxy lies between
        served = session.get(f"{url}/openapi.json", timeout=_SECONDS).json()
        schema = schemathesis.openapi.from_dict(document or served)
        schema.config.update(base_url=url)
        operations = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
        examiner = _Examiner(session, sample)
        batches = (
            (number, operation, mode)
            for number in itertools.count(first_seed)
            for operation in operations
            for mode in _MODES
        )
        for number, operation, mode in batches:
            if number > first_seed and examiner.found.cases >= cases:
                break  # not before each operation had its turn
            examiner.look_at(operation, mode, number)
        return examiner.found
