"""Take kernels: beats left out, put in between, repeated and reordered, frame after frame, whatever stalls."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pytest

from bitswath.hw.units.takes import ring_of
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
    # which of six beats, or the constant
    [5, 4, 3, 2, 1, 0],
    [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5],
    [0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5],
    [-1, 0, 2, 4, -1, 1, 3, 5],
    [2, 1],
    [0, 0],
    [-1, 5, 0, -1],
]


@pytest.mark.parametrize("order", ORDERS)
def test_beats_come_in_any_order(seed: int, order: list[int]) -> None:
    ring = ring_of(np.array(order), 6)
    offset_bits, drop_bits = ring.bits
    words = ((fill << offset_bits | offset) << drop_bits | drop for fill, offset, drop in ring.entries.tolist())
    sizes = {"DEPTH": ring.depth, "ENTRIES": len(ring.entries), "OFFSET_BITS": offset_bits, "DROP_BITS": drop_bits}
    runs = streamed("take_ring", order, 6, "".join(f"{word:x}\n" for word in words), sizes, seed)
    full = next(run for run in runs if run.scenario is FULL_RATE)
    out = full.cycles["m_axis"][0]
    assert (out[-1] - out[len(order) - 1]) / (FRAMES - 1) <= max(6, len(order))


def test_a_ring_is_as_deep_as_its_order_needs() -> None:
    pixels = np.arange(32 * 32).reshape(32, 32)
    nearest = ring_of(pixels.repeat(3, 0).repeat(3, 1).reshape(-1), 1024)
    assert 32 <= nearest.depth <= 64
    assert len(nearest.entries) == 3 * 3 * 32  # three rows, again and again
    assert ring_of(pixels.T.reshape(-1), 1024).depth <= 2048
