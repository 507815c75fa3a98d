"""The soak of the server itself, shortly: devices fail, clients misbehave, and a wrong answer is noticed."""

from __future__ import annotations

import pytest
import soak_serve
from soak_serve import Counted, soak

from bitswath.backends.base import Ticket
from bitswath.streaming.lane import Values


def test_requests_survive_faults_changes_and_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak_serve, "CHANGE_EVERY_S", 0.7)
    monkeypatch.setattr(soak_serve, "MISBEHAVING", 0.03)
    facts = soak(800, devices=2, share=0.01, seed=1)
    assert sum(facts["answered"].values()) == 800
    assert facts["faults"] > 3 and facts["bundles"] > 0
    assert facts["answered"]["200"] > 400 and facts["answered"]["left"] > 3


def test_a_wrong_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Swapping(Counted):
        def collect(self, ticket: Ticket, timeout_s: float | None = None) -> Values:
            return super().collect(ticket, timeout_s)[::-1]

    monkeypatch.setattr(soak_serve, "Counted", Swapping)
    with pytest.raises(AssertionError, match="numbers"):
        soak(300, devices=1, share=0.0, seed=1)
