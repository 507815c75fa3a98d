"""The solver's choice is the best of all there are: compared with trying every one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.options import join_cost, options_of
from bitswath.hw.planning.plan import plan
from bitswath.hw.planning.resources import Resources
from bitswath.hw.planning.solver import NoSolutionError, may_fit, solve
from bitswath.network.network import INPUT, Conv, MaxPool, Network, Stage, TensorSpec, Threshold

BOARD = find_board("Pynq-Z2")


def objective(cost: Resources) -> float:
    shares = [share for share in cost.usage(BOARD).values() if share != np.inf]
    return max(shares) + 0.1 * sum(shares) / 6


def stages(rng: np.random.Generator) -> tuple[Stage, ...]:
    channels = int(rng.choice([2, 4]))
    return (
        Conv("c", (INPUT,), rng.integers(-3, 4, (channels, 1, 1, 3))),
        Threshold("t", ("c",), np.sort(rng.integers(-20, 20, (channels, 3)), axis=1)),
        MaxPool("m", ("t",), (2, 2), (2, 2)),
    )


@pytest.mark.parametrize("cycles", [2000, 400, 100])
def test_no_choice_is_better(cycles: int) -> None:
    seed = np.random.SeedSequence().entropy
    print(f"seed {seed}")
    network = Network(TensorSpec((8, 8, 3), 0, 3), stages(np.random.default_rng(seed)))
    options = options_of(plan(network, 2, 64), BOARD)
    found = solve(options, cycles, timeout_s=20)
    best = np.inf
    within = options.within(cycles)
    for chosen in product(*within.values()):
        foldings = dict(zip(within, (option.folding for option in chosen)))
        ends = [(edge, foldings[edge.source.name], foldings[edge.sink.name]) for edge in options.edges]
        if all(edge.agree(given, taken) for edge, given, taken in ends):
            joins = (join_cost(edge, *edge.widths(given, taken), BOARD) for edge, given, taken in ends)
            best = min(best, objective(sum((*(option.cost for option in chosen), *joins), Resources())))
    chosen_cost = sum((option.cost for option in found.chosen.values()), Resources())
    for edge in options.edges:
        given, taken = (found.chosen[unit.name].folding for unit in (edge.source, edge.sink))
        assert edge.agree(given, taken)
        chosen_cost += join_cost(edge, *edge.widths(given, taken), BOARD)
    assert all(option.cycles <= cycles for option in found.chosen.values())
    assert best <= objective(chosen_cost) <= best * 1.006
    assert may_fit(options, cycles, timeout_s=20, most=found.share * 1.001)
    assert found.share == pytest.approx(max(chosen_cost.usage(BOARD).values()), rel=1e-6)


def test_that_nothing_fits_is_proved() -> None:
    network = Network(TensorSpec((8, 8, 3), 0, 3), stages(np.random.default_rng(0)))
    options = options_of(plan(network, 2, 64), BOARD)
    with pytest.raises(NoSolutionError, match="no choice of foldings exists") as caught:
        solve(options, 2000, timeout_s=20, most=1e-4)
    assert caught.value.proved
    assert not may_fit(options, 2000, timeout_s=20, most=1e-4)
