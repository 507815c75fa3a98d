"""The `rtl` backend: a bundle's built hardware, simulated cycle by cycle.

The build's sources are compiled by Verilator into a native program, kept in the cache, and packed frames are
streamed through it: the same words that a board would see, many frames in flight.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.base import Packing, Ticket, patient
from bitswath.backends.rtl.simulator import Counts, Frame, Pacing, Simulator
from bitswath.backends.rtl.verilator import Variant, compiled
from bitswath.builds.design import Design
from bitswath.builds.folder import RTL, load_design
from bitswath.builds.words import check_sound, fill_words, read_words
from bitswath.errors import BackendError, BundleError, InputError

__all__ = ["RtlBackend", "Statistics", "StreamStatistics", "pacing", "statistics"]

_MAX_STALL = 0.95


@dataclass(frozen=True)
class StreamStatistics:
    """Of one stream: beats moved, cycles its source waited (stalls), cycles its sink waited (starved), and the most
    beats its queue held (0 where nothing measures it)."""

    transfers: int
    stalls: int
    starved: int
    high_water: int = 0


@dataclass(frozen=True)
class Statistics:
    """What a simulation measured, in clock cycles.

    `latency`: the first frame's, from its first word in to its last word out. `interval`: initiation interval,
    the median distance of the last words of frames that follow each other; None with fewer than two frames.
    """

    frames: int
    cycles: int
    latency: int | None
    interval: float | None
    streams: dict[str, StreamStatistics]


class RtlBackend:
    """A build folder's accelerator in simulation, behind the `Backend` interface.

    `output_shape`: of the network's output, by default (values,). `network`: SHA-256 the build must be made for.
    `stall`: share of cycles in which both ends pause at random, drawn from `seed`. `exact`: simulate every
    module as it is synthesized, not models that do the same in the same cycles but many times as fast (fast.py).
    `threads`: of the simulator. `trace`: where to write the waveform, .fst or .vcd, or how often each signal changes,
    .saif; at the design's clock. `timeout_s`: how long it may not get on while room or results are waited for;
    `build_timeout_s`: the longest that the compiler may take, which runs if the simulator is not in the cache.
    Raises `BundleError` if the build is damaged or of another network, `BackendError`, `InputError`.
    """

    def __init__(
        self,
        design_folder: str | Path,
        *,
        output_shape: tuple[int, ...] | None = None,
        network: str | None = None,
        stall: float = 0.0,
        seed: int = 0,
        exact: bool = False,
        threads: int = 1,
        trace: str | Path | None = None,
        frames_in_flight: int = 16,
        timeout_s: float = 600.0,
        build_timeout_s: float = 1800.0,
    ) -> None:
        if not 0 <= stall <= _MAX_STALL:
            raise InputError(f"expected a stall of 0 to {_MAX_STALL}, got {stall}")
        if threads < 1 or frames_in_flight < 1:
            raise InputError(f"expected 1 or more threads and frames in flight, got {threads} and {frames_in_flight}")
        folder = Path(design_folder)
        self.design = load_design(folder, network)
        link = self.design.input
        self.packing = Packing(link.bits, compressed=link.compressed, word_bytes=link.width // 8)
        self.frames_in_flight = frames_in_flight
        self.clock_hz: float | None = self.design.clock_hz
        self._shape = (self.design.output.values,) if output_shape is None else output_shape
        if int(np.prod(self._shape)) != self.design.output.values:
            raise BundleError(f"{folder}: gives {self.design.output.values} values a frame, expected {self._shape}")
        self._timeout_s = timeout_s
        variant = Variant(fast=not exact, trace=_trace_format(trace), threads=threads)
        model = compiled(self.design, folder / RTL, variant, timeout_s=build_timeout_s)
        log = model.with_name(f"run-{os.getpid()}-{secrets.token_hex(4)}.log")
        ends = pacing(self.design, stall, seed)
        self._simulator = Simulator(model, self.design, folder / RTL, ends, log, trace=Path(trace) if trace else None)
        self._lock = threading.Lock()
        self._outstanding: deque[Ticket] = deque()
        self._answers: dict[int, list[Frame]] = {}
        self._times: list[tuple[int, int]] = []
        self._submitted = self._tickets = 0
        self._closed = False

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        """Start on packed frames uint8 (N, frame_bytes), compressed ones (N, W). See `Backend.submit`."""
        words = fill_words(self.design.input, frames)
        with self._lock:
            self._check_open()
            room = max(0, self._submitted + len(frames) - self.frames_in_flight)
            self._finished(min(room, self._submitted))
            if len(frames):
                self._simulator.send(words, self._timeout_s)
            ticket = Ticket(self._tickets, len(frames))
            self._tickets += 1
            self._submitted += len(frames)
            self._outstanding.append(ticket)
            self._answers[ticket.number] = []
        return ticket

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> NDArray[np.signedinteger]:
        """int32 or int64 (N, *output shape). See `Backend.collect`."""
        if timeout_s is None:
            return patient(lambda: self.collect(ticket, self._timeout_s), self)
        with self._lock:
            self._check_open()
            if ticket.number not in self._answers:
                raise BackendError(f"ticket {ticket.number} is not outstanding; each is collected once")
            while len(self._answers[ticket.number]) < ticket.frames:
                self._receive(timeout_s)
            answers = self._answers.pop(ticket.number)
            self._outstanding = deque(one for one in self._outstanding if one.number != ticket.number)
        if self.design.output.status:
            check_sound(np.array([answer.words[-1] for answer in answers], np.uint8))
        values = read_words(self.design.output, [answer.words for answer in answers])
        return values.reshape(len(answers), *self._shape)

    def statistics(self) -> Statistics:
        """What was measured so far, once every frame submitted is done. Raises as `collect` does."""
        with self._lock:
            self._check_open()
            self._finished(self._submitted)
            for _ in range(self._submitted - len(self._times)):
                self._receive(self._timeout_s)
            return statistics(self.design, self._times, self._simulator.counts(self._timeout_s))

    @property
    def progress(self) -> int:
        """See `Advancing.progress`."""
        return self._simulator.progress

    @property
    def pid(self) -> int:
        """Of the simulator's process."""
        return self._simulator.pid

    def close(self) -> None:
        """End the simulator; what is under way is lost."""
        self._closed = True
        self._simulator.close()

    def __enter__(self) -> RtlBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _finished(self, frames: int) -> None:
        """Wait until so many in all are."""
        patient(lambda: self._simulator.wait_for(frames, self._timeout_s), self)

    def _receive(self, timeout_s: float) -> None:
        """The next frame's answer, to the oldest ticket that still misses one."""
        frame = self._simulator.take(timeout_s)
        self._times.append((frame.first_in, frame.last_out))
        owner = next(one for one in self._outstanding if len(self._answers[one.number]) < one.frames)
        self._answers[owner.number].append(frame)

    def _check_open(self) -> None:
        if self._closed:
            raise BackendError("the rtl backend is closed; open the bundle again")


def pacing(design: Design, stall: float = 0.0, seed: int = 0) -> Pacing:
    """Ends that pause as asked, and limits that no working design comes near."""
    busiest = max((_cycles(design, stage.name) for stage in design.stages), default=1)
    total = sum(_cycles(design, stage.name) for stage in design.stages)
    words = design.input.words + design.output.words
    return Pacing(
        stall=stall,
        seed=seed,
        dead_cycles=max(1 << 17, 4 * busiest),
        frame_cycles=int((1 << 20) + 8 * (total + words) / (1 - stall)),
    )


def _cycles(design: Design, name: str) -> int:
    stage = next(stage for stage in design.stages if stage.name == name)
    names = {*stage.inputs.values(), *stage.outputs.values()}
    return max([stage.cycles or 1, *(stream.beats or 1 for stream in design.streams if stream.name in names)])


def statistics(design: Design, times: list[tuple[int, int]], counts: Counts) -> Statistics:
    """Of frames with cycles (first word in, last word out)."""
    ends = np.array([last for _, last in times], np.int64)
    return Statistics(
        frames=len(times),
        cycles=counts.cycles,
        latency=times[0][1] - times[0][0] + 1 if times else None,
        interval=float(np.median(np.diff(ends))) if len(ends) > 1 else None,
        streams={
            stream.name: StreamStatistics(*map(int, row))
            for stream, row in zip(
                design.streams, np.stack([counts.transfers, counts.stalls, counts.starved, counts.high_water], 1)
            )
        },
    )


def _trace_format(trace: str | Path | None) -> Literal["fst", "vcd", "saif"] | None:
    if trace is None:
        return None
    formats: dict[str, Literal["fst", "vcd", "saif"]] = {".fst": "fst", ".vcd": "vcd", ".saif": "saif"}
    suffix = Path(trace).suffix.lower()
    if suffix not in formats:
        raise InputError(f"{trace}: expected a waveform file that ends in .fst, .vcd or .saif")
    return formats[suffix]
