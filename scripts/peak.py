"""The machine's measured peak of 8-bit multiply-accumulates: `peak.cpp`, compiled when first used."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from bitswath.errors import BackendError

SOURCE = Path(__file__).with_suffix(".cpp")
CACHE = Path(__file__).resolve().parent.parent / ".cache"
MILLISECONDS = 60
UNITS = {"zen4": "avx512"}
"""Of kernel sets that have no unit of their own name."""


class Peak:
    """Measures in processes of their own, so that the units' state never meets the engines'.

    `kinds`: the CPU's units by name, fastest first. Raises `BackendError` without a C++ compiler.
    """

    def __init__(self) -> None:
        self._program = _compiled()
        listed = subprocess.run([self._program], check=True, capture_output=True, text=True)
        self.kinds = tuple(listed.stdout.split())

    def unit(self, kernels: str) -> str:
        """That a set of the emulator's kernels computes with."""
        return UNITS.get(kernels, kernels)

    def gmac_per_s(self, kind: str, processes: int = 1, cpu_time: bool = False) -> float:
        """10^9 multiply-accumulates per second, of `cpu_time` if asked, summed over `processes` at once."""
        command = [self._program, kind, str(MILLISECONDS), "cpu" if cpu_time else "wall"]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        return sum(float(process.communicate()[0]) for process in running)


def _compiled() -> str:
    source = SOURCE.read_bytes()
    program = CACHE / f"peak-{hashlib.sha256(source).hexdigest()[:12]}"
    if not program.exists():
        compiler = shutil.which("g++") or shutil.which("c++")
        if compiler is None:
            raise BackendError("expected a C++ compiler to measure the machine's peak, found none; install g++")
        CACHE.mkdir(exist_ok=True)
        partial = program.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, "-O2", "-std=c++17", str(SOURCE), "-o", str(partial)], check=True)
        partial.replace(program)
    return str(program)
