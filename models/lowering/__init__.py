"""QONNX to the integer network.

`lower` walks a QONNX graph in execution order. Linear nodes become stages over integers; every
elementwise node between an accumulator and its quantizer waits in a chain; at the quantizer the chain
is evaluated on every reachable accumulator value and becomes a `Threshold` stage. Constants
(weights and their quantizers, shapes) are folded on the way with qonnx's own executor.

What a graph may look like:

- Input: one tensor, batch first, (1, C, H, W), (1, H, W, C), (1, H, W) or (1, F). Its integers come
  from its datatype annotation (``UINT4``, ``INT8``, ``BINARY``, ``BIPOLAR``), from `input_datatype`, or
  from the first quantizer behind it; then the network's input is that quantizer's integer.
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

from bitswath.models.lowering.lowered import Correspondence, Lowered, over_codes
from bitswath.models.lowering.reading.source import read_model
from bitswath.models.lowering.walk import lower

__all__ = ["Correspondence", "Lowered", "lower", "over_codes", "read_model"]
