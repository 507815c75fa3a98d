"""The walk over a graph that makes the integer network of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import GraphProto, ModelProto, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper

from bitswath.errors import LoweringError, NetworkError
from bitswath.models.lowering.builder import Builder
from bitswath.models.lowering.chains.chain import Link, fold_affine
from bitswath.models.lowering.chains.thresholds import EXHAUSTIVE_LIMIT
from bitswath.models.lowering.chains.values import Constant, FloatInput, Node, Symbol, Value
from bitswath.models.lowering.ends import flat, open_end
from bitswath.models.lowering.lowered import Correspondence, Lowered
from bitswath.models.lowering.nodes import lower_node
from bitswath.models.lowering.passes import canonical
from bitswath.models.lowering.reading.inputs import GraphInput, find_input
from bitswath.models.lowering.reading.source import read_model
from bitswath.network.network import INPUT, Head, Network, Stage

__all__ = ["lower"]


def lower(
    model: str | Path | ModelProto | ModelWrapper,
    *,
    input_datatype: str | None = None,
    input_scale: ArrayLike | None = None,
    input_offset: ArrayLike | None = None,
    exhaustive_limit: int = EXHAUSTIVE_LIMIT,
) -> Lowered:
    """The integer network that computes the integers of a QONNX model.

    `input_datatype` (such as "UINT8", or "FLOAT32" for none) overrides the annotation of the graph input, whose
    reals are `input_scale` times those integers plus `input_offset` (1/255 and 0 for a graph that takes pixels from
    0 to 1), each one number or one for each channel. Of an input without integers, or with more than 8 bits, scale
    and offset are those of raw pixels, and the network begins with the integers of the input's first quantizer, see
    `entry`. Thresholds are searched exhaustively up to `exhaustive_limit` evaluations, then by bisection where that
    is as exact (see `thresholds`). Raises `LoweringError` naming the node, its operator and the reason for what has
    no integer form.
    """
    loaded = _load(model)
    graph = loaded.graph
    symbols = _constants(graph)
    wrapper = ModelWrapper(loaded)
    source = find_input(wrapper, input_datatype, _rows(input_scale), _rows(input_offset))
    opsets = {o.domain: o.version for o in wrapper.model.opset_import}
    build = Builder(opsets, exhaustive_limit, source.pixels, source.batch)
    if source.spec is not None:
        build.specs[INPUT] = source.spec
    symbols[source.name] = source.symbol
    tensors: dict[str, Correspondence] = {}
    _record(tensors, source.name, source.symbol)
    for proto in graph.node:
        node = Node(proto)
        inputs = [_lookup(node, symbols, i) for i in proto.input]
        outputs = lower_node(build, node, inputs)
        for output, result in zip(proto.output, outputs):
            if result is not None:
                symbols[output] = result
                _record(tensors, output, result)
    if build.input_grid is not None:
        grid, real = build.input_grid, source.symbol
        _record(tensors, source.name, Value(INPUT, real.shape, real.index, grid.scale, grid.offset))
    return _finish(build, wrapper, symbols, tensors, source)


def _rows(values: ArrayLike | None) -> NDArray[np.float64] | None:
    return None if values is None else np.atleast_1d(np.asarray(values, np.float64))


def _load(model: str | Path | ModelProto | ModelWrapper) -> ModelProto:
    if isinstance(model, str | Path):
        return read_model(model)
    proto = ModelProto()
    proto.CopyFrom(model.model if isinstance(model, ModelWrapper) else model)
    return canonical(proto)


def _constants(graph: GraphProto) -> dict[str, Symbol]:
    symbols: dict[str, Symbol] = {}
    for tensor in graph.initializer:
        try:
            symbols[tensor.name] = Constant(numpy_helper.to_array(tensor))
        except (ValueError, TypeError, KeyError, onnx.checker.ValidationError) as error:
            raise LoweringError(
                f"tensor {tensor.name!r}: its data are not the {list(tensor.dims)} values it declares; restore the file"
            ) from error
    return symbols


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
    source: GraphInput,
) -> Lowered:
    name, node = _output(wrapper, symbols)
    value = symbols[name]
    if isinstance(value, FloatInput):
        raise node.error("gives reals that no node quantized; declare the input's integers (--input-datatype UINT8)")
    if not isinstance(value, Value):
        raise LoweringError(f"output {name!r}: expected a tensor computed from the input, got a constant")
    value, softmax, left_out = open_end(value)
    value = flat(build, node, build.plain(node, build.settle_pads(node, value)))
    if not softmax and not left_out:
        _record(tensors, name, value)
    stages = _needed(build, value.tensor)
    kept = {INPUT, *(stage.name for stage in stages)}
    try:
        network = Network(build.specs[INPUT], stages, Head(value.scale, value.offset, softmax))
    except NetworkError as error:
        raise LoweringError(f"output {name!r}: {error}") from error
    return Lowered(
        network,
        {k: v for k, v in tensors.items() if v.tensor in kept},
        source.name,
        name,
        source.symbol.index,
        source.batch,
        source.spec is not None,
        build.entry,
        build.input_quantizer,
        left_out,
    )


def _output(wrapper: ModelWrapper, symbols: Mapping[str, Symbol]) -> tuple[str, Node]:
    """The one graph output that counts: of a TopK's two, the indices."""
    graph = wrapper.graph
    producers = {o: Node(n) for n in graph.node for o in n.output}
    names = [str(o.name) for o in graph.output]
    if len(names) > 1:
        names = [n for n in names if n not in producers or producers[n].op != "TopK" or n != producers[n].output]
    if len(names) != 1:
        found = ", ".join(repr(o.name) for o in graph.output) or "none"
        raise LoweringError(f"expected one graph output, the logits, got {found}; export the logits alone")
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
