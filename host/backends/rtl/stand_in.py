"""The sources of fast simulators: models stand for what simulates slowly, beat by beat and cycle by cycle the same.

A model has its module's name and ports and takes the place of its file. The windows that FINN generates have names of
their own: each keeps its ports and is filled with the one model of all.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["HEADER", "MODELS", "WINDOW", "window_model"]

_FOLDER = Path(__file__).with_name("stand_ins")
WINDOW = _FOLDER / "swg_window.sv"
"""The model within the modules that `window_model` gives."""
MODELS = {path.name: path for path in sorted(_FOLDER.glob("*.sv")) if path != WINDOW}
"""Models by the name of the file each stands for."""
HEADER = _FOLDER / "models.hpp"
"""The native code that models call."""

_SIZES = ("LAST_READ_ELEM", "LAST_WRITE_ELEM", "BUF_ELEM_TOTAL", "ELEM_PER_WINDOW", "INCR_BITWIDTH")


def window_model(text: str) -> str | None:
    """A module of FINN's windows in the default style with the model inside; None for any other text."""
    header = re.search(r"\bmodule \w+_impl #\(.*?\)\s*\(.*?\);", text, re.DOTALL)
    controller = re.search(r"\bswg_controller #\((.*?)\)\s*controller_inst\b", text, re.DOTALL)
    if header is None or controller is None or "swg_cyclic_buffer_addressable" not in text:
        return None
    passed = [item.strip() for item in controller[1].split(",")]
    loops = [item for item in passed if not item.startswith((".INCR_BITWIDTH(", ".DEPTH("))]
    given = [".WIDTH(BIT_WIDTH * SIMD * MMV_IN)", *(f".{name}({name})" for name in _SIZES), *loops]
    listed = ", ".join(given)
    return f"{header[0]}\n  swg_window #({listed}) model (.*);\nendmodule\n"
