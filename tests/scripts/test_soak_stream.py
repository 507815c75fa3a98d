"""The soak itself: its devices do fail, and it notices what it is there to notice."""

from __future__ import annotations

import numpy as np
import pytest
import soak_stream
from soak_stream import FaultyEmulator, numbering, soak

from bitswath.backends.base import Ticket
from bitswath.streaming.lane import Values


def test_frames_survive_faults() -> None:
    facts = soak(frames=200_000, devices=2, share=0.05, seed=1)
    assert facts["frames"] == 200_000
    assert facts["faults"] >= facts["resets"] > 3
    assert facts["threads_left"] == 0


def test_a_frame_too_few_or_out_of_order_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Swapping(FaultyEmulator):
        def collect(self, ticket: Ticket, timeout_s: float | None = None) -> Values:
            values = super().collect(ticket, timeout_s)
            return values[::-1] if len(values) == soak_stream.CHUNK else values

    monkeypatch.setattr(soak_stream, "FaultyEmulator", Swapping)
    with pytest.raises(ValueError, match="another one came"):
        soak(frames=50_000, devices=1, share=0.0, seed=1)


def test_the_network_gives_back_the_number_of_a_frame() -> None:
    device = FaultyEmulator(numbering(), 0.0, 0)
    (batch,) = soak_stream._batches(0, 1, 0)
    assert batch.shape == (1, 1, 1, soak_stream.DIGITS)
    codes = np.array([[7, 11, 0, 0, 0, 0, 1]], np.uint8).reshape(1, 1, 1, 7)
    values = device.collect(device.submit(soak_stream.pack(codes, 4)))
    assert values.tolist() == [[7 + 11 * 16 + 16**6]]
    device.close()
