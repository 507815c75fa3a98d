"""Finding each unit's degrees of parallelism and what it is made of.

For a number of cycles a frame, `bitswath.hw.planning.solver` finds the cheapest choice. The fewest cycles that fit a
board are sought among those that the units can have: below what the program's relaxation allows, nothing fits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from bitswath.errors import BuildError
from bitswath.hw.planning.boards import Board
from bitswath.hw.planning.options import Options, join_cost, options_of
from bitswath.hw.planning.plan import Plan, edges
from bitswath.hw.planning.prices import unit_cost
from bitswath.hw.planning.resources import Resources
from bitswath.hw.planning.solver import NoSolutionError, Solution, may_fit, solve
from bitswath.hw.units import Folding, Window

__all__ = ["PIXELS", "Fit", "evaluate", "find_folding", "find_plan", "match_plan"]

Foldings = dict[str, dict[str, int]]

TIMEOUT_S = 55.0
"""After which a search does not look for anything better."""

PATIENCE_S = 300.0
"""For the first of anything; seconds where a processor is free."""

PIXELS = (1, 2, 4)
"""That may come abreast where nobody says how many."""

_PIXEL_BOUND = 1.02
"""Cycles, against the fewest that any folding has, up to which more pixels abreast are tried."""

_LOOSE = 0.5
"""Gap at which it is enough to know that something fits."""


@dataclass(frozen=True)
class Fit:
    """A folding, the cycles a frame of its slowest unit, and its estimated cost with its queues.

    `pixels`: that come abreast, as its plan has them. `gap`: how much less, as a share, the scarcest resource could at
    most be used by another folding as fast; `proved_cycles`: fewer than these do not fit, None where not asked.
    """

    foldings: Foldings
    cycles: int
    cost: Resources
    pixels: int = 1
    gap: float | None = field(default=None, compare=False)
    proved_cycles: int | None = field(default=None, compare=False)

    @property
    def described(self) -> str | None:
        """How good it is, by the cost model; None for one that was given."""
        if self.gap is None:
            return None
        least = f"; fewer than {self.proved_cycles:,} cycles a frame do not fit" if self.proved_cycles else ""
        abreast = f"{self.pixels} pixels of a row come in a cycle; " if self.pixels > 1 else ""
        return f"{abreast}another folding as fast would take at most {self.gap:.1%} less of what is scarcest{least}"


def find_folding(
    plan: Plan, board: Board, *, margin: float, cycles: int | None = None, timeout_s: float = TIMEOUT_S
) -> Fit:
    """The cheapest folding for at most `cycles` a frame; without `cycles`, the fastest.

    It leaves `margin` (0..1) of each of the board's resources, by estimate. Raises `BuildError` if it cannot.
    """
    search = _Search(options_of(plan, board), margin, time.monotonic() + timeout_s)
    return search.require(cycles) if cycles is not None else search.fastest()


def find_plan(
    planned: Callable[[int], Plan],
    choices: Sequence[int],
    board: Board,
    *,
    margin: float,
    cycles: int | None = None,
    timeout_s: float = TIMEOUT_S,
) -> tuple[Plan, Fit]:
    """As `find_folding`, over plans for so many pixels abreast: the first that has at most `cycles` a frame; without
    `cycles`, the next as long as it is the pixels' passing that limits the last, and the fastest of those."""
    ends = time.monotonic() + timeout_s
    plans = {hardware.pixels: hardware for hardware in map(planned, choices)}
    options = (options_of(hardware, board) for hardware in plans.values())
    if cycles is not None:
        tried: list[Options] = []
        for each in options:
            tried.append(each)
            if each.speeds[0] <= cycles:
                break
        fastest = min(tried, key=lambda each: each.speeds[0])
        return fastest.plan, _Search(fastest, margin, ends).require(cycles)
    found: list[tuple[Plan, Fit]] = []
    for each in options:
        try:
            found.append((each.plan, _Search(each, margin, ends).fastest()))
        except BuildError:
            if found:
                break
            raise
        if found[-1][1].cycles > _PIXEL_BOUND * each.speeds[0]:
            break
    return min(found, key=lambda each: each[1].cycles)


def match_plan(
    planned: Callable[[int], Plan], choices: Sequence[int], board: Board, foldings: Mapping[str, Folding]
) -> tuple[Plan, Fit]:
    """The first of the plans for so many pixels abreast that a folding given by hand is for; raises `BuildError` where
    it is for none."""
    errors: list[BuildError] = []
    for hardware in map(planned, choices):
        try:
            return hardware, evaluate(hardware, board, foldings)
        except BuildError as error:
            errors.append(error)
    raise errors[0]


def evaluate(plan: Plan, board: Board, foldings: Mapping[str, Folding]) -> Fit:
    """Cycles and cost of a folding given by hand; raises `BuildError` where it names what is not there, leaves a
    unit out, or takes a value that the unit does not allow."""
    units = {unit.name: unit for unit in plan.units}
    if unknown := sorted(set(foldings) - set(units)):
        raise BuildError(f"folding: no unit is called {unknown[0]!r}; units are {', '.join(sorted(units))}")
    complete: Foldings = {}
    for name, unit in units.items():
        given, choices = dict(foldings.get(name, {})), unit.choices()
        for key, allowed in choices.items():
            value = given.setdefault(key, allowed[0]) if name in foldings else given.get(key)
            if value not in allowed:
                raise BuildError(f"folding: {name} needs {key} of {', '.join(map(str, allowed))}, got {value}")
        if extra := sorted(set(given) - set(choices)):
            raise BuildError(f"folding: {name} has no {extra[0]!r}, but {', '.join(choices) or 'nothing to choose'}")
        complete[name] = given
    for source, wire, sink in edges(plan):
        depthwise = isinstance(source, Window) and source.depthwise
        if depthwise and complete[source.name]["SIMD"] != complete[sink.name]["PE"]:
            raise BuildError(f"folding: {source.name} needs the SIMD that {sink.name} has as PE ({wire.name})")
    return _fit(plan, board, complete)


def _fit(plan: Plan, board: Board, foldings: Foldings) -> Fit:
    cost = sum((unit_cost(unit, foldings[unit.name], board) for unit in plan.units), Resources())
    for edge in Options(plan, board, {}).edges:
        widths = edge.widths(foldings[edge.source.name], foldings[edge.sink.name])
        cost += join_cost(edge, *widths, board)
    return Fit(foldings, max(unit.cycles(foldings[unit.name]) for unit in plan.units), cost, plan.pixels)


def _share(found: Solution) -> float:
    return found.share


class _Search:
    """`ends`: by the monotonic clock, when it has to have a result."""

    def __init__(self, options: Options, margin: float, ends: float) -> None:
        self.options, self.margin, self.ends = options, margin, ends

    def require(self, cycles: int) -> Fit:
        fewest, board = self.options.speeds[0], self.options.board
        if cycles < fewest:
            raise BuildError(f"{cycles:,} cycles a frame cannot be reached, {fewest:,} is the fewest; lower the target")
        try:
            fit = self._fit(self._cheapest(cycles))
        except NoSolutionError as error:
            raise BuildError(f"{board.name}, {cycles:,} cycles a frame: {error}; take another target") from None
        short = {name: share for name, share in fit.cost.usage(board).items() if share > self._most}
        if short:
            worst = max(short, key=short.__getitem__)
            raise BuildError(
                f"{board.name} is too small for {cycles:,} cycles a frame: it would need {short[worst]:.0%} of its"
                f" {worst} (at most {self._most:.0%} are to be used); lower the target or take another board"
            )
        return fit

    def _cheapest(self, cycles: int) -> Solution:
        try:
            return solve(self.options, cycles, timeout_s=self._left)
        except NoSolutionError as error:
            if error.proved:
                raise
            return solve(self.options, cycles, timeout_s=PATIENCE_S, gap=_LOOSE)

    def fastest(self) -> Fit:
        """Bisection over the program's relaxation, then upwards, at ever larger steps, to what has a solution in whole
        numbers; what is left of the time goes to the cheapest folding at that speed."""
        speeds, most = self.options.speeds, self._most
        low, high = 0, len(speeds) - 1
        while low < high:
            middle = (low + high) // 2
            if may_fit(self.options, speeds[middle], timeout_s=PATIENCE_S, most=most):
                high = middle
            else:
                low = middle + 1
        known: Solution | None = None
        for step in count():
            at = min(low + step * (step + 1) // 2, len(speeds) - 1)
            try:
                known = solve(self.options, speeds[at], timeout_s=PATIENCE_S, most=most, gap=_LOOSE)
                known = min(known, solve(self.options, speeds[at], timeout_s=self._left, most=most), key=_share)
            except NoSolutionError:
                if known is None and at < len(speeds) - 1:
                    continue
            break
        if known is None:
            return self.require(speeds[-1])  # which says what is short
        return replace(self._fit(known), proved_cycles=speeds[low])

    def _fit(self, found: Solution) -> Fit:
        foldings = {name: dict(option.folding) for name, option in found.chosen.items()}
        return replace(_fit(self.options.plan, self.options.board, foldings), gap=found.gap)

    @property
    def _left(self) -> float:
        return max(self.ends - time.monotonic(), 1.0)

    @property
    def _most(self) -> float:
        return 1 - self.margin
