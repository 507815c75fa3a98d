"""The walk over a graph that makes the integer network of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from bitswath.models.lowering.chains.values import Constant, FloatInput, Node, Symbol, Value, canonical_index, compress
from bitswath.models.lowering.ends import End, end_of, in_a_row
from bitswath.models.lowering.lowered import Correspondence, Lowered, Output
from bitswath.models.lowering.nodes import lower_node
from bitswath.models.lowering.reading.inputs import GraphInput, find_input
from bitswath.models.lowering.reading.source import complete, read_model
from bitswath.network.network import INPUT, Concat, Head, Network, Stage

__all__ = ["lower"]


def lower(
    model: str | Path | ModelProto | ModelWrapper,
    *,
    input_datatype: str | None = None,
    input_scale: ArrayLike | None = None,
    input_offset: ArrayLike | None = None,
    input_layout: str | None = None,
    exhaustive_limit: int = EXHAUSTIVE_LIMIT,
) -> Lowered:
    """The integer network that computes the integers of a QONNX model.

    `input_datatype` (such as "UINT8", or "FLOAT32" for none) overrides the annotation of the graph input, whose
    reals are `input_scale` times those integers plus `input_offset` (1/255 and 0 for a graph that takes pixels from
    0 to 1), each one number or one for each channel. Of an input without integers, or with more than 8 bits, scale
    and offset are those of raw pixels, and the network begins with the integers of the input's first quantizer, see
    `entry`. `input_layout`: the input's axes ("nchw", "nhwc", "flat"), where nodes do not tell them. Thresholds are
    searched exhaustively up to `exhaustive_limit` evaluations, then by bisection where that is as exact (see
    `thresholds`). Raises `LoweringError` naming the node, its operator and the reason for what has no integer form.
    """
    loaded = _load(model)
    graph = loaded.graph
    symbols = _constants(graph)
    wrapper = ModelWrapper(loaded)
    source = find_input(wrapper, input_datatype, _rows(input_scale), _rows(input_offset), input_layout)
    opsets = {o.domain: o.version for o in wrapper.model.opset_import}
    build = Builder(opsets, exhaustive_limit, source.pixels, source.batch)
    if source.spec is not None:
        build.specs[INPUT], build.entry = source.spec, source.entry
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
    return complete(proto)


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
    ends = _ends(build, wrapper, symbols)
    for end in ends:
        if not end.softmax and not end.left_out:
            _record(tensors, end.name, end.value)
    first = ends[0]
    value = first.value if len(ends) == 1 else _joined(build, ends)
    if value.tensor == INPUT:
        raise LoweringError(f"output {first.name!r}: is the graph's input, moved about; expected something computed")
    stages = _needed(build, value.tensor)
    kept = {INPUT, *(stage.name for stage in stages)}
    try:
        head = Head(value.scale, value.offset, len(ends) == 1 and first.softmax)
        network = Network(build.specs[INPUT], stages, head)
    except NetworkError as error:
        raise LoweringError(f"output {first.name!r}: {error}") from error
    return Lowered(
        network,
        {k: v for k, v in tensors.items() if v.tensor in kept},
        source.name,
        first.name,
        source.symbol.index,
        source.batch,
        source.spec is not None,
        build.entry,
        build.input_quantizer,
        _left_out(ends),
        tuple(Output(end.name, end.value.shape) for end in ends),
    )


def _ends(build: Builder, wrapper: ModelWrapper, symbols: Mapping[str, Symbol]) -> list[End]:
    """The graph's outputs, without constants, which old exporters leave there, and what was said before (a TopK's
    values and indices are both left to the host)."""
    graph = wrapper.graph
    producers = {o: Node(n) for n in graph.node for o in n.output}
    names = [str(o.name) for o in graph.output]
    ends: list[End] = []
    seen: list[Value] = []
    for name in names:
        if name not in producers:
            raise LoweringError(f"output {name!r}: no node computes it")
        value = symbols.get(name)
        if isinstance(value, FloatInput):
            raise producers[name].error(
                "gives reals that no node quantized; declare the input's integers (--input-datatype UINT8)"
            )
        if isinstance(value, Value) and not any(value is other for other in seen):
            seen.append(value)
            ends.append(end_of(build, name, producers[name], value))
    if not ends:
        raise LoweringError(f"expected an output computed from the input, got {', '.join(map(repr, names)) or 'none'}")
    return ends


def _joined(build: Builder, ends: Sequence[End]) -> Value:
    """Several outputs as one flat tensor, one behind the other."""
    node = ends[-1].node
    rows = [in_a_row(build, end) for end in ends]
    name = build.emit(node, Concat, [row.tensor for row in rows], ".outputs")
    scale, offset = (
        np.concatenate([np.broadcast_to(getattr(row, what), row.shape) for row in rows]) for what in ("scale", "offset")
    )
    shape = build.specs[name].shape
    return Value(name, shape, canonical_index(shape), compress(scale), compress(offset))


def _left_out(ends: Sequence[End]) -> tuple[str, ...]:
    """What is the host's behind the logits; of several outputs also a Softmax."""
    alone = len(ends) == 1
    each = [op for end in ends for op in (*(["Softmax"] if end.softmax and not alone else []), *end.left_out)]
    return tuple(dict.fromkeys(each))


def _needed(build: Builder, output: str) -> tuple[Stage, ...]:
    """The stages that the output depends on; the output's own is the last."""
    needed = {output}
    for stage in reversed(build.stages):
        if stage.name in needed:
            needed.update(stage.inputs)
    return tuple(stage for stage in build.stages if stage.name in needed)
