"""The fuzz itself, shortly: all kinds of answers come, and it notices a server that fails."""

from __future__ import annotations

import pytest
from fuzz_serve import fuzz

from bitswath.serving.http import app


def test_wrong_requests_are_refused_and_good_ones_answered() -> None:
    facts = fuzz(1500, seed=7, sockets=0.2)
    assert {"200", "400", "404", "405", "413"} <= set(facts["answered"])
    assert sum(facts["answered"].values()) == 1500


def test_a_server_that_fails_on_a_request_is_noticed_and_its_log_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "read_request", lambda *arguments: {}["nothing"])
    with pytest.raises(AssertionError, match=r"seed \d+: .*status 500"):
        fuzz(20, seed=1, sockets=0.0)
    assert "KeyError: 'nothing'" in caplog.text
