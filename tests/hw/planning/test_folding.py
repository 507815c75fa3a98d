"""Foldings are fast enough, fit, and leave no choice out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from bitswath.errors import BuildError
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.folding import evaluate, find_folding, find_plan, match_plan
from bitswath.hw.planning.plan import Plan, edges, plan
from bitswath.hw.units import Window
from bitswath.network.network import INPUT, Conv, Dense, MaxPool, Network, TensorSpec, Threshold

BOARD = find_board("Pynq-Z2")
PIXELS = 16 * 16


@pytest.fixture(scope="module")
def hardware() -> Plan:
    return planned(1)


def planned(pixels: int) -> Plan:
    rng = np.random.default_rng(1)
    stages = (
        Conv("c", (INPUT,), rng.integers(-7, 8, (8, 3, 3, 3)), pads=(1, 1, 1, 1)),
        Threshold("t", ("c",), np.sort(rng.integers(-99, 99, (8, 15)), axis=1)),
        MaxPool("m", ("t",), (2, 2), (2, 2)),
        Dense("d", ("m",), rng.integers(-7, 8, (10, 512))),
    )
    return plan(Network(TensorSpec((16, 16, 3), 0, 15), stages), 4, 64, pixels=pixels)


@pytest.mark.parametrize("cycles", [PIXELS * 216, 20000, 5000, 1000])
def test_a_folding_meets_its_target_and_is_allowed(hardware: Plan, cycles: int) -> None:
    fit = find_folding(hardware, BOARD, margin=0.1, cycles=cycles)
    assert fit.cycles <= cycles
    assert evaluate(hardware, BOARD, fit.foldings) == fit
    for unit in hardware.units:
        assert all(fit.foldings[unit.name][key] in allowed for key, allowed in unit.choices().items())


def test_faster_never_needs_a_smaller_share_of_the_board(hardware: Plan) -> None:
    fits = [find_folding(hardware, BOARD, margin=0.1, cycles=cycles) for cycles in (50000, 10000, 2000, 600)]
    shares = [max(fit.cost.usage(BOARD).values()) for fit in fits]
    assert all(slow <= fast * 1.01 for slow, fast in pairwise(shares))


def test_without_a_target_the_board_sets_the_limit(hardware: Plan) -> None:
    fit = find_folding(hardware, BOARD, margin=0.1)
    assert fit.cost.fits(BOARD, 0.1)
    fewest = max(
        min(unit.cycles(dict(zip(unit.choices(), values))) for values in product(*unit.choices().values()))
        for unit in hardware.units
    )
    assert fit.cycles >= fewest
    assert fit.proved_cycles is not None
    assert fewest <= fit.proved_cycles <= fit.cycles
    assert fit.gap is not None
    assert 0 <= fit.gap < 0.05


@pytest.mark.parametrize(("cycles", "pixels"), [(2 * PIXELS, 1), (PIXELS // 2 + 40, 2), (PIXELS // 4 + 40, 4)])
def test_no_more_pixels_abreast_than_the_target_takes(cycles: int, pixels: int) -> None:
    hardware, fit = find_plan(planned, (1, 2, 4), find_board("U250"), margin=0.1, cycles=cycles)
    assert (fit.pixels, fit.cycles <= cycles) == (pixels, True)
    assert fit.foldings.keys() == {unit.name for unit in hardware.units}


def test_without_a_target_pixels_come_abreast_where_the_board_has_room() -> None:
    boards = BOARD, replace(BOARD, regions=(replace(BOARD.regions[0], lut=6000, dsp=20),))
    large, small = (find_plan(planned, (1, 2, 4), board, margin=0.1)[1] for board in boards)
    assert (large.pixels, small.pixels) == (4, 1)
    assert large.cycles < PIXELS / 3


def test_rows_that_are_no_whole_beats_come_in_smaller_ones() -> None:
    assert [planned(pixels).pixels for pixels in range(1, 9)] == [1, 2, 2, 4, 4, 4, 4, 8]
    assert find_plan(planned, (3,), BOARD, margin=0.1, cycles=PIXELS)[1].pixels == 2


def test_windows_inside_an_image_come_abreast_as_well() -> None:
    """64 columns give 62 windows, which are no whole beats of 4, and those 60."""
    rng = np.random.default_rng(1)
    stages = (
        Conv("c", (INPUT,), rng.integers(-1, 2, (2, 3, 3, 1))),
        Threshold("s", ("c",), np.zeros((1, 1), np.int64), base=-1, step=2),
        Conv("d", ("s",), rng.integers(-1, 2, (2, 3, 3, 2))),
        MaxPool("m", ("d",), (2, 2), (2, 2), (1, 1, 1, 1)),
    )
    network = Network(TensorSpec((64, 64, 1), 0, 1), stages)
    hardware, fit = find_plan(lambda pixels: plan(network, 1, 64, pixels=pixels), (4,), find_board("U250"), margin=0.1)
    assert fit.cycles < 64 * 64 / 2 + 64
    assert [sum(type(unit).__name__ == kind for unit in hardware.units) for kind in ("LineWindows", "Window")] == [3, 0]


def test_a_folding_by_hand_says_by_its_units_how_many_pixels_come_abreast() -> None:
    hardware, fit = find_plan(planned, (4,), BOARD, margin=0.1)
    matched, again = match_plan(planned, (1, 2, 4), BOARD, fit.foldings)
    assert (matched.pixels, again) == (hardware.pixels, fit) == (4, fit)
    with pytest.raises(BuildError, match="no unit is called 'other'; units are c_matvec, c_pad"):
        match_plan(planned, (1, 2, 4), BOARD, {"other": {"PE": 1}})


def test_a_target_beyond_the_most_pixels_says_what_can_be_reached() -> None:
    with pytest.raises(BuildError, match=r"^40 cycles a frame cannot be reached, \d+ is the fewest"):
        find_plan(planned, (1, 2, 4), find_board("U250"), margin=0.1, cycles=40)


def test_what_does_not_fit_is_not_taken() -> None:
    """A part of a twentieth of the LUTs is slower, and what is below its speed really does not fit."""
    rng = np.random.default_rng(5)
    stages = (Conv("c", (INPUT,), rng.integers(-7, 8, (8, 3, 3, 3)), pads=(1, 1, 1, 1)),)
    hardware = plan(Network(TensorSpec((16, 16, 3), 0, 15), stages), 4, 64)
    small = replace(BOARD, regions=(replace(BOARD.regions[0], lut=2600, dsp=12),))
    fit = find_folding(hardware, small, margin=0.1)
    assert fit.cost.fits(small, 0.1)
    assert fit.proved_cycles == fit.cycles > find_folding(hardware, BOARD, margin=0.1).cycles
    with pytest.raises(BuildError, match="too small"):
        find_folding(hardware, small, margin=0.1, cycles=fit.cycles - 1)


def test_depthwise_windows_give_what_the_unit_behind_takes(hardware: Plan) -> None:
    fit = find_folding(hardware, BOARD, margin=0.1, cycles=3000)
    pairs = [(a, b) for a, _, b in edges(hardware) if isinstance(a, Window) and a.depthwise]
    assert pairs
    for window, pool in pairs:
        assert fit.foldings[window.name]["SIMD"] == fit.foldings[pool.name]["PE"]


def test_a_target_out_of_reach_says_what_can_be_reached(hardware: Plan) -> None:
    with pytest.raises(BuildError, match=r"100 cycles a frame cannot be reached, [0-9,]+ is the fewest"):
        find_folding(hardware, BOARD, margin=0.1, cycles=100)


def test_a_board_that_is_too_small_says_what_is_short(hardware: Plan) -> None:
    with pytest.raises(BuildError, match=r"Pynq-Z2 is too small for .* cycles a frame: it would need .* of its lut"):
        find_folding(hardware, BOARD, margin=0.99, cycles=600)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"nobody": {"PE": 1}}, "no unit is called 'nobody'"),
        ({"c_matvec": {"PE": 3, "SIMD": 1, "lut": 1}}, "c_matvec needs PE of 1, 2, 4, 8, got 3"),
        ({"c_matvec": {"PE": 1, "SIMD": 1, "lut": 1, "MMV": 2}}, "c_matvec has no 'MMV'"),
        (
            {"m_window": {"SIMD": 1, "parallel": 0, "ram": 0}, "m_maxpool": {"PE": 2}},
            "m_window needs the SIMD that m_maxpool",
        ),
    ],
)
def test_a_folding_by_hand_is_checked(hardware: Plan, change: dict[str, dict[str, int]], reason: str) -> None:
    good = find_folding(hardware, BOARD, margin=0.1, cycles=5000).foldings
    with pytest.raises(BuildError, match=f"folding: {reason}"):
        evaluate(hardware, BOARD, {**good, **change})
