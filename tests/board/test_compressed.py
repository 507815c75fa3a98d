"""Compressed frames through pynq and two DMA engines: decoded in the fabric, each told whether it was whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bitswath
from bitswath.backends.base import Packing
from bitswath.bundle.bundle import load_bundle
from bitswath.errors import FrameError
from bitswath.simulated import simulate_board
from tests.board.boards import BUILDS
from tests.board.builds import COMPRESSED
from tests.compressed_cases import BUDGET, frames_of, smooth


@pytest.fixture
def bundle() -> Path:
    return BUILDS / COMPRESSED


def test_a_board_answers_as_the_emulator_does_and_moves_the_bytes_of_frames(bundle: Path) -> None:
    patches = smooth(40, 3)
    with (
        simulate_board(bundle, memory_bytes=1 << 20, stall=0.1) as board,
        bitswath.open(bundle, "emulator") as emulator,
    ):
        options = {"bitstream": board.bitstream, "frames_per_transfer": 8}
        with bitswath.open(bundle, "pynq", **options) as accelerator:
            assert accelerator.backend.packing == Packing(8, compressed=True, word_bytes=8)
            with accelerator.stream([patches[:25], patches[25:]]) as stream:
                logits = np.concatenate([result.logits for result in stream])
            sizes = accelerator.backend.packing.link_bytes(accelerator.encode(patches))
            assert stream.counters.link_bytes == sizes.sum() < 40 * BUDGET
        np.testing.assert_array_equal(logits, emulator.classify(patches).logits)


def test_a_damaged_frame_is_an_error_and_the_next_batch_is_right(bundle: Path) -> None:
    loaded = load_bundle(bundle)
    frames = frames_of(loaded, 12, 4)
    wrong = frames.copy()
    wrong[7, 9] ^= 16
    with simulate_board(bundle, memory_bytes=1 << 20) as board, bitswath.open(bundle, "emulator") as emulator:
        with bitswath.open(bundle, "pynq", bitstream=board.bitstream, frames_per_transfer=5) as accelerator:
            with pytest.raises(FrameError, match="frame 7: it is damaged"):
                accelerator.classify_frames(wrong)
            logits = accelerator.classify_frames(frames).logits
        np.testing.assert_array_equal(logits, emulator.classify_frames(frames).logits)
