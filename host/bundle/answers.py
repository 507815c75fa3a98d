"""What a bundle's network says of patches: labels and logits from its last integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.bundle.bundle import Bundle
from bitswath.bundle.manifest import OutputInfo
from bitswath.network.network import ArgMax, Head

__all__ = ["DenseResult", "Result", "answer", "how_it_answers"]

Integers = NDArray[np.signedinteger]


@dataclass(frozen=True, eq=False)
class Result:
    """Predictions for N patches.

    `labels`: int64 (N,), indices into `classes`; of equal logits the lowest index wins. `outputs`: where the network
    has several, the predictions of each, by name; `labels` and `logits` are those of the first, whose classes have
    names; the others' are numbered. `made_logits`: what `logits` are made by.
    """

    labels: NDArray[np.integer]
    made_logits: Callable[[], NDArray[np.float32]] | None = field(repr=False)
    classes: tuple[str, ...]
    outputs: Mapping[str, Result] = field(default_factory=dict, kw_only=True)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def logits(self) -> NDArray[np.float32] | None:
        """float32 (N, classes), made when they are first asked for: probabilities if the network ends in a softmax,
        None if it, or FINN's bitstream, ends in ArgMax."""
        return None if self.made_logits is None else self.made_logits()

    @property
    def of_patches(self) -> NDArray[np.int64]:
        """One label a patch (N,)."""
        return self.labels.astype(np.int64, copy=False)

    @property
    def names(self) -> list[str]:
        """The class names of `of_patches`."""
        return [self.classes[label] for label in self.of_patches]


@dataclass(frozen=True, eq=False)
class DenseResult(Result):
    """A class for each pixel of N patches: segmentation.

    `labels`: uint8, or uint16 for more than 256 classes, (N, H, W). `logits`: float32 (N, H, W, classes). The size is
    that of the network's output, which may differ from the patch's.
    """

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Pixels of each class: (N, classes)."""
        rows = [np.bincount(patch.reshape(-1), minlength=len(self.classes)) for patch in self.labels]
        return np.array(rows, np.int64).reshape(len(self), len(self.classes))

    @property
    def of_patches(self) -> NDArray[np.int64]:
        """The class that most of a patch's pixels have, of as many the lowest: (N,)."""
        return np.asarray(self.counts.argmax(axis=1), np.int64)


def how_it_answers(bundle: Bundle) -> str:
    """One line: what there is a label for, and the outputs if there are several."""
    described = bundle.manifest.outputs
    if described:
        listed = ", ".join(f"{output.name} ({' x '.join(map(str, output.shape))})" for output in described)
        return f"{len(described)} outputs: {listed}; labels and classes are those of the first"
    height, width = (1, 1, *bundle.network.output.shape)[-3:-1]
    what = "patch" if height == width == 1 else f"of {height} x {width} pixels"
    return f"one of {len(bundle.classes)} classes for each {what}"


def answer(bundle: Bundle, values: Integers) -> Result:
    """The predictions that the last integers of its network, (N, *output shape), mean."""
    network = bundle.network
    if isinstance(network.stages[-1], ArgMax):
        return Result(values.reshape(-1).astype(np.int64), None, bundle.classes)
    described = bundle.manifest.outputs
    if not described:
        return _one(values, network.head, bundle.classes)
    parts: dict[str, Result] = {}
    start = 0
    for output in described:
        stop = start + prod(output.shape)
        scale, offset = (v if v.size == 1 else v[start:stop] for v in (network.head.scale, network.head.offset))
        names = bundle.classes if not parts else tuple(map(str, range(output.shape[-1])))
        parts[output.name] = _one(values[:, start:stop], Head(scale, offset), names, output)
        start = stop
    return replace(parts[described[0].name], outputs=parts)


def _one(values: Integers, head: Head, classes: tuple[str, ...], output: OutputInfo | None = None) -> Result:
    """Of one output: values (N, *shape), or flat ones (N, size) of an `output` with that shape."""
    shape = values.shape[1:] if output is None else output.shape
    dense = prod(shape[:-1]) != 1
    whole = (len(values), *(shape if dense else shape[-1:]))
    best = _comparable(values, head).reshape(whole).argmax(axis=-1)
    logits = partial(_dequantized, values, head, whole)
    if not dense:
        return Result(best.astype(np.int64, copy=False), logits, classes)
    return DenseResult(best.astype(np.uint8 if shape[-1] <= 256 else np.uint16), logits, classes)


def _dequantized(values: Integers, head: Head, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return head.dequantize(values).reshape(shape)


def _comparable(values: Integers, head: Head) -> NDArray[Any]:
    """Numbers in the order of the logits before a softmax: integers where one positive scale keeps theirs, because
    floats may round two unequal integers to one."""
    ordered = head.scale.size == head.offset.size == 1 and bool(head.scale[0] > 0)
    return values if ordered else replace(head, softmax=False).dequantize(values)
