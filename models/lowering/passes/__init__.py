"""Other tools' graphs as standard ONNX operators and QONNX's quantizers: passes that each do one thing."""

from __future__ import annotations

from onnx import ModelProto

from bitswath.models.lowering.passes.finn import finn
from bitswath.models.lowering.passes.merge import merged
from bitswath.models.lowering.passes.order import ordered
from bitswath.models.lowering.passes.qoperators import qoperators
from bitswath.models.lowering.passes.requant import requant
from bitswath.models.lowering.passes.standard import inlined, require_text, standard

__all__ = ["canonical"]

PASSES = (standard, ordered, finn, requant, qoperators, merged)


def canonical(model: ModelProto) -> ModelProto:
    """The same model, changed in place where it can be, in the form that `lower` walks and qonnx executes.

    Raises `LoweringError` naming the node or tensor of a graph that has no such form.
    """
    require_text(model)
    model = inlined(model)
    for change in PASSES:
        change(model)
    return model
