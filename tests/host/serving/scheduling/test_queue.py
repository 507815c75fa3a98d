"""Requests in turns: nobody waits for a large one, bounds hold, and who leaves takes nothing more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

import numpy as np
import pytest

from bitswath.errors import BackendError
from bitswath.serving.refusals import RequestError
from bitswath.serving.scheduling.queue import Job, Piece, Queue


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def job(loop: asyncio.AbstractEventLoop, frames: int, client: str = "a") -> Job:
    return Job(np.zeros((frames, 3), np.uint8), client, loop.create_future())


def sizes(pieces: list[Piece]) -> list[tuple[object, int]]:
    return [(piece.job.client, len(piece)) for piece in pieces]


def test_a_chunk_is_shared_between_clients(loop: asyncio.AbstractEventLoop) -> None:
    queue = Queue(10_000)
    queue.put(job(loop, 1000, "bulk"))
    queue.put(job(loop, 1, "one"))
    queue.put(job(loop, 2, "two"))
    got: Counter[object] = Counter()
    for client, frames in sizes(queue.draw(12, wait=False)):
        got[client] += frames
    assert got == {"bulk": 9, "one": 1, "two": 2}
    assert queue.depth == 1003 - 12


def test_each_client_has_its_turn_whatever_others_bring(loop: asyncio.AbstractEventLoop) -> None:
    queue = Queue(100_000)
    for client, frames in (("bulk", 5000), ("many", 100), ("few", 100)):
        for _ in range(3):
            queue.put(job(loop, frames, client))
    got: Counter[object] = Counter()
    for _ in range(10):
        for piece in queue.draw(30, wait=False):
            got[piece.job.client] += len(piece)
    assert got == {"bulk": 100, "many": 100, "few": 100}


def test_a_clients_requests_take_turns_among_each_other(loop: asyncio.AbstractEventLoop) -> None:
    queue = Queue(100_000)
    large, small = job(loop, 1000), job(loop, 1)
    queue.put(large)
    queue.put(small)
    drawn = [piece.job for _ in range(3) for piece in queue.draw(10, wait=False)]
    assert small in drawn[:3]


def test_every_frame_is_drawn_once(loop: asyncio.AbstractEventLoop) -> None:
    rng = np.random.default_rng(5)
    queue = Queue(1 << 30)
    jobs = [job(loop, int(rng.integers(1, 50)), str(rng.integers(4))) for _ in range(200)]
    for each in jobs:
        queue.put(each)
    drawn: dict[int, list[tuple[int, int]]] = {}
    while pieces := queue.draw(int(rng.integers(1, 40)), wait=False):
        for piece in pieces:
            drawn.setdefault(id(piece.job), []).append((piece.start, piece.stop))
    for each in jobs:
        spans = drawn[id(each)]
        assert [start for start, _ in spans] == [0, *(stop for _, stop in spans[:-1])]
        assert spans[-1][1] == len(each.frames)
    assert queue.depth == 0


def test_over_the_bound_requests_are_refused_and_told_when_to_come_again(loop: asyncio.AbstractEventLoop) -> None:
    queue = Queue(10)
    queue.put(job(loop, 1000, "a"))  # of any size, as long as there is room
    with pytest.raises(RequestError, match="1000 frames wait") as refused:
        queue.put(job(loop, 1, "b"))
    assert refused.value.status == HTTPStatus.SERVICE_UNAVAILABLE and refused.value.retry_after_s == 1
    queue.draw(995, wait=False)
    queue.put(job(loop, 1, "b"))
    with pytest.raises(RequestError):  # of one client half
        queue.put(job(loop, 1, "a"))


def test_who_leaves_takes_nothing_more(loop: asyncio.AbstractEventLoop) -> None:
    queue = Queue(100)
    gone, stays = job(loop, 10, "a"), job(loop, 3, "b")
    queue.put(gone)
    queue.put(stays)
    first = queue.draw(4, wait=False)
    assert queue.drop(gone) and not queue.drop(gone)
    assert sizes(queue.draw(100, wait=False)) == [("b", 1)]
    assert queue.depth == 0
    (piece,) = [piece for piece in first if piece.job is gone]
    assert not gone.receive(piece, np.zeros((len(piece), 1), np.int32), 0)
    assert gone.error is None


def test_what_is_given_back_comes_first_and_whole(loop: asyncio.AbstractEventLoop) -> None:
    queue = Queue(100)
    for client in ("a", "b"):
        queue.put(job(loop, 5, client))
    pieces = queue.draw(4, wait=False)
    queue.give_back(pieces)
    assert queue.draw(1, wait=False) == pieces
    assert len(queue.draw(100, wait=False)) == 2


def test_answers_are_put_together_from_pieces_in_any_order(loop: asyncio.AbstractEventLoop) -> None:
    one = job(loop, 5)
    pieces = [one.take(2), one.take(2), one.take(2)]
    values = np.arange(10, dtype=np.int32).reshape(5, 2)
    done = [one.receive(pieces[i], values[pieces[i].start : pieces[i].stop], 3) for i in (2, 0, 1)]
    assert done == [False, False, True]
    assert one.values is not None and one.compute_ns == 9
    np.testing.assert_array_equal(one.values, values)


def test_a_free_device_waits_for_more_as_long_as_it_may(loop: asyncio.AbstractEventLoop) -> None:
    queue = Queue(100, max_delay_us=400_000)
    queue.put(job(loop, 1, "a"))
    adding = threading.Timer(0.05, lambda: queue.put(job(loop, 3, "b")))
    adding.start()
    started = time.monotonic()
    assert sum(frames for _, frames in sizes(queue.draw(4, wait=True))) == 4
    assert time.monotonic() - started < 0.4  # full before its time
    adding.join()
    queue.put(job(loop, 1, "c"))
    assert sizes(queue.draw(4, wait=True)) == [("c", 1)]


def test_a_closed_queue_is_emptied_and_takes_nothing(loop: asyncio.AbstractEventLoop) -> None:
    queue = Queue(100)
    queue.put(job(loop, 3))
    queue.close()
    with pytest.raises(RequestError, match="unloaded"):
        queue.put(job(loop, 1))
    assert not queue.closed
    assert sizes(queue.draw(9, wait=True)) == [("a", 3)]
    assert queue.closed and queue.draw(9, wait=True) == []


def test_refusing_ends_all_that_waits(loop: asyncio.AbstractEventLoop) -> None:
    queue = Queue(100)
    jobs = [job(loop, 3, client) for client in "ab"]
    for each in jobs:
        queue.put(each)
    queue.give_back(queue.draw(2, wait=False))
    error = BackendError("gone")
    assert set(map(id, queue.refuse(error))) == set(map(id, jobs))
    assert [each.error for each in jobs] == [error, error]
    assert queue.depth == 0 and queue.draw(9, wait=False) == []
