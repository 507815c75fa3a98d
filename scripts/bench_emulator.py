"""The emulator against its peers and against the machine's own limits.

Every comparison is interleaved and every figure a median over rounds; see `benchmark`. The peers, each at
its best setting, are those of `peers` and `outside`. The zoo's networks are trained; the VGGs of fewer bits have random
weights (`bench_networks`) and are made when first measured. Codes are random. One core unless said otherwise.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from bench_networks import bundles
from bench_run import conditions, measure, options, publish
from benchmark import CPU_CLOCK, Clock, Facts, Measure, batch_for, interleaved, latencies_s, ratios, summary, timed
from emulator_report import report
from numpy.typing import NDArray
from outside import INT8, OutsidePeer, outside_peer
from peak import Peak
from peer_worker import codes as codes_of_peers
from peers import BATCHES, Peer, best_int8, best_of, exact_qcdq, float_peer, int8_peer, onnx_path, qcdq_peer, qonnx_peer
from steps import measure_steps

from bitswath.accelerator import open as open_accelerator
from bitswath.backends.emulator import EmulatorBackend, Kernel, available_kernels, run
from bitswath.bundle.bundle import Bundle, load_bundle
from bitswath.codecs.packing import pack
from bitswath.network.network import Network

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "models" / "zoo"
ZOO_VGG = ZOO / "eurosat-u4-w4a4.bsw"
MEMORY_PROBE = Path(__file__).with_name("bench_memory.py")
TILES = "amx-tiles"
"""The AMX unit with its operands loaded and its sums stored, of `peak.cpp`."""
RUN_S = 0.1
KERNEL_RUN_S = 0.05
PROFILE_S = 0.005
"""Shorter than what a loaded system lets a thread run: few steps of a profile have other work inside."""

PROFILES = 100
LARGEST_BATCH = 4096
PEER_CODES = 64
CHECKED = 16
SINGLES = 30
QONNX_BATCH = 16


@dataclass(frozen=True)
class Engine:
    """The emulator of one network, and packed frames for it."""

    network: Network
    backend: EmulatorBackend
    frames: NDArray[np.uint8]

    def run(self, count: int) -> NDArray[Any]:
        """Outputs of the first `count` frames."""
        return self.backend.collect(self.backend.submit(self.frames[:count]))

    def batch(self, seconds: float) -> int:
        """How many frames take about so long."""
        return batch_for(self.run, seconds, len(self.frames))

    def large_batch(self, clock: Clock, seconds: float = RUN_S) -> Measure:
        """Frames per second."""
        batch = self.batch(seconds)
        return timed(partial(self.run, batch), batch, clock)

    def steps(self) -> Facts:
        """See `measure_steps`."""
        batch = self.batch(PROFILE_S)
        return measure_steps(self.network, partial(self.backend.profile, self.frames[:batch]), batch, PROFILES)


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
    def engine(
        self, bundle: Bundle, threads: int = 1, kernel: Kernel = "auto", winograd: bool = True
    ) -> Iterator[Engine]:
        with EmulatorBackend(
            bundle.network, bundle.codec.bits, threads=threads, kernel=kernel, winograd=winograd
        ) as backend:
            yield Engine(bundle.network, backend, self.frames)

    def measure_peak(self, unit: str) -> Measure:
        return partial(self.peak.gmac_per_s, unit, cpu_time=self.clock is CPU_CLOCK)

    def against(self, peers: Mapping[str, Peer | OutsidePeer], engine: Engine) -> Facts:
        """Large batches of the emulator, its peers and the machine's fastest unit in turns; the emulator's steps."""
        unit = self.peak.kinds[0]
        measures = {"emulator": engine.large_batch(self.clock), "peak": self.measure_peak(unit)}
        if TILES in self.peak.kinds:
            measures["tiles"] = self.measure_peak(TILES)
        measures |= {name: peer.measure(self.codes[:PEER_CODES], self.clock, RUN_S) for name, peer in peers.items()}
        rates = interleaved(measures, self.rounds)
        emulator, gmacs = rates["emulator"], gmac_rates(rates["emulator"], engine.network)
        fastest = max(peers, key=lambda name: statistics.median(rates[name]))
        pairs = {f"ratio_{name}": (emulator, rates[name]) for name in peers}
        pairs["ratio_fastest"] = (emulator, rates[fastest])
        if "tiles" in rates:
            pairs["fraction_of_tiles"] = (gmacs, rates["tiles"])
        return {
            **summary(emulator),
            "gmac_per_s": statistics.median(gmacs),
            "peak": {"unit": unit, "gmac_per_s": statistics.median(rates["peak"])},
            "fastest": peers[fastest].name,
            **({"tiles_gmac_per_s": statistics.median(rates["tiles"])} if "tiles" in rates else {}),
            **ratios({**pairs, "fraction_of_peak": (gmacs, rates["peak"])}),
            "peers": {
                name: {"setting": peer.name, "batch": peer.batch, **summary(rates[name])}
                for name, peer in peers.items()
            },
            "blocks": engine.steps(),
        }


def outside_peers(bench: Bench, network: Network) -> dict[str, OutsidePeer]:
    """Every engine of 8 bits with an environment of its own, at its fastest batch."""
    codes = bench.codes[:PEER_CODES]
    return {engine: best_of(partial(outside_peer, engine, network), codes) for engine in INT8}


def gmac_rates(patches_per_s: list[float], network: Network) -> list[float]:
    """10^9 multiply-accumulates per second."""
    return [rate * network.macs / 1e9 for rate in patches_per_s]


def zoo_vgg(bench: Bench) -> Facts:
    """Large batches against every peer."""
    bundle, codes = bench.zoo_vgg, bench.codes[:PEER_CODES]
    path = onnx_path(bundle)
    with bench.engine(bundle) as engine:
        optimized, mismatches = exact_qcdq(bundle, codes[:CHECKED], engine.run(CHECKED))
        peers: dict[str, Peer | OutsidePeer] = {
            "ort_int8": best_int8(bundle.network, codes),
            **outside_peers(bench, bundle.network),
            "ort_qcdq": best_of(partial(qcdq_peer, path, optimized=optimized), codes),
            "ort_float": best_of(partial(float_peer, path), codes),
            "qonnx": qonnx_peer(path, 1),
            "qonnx_batched": qonnx_peer(path, QONNX_BATCH),
        }
        return {**bench.against(peers, engine), "qcdq_mismatches": mismatches}


def batch1(bench: Bench) -> Facts:
    """Latency of single patches, one at a time, the engines in turns."""
    codes = bench.codes[:1]
    peers = [int8_peer(bench.zoo_vgg.network, 1, form) for form in ("qdq", "nhwc")]
    feeds = [peer.feed(codes) for peer in peers]
    with bench.engine(bench.zoo_vgg) as engine:
        engines: dict[str, Callable[[], object]] = {"emulator": partial(engine.run, 1)}
        engines |= {peer.name: partial(peer.run, feed) for peer, feed in zip(peers, feeds)}
        takes = {name: partial(latencies_s, single, SINGLES) for name, single in engines.items()}
        others = [outside_peer(engine, bench.zoo_vgg.network, 1) for engine in INT8]
        takes |= {peer.name: partial(peer.latencies_s, SINGLES) for peer in others}
        rounds: dict[str, list[list[float]]] = {name: [] for name in takes}
        for _ in range(bench.rounds):
            for name, take in takes.items():
                rounds[name].append(take())
    p50 = {name: [statistics.median(taken) for taken in values] for name, values in rounds.items()}

    def quickest(among: Iterable[Peer | OutsidePeer]) -> str:
        return min((peer.name for peer in among), key=lambda name: statistics.median(p50[name]))

    best, fastest = quickest(peers), quickest([*peers, *others])

    def shown(name: str) -> Facts:
        return {"p50": 1e6 * statistics.median(p50[name]), "p95": 1e6 * float(np.percentile(rounds[name], 95))}

    return {
        **ratios({"ratio_ort_int8": (p50[best], p50["emulator"]), "ratio_fastest": (p50[fastest], p50["emulator"])}),
        "emulator_us": shown("emulator"),
        "ort_int8_us": {"setting": best, **shown(best)},
        "fastest_us": {"setting": fastest, **shown(fastest)},
    }


def singles(bench: Bench) -> Facts:
    """A stream of single patches, from raw patch to label, over large batches of frames."""
    entry = bench.zoo_vgg.manifest.input
    patches = np.random.default_rng(0).integers(0, 256, (LARGEST_BATCH, *entry.patch_shape), entry.patch_dtype)
    with bench.engine(bench.zoo_vgg) as engine, open_accelerator(ZOO_VGG, "emulator", threads=1) as accelerator:
        batch = min(LARGEST_BATCH, engine.batch(RUN_S))

        def stream() -> None:
            deque(accelerator.stream(patches[at : at + 1] for at in range(batch)), maxlen=0)

        measures = {"large": engine.large_batch(bench.clock), "stream": timed(stream, batch, bench.clock)}
        rates = interleaved(measures, bench.rounds)
    return {
        **ratios({"stream_over_large": (rates["stream"], rates["large"])}),
        "stream_patches_per_s": statistics.median(rates["stream"]),
    }


def cores(bench: Bench) -> Facts:
    """Two cores over one, and what the machine itself gives: its peak in two processes over one; and over the peers."""
    unit, codes = bench.peak.kinds[0], bench.codes[:PEER_CODES]
    peers = {engine: outside_peer(engine, bench.zoo_vgg.network, BATCHES[-1], threads=2) for engine in INT8}
    with bench.engine(bench.zoo_vgg) as one, bench.engine(bench.zoo_vgg, threads=2) as two:
        batch = min(LARGEST_BATCH, 2 * one.batch(RUN_S))
        measures: dict[str, Measure] = {
            "one": timed(partial(one.run, batch), batch),
            "two": timed(partial(two.run, batch), batch),
            "peak one": partial(bench.peak.gmac_per_s, unit),
            "peak two": partial(bench.peak.gmac_per_s, unit, processes=2),
        }
        measures |= {name: peer.measure(codes, least_s=RUN_S) for name, peer in peers.items()}
        rates = interleaved(measures, bench.rounds)
    fastest = max(peers, key=lambda name: statistics.median(rates[name]))
    pairs = {
        "two_cores_over_one": ("two", "one"),
        "machine_two_over_one": ("peak two", "peak one"),
        "two_cores_ratio_fastest": ("two", fastest),
    }
    return {
        **ratios({name: (rates[above], rates[below]) for name, (above, below) in pairs.items()}),
        "two_cores_patches_per_s": statistics.median(rates["two"]),
        "two_cores_peers": {peers[name].name: statistics.median(rates[name]) for name in peers},
    }


def widths(bench: Bench) -> Facts:
    """The same VGG at fewer bits over four bits, with and without Winograd's form, on every kernel set; "auto" is the
    last."""
    kernels = {kernel: kernel_set(bench, kernel) for kernel in available_kernels()}
    best = kernels[available_kernels()[-1]]
    facts: Facts = {"kernels": kernels}
    for width in ("w2a2", "w1a1"):
        with bench.engine(bench.others[f"vgg-{width}"]) as engine:
            over = {base: f"{width}_{base}" for base in ("over_w4a4", "over_w4a4_direct")}
            facts[width] = {
                **{base: best[key] for base, key in over.items()},
                "quartiles": {base: best["quartiles"][key] for base, key in over.items()},
                "blocks": engine.steps(),
            }
    return facts


def kernel_set(bench: Bench, kernel: Kernel) -> Facts:
    """The VGG at three widths on one kernel set, that of four bits also without Winograd's form, and the peak of the
    unit it computes with."""
    vggs = {"w4a4": bench.zoo_vgg, "w2a2": bench.others["vgg-w2a2"], "w1a1": bench.others["vgg-w1a1"]}
    engines = {width: bench.engine(bundle, kernel=kernel) for width, bundle in vggs.items()}
    engines["w4a4_direct"] = bench.engine(bench.zoo_vgg, kernel=kernel, winograd=False)
    with ExitStack() as stack:
        measures = {
            name: stack.enter_context(engine).large_batch(bench.clock, KERNEL_RUN_S) for name, engine in engines.items()
        }
        if bench.peak.unit(kernel) in bench.peak.kinds:
            measures["peak"] = bench.measure_peak(bench.peak.unit(kernel))
        rates = interleaved(measures, bench.rounds)
    gmacs = gmac_rates(rates["w4a4"], bench.zoo_vgg.network)
    pairs = {
        f"{width}_over_{base}": (rates[width], rates[base])
        for width in ("w2a2", "w1a1")
        for base in ("w4a4", "w4a4_direct")
    }
    facts: Facts = {f"{name}_patches_per_s": statistics.median(rates[name]) for name in engines}
    facts["w4a4_gmac_per_s"] = statistics.median(gmacs)
    if "peak" in rates:
        pairs["fraction_of_peak"] = (gmacs, rates["peak"])
        facts["peak_gmac_per_s"] = statistics.median(rates["peak"])
    return facts | ratios(pairs)


def other(bench: Bench, name: str) -> Facts:
    """A network of another architecture against the 8-bit runtimes, large batch."""
    bundle = load_bundle(ZOO / f"{name}.bsw")
    peer = best_int8(bundle.network, bench.codes[:PEER_CODES])
    with bench.engine(bundle) as engine:
        return bench.against({"ort_int8": peer, **outside_peers(bench, bundle.network)}, engine)


def binary(bench: Bench) -> Facts:
    """The VGG of one bit against the 8-bit runtimes and a binary one, whose integers are compared."""
    bundle = bench.others["vgg-w1a1"]
    larq = best_of(partial(outside_peer, "larq", bundle.network), bench.codes[:PEER_CODES])
    expected = run(bundle.network, codes_of_peers((larq.batch, *bundle.network.input.shape)))
    with bench.engine(bundle) as engine:
        facts = bench.against({**outside_peers(bench, bundle.network), "larq": larq}, engine)
    return {**facts, "larq_mismatches": int((larq.outputs() != expected.ravel()).sum())}


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
    "singles": lambda bench: {"zoo_vgg": singles(bench)},
    "cores": lambda bench: {"zoo_vgg": cores(bench)},
    "widths": widths,
    "resnet": lambda bench: {"resnet": other(bench, "eurosat-resnet-u4-w4a4")},
    "separable": lambda bench: {"separable": other(bench, "eurosat-separable-u4-w4a4")},
    "binary": lambda bench: {"binary": binary(bench)},
    "memory": lambda bench: {"memory": memory(bench)},
}


def main() -> None:
    chosen = options(__doc__, SECTIONS)
    bench = Bench(chosen.rounds, chosen.clock)
    facts = conditions(chosen, "numpy", "onnx", "onnxruntime", "qonnx")
    facts["machine"] |= {"units": list(bench.peak.kinds), "kernels": list(available_kernels())}
    measure(SECTIONS, bench, facts, chosen)
    publish(report(facts), facts, chosen)


if __name__ == "__main__":
    main()
