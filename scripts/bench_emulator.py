"""The emulator against its peers and against the machine's own limits.

Every comparison is interleaved and every figure a median over rounds; see `benchmark`. The peers, each at
its best setting, are those of `peers`. The zoo's VGG is trained; the other networks have random weights
(`bench_networks`) and are made when first measured. Codes are random. One core unless said otherwise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from bench_networks import bundles
from bench_report import bars, kernel_table, limits, peer_table
from benchmark import (
    CPU_CLOCK,
    WALL_CLOCK,
    Clock,
    Measure,
    bar_table,
    batch_for,
    core_share,
    interleaved,
    latencies_s,
    machine,
    ratio,
    summary,
    timed,
    today,
    versions,
    write_facts,
)
from numpy.typing import NDArray
from peak import Peak
from peers import FLOAT_BATCHES, best_int8, best_of, exact_qcdq, float_peer, int8_peer, onnx_path, qcdq_peer, qonnx_peer
from rich.console import Console
from stages import measure_blocks

from bitswath.backends.emulator import EmulatorBackend, Kernel, available_kernels
from bitswath.bundle import Bundle, load_bundle
from bitswath.packing import pack

ROOT = Path(__file__).resolve().parent.parent
ZOO_VGG = ROOT / "models" / "zoo" / "eurosat-u4-w4a4.bsw"
MEMORY_PROBE = Path(__file__).with_name("bench_memory.py")
RUN_S = 0.1
LARGEST_BATCH = 4096
PEER_CODES = 256
CHECKED = 16
SINGLES = 60
KERNEL_ROUNDS = 5
UNDISTURBED = 0.95
QONNX_BATCH = 64
CPU_TIME_HELP = "for what runs on one core, count the time this process got, where other work shares the cores"
Facts = dict[str, Any]
Run = Callable[[int], NDArray[Any]]


class Bench:
    """What the measurements share. `rounds`: of every interleaved one; `clock`: of all that runs on one core."""

    def __init__(self, rounds: int, clock: Clock) -> None:
        self.rounds = rounds
        self.clock = clock
        self.peak = Peak()
        self.zoo_vgg = load_bundle(ZOO_VGG)
        entry = self.zoo_vgg.manifest.input
        rng = np.random.default_rng(0)
        self.codes = rng.integers(0, 2**entry.bits, (LARGEST_BATCH, *entry.code_shape), np.uint8)
        self.frames = pack(self.codes, entry.bits)

    @cached_property
    def others(self) -> dict[str, Bundle]:
        """The networks of random weights; they take the same codes."""
        return {name: load_bundle(path) for name, path in bundles().items()}

    @contextmanager
    def emulator(self, bundle: Bundle, threads: int = 1, kernel: Kernel = "auto") -> Iterator[Run]:
        """A function that runs as many packed frames as it is told."""
        with EmulatorBackend(bundle.network, bundle.codec.bits, threads=threads, kernel=kernel) as backend:
            yield lambda count: backend.collect(backend.submit(self.frames[:count]))

    def measure_peak(self, unit: str) -> Measure:
        return partial(self.peak.gmac_per_s, unit, cpu_time=self.clock is CPU_CLOCK)


def large_batch(run: Run, clock: Clock) -> Measure:
    """Patches per second at a batch that takes long enough to measure."""
    batch = batch_for(run, RUN_S, LARGEST_BATCH)
    return timed(lambda: run(batch), batch, clock)


def zoo_vgg(bench: Bench) -> Facts:
    """Large batches: every peer, the machine's peak, and each block of the network."""
    bundle, codes = bench.zoo_vgg, bench.codes[:PEER_CODES]
    path, macs, unit = onnx_path(bundle), bundle.network.macs / 1e9, bench.peak.kinds[0]
    with bench.emulator(bundle) as run:
        optimized, mismatches = exact_qcdq(bundle, codes[:CHECKED], run(CHECKED))
        peers = {
            "ort_int8": best_int8(bundle.network, codes),
            "ort_qcdq": best_of(partial(qcdq_peer, path, optimized=optimized), codes, FLOAT_BATCHES),
            "ort_float": best_of(partial(float_peer, path), codes, FLOAT_BATCHES),
            "qonnx": qonnx_peer(path, 1),
            "qonnx_batched": qonnx_peer(path, QONNX_BATCH),
        }
        measures: dict[str, Measure] = {"emulator": large_batch(run, bench.clock), "peak": bench.measure_peak(unit)}
        rates = interleaved(
            measures | {name: peer.measure(codes, bench.clock) for name, peer in peers.items()}, bench.rounds
        )
    blocks = measure_blocks(bundle.network, bundle.codec.bits, bench.frames, bench.rounds, bench.clock)
    return {
        **summary(rates["emulator"]),
        "gmac_per_s": statistics.median(rates["emulator"]) * macs,
        "fraction_of_peak": ratio(rates["emulator"], rates["peak"]) * macs,
        "peak": {"unit": unit, "gmac_per_s": statistics.median(rates["peak"])},
        **{f"ratio_{name}": ratio(rates["emulator"], rates[name]) for name in peers},
        "qcdq_mismatches": mismatches,
        "peers": {
            name: {"setting": peer.name, "batch": peer.batch, **summary(rates[name])} for name, peer in peers.items()
        },
        "blocks": {block.name: asdict(block) for block in blocks},
    }


def batch1(bench: Bench) -> Facts:
    """Latency of single patches, one at a time, the engines in turns."""
    codes = bench.codes[:1]
    peers = [int8_peer(bench.zoo_vgg.network, 1, form) for form in ("qdq", "nhwc")]
    feeds = [peer.feed(codes) for peer in peers]
    with bench.emulator(bench.zoo_vgg) as run:
        engines: dict[str, Callable[[], object]] = {"emulator": partial(run, 1)}
        engines |= {peer.name: partial(peer.run, feed) for peer, feed in zip(peers, feeds)}
        taken: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(bench.rounds):
            for name, single in engines.items():
                single()
                taken[name] += latencies_s(single, SINGLES)
    p50 = {name: statistics.median(values) for name, values in taken.items()}
    p95 = {name: float(np.percentile(values, 95)) for name, values in taken.items()}
    best = min((peer.name for peer in peers), key=lambda name: p50[name])
    return {
        "ratio_ort_int8": p50[best] / p50["emulator"],
        "emulator_us": {"p50": 1e6 * p50["emulator"], "p95": 1e6 * p95["emulator"]},
        "ort_int8_us": {"setting": best, "p50": 1e6 * p50[best], "p95": 1e6 * p95[best]},
    }


def cores(bench: Bench) -> Facts:
    """Two cores over one, and what the machine itself gives: its peak in two processes over one."""
    unit = bench.peak.kinds[0]
    with bench.emulator(bench.zoo_vgg) as one, bench.emulator(bench.zoo_vgg, threads=2) as two:
        batch = min(LARGEST_BATCH, 2 * batch_for(one, RUN_S, LARGEST_BATCH))
        measures: dict[str, Measure] = {
            "one": timed(lambda: one(batch), batch),
            "two": timed(lambda: two(batch), batch),
            "peak one": partial(bench.peak.gmac_per_s, unit),
            "peak two": partial(bench.peak.gmac_per_s, unit, processes=2),
        }
        rates = interleaved(measures, bench.rounds)
    return {
        "two_cores_over_one": ratio(rates["two"], rates["one"]),
        "two_cores_patches_per_s": statistics.median(rates["two"]),
        "machine_two_over_one": ratio(rates["peak two"], rates["peak one"]),
    }


def widths(bench: Bench) -> Facts:
    """The same VGG at fewer bits over four bits, on every kernel set; "auto" is the last."""
    bundles_by_width = {"w4a4": bench.zoo_vgg, "w2a2": bench.others["vgg-w2a2"], "w1a1": bench.others["vgg-w1a1"]}
    kernels: Facts = {}
    for kernel in available_kernels():
        with ExitStack() as stack:
            runs = {
                width: stack.enter_context(bench.emulator(bundle, kernel=kernel))
                for width, bundle in bundles_by_width.items()
            }
            rates = interleaved(
                {width: large_batch(run, bench.clock) for width, run in runs.items()}, min(bench.rounds, KERNEL_ROUNDS)
            )
        kernels[kernel] = {f"{width}_patches_per_s": statistics.median(values) for width, values in rates.items()}
        kernels[kernel] |= {f"{width}_over_w4a4": ratio(rates[width], rates["w4a4"]) for width in ("w2a2", "w1a1")}
    best = kernels[available_kernels()[-1]]
    return {
        "w1a1": {"over_w4a4": best["w1a1_over_w4a4"]},
        "w2a2": {"over_w4a4": best["w2a2_over_w4a4"]},
        "kernels": kernels,
    }


def other(bench: Bench, name: str) -> Facts:
    """A network of another architecture against ONNX Runtime int8, large batch."""
    bundle, codes = bench.others[name], bench.codes[:PEER_CODES]
    peer = best_int8(bundle.network, codes)
    with bench.emulator(bundle) as run:
        rates = interleaved(
            {"emulator": large_batch(run, bench.clock), "ort_int8": peer.measure(codes, bench.clock)}, bench.rounds
        )
    blocks = measure_blocks(bundle.network, bundle.codec.bits, bench.frames, bench.rounds, bench.clock)
    return {
        "ratio_ort_int8": ratio(rates["emulator"], rates["ort_int8"]),
        **summary(rates["emulator"]),
        "gmac_per_s": statistics.median(rates["emulator"]) * bundle.network.macs / 1e9,
        "ort_int8": {"setting": peer.name, "batch": peer.batch, **summary(rates["ort_int8"])},
        "blocks": {block.name: asdict(block) for block in blocks},
    }


def memory(bench: Bench) -> Facts:
    """MB above packed bytes and outputs; the larger of the two ways to run a batch counts."""
    facts: Facts = {}
    for way in ("accelerator", "backend"):
        command = [sys.executable, str(MEMORY_PROBE), str(ZOO_VGG), way]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        facts[f"{way}_over_mb"] = json.loads(printed)["over_mb"]
    return {"over_mb": max(facts.values()), **facts}


SECTIONS: dict[str, Callable[[Bench], Facts]] = {
    "zoo_vgg": lambda bench: {"zoo_vgg": zoo_vgg(bench)},
    "batch1": lambda bench: {"zoo_vgg": {"batch1": batch1(bench)}},
    "cores": lambda bench: {"zoo_vgg": cores(bench)},
    "widths": widths,
    "resnet": lambda bench: {"resnet": other(bench, "resnet-w4a4")},
    "separable": lambda bench: {"separable": other(bench, "separable-w4a4")},
    "memory": lambda bench: {"memory": memory(bench)},
}


def merge(into: Facts, facts: Facts) -> None:
    """Add nested facts to those that are there."""
    for key, value in facts.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="measure this alone; may be repeated")
    parser.add_argument("--rounds", type=int, default=7, help="of every interleaved measurement (default 7)")
    parser.add_argument("--cpu-time", action="store_true", help=CPU_TIME_HELP)
    parser.add_argument("--json", type=Path, help="write everything measured to this file")
    arguments = parser.parse_args()
    console = Console()
    bench = Bench(max(arguments.rounds, 1), CPU_CLOCK if arguments.cpu_time else WALL_CLOCK)
    facts: Facts = {
        "date": today(),
        "machine": machine() | {"units": list(bench.peak.kinds), "kernels": list(available_kernels())},
        "versions": versions("numpy", "onnx", "onnxruntime", "qonnx"),
        "rounds": bench.rounds,
        "clock": "cpu" if arguments.cpu_time else "wall",
    }
    shares = []
    for name in arguments.only or SECTIONS:
        started = time.perf_counter()
        shares.append(core_share())
        with console.status(f"Measuring {name} ..."):
            merge(facts, SECTIONS[name](bench))
        merge(facts, {"seconds": {name: time.perf_counter() - started}})
    facts["machine"]["core_share"] = min(shares)
    wanted = bars(facts)
    console.print(bar_table(f"Emulator, {facts['machine']['processor']}", wanted, facts))
    for table in (peer_table(facts), kernel_table(facts)):
        if table is not None:
            console.print(table)
    if min(shares) < UNDISTURBED:
        console.print(f"Disturbed by other work: this process got {min(shares):.0%} of a core at one time.")
    for line in limits(wanted, facts):
        console.print(line, highlight=False)
    if arguments.json:
        write_facts(arguments.json, facts)


if __name__ == "__main__":
    main()
