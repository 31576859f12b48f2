"""What a suggested command needs to reach the same service."""

import pytest

from emserve.cli.client_options import url_hint


def test_the_usual_address_needs_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMSERVE_URL", raising=False)
    assert url_hint("http://127.0.0.1:8000") == ""
    assert url_hint("http://lab:9000") == " --url http://lab:9000"


@pytest.mark.parametrize("variable", ["http://other", "no address"])
def test_an_address_beside_the_environments_does(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv("EMSERVE_URL", variable)
    assert url_hint("http://lab:9000") == " --url http://lab:9000"
