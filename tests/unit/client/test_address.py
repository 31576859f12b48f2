"""Where the client looks for the service."""

import pytest

from emserve.client.address import choose_url, is_local
from emserve.client.errors import BadAddress


def test_the_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMSERVE_URL", "http://lab:9000")
    assert choose_url("http://here:1/") == "http://here:1"


def test_the_environment_wins_over_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMSERVE_URL", "https://lab/em/")
    assert choose_url() == "https://lab/em"


def test_without_either_it_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMSERVE_URL", raising=False)
    assert choose_url() == "http://127.0.0.1:8000"


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://lab", "http://", "http://lab:port", "http://[::1"])
def test_what_is_no_address_is_refused_by_name(url: str) -> None:
    with pytest.raises(BadAddress, match="looks like http://127"):
        choose_url(url)


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMSERVE_URL", "lab:9000")
    with pytest.raises(BadAddress, match="in EMSERVE_URL"):
        choose_url()


def test_only_this_machine_is_local() -> None:
    assert is_local("http://127.0.0.1:8000")
    assert is_local("http://[::1]:8000")
    assert not is_local("http://lab:8000")
