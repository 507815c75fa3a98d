"""The fuzzing of the frames' decoder: it sends damage, and notices a model that is another."""

from __future__ import annotations

import fuzz_frames
import numpy as np
import pytest
from fuzz_frames import fuzz


def test_damaged_frames_come_out_as_the_model_has_them() -> None:
    facts = fuzz(frames=400, seed=0)
    assert facts["sent"] == 400
    assert 250 < facts["damaged_before"] < 390
    assert 100 < facts["flagged"] < facts["came"] <= 500


def test_pixels_that_differ_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = fuzz_frames.check.__globals__["reconstruct"]
    monkeypatch.setitem(fuzz_frames.check.__globals__, "reconstruct", lambda *given: model(*given) ^ np.uint8(1))
    with pytest.raises(AssertionError, match="seed 0"):
        fuzz(frames=20, seed=0)
