"""What lowering gives: the integer network, and the QONNX tensors whose integers it has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import InputError
from bitswath.models.lowering.chains.input_quantizer import Entry, InputQuantizer
from bitswath.models.lowering.chains.values import Index
from bitswath.network.network import INPUT, Conv, Dense, Network, TensorSpec, Threshold

__all__ = ["Correspondence", "Lowered", "Output", "over_codes"]

Floats = NDArray[np.float64]
OFF_INTEGER = 1e-3
UNIT_ROUNDOFF = 2.0**-24
"""Of float32."""
LARGEST_ERROR = 0.25
"""Farther from an integer than this, its neighbour is no less likely."""
INTEGERS = "input.integers"
"""The stage that turns codes into the integers that the network begins with."""


@dataclass(frozen=True, eq=False)
class Correspondence:
    """A QONNX tensor and the network tensor `tensor` behind it: ``real = scale * integer + offset``.

    `shape`: the network shape; `scale`, `offset`: float64 (1,) or (channels,); `index`: int32 of the
    QONNX shape with batch 1, the flat position in the network tensor of each element.
    """

    tensor: str
    shape: tuple[int, ...]
    scale: Floats
    offset: Floats
    index: Index


@dataclass(frozen=True)
class Output:
    """An output of the graph, by its QONNX name, and its shape in the network: (C,) or (H, W, C)."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Lowered:
    """The integer network of a QONNX model, and how their tensors correspond.

    `tensors`: by QONNX tensor name, for tensors whose integers the network has; `input` and `output`
    are the QONNX names of the graph's ends (`output` is in `tensors` unless a Softmax or what is left out
    ends the graph).
    `index`: int32 of the graph input's shape with batch 1, where each element lies in the network's input;
    `batch`: frames that the graph was exported for. `declared`: whether the graph input's integers are the network's,
    else those of its first quantizer are; `entry` says how what a user has becomes them, None where nobody knows.
    `quantizer`: how much of its range a quantizer of the input uses. `left_out`: operators behind the logits.
    `outputs`: the graph's outputs; of several the network's last tensor holds one behind the other.
    """

    network: Network
    tensors: Mapping[str, Correspondence]
    input: str
    output: str
    index: Index
    batch: int = 1
    declared: bool = True
    entry: Entry | None = None
    quantizer: InputQuantizer | None = None
    left_out: tuple[str, ...] = ()
    outputs: tuple[Output, ...] = ()

    @property
    def end_note(self) -> str | None:
        """What logits and labels are, in a line, where the graph ends in more than the network computes."""
        if not self.left_out:
            return None
        note = f"the graph ends in {', '.join(self.left_out)}, left out here: logits are the values before it"
        if "Sigmoid" in self.left_out:
            return f"{note}, above 0 where a Sigmoid is above 0.5; a label is the class of the largest, one of several"
        return f"{note}, and a label is the class of the largest"

    def fed(self, patches: NDArray[Any]) -> NDArray[np.float32]:
        """What the graph takes, float32 (N, ...), for a user's patches (N, H, W, C). Raises `InputError` where nobody
        knows what they become."""
        if self.entry is None:
            raise InputError(f"nothing says what the graph's input {self.input!r} is fed")
        real = self.entry.pixels.reals(patches).reshape(len(patches), -1)
        return real[:, self.index.reshape(-1)].reshape(len(patches), *self.index.shape[1:])

    @property
    def coarse(self) -> tuple[str, ...]:
        """QONNX tensors whose float32 sums may be too far from an integer to tell which one it is."""
        return tuple(name for name, pair in self.tensors.items() if self._rounding(pair) > LARGEST_ERROR)

    def integers(self, name: str, array: NDArray[Any], near: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """A QONNX tensor (N, ...) as the network's integers (N, *network shape).

        Reals of a `coarse` tensor are the integers of `near` if they are no farther from them than their rounding.
        Raises `InputError` for a wrong shape, or for reals that are no integers of the tensor's scale: more than
        0.001 off, and more than a float32 sum may be.
        """
        pair = self._pair(name)
        if array.shape[1:] != pair.index.shape[1:]:
            raise InputError(f"tensor {name!r}: expected shape (N, *{pair.index.shape[1:]}), got {array.shape}")
        flat = np.empty((len(array), pair.index.size))
        flat[:, pair.index.reshape(-1)] = array.reshape(len(array), -1)
        exact = (flat.reshape(len(array), *pair.shape) - pair.offset) / pair.scale
        rounded = np.rint(exact)
        distance = float(np.abs(exact - rounded).max(initial=0.0))
        limit = OFF_INTEGER + self._rounding(pair)
        if near is not None and name in self.coarse and np.abs(exact - near).max() <= limit:
            return near
        if not distance <= min(limit, LARGEST_ERROR):
            raise InputError(f"tensor {name!r}: expected integers times {pair.scale[0]:.6g}, {distance:.3g} off")
        return rounded.astype(np.int64)

    def reals(self, name: str, integers: NDArray[np.integer]) -> NDArray[np.float32]:
        """Network integers (N, *network shape) as the QONNX tensor (N, ...), float32."""
        pair = self._pair(name)
        if integers.shape[1:] != pair.shape:
            raise InputError(f"tensor {name!r}: expected shape (N, *{pair.shape}), got {integers.shape}")
        real = (integers * pair.scale + pair.offset).astype(np.float32).reshape(len(integers), -1)
        return real[:, pair.index.reshape(-1)].reshape(len(integers), *pair.index.shape[1:])

    def _rounding(self, pair: Correspondence) -> float:
        """How far rounding takes a float32 sum from its integer, in steps.

        Of n products and an offset whose magnitudes sum to at most the tensor's range and the offset: sqrt(n) unit
        roundoffs of that for the sum (Higham and Mary, SIAM J. Sci. Comput. 41 (5), 2019: the probabilistic bound),
        three for input, weight, product.
        """
        spec = self.network.tensors[pair.tensor]
        stage = next((stage for stage in self.network.stages if stage.name == pair.tensor), None)
        terms = stage.weights[0].size if isinstance(stage, Conv | Dense) else 1
        reach = spec.hi - spec.lo + float(np.abs(pair.offset / pair.scale).max())
        return UNIT_ROUNDOFF * (math.sqrt(terms) + 3) * reach

    def _pair(self, name: str) -> Correspondence:
        if name not in self.tensors:
            raise InputError(f"tensor {name!r} has no integers in the network; known: {', '.join(self.tensors)}")
        return self.tensors[name]


def over_codes(lowered: Lowered) -> Lowered:
    """The same network over the codes of its entry, which count the input's integers from the lowest or the highest.

    A `Threshold` in front gives the integers back where they are not the codes themselves.
    """
    entry, spec = lowered.entry, lowered.network.input
    if entry is None:
        return lowered
    count, codes = entry.count, TensorSpec(spec.shape, 0, (1 << entry.bits) - 1)
    if spec == codes and not entry.falls.any():
        return lowered
    rising, step = np.arange(1, count + 1, dtype=np.int64), (spec.hi - spec.lo) // max(count, 1)
    counted = np.where(entry.falls[:, None], rising - count, rising)
    directions = np.where(entry.falls, -1, 1).astype(np.int8)
    if (counted == counted[0]).all():
        counted, directions = counted[:1], directions[:1]
    front = Threshold(INTEGERS, (INPUT,), counted, directions, spec.lo, step)
    stages = (
        replace(stage, inputs=tuple(INTEGERS if name == INPUT else name for name in stage.inputs))
        for stage in lowered.network.stages
    )
    network = Network(codes, (front, *stages), lowered.network.head)
    tensors = {k: replace(v, tensor=INTEGERS) if v.tensor == INPUT else v for k, v in lowered.tensors.items()}
    return replace(lowered, network=network, tensors=tensors)
