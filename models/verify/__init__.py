"""Proof that every form of a bundle computes the same integers."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "compare": ("Verification", "verify_bundle"),
    },
)
