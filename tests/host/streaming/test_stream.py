"""Streams keep order and bounds over any number of devices, lose nothing, and leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitswath.backends.base import Ticket
from bitswath.codecs.packing import pack
from bitswath.errors import BackendError, BackendTimeoutError, FrameError, InputError, StreamCancelledError
from bitswath.network.network import Network
from bitswath.streaming.counters import Counters, Tally
from bitswath.streaming.lane import Lane, Prepare, Values
from bitswath.streaming.stream import Source, Stream
from tests.host.fake_backend import CancellingBackend, FakeBackend, FaultyBackend
from tests.host.kinds import linear

WEIGHTS = np.array([[1, 2, 3, 4], [-1, 1, -1, 1]])
NETWORK = linear(WEIGHTS, (2, 1, 2), 4)
Codes = NDArray[np.uint8]
WINDOW = 4
"""Chunks drawn ahead of the caller with one device."""


def codes(sizes: Iterable[int]) -> list[Codes]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 16, (size, 2, 1, 2), np.uint8) for size in sizes]


def expected(batch: Codes) -> NDArray[np.int64]:
    return np.asarray(batch.reshape(len(batch), 4).astype(np.int64) @ WEIGHTS.T)


def check(batch: Codes) -> Codes:
    if batch.shape[1:] != (2, 1, 2):
        raise InputError(f"got {batch.shape}")
    return batch


def run(
    devices: FakeBackend | list[FakeBackend],
    batches: Source,
    chunk: int = 3,
    timeout_s: float | None = 7,
    observe: Callable[[Counters], None] | None = None,
    joined: int = 1,
    prepare: Prepare = lambda c: pack(c, 4),
) -> Stream[Values]:
    tally = Tally()
    lanes = [
        Lane(device, prepare, output_shape=(2,), timeout_s=timeout_s, tally=tally)
        for device in ([devices] if isinstance(devices, FakeBackend) else devices)
    ]
    return Stream(
        lanes, batches, chunk=chunk, check=check, finish=lambda v: v, tally=tally, joined=joined, observe=observe
    )


def backend(**failures: int) -> FakeBackend:
    return FakeBackend(NETWORK, 4, **failures)


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("bitswath")}


def eventually(holds: Callable[[], object]) -> bool:
    ends = time.monotonic() + 20
    while not holds() and time.monotonic() < ends:
        time.sleep(0.005)
    return bool(holds())


def assert_equal(answers: Iterable[Values], batches: Iterable[Codes]) -> None:
    for answer, batch in zip(answers, batches, strict=True):
        np.testing.assert_array_equal(answer, expected(batch))


@settings(deadline=None, max_examples=50)
@given(sizes=st.lists(st.integers(0, 9), max_size=12), chunk=st.integers(1, 5), count=st.integers(1, 3))
def test_each_batch_gets_its_own_answer_in_order(sizes: list[int], chunk: int, count: int) -> None:
    batches, devices = codes(sizes), [backend() for _ in range(count)]
    assert_equal(list(run(devices, iter(batches), chunk)), batches)
    assert not any(device.waiting for device in devices)
    assert sum(device.submitted for device in devices) == sum(-(-size // chunk) for size in sizes)
    assert not threads()


def test_no_more_than_two_chunks_are_at_a_device() -> None:
    device = backend()
    list(run(device, codes([20, 1, 0, 20])))
    assert device.most_waiting == 2


def test_the_source_goes_on_while_the_device_works_but_not_far() -> None:
    drawn: list[int] = []

    def batches() -> Iterator[Codes]:
        while True:
            drawn.append(1)
            yield codes([2])[0]

    device = backend()
    device.hold.clear()
    with run(device, batches()) as answers:
        threading.Thread(target=lambda: (eventually(lambda: len(drawn) == WINDOW + 1), device.hold.set())).start()
        next(answers)
        assert eventually(lambda: len(drawn) == WINDOW + 2)
        time.sleep(0.05)
        assert len(drawn) == WINDOW + 2  # the last of them waits for room
    assert not device.waiting


def test_a_generator_may_fill_one_array_again_and_again() -> None:
    batches, device = codes([3] * 40), backend()

    def refilled() -> Iterator[Codes]:
        held = np.empty_like(batches[0])
        for batch in batches:
            held[:] = batch
            yield held

    assert_equal(run(device, refilled()), batches)


def test_a_slow_source_does_not_keep_back_what_is_done() -> None:
    arrived = threading.Event()

    def batches() -> Iterator[Codes]:
        yield codes([2])[0]
        assert arrived.wait(20)

    for _ in run(backend(), batches()):
        arrived.set()
    assert arrived.is_set()


def test_whichever_device_has_room_takes_the_next_chunk() -> None:
    slow, quick = backend(), backend()
    slow.hold.clear()
    answers = run([slow, quick], codes([60]), 1)
    threading.Thread(target=lambda: (eventually(lambda: quick.submitted >= 5), slow.hold.set())).start()
    assert_equal(answers, codes([60]))
    assert slow.submitted >= 1
    assert slow.submitted + quick.submitted == 60


def test_nothing_is_drawn_before_it_is_asked_for() -> None:
    device = backend()
    answers = run(device, iter(codes([2])))
    assert device.log == []
    assert not threads()
    answers.close()
    assert list(answers) == []


def test_a_late_device_is_an_error_after_the_results_before_it() -> None:
    device = backend(late=1)
    answers = run(device, codes([2, 2, 2, 2]), timeout_s=0.25)
    np.testing.assert_array_equal(next(answers), expected(codes([2])[0]))
    with pytest.raises(BackendTimeoutError, match=r"0\.25 s") as caught:
        next(answers)
    assert caught.value.delivered == answers.counters.frames == 2
    assert list(answers) == []
    assert not device.waiting


def test_a_broken_device_is_an_error_of_its_chunk_while_the_others_finish_those_before() -> None:
    batches, good, broken = codes([1] * 40), backend(), backend(broken=1)
    good.hold.clear()
    answers, got = run([good, broken], batches, 1), []
    threading.Thread(target=lambda: (eventually(lambda: broken.submitted >= 2), good.hold.set())).start()
    with pytest.raises(BackendError, match="broken") as caught:
        for answer in answers:
            got.append(answer)
    assert caught.value.delivered == len(got) < 40
    assert_equal(got, batches[: len(got)])
    assert not good.waiting
    assert not broken.waiting


def test_faults_cost_a_reset_and_nothing_else() -> None:
    """Of 4,000 frames over two devices none is lost, none comes twice, none out of order."""
    rng = np.random.default_rng(5)

    def faults() -> Callable[[str, int], None]:
        calm = 0  # calls since the last fault: a chunk fails once only

        def fault(call: str, number: int) -> None:
            nonlocal calm
            calm += 1
            if call != "reset" and calm > 8 and rng.random() < 0.2:
                calm = 0
                raise (BackendTimeoutError if number % 2 else BackendError)(f"{call} {number}")

        return fault

    batches = codes([8] * 500)
    answers = run([FaultyBackend(NETWORK, 4, faults()) for _ in range(2)], batches, 5)
    assert_equal(answers, batches)
    counted = answers.counters
    assert counted.frames == 4000
    assert counted.resets > 10
    assert counted.retries > 50
    assert counted.in_flight == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, StopIteration])
def test_an_error_of_the_source_comes_after_the_results_before_it(error: type[BaseException]) -> None:
    device = backend()

    class Batches:
        def __init__(self) -> None:
            self.left = codes([2, 2])

        def __iter__(self) -> Iterator[Codes]:
            yield from self.left
            raise error

    answers, got = run(device, Batches()), []
    with pytest.raises(RuntimeError if error is StopIteration else error):
        for answer in answers:
            got.append(answer)
    assert_equal(got, codes([2, 2]))
    assert not device.waiting
    assert not threads()


def test_a_batch_that_does_not_fit_is_refused_in_its_place() -> None:
    answers = run(backend(), [*codes([2, 2]), np.zeros((2, 3), np.uint8), *codes([2])])
    assert len(next(answers)) == len(next(answers)) == 2
    with pytest.raises(InputError, match=r"\(2, 3\)"):
        next(answers)


def test_who_waits_for_a_result_can_be_sent_home_from_another_thread() -> None:
    device = backend()
    device.hold.clear()
    answers = run(device, codes([2, 2]))
    threading.Timer(0.1, answers.cancel).start()
    threading.Timer(0.3, device.hold.set).start()
    with pytest.raises(StreamCancelledError):
        next(answers)
    assert not threads()
    assert not device.waiting


def test_a_stream_that_is_forgotten_ends_its_threads() -> None:
    device = backend()
    for _ in run(device, (batch for _ in range(1000) for batch in codes([2]))):
        break
    gc.collect()
    assert eventually(lambda: not threads())
    assert not device.waiting


def busy(device: FakeBackend) -> Stream[Values]:
    """A stream that gave its first result, and whose next ones the device does not give."""
    device.held_from = 1
    device.hold.clear()
    answers = run(device, codes([2] * 8), timeout_s=1e9)
    next(answers)
    assert eventually(lambda: device.submitted == 3)
    return answers


def test_closing_does_not_wait_for_a_device_that_hangs_longer_than_it_must() -> None:
    """It is reset: nobody waits the stream's time-out out."""
    device = FaultyBackend(NETWORK, 4, lambda call, number: None)
    busy(device).close()
    assert device.calls["reset"] == 1
    assert not device.waiting
    assert not threads()


def test_closing_cancels_what_a_slow_device_has_under_way() -> None:
    device = CancellingBackend(NETWORK, 4)
    busy(device).close()
    assert not device.waiting
    assert not threads()
    device.hold.set()
    assert_equal(run(device, codes([3])), codes([3]))


def test_closing_waits_for_a_slow_device_that_cannot_cancel() -> None:
    device = backend()
    answers = busy(device)
    closing = threading.Thread(target=answers.close)
    closing.start()
    asked = len(device.waits)
    assert eventually(lambda: len(device.waits) > asked + 3)
    assert closing.is_alive()
    assert device.waiting
    device.hold.set()
    closing.join()
    assert not device.waiting
    assert not threads()


def test_a_device_that_cannot_be_freed_is_told_when_the_stream_is_closed_and_once() -> None:
    device = FaultyBackend(NETWORK, 4, lost_on_reset)
    answers = busy(device)
    with pytest.raises(BackendError, match="does not come back"):
        answers.close()
    assert not threads()
    answers.close()


def test_what_a_caller_failed_with_comes_before_a_device_that_cannot_be_freed() -> None:
    device = FaultyBackend(NETWORK, 4, lost_on_reset)
    with pytest.raises(KeyError, match="mine"), busy(device):
        raise KeyError("mine")
    assert not threads()


def lost_on_reset(call: str, number: int) -> None:
    if call == "reset":
        raise BackendError("the device does not come back")


def test_the_sources_generator_is_closed() -> None:
    closed = threading.Event()

    def batches() -> Iterator[Codes]:
        try:
            while True:
                yield codes([2])[0]
        finally:
            closed.set()

    with run(backend(), batches()) as answers:
        next(answers)
    assert closed.wait(5)


def test_counters_can_be_read_while_it_runs() -> None:
    seen: list[Counters] = []
    answers = run(backend(), codes([4, 0, 5]), observe=seen.append)
    list(answers)
    assert [(one.batches, one.frames) for one in seen] == [(1, 4), (2, 4), (3, 9)]
    done = answers.counters
    assert done.link_bytes == 18
    assert done.elapsed_s > 0
    time.sleep(0.02)
    assert answers.counters == done


class TestJoined:
    """Small batches go to the device together, which nobody notices."""

    @settings(deadline=None, max_examples=50)
    @given(
        sizes=st.lists(st.integers(0, 9), max_size=60),
        chunk=st.integers(1, 8),
        joined=st.integers(2, 8),
        count=st.integers(1, 3),
    )
    def test_each_batch_gets_its_own_answer_in_order(
        self, sizes: list[int], chunk: int, joined: int, count: int
    ) -> None:
        batches, devices = codes(sizes), [backend() for _ in range(count)]
        answers = run(devices, iter(batches), chunk, joined=joined)
        assert_equal(list(answers), batches)
        assert not any(device.waiting for device in devices)
        assert answers.counters.frames == sum(sizes)
        assert answers.counters.in_flight == 0

    def test_what_waits_goes_together_and_no_more_than_may(self) -> None:
        batches, device = codes([1] * 200), SizedBackend(NETWORK, 4)
        assert_equal(list(run(device, batches, 8, joined=8)), batches)
        assert device.sizes[0] == 1  # how quick the device is, nobody knows yet
        assert max(device.sizes) == 8
        assert len(device.sizes) < 100

    def test_a_slow_device_gets_each_batch_as_it_comes(self) -> None:
        batches, device = codes([1] * 12), SizedBackend(NETWORK, 4)
        device.takes_s = 0.03
        assert_equal(list(run(device, batches, 8, joined=8)), batches)
        assert device.sizes == [1] * 12

    @pytest.mark.parametrize("wrong", [0, 9, 20, 49])
    @pytest.mark.parametrize("where", ["prepared", "collected"])
    def test_a_frame_that_is_wrong_is_an_error_of_its_batch_after_all_before_it(self, wrong: int, where: str) -> None:
        batches = [np.maximum(batch, 1) for batch in codes([2] * 50)]
        batches[wrong][1] = 0

        def refuse(items: Codes) -> None:
            bad = np.flatnonzero(items.reshape(len(items), -1).max(axis=1) == 0)
            if len(bad):
                raise FrameError(int(bad[0]), "it is damaged")

        def prepare(items: Codes) -> Codes:
            if where == "prepared":
                refuse(items)
            return pack(items, 4)

        device = RefusingBackend(NETWORK, 4)
        answers, got = run(device, iter(batches), 8, joined=8, prepare=prepare), []
        with pytest.raises(InputError, match="frame 1: it is damaged") as caught:
            for answer in answers:
                got.append(answer)
        assert not isinstance(caught.value, BackendError)
        assert_equal(got, batches[:wrong])
        assert not device.waiting
        assert answers.counters.in_flight == 0

    def test_a_fault_of_the_device_costs_a_reset_and_nothing_else(self) -> None:
        def fault(call: str, number: int) -> None:
            if (call, number) in (("submit", 3), ("collect", 5)):
                raise BackendError(f"{call} {number}")

        batches = codes([1] * 100)
        answers = run(FaultyBackend(NETWORK, 4, fault), batches, 8, joined=8)
        assert_equal(answers, batches)
        assert answers.counters.resets == 2

    def test_who_takes_results_late_draws_late(self) -> None:
        drawn: list[int] = []

        def batches() -> Iterator[Codes]:
            while True:
                drawn.append(1)
                yield codes([1])[0]

        with run(backend(), batches(), 8, joined=8) as answers:
            for _ in range(400):
                next(answers)
            time.sleep(0.1)
            for taken in range(400, 440):
                assert len(drawn) - taken <= 8 * WINDOW
                next(answers)
                time.sleep(0.002)


class SizedBackend(FakeBackend):
    """Notes how many frames came together."""

    takes_s = 0.0

    def __init__(self, network: Network, bits: int) -> None:
        super().__init__(network, bits)
        self.sizes: list[int] = []

    def submit(self, frames: NDArray[np.uint8]) -> Ticket:
        self.sizes.append(len(frames))
        return super().submit(frames)

    def collect(self, ticket: Ticket, timeout_s: float | None = None) -> NDArray[np.int32]:
        time.sleep(self.takes_s * ticket.frames)
        return super().collect(ticket, timeout_s)


class RefusingBackend(FakeBackend):
    """Does not take a frame of zeros."""

    def _answer(self, frames: NDArray[np.uint8]) -> NDArray[np.int32]:
        bad = np.flatnonzero(frames.max(axis=1) == 0)
        if len(bad):
            raise FrameError(int(bad[0]), "it is damaged")
        return super()._answer(frames)


class TestInAnEventLoop:
    def test_results_come_in_order(self) -> None:
        async def collect() -> list[Values]:
            return [answer async for answer in run(backend(), codes([4, 0, 5, 1]))]

        assert_equal(asyncio.run(collect()), codes([4, 0, 5, 1]))

    def test_the_loop_goes_on_while_the_device_works(self) -> None:
        device = backend()
        device.hold.clear()

        async def release() -> None:
            await asyncio.sleep(0.05)
            device.hold.set()

        async def collect() -> list[Values]:
            released = asyncio.create_task(release())
            answers = [answer async for answer in run(device, codes([4]))]
            await released
            return answers

        assert_equal(asyncio.run(collect()), codes([4]))

    def test_an_asynchronous_source_is_drawn_in_the_loop(self) -> None:
        async def batches() -> AsyncIterator[Codes]:
            for batch in codes([4, 5, 6]):
                await asyncio.sleep(0.001)
                yield batch

        async def collect() -> list[Values]:
            return [answer async for answer in run(backend(), batches())]

        assert_equal(asyncio.run(collect()), codes([4, 5, 6]))

    def test_an_asynchronous_source_needs_the_loop(self) -> None:
        async def batches() -> AsyncIterator[Codes]:
            yield codes([1])[0]

        with pytest.raises(InputError, match="async for"):
            next(run(backend(), batches()))

    def test_an_error_of_an_asynchronous_source_passes_through(self) -> None:
        async def batches() -> AsyncIterator[Codes]:
            yield codes([1])[0]
            raise ValueError("no more light")

        async def collect() -> list[Values]:
            return [answer async for answer in run(backend(), batches())]

        with pytest.raises(ValueError, match="no more light"):
            asyncio.run(collect())
        assert not threads()

    def test_an_asynchronous_generator_is_closed_where_the_stream_ends_early(self) -> None:
        closed: list[bool] = []

        async def batches() -> AsyncIterator[Codes]:
            try:
                while True:
                    yield codes([1])[0]
            finally:
                closed.append(True)

        async def take_one() -> None:
            async with run(backend(), batches()) as answers:
                async for _ in answers:
                    break
            while not closed:
                await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(take_one(), 20))

    def test_a_task_that_is_cancelled_leaves_the_device_free(self) -> None:
        device = backend()
        device.hold.clear()

        async def collect() -> None:
            async with run(device, codes([4, 4])) as answers:
                async for _ in answers:
                    pass

        async def cancel() -> None:
            task = asyncio.create_task(collect())
            await asyncio.sleep(0.1)
            task.cancel()
            device.hold.set()
            await task

        with pytest.raises(asyncio.CancelledError):
            asyncio.run(cancel())
        assert eventually(lambda: not threads())
        assert not device.waiting
