"""From planned units to FINN's hardware graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from bitswath.hw.planning.plan import Plan, edges
from bitswath.hw.units import Folding, Unit, Wire

__all__ = ["DOMAIN", "hardware_graph"]

DOMAIN = "finn.custom_op.fpgadataflow.rtl"
"""FINN takes nodes of this domain for RTL ones."""

CONVERTER = "StreamingDataWidthConverter_rtl"


def hardware_graph(plan: Plan, foldings: Mapping[str, Folding]) -> ModelWrapper:
    """FINN's graph of RTL nodes, named after the units, with a width converter where beats differ in size."""
    first, last = plan.units[0].inputs[0], plan.units[-1].outputs[0]
    graph = helper.make_graph([], "accelerator", [_value(first)], [_value(last)])
    model = ModelWrapper(helper.make_model(graph))
    converters = {
        wire.name: (source, sink) for source, wire, sink in edges(plan) if _differ(source, wire, sink, foldings)
    }
    for unit in plan.units:
        model.graph.node.append(_node(model, unit, foldings[unit.name], converters))
        for wire in unit.outputs:
            if wire.name in converters:
                source, sink = converters[wire.name]
                model.graph.node.append(_converter(wire, sink, foldings[source.name], foldings[sink.name], source))
    for unit in plan.units:
        for wire in (*unit.inputs, *unit.outputs):
            _annotate(model, wire.name, wire)
            if wire.name in converters:
                _annotate(model, converted(wire.name), wire)
    return model


def converted(wire: str) -> str:
    """The wire behind a width converter."""
    return f"{wire}_converted"


def _differ(source: Unit, wire: Wire, sink: Unit, foldings: Mapping[str, Folding]) -> bool:
    return source.given_of(wire, foldings[source.name]) != sink.taken_of(wire, foldings[sink.name])


def _node(model: ModelWrapper, unit: Unit, folding: Folding, converters: Mapping[str, tuple[Unit, Unit]]) -> NodeProto:
    inputs = [converted(wire.name) if wire.name in converters else wire.name for wire in unit.inputs]
    if unit.parameters is not None and unit.parameter_type is not None:
        name = f"{unit.name}_parameters"
        model.set_initializer(name, np.ascontiguousarray(unit.parameters))
        model.set_tensor_datatype(name, DataType[unit.parameter_type.datatype])
        inputs.append(name)
    return helper.make_node(
        unit.operator(folding),
        inputs,
        [wire.name for wire in unit.outputs],
        name=unit.name,
        domain=DOMAIN,
        backend="fpgadataflow",
        **unit.attributes(folding),
    )


def _converter(wire: Wire, sink: Unit, given: Folding, taken: Folding, source: Unit) -> NodeProto:
    bits = wire.numbers.bits
    return helper.make_node(
        CONVERTER,
        [wire.name],
        [converted(wire.name)],
        name=f"{wire.name}_converter",
        domain=DOMAIN,
        backend="fpgadataflow",
        inShape=[1, *wire.shape],
        outShape=[1, *wire.shape],
        inWidth=source.given_of(wire, given) * bits,
        outWidth=sink.taken_of(wire, taken) * bits,
        dataType=wire.numbers.datatype,
    )


def _value(wire: Wire) -> ValueInfoProto:
    return helper.make_tensor_value_info(wire.name, TensorProto.FLOAT, [1, *wire.shape])


def _annotate(model: ModelWrapper, name: str, wire: Wire) -> None:
    model.set_tensor_shape(name, [1, *wire.shape])
    model.set_tensor_datatype(name, DataType[wire.numbers.datatype])
