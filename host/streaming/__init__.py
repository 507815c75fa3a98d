"""Batches to answers in order, devices kept busy."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "counters": ("Counters",),
        "progress": ("stream_progress",),
        "stream": ("Stream",),
    },
)
