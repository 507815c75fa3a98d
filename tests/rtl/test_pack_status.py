"""Packed results with a status in the last byte of each frame."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.codecs.packing import pack
from tests.rtl.simulate import FULL_RATE, random_integers, simulate, to_beats

CASES = [
    # SIMD, bits, codes a frame, word
    (1, 5, 10, 64),  # room in the only word
    (3, 7, 9, 64),  # 63 bits: a word for the status alone
    (4, 8, 16, 64),  # words are full
    (2, 7, 8, 64),  # 56 bits: just room
    (1, 6, 45, 32),
    (5, 5, 35, 8),  # words of a byte
]


@pytest.mark.parametrize(("simd", "bits", "frame_codes", "width"), CASES)
def test_the_last_byte_is_the_status(seed: int, simd: int, bits: int, frame_codes: int, width: int) -> None:
    random, frames = np.random.default_rng(seed), max(3, 300 // frame_codes)
    codes = random_integers(random, bits, False, (frames, frame_codes)).astype(np.uint8)
    status = random.integers(0, 2, frames)
    dense = pack(codes, bits)
    size = -(-(frame_codes * bits + 8) // width) * width // 8
    filled = np.pad(dense, ((0, 0), (0, size - dense.shape[1])))
    filled[:, -1] += status.astype(np.uint8)
    expected = [int.from_bytes(word.tobytes(), "little") for word in filled.reshape(-1, width // 8)]
    parameters = {"SIMD": simd, "BITS": bits, "FRAME_CODES": frame_codes, "OUT_WIDTH": width}
    beats = to_beats(codes.reshape(-1, simd), bits)
    sources = {"s_axis": [beats], "status_axis": [status.tolist()]}
    for run in simulate("pack_status", parameters, sources, {"m_axis": [len(expected)]}, seed=seed):
        assert run.beats["m_axis"][0] == expected, run.scenario.name
        if run.scenario is FULL_RATE:
            assert run.span("s_axis") <= max(len(beats), len(expected)) + 2 * frames
