"""Data sets by name and split: real, downloaded, drawn."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "datasets": ("load_dataset",),
    },
)
