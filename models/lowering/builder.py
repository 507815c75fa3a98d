"""Emits network stages while the graph is walked, and turns pending chains into integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import LoweringError, NetworkError
from bitswath.models.lowering.chains.chain import Grid, Link, Pooling, direction_of, fold_affine
from bitswath.models.lowering.chains.input_quantizer import Entry, InputQuantizer, Pixels, find_entry, levels_reached
from bitswath.models.lowering.chains.links import levels_of
from bitswath.models.lowering.chains.sums import MOST_PAIRS, Sum, find_sum
from bitswath.models.lowering.chains.thresholds import (
    EXHAUSTIVE_LIMIT,
    BentError,
    Levels,
    Steps,
    StepsError,
    find_bends,
    find_steps,
)
from bitswath.models.lowering.chains.values import Node, Value, compress, resized
from bitswath.models.lowering.chains.wide_sums import wide_sum
from bitswath.network.network import INPUT, Add, Conv, Dense, Lookup, MaxPool, Stage, SumPool, TensorSpec, Threshold

__all__ = ["Builder"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Builder:
    """Stages so far, with the spec of every network tensor.

    `opsets`: operator-set version by domain. `limit`: evaluations up to which thresholds are searched
    exhaustively. `pixels`: what the graph is fed, None where nobody says. `batch`: frames that the graph was
    exported for, which its reshapes may name.
    """

    def __init__(
        self,
        opsets: Mapping[str, int],
        limit: int = EXHAUSTIVE_LIMIT,
        pixels: Pixels | None = None,
        batch: int = 1,
    ) -> None:
        self.opsets = opsets
        self.limit = limit
        self.pixels = pixels
        self.stages: list[Stage] = []
        self.specs: dict[str, TensorSpec] = {}
        self.entry: Entry | None = None
        self.input_quantizer: InputQuantizer | None = None
        self.input_links: Sequence[Link] = ()
        self.input_grid: Grid | None = None
        self.batch = batch
        self.sums: dict[str, Sum] = {}

    def emit(self, node: Node, kind: type[Stage], inputs: Sequence[str], suffix: str = "", **fields: Any) -> str:
        """Adds a stage that computes the node (or a part of it, told by `suffix`); returns its name."""
        for source in inputs:
            self.settle_sum(source)
        name = self._unused(node.output + suffix)
        stage = kind(name, tuple(inputs), **fields)
        try:
            self.specs[name] = stage.infer(*(self.specs[i] for i in inputs))
        except NetworkError as error:
            raise node.error(str(error)) from error
        self.stages.append(stage)
        return name

    def _unused(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self.specs:
            name, number = f"{wanted}_{number}", number + 1
        return name

    def wait(self, total: Sum) -> str:
        """The name of a sum that becomes a stage once its quantizer is known, or a stage needs it as it is."""
        name = self._unused(total.node.output)
        self.sums[name], self.specs[name] = total, TensorSpec(total.values[0].shape, -1, 1)
        return name

    def settle_sum(self, name: str) -> None:
        """Makes a stage of a sum that no quantizer has been found for; does nothing for other tensors."""
        total = self.sums.get(name)
        if total is None:
            return
        if total.multipliers is None:
            raise total.node.error(total.refusal)
        del self.sums[name], self.specs[name]
        self.emit(total.node, Add, [value.tensor for value in total.values], multipliers=total.multipliers)

    def enter(self, node: Node, links: Sequence[Link], grid: Grid, spec: TensorSpec) -> None:
        """Begins the network with the integers of the graph input's quantizer, the last of these links."""
        if INPUT not in self.specs:
            self.specs[INPUT], self.input_links = spec, links
            self.input_grid = grid if len(links) == 1 and node.op != "MultiThreshold" else None
            if self.pixels is not None:
                self.entry, self.input_quantizer = find_entry(node, self.pixels, links, grid, spec)
        elif len(links) != len(self.input_links) or not all(map(Link.same_as, links, self.input_links)):
            raise node.error("quantizes the graph input differently from another node; quantize it once")

    def watch_input(self, node: Node, result: str, lowest: int, highest: int) -> None:
        """Keeps how many of its levels a quantizer of the declared input gives, if it changes the integers at all."""
        stage = self.stage(result)
        if isinstance(stage, Threshold):
            self.input_quantizer = InputQuantizer(
                node.name, levels_reached(stage.thresholds), (highest - lowest) // stage.step + 1
            )

    def infer(self, node: Node, stage: Stage, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Output shape of a stage that is yet to be emitted."""
        try:
            return stage.infer(TensorSpec(shape, 0, 0)).shape
        except NetworkError as error:
            raise node.error(str(error)) from error

    def stage(self, name: str) -> Stage | None:
        """The stage that computes a tensor, None for the input."""
        return next((s for s in self.stages if s.name == name), None)

    def is_accumulator(self, name: str) -> bool:
        return name in self.sums or isinstance(self.stage(name), Conv | Dense | Add | SumPool)

    def pools_at_once(self, value: Value) -> bool:
        """Whether a maximum of the value is a maximum of narrow integers."""
        pending = any(isinstance(link, Pooling) for link in value.chain)
        return not pending and not self.is_accumulator(value.tensor) and _rises(_links(value.chain), value.scale)

    def ranges(self, name: str) -> tuple[Integers, Integers]:
        """Reachable range of each channel of a network tensor: int64 (C,), (C,)."""
        spec, stage = self.specs[name], self.stage(name)
        if isinstance(stage, Conv | Dense):
            return stage.channel_ranges(self.specs[stage.inputs[0]])
        channels = spec.shape[-1]
        return np.full(channels, spec.lo), np.full(channels, spec.hi)

    def settle_pads(self, node: Node, value: Value) -> Value:
        """Pending zero padding as a stage of its own: a sum over 1x1 windows."""
        if not any(value.pads):
            return value
        pool = {"kernel": (1, 1), "strides": (1, 1), "pads": value.pads}
        name = self.emit(node, SumPool, [value.tensor], ".padded", **pool)
        shape = self.specs[name].shape
        index = resized(value.index, value.shape, shape)
        return replace(value, tensor=name, shape=shape, index=index, pads=(0, 0, 0, 0))

    def plain(self, node: Node, value: Value) -> Value:
        """The value as ``scale * q + offset`` of a network tensor, with nothing pending."""
        if value.softmax:
            raise node.error(f"takes what {value.softmax} gives, which can only end the graph")
        value = self.settle_pads(node, value)
        links = _links(value.chain)
        folded = fold_affine(links, value.scale, value.offset)
        if folded is not None:
            value = self.settle_pools(node, value)
        if not any(link.node.op_type == "QuantizeLinear" for link in links):
            self.settle_sum(value.tensor)
        if folded is not None:
            return replace(value, scale=compress(folded[0]), offset=compress(folded[1]), chain=())
        try:
            return self.quantize(node, value, _own_grid(value.scale, links), ".settled")
        except LoweringError as error:
            if not isinstance(error.__cause__, StepsError | None):
                raise
            pending = next(link for link in links if link.affine is None)
            if pending.label == node.name:
                raise node.error("gives reals that stand for no integers; put a Quant behind it") from error
            raise node.error(
                f"needs integers, but {pending.node.op_type} {pending.label!r} before it is not quantized; "
                "put a Quant between them"
            ) from error

    def quantize(self, node: Node, value: Value, grid: Grid, suffix: str = "") -> Value:
        """The integers on `grid` of the value's chain, whose last link is the quantizer."""
        if value.softmax:
            raise node.error(f"takes what {value.softmax} gives, which can only end the graph")
        value = self.settle_pads(node, value)
        first = next((i for i, link in enumerate(value.chain) if isinstance(link, Pooling)), None)
        if first is not None and not _rises(_links(value.chain[first:]), np.ones(1)):
            value, first = self.settle_pools(node, value), None
        poolings = [link for link in value.chain if isinstance(link, Pooling)]
        name = self._threshold(node, value, grid, suffix + (".threshold" if poolings else ""))
        for i, pooling in enumerate(poolings, start=1):
            name = self.pool(node, name, pooling, suffix if i == len(poolings) else f"{suffix}.pool")
        return replace(value, tensor=name, scale=grid.scale, offset=grid.offset, chain=())

    def settle_pools(self, node: Node, value: Value) -> Value:
        """Pending poolings on the integers themselves, which needs a rising chain before each."""
        while any(isinstance(link, Pooling) for link in value.chain):
            first = next(i for i, link in enumerate(value.chain) if isinstance(link, Pooling))
            pooling = value.chain[first]
            before = _links(value.chain[:first])
            if not isinstance(pooling, Pooling) or not _rises(before, value.scale):
                raise node.error(f"MaxPool {pooling.label!r} before it pools values that fall as their integers rise")
            name = self.pool(node, value.tensor, pooling, ".pool")
            value = replace(value, tensor=name, chain=(*before, *value.chain[first + 1 :]))
        return value

    def pool(self, node: Node, name: str, pooling: Pooling, suffix: str = "") -> str:
        fields: dict[str, Any] = {"kernel": pooling.kernel, "strides": pooling.strides, "pads": pooling.pads}
        return self.emit(node, MaxPool, [name], suffix, **fields)

    def _threshold(self, node: Node, value: Value, grid: Grid, suffix: str) -> str:
        links = _links(value.chain)
        if value.tensor in self.sums and self.sums[value.tensor].pairs > MOST_PAIRS:
            value = self._add_wide(node, value, suffix)
        elif value.tensor in self.sums:
            try:
                return self._add(node, value.tensor, links, grid, suffix)
            except StepsError as error:
                if self.sums[value.tensor].multipliers is None:
                    raise node.error(f"no thresholds for the sum {value.tensor!r}: {error}") from error
                self.settle_sum(value.tensor)
        lo, hi = self.ranges(value.tensor)
        width = max(
            value.scale.size, value.offset.size, grid.scale.size, grid.offset.size, *(k.width for k in links), 1
        )
        if width == 1:
            lo, hi = lo.min(keepdims=True), hi.max(keepdims=True)

        def levels(q: Integers) -> Integers:
            return levels_of(node, links, value.scale, value.offset, grid, q)

        try:
            steps = find_steps(levels, lo, hi, exact=all(link.exact for link in links), limit=self.limit)
        except BentError:
            return self._bent(node, value.tensor, levels, lo, hi, grid, suffix)
        except StepsError as error:
            names = " -> ".join(link.node.op_type for link in links)
            raise node.error(f"no thresholds for {names}: {error}") from error
        return self._steps(node, value.tensor, steps, grid, suffix)

    def _steps(self, node: Node, source: str, steps: Steps, grid: Grid, suffix: str) -> str:
        """A Threshold of these steps over a tensor, if they change its integers at all."""
        spec, thresholds = self.specs[source], steps.thresholds
        if _is_identity(steps, grid, spec):
            return source
        if not thresholds.shape[1]:  # a constant: one threshold that is never reached
            thresholds = np.where(steps.directions > 0, spec.hi + 1, 1 - spec.lo)[:, None]
        base = grid.origin + grid.step * steps.base
        fields = {"thresholds": thresholds, "directions": steps.directions, "base": base, "step": grid.step}
        return self.emit(node, Threshold, [source], suffix, **fields)

    def _add(self, node: Node, name: str, links: Sequence[Link], grid: Grid, suffix: str) -> str:
        """Levels of a sum of two tensors, from all pairs of their values."""
        total = self.sums[name]
        found = find_sum(total, node, links, grid)
        if not any(table is not None for table in found.tables) and found.multipliers == total.multipliers:
            self.settle_sum(name)
        else:
            tensors = [value.tensor for value in total.values]
            for i, table in enumerate(found.tables):
                if table is not None:
                    tensors[i] = self._looked_up(node, tensors[i], table, f"{suffix}.part")
            name = self.emit(node, Add, tensors, f"{suffix}.sum", multipliers=found.multipliers)
        return self._steps(node, name, found.steps, grid, suffix)

    def _add_wide(self, node: Node, value: Value, suffix: str) -> Value:
        """The sum of an accumulator and a narrow tensor, as the integers of one tensor."""
        total = self.sums[value.tensor]
        found = wide_sum(total)
        tensors = [summand.tensor for summand in total.values]
        tensors[1 - found.wide] = self._looked_up(node, tensors[1 - found.wide], found.table, f"{suffix}.part")
        multipliers = (found.factor, 1) if found.wide == 0 else (1, found.factor)
        name = self.emit(node, Add, tensors, f"{suffix}.sum", multipliers=multipliers)
        return replace(value, tensor=name, scale=compress(found.scale), offset=compress(found.offset))

    def _looked_up(self, node: Node, name: str, table: Integers, suffix: str) -> str:
        """A tensor whose integers, counted from their lowest, stand in a table (channels or 1, values)."""
        spec = self.specs[name]
        if spec.lo:
            counted = np.arange(spec.lo + 1, spec.hi + 1)[None]
            name = self.emit(node, Threshold, [name], f"{suffix}.counted", thresholds=counted)
        entries = np.broadcast_to(table, (spec.shape[-1], table.shape[1]))[..., None]
        return self.emit(node, Lookup, [name], suffix, table=np.ascontiguousarray(entries))

    def _bent(
        self, node: Node, source: str, levels: Levels, lo: Integers, hi: Integers, grid: Grid, suffix: str
    ) -> str:
        """What rises and falls, as the difference of two functions that rise."""
        try:
            up, down, reach = find_bends(levels, lo, hi)
        except StepsError as error:
            raise node.error(f"no thresholds: {error}") from error
        rising = self.emit(node, Threshold, [source], f"{suffix}.up", thresholds=up.thresholds)
        falling = self.emit(node, Threshold, [source], f"{suffix}.down", thresholds=down.thresholds)
        count = self.emit(node, Add, [rising, falling], f"{suffix}.count", multipliers=(1, -1))
        reached = np.arange(1, reach + 1, dtype=np.int64)[None]
        base = grid.origin + grid.step * up.base
        return self.emit(node, Threshold, [count], suffix, thresholds=reached, base=base, step=grid.step)


def _links(chain: Sequence[Link | Pooling]) -> list[Link]:
    return [link for link in chain if isinstance(link, Link)]


def _own_grid(scale: Floats, links: Sequence[Link]) -> Grid:
    """The grid that a chain without a final quantizer may keep to: that of the integers, or of the last link that
    makes some, and what affine links make of it."""
    last = max((i for i, link in enumerate(links, 1) if _makes_integers(link)), default=0)
    affine = [link for link in links[last:] if link.affine is not None]
    folded = fold_affine(affine, np.ones(1) if last else scale, np.zeros(1))
    return Grid(scale, np.zeros(1)) if folded is None else Grid(*folded)


def _makes_integers(link: Link) -> bool:
    op = link.node.op_type
    divided = op in ("Cast", "Div") and link.affine is None
    return divided or op in ("QuantizeLinear", "Floor", "Ceil", "Round", "Sign")


def _rises(links: Sequence[Link], scale: Floats) -> bool:
    direction = direction_of(links, scale)
    return direction is not None and bool((direction >= 0).all())


def _is_identity(steps: Steps, grid: Grid, spec: TensorSpec) -> bool:
    """Whether the steps give back the integers of the tensor as they are."""
    steady = grid.step == 1 and grid.origin == 0 and steps.base == spec.lo and bool((steps.directions > 0).all())
    if not steady or steps.thresholds.shape[1] != spec.hi - spec.lo:
        return False
    return bool((steps.thresholds == np.arange(spec.lo + 1, spec.hi + 1)).all())
