"""The decoder with its side band as a stream: a status a frame, and the next frame's pixels wait for it."""

from __future__ import annotations

import numpy as np

from bitswath.backends.base import Packing
from bitswath.builds.words import compressed_words
from bitswath.hw.units.frames import frame_memories
from tests.compressed_cases import codec_of, smooth
from tests.rtl.simulate import FULL_RATE, fields, simulate

FRAMES, SHAPE, WORD = 6, (16, 20, 2), 4


def test_a_status_follows_each_frames_pixels(seed: int) -> None:
    codec = codec_of(SHAPE[2], 120)
    frames = codec.encode_packed(smooth(FRAMES, seed % 1000, SHAPE))
    frames[1::2, 3] ^= 1  # its check: such frames have no levels
    frames[4, 4] ^= 128
    pixels, faults = codec.unpack_sound(frames, SHAPE)
    pixels[faults > 0] = 128
    parameters = {
        "WORD_BITS": 8 * WORD,
        "MAX_BYTES": 120,
        "BANDS": SHAPE[2],
        "HEIGHT": SHAPE[0],
        "WIDTH": SHAPE[1],
        "SIMD": 2,
        "SEED": fields([codec.seed], 16),
        "DELTAS": fields([delta & 63 for delta in codec.deltas], 6),
        "MATRIX": fields([value & 0xFFFF for row in codec.matrix for value in row], 16),
    }
    tables = (codec.ac_counts, codec.ac_symbols, codec.contexts, codec.dc_counts, codec.dc_symbols)
    files = {f"frames_{name}": text for name, text in frame_memories(*tables).items()}
    words = compressed_words(frames, WORD)
    assert words.counts.sum() * WORD == Packing(8, compressed=True, word_bytes=WORD).link_bytes(frames).sum()
    beats = pixels.reshape(-1, 2).view("<u2").reshape(-1).tolist()
    sources = {"s_axis": [words.data.view("<u4").tolist()]}
    sinks = {"m_axis": [len(beats)], "status_axis": [FRAMES]}
    size = len(beats) // FRAMES
    for run in simulate("decode_link", parameters, sources, sinks, seed=seed, files=files, limit=100_000):
        np.testing.assert_array_equal(run.beats["m_axis"][0], beats, err_msg=run.scenario.name)
        assert run.beats["status_axis"][0] == (faults > 0).astype(int).tolist()
        given, taken = np.array(run.cycles["m_axis"][0]), np.array(run.cycles["status_axis"][0])
        assert (given[size - 1 :: size] < taken).all()
        assert (taken[:-1] < given[size::size]).all()
        if run.scenario is FULL_RATE:
            assert np.diff(given[size - 1 :: size]).max() <= 2 * 256 * SHAPE[2]
