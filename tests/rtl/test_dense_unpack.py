"""Dense unpacker kernel: the codes that `bitswath.pack` packed, frame by frame, without a lost cycle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.codecs.packing import pack
from tests.rtl.simulate import FULL_RATE, from_beats, random_integers, simulate

CASES = [
    # word, SIMD, bits, codes a frame
    (64, 3, 4, 8 * 8 * 3),  # a beat is no part of a word
    (32, 1, 1, 45),  # many beats a word, a frame ends inside a word
    (32, 27, 8, 27 * 7),  # several words a beat
    (128, 13, 7, 13 * 20),  # no common divisor
    (512, 3, 4, 3 * 100),  # the widest word
    (32, 4, 8, 4 * 30),  # a beat is a word
    (64, 8, 2, 8 * 25),  # beats divide words
    (32, 6, 3, 6),  # a frame of one beat
    (32, 5, 7, 35),  # a frame's last word has a few bits
]


def words(codes: NDArray[np.uint8], bits: int, width: int) -> list[int]:
    """Packed frames, each filled up to whole words."""
    frames = pack(codes, bits)
    fill = -frames.shape[1] % (width // 8)
    random_fill = np.random.default_rng(0).integers(0, 256, (len(frames), fill), np.uint8)
    stream = np.concatenate([frames, random_fill], axis=1).reshape(-1, width // 8)
    return [int.from_bytes(word.tobytes(), "little") for word in stream]


@pytest.mark.parametrize(("width", "simd", "bits", "frame_codes"), CASES)
def test_gives_the_codes_that_were_packed(seed: int, width: int, simd: int, bits: int, frame_codes: int) -> None:
    frames = max(3, 1200 // frame_codes)
    codes = random_integers(np.random.default_rng(seed), bits, False, (frames, frame_codes)).astype(np.uint8)
    parameters = {"IN_WIDTH": width, "SIMD": simd, "BITS": bits, "FRAME_CODES": frame_codes}
    beats, expected = words(codes, bits, width), codes.reshape(-1, simd)
    assert len(beats) == frames * -(-frame_codes * bits // width)
    for run in simulate("dense_unpack", parameters, {"s_axis": [beats]}, {"m_axis": [len(expected)]}, seed=seed):
        y = from_beats(run.beats["m_axis"][0], simd, bits, False)
        np.testing.assert_array_equal(y, expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE and simd * bits <= width and frame_codes * bits >= width:
            assert run.span("m_axis") == len(expected)
        elif run.scenario is FULL_RATE:
            assert run.span("s_axis") == len(beats)
