"""What a quantization-aware network is made of, and the configuration that decides it."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "config": ("TrainConfig", "read_config"),
    },
)
