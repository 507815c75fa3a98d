"""Networks for tests: a small CNN, and random ones over every stage."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.network.network import (
    INPUT,
    Add,
    ArgMax,
    Concat,
    Conv,
    Dense,
    Lookup,
    MaxPool,
    Network,
    Stage,
    SumPool,
    Take,
    TensorSpec,
    Threshold,
)

Rng = np.random.Generator


def network_of(shape: tuple[int, ...], lo: int, hi: int, *stages: Stage) -> Network:
    return Network(TensorSpec(shape, lo, hi), stages)


def random_codes(spec: TensorSpec, count: int, rng: Rng) -> NDArray[np.int64]:
    """Random codes; the first two frames are the extremes."""
    codes = rng.integers(spec.lo, spec.hi, (count, *spec.shape), endpoint=True)
    for frame, value in zip(range(count), (spec.lo, spec.hi)):
        codes[frame] = value
    return codes


def uniform_rows(channels: int, count: int, rng: Rng) -> NDArray[np.int64]:
    scale, offset = rng.uniform(0.3, 60, (channels, 1)), rng.uniform(-300, 300, (channels, 1))
    return np.ceil((np.arange(count) + 0.5) * scale + offset).astype(np.int64)


def sorted_rows(channels: int, count: int, reach: int, rng: Rng) -> NDArray[np.int64]:
    return np.sort(rng.integers(-reach, reach, (channels, count), endpoint=True), axis=1)


def small_cnn(hi: int = 15, shape: tuple[int, int, int] = (8, 8, 3)) -> Network:
    rng = np.random.default_rng(11)
    channels, bound = shape[2], 15
    return network_of(
        shape,
        0,
        hi,
        Conv("conv", (INPUT,), rng.integers(-8, 8, (12, 3, 3, channels)), pads=(1, 1, 1, 1)),
        Threshold("act", ("conv",), uniform_rows(12, bound, rng)),
        MaxPool("pool", ("act",), (2, 2), (2, 2)),
        Dense("logits", ("pool",), rng.integers(-8, 8, (10, shape[0] // 2 * (shape[1] // 2) * 12))),
    )


class NetworkBuilder:
    """Grows a random valid network stage by stage."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        shape = tuple(int(n) for n in rng.integers(1, (8, 9, 7)))
        lo, hi = [(0, 1), (0, 15), (0, 255), (-8, 7), (-128, 127), (0, 65535), (-70000, 2**33)][rng.integers(7)]
        self.network = network_of(shape, lo, hi, MaxPool("s0", (INPUT,), (1, 1), (1, 1)))

    def grow(self) -> None:
        names = list(self.network.tensors)
        source = names[-1] if self.rng.random() < 0.7 else names[self.rng.integers(len(names))]
        spec = self.network.tensors[source]
        if max(-spec.lo, spec.hi) > 2**40:
            stage: Stage = self._threshold(source, spec)
        else:
            makers = [self._threshold, self._add, self._concat, self._dense, self._take]
            makers += [self._conv, self._conv, self._depthwise, self._pool] if len(spec.shape) == 3 else [self._arg_max]
            makers += [self._lookup] if spec.lo >= 0 and spec.hi < 256 else []
            stage = makers[self.rng.integers(len(makers))](source, spec)
        self.network = Network(self.network.input, (*self.network.stages, stage))

    @property
    def _name(self) -> str:
        return f"s{len(self.network.stages)}"

    def _int(self, lo: int, hi: int) -> int:
        return int(self.rng.integers(lo, hi, endpoint=True))

    def _weights(self, *shape: int) -> NDArray[np.int64]:
        reach = int(self.rng.choice([1, 7, 127, 128, 3000, 40000]))
        return self.rng.integers(-reach, reach, shape)

    def _threshold(self, source: str, spec: TensorSpec) -> Threshold:
        channels, count = spec.shape[-1], self._int(1, 40)
        rows = np.sort(self.rng.integers(spec.lo - 3, spec.hi + 3, (channels, count), endpoint=True), axis=1)
        directions = self.rng.choice([-1, 1], channels)
        rows = np.where(directions[:, None] > 0, rows, -rows[:, ::-1])
        return Threshold(self._name, (source,), rows, directions.astype(np.int8), self._int(-4, 4), self._int(-2, 2))

    def _window(self, spec: TensorSpec) -> dict[str, Any]:
        kernel = tuple(self._int(1, min(3, size)) for size in spec.shape[:2])
        pads = tuple(self._int(0, size - 1) for size in kernel * 2)
        return {"kernel": kernel, "strides": (self._int(1, 2), self._int(1, 3)), "pads": pads}

    def _conv(self, source: str, spec: TensorSpec) -> Conv:
        window, channels = self._window(spec), spec.shape[2]
        groups = int(self.rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        weights = self._weights(groups * self._int(1, 20), *window.pop("kernel"), channels // groups)
        dilated = all(
            spec.shape[i] + window["pads"][i] + window["pads"][i + 2] > 2 * weights.shape[1 + i] for i in (0, 1)
        )
        return Conv(self._name, (source,), weights, **window, dilations=(2, 2) if dilated else (1, 1), groups=groups)

    def _depthwise(self, source: str, spec: TensorSpec) -> Conv:
        window, channels = self._window(spec), spec.shape[2]
        return Conv(self._name, (source,), self._weights(channels, *window.pop("kernel"), 1), **window, groups=channels)

    def _dense(self, source: str, spec: TensorSpec) -> Dense:
        return Dense(self._name, (source,), self._weights(self._int(1, 20), spec.size))

    def _pool(self, source: str, spec: TensorSpec) -> Stage:
        pool = MaxPool if self.rng.random() < 0.5 else SumPool
        return pool(self._name, (source,), **self._window(spec))

    def _add(self, source: str, spec: TensorSpec) -> Add:
        peers = [name for name, other in self.network.tensors.items() if other.shape == spec.shape]
        inputs = (source, *self.rng.choice(peers, self._int(1, 2)).tolist())
        return Add(self._name, inputs, tuple(self._int(-3, 3) for _ in inputs))

    def _concat(self, source: str, spec: TensorSpec) -> Concat:
        peers = [name for name, other in self.network.tensors.items() if other.shape[:-1] == spec.shape[:-1]]
        return Concat(self._name, (source, *self.rng.choice(peers, self._int(0, 2)).tolist()))

    def _lookup(self, source: str, spec: TensorSpec) -> Lookup:
        reach = int(self.rng.choice([4, 100, 60000, 2**35]))
        table = self.rng.integers(-reach, reach, (spec.shape[-1], spec.hi + self._int(1, 3), self._int(1, 3)))
        return Lookup(self._name, (source,), table)

    def _take(self, source: str, spec: TensorSpec) -> Take:
        shape = tuple(int(n) for n in self.rng.integers(1, (7, 8, 7)))
        shape, count = (shape, int(np.prod(shape))) if self.rng.random() < 0.6 else ((spec.size,), spec.size)
        index = [
            lambda: np.arange(self._int(-spec.size, 0), spec.size)[:count].clip(-1),
            lambda: self.rng.integers(-1, spec.size, count),
            lambda: np.sort(self.rng.permutation(spec.size)[:count]),
        ][self.rng.integers(3)]()
        if len(index) < count:
            shape = (len(index),)
        return Take(self._name, (source,), shape, index, self._int(-9, 300))

    def _arg_max(self, source: str, spec: TensorSpec) -> ArgMax:
        return ArgMax(self._name, (source,))


def random_network(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    builder = NetworkBuilder(rng)
    for _ in range(rng.integers(1, 9)):
        builder.grow()
    return builder.network
