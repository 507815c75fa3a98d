"""Writes QONNX models of Brevitas and their QCDQ twins: ``python brevitas_export.py FOLDER``.

A program of its own, because torch must not meet TensorFlow in one process.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from brevitas.export import export_onnx_qcdq, export_qonnx
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear, QuantReLU
from brevitas.quant import Int8ActPerTensorFixedPoint, Int8WeightPerTensorFixedPoint, Uint8ActPerTensorFixedPoint
from torch import nn

WEIGHTS = {"weight_quant": Int8WeightPerTensorFixedPoint, "bias": False}


class Residual(nn.Module):
    """Fixed-point quantizers: every scale is a power of two, so float sums are exact."""

    def __init__(self) -> None:
        super().__init__()
        shared = QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=5, return_quant_tensor=True)
        self.input = QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=6)
        self.first = nn.Sequential(QuantConv2d(3, 8, 3, padding=1, weight_bit_width=4, **WEIGHTS), nn.BatchNorm2d(8))
        self.relu = QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=4)
        self.depthwise = QuantConv2d(8, 8, 3, padding=1, stride=2, groups=8, weight_bit_width=3, **WEIGHTS)
        self.shortcut = QuantConv2d(8, 8, 1, stride=2, weight_bit_width=4, **WEIGHTS)
        self.left = self.right = shared
        self.pool = nn.MaxPool2d(2)
        self.last = QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=3)
        self.dense = QuantLinear(
            8 * 2 * 2, 5, weight_bit_width=4, weight_quant=Int8WeightPerTensorFixedPoint, bias=True
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.first(self.input(x)))
        x = self.last(self.left(self.depthwise(x)) + self.right(self.shortcut(x)))
        return self.dense(self.pool(x).flatten(1))


class Scaled(nn.Module):
    """Brevitas' default float scales, BatchNorm with gains of both signs, hard tanh."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            QuantIdentity(bit_width=4),
            QuantConv2d(3, 6, 3, weight_bit_width=3, bias=True),
            nn.BatchNorm2d(6),
            nn.Hardtanh(-1.0, 1.0),
            QuantIdentity(bit_width=3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            QuantLinear(6, 4, weight_bit_width=8, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def main(folder: Path) -> None:
    torch.manual_seed(0)
    for name, model in {"residual": Residual(), "scaled": Scaled()}.items():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, -1.0, 1.0)
                nn.init.uniform_(module.bias, -1.0, 1.0)
        for _ in range(3):
            model(torch.randn(8, 3, 8, 8))
        model.eval()
        patch = torch.randn(1, 3, 8, 8)
        export_qonnx(model, args=patch, export_path=str(folder / f"{name}.onnx"), dynamo=False)
        export_qonnx(model, args=patch, export_path=str(folder / f"{name}_dynamo.onnx"), dynamo=True)
        export_onnx_qcdq(model, args=patch, export_path=str(folder / f"{name}_qcdq.onnx"), dynamo=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
