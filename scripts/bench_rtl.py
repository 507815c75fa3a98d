"""How fast a bundle's build simulates on one core: clock cycles a second of the simulator's CPU time.

python scripts/bench_rtl.py BUNDLE [--board BOARD] [--frames 8] [--rounds 5] [--exact] [--compile] [--json FILE]

The simulator of the default kind (models of stages and queues, the same results in the same cycles) or, with --exact,
the one in which every module is as synthesized. Frames are random. Rates are of CPU time, since other work may
share the core; wall time is shown beside it. --compile also says how long the simulator takes to compile, with an
empty cache and two jobs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from benchmark import Facts, machine

from bitswath.backends.rtl.backend import RtlBackend
from bitswath.backends.rtl.verilator import Variant, compiled
from bitswath.builds.folder import RTL, build_folder, load_design
from bitswath.bundle.bundle import load_bundle

__all__ = ["compiling", "measure"]


def measure(bundle_path: Path, board: str | None, frames: int, rounds: int, *, exact: bool) -> Facts:
    """Median MHz by CPU and by wall time, and what was simulated."""
    bundle = load_bundle(bundle_path)
    codec, shape = bundle.codec, bundle.manifest.input.patch_shape
    packed = codec.encode_packed(codec.samples(np.random.default_rng(0), frames, shape))
    by_cpu, by_wall = [], []
    with RtlBackend(build_folder(bundle_path, board), exact=exact) as simulator:
        pid = simulator.pid
        simulator.collect(simulator.submit(packed))
        for _ in range(rounds):
            before, cpu, wall = simulator.statistics().cycles, _cpu_s(pid), time.perf_counter()
            simulator.collect(simulator.submit(packed))
            done = simulator.statistics()
            by_cpu.append((done.cycles - before) / (_cpu_s(pid) - cpu))
            by_wall.append((done.cycles - before) / (time.perf_counter() - wall))
    return {
        "bundle": bundle.name,
        "exact": exact,
        "interval": done.interval,
        "mhz_cpu": statistics.median(by_cpu) / 1e6,
        "mhz_cpu_rounds": [round(rate / 1e6, 3) for rate in by_cpu],
        "mhz_wall": statistics.median(by_wall) / 1e6,
        "load": os.getloadavg()[0],
    }


def compiling(build: Path, *, exact: bool) -> Facts:
    """Seconds to compile the simulator of the build folder `build`, by the clock and of CPU time."""
    kept = os.environ.get("BITSWATH_CACHE")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["BITSWATH_CACHE"] = cache
        before, wall = _children_s(), time.perf_counter()
        compiled(load_design(build), build / RTL, Variant(fast=not exact))
        facts = {"compile_s": time.perf_counter() - wall, "compile_cpu_s": _children_s() - before}
    del os.environ["BITSWATH_CACHE"]
    if kept is not None:
        os.environ["BITSWATH_CACHE"] = kept
    return facts


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _cpu_s(pid: int) -> float:
    """User and system time of a process, Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--board")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    facts = measure(chosen.bundle, chosen.board, chosen.frames, chosen.rounds, exact=chosen.exact)
    print(f"{facts['mhz_cpu']:.2f} MHz of CPU time, {facts['mhz_wall']:.2f} MHz of wall time, load {facts['load']:.1f}")
    if chosen.compile:
        facts |= compiling(build_folder(chosen.bundle, chosen.board), exact=chosen.exact)
        print(f"compiled in {facts['compile_s']:.0f} s, {facts['compile_cpu_s']:.0f} s of CPU time")
    if chosen.json:
        chosen.json.write_text(json.dumps({**facts, "machine": machine()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
