"""Register map of the DMA engines: Vitis HLS' control register, interrupts, and what identifies a bitstream."""

from __future__ import annotations

from random import Random

import pytest

from tests.rtl.simulate import run_bench

CONTROL, GIE, IER, ISR, LOW, HIGH, REPETITIONS = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x1C
STATUS, MOVED = 0x80, 0x84
START, DONE, IDLE, READY = 1, 2, 4, 8
BEFORE_START = 45
"""Cycles after which a start has reached the engine; the product takes 32."""

NETWORK = "69e70761" + "".join(f"{i:08x}" for i in range(1, 8))
WORDS = 773
PARAMETERS = {"WIDTH": 128, "WORDS": WORDS, "DIRECTION": 1, "NETWORK": f"256'h{NETWORK}"}

Step = tuple[str | int, ...]


def write(offset: int, value: int, strobes: int = 15) -> Step:
    return ("write", offset, value, strobes)


def read(offset: int) -> Step:
    return ("read", offset)


def run(steps: list[Step], seed: int) -> tuple[list[int], list[bool], list[list[int]]]:
    """Values of the reads, the interrupt line after each step, and the engine's starts."""
    results = run_bench("tests.rtl.control_bench", "dma_control", PARAMETERS, {"steps": steps}, seed=seed)
    values = [value for value, _, _ in results if value is not None]
    return values, [bool(line) for _, line, _ in results], results[-1][2]


@pytest.mark.parametrize("slow", [0, 3])
def test_a_start_multiplies_repetitions_and_done_is_cleared_by_reading(seed: int, slow: int) -> None:
    repetitions, address = Random(seed).randrange(1 << 32), Random(seed + 1).randrange(1 << 64)
    steps = [
        ("slow", slow),
        *(read(CONTROL), write(LOW, address & 0xFFFFFFFF), write(HIGH, address >> 32)),
        *(write(REPETITIONS, repetitions), read(LOW), read(HIGH), read(REPETITIONS)),
        *(("engine", 60, 5, 0), write(CONTROL, START), ("wait", BEFORE_START), read(CONTROL)),
        *(("wait", 60), read(MOVED), read(CONTROL), read(CONTROL)),
    ]
    values, _, starts = run(steps, seed)
    assert values == [
        *(IDLE, address & 0xFFFFFFFF, address >> 32, repetitions),
        *(START, 5, IDLE | DONE | READY, IDLE),
    ]
    assert starts == [[address, repetitions * WORDS]]


def test_a_start_clears_done_and_one_while_running_is_ignored(seed: int) -> None:
    steps = [
        *(write(REPETITIONS, 1), write(CONTROL, START), ("wait", 60), ("engine", 100, 0, 0)),
        *(write(CONTROL, START), read(CONTROL), ("wait", BEFORE_START), write(CONTROL, START)),
        *(read(CONTROL), ("wait", 120), read(CONTROL)),
    ]
    values, _, starts = run(steps, seed)
    assert values == [START, START, IDLE | DONE | READY]
    assert starts == [[0, WORDS]] * 2


def test_interrupts_are_enabled_twice_and_turned_over_by_writing(seed: int) -> None:
    finish = (write(CONTROL, START), ("wait", 60))
    steps = [
        *(*finish, read(ISR)),  # not enabled: nothing is kept
        *(write(IER, 1), *finish, read(ISR), write(GIE, 1), write(ISR, 1), read(ISR)),
        *(write(ISR, 2), read(ISR), write(ISR, 2)),
        *(write(IER, 3), *finish, read(ISR), write(GIE, 0), read(GIE), read(IER)),
    ]
    values, lines, _ = run(steps, seed)
    assert values == [0, 1, 0, 2, 3, 0, 3]
    shown = [line for step, line in zip(steps, lines) if step[0] == "read" or step[:2] == ("write", GIE)]
    assert shown == [False, False, True, False, True, True, False, False, False]


def test_addresses_are_written_by_the_byte(seed: int) -> None:
    steps = [
        write(LOW, 0x11223344),
        write(LOW, 0xAABBCCDD, 0b0101),
        read(LOW),
        write(CONTROL, START, 0b1110),
        read(CONTROL),
    ]
    assert run(steps, seed)[0] == [0x11BB33DD, IDLE]


def test_the_bitstream_says_what_it_is(seed: int) -> None:
    values, _, _ = run([read(offset) for offset in (*range(0x40, 0x54, 4), *range(0x60, 0x80, 4), 0x24, 0xFC)], seed)
    assert values[:5] == [0x54575342, 1, 128, WORDS, 1]
    assert "".join(f"{word:08x}" for word in values[5:13]) == NETWORK
    assert values[13:] == [0, 0]


def test_status_and_words_are_the_last_transfers(seed: int) -> None:
    steps = [
        *(("engine", 5, 4, 2), write(CONTROL, START), ("wait", 60), read(STATUS), read(MOVED), read(STATUS)),
        *(("engine", 5, 3, 0), write(CONTROL, START), ("wait", 60), read(STATUS), read(MOVED)),
    ]
    assert run(steps, seed)[0] == [2, 4, 2, 0, 3]
