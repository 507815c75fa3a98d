"""How fast a bundle's build simulates on one core: clock cycles a second of the simulator's CPU time.

python scripts/bench_rtl.py BUNDLE [--board BOARD] [--frames 8] [--rounds 5] [--json FILE]

The simulator of the default kind (models of FINN's kernels, the same results in the same cycles) and, with --exact,
the one in which every module is as synthesized. Frames are random. Rates are of CPU time, since other work may
share the core; wall time is shown beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import numpy as np
from benchmark import Facts, machine

from bitswath.backends.rtl.backend import RtlBackend
from bitswath.builds.folder import build_folder
from bitswath.bundle.bundle import load_bundle

__all__ = ["measure"]


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
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    facts = measure(chosen.bundle, chosen.board, chosen.frames, chosen.rounds, exact=chosen.exact)
    print(f"{facts['mhz_cpu']:.2f} MHz of CPU time, {facts['mhz_wall']:.2f} MHz of wall time, load {facts['load']:.1f}")
    if chosen.json:
        chosen.json.write_text(json.dumps({**facts, "machine": machine()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
