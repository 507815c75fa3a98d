"""Packing and encoding on one core against memcpy of the same codes.

Every run writes into arrays that exist already, memcpy's too. The large batch is bigger than the caches of one
core, so that memory counts; the small one stays in the second-level cache, so that arithmetic does. Rates are
bytes of codes, one a byte, or of samples where patches are encoded, in GB/s.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
from bench_run import Options, conditions, measure, options, publish
from benchmark import WALL_CLOCK, Clock, Facts, Measure, interleaved, ratios, timed
from numpy.typing import NDArray
from packing_report import WIDTHS, report

import bitswath._native as _native
from bitswath.codecs.kinds import CodecSpec, fit_codec
from bitswath.codecs.packing import Codes, frame_bytes, pack, unpack

SHAPE = (64, 64, 13)
LARGE_PATCHES = 1024
SOURCE_PATCHES = 256
ENCODED_PATCHES = 64
FITTED_PATCHES = 2
CACHED_PATCHES = 8
"""With their frames at most 0.9 MB, which a second-level cache holds."""

CODECS = [
    CodecSpec(kind, bits, dither)
    for kind in ("uniform", "companded", "palette")
    for bits in (1, 2, 4, 8)
    for dither in (None, "ordered")
]

SHORT_S = 2e-3
"""What takes less is repeated within a round."""


def gb_per_s(run: Callable[[], object], size: int, clock: Clock) -> Measure:
    """`size`: bytes that one run works off."""
    return timed(run, size / 1e9, clock, SHORT_S)


def dense(patches: int, chosen: Options) -> Facts:
    """Pack and unpack at every width against memcpy, on one core."""
    rng = np.random.default_rng(0)
    codes = {bits: rng.integers(0, 1 << bits, (patches, *SHAPE), np.uint8) for bits in (1, 8)}
    copy = np.empty_like(codes[8])
    runs: dict[str, Callable[[], object]] = {"memcpy": partial(np.copyto, copy, codes[8])}
    for bits in WIDTHS:
        source = codes[8] >> (8 - bits) if bits > 1 else codes[1]
        frames = pack(source, bits, out=np.empty((patches, frame_bytes(SHAPE, bits)), np.uint8))
        runs[f"pack {bits}"] = partial(pack, source, bits, out=frames, threads=1)
        runs[f"unpack {bits}"] = partial(unpack, frames, SHAPE, bits, out=copy, threads=1)
    measures = {name: gb_per_s(run, copy.nbytes, chosen.clock) for name, run in runs.items()}
    rates = interleaved(measures, chosen.rounds)
    memcpy = rates["memcpy"]

    def of_memcpy(name: str) -> Facts:
        return {"gb_per_s": statistics.median(rates[name])} | ratios({"fraction_of_memcpy": (rates[name], memcpy)})

    widths = {str(bits): {what: of_memcpy(f"{what} {bits}") for what in ("pack", "unpack")} for bits in WIDTHS}
    return {"patches": patches, "memcpy_gb_per_s": statistics.median(memcpy), "widths": widths}


def worst(facts: Facts, key: str) -> Facts:
    """The least fraction of memcpy by `key`, with its quartiles."""
    least = min((of for width in facts["widths"].values() for of in width.values()), key=_fraction)
    return {key: _fraction(least), "quartiles": {key: least["quartiles"]["fraction_of_memcpy"]}}


def _fraction(of: Facts) -> float:
    return float(of["fraction_of_memcpy"])


def large(chosen: Options) -> Facts:
    found = dense(LARGE_PATCHES, chosen)
    return worst(found, "worst_fraction_of_memcpy") | {"large": found}


def cached(chosen: Options) -> Facts:
    found = dense(CACHED_PATCHES, chosen)
    return worst(found, "worst_fraction_of_memcpy_in_cache") | {"cached": found}


def sources(chosen: Options) -> Facts:
    """Packing four bits from each type of array; fractions are of memcpy of that array."""
    codes = np.random.default_rng(1).integers(0, 16, (SOURCE_PATCHES, *SHAPE), np.uint8)
    frames = np.empty((SOURCE_PATCHES, frame_bytes(SHAPE, 4)), np.uint8)

    def measured(source: Codes) -> Facts:
        runs: dict[str, Callable[[], object]] = {
            "memcpy": partial(np.copyto, np.empty_like(source), source),
            "pack": partial(pack, source, 4, out=frames, threads=1),
        }
        measures = {name: gb_per_s(run, codes.nbytes, chosen.clock) for name, run in runs.items()}
        rates = interleaved(measures, chosen.rounds)
        fraction = ratios({"fraction_of_memcpy": (rates["pack"], rates["memcpy"])})
        return {"gb_per_s": statistics.median(rates["pack"])} | fraction

    arrays = (codes, codes.astype(np.int8), codes.astype(np.uint16), codes.astype(np.float32))
    return {"sources": {str(array.dtype): measured(array) for array in arrays}}


def threads(chosen: Options) -> Facts:
    """GB/s of a large batch on one core and on all, in wall time."""
    codes = np.random.default_rng(2).integers(0, 16, (LARGE_PATCHES, *SHAPE), np.uint8)
    frames, back = np.empty((LARGE_PATCHES, frame_bytes(SHAPE, 4)), np.uint8), np.empty_like(codes)
    measures = {}
    for count in (1, None):
        name = "1 thread" if count else "all cores"
        packing = partial(pack, codes, 4, out=frames, threads=count)
        unpacking = partial(unpack, frames, SHAPE, 4, out=back, threads=count)
        measures[f"pack, {name}"] = gb_per_s(packing, codes.nbytes, WALL_CLOCK)
        measures[f"unpack, {name}"] = gb_per_s(unpacking, codes.nbytes, WALL_CLOCK)
    rates = interleaved(measures, chosen.rounds)
    return {"threads": {name: statistics.median(values) for name, values in rates.items()}}


def peers(chosen: Options) -> Facts:
    """What people pack with today, codes to frames, on a few patches: GB/s of codes."""
    codes = np.random.default_rng(3).integers(0, 256, (16, *SHAPE), np.uint8)
    single, nibbles = codes >> np.uint8(7), codes >> np.uint8(4)
    rows = nibbles.reshape(len(codes), -1)

    def numpy_bits(bits: int) -> NDArray[np.uint8]:
        stream = np.unpackbits((codes >> np.uint8(8 - bits))[..., None], axis=-1, count=bits, bitorder="little")
        return np.packbits(stream.reshape(len(codes), -1), axis=1, bitorder="little")

    runs: dict[str, Callable[[], object]] = {
        "numpy.packbits, 1 bit": lambda: np.packbits(single.reshape(len(codes), -1), axis=1, bitorder="little"),
        "numpy strided, 4 bit": lambda: rows[:, ::2] | rows[:, 1::2] << 4,
        "numpy bits, 3 bit": partial(numpy_bits, 3),
        "bitswath, 1 bit": partial(pack, single, 1, threads=1),
        "bitswath, 4 bit": partial(pack, nibbles, 4, threads=1),
    }
    measures = {name: gb_per_s(run, codes.nbytes, chosen.clock) for name, run in runs.items()}
    rates = interleaved(measures | finn(nibbles[0, :4], chosen.clock), chosen.rounds)
    return {"peers": {name: statistics.median(values) for name, values in rates.items()}}


def finn(values: NDArray[np.uint8], clock: Clock) -> dict[str, Measure]:
    """FINN's own packing, where FINN is installed."""
    try:
        from finn.util.data_packing import finnpy_to_packed_bytearray
        from qonnx.core.datatype import DataType
    except ImportError:
        return {}
    floats, datatype = values.astype(np.float32), DataType["UINT4"]
    run = partial(finnpy_to_packed_bytearray, floats, datatype, reverse_inner=True, reverse_endian=True)
    return {"FINN data_packing, 4 bit": gb_per_s(run, values.nbytes, clock)}


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


def codecs(chosen: Options) -> Facts:
    """Encoding 64 x 64 x 3 samples, alone and into frames, and one patch at a time, on one core."""
    batch = land(ENCODED_PATCHES)
    return {"codecs": {str(spec): encoding(spec, batch, chosen) for spec in CODECS}}


def encoding(spec: CodecSpec, batch: NDArray[np.uint8], chosen: Options) -> Facts:
    codec = fit_codec(spec, batch[:FITTED_PATCHES])
    frames = codec.encode_packed(batch)
    measures = {
        "encode": gb_per_s(partial(codec.encode, batch, threads=1), batch.nbytes, chosen.clock),
        "encode_packed": gb_per_s(
            partial(codec.encode_packed, batch, out=frames, threads=1), batch.nbytes, chosen.clock
        ),
        "one": timed(
            partial(codec.encode_packed, batch[0], out=np.empty_like(frames[0]), threads=1), 1, chosen.clock, SHORT_S
        ),
    }
    rates = {name: statistics.median(values) for name, values in interleaved(measures, chosen.rounds).items()}
    return {
        "encode_gb_per_s": rates["encode"],
        "encode_packed_gb_per_s": rates["encode_packed"],
        "one_patch_us": 1e6 / rates["one"],
    }


SECTIONS: dict[str, Callable[[Options], Facts]] = {
    "large": large,
    "cached": cached,
    "sources": sources,
    "threads": threads,
    "peers": peers,
    "codecs": codecs,
}


def main() -> None:
    chosen = options(__doc__, SECTIONS)
    facts = conditions(chosen, "numpy")
    facts["machine"] |= {
        "packing_kernels": _native.packing_kernels()[-1],
        "codec_kernels": _native.codec_kernels()[-1],
    }
    measure(SECTIONS, chosen, facts, chosen)
    publish(report(facts), facts, chosen)


if __name__ == "__main__":
    main()
