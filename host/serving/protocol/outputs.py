"""What a model answers: labels, their names, logits and scores of frames, as tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.bundle.answers import DenseResult, Result, answer
from bitswath.bundle.bundle import Bundle
from bitswath.errors import InputError
from bitswath.serving.protocol.inputs import Input
from bitswath.serving.protocol.requests import InferRequest, Wanted
from bitswath.serving.protocol.tensors import BYTES, Tensor, datatype_of

__all__ = ["check_wanted", "labels_of", "outputs_of", "tensors_of"]

_Data = NDArray[Any] | list[bytes]


def outputs_of(bundle: Bundle) -> tuple[Input, ...]:
    """All that may be asked for: of a patch `labels`, `names` and, unless the network ends in ArgMax, `logits` and
    `scores` (probabilities); with several outputs the labels and logits of each, as ``NAME.labels``, too."""
    trial = answer(bundle, np.zeros((1, *bundle.network.output.shape), np.int64))
    return tuple(
        Input(name, *((BYTES, (-1,)) if isinstance(data, list) else (datatype_of(data.dtype), (-1, *data.shape[1:]))))
        for name, data in ((name, make()) for name, make in _makers(bundle, trial).items())
    )


def check_wanted(outputs: Sequence[Input], request: InferRequest) -> None:
    """Raises `InputError` for an output that there is not, before anything is computed."""
    known = {output.name: output for output in outputs}
    for wanted in request.outputs or ():
        if wanted.name not in known:
            raise InputError(f"expected outputs of {', '.join(known)}, got {wanted.name[:40]!r}")
        if wanted.classification and known[wanted.name].datatype != "FP32":
            raise InputError(f"{wanted.name}: expected classification of logits or scores")


def tensors_of(bundle: Bundle, values: NDArray[Any], request: InferRequest) -> tuple[tuple[Tensor, bool], ...]:
    """The outputs that were asked for, of the network's integers (n, *output shape)."""
    makers = _makers(bundle, answer(bundle, values))
    wanted = request.outputs or tuple(Wanted(name, request.binary) for name in makers)
    return tuple((_tensor(bundle, each, makers[each.name]()), each.binary) for each in wanted)


def labels_of(bundle: Bundle, values: NDArray[Any]) -> NDArray[np.int64]:
    """One label a patch."""
    return answer(bundle, values).of_patches


def _makers(bundle: Bundle, result: Result) -> dict[str, Callable[[], _Data]]:
    makers: dict[str, Callable[[], _Data]] = {
        "labels": lambda: _labels(result),
        "names": lambda: [name.encode() for name in result.names],
    }
    if result.made_logits is not None:
        makers["logits"] = lambda: _logits(result)
        makers["scores"] = lambda: _logits(result) if bundle.network.head.softmax else _softmax(_logits(result))
    for name, part in result.outputs.items():
        makers[f"{name}.labels"] = partial(_labels, part)
        if part.made_logits is not None:
            makers[f"{name}.logits"] = partial(_logits, part)
    return makers


def _labels(result: Result) -> NDArray[Any]:
    """int64 a patch; of pixels as wide as the classes need."""
    return result.labels if isinstance(result, DenseResult) else result.labels.astype(np.int64, copy=False)


def _logits(result: Result) -> NDArray[np.float32]:
    assert result.logits is not None
    return result.logits


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True), np.float32)


def _tensor(bundle: Bundle, wanted: Wanted, data: _Data) -> Tensor:
    if isinstance(data, list):
        return Tensor(wanted.name, BYTES, (len(data),), data)
    if wanted.classification is None:
        return Tensor(wanted.name, datatype_of(data.dtype), data.shape, data)
    count = min(wanted.classification, data.shape[-1])
    best = np.argsort(-data, axis=-1, kind="stable")[..., :count]
    names = bundle.classes if len(bundle.classes) == data.shape[-1] else None
    chosen = zip(np.take_along_axis(data, best, -1).reshape(-1).tolist(), best.reshape(-1).tolist())
    texts = [f"{value:f}:{index}{f':{names[index]}' if names else ''}".encode() for value, index in chosen]
    return Tensor(wanted.name, BYTES, best.shape, texts)
