"""The emulator as a backend: packed frames in, batches in flight, time-outs, a clean close."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.backends.base import Advancing, Backend, Cancelling, Packing, Ticket
from bitswath.backends.emulator import EmulatorBackend, run
from bitswath.errors import BackendError, BackendTimeoutError, InputError
from bitswath.network.network import INPUT, Conv, MaxPool, Network
from tests.networks import network_of, random_codes, small_cnn


def packed(codes: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Dense frames by way of single bits."""
    count, size = len(codes), int(np.prod(codes.shape[1:]))
    planes = codes.reshape(count, size, 1) >> np.arange(bits) & 1
    return np.packbits(planes.reshape(count, size * bits).astype(np.uint8), axis=1, bitorder="little")


def some_codes(network: Network, count: int, seed: int = 0) -> NDArray[np.int64]:
    return random_codes(network.input, count, np.random.default_rng(seed))


def slow_network() -> Network:
    """About 9 million multiply-accumulates a frame: 10 ms or so with the scalar kernels."""
    weights = np.ones((64, 3, 3, 64), np.int64)
    return network_of((16, 16, 64), 0, 1, Conv("conv", (INPUT,), weights, pads=(1, 1, 1, 1)))


def slow_backend(**options: Any) -> tuple[EmulatorBackend, NDArray[np.uint8]]:
    """A backend and the frame it takes long for."""
    network = slow_network()
    return EmulatorBackend(network, 1, threads=1, kernel="scalar", **options), packed(some_codes(network, 1), 1)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("shape", [(8, 8, 3), (5, 3, 1)], ids=str)
def test_packed_frames_of_every_width_equal_codes(bits: int, shape: tuple[int, int, int]) -> None:
    network = small_cnn(hi=2**bits - 1, shape=shape)
    codes = some_codes(network, 5, bits)
    with EmulatorBackend(network, bits) as backend:
        outputs = backend.collect(backend.submit(packed(codes, bits)))
    np.testing.assert_array_equal(outputs, run(network, codes))


def test_codes_may_be_narrower_than_their_width() -> None:
    network = small_cnn(hi=5)
    codes = some_codes(network, 3)
    with EmulatorBackend(network, 6) as backend:
        np.testing.assert_array_equal(backend.collect(backend.submit(packed(codes, 6))), run(network, codes))
        ticket = backend.submit(packed(np.full_like(codes, 6), 6))
        with pytest.raises(InputError, match=r"frame 0: expected codes in 0..5, got 6"):
            backend.collect(ticket)


def test_it_is_a_backend_and_states_what_it_takes() -> None:
    with EmulatorBackend(small_cnn(), 4, frames_in_flight=64) as backend:
        assert isinstance(backend, Backend)
        assert backend.packing == Packing(bits=4)
        assert backend.frames_in_flight == 64
        assert backend.clock_hz is None


def test_batches_are_collected_in_any_order() -> None:
    network = small_cnn()
    batches = [some_codes(network, count, count) for count in (1, 9, 0, 30, 2)]
    with EmulatorBackend(network, 4) as backend:
        tickets = [backend.submit(packed(codes, 4)) for codes in batches]
        for ticket, codes in reversed(list(zip(tickets, batches))):
            assert ticket.frames == len(codes)
            np.testing.assert_array_equal(backend.collect(ticket), run(network, codes))


def test_a_submitted_array_is_kept_until_its_batch_is_collected() -> None:
    network = small_cnn()
    codes = some_codes(network, 64)
    with EmulatorBackend(network, 4) as backend:
        tickets = [backend.submit(packed(codes, 4)) for _ in range(8)]  # each array is only the backend's
        for ticket in tickets:
            np.testing.assert_array_equal(backend.collect(ticket), run(network, codes))


def test_submit_returns_before_the_batch_is_done_and_a_late_one_can_be_collected_later() -> None:
    backend, frame = slow_backend()
    with backend:
        ticket = backend.submit(np.repeat(frame, 20, axis=0))
        with pytest.raises(BackendTimeoutError, match=r"20 frames were not done within 0.0 s"):
            backend.collect(ticket, timeout_s=0.0)
        assert backend.collect(ticket, timeout_s=60.0).shape == (20, 16, 16, 64)


class Late:
    """What the emulator runs in, which is late so often, and gets on in between or stands still."""

    def __init__(self, native: Any, late: int, works: bool) -> None:
        self.native, self.late, self.works, self.progress = native, late, works, 0

    def submit(self, *arguments: Any) -> Any:
        return self._answer(self.native.submit, *arguments)

    def collect(self, *arguments: Any) -> Any:
        return self._answer(self.native.collect, *arguments)

    def _answer(self, step: Callable[..., Any], *arguments: Any) -> Any:
        if not self.late:
            return step(*arguments)
        self.late -= 1
        self.progress += self.works
        raise BackendTimeoutError("late")


@pytest.mark.parametrize("step", ["submit", "collect"])
def test_the_backends_own_time_out_is_for_what_stands_still(step: str) -> None:
    """Room and results are waited for as long as the batches before get on, however slow the host is."""
    network = small_cnn()
    frames = packed(some_codes(network, 3), 4)
    with EmulatorBackend(network, 4) as backend:
        native: Any = backend._native
        ticket = backend.submit(frames)
        call = partial(backend.submit, frames) if step == "submit" else partial(backend.collect, ticket)
        backend._native = Late(native, late=1, works=False)
        with pytest.raises(BackendTimeoutError):
            call()
        backend._native = Late(native, late=1000, works=True)
        call()
        backend._native = native


def test_submit_gives_up_where_nothing_gets_on() -> None:
    backend, frame = slow_backend(frames_in_flight=400, timeout_s=0.0)
    with backend:
        first = backend.submit(np.repeat(frame, 400, axis=0))
        with pytest.raises(BackendTimeoutError, match="no room for 1 frames"):
            backend.submit(frame)
        backend.collect(first, timeout_s=60.0)
        backend.collect(backend.submit(frame), timeout_s=60.0)


def test_progress_counts_steps_on_every_thread_and_as_they_are_done() -> None:
    network = small_cnn()
    for threads, frames in ((1, 7), (4, 7), (4, 2)):
        with EmulatorBackend(network, 4, threads=threads) as backend:
            assert isinstance(backend, Advancing)
            assert backend.progress == 0
            backend.collect(backend.submit(packed(some_codes(network, frames), 4)))
            steps = len(backend.profile(packed(some_codes(network, 1), 4))) - 1
            assert backend.progress >= frames * steps


@pytest.mark.parametrize(("threads", "frames"), [(1, 400), (2, 400), (3, 1)])
def test_a_batch_that_is_cancelled_runs_no_further(threads: int, frames: int) -> None:
    stages = [Conv("s0", (INPUT,), np.ones((64, 3, 3, 64), np.int64), pads=(1, 1, 1, 1))]
    stages += [MaxPool(f"s{i}", (f"s{i - 1}",), (1, 1), (1, 1)) for i in range(1, 2000)]
    network = network_of((16, 16, 64), 0, 1, *stages)
    batch = packed(some_codes(network, frames), 1)
    with EmulatorBackend(network, 1, threads=threads, kernel="scalar") as backend:
        assert isinstance(backend, Cancelling)
        running, waiting = backend.submit(batch), backend.submit(batch)
        while not backend.progress:
            pass
        backend.cancel(running)
        backend.cancel(waiting)
        done = backend.progress
        assert done < frames * len(stages)
        for ticket in (running, waiting):
            with pytest.raises(BackendError, match="not of this emulator"):
                backend.collect(ticket)
            backend.cancel(ticket)
        few = packed(some_codes(network, 1), 1)
        np.testing.assert_array_equal(backend.collect(backend.submit(few)), run(network, some_codes(network, 1)))


THREADS_STARTED = """
from pathlib import Path
from tests.host.backends.emulator.test_emulator_backend import EmulatorBackend, packed, small_cnn, some_codes

network, tasks = small_cnn(), Path("/proc/self/task")
frames = packed(some_codes(network, 9), 4)
with EmulatorBackend(network, 4, threads=4) as backend:
    before = len(list(tasks.iterdir()))
    for count in (1, 9):
        for _ in range(70):
            backend.collect(backend.submit(frames[:count]))
        print(len(list(tasks.iterdir())) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux lists them")
def test_a_short_frame_wakes_nobody() -> None:
    """One thread is the queue's, the others help the one who runs."""
    printed = subprocess.run([sys.executable, "-c", THREADS_STARTED], check=True, capture_output=True, text=True).stdout
    assert list(map(int, printed.split())) == [1, 4]


def test_frames_that_take_long_are_the_same_by_rows() -> None:
    """A fifth run tries all threads together."""
    network = slow_network()
    codes = some_codes(network, 2, 3)
    with EmulatorBackend(network, 1, threads=3, kernel="scalar") as backend:
        for count in (1, 2):
            for _ in range(6):
                outputs = backend.collect(backend.submit(packed(codes[:count], 1)))
                np.testing.assert_array_equal(outputs, run(network, codes[:count], threads=1))


def test_single_frames_that_nobody_waits_for_are_done_once_others_come() -> None:
    network = small_cnn()
    codes = some_codes(network, 40, 5)
    expected = run(network, codes)
    with EmulatorBackend(network, 4, threads=2, frames_in_flight=3, timeout_s=30.0) as backend:
        tickets = [backend.submit(packed(codes[i : i + 1], 4)) for i in range(40)]
        for i in reversed(range(40)):
            np.testing.assert_array_equal(backend.collect(tickets[i]), expected[i : i + 1])


def test_cancelling_frees_the_room() -> None:
    backend, frame = slow_backend(frames_in_flight=400, timeout_s=0.0)
    with backend:
        backend.cancel(backend.submit(np.repeat(frame, 400, axis=0)))
        backend.collect(backend.submit(frame), timeout_s=60.0)


def test_a_batch_larger_than_the_room_is_taken_when_idle() -> None:
    network = small_cnn()
    with EmulatorBackend(network, 4, frames_in_flight=2) as backend:
        assert len(backend.collect(backend.submit(packed(some_codes(network, 5), 4)))) == 5


def test_a_ticket_is_collected_once_and_only_where_it_came_from() -> None:
    network = small_cnn()
    with EmulatorBackend(network, 4) as backend:
        ticket = backend.submit(packed(some_codes(network, 1), 4))
        backend.collect(ticket)
        for unknown in (ticket, Ticket(99, 1)):
            with pytest.raises(BackendError, match="collected before"):
                backend.collect(unknown)


def test_of_two_that_collect_one_ticket_one_gets_it() -> None:
    backend, frame = slow_backend()
    with backend:
        ticket = backend.submit(np.repeat(frame, 20, axis=0))
        got: list[int] = []
        errors: list[str] = []

        def collect() -> None:
            try:
                got.append(len(backend.collect(ticket)))
            except BackendError as error:
                errors.append(str(error))

        waiters = [threading.Thread(target=collect) for _ in range(2)]
        for waiter in waiters:
            waiter.start()
        for waiter in waiters:
            waiter.join(60.0)
    assert got == [20]
    assert len(errors) == 1 and "collected before" in errors[0]


def test_a_forked_process_is_told_to_open_its_own() -> None:
    network = small_cnn()
    backend = EmulatorBackend(network, 4, threads=2)
    frames = packed(some_codes(network, 20), 4)
    backend.collect(backend.submit(frames))
    child = os.fork()
    if child == 0:
        try:
            backend.submit(frames)
        except BackendError as error:
            backend.close()
            del backend
            os._exit(0 if "opened in another process" in str(error) else 2)
        os._exit(1)
    deadline = time.monotonic() + 20.0
    while (found := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if found == (0, 0):
        os.kill(child, signal.SIGKILL)
    assert found == (child, 0)
    backend.close()


def test_close_stops_what_runs_and_drops_what_waits() -> None:
    backend, frame = slow_backend()
    running, waiting = (backend.submit(np.repeat(frame, 2000, axis=0)) for _ in range(2))
    backend.close()
    backend.close()
    assert backend.progress < 2000  # of one step a frame
    for ticket in (running, waiting):
        with pytest.raises(BackendError, match="closed"):
            backend.collect(ticket)
    with pytest.raises(BackendError, match="closed"):
        backend.submit(frame)


def test_close_wakes_a_waiting_submit() -> None:
    backend, frame = slow_backend(frames_in_flight=1)
    backend.submit(np.repeat(frame, 2000, axis=0))
    errors: list[BaseException] = []

    def submit() -> None:
        try:
            backend.submit(frame)
        except BackendError as error:
            errors.append(error)

    waiter = threading.Thread(target=submit)
    waiter.start()
    time.sleep(0.05)
    backend.close()
    waiter.join(10.0)
    assert [str(error) for error in errors] == ["the emulator is closed; open it again"]


def test_many_threads_may_share_one_backend() -> None:
    network = small_cnn()
    batches = [some_codes(network, 3, seed) for seed in range(8)]
    results: dict[int, NDArray[np.signedinteger]] = {}
    with EmulatorBackend(network, 4, frames_in_flight=4) as backend:

        def work(index: int) -> None:
            results[index] = backend.collect(backend.submit(packed(batches[index], 4)))

        workers = [threading.Thread(target=work, args=(index,)) for index in range(8)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60.0)
    for index, codes in enumerate(batches):
        np.testing.assert_array_equal(results[index], run(network, codes))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((2, 95), np.uint8), r"shape \(N, 96\) at 4 bits, got \(2, 95\)"),
        (np.zeros((2, 97), np.uint8), r"got \(2, 97\)"),
        (np.zeros(96, np.uint8), r"got \(96,\)"),
        (np.zeros((2, 96), np.int8), "uint8 array, got int8"),
        (np.zeros((2, 96)), "uint8 array, got float64"),
        (b"\0" * 96, "uint8 array, got bytes"),
    ],
)
def test_frames_that_do_not_fit_are_refused(frames: Any, message: str) -> None:
    with EmulatorBackend(small_cnn(), 4) as backend, pytest.raises(InputError, match=message):
        backend.submit(frames)


@pytest.mark.parametrize(("lo", "hi", "bits"), [(0, 15, 3), (-8, 7, 4), (0, 15, 0), (0, 15, 9), (0, 15, -1)])
def test_an_input_that_does_not_fit_the_width_is_refused(lo: int, hi: int, bits: int) -> None:
    network = network_of((2, 2, 1), lo, hi, Conv("conv", (INPUT,), np.ones((1, 1, 1, 1), np.int64)))
    with pytest.raises(InputError, match="bits"):
        EmulatorBackend(network, bits)
