"""ONNX files as models, and their inputs."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "source": ("read_model",),
    },
)
