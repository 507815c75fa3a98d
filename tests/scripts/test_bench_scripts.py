"""The benchmark scripts that stand for ``bitswath bench`` run as programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.host.bench import slow_device
from tests.paths import ROOT

SCRIPTS = ROOT / "scripts"


@pytest.mark.parametrize(
    ("script", "arguments", "told"),
    [
        ("bench_latency.py", ("--queries", "2", "--stream-s", "0"), "Latency at batch 1"),
        ("bench_throughput.py", ("--turns", "1", "--turn-s", "0.01"), "stream over bare device"),
        ("bench_energy.py", ("--meter", "wattmeter"), "no energy: no meter 'wattmeter'"),
    ],
)
def test_a_script_measures_what_it_is_named_after(
    tmp_path: Path, script: str, arguments: tuple[str, ...], told: str
) -> None:
    bundle = slow_device.bundle(tmp_path).path
    command = [sys.executable, SCRIPTS / script, bundle, "--patches", "2", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    assert told in done.stdout and "on backend emulator" in done.stdout
