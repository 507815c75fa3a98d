"""Take kernels: beats left out, put in between, repeated and reordered, frame after frame, whatever stalls."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pytest

from tests.rtl.simulate import FULL_RATE, Run, from_beats, random_integers, simulate, to_beats

FRAMES = 4
FILL = -3

RUNS = [
    # beats of a frame that pass, in order; -1: the constant
    [0, 1, 2, 3],
    [2, 3, 5],
    [-1, -1, 0, 1, -1, 2, 4, -1, -1, -1],
    [-1, 5],
    [0, -1],
]
PASS, LEAVE_OUT, FILL_BEGUN, FILL_ANY = range(4)


def streamed(
    kernel: str, order: Sequence[int], beats: int, files: str, parameters: dict[str, int], seed: int
) -> list[Run]:
    """Random frames of so many beats; checks every beat that comes out."""
    random, pe, bits, signed, out_bits = np.random.default_rng(seed), 2, 3, seed % 2 == 1, 5
    x = random_integers(random, bits, signed, (FRAMES, beats, pe))
    expected = np.where(np.array(order)[:, None] < 0, FILL, x[:, order])
    given: dict[str, int | str] = {"PE": pe, "BITS": bits, "SIGNED": int(signed), "M_BITS": out_bits, "FILL": FILL}
    given |= {**parameters, "INIT_FILE": "order.hex"}
    sources = {"s_axis": [to_beats(x.reshape(-1, pe), bits)]}
    runs = simulate(kernel, given, sources, {"m_axis": [FRAMES * len(order)]}, seed=seed, files={"order.hex": files})
    for run in runs:
        y = from_beats(run.beats["m_axis"][0], pe, out_bits, True)
        np.testing.assert_array_equal(y.reshape(expected.shape), expected, err_msg=run.scenario.name)
    return runs


@pytest.mark.parametrize("order", RUNS)
def test_beats_pass_are_left_out_and_put_in_between(seed: int, order: list[int]) -> None:
    kinds, at = list[int](), 0
    for beat in order:
        if beat < 0:
            kinds.append(FILL_ANY if at else FILL_BEGUN)
        else:
            kinds += [LEAVE_OUT] * (beat - at) + [PASS]
            at = beat + 1
    kinds += [LEAVE_OUT] * (6 - at)
    lengths = [(kind, len(list(run))) for kind, run in groupby(kinds)]
    text = "".join(f"{kind << 3 | length - 1:x}\n" for kind, length in lengths)
    runs = streamed("take_runs", order, 6, text, {"RUNS": len(lengths), "LENGTH_BITS": 3}, seed)
    full = next(run for run in runs if run.scenario is FULL_RATE)
    assert full.span("s_axis") <= FRAMES * len(kinds)


ORDERS = [
    [0],
    [5, 4, 3, 2, 1, 0],
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
    [-1, 0, 2, 4, -1, 1, 3, 5],
    [2, 1],
    [-1, 5, 0, -1],
]


@pytest.mark.parametrize("order", ORDERS)
def test_beats_come_in_any_order(seed: int, order: list[int]) -> None:
    beats = max(order) + 1 if max(order) != 2 else 6
    width = max(beats - 1, 1).bit_length()
    text = "".join(f"{(1 << width) if beat < 0 else beat:x}\n" for beat in order)
    runs = streamed("take_frame", order, beats, text, {"IN_BEATS": beats, "OUT_BEATS": len(order)}, seed)
    full = next(run for run in runs if run.scenario is FULL_RATE)
    out = full.cycles["m_axis"][0]
    interval = (out[-1] - out[len(order) - 1]) / (FRAMES - 1)
    assert interval <= max(beats, len(order)) + (2 if beats < 4 else 0)
