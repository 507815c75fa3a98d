"""Requantizing kernel: counts thresholds as one by one, by lines that are off by one here and there."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.hw.units.lines import fit_lines
from tests.rtl.simulate import FULL_RATE, from_beats, random_integers, simulate, to_beats

CASES = [
    # channels, PE, bits, signed, thresholds, base, apart at least, off their line
    (4, 2, 12, True, 31, -16, 3, True),
    (3, 1, 10, False, 255, 0, 2, True),
    (2, 2, 20, True, 255, -128, 900, True),
    (5, 1, 9, True, 7, 3, 1, False),
]


@pytest.mark.parametrize(("channels", "pe", "bits", "signed", "count", "base", "apart", "off"), CASES)
def test_counts_every_threshold(
    seed: int, channels: int, pe: int, bits: int, signed: bool, count: int, base: int, apart: float, off: bool
) -> None:
    random = np.random.default_rng(seed)
    x = random_integers(random, bits, signed, (80, channels))
    lo = -(1 << (bits - 1)) if signed else 0
    slopes, starts = random.uniform(apart, 1.5 * apart, (channels, 1)), random.uniform(-40 * apart, 0, (channels, 1))
    rows = np.ceil(slopes * np.arange(count) + starts).astype(np.int64)
    rows += random.integers(0, 2, rows.shape) * off
    rows[:, 1:] = np.maximum(rows[:, 1:], rows[:, :-1])
    near = random.random(x.shape) < 0.5  # where a wrong line would show
    x = np.where(
        near, np.clip(rows[np.arange(channels), random.integers(0, count, x.shape)] - near, lo, lo + (1 << bits) - 1), x
    )
    lines = fit_lines(rows, np.full(channels, lo), np.full(channels, lo + (1 << bits) - 1))
    assert lines is not None
    fold, gain_bits, offset_bits = channels // pe, lines.gain_bits, lines.offset_bits
    mask = (1 << offset_bits) - 1
    words = [(int(o) & mask) << gain_bits | int(g) for g, o in zip(lines.gains, lines.offsets)]
    wide = gain_bits + offset_bits
    beats = [sum(word << (p * wide) for p, word in enumerate(words[f * pe : (f + 1) * pe])) for f in range(fold)]
    size = 1 << count.bit_length()
    padded = np.pad(lines.exceptions, ((0, 0), (0, size - count - 1)))
    files = {"lines.hex": "".join(f"{beat:x}\n" for beat in beats)}
    files |= {f"t{p}.hex": "".join(f"{entry:x}\n" for entry in padded[p::pe].flat) for p in range(pe)}
    parameters: dict[str, int | str] = {"PE": pe, "FOLD": fold, "BITS": bits, "SIGNED": int(signed)}
    parameters |= {"GAIN_BITS": gain_bits, "OFFSET_BITS": offset_bits, "SHIFT": lines.shift, "COUNT": count}
    parameters |= {"M_BITS": 10, "BASE": base, "INIT_FILE": "lines.hex", "TABLE_PREFIX": "t"}
    parameters["EXCEPTIONS"] = int(lines.exceptions.any())
    sent = to_beats(x.reshape(-1, pe), bits)
    expected = base + (x[..., np.newaxis] >= rows).sum(-1)
    for run in simulate("requantize", parameters, {"s_axis": [sent]}, {"m_axis": [len(sent)]}, seed=seed, files=files):
        y = from_beats(run.beats["m_axis"][0], pe, 10, True)
        np.testing.assert_array_equal(y.reshape(-1, channels), expected, err_msg=run.scenario.name)
        if run.scenario is FULL_RATE:
            assert run.span() == len(sent)
