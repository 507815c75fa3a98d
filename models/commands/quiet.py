"""What commands do not show."""

from __future__ import annotations

__all__ = ["hush_onnxruntime"]

FATAL = 4


def hush_onnxruntime() -> None:
    """Has onnxruntime print nothing of its own: what it refuses is raised, and said in one line."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(FATAL)
