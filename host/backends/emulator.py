"""The emulator: runs the integer network in native code, bit-exactly, on every core.

The native side proves shapes and value ranges anew from the stages, so nothing in a bundle can make
it read out of bounds or overflow. Accumulators are 32 bits wide where every partial sum provably
fits, else 64.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from types import TracebackType
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from bitswath._native import Emulator, emulator_kernels
from bitswath.backends.base import Packing, Ticket, patient
from bitswath.basics.machine import cores
from bitswath.codecs.packing import pack
from bitswath.errors import CodecError, FrameError, InputError, NetworkError
from bitswath.network.network import Network, Stage

__all__ = ["EmulatorBackend", "Kernel", "Outputs", "available_kernels", "run"]

Kernel = Literal["auto", "scalar", "avx2", "avxvnni", "avx512", "zen4", "amx", "neon", "neondot"]
Outputs = NDArray[np.signedinteger]


def available_kernels() -> tuple[Kernel, ...]:
    """The kernel sets this CPU can run, slowest first; "auto" takes the last."""
    names: Sequence[Kernel] = emulator_kernels()
    return tuple(names)


@overload
def run(
    network: Network,
    codes: NDArray[np.integer],
    *,
    taps: Literal[False] = False,
    threads: int | None = None,
    kernel: Kernel = "auto",
) -> Outputs: ...


@overload
def run(
    network: Network,
    codes: NDArray[np.integer],
    *,
    taps: Literal[True],
    threads: int | None = None,
    kernel: Kernel = "auto",
) -> dict[str, Outputs]: ...


def run(
    network: Network,
    codes: NDArray[np.integer],
    *,
    taps: bool = False,
    threads: int | None = None,
    kernel: Kernel = "auto",
) -> Outputs | dict[str, Outputs]:
    """Outputs (N, *output shape) for codes (N, *input shape); with `taps` every tensor by name.

    Results are int32, or int64 where a tensor's range needs it. `threads`: None for every core.
    With `taps` no stages are fused, so that each stage's tensor is there.
    Raises `InputError` for codes of another shape, dtype or range, `NetworkError` for a network that
    cannot be emulated, `BackendError` for a kernel set this CPU does not have.
    """
    native = _compile(network, threads, kernel, fuse=not taps)
    result: Outputs | dict[str, Outputs] = native.run_codes(_input_codes(network, codes), taps)
    return result


class EmulatorBackend:
    """The emulator behind the `Backend` interface: batches of frames, worked off in order.

    `bits`: width of a code in a frame, 1..8. `unpack`: of compressed frames (N, W), codes (N, ...) or raises
    `CodecError`; None: frames are dense. `threads`: None for every core. `timeout_s`: the longest that nothing
    gets done while `submit` waits for room, and `collect` for results unless told otherwise: a host may be slow.
    `winograd`: False keeps convolutions from that form, to measure what it gains; results are the same.
    Raises `NetworkError` if the network cannot be emulated, `InputError` if its input does not fit `bits`.
    """

    clock_hz: float | None = None

    def __init__(
        self,
        network: Network,
        bits: int,
        *,
        unpack: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
        threads: int | None = None,
        kernel: Kernel = "auto",
        frames_in_flight: int = 4096,
        timeout_s: float = 600.0,
        winograd: bool = True,
    ) -> None:
        if network.input.hi >= 1 << max(bits, 0) or network.input.lo < 0:
            raise InputError(
                f"expected a network input that fits {bits} unsigned bits, got {network.input.lo}..{network.input.hi}"
            )
        self._native = _compile(network, threads, kernel, fuse=True, room=frames_in_flight, winograd=winograd)
        self._frame_bytes: int = self._native.frame_bytes(bits)
        self.packing = Packing(bits, compressed=unpack is not None)
        self._unpack = unpack
        self.frames_in_flight = frames_in_flight
        self._timeout_s = timeout_s

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        """Start on packed frames uint8 (N, frame_bytes). See `Backend.submit`."""
        given = self._dense(frames)
        number = patient(lambda: self._native.submit(given, self.packing.bits, self._timeout_s), self)
        return Ticket(number, len(frames))

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> Outputs:
        """int32 or int64 (N, *output shape). See `Backend.collect`."""
        if timeout_s is None:
            return patient(lambda: self.collect(ticket, self._timeout_s), self)
        outputs: Outputs = self._native.collect(ticket.number, timeout_s)
        return outputs

    def cancel(self, ticket: Ticket) -> None:
        """See `Cancelling.cancel`. Of a batch under way the step at hand is still done, on each thread."""
        self._native.drop(ticket.number)

    @property
    def progress(self) -> int:
        """Steps done so far. See `Advancing.progress`."""
        count: int = self._native.progress
        return count

    def profile(self, frames: NDArray[np.uint8]) -> list[tuple[str, str, float]]:
        """(tensor, kernel, seconds on one thread) for the input's unpacking and each step, over all frames; before
        them what compressed ones take to decode, on every thread."""
        started = time.perf_counter()
        dense = self._dense(frames)
        decoding = [("frames", "decode", time.perf_counter() - started)] if self._unpack else []
        return [*decoding, *self._native.profile(dense, self.packing.bits)]

    def steps(self, frames: NDArray[np.uint8]) -> dict[str, float]:
        """Seconds on one thread of unpacking and of all the network's steps. See `Stepped.steps`."""
        seconds = [taken for *_, taken in self.profile(frames)]
        before = 1 if self._unpack is None else 2
        return {"unpack": sum(seconds[:before]), "compute": sum(seconds[before:])}

    def close(self) -> None:
        """Drop queued batches, stop the running one after its current steps, join the worker."""
        self._native.close()

    def __enter__(self) -> EmulatorBackend:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _dense(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
            raise InputError(f"expected frames as a uint8 array, got {getattr(frames, 'dtype', type(frames).__name__)}")
        if self._unpack is not None:
            try:
                codes = self._unpack(frames)
            except FrameError:
                raise
            except CodecError as error:
                raise InputError(str(error)) from error
            frames = pack(codes, self.packing.bits)
        self._check_frames(frames)
        return np.ascontiguousarray(frames)

    def _check_frames(self, frames: NDArray[np.uint8]) -> None:
        if frames.ndim != 2 or frames.shape[1] != self._frame_bytes:
            raise InputError(
                f"expected frames of shape (N, {self._frame_bytes}) at {self.packing.bits} bits, got {frames.shape}"
            )


def _compile(
    network: Network, threads: int | None, kernel: Kernel, *, fuse: bool, room: int = 1, winograd: bool = True
) -> Emulator:
    if threads is None:
        threads = cores()
    if threads < 1:
        raise InputError(f"expected 1 or more threads, got {threads}")
    spec = network.input
    stages = [_parameters(stage) for stage in network.stages]
    return Emulator((spec.shape, spec.lo, spec.hi), stages, threads, kernel, fuse, room, winograd)


def _parameters(stage: Stage) -> dict[str, object]:
    values = {field.name: getattr(stage, field.name) for field in fields(stage)}
    arrays = {name: _int64(stage, value) for name, value in values.items() if isinstance(value, np.ndarray)}
    return {**values, **arrays, "op": type(stage).__name__}


def _int64(stage: Stage, values: NDArray[Any]) -> NDArray[np.int64]:
    exact = values.astype(np.int64, order="C")
    if values.dtype.kind not in "iu" or (values.dtype == np.uint64 and not np.array_equal(exact, values)):
        raise NetworkError(f"stage {stage.name!r}: expected integers that fit int64, got {values.dtype}")
    return exact


def _input_codes(network: Network, codes: NDArray[np.integer]) -> NDArray[np.uint8] | NDArray[np.int64]:
    shape = network.input.shape
    if not isinstance(codes, np.ndarray) or codes.dtype.kind not in "iu":
        raise InputError(f"expected codes as an integer array, got {getattr(codes, 'dtype', type(codes).__name__)}")
    if codes.shape[1:] != shape or codes.ndim != len(shape) + 1:
        raise InputError(f"expected codes of shape (N, {', '.join(map(str, shape))}), got {codes.shape}")
    if codes.dtype == np.uint64 and codes.size and int(codes.max()) > network.input.hi:
        raise InputError(f"expected codes up to {network.input.hi}, got {codes.max()}")
    return np.ascontiguousarray(codes if codes.dtype == np.uint8 else codes.astype(np.int64))
