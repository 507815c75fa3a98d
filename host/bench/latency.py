"""Latency at batch 1: percentiles from image to label and at the device alone, where the time goes, and how many
inferences a second a single stream of them gives.

The single stream is that of MLPerf Tiny (rules v1.2, section 3: the only scenario of most of its benchmarks), run as
EEMBC's EnergyRunner does its "median performance": five runs, each repeating one input of its own, of at least 10 s or
10 inferences, and the median of their inferences a second (eembc/energyrunner, README). As in its rules, what is
before and after the network is untimed there. These are not MLPerf results.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.base import Stepped
from bitswath.backends.rtl.backend import RtlBackend
from bitswath.bench.subject import Inputs, Subject
from bitswath.errors import InputError
from bitswath.imagery.decode import decode_image

__all__ = [
    "ALONE",
    "STEPS",
    "Latency",
    "Percentiles",
    "SingleStream",
    "measure_latency",
    "percentiles",
    "single_stream",
]

IMAGE, PATCH, DEVICE = "image file to label", "patch to label", "device"
STEPS = {
    "decode": "image file's bytes to patch",
    "encode, pack": "checks, codec and packing, which one native call does where frames are dense",
    "hand over": "the backend's submit: into its buffer or queue, and starting the device",
    "wait": "the backend's collect: transfer, compute and unpacking, of which the host sees the end alone",
    "label": "integers to logits and class",
}
"""What each step of a query is; steps that one call does stand together."""

ALONE = {
    "encode": "patch to codes, or to a compressed frame, run on its own",
    "pack": "codes to a frame, run on its own",
    "fill": "frame into the device's memory, caches flushed",
    "transfer, compute": "from starting the DMA engines until both are done",
    "compute": "the network's steps, on one thread",
    "unpack": "of the input's codes (emulator) or of the results (board)",
}
"""What is run on its own, or what the backend itself tells apart."""

_RUNS, _LEAST_QUERIES = 5, 10
_ALONE_QUERIES = 100


@dataclass(frozen=True)
class Percentiles:
    """Seconds, each a value that was measured (nearest rank); `queries`: how many there were."""

    p50_s: float
    p95_s: float
    p99_s: float
    max_s: float
    mean_s: float
    queries: int


@dataclass(frozen=True)
class SingleStream:
    """Inferences a second of each run, and their median."""

    per_s: float
    runs: tuple[float, ...]
    queries: tuple[int, ...]


@dataclass(frozen=True)
class Latency:
    """`percentiles` and `single_stream` by what is timed; `steps`: medians, seconds, that follow each other in a query;
    `alone`: medians of steps as `ALONE` says; `device_cycles`: clock cycles of a frame from its first word in to its
    last word out, where the backend counts them, and `device_s` that at the design's clock; `absent`: what was not
    measured, and why."""

    percentiles: dict[str, Percentiles]
    steps: dict[str, float]
    single_stream: dict[str, SingleStream]
    alone: dict[str, float]
    device_cycles: int | None = None
    device_s: float | None = None
    absent: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As it goes into JSON."""
        return {**asdict(self), "step_notes": {name: STEPS[name] for name in self.steps}}


def percentiles(seconds: Sequence[float]) -> Percentiles:
    """Raises `InputError` if there are none."""
    if not seconds:
        raise InputError("expected one or more latencies, got none")
    p50, p95, p99 = np.quantile(seconds, [0.5, 0.95, 0.99], method="inverted_cdf").tolist()
    return Percentiles(p50, p95, p99, max(seconds), statistics.fmean(seconds), len(seconds))


def measure_latency(
    subject: Subject,
    inputs: Inputs,
    *,
    queries: int = 500,
    warmup: int = 50,
    least_s: float = 10.0,
) -> Latency:
    """Latency of `queries` single patches after `warmup` that do not count, taken from `inputs` in turn.

    Each query is run from the file or patch to the label, and once more at the device alone with its packed frame.
    `least_s`: of each run of the single stream. Raises `InputError`, `BackendError`, and what decoding raises.
    """
    if queries < 1 or warmup < 0 or not least_s >= 0:
        raise InputError(f"expected queries >= 1, warmup >= 0, least_s >= 0, got {queries}, {warmup}, {least_s}")
    frames = subject.accelerator.encode(inputs.patches)
    taken: dict[str, list[float]] = {}
    steps: dict[str, list[float]] = {}
    turns = cycle(range(len(frames)))
    for query in range(-warmup, queries):
        index = next(turns)
        spent = _query(subject, inputs, index)
        alone = _device_s(subject, frames[index : index + 1])
        if query >= 0:
            _add(steps, spent)
            whole = sum(seconds for name, seconds in spent.items() if name != "decode")
            _add(taken, {PATCH: whole, DEVICE: alone})
            if "decode" in spent:
                _add(taken, {IMAGE: whole + spent["decode"]})
    cycles = _cycles(subject)
    return Latency(
        percentiles={name: percentiles(taken[name]) for name in (IMAGE, PATCH, DEVICE) if name in taken},
        steps={name: statistics.median(steps[name]) for name in STEPS if name in steps},
        single_stream=_streams(subject, inputs, frames, least_s),
        alone=_alone(subject, inputs.patches, min(queries, _ALONE_QUERIES)),
        device_cycles=cycles,
        device_s=cycles / subject.bare.clock_hz if cycles and subject.bare.clock_hz else None,
        absent={} if inputs.files else {IMAGE: f"{inputs.source} have no files to decode; give images"},
    )


def single_stream(runs: Mapping[str, Sequence[Callable[[], object]]], least_s: float) -> dict[str, SingleStream]:
    """By name, each of its runs repeated for `least_s`, `_LEAST_QUERIES` times at least; names take turns, run by run,
    so that other work on the machine disturbs all alike. Every name has as many runs, one or more."""
    done: dict[str, list[tuple[int, float]]] = {name: [] for name in runs}
    for turn in zip(*runs.values()):
        for name, run in zip(runs, turn):
            count, started = 0, time.perf_counter()
            while count < _LEAST_QUERIES or time.perf_counter() - started < least_s:
                run()
                count += 1
            done[name].append((count, count / (time.perf_counter() - started)))
    return {name: _stream_of(rows) for name, rows in done.items()}


def _stream_of(rows: list[tuple[int, float]]) -> SingleStream:
    counts, rates = zip(*rows)
    return SingleStream(statistics.median(rates), rates, counts)


def _streams(subject: Subject, inputs: Inputs, frames: NDArray[np.uint8], least_s: float) -> dict[str, SingleStream]:
    chosen = [index % len(frames) for index in range(_RUNS)]
    device = [partial(_device_s, subject, frames[index : index + 1]) for index in chosen]
    whole = [partial(subject.accelerator.classify, inputs.patches[index]) for index in chosen]
    return single_stream({PATCH: whole, DEVICE: device}, least_s)


def _query(subject: Subject, inputs: Inputs, index: int) -> dict[str, float]:
    """Seconds of each step of one query, from the file where there is one."""
    spent = {}
    patch = inputs.patches[index]
    if inputs.files:
        started = time.perf_counter()
        patch = decode_image(inputs.files[index], patch.shape[2], patch.dtype)
        spent["decode"] = time.perf_counter() - started
    started = time.perf_counter()
    subject.accelerator.classify(patch)
    ended = time.perf_counter()
    calls = subject.device.last
    if calls is None or calls.submit < started:
        raise InputError("expected a query to reach the device, but nothing did")
    return {
        **spent,
        "encode, pack": calls.submit - started,
        "hand over": calls.submitted - calls.submit,
        "wait": calls.collected - calls.submitted,
        "label": ended - calls.collected,
    }


def _alone(subject: Subject, patches: NDArray[Any], queries: int) -> dict[str, float]:
    """Medians, seconds, of the steps in `ALONE` that can be run or seen here."""
    codec, bare = subject.bundle.codec, subject.bare
    spent: dict[str, list[float]] = {}
    for query in range(queries):
        index = query % len(patches)
        patch, started = patches[index : index + 1], time.perf_counter()
        if bare.packing.compressed:
            frame = codec.encode_packed(patch)
            _add(spent, {"encode": time.perf_counter() - started})
        else:
            codes = codec.encode(patch)
            encoded = time.perf_counter()
            frame = subject.accelerator.pack(codes)
            _add(spent, {"encode": encoded - started, "pack": time.perf_counter() - encoded})
        if isinstance(bare, Stepped):
            _add(spent, bare.steps(frame))
    return {name: statistics.median(spent[name]) for name in ALONE if name in spent}


def _device_s(subject: Subject, frame: NDArray[np.uint8]) -> float:
    """Seconds from handing a packed frame to the backend until its integers are there."""
    started = time.perf_counter()
    subject.bare.collect(subject.bare.submit(frame))
    return time.perf_counter() - started


def _cycles(subject: Subject) -> int | None:
    """A frame alone in the simulated accelerator."""
    return subject.bare.statistics().latency if isinstance(subject.bare, RtlBackend) else None


def _add(lists: dict[str, list[float]], values: dict[str, float]) -> None:
    for name, value in values.items():
        lists.setdefault(name, []).append(value)
