"""Frames a second: of a stream from raw patches to labels, beside what the bare device does with packed frames.

MLPerf's offline scenario is the stream: all samples are there at once and are answered in any batches (Reddi et al.,
MLPerf Inference Benchmark, ISCA 2020, section III-C).
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.accelerator import Accelerator
from bitswath.backends.base import Packing, Ticket
from bitswath.bench.turns import CPU_CLOCK, batch_for, interleaved, ratios, timed
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import InputError
from bitswath.network.network import Lookup, Network, TensorSpec
from bitswath.streaming.counters import Counters
from bitswath.streaming.lane import IN_FLIGHT

__all__ = ["BatchRate", "Scaling", "Steps", "Throughput", "at_bits", "measure_scaling", "measure_throughput"]

_MOST_PATCHES = 4096


@dataclass(frozen=True)
class BatchRate:
    """A stream of batches of this size, median over the rounds."""

    batch: int
    patches_per_s: float


@dataclass(frozen=True)
class Steps:
    """Microseconds per patch of a stream's run, by what its threads spent them on; they overlap.

    `host_us`: encoding and packing; `device_us`: waiting for the device, the transfer included; `caller_us`: the
    caller waited for results.
    """

    host_us: float
    device_us: float
    caller_us: float

    @classmethod
    def of(cls, counters: Counters) -> Steps:
        scale = 1e6 / max(counters.frames, 1)
        return cls(counters.host_s * scale, counters.device_s * scale, counters.caller_s * scale)


@dataclass(frozen=True)
class Throughput:
    """Rates in patches a second, medians over the rounds.

    `kernel_per_s`: packed frames in, integers out, as many under way as in the stream; `stream_per_s`: from uint8
    patches in memory to labels; `stream_over_kernel`: median of the rounds' ratios. `frame_bytes`: of a frame on the
    link, on average; `link_mb_per_s`: of them at the stream's rate, in 10^6. `host_work_us`: CPU time per patch for
    encoding, packing and all bookkeeping, with a device that answers at once.
    """

    bits: int
    frame_bytes: int
    chunk: int
    patches: int
    rounds: int
    kernel_per_s: float
    stream_per_s: float
    stream_over_kernel: float
    quartiles: tuple[float, float]
    host_work_us: float
    by_batch: tuple[BatchRate, ...]
    steps: Steps

    @property
    def link_mb_per_s(self) -> float:
        return self.stream_per_s * self.frame_bytes / 1e6

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "link_mb_per_s": self.link_mb_per_s}


@dataclass(frozen=True)
class Scaling:
    """A stream over one device and over two, in patches a second; `two_over_one`: median of the rounds' ratios."""

    one_per_s: float
    two_per_s: float
    two_over_one: float
    quartiles: tuple[float, float]
    patches: int
    rounds: int


def measure_throughput(
    accelerator: Accelerator,
    *,
    batches: Sequence[int] = (1, 4, 16, 64, 256, 1024),
    rounds: int = 31,
    round_s: float = 0.15,
    seed: int = 0,
) -> Throughput:
    """All rates in turns, on random patches; rates by batch in a fifth of the rounds.

    `round_s`: about how long each measurement takes in each round; slow devices take a whole chunk at least. Where the
    machine's speed changes within seconds, many short rounds keep what is compared in one state of it.
    Raises `InputError` for impossible settings, and what the backend raises.
    """
    if rounds < 1 or not batches or min(batches) < 1:
        raise InputError(f"expected 1 or more rounds and batches of 1 or more, got {rounds} and {list(batches)}")
    pool = _pool(accelerator, seed)
    frames = accelerator.encode(pool)
    count = batch_for(partial(_kernel, accelerator, frames), round_s, _MOST_PATCHES)
    sizes = sorted({min(batch, count, len(pool)) for batch in batches})
    streamed = {f"batch {size}": timed(partial(_stream, accelerator, pool, count, size), count) for size in sizes}
    seen: list[Counters] = []
    measures = {
        "kernel": timed(partial(_kernel, accelerator, frames, count), count),
        "stream": timed(lambda: seen.append(_stream(accelerator, pool, count, accelerator.chunk)), count),
    }
    rates = interleaved(measures, rounds) | interleaved(streamed, -(-rounds // 5))
    ratio = ratios({"stream": (rates["stream"], rates["kernel"])})
    entry = accelerator.bundle.manifest.input
    return Throughput(
        bits=entry.bits,
        frame_bytes=round(float(accelerator.backend.packing.link_bytes(frames).mean())),
        chunk=accelerator.chunk,
        patches=count,
        rounds=rounds,
        kernel_per_s=statistics.median(rates["kernel"]),
        stream_per_s=statistics.median(rates["stream"]),
        stream_over_kernel=ratio["stream"],
        quartiles=tuple(ratio["quartiles"]["stream"]),
        host_work_us=_host_work_us(accelerator, pool, rounds),
        by_batch=tuple(BatchRate(size, statistics.median(rates[f"batch {size}"])) for size in sizes),
        steps=Steps.of(seen[-1]),
    )


def measure_scaling(
    one: Accelerator, other: Accelerator, *, rounds: int = 31, round_s: float = 0.15, seed: int = 0
) -> Scaling:
    """What a second accelerator of the same network adds to a stream; each turn takes four times `round_s`, since with
    few chunks in all one device waits for the other's last."""
    pool = _pool(one, seed)
    count = batch_for(lambda size: _stream(one, pool, size, one.chunk), 4 * round_s, 4 * _MOST_PATCHES)
    batch = max(min(count // 16, one.chunk), 1)
    rates = interleaved(
        {
            "one": timed(partial(_stream, one, pool, count, batch), count),
            "two": timed(partial(_stream, one, pool, count, batch, [other]), count),
        },
        rounds,
    )
    ratio = ratios({"two_over_one": (rates["two"], rates["one"])})
    one_per_s, two_per_s = statistics.median(rates["one"]), statistics.median(rates["two"])
    quartiles = tuple(ratio["quartiles"]["two_over_one"])
    return Scaling(one_per_s, two_per_s, ratio["two_over_one"], quartiles, count, rounds)


def at_bits(bundle: Bundle, bits: int, folder: Path) -> Bundle:
    """The bundle's network behind uniform codes of `bits` in `folder`, of pixels; only its speed means anything.

    Raises `InputError` for a network that begins with a table of its codes.
    """
    entry, network = bundle.manifest.input, bundle.network
    if any(isinstance(stage, Lookup) for stage in network.stages):
        raise InputError(f"{bundle.name}: its network looks codes up, so it has no other widths of input")
    return save_bundle(
        folder / f"{bundle.name}-u{bits}.bsw",
        network=Network(TensorSpec(network.input.shape, 0, 2**bits - 1), network.stages, network.head),
        codec=UniformCodec(bits, depth=16 if np.dtype(entry.patch_dtype).itemsize == 2 else 8),
        patch_shape=entry.patch_shape,
        layout=entry.layout,
        classes=bundle.classes,
    )


def _pool(accelerator: Accelerator, seed: int) -> NDArray[Any]:
    """Random patches: a few chunks of them."""
    bundle, count = accelerator.bundle, min(2 * accelerator.chunk, _MOST_PATCHES)
    return bundle.codec.samples(np.random.default_rng(seed), count, bundle.manifest.input.patch_shape)


def _batches(pool: NDArray[Any], count: int, size: int) -> Iterator[NDArray[Any]]:
    """Batches of at most `size` items, `count` in all: views of the pool, from its start again and again."""
    places = len(pool) // min(size, len(pool))
    for index, start in enumerate(range(0, count, size)):
        first = index % places * size
        yield pool[first : first + min(size, count - start)]


def _kernel(accelerator: Accelerator, frames: NDArray[np.uint8], count: int) -> None:
    """Packed frames through the bare backend, as many chunks under way as a stream has."""
    backend, under_way = accelerator.backend, deque[Ticket]()
    for batch in _batches(frames, count, accelerator.chunk):
        if len(under_way) == IN_FLIGHT:
            backend.collect(under_way.popleft(), accelerator.timeout_s)
        under_way.append(backend.submit(batch))
    while under_way:
        backend.collect(under_way.popleft(), accelerator.timeout_s)


def _stream(
    accelerator: Accelerator, pool: NDArray[Any], count: int, size: int, also: Sequence[Accelerator] = ()
) -> Counters:
    with accelerator.stream(list(_batches(pool, count, size)), also=also) as results:
        for _ in results:
            pass
        return results.counters


class _Instant:
    """A device that has every answer at once: what is left is the host's work."""

    clock_hz: float | None = None

    def __init__(self, packing: Packing, room: int, shape: tuple[int, ...]) -> None:
        self.packing, self.frames_in_flight, self._shape = packing, room, shape

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        return Ticket(0, len(frames))

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> NDArray[np.int32]:
        return np.zeros((ticket.frames, *self._shape), np.int32)

    def close(self) -> None:
        pass


def _host_work_us(accelerator: Accelerator, pool: NDArray[Any], rounds: int) -> float:
    backend = accelerator.backend
    instant = _Instant(backend.packing, backend.frames_in_flight, accelerator.bundle.network.output.shape)
    with Accelerator(accelerator.bundle, instant, chunk=accelerator.chunk, timeout_s=None) as host:
        run: Callable[[], object] = partial(_stream, host, pool, _MOST_PATCHES, accelerator.chunk)
        run()
        return 1e6 / statistics.median(timed(run, _MOST_PATCHES, CPU_CLOCK)() for _ in range(rounds))
