"""`--quick` leaves out what tests/conftest.py calls slow, and only that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT


def collected(place: str, *options: str) -> set[str]:
    """Names of the files below a folder that have tests to run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options, place]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    return {Path(line.partition("::")[0]).name for line in told.stdout.splitlines() if "::" in line}


def test_what_compiles_or_runs_finn_is_left_out() -> None:
    everything, quick = collected("tests/hw"), collected("tests/hw", "--quick")
    assert everything - quick >= {"test_boards.py", "test_nodes.py", "test_rtllib.py"}
    assert quick >= {"test_plan.py", "test_folding.py"}


def test_a_file_that_is_named_is_run() -> None:
    assert collected("tests/hw/worker/test_nodes.py", "--quick") == {"test_nodes.py"}
