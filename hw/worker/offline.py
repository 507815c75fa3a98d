"""FINN without a vendor's tools: what its modules want of the environment before they can be imported."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["prepare"]


def prepare(build_dir: Path, rtllib: Path) -> None:
    """Makes `finn` importable in this process; call it before anything of finn is imported.

    `build_dir`: where FINN puts what it generates, made if missing; `rtllib`: the copy of finn-rtllib to take
    sources from.
    """
    build_dir.mkdir(parents=True, exist_ok=True)
    os.environ["FINN_BUILD_DIR"] = str(build_dir.absolute())
    os.environ["FINN_RTLLIB"] = str(rtllib.absolute())
    os.environ.setdefault("XILINX_VIVADO", "/none/Vivado/2024.2")  # only its last part is read
    _forgo_vendor_simulator()


def _forgo_vendor_simulator() -> None:
    """Operators import names of the vendor's simulator, whose lookup fails where there is none."""
    import finn.xsi

    for name in finn.xsi._LAZY_NAMES:
        vars(finn.xsi).setdefault(name, None)
