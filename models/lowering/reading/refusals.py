"""Why an operator has no integer form, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from bitswath.models.lowering.chains.chain import in_a_line
from bitswath.models.lowering.chains.values import CHANNELS_LAST, Node

__all__ = ["DOMAINS", "malformed", "why_not"]

DOMAINS = ("", "qonnx.custom_op.general", "onnx.brevitas", CHANNELS_LAST)
"""Whose operators are read. `bitswath.models.lowering.reading.source` has brought some others' into these."""

DYNAMIC = (
    *("DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "MatMulIntegerToFloat"),
    *("MatMulNBits", "LSTM", "GRU", "RNN", "Attention", "QAttention", "MultiHeadAttention"),
)
TO_STATIC = (
    "computes its scales anew for each input, or keeps a state, which no integer dataflow does; quantize the model"
    " statically (onnxruntime.quantization.quantize_static, or Brevitas: export_qonnx)"
)
TO_QDQ = (
    "is an operator of a QOperator graph that is not read; export the model in QDQ form"
    " (onnxruntime.quantization: quant_format=QuantFormat.QDQ) or as QONNX (Brevitas: export_qonnx)"
)
LOWERED = "Im2Col", "XnorPopcountMatMul"


def why_not(node: Node) -> str:
    """The reason and what to do, for an operator that nothing lowers."""
    domain, op = node.proto.domain, node.op
    if op in DYNAMIC:
        return TO_STATIC
    if op.startswith("QLinear"):
        return TO_QDQ
    if domain.startswith("finn.") or op in LOWERED:
        return f"is made by a step of FINN's build ({domain}); give the QONNX graph that the build began with"
    if domain == "com.microsoft":
        return (
            "belongs to ONNX Runtime's own domain 'com.microsoft', which is not read;"
            " export the model without ONNX Runtime's graph optimizations, in standard ONNX operators"
        )
    if domain not in DOMAINS:
        return (
            f"belongs to the domain {domain!r}, which is not read;"
            " export the model in standard ONNX operators and the quantizers of QONNX"
        )
    if domain == CHANNELS_LAST:
        return f"has no channels-last form here; leave {op} in standard ONNX, between Transpose nodes"
    return "this operator has no integer form; replace it before training, or leave it out of the exported graph"


def malformed(node: Node, opsets: Mapping[str, int], error: Exception) -> str:
    """What is wrong with a node that does not keep to its operator's specification."""
    reason = in_a_line(error)
    try:
        context = onnx.checker.C.CheckerContext()
        context.ir_version = onnx.IR_VERSION
        context.opset_imports = {"": onnx.defs.onnx_opset_version(), **opsets}
        onnx.checker.check_node(node.proto, context)
    except onnx.checker.ValidationError as found:
        reason = in_a_line(found)
    except (TypeError, ValueError):  # versions or names that the checker itself cannot take
        pass
    return f"does not keep to its operator's specification ({reason}); export the model again"
