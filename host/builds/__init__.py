"""What hardware builds leave for the host: designs, reports, and the words of their links."""

from __future__ import annotations

from bitswath.basics.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "design": ("Design",),
        "folder": ("build_folder", "load_design"),
        "report": ("read_report",),
    },
)
