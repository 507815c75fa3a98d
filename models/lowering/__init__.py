"""QONNX to the integer network.

`lower` walks a QONNX graph in execution order. Linear nodes become stages over integers; every
elementwise node between an accumulator and its quantizer waits in a chain; at the quantizer the chain
is evaluated on every reachable accumulator value and becomes a `Threshold` stage. Constants
(weights and their quantizers, shapes) are folded on the way with qonnx's own executor.

What a graph may look like:

- Input: one tensor, batch first, (1, C, H, W), (1, H, W, C), (1, H, W) or (1, F). Its integers come
  from its datatype annotation (``UINT4``, ``INT8``, ``BINARY``, ``BIPOLAR``), from `input_datatype`, or
  from the quantizer that reads it; then the network's input is that quantizer's integer.
- Palette: codes (1, 1, H, W) -> Cast to int64 -> Gather(table (entries, bands), axis 0) -> (1, 1, H, W,
  bands) -> Squeeze axis 1 -> (1, H, W, bands) -> Transpose (0, 3, 1, 2). Any other mix of Reshape,
  Transpose and Squeeze does as well.
- Levels of a companded codec: codes (1, C, H, W) -> Cast to int64 -> Add (1, C, 1, 1) of band * entries ->
  Gather(table (C * entries,), axis 0) -> (1, C, H, W). Without the Add one table serves all bands.
- Tables hold integers as floats, or pass through a Quant.
- End: an affine tensor (logits), a Softmax, or TopK with k = 1 or ArgMax over flat logits of one scale.
  A flat output keeps QONNX's order; an image is (H, W, C).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper

from bitswath.errors import InputError, LoweringError, NetworkError
from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chain import Link, fold_affine
from bitswath.models.lowering.ends import flat
from bitswath.models.lowering.inputs import find_input
from bitswath.models.lowering.links import QUANTIZERS
from bitswath.models.lowering.nodes import lower_node
from bitswath.models.lowering.thresholds import EXHAUSTIVE_LIMIT
from bitswath.models.lowering.values import Constant, FloatInput, Index, Node, Symbol, Value
from bitswath.network import INPUT, Conv, Dense, Head, Network, Stage

__all__ = ["Correspondence", "Lowered", "lower"]

Floats = NDArray[np.float64]
OFF_INTEGER = 1e-3
UNIT_ROUNDOFF = 2.0**-24
"""Of float32."""
LARGEST_ERROR = 0.25
"""Farther from an integer than this, its neighbour is no less likely."""


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


@dataclass(frozen=True, eq=False)
class Lowered:
    """The integer network of a QONNX model, and how their tensors correspond.

    `tensors`: by QONNX tensor name, for tensors whose integers the network has; `input` and `output`
    are the QONNX names of the graph's ends (`output` is in `tensors` unless a Softmax ends the graph).
    """

    network: Network
    tensors: Mapping[str, Correspondence]
    input: str
    output: str

    def integers(self, name: str, array: NDArray[Any]) -> NDArray[np.int64]:
        """A QONNX tensor (N, ...) as the network's integers (N, *network shape).

        Raises `InputError` for a wrong shape, or for reals that are no integers of the tensor's scale:
        more than 0.001 off, and more than a float32 sum may be.
        """
        pair = self._pair(name)
        if array.shape[1:] != pair.index.shape[1:]:
            raise InputError(f"tensor {name!r}: expected shape (N, *{pair.index.shape[1:]}), got {array.shape}")
        flat = np.empty((len(array), pair.index.size))
        flat[:, pair.index.reshape(-1)] = array.reshape(len(array), -1)
        exact = (flat.reshape(len(array), *pair.shape) - pair.offset) / pair.scale
        rounded = np.rint(exact)
        distance = float(np.abs(exact - rounded).max(initial=0.0))
        if not distance <= min(OFF_INTEGER + self._rounding(pair.tensor), LARGEST_ERROR):
            raise InputError(f"tensor {name!r}: expected integers times {pair.scale[0]:.6g}, {distance:.3g} off")
        return rounded.astype(np.int64)

    def reals(self, name: str, integers: NDArray[np.integer]) -> NDArray[np.float32]:
        """Network integers (N, *network shape) as the QONNX tensor (N, ...), float32."""
        pair = self._pair(name)
        if integers.shape[1:] != pair.shape:
            raise InputError(f"tensor {name!r}: expected shape (N, *{pair.shape}), got {integers.shape}")
        real = (integers * pair.scale + pair.offset).astype(np.float32).reshape(len(integers), -1)
        return real[:, pair.index.reshape(-1)].reshape(len(integers), *pair.index.shape[1:])

    def _rounding(self, tensor: str) -> float:
        """How far rounding takes a float32 sum from its integer, in steps.

        Of n products whose magnitudes sum to at most the tensor's range: sqrt(n) unit roundoffs of that for the sum
        (Higham and Mary, SIAM J. Sci. Comput. 41 (5), 2019: the probabilistic bound), three for input, weight, product.
        """
        spec = self.network.tensors[tensor]
        stage = next((stage for stage in self.network.stages if stage.name == tensor), None)
        terms = stage.weights[0].size if isinstance(stage, Conv | Dense) else 1
        return UNIT_ROUNDOFF * (math.sqrt(terms) + 3) * (spec.hi - spec.lo)

    def _pair(self, name: str) -> Correspondence:
        if name not in self.tensors:
            raise InputError(f"tensor {name!r} has no integers in the network; known: {', '.join(self.tensors)}")
        return self.tensors[name]


def lower(
    model: str | Path | ModelProto | ModelWrapper,
    *,
    input_datatype: str | None = None,
    input_scale: float = 1.0,
    exhaustive_limit: int = EXHAUSTIVE_LIMIT,
) -> Lowered:
    """The integer network that computes the integers of a QONNX model.

    `input_datatype` (such as "UINT8") overrides the annotation of the graph input, whose reals are
    `input_scale` times those integers (1/255 for a graph that takes pixels from 0 to 1). Thresholds are
    searched exhaustively up to `exhaustive_limit` evaluations, then by bisection where that is as
    exact (see `thresholds`). Raises `LoweringError` naming the node, its operator and the
    reason for what has no integer form.
    """
    wrapper = _load(model)
    _adopt_quantizers(wrapper)
    graph = wrapper.graph
    symbols: dict[str, Symbol] = {i.name: Constant(numpy_helper.to_array(i)) for i in graph.initializer}
    build = Builder({o.domain: o.version for o in wrapper.model.opset_import}, exhaustive_limit)
    name, symbol, spec, build.batch = find_input(wrapper, input_datatype, input_scale)
    if spec is not None:
        build.specs[INPUT] = spec
    symbols[name] = symbol
    tensors: dict[str, Correspondence] = {}
    _record(tensors, name, symbol)
    for proto in graph.node:
        node = Node(proto)
        inputs = [_lookup(node, symbols, i) for i in proto.input]
        outputs = lower_node(build, node, inputs)
        if isinstance(inputs[0] if inputs else None, FloatInput) and isinstance(outputs[0], Value):
            _record(tensors, name, replace(outputs[0], index=symbol.index))
        for output, result in zip(proto.output, outputs):
            if result is not None:
                symbols[output] = result
                _record(tensors, output, result)
    return _finish(build, wrapper, symbols, tensors, name)


def _load(model: str | Path | ModelProto | ModelWrapper) -> ModelWrapper:
    if isinstance(model, ModelWrapper):
        return ModelWrapper(model.model, make_deepcopy=True)
    if isinstance(model, ModelProto):
        return ModelWrapper(model, make_deepcopy=True)
    try:
        return ModelWrapper(onnx.load(str(model)))
    except OSError as error:
        raise LoweringError(f"{model}: cannot be read: {error.strerror or error}") from error
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise LoweringError(f"{model}: not an ONNX file: {error}") from error


def _adopt_quantizers(wrapper: ModelWrapper) -> None:
    """Puts quantizers that some exporters leave in another domain where qonnx executes them."""
    for node in wrapper.graph.node:
        if node.op_type in QUANTIZERS and node.domain not in ("qonnx.custom_op.general", "onnx.brevitas"):
            node.domain = "qonnx.custom_op.general"


def _lookup(node: Node, symbols: Mapping[str, Symbol], name: str) -> Symbol | None:
    if not name:
        return None
    if name not in symbols:
        raise node.error(f"input {name!r} is not computed before it, or has no integer form")
    return symbols[name]


def _record(tensors: dict[str, Correspondence], name: str, symbol: Symbol) -> None:
    if not isinstance(symbol, Value) or any(symbol.pads) or symbol.softmax or symbol.index.shape[:1] != (1,):
        return
    links = [link for link in symbol.chain if isinstance(link, Link)]
    folded = fold_affine(links, symbol.scale, symbol.offset) if len(links) == len(symbol.chain) else None
    if folded is None or (links and (np.any(folded[1]) or not np.all(folded[0]))):
        return  # with an offset a float32 chain is too coarse to tell the integers
    tensors[name] = Correspondence(symbol.tensor, symbol.shape, folded[0], folded[1], symbol.index)


def _finish(
    build: Builder,
    wrapper: ModelWrapper,
    symbols: Mapping[str, Symbol],
    tensors: dict[str, Correspondence],
    input_name: str,
) -> Lowered:
    name, node = _output(wrapper, symbols)
    value = symbols[name]
    if not isinstance(value, Value):
        raise LoweringError(f"output {name!r}: expected a tensor computed from the input, got a constant")
    softmax = value.softmax
    value = flat(build, node, build.plain(node, build.settle_pads(node, replace(value, softmax=False))))
    if not softmax:
        _record(tensors, name, value)
    stages = _needed(build, value.tensor)
    kept = {INPUT, *(stage.name for stage in stages)}
    try:
        network = Network(build.specs[INPUT], stages, Head(value.scale, value.offset, softmax))
    except NetworkError as error:
        raise LoweringError(f"output {name!r}: {error}") from error
    return Lowered(network, {k: v for k, v in tensors.items() if v.tensor in kept}, input_name, name)


def _output(wrapper: ModelWrapper, symbols: Mapping[str, Symbol]) -> tuple[str, Node]:
    """The one graph output that counts: of a TopK's two, the indices."""
    graph = wrapper.graph
    producers = {o: Node(n) for n in graph.node for o in n.output}
    names = [str(o.name) for o in graph.output]
    if len(names) > 1:
        names = [n for n in names if n not in producers or producers[n].op != "TopK" or n != producers[n].output]
    if len(names) != 1:
        raise LoweringError(f"expected one graph output, got {[o.name for o in graph.output]}")
    if names[0] not in producers:
        raise LoweringError(f"output {names[0]!r}: no node computes it")
    return names[0], producers[names[0]]


def _needed(build: Builder, output: str) -> tuple[Stage, ...]:
    """The stages that the output depends on; the output's own is the last."""
    needed = {output}
    for stage in reversed(build.stages):
        if stage.name in needed:
            needed.update(stage.inputs)
    return tuple(stage for stage in build.stages if stage.name in needed)
