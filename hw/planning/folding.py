"""Finding each unit's degrees of parallelism.

A folding for a number of cycles a frame is found in two sweeps. Units with weights, which cost nearly everything,
take the cheapest folding that is fast enough. The others follow from the sinks back to the sources, each taking the
cheapest together with the width converters that it would need towards its neighbours. What is cheap depends on what
a board is short of, so a few weightings of its resources are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product

from bitswath.errors import BuildError
from bitswath.hw.planning.boards import Board
from bitswath.hw.planning.costs import Resources
from bitswath.hw.planning.plan import Plan, edges
from bitswath.hw.planning.prices import converter_cost, unit_cost
from bitswath.hw.units import Depthwise, Folding, MatVec, Pool, Unit, Window

__all__ = ["Fit", "evaluate", "find_folding"]

Foldings = dict[str, dict[str, int]]
Price = Callable[[Resources], float]

_DSP_WEIGHTS = (1.0, 0.3, 0.0)
"""Of a DSP block against LUTs, each relative to what the board has. With 0 they go to the first units that gain
from them, until none is left."""

_DEEPEST_VECTOR = 256
"""Beats of an input that products in LUTs keep in LUTRAM; deeper ones do not map to one primitive."""

_TOLERANCE = 0.005
"""Of the fewest cycles: where the search ends."""


@dataclass(frozen=True)
class Fit:
    """A folding, the cycles a frame of its slowest unit, and its estimated cost without queues."""

    foldings: Foldings
    cycles: int
    cost: Resources


def find_folding(plan: Plan, board: Board, *, margin: float, cycles: int | None = None) -> Fit:
    """The cheapest folding for at most `cycles` a frame; without `cycles`, the fastest.

    It leaves `margin` (0..1) of each of the board's resources, by estimate. Raises `BuildError` if it cannot.
    """
    search = _Search(plan, board, margin)
    if cycles is not None:
        return search.require(cycles)
    low, best = search.fewest_cycles, search.require(search.most_cycles)
    while best.cycles > low * (1 + _TOLERANCE):
        middle = int((best.cycles * low) ** 0.5)
        fit = search.fit(middle)
        if fit is not None and fit.cost.fits(board, margin):
            best = fit
        else:
            low = middle + 1
    return best


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
    for source, wire, sink in edges(plan):
        widths = source.given_of(wire, foldings[source.name]), sink.taken_of(wire, foldings[sink.name])
        cost += converter_cost(*widths, wire.numbers.bits)
    return Fit(foldings, max(unit.cycles(foldings[unit.name]) for unit in plan.units), cost)


class _Search:
    def __init__(self, plan: Plan, board: Board, margin: float) -> None:
        self.plan, self.board, self.margin = plan, board, margin
        self.sinks = {wire.name: unit for unit in plan.units for wire in unit.inputs}
        self.sources = {wire.name: unit for unit in plan.units for wire in unit.outputs}
        self.options = {unit.name: list(self._options(unit)) for unit in plan.units}
        self.fewest_cycles = max(min(cycles for cycles, _, _ in self.options[unit.name]) for unit in plan.units)
        self.most_cycles = max(max(cycles for cycles, _, _ in self.options[unit.name]) for unit in plan.units)

    def require(self, cycles: int) -> Fit:
        if cycles < self.fewest_cycles:
            raise BuildError(
                f"{cycles:,} cycles a frame cannot be reached, {self.fewest_cycles:,} is the fewest; lower the target"
            )
        fit = self.fit(cycles)
        assert fit is not None
        short = {name: share for name, share in fit.cost.usage(self.board).items() if share > 1 - self.margin}
        if short:
            worst = max(short, key=short.__getitem__)
            raise BuildError(
                f"{self.board.name} is too small for {cycles:,} cycles a frame: it would need {short[worst]:.0%} of its"
                f" {worst} (at most {1 - self.margin:.0%} are to be used); lower the target or take another board"
            )
        return fit

    def fit(self, cycles: int) -> Fit | None:
        """The first that fits, else the one nearest to it; None if a unit cannot be that fast."""
        if cycles < self.fewest_cycles:
            return None
        best: Fit | None = None
        for weight in _DSP_WEIGHTS:
            found = self._fold(cycles, partial(self._price, dsp_weight=weight))
            if found.cost.fits(self.board, self.margin):
                return found
            if best is None or self._worst(found) < self._worst(best):
                best = found
        return best

    def _worst(self, fit: Fit) -> float:
        return max(fit.cost.usage(self.board).values())

    def _price(self, cost: Resources, dsp_weight: float) -> float:
        board = self.board
        memory = cost.bram36 / board.bram36
        return cost.lut / board.lut + 0.2 * cost.ff / board.ff + memory + dsp_weight * cost.dsp / board.dsp

    def _fold(self, cycles: int, price: Price) -> Fit:
        foldings: Foldings = {}
        weighted = [unit for unit in self.plan.units if isinstance(unit, MatVec | Depthwise)]
        others = [unit for unit in reversed(self.plan.units) if unit not in weighted]
        reserved = {unit.name: self._own_dsps(unit, cycles) for unit in others}
        dsps = self.board.dsp * (1 - self.margin) - sum(reserved.values())
        for unit in (*weighted, *others):
            dsps += reserved.get(unit.name, 0)
            folding, cost = self._cheapest(unit, cycles, price, foldings, dsps)
            foldings[unit.name] = folding
            dsps -= cost.dsp
        return _fit(self.plan, self.board, foldings)

    def _own_dsps(self, unit: Unit, cycles: int) -> float:
        """That are kept for a unit: of one that cannot do without, and of thresholds as a line, which save more than
        products do."""
        fast = [(cost.dsp, folding) for needed, cost, folding in self.options[unit.name] if needed <= cycles]
        lines = [dsp for dsp, folding in fast if folding.get("line")]
        return min(lines or [dsp for dsp, _ in fast], default=0)

    def _cheapest(
        self, unit: Unit, cycles: int, price: Price, known: Foldings, dsps: float
    ) -> tuple[dict[str, int], Resources]:
        """Its folding and cost; with at most `dsps` DSP blocks, if that is possible."""
        fast = [
            (cost.dsp > dsps, price(cost + self._converters(unit, folding, known)), index, folding, cost)
            for index, (needed, cost, folding) in enumerate(self.options[unit.name])
            if needed <= cycles and self._agrees(unit, folding, known)
        ]
        *_, folding, cost = min(fast, key=lambda option: option[:3])
        return folding, cost

    def _agrees(self, unit: Unit, folding: Folding, known: Foldings) -> bool:
        """A depthwise window gives as many channels a beat as the unit behind it takes."""
        if not (isinstance(unit, Window) and unit.depthwise):
            return True
        return folding["SIMD"] == known[self.sinks[unit.outputs[0].name].name]["PE"]

    def _converters(self, unit: Unit, folding: Folding, known: Foldings) -> Resources:
        total = Resources()
        for wire in unit.outputs:
            sink = self.sinks.get(wire.name)
            if sink is not None and sink.name in known:
                widths = unit.given_of(wire, folding), sink.taken_of(wire, known[sink.name])
                total += converter_cost(*widths, wire.numbers.bits)
        for wire in unit.inputs:
            source = self.sources.get(wire.name)
            if source is not None and source.name in known:
                widths = source.given_of(wire, known[source.name]), unit.taken_of(wire, folding)
                total += converter_cost(*widths, wire.numbers.bits)
        return total

    def _options(self, unit: Unit) -> Iterable[tuple[int, Resources, dict[str, int]]]:
        """(cycles, cost, folding) of every folding; cycles count the depthwise window in front as well."""
        choices = unit.choices()
        for values in product(*choices.values()):
            folding = dict(zip(choices, values))
            if self._sensible(unit, folding):
                yield self._cycles(unit, folding), unit_cost(unit, folding, self.board), folding

    def _cycles(self, unit: Unit, folding: Folding) -> int:
        cycles = unit.cycles(folding)
        window = self.sources.get(unit.inputs[0].name)
        if isinstance(unit, Pool | Depthwise) and isinstance(window, Window):
            whole = isinstance(unit, Depthwise) and folding["SIMD"] == window.taps
            cycles = max(cycles, window.cycles({"SIMD": folding["PE"], "parallel": int(whole)}))
        return cycles

    def _sensible(self, unit: Unit, folding: Folding) -> bool:
        source = self.sources.get(unit.inputs[0].name)
        if isinstance(unit, MatVec) and folding["lut"] and unit.rows // folding["SIMD"] > _DEEPEST_VECTOR:
            return False
        if isinstance(unit, MatVec) and isinstance(source, Window):
            channels = source.inputs[0].shape[2]
            return channels % folding["SIMD"] == 0 or folding["SIMD"] % channels == 0
        if isinstance(unit, Window) and folding["parallel"]:
            sink = self.sinks[unit.outputs[0].name]
            if unit.depthwise:
                return isinstance(sink, Depthwise)
            return folding["SIMD"] == unit.inputs[0].shape[2]
        return True
