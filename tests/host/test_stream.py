"""Streaming keeps order and bounds, overlaps host and device, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bitswath.errors import BackendError, BackendTimeoutError
from bitswath.packing import pack
from bitswath.stream import Values, stream
from tests.host.fake_backend import FakeBackend
from tests.host.kinds import linear

WEIGHTS = np.array([[1, 2, 3, 4], [-1, 1, -1, 1]])
Codes = NDArray[np.uint8]


def backend(**failures: int) -> FakeBackend:
    return FakeBackend(linear(WEIGHTS, (2, 1, 2), 4), 4, **failures)


def codes(sizes: list[int]) -> list[Codes]:
    rng = np.random.default_rng(sum(sizes))
    return [rng.integers(0, 16, (size, 2, 1, 2), np.uint8) for size in sizes]


def expected(batch: Codes) -> NDArray[np.int64]:
    return np.asarray(batch.reshape(len(batch), 4).astype(np.int64) @ WEIGHTS.T)


def run(
    device: FakeBackend, batches: Iterator[Codes], chunk: int = 3, timeout_s: float | None = 7
) -> Generator[Values, None, None]:
    return stream(device, batches, lambda c: pack(c, 4), chunk=chunk, output_shape=(2,), timeout_s=timeout_s)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 9), max_size=8), chunk=st.integers(1, 5))
def test_each_batch_gets_its_own_answer_in_order(sizes: list[int], chunk: int) -> None:
    batches, device = codes(sizes), backend()
    answers = list(run(device, iter(batches), chunk))
    assert len(answers) == len(batches)
    for answer, batch in zip(answers, batches):
        np.testing.assert_array_equal(answer, expected(batch))
    assert not device.waiting
    assert device.submitted == sum(-(-size // chunk) for size in sizes)


def test_the_next_batch_is_drawn_and_packed_while_the_device_works() -> None:
    device = backend()

    def batches() -> Iterator[Codes]:
        for index, batch in enumerate(codes([2, 2, 2, 2])):
            device.log.append(f"draw {index}")
            yield batch

    list(run(device, batches()))
    assert device.log == [
        *("draw 0", "submit 0", "draw 1", "submit 1", "draw 2", "collect 0", "submit 2"),
        *("draw 3", "collect 1", "submit 3", "collect 2", "collect 3"),
    ]


def test_no_more_than_two_chunks_are_in_flight() -> None:
    device = backend()
    for _ in run(device, iter(codes([20, 1, 0, 20])), 3):
        assert len(device.waiting) <= 2


def test_an_endless_source_is_drawn_as_needed() -> None:
    drawn = []

    def batches() -> Iterator[Codes]:
        while True:
            drawn.append(1)
            yield codes([2])[0]

    device = backend()
    answers = run(device, batches())
    next(answers)
    assert len(drawn) == 3
    answers.close()
    assert not device.waiting


def test_the_time_out_is_passed_for_each_wait() -> None:
    device = backend()
    list(run(device, iter(codes([4, 4])), 3, timeout_s=1.5))
    assert device.timeouts == [1.5] * 4


def test_a_late_device_is_an_error_and_its_answer_is_cleared_away() -> None:
    device = backend(late=1)
    answers = run(device, iter(codes([2, 2, 2, 2])), timeout_s=0.5)
    np.testing.assert_array_equal(next(answers), expected(codes([2, 2, 2, 2])[0]))
    with pytest.raises(BackendTimeoutError, match=r"0\.5 s"):
        next(answers)
    assert not device.waiting
    assert all(wait is not None and wait <= 5 for wait in device.timeouts)


def test_a_broken_device_is_an_error_and_the_rest_is_cleared_away() -> None:
    device = backend(broken=0)
    with pytest.raises(BackendError, match="broken"):
        list(run(device, iter(codes([2, 2, 2]))))
    assert not device.waiting


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_of_the_source_passes_through_and_the_rest_is_cleared_away(error: type[BaseException]) -> None:
    device = backend()

    def batches() -> Iterator[Codes]:
        yield from codes([2, 2])
        raise error

    with pytest.raises(error):
        list(run(device, batches()))
    assert not device.waiting


def test_answers_of_a_wrong_shape_are_an_error() -> None:
    device = backend()
    answers = stream(device, codes([2]), lambda c: pack(c, 4), chunk=3, output_shape=(5,))
    with pytest.raises(BackendError, match=r"\(2, 5\), the backend gave \(2, 2\)"):
        next(answers)


def test_nothing_is_drawn_before_it_is_asked_for() -> None:
    device = backend()
    run(device, iter(codes([2])))
    assert device.log == []
