"""Random networks as people train them: few bits, blocks of convolution, threshold and pool."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bitswath.network.network import INPUT, Add, ArgMax, Conv, Dense, MaxPool, Network, Stage, SumPool, Threshold
from tests import reference
from tests.networks import Rng, network_of, random_codes

Rows = NDArray[np.int64]


class BlockBuilder:
    """Grows a network by whole blocks; thresholds lie where the sums of some random frames are."""

    def __init__(self, seed: int, *, codes: tuple[int, int] | None = None, shape: tuple[int, int, int] | None = None):
        self.rng = np.random.default_rng(seed)
        lo, hi = codes or (0, 2 ** int(self.rng.integers(1, 9)) - 1)
        shape = shape or (int(self.rng.integers(5, 15)), int(self.rng.integers(4, 20)), int(self.rng.integers(1, 20)))
        spec = network_of(shape, lo, hi, MaxPool("none", (INPUT,), (1, 1), (1, 1))).input
        self.input, self.stages = spec, list[Stage]()
        self.tensors = {INPUT: random_codes(spec, 3, np.random.default_rng(seed))}

    @property
    def last(self) -> str:
        return list(self.tensors)[-1]

    @property
    def network(self) -> Network:
        return Network(self.input, tuple(self.stages))

    def add(self, stage: Stage) -> str:
        self.stages.append(stage)
        self.tensors[stage.name] = reference.compute(stage, *(self.tensors[name] for name in stage.inputs))
        return stage.name

    def name(self) -> str:
        return f"s{len(self.stages)}"

    def conv(self, bits: int, outputs: int = 0, groups: int = 1) -> str:
        """Weights of `bits`: 1 is bipolar."""
        height, width, channels = self.tensors[self.last].shape[1:]
        outputs = outputs or int(self.rng.integers(1, 50)) * groups
        kernel = tuple(int(self.rng.integers(1, min(4, size + 1))) for size in (height, width))
        pads = tuple(int(self.rng.integers(0, side + 1)) for side in kernel * 2)
        strides = tuple(int(self.rng.choice([1, 1, 2])) for _ in kernel)
        weights = self.weights(bits, (outputs, *kernel, channels // groups))
        return self.add(Conv(self.name(), (self.last,), weights, strides, pads, groups=groups))

    def weights(self, bits: int, shape: tuple[int, ...]) -> Rows:
        if bits == 1:
            return self.rng.choice([-1, 1], shape)
        weights = self.rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), shape)
        weights.flat[0], weights.flat[-1] = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        return weights

    def threshold(self, bits: int, kind: str, base: int = 0) -> str:
        sums = self.tensors[self.last].reshape(-1, self.tensors[self.last].shape[-1])
        directions = np.ones(sums.shape[1], np.int8)
        if kind == "falling":
            directions = self.rng.choice([-1, 1], sums.shape[1]).astype(np.int8)
        directed = sums * directions
        rows = threshold_rows(directed.min(0), directed.max(0), 2**bits - 1, kind, self.rng)
        return self.add(Threshold(self.name(), (self.last,), rows, directions, base))

    def activation(self, kind: str | None = None) -> str:
        bits, base = int(self.rng.integers(1, 9)), 0
        if bits > 1 and self.rng.random() < 0.2:
            base = -(2 ** (bits - 1))
        return self.threshold(bits, kind or str(self.rng.choice(KINDS)), base)

    def plain(self) -> None:
        self.conv(self._bits())
        self.activation()

    def grouped(self) -> None:
        channels = self.tensors[self.last].shape[-1]
        groups = int(self.rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        self.conv(self._bits(), int(self.rng.integers(1, 5)) * groups, groups)
        self.activation()

    def separable(self) -> None:
        channels = self.tensors[self.last].shape[-1]
        self.conv(self._bits(), channels, channels)
        self.activation()
        self.conv(self._bits())
        self.activation()

    def residual(self) -> None:
        shortcut, channels = self.last, self.tensors[self.last].shape[-1]
        weights = self.weights(self._bits(), (channels, 3, 3, channels))
        conv = self.add(Conv(self.name(), (shortcut,), weights, pads=(1, 1, 1, 1)))
        self.add(Add(self.name(), (conv, shortcut), (1, int(self.rng.integers(-9, 10)))))
        self.activation()

    def pooled(self) -> None:
        self.plain()
        if min(self.tensors[self.last].shape[1:3]) >= 2:
            pool = MaxPool if self.rng.random() < 0.7 else SumPool
            self.add(pool(self.name(), (self.last,), (2, 2), (2, 2)))

    def head(self) -> None:
        size = int(np.prod(self.tensors[self.last].shape[1:]))
        self.add(Dense(self.name(), (self.last,), self.weights(self._bits(), (10, size))))
        if self.rng.random() < 0.3:
            self.add(ArgMax(self.name(), (self.last,)))

    def _bits(self) -> int:
        return int(self.rng.integers(1, 9))


KINDS = ("uniform", "uniform", "uniform", "falling", "irregular", "duplicate", "out of reach", "constant")


def threshold_rows(lo: Rows, hi: Rows, count: int, kind: str, rng: Rng) -> Rows:
    """Ascending thresholds (channels, count) around sums within lo..hi of each channel."""
    if kind == "irregular":
        rows = rng.integers(lo[:, None], hi[:, None], (len(lo), count), endpoint=True)
    elif kind == "duplicate":
        few = rng.integers(lo[:, None], hi[:, None], (len(lo), count // 2 + 1), endpoint=True)
        rows = np.concatenate([few, few], axis=1)[:, :count]
    elif kind == "constant":
        rows = np.where(rng.random(len(lo))[:, None] < 0.5, 2**40, -(2**40)) + np.zeros((1, count), np.int64)
    else:
        middle, span = (lo + hi) / 2, (hi - lo + 1.0) * rng.uniform(0.2, 1.2, len(lo))
        if kind == "out of reach":
            middle += rng.choice([-1, 0, 1], len(lo)) * span * rng.choice([0.5, 1, 10**6], len(lo))
        rows = np.ceil(middle[:, None] + (np.arange(count) + 0.5 - count / 2) / count * span[:, None]).astype(np.int64)
    return np.sort(rows, axis=1)


def block_network(seed: int) -> Network:
    builder = BlockBuilder(seed)
    for _ in range(builder.rng.integers(1, 4)):
        blocks = (builder.plain, builder.grouped, builder.separable, builder.residual, builder.pooled)
        blocks[builder.rng.integers(len(blocks))]()
    builder.head()
    return builder.network


def vgg(weight_bits: int, activation_bits: int, *, kind: str = "uniform", channels: int = 3) -> Network:
    """Two convolutions and a pool, twice, then a dense stage."""
    codes = (0, 2**activation_bits - 1)
    builder = BlockBuilder(weight_bits * 9 + activation_bits, codes=codes, shape=(12, 11, channels))
    for outputs in (16, 24):
        for pool in (False, True):
            weights = builder.weights(weight_bits, (outputs, 3, 3, builder.tensors[builder.last].shape[-1]))
            builder.add(Conv(builder.name(), (builder.last,), weights, pads=(1, 1, 1, 1)))
            builder.threshold(activation_bits, kind)
            if pool:
                builder.add(MaxPool(builder.name(), (builder.last,), (2, 2), (2, 2)))
    builder.head()
    return builder.network
