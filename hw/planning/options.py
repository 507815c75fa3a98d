"""What a plan leaves to choose: each unit's foldings with their cycles and cost, and what joins neighbours costs.

A folding that costs no less of anything than another with the same beats and of the same speed is no choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import groupby, product

from bitswath.hw.planning.boards import Board
from bitswath.hw.planning.plan import Plan, edges
from bitswath.hw.planning.prices import converter_cost, queue_cost, unit_cost
from bitswath.hw.planning.resources import Resources
from bitswath.hw.units import (
    MEMORIES,
    AddStreams,
    Depthwise,
    Folding,
    LineWindows,
    MatVec,
    Pad,
    Pool,
    Unit,
    Window,
    Wire,
)

__all__ = ["Edge", "Option", "Options", "join_cost", "options_of"]

DEEPEST_VECTOR = 256
"""Beats of an input that products in LUTs keep in LUTRAM; deeper ones do not map to one primitive."""

DEEPEST_LUTS = 1024
"""Words of a memory in LUTs, whose multiplexers are slow beyond."""


@dataclass(frozen=True)
class Option:
    """A unit's folding; `cycles` count the depthwise window in front as well."""

    folding: dict[str, int]
    cycles: int
    cost: Resources


@dataclass(frozen=True)
class Edge:
    """A wire between two units. `held`: elements that a queue in it has to hold."""

    source: Unit
    wire: Wire
    sink: Unit
    held: int

    def widths(self, given: Folding, taken: Folding) -> tuple[int, int]:
        """Elements in a beat at both ends."""
        return self.source.given_of(self.wire, given), self.sink.taken_of(self.wire, taken)

    @property
    def depthwise(self) -> bool:
        return isinstance(self.source, Window) and self.source.depthwise

    def agree(self, given: Folding, taken: Folding) -> bool:
        """A depthwise window gives as many channels a beat as the unit behind it takes."""
        return not self.depthwise or given["SIMD"] == taken["PE"]


@dataclass(frozen=True)
class Options:
    """By unit, each in the order of the plan."""

    plan: Plan
    board: Board
    of: dict[str, tuple[Option, ...]]

    @cached_property
    def edges(self) -> tuple[Edge, ...]:
        held = _held(self.plan)
        return tuple(Edge(source, wire, sink, held.get(wire.name, 0)) for source, wire, sink in edges(self.plan))

    @cached_property
    def speeds(self) -> list[int]:
        """Cycles a frame that a design can have, ascending."""
        fewest = max(min(option.cycles for option in found) for found in self.of.values())
        return sorted({o.cycles for found in self.of.values() for o in found if o.cycles >= fewest})

    def within(self, cycles: int) -> dict[str, list[Option]]:
        """Those that are fast enough, without what others of the same beats make superfluous."""
        return {unit.name: list(self._best(unit, cycles)) for unit in self.plan.units}

    def _best(self, unit: Unit, cycles: int) -> Iterator[Option]:
        beats = _beats(unit)
        fast = sorted((o for o in self.of[unit.name] if o.cycles <= cycles), key=lambda o: beats(o.folding))
        for _, group in groupby(fast, key=lambda o: beats(o.folding)):
            yield from _undominated(list(group))


def join_cost(edge: Edge, given: int, taken: int, board: Board) -> Resources:
    """Queues in a wire, and the converter between them where beats differ."""
    bits = edge.wire.numbers.bits
    queue = queue_cost(given, bits, board.dsp_block, edge.held)
    if given == taken:
        return queue
    return queue + converter_cost(given, taken, bits) + queue_cost(taken, bits, board.dsp_block)


def options_of(plan: Plan, board: Board) -> Options:
    """Every sensible folding of every unit."""
    sources = {wire.name: unit for unit in plan.units for wire in unit.outputs}
    sinks = {wire.name: unit for unit in plan.units for wire in unit.inputs}
    found = {}
    for unit in plan.units:
        window, sink = sources.get(unit.inputs[0].name), sinks.get(unit.outputs[0].name)
        choices = unit.choices()
        foldings = (dict(zip(choices, values)) for values in product(*choices.values()))
        found[unit.name] = tuple(
            Option(folding, _cycles(unit, folding, window), unit_cost(unit, folding, board))
            for folding in foldings
            if _sensible(unit, folding, window, sink, board)
        )
    return Options(plan, board, found)


def _cycles(unit: Unit, folding: Folding, window: Unit | None) -> int:
    cycles = unit.cycles(folding)
    if isinstance(unit, Pool | Depthwise) and isinstance(window, Window):
        whole = isinstance(unit, Depthwise) and folding["SIMD"] == window.taps
        cycles = max(cycles, window.cycles({"SIMD": folding["PE"], "parallel": int(whole)}))
    return cycles


def _sensible(unit: Unit, folding: Folding, source: Unit | None, sink: Unit | None, board: Board) -> bool:
    memory = MEMORIES[folding.get("ram", 1)]
    if memory == "auto" or (memory == "ultra" and not board.uram):
        return False
    if isinstance(unit, MatVec | Depthwise):
        words = unit.weights.size // (folding["PE"] * folding["SIMD"])
        if memory == "distributed" and words > DEEPEST_LUTS:
            return False
    if isinstance(unit, MatVec):
        if folding["lut"] and unit.rows // folding["SIMD"] > DEEPEST_VECTOR:
            return False
        channels = source.inputs[0].shape[2] if isinstance(source, Window) else folding["SIMD"]
        return channels % folding["SIMD"] == 0 or folding["SIMD"] % channels == 0
    if isinstance(unit, Window):
        lines = (unit.kernel[0] - 1) * unit.dilations[0] + unit.strides[0]
        if memory == "distributed" and lines * unit.inputs[0].size // unit.inputs[0].shape[0] > (
            DEEPEST_LUTS * folding["SIMD"]
        ):
            return False
        if not folding["parallel"]:
            return True
        return isinstance(sink, Depthwise) if unit.depthwise else folding["SIMD"] == unit.inputs[0].shape[2]
    return True


def _beats(unit: Unit) -> Callable[[Folding], tuple[int, ...]]:
    """What neighbours see of a folding."""

    def beats(folding: Folding) -> tuple[int, ...]:
        ends = [unit.taken_of(wire, folding) for wire in unit.inputs]
        ends += [unit.given_of(wire, folding) for wire in unit.outputs]
        return *ends, folding.get("SIMD", 0), folding.get("PE", 0)

    return beats


def _undominated(options: list[Option]) -> Iterator[Option]:
    rows = [tuple(getattr(o.cost, f.name) for f in fields(Resources)) for o in options]
    for i, row in enumerate(rows):
        better = (all(a <= b for a, b in zip(other, row)) and (other != row or j < i) for j, other in enumerate(rows))
        if not any(hit for j, hit in enumerate(better) if j != i):
            yield options[i]


def _held(plan: Plan) -> dict[str, int]:
    """By wire: elements that its queue has to hold, as simulations of the zoo's networks found it: a row of windows,
    which come in bursts; two rows before padding, which pauses for its own, and one before windows that are padded on
    the way; and in the shorter of two branches all that passes until the longer one, whose windows first need so many
    of the frame, gives its own."""
    waits: dict[str, float] = {}
    held: dict[str, int] = {}
    for unit in plan.units:  # shares of a frame that have passed before a wire has its first beat
        share = max((waits.get(wire.name, 0.0) for wire in unit.inputs), default=0.0)
        source, result = unit.inputs[0], unit.outputs[0]
        match unit:
            case AddStreams():
                held |= {wire.name: round((share - waits.get(wire.name, 0.0)) * wire.size) for wire in unit.inputs}
            case Pad():
                held[source.name] = 2 * source.size // source.shape[0]
            case LineWindows():
                share += (unit.raster.kernel[0] - unit.raster.pads[0]) / source.shape[0]
                held[source.name] = source.size // source.shape[0]
            case Window():
                height, width, _ = source.shape
                rows, columns = ((k - 1) * d for k, d in zip(unit.kernel, unit.dilations))
                share += (rows * width + columns) / (height * width)
                held[result.name] = 0 if unit.depthwise else result.size // result.shape[0]
        waits |= dict.fromkeys((wire.name for wire in unit.outputs), share)
    return held
