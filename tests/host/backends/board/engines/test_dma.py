"""Transfers through two DMA engines: what comes back, what is done in which order, and what faults lead to.

The engines' registers and the memory are modelled in Python; host and device have copies of their own of each buffer.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.backends.base import Backend, Packing, Resettable, Ticket
from bitswath.backends.board.engines import transfers
from bitswath.backends.board.engines.dma import DmaBackend
from bitswath.backends.board.overlay import Frames, Overlay
from bitswath.codecs.packing import pack, pack_folded
from bitswath.errors import BackendError, BackendTimeoutError, BundleError, InputError
from tests.host.model_system import CONTROL, COUNT, HIGH, IDMA, LOW, NEVER, ODMA, CopiedBuffer, ModelBoard, ModelSystem

CODES = 21
GIVEN = Frames("idma0", bits=4, signed=False, values=CODES, group=None, frame_bytes=16, width=64)
TAKEN = Frames("odma0", bits=5, signed=True, values=CODES, group=None, frame_bytes=16, width=64)
NETWORK = "0123456789abcdef" * 4


def answers(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What the modelled accelerator computes: values of 5 signed bits."""
    return codes.astype(np.int64) - 7


def compute(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same on words of memory, by another way than the driver's: bit by bit."""
    bits = np.unpackbits(rows, axis=1, bitorder="little")
    codes = sum(bits[:, b : 4 * CODES : 4].astype(np.int64) << b for b in range(4))
    values = answers(codes) & 31
    digits = np.stack([values >> b & 1 for b in range(5)], axis=2).reshape(len(rows), -1)
    return np.packbits(np.pad(digits, ((0, 0), (0, 128 - 5 * CODES))).astype(np.uint8), axis=1, bitorder="little")


def overlay(given: Frames = GIVEN, taken: Frames = TAKEN) -> Overlay:
    return Overlay(Path("none.bit"), "bitswath", given, taken)


def codes_of(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 16, (count, CODES), np.uint8)


def opened(board: ModelBoard, **options: Any) -> DmaBackend:
    return DmaBackend(board, overlay(), **{"frames_per_transfer": 4, "transfer_timeout_s": 2.0, **options})


def run(backend: DmaBackend, codes: NDArray[np.uint8]) -> NDArray[np.signedinteger]:
    return backend.collect(backend.submit(pack(codes, 4)))


@pytest.fixture
def system() -> ModelSystem:
    return ModelSystem(GIVEN, TAKEN, compute, network=NETWORK)


@pytest.fixture
def board(system: ModelSystem) -> ModelBoard:
    return ModelBoard(system)


@pytest.fixture
def backend(board: ModelBoard) -> Iterator[DmaBackend]:
    with opened(board) as made:
        yield made


def test_it_is_a_backend_that_can_be_reset(backend: DmaBackend) -> None:
    assert isinstance(backend, Backend) and isinstance(backend, Resettable)
    assert backend.packing == Packing(4) and backend.clock_hz == 100e6 and backend.frames_in_flight == 8


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 8, 23])
def test_answers_do_not_depend_on_how_batches_are_split(backend: DmaBackend, count: int) -> None:
    codes = codes_of(count, seed=count)
    result = run(backend, codes)
    assert result.dtype == np.int32 and result.shape == (count, CODES)
    assert np.array_equal(result, answers(codes))


def test_answers_come_to_their_tickets_in_any_order_of_collecting(backend: DmaBackend) -> None:
    batches = [codes_of(count, seed=count) for count in (3, 2, 1, 2)]
    tickets = [backend.submit(pack(codes, 4)) for codes in batches]
    for codes, ticket in reversed(list(zip(batches, tickets))):
        assert np.array_equal(backend.collect(ticket), answers(codes))


def test_answers_have_the_output_shape(board: ModelBoard) -> None:
    with opened(board, output_shape=(3, 7)) as backend:
        assert run(backend, codes_of(5)).shape == (5, 3, 7)


def test_an_output_shape_that_does_not_fit_is_refused_and_the_board_closed(board: ModelBoard) -> None:
    with pytest.raises(BundleError, match=r"odma0 gives 21 values a frame, expected \(4, 5\)"):
        opened(board, output_shape=(4, 5))
    assert board.log == ["close"]


@pytest.mark.parametrize("forgotten", ["flush", "invalidate"])
def test_caches_matter_here(system: ModelSystem, forgotten: str) -> None:
    """With either left out answers are wrong, so the tests above would fail."""
    lazy = type("Lazy", (CopiedBuffer,), {forgotten: lambda self: None})
    with opened(ModelBoard(system, kind=lazy)) as backend:
        codes = codes_of(4)
        assert not np.array_equal(run(backend, codes), answers(codes))


def test_nothing_of_the_host_is_left_to_be_written_back_over_answers(system: ModelSystem, board: ModelBoard) -> None:
    """Caches may do that with what was written and not flushed, at any time until it is invalidated."""
    with opened(board) as backend:
        for buffer in backend._transfers.pairs.buffers:
            before = system.bytes_at(buffer.address, buffer.array.nbytes)
            before[:] = 9
            buffer.invalidate()
            assert (before == 9).all() and (buffer.array == 9).all()


def test_the_output_engine_is_started_first_with_whole_addresses(system: ModelSystem) -> None:
    system.memory_base = 0x8_0000_0000
    with opened(ModelBoard(system)) as backend:
        run(backend, codes_of(6))
    starts = [(engine, offset) for engine, offset, _ in system.log if offset == CONTROL]
    assert starts == [(ODMA, CONTROL), (IDMA, CONTROL)] * 2
    assert [value for engine, offset, value in system.log if (engine, offset) == (IDMA, COUNT)] == [4, 2]
    assert {value for _, offset, value in system.log if offset == HIGH} == {8}
    assert len({value for _, offset, value in system.log if offset == LOW}) == 4, "two pairs of buffers"


def test_buffers_are_allocated_once(board: ModelBoard, backend: DmaBackend) -> None:
    for seed in range(5):
        run(backend, codes_of(7, seed))
    assert board.log.count("allocate") == 4


def test_the_next_input_is_filled_while_the_device_runs(
    system: ModelSystem, board: ModelBoard, backend: DmaBackend
) -> None:
    system.gate.clear()
    board.log.clear()
    tickets = [backend.submit(pack(codes_of(4, seed), 4)) for seed in range(2)]
    deadline = time.monotonic() + 5
    while board.log.count("flush") < 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert board.log.count("flush") == 2 and board.log.count("invalidate") == 0
    system.gate.set()
    for seed, ticket in enumerate(tickets):
        assert np.array_equal(backend.collect(ticket), answers(codes_of(4, seed)))


def test_submit_waits_for_room_and_says_when_there_is_none(
    system: ModelSystem, board: ModelBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transfer's own clock stands still, so that it is not the transfer that is late first."""
    monkeypatch.setattr(transfers, "time", SimpleNamespace(monotonic=lambda: 0.0, perf_counter=time.perf_counter))
    with opened(board, transfer_timeout_s=0.5) as backend:
        system.gate.clear()
        backend.submit(pack(codes_of(5), 4))
        with pytest.raises(BackendTimeoutError, match=r"no room for 4 frames within 0\.5 s"):
            backend.submit(pack(codes_of(4), 4))


def test_a_late_collect_may_be_repeated(system: ModelSystem, backend: DmaBackend) -> None:
    system.gate.clear()
    ticket = backend.submit(pack(codes_of(3), 4))
    with pytest.raises(BackendTimeoutError, match=r"no answer to 3 frames within 0\.05 s"):
        backend.collect(ticket, 0.05)
    system.gate.set()
    assert np.array_equal(backend.collect(ticket), answers(codes_of(3)))


def test_each_ticket_is_collected_once(backend: DmaBackend) -> None:
    ticket = backend.submit(pack(codes_of(2), 4))
    backend.collect(ticket)
    for wrong in (ticket, Ticket(99, 1)):
        with pytest.raises(BackendError, match="is not outstanding"):
            backend.collect(wrong)


def test_frames_of_another_kind_are_refused(backend: DmaBackend) -> None:
    for wrong in (np.zeros((2, 10), np.uint8), np.zeros((2, 11), np.int8), np.zeros(11, np.uint8), [[0] * 11]):
        with pytest.raises(InputError, match="expected frames"):
            backend.submit(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"frames_per_transfer": 0}, {"transfer_timeout_s": 0.0}])
def test_limits_must_make_sense(board: ModelBoard, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        opened(board, **options)


@pytest.mark.parametrize("engine", [IDMA, ODMA])
def test_a_device_that_never_finishes_is_late_until_it_is_reset(
    system: ModelSystem, board: ModelBoard, engine: int
) -> None:
    with opened(board, transfer_timeout_s=0.2) as backend:
        system.late = engine
        first, second = backend.submit(pack(codes_of(4), 4)), backend.submit(pack(codes_of(2), 4))
        with pytest.raises(BackendTimeoutError, match=r"4 frames were not done within 0\.2 s .*idma0.*odma0.*reset"):
            backend.collect(first, 1e9)  # it does not wait that out
        for _ in range(2):
            with pytest.raises(BackendTimeoutError):
                backend.collect(second)
        with pytest.raises(BackendTimeoutError):
            backend.submit(pack(codes_of(1), 4))
        backend.reset()
        for ticket in (first, second):
            with pytest.raises(BackendError, match="void: the device was reset"):
                backend.collect(ticket)
        assert np.array_equal(run(backend, codes_of(9)), answers(codes_of(9)))


@pytest.mark.parametrize(
    ("engine", "status", "message"),
    [
        (IDMA, 1, "idma0: the bus answered SLVERR while reading memory"),
        (IDMA, 2, "idma0: the bus answered DECERR while reading memory"),
        (ODMA, 1, "odma0: the bus answered SLVERR while writing memory"),
        (ODMA, 2, "odma0: the bus answered DECERR while writing memory"),
        (ODMA, 9, "odma0: the bus answered status 9"),
    ],
)
def test_a_bus_error_names_engine_and_response(
    system: ModelSystem, backend: DmaBackend, engine: int, status: int, message: str
) -> None:
    system.errors = {engine: status}
    with pytest.raises(BackendError, match=message) as raised:
        run(backend, codes_of(4))
    assert not isinstance(raised.value, BackendTimeoutError)
    backend.reset()
    assert np.array_equal(run(backend, codes_of(4)), answers(codes_of(4)))


def test_answers_from_before_a_fault_are_still_there(system: ModelSystem, backend: DmaBackend) -> None:
    before = backend.submit(pack(codes_of(4), 4))
    assert wait_for(lambda: backend._batches._outstanding[before.number].back == 4)
    system.errors = {ODMA: 1}
    with pytest.raises(BackendError, match="SLVERR"):
        run(backend, codes_of(1))
    assert np.array_equal(backend.collect(before), answers(codes_of(4)))


def test_answers_are_not_lost_if_the_next_transfer_cannot_be_started(system: ModelSystem, backend: DmaBackend) -> None:
    system.gate.clear()
    first, second = (backend.submit(pack(codes_of(4, seed), 4)) for seed in range(2))
    assert wait_for(lambda: system.done_at[ODMA] != NEVER)
    start = backend._board.odma.start

    def broken(*_: Any) -> None:
        raise BackendError("odma0: cannot be written")

    backend._board.odma.start = broken  # type: ignore[method-assign]
    system.gate.set()
    with pytest.raises(BackendError, match="cannot be written"):
        backend.collect(second)
    assert np.array_equal(backend.collect(first), answers(codes_of(4, 0)))
    backend._board.odma.start = start  # type: ignore[method-assign]


def test_an_engine_at_work_is_not_started(system: ModelSystem, backend: DmaBackend) -> None:
    system.registers[ODMA][CONTROL] = 1
    with pytest.raises(BackendError, match="odma0: expected it idle"):
        run(backend, codes_of(1))


def test_reset_in_the_middle_of_a_transfer(system: ModelSystem, board: ModelBoard, backend: DmaBackend) -> None:
    system.gate.clear()
    ticket = backend.submit(pack(codes_of(8), 4))
    backend.reset(1.0)
    system.gate.set()
    with pytest.raises(BackendError, match="void"):
        backend.collect(ticket)
    assert "reload" in board.log
    assert np.array_equal(run(backend, codes_of(8)), answers(codes_of(8)))


def test_steps_of_a_batch_are_told(backend: DmaBackend) -> None:
    spent = backend.steps(np.zeros((3, backend.overlay.input.payload_bytes), np.uint8))
    assert list(spent) == ["fill", "transfer, compute", "unpack"]
    assert all(0 < seconds < 30 for seconds in spent.values())


def test_a_reset_may_take_longer_than_a_transfer(board: ModelBoard) -> None:
    reload = board.reload

    def slow() -> None:
        time.sleep(0.5)
        reload()

    board.reload = slow  # type: ignore[method-assign]
    with opened(board, transfer_timeout_s=0.2) as backend:
        for limit_s in (None, 0.1):
            backend.reset(limit_s)
            assert np.array_equal(run(backend, codes_of(3)), answers(codes_of(3)))


def test_a_reset_wakes_whoever_waits(system: ModelSystem, backend: DmaBackend) -> None:
    system.gate.clear()
    ticket = backend.submit(pack(codes_of(8), 4))
    seen: list[BaseException] = []

    def wait() -> None:
        try:
            backend.collect(ticket, 20)
        except BackendError as error:
            seen.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    backend.reset()
    waiting.join(2)
    assert not waiting.is_alive() and "void" in str(seen[0])


def test_a_reset_that_fails_says_so_and_can_be_tried_again(board: ModelBoard, backend: DmaBackend) -> None:
    board.broken = BackendError("x.bit: cannot be loaded")
    with pytest.raises(BackendError, match="cannot be loaded"):
        backend.reset()
    with pytest.raises(BackendError, match="cannot be loaded"):
        backend.submit(pack(codes_of(1), 4))
    board.broken = None
    backend.reset()
    assert np.array_equal(run(backend, codes_of(1)), answers(codes_of(1)))


def test_what_a_board_raises_unexpectedly_reaches_who_waits(
    system: ModelSystem, board: ModelBoard, backend: DmaBackend
) -> None:
    system.gate.clear()
    board.broken = ZeroDivisionError("x")
    with pytest.raises(BackendError, match=r"the device failed \(ZeroDivisionError: x\)"):
        run(backend, codes_of(1))


def test_a_full_memory_frees_what_was_allocated(system: ModelSystem) -> None:
    board = ModelBoard(system, room=200)
    with pytest.raises(BackendError, match="contiguous memory"):
        opened(board)
    assert board.log == ["allocate", "flush"] * 3 + ["free"] * 3 + ["close"]


def test_close_frees_everything_once(board: ModelBoard) -> None:
    backend = opened(board)
    run(backend, codes_of(3))
    backend.close()
    backend.close()
    assert board.log.count("free") == 4 and "reload" not in board.log
    for use in (
        lambda: backend.submit(pack(codes_of(1), 4)),
        lambda: backend.reset(),
        lambda: backend.collect(Ticket(0, 1)),
    ):
        with pytest.raises(BackendError, match="closed"):
            use()


def test_close_lets_a_transfer_end(system: ModelSystem, board: ModelBoard) -> None:
    backend = opened(board)
    system.gate.clear()
    backend.submit(pack(codes_of(4), 4))
    assert wait_for(lambda: system.done_at[ODMA] != NEVER)
    threading.Timer(0.1, system.gate.set).start()
    backend.close()
    assert "reload" not in board.log and board.log.count("free") == 4


def test_a_device_that_cannot_be_waited_for_is_stopped_before_its_memory_is_freed(
    system: ModelSystem, board: ModelBoard
) -> None:
    backend = opened(board, transfer_timeout_s=0.1)
    system.late = ODMA
    with pytest.raises(BackendTimeoutError):
        run(backend, codes_of(4))
    backend.close()
    assert board.log[-6:] == ["reload", "free", "free", "free", "free", "close"]


def test_memory_is_kept_where_the_device_cannot_be_stopped(system: ModelSystem, board: ModelBoard) -> None:
    backend = opened(board, transfer_timeout_s=0.1)
    system.late = ODMA
    with pytest.raises(BackendTimeoutError):
        run(backend, codes_of(4))
    board.broken = BackendError("gone")
    buffers = [weakref.ref(buffer) for buffer in backend._transfers.pairs.buffers]
    backend.close()
    assert "free" not in board.log and board.log[-1] == "close"
    del backend
    gc.collect()
    assert len(buffers) == 4 and all(buffer() is not None for buffer in buffers)


ENDING = """
import time
from tests.host.backends.board.engines import test_dma
system = test_dma.ModelSystem(test_dma.GIVEN, test_dma.TAKEN, test_dma.compute)
board = test_dma.ModelBoard(system)
board.log = type("Log", (list,), {"append": lambda self, line: print(line, flush=True)})()
backend = test_dma.opened(board, transfer_timeout_s=60.0)
system.late = test_dma.ODMA
backend.submit(test_dma.pack(test_dma.codes_of(4), 4))
while not backend._transfers.moving:
    time.sleep(0.001)
"""


@pytest.mark.parametrize("ending", ["", "raise ZeroDivisionError"])
def test_a_program_that_ends_stops_the_device(ending: str) -> None:
    run = subprocess.run([sys.executable, "-c", ENDING + ending], capture_output=True, text=True, timeout=60)
    assert run.stdout.split()[-6:] == ["reload", "free", "free", "free", "free", "close"], run.stderr


def test_folded_frames_go_in_and_out() -> None:
    given = Frames("idma0", bits=3, signed=False, values=12, group=3, frame_bytes=8)
    taken = Frames("odma0", bits=6, signed=True, values=12, group=2, frame_bytes=12)

    def fold(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        words = rows.reshape(len(rows), 4, 2).astype(np.int64) @ [1, 256]
        codes = np.stack([words >> shift & 7 for shift in (0, 3, 6)], axis=2).reshape(len(rows), 12)
        return pack_folded(-2 * codes, 6, True, 2)

    board = ModelBoard(ModelSystem(given, taken, fold))
    with DmaBackend(board, overlay(given, taken), frames_per_transfer=4) as backend:
        assert backend.packing == Packing(3, group=3)
        codes = np.random.default_rng(3).integers(0, 8, (7, 12))
        frames = pack_folded(codes, 3, False, 3)
        assert np.array_equal(backend.collect(backend.submit(frames)), -2 * codes)


def wait_for(what: Any, timeout_s: float = 5.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not what() and time.monotonic() < deadline:
        time.sleep(0.001)
    return bool(what())
