"""Millions of frames through a stream over devices that fail at random: none may be lost, doubled or out of order.

python scripts/soak_stream.py [--frames 10000000] [--devices 2] [--faults 0.01] [--seed 0] [--json FILE]

Each frame holds its own number, and the network computes it back from the codes. The devices are emulators that
refuse frames, lose answers, give errors, or hang until they are reset. Batches have random sizes. A fault of a frame
that was sent again already ends a stream; the next one goes on where its error says.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from benchmark import Facts, machine, versions
from numpy.typing import NDArray

from bitswath.backends.base import Packing, Ticket
from bitswath.backends.emulator import EmulatorBackend
from bitswath.codecs.packing import pack
from bitswath.errors import BackendError, BackendTimeoutError
from bitswath.network.network import INPUT, Dense, Network, TensorSpec
from bitswath.streaming.counters import Counters, Tally
from bitswath.streaming.lane import Lane, Values
from bitswath.streaming.progress import stream_progress
from bitswath.streaming.stream import Stream

__all__ = ["FaultyEmulator", "soak"]

DIGITS = 7
"""Codes of 4 bits in a frame: numbers up to 16^7."""
LARGEST_BATCH, CHUNK = 4096, 1024
TIMEOUT_S = 1.0
HANGS = 0.05
"""Share of the faults."""


class FaultyEmulator:
    """Emulates until a random call fails: with an error, or by hanging until it is reset. Either loses all answers."""

    packing = Packing(4)
    frames_in_flight = 4 * CHUNK
    clock_hz: float | None = None

    def __init__(self, network: Network, share: float, seed: int) -> None:
        self.faults = 0
        self._network, self._share, self._random = network, share, np.random.default_rng(seed)
        self._hangs = False
        self._emulator = EmulatorBackend(network, 4, threads=1)

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        self._maybe_fail()
        return self._emulator.submit(frames)

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> Values:
        if not self._hangs:
            self._maybe_fail()
        if self._hangs:
            time.sleep(timeout_s or 0)
            raise BackendTimeoutError(f"no answer within {timeout_s} s")
        return self._emulator.collect(ticket, timeout_s)

    def reset(self, timeout_s: float | None = None) -> None:
        self._emulator.close()
        self._emulator = EmulatorBackend(self._network, 4, threads=1)
        self._hangs = False

    def close(self) -> None:
        self._emulator.close()

    def _maybe_fail(self) -> None:
        if self._random.random() >= self._share:
            return
        self.faults += 1
        self._hangs = self._random.random() < HANGS
        if not self._hangs:
            raise BackendError("injected")


def numbering() -> Network:
    """The number whose hexadecimal digits the codes are, lowest first."""
    weights = 16 ** np.arange(DIGITS, dtype=np.int64)
    return Network(TensorSpec((1, 1, DIGITS), 0, 15), (Dense("number", (INPUT,), weights[np.newaxis]),))


def soak(frames: int, devices: int, share: float, seed: int) -> Facts:
    """Run it; what was counted. A stream that ends by a second fault of a chunk is followed by one that goes on where
    its error says. Raises `ValueError` at the first frame that is not the next one."""
    backends = [FaultyEmulator(numbering(), share, seed + index) for index in range(devices)]
    memory: list[float] = []
    done = resets = retries = ended = 0
    others = set(threading.enumerate())
    started = time.monotonic()
    with stream_progress() as progress:
        while done < frames:
            stream = _stream(backends, _batches(done, frames, seed), Tally(frames - done), progress)
            try:
                for numbers in stream:
                    _check(numbers, done + stream.counters.frames - len(numbers))
                    memory.append(_resident_mib())
            except BackendError as error:
                ended += 1
                if error.delivered != stream.counters.frames:
                    raise ValueError(f"{error.delivered} frames said, {stream.counters.frames} given") from error
            done += stream.counters.frames
            resets, retries = resets + stream.counters.resets, retries + stream.counters.retries
    seconds = time.monotonic() - started
    for backend in backends:
        backend.close()
    tenth = max(len(memory) // 10, 1)
    return {
        "frames": done,
        "devices": devices,
        "faults": sum(backend.faults for backend in backends),
        "resets": resets,
        "frames_sent_again": retries,
        "streams_ended_by_a_second_fault": ended,
        "seconds": round(seconds, 1),
        "frames_per_s": round(done / seconds),
        "resident_mib_early": round(float(np.median(memory[tenth : 2 * tenth] or memory)), 1),
        "resident_mib_late": round(float(np.median(memory[-tenth:])), 1),
        "threads_left": sum(
            thread.name.startswith("bitswath") for thread in threading.enumerate() if thread not in others
        ),
        "seed": seed,
    }


def _stream(
    backends: Sequence[FaultyEmulator],
    batches: Iterator[NDArray[np.uint8]],
    tally: Tally,
    progress: Callable[[Counters], None],
) -> Stream[Values]:
    lanes = [
        Lane(backend, lambda codes: pack(codes, 4), output_shape=(1,), timeout_s=TIMEOUT_S, tally=tally)
        for backend in backends
    ]
    return Stream(lanes, batches, chunk=CHUNK, check=np.asarray, finish=_numbers, tally=tally, observe=progress)


def _check(numbers: Values, expected: int) -> None:
    if not np.array_equal(numbers, np.arange(expected, expected + len(numbers))):
        raise ValueError(f"frames {expected} to {expected + len(numbers) - 1}: another one came")


def _batches(start: int, frames: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng([seed, start])
    shifts = 4 * np.arange(DIGITS)
    while start < frames:
        size = min(int(rng.integers(0, LARGEST_BATCH)), frames - start)
        numbers = np.arange(start, start + size)
        yield (numbers[:, np.newaxis] >> shifts & 15).astype(np.uint8).reshape(size, 1, 1, DIGITS)
        start += size


def _numbers(values: Values) -> Values:
    return values[:, 0]


def _resident_mib() -> float:
    """Of this process, Linux."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000_000)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--faults", type=float, default=0.01, help="share of calls to a device")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    facts = soak(chosen.frames, chosen.devices, chosen.faults, chosen.seed)
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):20} {value}")
    if chosen.json:
        chosen.json.write_text(json.dumps({**facts, "machine": machine(), "versions": versions()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
