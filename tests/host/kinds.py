"""Networks that the tests of the host share."""

from __future__ import annotations

import numpy as np

from bitswath.network.network import (
    INPUT,
    Add,
    ArgMax,
    Concat,
    Conv,
    Dense,
    Head,
    Lookup,
    MaxPool,
    Network,
    Stage,
    SumPool,
    Take,
    TensorSpec,
    Threshold,
)


def every_stage(seed: int = 0, *, argmax: bool = True) -> Network:
    """A 2-bit network over (6, 6, 2) that has each kind of stage and non-default settings."""
    rng = np.random.default_rng(seed)
    stages: list[Stage] = [
        Lookup("levels", (INPUT,), np.sort(rng.integers(0, 256, (2, 4, 1)), axis=1)),
        Conv("conv", ("levels",), rng.integers(-7, 8, (4, 3, 2, 1)), (1, 2), (1, 0, 1, 1), (1, 2), 2),
        Threshold(
            "act",
            ("conv",),
            np.sort(rng.integers(-3000, 3000, (4, 15)), axis=1),
            np.array([1, -1, 1, 1], np.int8),
            base=-2,
            step=1,
        ),
        MaxPool("max", ("act",), (2, 2), (1, 1), (1, 0, 0, 1)),
        SumPool("sum", ("act",), (2, 2), (1, 1), (1, 0, 0, 1)),
        Add("add", ("max", "sum"), (3, -1)),
        Concat("cat", ("add", "max")),
        Take("some", ("cat",), (2, 3, 8), np.where(rng.random(48) < 0.1, -1, rng.permutation(6 * 3 * 8)[:48]), fill=-7),
        Dense("logits", ("some",), rng.integers(-128, 128, (3, 2 * 3 * 8))),
    ]
    if argmax:
        stages.append(ArgMax("label", ("logits",)))
        return Network(TensorSpec((6, 6, 2), 0, 3), tuple(stages))
    head = Head(np.array([0.25, 0.5, 0.125]), np.array([1.5]), softmax=True)
    return Network(TensorSpec((6, 6, 2), 0, 3), tuple(stages), head)


def linear(weights: object, shape: tuple[int, int, int], bits: int, head: Head | None = None) -> Network:
    """One Dense stage over `bits`-wide codes of `shape`."""
    dense = Dense("logits", (INPUT,), np.asarray(weights, np.int64))
    return Network(TensorSpec(shape, 0, 2**bits - 1), (dense,), head or Head())
