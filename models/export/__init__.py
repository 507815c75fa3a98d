"""Trained models and files of other tools to QONNX and to bundles, and back."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "onnx_bundle": ("bundle_onnx",),
    },
)
