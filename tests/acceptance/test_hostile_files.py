"""Hostile files through HTTP: refused, or failed by their sender's fault, at no cost for anybody else."""

from collections.abc import Iterator

import httpx
import pytest

from benchmarks.resident import peak_bytes
from tests import hostile, hostile_volumes
from tests.acceptance.exchange import Json, ended, post, refused, run
from tests.pictures import phantom, tiff
from tests.running_service import RunningService, running_service

_FILES = {**hostile.FILES, **hostile_volumes.FILES}
_BAD_VOLUMES: dict[str, tuple[str, tuple[str, ...]]] = {
    "slices without one": ("unsuitable-image", ("number 3 is missing",)),
    "slices of two sizes": ("unsuitable-image", ("'cell_2.tif'", "20 x 32", "32 x 32")),
    "slices of two data types": ("unsuitable-image", ("'cell_2.tif'", "int16", "uint8")),
    "pages of two sizes": ("unsuitable-image", ("32 x 32 uint8", "20 x 32 uint8")),
    "pages of two data types": ("unsuitable-image", ("32 x 32 uint8", "32 x 32 int16")),
    "zip of nothing": ("unsuitable-image", ("no file",)),
    "zip cut off": ("unreadable-image", ("cut off", "Send the whole file")),
    "zip in a zip": ("unsuitable-image", ("'1.tif'", "a zip again")),
    "zip out of its folder": ("unreadable-image", ("'../cell_4.tif'", "leads out")),
    "zip of an absolute name": ("unreadable-image", ("'/etc/cell_4.tif'", "leads out")),
    "zip with a link": ("unreadable-image", ("'cell_4.tif'", "link")),
    "zip bomb of slices": ("unreadable-image", ("'1.tif'", str(1 << 27), "bomb")),
    "zarr without a chunk": ("unreadable-image", ("lacks chunks", "0/c/0/0/0", "write_empty_chunks")),
    "zarr of a billion a side": ("unreadable-image", ("lacks chunks",)),
    "zarr of huge chunks": ("unsuitable-image", (f"{1 << 20} x {1 << 20}", "smaller chunks")),
    "zarr of negative sides": ("unreadable-image", ("-3 x 32 x 32",)),
    "zarr of an unknown codec": ("unsuitable-image", ("'acme'", "zstd")),
    "zarr of pickled objects": ("unsuitable-image", ("'numcodecs.pickle'", "zstd")),
    "zarr without axes": ("unsuitable-image", ("3 x 32 x 32", "The file says ???", "`axes`")),
    "zarr of too many axes": ("unreadable-image", ("5 axes", "t, c, z, y, x", "3")),
    "zarr of axes in another order": ("unsuitable-image", ("YXZ", "ZYX")),
    "zarr of axes that nobody knows": ("unsuitable-image", ("The file says ??Z", "`axes`")),
    "zarr of an array outside": ("unreadable-image", ("'cell.zarr/../../0'",)),
    "zarr of several channels and times": (
        "unsuitable-image",
        ("3 channels and 2 times", '{"channel": 0, "time": 0}'),
    ),
    "stack of several channels and times": (
        "unsuitable-image",
        ("3 channels and 2 times", '{"channel": 0, "time": 0}'),
    ),
    "stack of several times": ("unsuitable-image", ("2 times", '{"time": 0}')),
    "stack of doubles": ("unsuitable-image", ("float64", "float32")),
}
"""What is said of each: the problem, and words that name the value, the limit or the remedy."""
_MUTATIONS = 60
_API_BYTES = 300e6
_SETTINGS = {
    "EMSERVE_DECODE_MEMORY_BYTES": str(1 << 30),
    "EMSERVE_DECODE_SECONDS": "10",
    "EMSERVE_WARM_MODELS": '["mitonet"]',
}


@pytest.fixture(scope="module")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("besieged") / "data", settings=_SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def http(besieged: RunningService) -> Iterator[httpx.Client]:
    with besieged.client() as client:
        yield client


@pytest.fixture(scope="module")
def worker_child(besieged: RunningService) -> int:
    """The worker's process before anything hostile came."""
    return besieged.child().pid


def _outcomes(http: httpx.Client, files: dict[str, bytes]) -> dict[str, httpx.Response | Json]:
    """The refusal, or the ended job, of each file; all are sent before any end is waited for."""
    answers = {name: post(http, value) for name, value in files.items()}
    return {
        name: ended(http, answer.json()) if answer.status_code == 202 else answer
        for name, answer in answers.items()
    }


@pytest.fixture(scope="module")
def outcomes(http: httpx.Client, worker_child: int) -> dict[str, httpx.Response | Json]:  # noqa: ARG001 - before
    return _outcomes(http, {name: make() for name, make in _FILES.items()})


def _assert_refused(response: httpx.Response) -> None:
    assert response.status_code in (415, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["kind"] == "user"
    assert len(problem["detail"]) > 40


def _assert_blameless(outcome: httpx.Response | Json) -> None:
    """Whatever came of it, the service has no fault in it."""
    if isinstance(outcome, httpx.Response):
        _assert_refused(outcome)
    elif outcome["status"] == "failed":
        assert outcome["error"]["kind"] == "user", outcome
        assert outcome["attempt"] == 1
        assert len(outcome["error"]["detail"]) > 40
    else:
        assert outcome["status"] == "succeeded", outcome


@pytest.mark.parametrize("name", [*hostile.REFUSED, *hostile_volumes.REFUSED])
def test_what_cannot_be_an_image_is_refused(outcomes: dict[str, httpx.Response | Json], name: str) -> None:
    outcome = outcomes[name]
    assert isinstance(outcome, httpx.Response), outcome
    _assert_refused(outcome)


@pytest.mark.parametrize("name", _BAD_VOLUMES)
def test_a_bad_volume_is_refused_by_name_before_any_work(
    outcomes: dict[str, httpx.Response | Json], name: str
) -> None:
    slug, words = _BAD_VOLUMES[name]
    refused(outcomes[name], 422, slug, *words)


@pytest.mark.parametrize("name", [*hostile.SUSPECT, *hostile_volumes.SUSPECT])
def test_what_lies_is_refused_or_fails_by_its_own_fault(
    outcomes: dict[str, httpx.Response | Json], name: str
) -> None:
    _assert_blameless(outcomes[name])


@pytest.mark.parametrize("name", hostile.BOMBS)
def test_a_bomb_hurts_nobody(outcomes: dict[str, httpx.Response | Json], name: str) -> None:
    _assert_blameless(outcomes[name])


def test_a_dead_decoder_is_the_senders_fault_and_not_tried_again(
    outcomes: dict[str, httpx.Response | Json],
) -> None:
    job = outcomes["jpeg bomb in a tiff"]
    assert not isinstance(job, httpx.Response), job.text
    assert (job["status"], job["attempt"], job["error"]["kind"]) == ("failed", 1, "user")
    assert job["error"]["type"] == "urn:emserve:problem:unreadable-image"
    assert f"{1 << 30} bytes of memory" in job["error"]["detail"]
    assert "EMSERVE_DECODE_MEMORY_BYTES" in job["error"]["detail"]


@pytest.mark.parametrize(
    "name", ["jpeg with a hole", "jpeg with a hole in a tiff", "jpeg of more rows than there are"]
)
def test_pixels_that_a_jpeg_lacks_are_not_made_up(
    outcomes: dict[str, httpx.Response | Json], name: str
) -> None:
    job = outcomes[name]
    assert not isinstance(job, httpx.Response), job.text
    assert (job["status"], job["attempt"]) == ("failed", 1)
    assert job["error"]["type"] == "urn:emserve:problem:unreadable-image"
    assert "damaged, save it again" in job["error"]["detail"]


def test_mutated_files_are_never_the_services_fault(http: httpx.Client) -> None:
    for name, outcome in _outcomes(http, dict(hostile.first(1, _MUTATIONS))).items():
        print(name)  # noqa: T201 - pytest shows which one it was
        _assert_blameless(outcome)


@pytest.mark.usefixtures("outcomes")
def test_the_next_good_image_is_segmented_by_the_same_worker(
    besieged: RunningService, http: httpx.Client, worker_child: int
) -> None:
    run(http, tiff(phantom().image))
    assert besieged.child().pid == worker_child


@pytest.mark.usefixtures("outcomes")
def test_the_front_end_stays_small(besieged: RunningService) -> None:
    assert peak_bytes(besieged.part("api").pid) < _API_BYTES


def test_the_same_seed_gives_the_same_mutations() -> None:
    assert hostile.first(7, 50) == hostile.first(7, 50)
    assert hostile.first(7, 50) != hostile.first(8, 50)
