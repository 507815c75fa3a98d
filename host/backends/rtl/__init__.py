"""A build's RTL, compiled by Verilator and simulated cycle by cycle."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "backend": ("RtlBackend",),
    },
)
