"""Dense packer kernel: the frames of `bitswath.pack`, each filled up to whole words with zeros."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.codecs.packing import pack
from tests.rtl.simulate import FULL_RATE, random_integers, simulate, to_beats

CASES = [
    # SIMD, bits, codes a frame, word
    (3, 4, 8 * 8 * 3, 64),
    (1, 1, 45, 32),  # a frame ends inside a word
    (13, 7, 13 * 20, 32),  # several words a beat, no common divisor
    (4, 8, 4 * 30, 32),  # a beat is a word
    (5, 5, 35, 128),  # a frame's last beat reaches into a further word
]


@pytest.mark.parametrize(("simd", "bits", "frame_codes", "width"), CASES)
def test_gives_packed_frames(seed: int, simd: int, bits: int, frame_codes: int, width: int) -> None:
    frames = max(3, 1200 // frame_codes)
    codes = random_integers(np.random.default_rng(seed), bits, False, (frames, frame_codes)).astype(np.uint8)
    dense = pack(codes, bits)
    filled = np.pad(dense, ((0, 0), (0, -dense.shape[1] % (width // 8)))).reshape(-1, width // 8)
    expected = [int.from_bytes(word.tobytes(), "little") for word in filled]
    parameters = {"SIMD": simd, "BITS": bits, "FRAME_CODES": frame_codes, "OUT_WIDTH": width}
    beats = to_beats(codes.reshape(-1, simd), bits)
    for run in simulate("dense_pack", parameters, {"s_axis": [beats]}, {"m_axis": [len(expected)]}, seed=seed):
        assert run.beats["m_axis"][0] == expected, run.scenario.name
        if run.scenario is FULL_RATE and simd * bits <= width:
            assert run.span("s_axis") <= len(beats) + frames
        elif run.scenario is FULL_RATE:
            assert run.span("m_axis") == len(expected)
