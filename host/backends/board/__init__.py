"""Boards: bitstreams, DMA engines, and the libraries that reach them."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "opening": ("open_board",),
    },
)
