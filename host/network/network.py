"""The integer network: the dataflow graph that the hardware computes.

A network is a list of typed stages over integer tensors. It is the one truth between the
tools: QONNX is lowered to it, the emulator runs it, RTL is compared with it. Tensors are
laid out channels-last, (H, W, C) or (C,), without the batch axis. A stage names its inputs;
its output tensor carries the stage's own name.

Every tensor has a proved range ``lo..hi``: the values it can reach for any input in range.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import NetworkError

__all__ = [
    "INPUT",
    "Add",
    "ArgMax",
    "Concat",
    "Conv",
    "Dense",
    "Head",
    "Lookup",
    "MaxPool",
    "Network",
    "Stage",
    "SumPool",
    "Take",
    "TensorSpec",
    "Threshold",
    "labelled",
]

INPUT = "input"
"""Name of the network's input tensor."""

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
Ranges = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class TensorSpec:
    """Shape (without batch) and proved inclusive value range of an integer tensor."""

    shape: tuple[int, ...]
    lo: int
    hi: int

    @property
    def signed(self) -> bool:
        return self.lo < 0

    @property
    def bits(self) -> int:
        """Width in bits of the narrowest two's-complement or unsigned type that holds the range."""
        if self.lo < 0:
            return max((-self.lo - 1).bit_length(), self.hi.bit_length() if self.hi > 0 else 0) + 1
        return max(self.hi.bit_length(), 1)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))


@dataclass(frozen=True, eq=False)
class Stage:
    """One node: `name` is also the name of its output tensor."""

    name: str
    inputs: tuple[str, ...]

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        """Output shape and range for these inputs; raises `NetworkError` if they do not fit."""
        raise NotImplementedError

    def macs(self, *inputs: TensorSpec) -> int:
        """Multiply-accumulates per frame."""
        return 0

    def require(self, condition: bool, expected: str) -> None:
        if not condition:
            raise NetworkError(f"stage {self.name!r} ({type(self).__name__}): expected {expected}")


@dataclass(frozen=True, eq=False)
class Conv(Stage):
    """2-D convolution without bias; padding inserts integer zeros.

    `weights`: integers (out_channels, kernel_h, kernel_w, in_channels // groups);
    `pads`: (top, left, bottom, right).
    """

    weights: NDArray[np.integer]
    strides: Pair = (1, 1)
    pads: Pads = (0, 0, 0, 0)
    dilations: Pair = (1, 1)
    groups: int = 1

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        (source,) = inputs
        self.require(len(source.shape) == 3, f"an (H, W, C) input, not {source.shape}")
        self.require(self.weights.ndim == 4, "weights of rank 4")
        out_channels, kernel_h, kernel_w, per_group = self.weights.shape
        self.require(
            self.groups >= 1 and source.shape[2] == per_group * self.groups and out_channels % self.groups == 0,
            f"{per_group} x {self.groups} input channels and {out_channels} divisible by the groups,"
            f" not {source.shape[2]}",
        )
        extent = (self.dilations[0] * (kernel_h - 1) + 1, self.dilations[1] * (kernel_w - 1) + 1)
        height, width = _window(self, source.shape, extent, self.strides, self.pads)
        lo, hi = self.channel_ranges(source)
        return TensorSpec((height, width, out_channels), int(lo.min()), int(hi.max()))

    def channel_ranges(self, source: TensorSpec) -> Ranges:
        """Reachable accumulator range of each output channel: int64 (C,), (C,)."""
        lo, hi = (min(source.lo, 0), max(source.hi, 0)) if any(self.pads) else (source.lo, source.hi)
        return _dot_ranges(self.weights.reshape(self.weights.shape[0], -1), lo, hi)

    def macs(self, *inputs: TensorSpec) -> int:
        out = self.infer(*inputs)
        return out.size * int(np.prod(self.weights.shape[1:]))


@dataclass(frozen=True, eq=False)
class Dense(Stage):
    """Matrix product without bias. `weights`: integers (out, in); an (H, W, C) input is
    flattened in that order."""

    weights: NDArray[np.integer]

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        (source,) = inputs
        self.require(self.weights.ndim == 2, "weights of rank 2")
        self.require(source.size == self.weights.shape[1], f"{self.weights.shape[1]} inputs, not {source.size}")
        lo, hi = self.channel_ranges(source)
        return TensorSpec((self.weights.shape[0],), int(lo.min()), int(hi.max()))

    def channel_ranges(self, source: TensorSpec) -> Ranges:
        """Reachable accumulator range of each output: int64 (C,), (C,)."""
        return _dot_ranges(self.weights, source.lo, source.hi)

    def macs(self, *inputs: TensorSpec) -> int:
        return int(self.weights.size)


@dataclass(frozen=True, eq=False)
class Threshold(Stage):
    """``y = base + step * #{i : direction[c] * x >= thresholds[c, i]}`` for each value of channel c.

    `thresholds`: int64 (C or 1, T), ascending along T; `directions`: int8 (C or 1,), +1 where the
    output rises with x and -1 where it falls (a negative batch-normalization gain). The comparison
    is ``>=``; how ties of the float reference fall is already in the integers.
    """

    thresholds: NDArray[np.int64]
    directions: NDArray[np.int8] = field(default_factory=lambda: np.ones(1, np.int8))
    base: int = 0
    step: int = 1

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        (source,) = inputs
        channels = source.shape[-1]
        self.require(self.thresholds.ndim == 2, "thresholds of shape (channels or 1, count)")
        for what, rows in (("thresholds", len(self.thresholds)), ("directions", len(self.directions))):
            self.require(rows in (1, channels), f"{what} for 1 or {channels} channels, not {rows}")
        self.require(bool((self.thresholds[:, 1:] >= self.thresholds[:, :-1]).all()), "thresholds in ascending order")
        self.require(bool((np.abs(self.directions) == 1).all()), "directions of +1 or -1")
        ends = (self.base, self.base + self.step * self.thresholds.shape[1])
        return TensorSpec(source.shape, min(ends), max(ends))


@dataclass(frozen=True, eq=False)
class _Pool(Stage):
    kernel: Pair
    strides: Pair
    pads: Pads = (0, 0, 0, 0)

    def _shape(self, source: TensorSpec) -> tuple[int, int, int]:
        self.require(len(source.shape) == 3, f"an (H, W, C) input, not {source.shape}")
        height, width = _window(self, source.shape, self.kernel, self.strides, self.pads)
        return height, width, source.shape[2]


@dataclass(frozen=True, eq=False)
class MaxPool(_Pool):
    """Maximum over windows; padding never wins. `pads`: (top, left, bottom, right)."""

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        (source,) = inputs
        top, left, bottom, right = self.pads
        self.require(max(top, bottom) < self.kernel[0] and max(left, right) < self.kernel[1], "pads below the kernel")
        return TensorSpec(self._shape(source), source.lo, source.hi)


@dataclass(frozen=True, eq=False)
class SumPool(_Pool):
    """Sum over windows (an average pool before its division); padding adds zero."""

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        (source,) = inputs
        count = self.kernel[0] * self.kernel[1]
        lo, hi = (min(source.lo, 0), max(source.hi, 0)) if any(self.pads) else (source.lo, source.hi)
        return TensorSpec(self._shape(source), count * lo, count * hi)


@dataclass(frozen=True, eq=False)
class Add(Stage):
    """``sum(m * x for m, x in zip(multipliers, inputs))`` of tensors of one shape."""

    multipliers: tuple[int, ...]

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        self.require(len(inputs) == len(self.multipliers) >= 2, "one multiplier for each of at least two inputs")
        self.require(len({source.shape for source in inputs}) == 1, "inputs of one shape")
        ends = [sorted((m * s.lo, m * s.hi)) for m, s in zip(self.multipliers, inputs)]
        return TensorSpec(inputs[0].shape, sum(lo for lo, _ in ends), sum(hi for _, hi in ends))


@dataclass(frozen=True, eq=False)
class Concat(Stage):
    """Inputs joined along the channel axis."""

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        self.require(len({source.shape[:-1] for source in inputs}) == 1, "inputs of one height and width")
        channels = sum(source.shape[-1] for source in inputs)
        return TensorSpec((*inputs[0].shape[:-1], channels), min(s.lo for s in inputs), max(s.hi for s in inputs))


@dataclass(frozen=True, eq=False)
class Lookup(Stage):
    """A palette or a codec's levels: ``y[..., c * D + d] = table[c, x[..., c], d]``.

    `table`: integers (C, entries, D). A palette has C = 1 and D bands; levels have D = 1.
    """

    table: NDArray[np.integer]

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        (source,) = inputs
        self.require(self.table.ndim == 3, "a table of shape (channels, entries, depth)")
        channels, entries, depth = self.table.shape
        self.require(source.shape[-1] == channels, f"{channels} channels, not {source.shape[-1]}")
        self.require(source.lo >= 0 and source.hi < entries, f"codes in 0..{entries - 1}, not {source.lo}..{source.hi}")
        return TensorSpec((*source.shape[:-1], channels * depth), int(self.table.min()), int(self.table.max()))


@dataclass(frozen=True, eq=False)
class Take(Stage):
    """``y.flat[i] = x.flat[index[i]]``, or `fill` where the index is -1: what slices, repeats, reorders and reshapes
    a tensor, or puts a constant around it.

    `shape`: of the output, (H, W, C) or (C,); `index`: integers, as many as the output has values.
    """

    shape: tuple[int, ...]
    index: NDArray[np.integer]
    fill: int = 0

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        (source,) = inputs
        self.require(len(self.shape) in (1, 3) and min(self.shape) >= 1, f"a shape (H, W, C) or (C,), not {self.shape}")
        count = int(np.prod(self.shape))
        self.require(self.index.shape == (count,), f"{count} indices, not {self.index.shape}")
        inside = self.index.min() >= -1 and self.index.max() < source.size
        self.require(bool(inside), f"indices in -1..{source.size - 1}, not {self.index.min()}..{self.index.max()}")
        lo, hi = source.lo, source.hi
        if self.fills:
            lo, hi = min(lo, self.fill), max(hi, self.fill)
        return TensorSpec(tuple(self.shape), lo, hi)

    @property
    def fills(self) -> bool:
        """Whether the fill stands anywhere."""
        return bool((self.index < 0).any())

    @property
    def in_order(self) -> bool:
        """Whether the values go through in their order, all but those left out once: a reshape, or less."""
        return not self.fills and bool((np.diff(self.index) > 0).all())


@dataclass(frozen=True, eq=False)
class ArgMax(Stage):
    """Index of the largest value of a flat tensor; of equal values the lowest index wins."""

    def infer(self, *inputs: TensorSpec) -> TensorSpec:
        (source,) = inputs
        self.require(len(source.shape) == 1, f"a flat input, not {source.shape}")
        return TensorSpec((1,), 0, source.shape[0] - 1)


@dataclass(frozen=True, eq=False)
class Head:
    """How the last integers become numbers: ``float32(scale * y + offset)``, then softmax if set.

    `scale`, `offset`: float64 (1,) or (channels,).
    """

    scale: NDArray[np.float64] = field(default_factory=lambda: np.ones(1))
    offset: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    softmax: bool = False

    def dequantize(self, values: NDArray[np.integer]) -> NDArray[np.float32]:
        """Integers (N, ...) of the last tensor to the floats QONNX gives."""
        real = (np.asarray(values, np.float64) * self.scale + self.offset).astype(np.float32)
        if not self.softmax:
            return real
        exponentials = np.exp(real - real.max(axis=-1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True), np.float32)


@dataclass(frozen=True, eq=False)
class Network:
    """Stages in topological order over an input; the last stage's tensor is the output.

    Raises `NetworkError` on construction if shapes, ranges or names do not fit together.
    """

    input: TensorSpec
    stages: tuple[Stage, ...]
    head: Head = field(default_factory=Head)

    def __post_init__(self) -> None:
        if not self.stages:
            raise NetworkError("expected at least one stage, got none")
        channels = self.tensors[self.stages[-1].name].shape[-1]
        for what in (self.head.scale, self.head.offset):
            if what.shape not in ((1,), (channels,)):
                raise NetworkError(f"head: expected 1 or {channels} values, got shape {what.shape}")

    @cached_property
    def tensors(self) -> dict[str, TensorSpec]:
        """Every tensor's shape and range, by name, in order of computation."""
        known = {INPUT: self.input}
        for stage in self.stages:
            stage.require(stage.name not in known, "a name that is not taken")
            for name in stage.inputs:
                stage.require(name in known, f"an input computed before it; {name!r} is not")
            known[stage.name] = stage.infer(*(known[name] for name in stage.inputs))
        return known

    @property
    def output(self) -> TensorSpec:
        return self.tensors[self.stages[-1].name]

    @property
    def macs(self) -> int:
        """Multiply-accumulates per frame."""
        return sum(stage.macs(*specs) for stage, specs in self.walk())

    def walk(self) -> Iterator[tuple[Stage, tuple[TensorSpec, ...]]]:
        """Each stage with the specs of its inputs."""
        for stage in self.stages:
            yield stage, tuple(self.tensors[name] for name in stage.inputs)


def labelled(network: Network) -> Network:
    """The same network with the index of the largest integer as its answer.

    Raises `NetworkError` where that is not the index of the largest float.
    """
    head, name = network.head, "label"
    if len(network.output.shape) != 1 or head.scale.size != 1 or head.offset.size != 1 or not head.scale[0] > 0:
        raise NetworkError(
            f"expected a flat output with one positive scale and one offset, got {network.output.shape} with "
            f"{head.scale.size} and {head.offset.size}; scores with their own have another order"
        )
    while name in network.tensors:
        name += "_"
    return Network(network.input, (*network.stages, ArgMax(name, (network.stages[-1].name,))))


def _window(stage: Stage, shape: tuple[int, ...], extent: Pair, strides: Pair, pads: Pads) -> Pair:
    stage.require(min(strides) >= 1 and min(pads) >= 0 and min(extent) >= 1, "positive kernel and strides, pads >= 0")
    height = (shape[0] + pads[0] + pads[2] - extent[0]) // strides[0] + 1
    width = (shape[1] + pads[1] + pads[3] - extent[1]) // strides[1] + 1
    stage.require(min(height, width) >= 1, f"an input of at least the kernel's {extent}, not {shape[:2]}")
    return height, width


def _dot_ranges(rows: NDArray[np.integer], lo: int, hi: int) -> Ranges:
    positive = np.maximum(rows, 0).sum(axis=1, dtype=np.int64)
    negative = np.minimum(rows, 0).sum(axis=1, dtype=np.int64)
    return positive * lo + negative * hi, positive * hi + negative * lo
