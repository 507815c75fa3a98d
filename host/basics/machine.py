"""Which machine and which software a figure was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from bitswath.version import __version__

__all__ = ["cores", "machine", "versions"]


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, operating system; a board's model where the device tree has one."""
    board = _board()
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.release()}",
        **({"board": board} if board else {}),
    }


def versions(*packages: str) -> dict[str, str]:
    """Of bitswath, of Python and of installed packages."""
    from importlib.metadata import version  # slow, and most who import this ask for cores only

    own = {"bitswath": __version__, "python": platform.python_version()}
    return own | {package: version(package) for package in packages}


def _board() -> str:
    try:
        return Path("/proc/device-tree/model").read_text(errors="replace").rstrip("\0\n")
    except OSError:
        return ""


def _processor() -> str:
    """The model's name; where a virtual machine hides it, with the family, model and stepping beside it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    name = fields.get("model name", platform.machine())
    numbers = [fields.get(field, "?") for field in ("cpu family", "model", "stepping")]
    return f"{name}, family {numbers[0]} model {numbers[1]} stepping {numbers[2]}"
