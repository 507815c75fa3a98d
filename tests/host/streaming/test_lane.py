"""One device: two chunks under way, a fault met once by a reset and a retry, nothing left behind."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.backends.base import Ticket
from bitswath.codecs.packing import pack
from bitswath.errors import BackendError, BackendTimeoutError, InputError
from bitswath.streaming.counters import Tally
from bitswath.streaming.lane import Lane, run, split
from tests.host.fake_backend import CancellingBackend, FakeBackend, FaultyBackend, SlowBackend
from tests.host.kinds import linear

WEIGHTS = np.array([[1, 2, 3, 4], [-1, 1, -1, 1]])
NETWORK = linear(WEIGHTS, (2, 1, 2), 4)
Codes = NDArray[np.uint8]


def codes(count: int, seed: int = 0) -> Codes:
    return np.random.default_rng(seed).integers(0, 16, (count, 2, 1, 2), np.uint8)


def expected(batch: Codes) -> NDArray[np.int64]:
    return np.asarray(batch.reshape(len(batch), 4).astype(np.int64) @ WEIGHTS.T)


def lane_of(device: FakeBackend, timeout_s: float | None = 7, tally: Tally | None = None) -> Lane:
    return Lane(device, lambda c: pack(c, 4), output_shape=(2,), timeout_s=timeout_s, tally=tally)


def faulty(*faults: tuple[str, int]) -> FaultyBackend:
    """Fails at the calls listed, such as ("collect", 2): the second."""

    def fault(call: str, number: int) -> None:
        if (call, number) in faults:
            raise BackendError(f"the device is broken at {call} {number}")

    return FaultyBackend(NETWORK, 4, fault)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 20])
def test_a_batch_of_any_size_is_cut_and_put_together_again(count: int) -> None:
    device = FakeBackend(NETWORK, 4)
    np.testing.assert_array_equal(run(lane_of(device), codes(count), 3), expected(codes(count)))
    assert device.submitted == -(-count // 3)
    assert device.most_waiting <= 2
    assert not device.waiting


def test_the_next_chunk_is_prepared_while_the_device_works() -> None:
    device = FakeBackend(NETWORK, 4)
    run(lane_of(device), codes(4), 1)
    assert device.log == [
        *("submit 0", "submit 1", "collect 0", "submit 2", "collect 1", "submit 3", "collect 2", "collect 3")
    ]


def test_long_waits_are_cut_into_short_ones_that_signals_interrupt() -> None:
    device = FakeBackend(NETWORK, 4, late=0, late_s=0.5)
    np.testing.assert_array_equal(run(lane_of(device), codes(1), 3), expected(codes(1)))
    assert len(device.waits) >= 2
    assert all(wait is not None and wait <= 0.2 for wait in device.waits)


def test_a_late_device_is_a_time_out_and_its_answer_is_cleared_away() -> None:
    device = FakeBackend(NETWORK, 4, late=1, late_s=1.0)
    with pytest.raises(BackendTimeoutError, match=r"3 frames were not done within 0\.3 s"):
        run(lane_of(device, 0.3), codes(9), 3)
    assert not device.waiting


def on_its_clock(device: SlowBackend, timeout_s: float | None) -> Lane:
    return Lane(device, lambda c: pack(c, 4), output_shape=(2,), timeout_s=timeout_s, clock=device.clock)


@pytest.mark.parametrize("timeout_s", [0.5, 120, None])
def test_a_slow_device_that_gets_on_is_waited_for_whatever_the_time_out(timeout_s: float | None) -> None:
    """An hour a chunk, as 2^36 multiply-accumulates may take on a small host."""
    device = SlowBackend(NETWORK, 4, waits_for_answer=18_000)
    np.testing.assert_array_equal(run(on_its_clock(device, timeout_s), codes(5), 3), expected(codes(5)))
    assert device.clock.now_s == pytest.approx(2 * 3600)


def test_a_device_that_stands_still_hangs_after_the_time_out() -> None:
    device = SlowBackend(NETWORK, 4, waits_for_answer=1_000_000, works=False)
    lane = on_its_clock(device, 120)
    lane.put(next(split(codes(3), 3)))
    with pytest.raises(BackendTimeoutError, match=r"nothing of 3 frames was done within 120 s; the device hangs"):
        lane.take()
    assert device.clock.now_s == pytest.approx(120)


def test_a_device_that_stops_after_hours_hangs_from_then_on() -> None:
    class Stopping(SlowBackend):
        def collect(self, ticket: Ticket, timeout_s: float | None = None) -> NDArray[np.int32]:
            self.works = self.clock.now_s < 7200
            return super().collect(ticket, timeout_s)

    device = Stopping(NETWORK, 4, waits_for_answer=1_000_000)
    lane = on_its_clock(device, 120)
    lane.put(next(split(codes(3), 3)))
    with pytest.raises(BackendTimeoutError, match="the device hangs"):
        lane.take()
    assert device.clock.now_s == pytest.approx(7200 + 120, abs=1)


def test_what_is_under_way_is_cancelled_where_the_device_can() -> None:
    device = CancellingBackend(NETWORK, 4)
    device.hold.clear()  # it would not answer for long
    lane = lane_of(device)
    for chunk in split(codes(6), 3):
        lane.put(chunk)
    lane.drain()
    assert device.log == ["submit 0", "submit 1", "cancel 0", "cancel 1"]
    assert lane.idle
    assert not device.waiting


def test_a_slow_device_that_cannot_cancel_is_waited_for_until_it_is_free() -> None:
    device = SlowBackend(NETWORK, 4, waits_for_answer=18_000)
    lane = on_its_clock(device, 120)
    for chunk in split(codes(6), 3):
        lane.put(chunk)
    lane.drain()
    assert lane.idle
    assert not device.waiting


def test_a_device_that_hangs_and_cannot_be_freed_is_an_error() -> None:
    device = SlowBackend(NETWORK, 4, waits_for_answer=1_000_000, works=False)
    lane = on_its_clock(device, 120)
    lane.put(next(split(codes(3), 3)))
    with pytest.raises(BackendTimeoutError, match="the device hangs"):
        lane.drain()
    assert device.clock.now_s == pytest.approx(120)


def test_a_time_out_of_the_devices_own_is_not_waited_out() -> None:
    class Dead(FakeBackend):
        def collect(self, ticket: object, timeout_s: float | None = None) -> NDArray[np.int32]:
            raise BackendTimeoutError("the design is dead")

    with pytest.raises(BackendTimeoutError, match="design is dead"):
        run(lane_of(Dead(NETWORK, 4), 1e9), codes(1), 3)


@pytest.mark.parametrize("fault", [("collect", 1), ("collect", 3), ("submit", 1), ("submit", 4)])
def test_a_fault_is_met_by_one_reset_and_sending_again_what_was_under_way(fault: tuple[str, int]) -> None:
    device, tally = faulty(fault), Tally()
    np.testing.assert_array_equal(run(lane_of(device, tally=tally), codes(13), 3), expected(codes(13)))
    assert device.calls["reset"] == 1
    counted = tally.counters()
    assert counted.resets == 1
    assert counted.retries == (6 if fault[0] == "collect" else 3 if fault[1] == 1 else 6)
    assert counted.in_flight == 0


def test_every_chunk_may_fail_once() -> None:
    device = faulty(*(("collect", number) for number in (1, 3, 5, 7)))
    np.testing.assert_array_equal(run(lane_of(device), codes(12), 3), expected(codes(12)))
    assert device.calls["reset"] == 4


def test_a_second_fault_of_a_chunk_is_raised() -> None:
    device = faulty(("collect", 2), ("collect", 3))
    with pytest.raises(BackendError, match="collect 3"):
        run(lane_of(device), codes(9), 3)
    assert device.calls["reset"] == 1
    assert not device.waiting


def test_a_chunk_that_could_not_be_sent_again_is_sent_when_it_is_asked_for() -> None:
    """A is under way, sending B fails, and so does sending A again after the reset: A's answer is not made up."""
    device = faulty(("submit", 2), ("submit", 3))
    lane, (first, second) = lane_of(device), split(codes(6), 3)
    lane.put(first)
    with pytest.raises(BackendError, match="submit 3"):
        lane.put(second)
    assert lane.oldest == first.number
    np.testing.assert_array_equal(lane.take()[1], expected(codes(6)[:3]))
    assert lane.idle


def test_a_device_that_does_not_come_back_is_an_error() -> None:
    device = faulty(("collect", 1), ("reset", 1))
    with pytest.raises(BackendError, match="reset 1"):
        run(lane_of(device), codes(9), 3)


def test_without_reset_a_fault_is_raised_at_once() -> None:
    device = FakeBackend(NETWORK, 4, broken=0)
    with pytest.raises(BackendError, match="the device is broken"):
        run(lane_of(device), codes(9), 3)
    assert not device.waiting


def test_frames_the_network_does_not_take_are_no_fault_of_the_device() -> None:
    class Refusing(FaultyBackend):
        def collect(self, ticket: object, timeout_s: float | None = None) -> NDArray[np.int32]:
            raise InputError("code 15 of frame 0")

    device = Refusing(NETWORK, 4, lambda call, number: None)
    with pytest.raises(InputError, match="code 15"):
        run(lane_of(device), codes(1), 3)
    assert device.calls["reset"] == 0


def test_answers_of_a_wrong_shape_are_an_error() -> None:
    lane = Lane(FakeBackend(NETWORK, 4), lambda c: pack(c, 4), output_shape=(5,), timeout_s=1)
    with pytest.raises(BackendError, match=r"\(2, 5\), the backend gave \(2, 2\)"):
        run(lane, codes(2), 3)


def test_a_device_that_hangs_is_reset_when_it_is_left() -> None:
    device = faulty()
    device.late, device.late_s = 0, 1e9
    lane = lane_of(device)
    for chunk in split(codes(6), 3):
        lane.put(chunk)
    lane.drain()
    assert device.calls["reset"] == 1
    assert lane.idle


def test_a_reset_has_the_backends_own_limit() -> None:
    limits: list[float | None] = []

    class Slow(FaultyBackend):
        def reset(self, timeout_s: float | None = None) -> None:
            limits.append(timeout_s)
            super().reset(timeout_s)

    def fault(call: str, number: int) -> None:
        if (call, number) == ("collect", 1):
            raise BackendError("once")

    run(lane_of(Slow(NETWORK, 4, fault), timeout_s=0.2), codes(1), 3)
    assert limits == [None]


def test_bytes_on_the_link_are_counted() -> None:
    tally = Tally()
    run(lane_of(FakeBackend(NETWORK, 4), tally=tally), codes(7), 3)
    assert tally.counters().link_bytes == 7 * 2
