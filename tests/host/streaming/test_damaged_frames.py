"""A damaged frame is named by its place in the batch that its user gave, however that was cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitswath
from bitswath.accelerator import Accelerator
from bitswath.bundle.bundle import Bundle
from bitswath.errors import CodecError, FrameError, InputError
from tests.compressed_cases import bundle_of, dense, frames_of


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return bundle_of(dense((16, 20, 2)), tmp_path)


@pytest.mark.parametrize("number", [0, 3, 4, 10])
def test_in_one_batch(bundle: Bundle, number: int) -> None:
    frames = frames_of(bundle, 11, 5)
    wrong = frames.copy()
    wrong[number, 3] ^= 2
    accelerator: Accelerator
    with bitswath.open(bundle, "emulator", chunk=4) as accelerator:
        with pytest.raises(FrameError, match=f"frame {number}: it is damaged") as found:
            accelerator.classify_frames(wrong)
        assert isinstance(found.value, CodecError) and isinstance(found.value, InputError)
        assert found.value.frame == number
        assert len(accelerator.classify_frames(frames)) == 11


def test_in_a_stream(bundle: Bundle) -> None:
    frames = frames_of(bundle, 22, 6)
    batches = [frames[:11], frames[11:].copy()]
    batches[1][7, 4] ^= 2
    accelerator: Accelerator
    with bitswath.open(bundle, "emulator", chunk=4) as accelerator, accelerator.stream_frames(batches) as stream:
        logits = next(iter(stream)).logits
        assert logits is not None and len(logits) == 11
        with pytest.raises(FrameError, match="frame 7: it is damaged"):
            next(iter(stream))
    assert np.isfinite(logits).all()
