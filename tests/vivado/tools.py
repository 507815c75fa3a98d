"""The stand-ins as programs: ``vivado`` and ``v++`` in a folder for the path."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT

__all__ = ["install"]

_MODULES = {"vivado": "tests.vivado.vivado", "v++": "tests.vivado.vpp"}


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str, **setup: Any) -> None:
    """Put them first on the path; `setup`: as `tests.vivado.vivado.Setup` takes it."""
    folder.mkdir(exist_ok=True)
    for name in names or _MODULES:
        program = folder / name
        program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m {_MODULES[name]} "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.setenv("STAND_IN", json.dumps(setup))
