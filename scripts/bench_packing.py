"""Packing and encoding on one core against memcpy of the same codes, interleaved, medians.

Every run writes into arrays that exist already, memcpy's too. The large batch is bigger than the caches of one
core, so that memory counts; the small one stays in the second-level cache, so that arithmetic does. A fraction is
the median over rounds of memcpy's seconds over the run's, both of the same round. Rates are bytes of codes, one
a byte, or of samples where patches are encoded, in GB/s.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import bitswath._native as _native
from bitswath.codecs import CodecSpec, fit_codec
from bitswath.packing import frame_bytes, pack, unpack

SHAPE = (64, 64, 13)
WIDTHS = range(1, 9)
CACHED_PATCHES = 8
"""With their frames at most 0.9 MB, which a second-level cache holds."""

MEMORY_BOUND = 1.25
"""A kernel that is so much quicker in the cache waits for memory in a large batch."""

GOAL = 0.25

Run = Callable[[], object]
Facts = dict[str, Any]


def interleaved(runs: dict[str, Run], repeats: int, least_s: float = 0.0) -> dict[str, list[float]]:
    """Seconds of each in every round, of as many calls in a row as take `least_s`."""
    calls = {}
    for name, run in runs.items():
        run()
        started = time.perf_counter()
        run()
        calls[name] = 1 + int(least_s / max(time.perf_counter() - started, 1e-7))
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            started = time.perf_counter()
            for _ in range(calls[name]):
                run()
            seconds[name].append((time.perf_counter() - started) / calls[name])
    return seconds


def fraction(seconds: dict[str, list[float]], name: str) -> float:
    return statistics.median(copy / run for copy, run in zip(seconds["memcpy"], seconds[name]))


def rate(size: int, seconds: list[float]) -> float:
    """GB/s."""
    return size / statistics.median(seconds) / 1e9


def dense(patches: int, repeats: int, least_s: float = 0.0) -> Facts:
    """Pack and unpack at every width against memcpy, on one core."""
    rng = np.random.default_rng(0)
    codes = {bits: rng.integers(0, 1 << bits, (patches, *SHAPE), np.uint8) for bits in (1, 8)}
    copy = np.empty_like(codes[8])
    runs: dict[str, Run] = {"memcpy": lambda: np.copyto(copy, codes[8])}
    for bits in WIDTHS:
        source = codes[8] >> (8 - bits) if bits > 1 else codes[1]
        frames = pack(source, bits, out=np.empty((patches, frame_bytes(SHAPE, bits)), np.uint8))
        runs[f"pack {bits}"] = lambda s=source, b=bits, f=frames: pack(s, b, out=f, threads=1)
        runs[f"unpack {bits}"] = lambda b=bits, f=frames: unpack(f, SHAPE, b, out=copy, threads=1)
    seconds = interleaved(runs, repeats, least_s)
    size = copy.nbytes
    widths = {
        str(bits): {
            what: {
                "gb_per_s": rate(size, seconds[f"{what} {bits}"]),
                "fraction_of_memcpy": fraction(seconds, f"{what} {bits}"),
            }
            for what in ("pack", "unpack")
        }
        for bits in WIDTHS
    }
    return {"patches": patches, "memcpy_gb_per_s": rate(size, seconds["memcpy"]), "widths": widths}


def sources(patches: int, repeats: int) -> Facts:
    """Packing four bits from each type of array; fractions are of memcpy of that array."""
    codes = np.random.default_rng(1).integers(0, 16, (patches, *SHAPE), np.uint8)
    frames = np.empty((patches, frame_bytes(SHAPE, 4)), np.uint8)

    def measured(source: NDArray[Any]) -> Facts:
        copy = np.empty_like(source)
        runs: dict[str, Run] = {
            "memcpy": lambda: np.copyto(copy, source),
            "pack": lambda: pack(source, 4, out=frames, threads=1),
        }
        seconds = interleaved(runs, repeats)
        return {"gb_per_s": rate(codes.nbytes, seconds["pack"]), "fraction_of_memcpy": fraction(seconds, "pack")}

    return {dtype: measured(codes.astype(dtype)) for dtype in ("uint8", "int8", "uint16", "float32")}


def threads(patches: int, repeats: int) -> Facts:
    codes = np.random.default_rng(2).integers(0, 16, (patches, *SHAPE), np.uint8)
    frames, back = np.empty((patches, frame_bytes(SHAPE, 4)), np.uint8), np.empty_like(codes)
    runs: dict[str, Run] = {}
    for count in (1, os.cpu_count() or 1):
        runs[f"pack {count}"] = lambda n=count: pack(codes, 4, out=frames, threads=n)
        runs[f"unpack {count}"] = lambda n=count: unpack(frames, SHAPE, 4, out=back, threads=n)
    return {name: rate(codes.nbytes, seconds) for name, seconds in interleaved(runs, repeats).items()}


def peers(repeats: int) -> Facts:
    """What people pack with today, codes to frames, on a few patches: GB/s of codes."""
    codes = np.random.default_rng(3).integers(0, 256, (16, *SHAPE), np.uint8)

    def numpy_bits(bits: int) -> NDArray[np.uint8]:
        stream = np.unpackbits((codes >> (8 - bits))[..., None], axis=-1, count=bits, bitorder="little")
        return np.packbits(stream.reshape(len(codes), -1), axis=1, bitorder="little")

    single, nibbles = codes >> 7, codes >> 4
    rows = nibbles.reshape(len(codes), -1)
    runs: dict[str, Run] = {
        "numpy.packbits, 1 bit": lambda: np.packbits(single.reshape(len(codes), -1), axis=1, bitorder="little"),
        "numpy strided, 4 bit": lambda: rows[:, ::2] | rows[:, 1::2] << 4,
        "numpy bits, 3 bit": lambda: numpy_bits(3),
        "bitswath, 1 bit": lambda: pack(single, 1, threads=1),
        "bitswath, 4 bit": lambda: pack(nibbles, 4, threads=1),
    }
    found = {name: rate(codes.nbytes, seconds) for name, seconds in interleaved(runs, repeats, 2e-3).items()}
    return found | finn(nibbles[0, :4])


def finn(values: NDArray[np.uint8]) -> Facts:
    try:
        from finn.util.data_packing import finnpy_to_packed_bytearray
        from qonnx.core.datatype import DataType
    except ImportError:
        return {}
    floats = values.astype(np.float32)
    started = time.perf_counter()
    finnpy_to_packed_bytearray(floats, DataType["UINT4"], reverse_inner=True, reverse_endian=True)
    return {"FINN data_packing, 4 bit": values.nbytes / (time.perf_counter() - started) / 1e9}


def land(patches: int) -> NDArray[np.uint8]:
    """Dark, smooth, band-correlated patches (N, 64, 64, 3) with some noise, as land is."""
    rng = np.random.default_rng(4)
    coarse = rng.gamma(3.0, 30.0, (patches, 1, 1, 1)) + rng.normal(0, 10, (patches, 9, 9, 3))
    blend = np.linspace(0, 1, 8, endpoint=False)[:, None, None]
    for axis in (1, 2):
        coarse = np.moveaxis(coarse, axis, 1)
        low, high = coarse[:, :-1, None], coarse[:, 1:, None]
        coarse = np.moveaxis((low + (high - low) * blend).reshape(patches, 64, *coarse.shape[2:]), 1, axis)
    return (coarse + rng.normal(0, 3, coarse.shape)).clip(0, 255).astype(np.uint8)


def codecs(patches: int, repeats: int) -> Facts:
    """Encoding 64 x 64 x 3 samples, alone and into frames, and one patch at a time, on one core."""
    batch = land(patches)
    found = {}
    for kind in ("uniform", "companded", "palette"):
        for bits in (1, 2, 4, 8):
            for dither in (None, "ordered"):
                spec = CodecSpec(kind, bits, dither)
                codec = fit_codec(spec, batch[:16])
                frames = codec.encode_packed(batch)
                one = np.empty_like(frames[0])
                runs: dict[str, Run] = {
                    "encode": lambda c=codec: c.encode(batch, threads=1),
                    "encode_packed": lambda c=codec, f=frames: c.encode_packed(batch, out=f, threads=1),
                    "one": lambda c=codec, f=one: c.encode_packed(batch[0], out=f, threads=1),
                }
                seconds = interleaved(runs, repeats, 2e-3)
                found[str(spec)] = {
                    "encode_gb_per_s": rate(batch.nbytes, seconds["encode"]),
                    "encode_packed_gb_per_s": rate(batch.nbytes, seconds["encode_packed"]),
                    "one_patch_us": statistics.median(seconds["one"]) * 1e6,
                }
    return found


def worst(facts: Facts) -> tuple[float, str]:
    return min(
        (of[what]["fraction_of_memcpy"], f"{what} {bits}") for bits, of in facts["widths"].items() for what in of
    )


def limit(large: Facts, cached: Facts, bits: int, what: str) -> str:
    ratio = cached["widths"][str(bits)][what]["gb_per_s"] / large["widths"][str(bits)][what]["gb_per_s"]
    return "memory" if ratio > MEMORY_BOUND else "arithmetic"


def show(console: Console, facts: Facts) -> None:
    large, cached = facts["large"], facts["cached"]
    title = f"{large['patches']} patches of 64 x 64 x 13 (memcpy {large['memcpy_gb_per_s']:.1f} GB/s); in cache: "
    title += f"{cached['patches']} (memcpy {cached['memcpy_gb_per_s']:.1f} GB/s)"
    table = Table("bits", "", "GB/s", "of memcpy", "in cache, GB/s", "of memcpy", "limited by", title=title)
    for bits in WIDTHS:
        for what in ("pack", "unpack"):
            here, there = large["widths"][str(bits)][what], cached["widths"][str(bits)][what]
            row = [
                f"{value:.1f}" if i % 2 == 0 else f"{value:.0%}"
                for of in (here, there)
                for i, value in enumerate(of.values())
            ]
            table.add_row(str(bits), what, *row, limit(large, cached, bits, what))
    console.print(table)
    fewer = Table("4 bits from", "GB/s", "of memcpy", title="sources")
    for dtype, of in facts["sources"].items():
        fewer.add_row(dtype, f"{of['gb_per_s']:.1f}", f"{of['fraction_of_memcpy']:.0%}")
    console.print(fewer)
    others = Table("packer", "GB/s", title="others, small batches; threads, large ones")
    for name, value in (
        facts["peers"] | {f"{name} thread(s)": value for name, value in facts["threads"].items()}
    ).items():
        others.add_row(name, f"{value:.3g}")
    console.print(others)
    encoders = Table("codec", "encode, GB/s", "encode_packed, GB/s", "one patch, µs", title="64 x 64 x 3 samples")
    for name, of in facts["codecs"].items():
        encoders.add_row(name, *(f"{value:.2f}" for value in of.values()))
    console.print(encoders)
    value, where = worst(large)
    verdict = "meets" if value >= GOAL else "falls short of"
    console.print(f"worst: {where} at {value:.0%} of memcpy, which {verdict} the goal of {GOAL:.0%}")


def processor() -> str:
    """The processor's name, or its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patches", type=int, default=1024, help="of the large batch")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    large, cached = dense(arguments.patches, arguments.repeats), dense(CACHED_PATCHES, arguments.repeats, 2e-3)
    facts: Facts = {
        "worst_fraction_of_memcpy": worst(large)[0],
        "worst_fraction_of_memcpy_in_cache": worst(cached)[0],
        "date": datetime.date.today().isoformat(),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "packing_kernels": _native.packing_kernels()[-1],
            "codec_kernels": _native.codec_kernels()[-1],
            "numpy": np.__version__,
        },
        "large": large,
        "cached": cached,
        "sources": sources(min(arguments.patches, 256), arguments.repeats),
        "threads": threads(arguments.patches, arguments.repeats),
        "peers": peers(arguments.repeats),
        "codecs": codecs(64, arguments.repeats),
    }
    show(Console(), facts)
    if arguments.json:
        arguments.json.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
