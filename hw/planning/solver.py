"""Choosing one folding for every unit: a mixed integer program, solved by HiGHS (scipy.optimize.milp).

A binary variable for each option of each unit, one of which is 1; for each pair of beats that a wire's two ends may
have, a variable for what joins them, whose sums over either end are those of the options with that beat. In a chain
of units alone this program's relaxation has integer solutions, and only the few rows of the board's resources couple
it, so that the bound is close from the start. What is minimized is the largest share of any resource that the board
has, and a little of all shares, so that what is not scarce is not wasted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from bitswath.hw.planning.options import Edge, Option, Options, join_cost
from bitswath.hw.planning.resources import Resources

__all__ = ["GAP", "NoSolutionError", "Solution", "may_fit", "solve"]

_ALL_SHARES = 0.1
"""Weight of the mean of all shares against the largest."""

GAP = 0.005
"""At which the search ends."""

_INFEASIBLE = 2
"""scipy's status of a program that has no solution."""

NAMES = tuple(field.name for field in fields(Resources))


@dataclass(frozen=True)
class Solution:
    """The best choice found; `share`: of its scarcest resource; `gap`: at most this much better, relative to it, may
    another choice be."""

    chosen: Mapping[str, Option]
    share: float
    gap: float


class NoSolutionError(Exception):
    """`proved`: that there is none; else the time was too short to find one."""

    def __init__(self, proved: bool) -> None:
        super().__init__("no choice of foldings exists" if proved else "no choice of foldings was found in time")
        self.proved = proved


def may_fit(options: Options, cycles: int, *, timeout_s: float, most: float) -> bool:
    """Whether the program's relaxation has a solution: if not, at most `cycles` a frame do not fit."""
    program = _Program(options, options.within(cycles), most)
    found = milp(
        program.prices,
        constraints=program.constraints(),
        bounds=Bounds(0, program.upper),
        options={"time_limit": timeout_s},
    )
    return int(found.status) != _INFEASIBLE


def solve(options: Options, cycles: int, *, timeout_s: float, most: float = np.inf, gap: float = GAP) -> Solution:
    """The cheapest choice for at most `cycles` a frame that uses a share of `most` of each resource, or one that is
    dearer by `gap`. Raises `NoSolutionError`."""
    program = _Program(options, options.within(cycles), most)
    found = milp(
        program.prices,
        constraints=program.constraints(),
        bounds=Bounds(0, program.upper),
        integrality=program.integral,
        options={"time_limit": timeout_s, "mip_rel_gap": gap},
    )
    if found.x is None:
        raise NoSolutionError(proved=found.status == _INFEASIBLE)
    chosen = {name: max(entries, key=lambda entry: found.x[entry[0]])[1] for name, entries in program.choices.items()}
    return Solution(chosen, float(found.x[program.largest]), float(found.mip_gap or 0.0))


class _Program:
    """Columns: options, then joins, then the largest share."""

    def __init__(self, options: Options, within: Mapping[str, list[Option]], most: float) -> None:
        board, self.most = options.board, most
        self.available = {name: getattr(board, name) for name in NAMES}
        self.choices: dict[str, list[tuple[int, Option]]] = {}
        self.costs: list[Resources] = []
        self.rows: list[tuple[dict[int, float], float]] = []  # equal to the number
        for name, found in within.items():
            self.choices[name] = [(self._column(option.cost), option) for option in found]
            self.rows.append((dict.fromkeys((column for column, _ in self.choices[name]), 1.0), 1.0))
        self.count = len(self.costs)
        for edge in options.edges:
            self._join(edge, options)
        self.largest = self._column(Resources())

    def _column(self, cost: Resources) -> int:
        self.costs.append(cost)
        return len(self.costs) - 1

    def _join(self, edge: Edge, options: Options) -> None:
        """What is at the ends of a wire, and a column for each pair of it."""
        given: dict[Hashable, dict[int, float]] = defaultdict(dict)
        taken: dict[Hashable, dict[int, float]] = defaultdict(dict)
        ends: dict[str, dict[Hashable, tuple[Option, int]]] = {"given": {}, "taken": {}}
        for column, option in self.choices[edge.source.name]:
            width = edge.source.given_of(edge.wire, option.folding)
            key = (width, option.folding["SIMD"] if edge.depthwise else 0)
            given[key][column] = 1.0
            ends["given"][key] = (option, width)
        for column, option in self.choices[edge.sink.name]:
            width = edge.sink.taken_of(edge.wire, option.folding)
            key = (width, option.folding["PE"] if edge.depthwise else 0)
            taken[key][column] = 1.0
            ends["taken"][key] = (option, width)
        for left, (before, elements) in ends["given"].items():
            for right, (behind, wanted) in ends["taken"].items():
                if edge.agree(before.folding, behind.folding):
                    column = self._column(join_cost(edge, elements, wanted, options.board))
                    given[left][column] = taken[right][column] = -1.0
        self.rows += [(row, 0.0) for row in (*given.values(), *taken.values())]

    @property
    def integral(self) -> NDArray[np.int64]:
        return (np.arange(len(self.costs)) < self.count).astype(np.int64)

    @property
    def upper(self) -> NDArray[np.float64]:
        upper = np.ones(len(self.costs))
        upper[self.largest] = self.most
        return upper

    @property
    def shares(self) -> NDArray[np.float64]:
        """Of each resource that the board has, by column; any of what it has not is too much."""
        table = np.array([[getattr(cost, name) for name in NAMES] for cost in self.costs]).T
        return np.array([row / max(self.available[name], 1e-6) for name, row in zip(NAMES, table)])

    @property
    def prices(self) -> NDArray[np.float64]:
        prices: NDArray[np.float64] = _ALL_SHARES * self.shares.mean(axis=0)
        prices[self.largest] = 1.0
        return prices

    def constraints(self) -> list[LinearConstraint]:
        below = self.shares
        below[:, self.largest] = -1.0
        places = [(i, column, value) for i, (row, _) in enumerate(self.rows) for column, value in row.items()]
        i, j, values = (np.array(part) for part in zip(*places))
        joined = csr_array((values, (i, j)), shape=(len(self.rows), len(self.costs)))
        right = np.array([number for _, number in self.rows])
        return [LinearConstraint(joined, right, right), LinearConstraint(below, -np.inf, 0.0)]
