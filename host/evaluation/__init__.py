"""What came of classifying: reports, intervals, pictures."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "report": ("Report",),
    },
)
