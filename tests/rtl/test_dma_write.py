"""Write engine: the stream lies in memory and nothing beside it changed, whatever the alignment and the responses."""

from __future__ import annotations

from random import Random

import pytest

from tests.rtl.dma import BURST, Outcome, Transfer, random_transfers, run_transfers

WIDTHS = (64, 128, 512)


def expected(found: Outcome, width: int) -> bytes:
    """The memory with the stream's words in the buffer."""
    memory = bytearray(found.before)
    place = found.transfer.address - found.base
    words = b"".join(word.to_bytes(width // 8, "little") for word in found.given)
    memory[place : place + len(words)] = words
    return bytes(memory)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_buffer_is_the_stream(seed: int, width: int) -> None:
    for found in run_transfers("dma_write", width, random_transfers(Random(seed), width, 24), seed):
        if found.transfer.cut:
            continue
        assert found.after == expected(found, width), found.transfer
        assert found.status == 0
        assert found.moves == found.transfer.words == len(found.beats)


@pytest.mark.parametrize("offset", [0, 3])
def test_a_word_a_cycle(seed: int, offset: int) -> None:
    (found,) = run_transfers("dma_write", 64, [Transfer(0x10000 + offset, 600, latency=30)], seed)
    span = found.cycles[-1] - found.cycles[0] + 1
    print(f"offset {offset}: {span} cycles for 600 words, {found.most} bursts under way")
    assert span <= 1.03 * 600
    assert found.most >= 2


def test_memory_never_waits_for_a_slow_stream(seed: int) -> None:
    whole = BURST - 1 + 5 * BURST
    transfers = [Transfer(0x10008, whole + last, stream_pace=(1, 30)) for last in (1, 2, 5)]
    for found in run_transfers("dma_write", 64, transfers, seed):
        assert found.waits == 0
        assert [beats for _, beats in found.bursts] == [BURST - 1, *[BURST] * 5, found.transfer.words - whole]


@pytest.mark.parametrize(("response", "status"), [(2, 1), (3, 2), (1, 3)])
def test_a_bad_response_ends_writing_and_the_stream_stays_in_step(seed: int, response: int, status: int) -> None:
    random = Random(seed)
    transfers = []
    for _ in range(4):
        words = random.randrange(40, 300)
        faults = {random.randrange(3): response}
        transfers += [
            Transfer(random.randrange(1 << 20), words, (2, 2), (2, 2), latency=10, faults=faults),
            Transfer(random.randrange(1 << 20), 20, latency=3),
        ]
    for found in run_transfers("dma_write", 64, transfers, seed):
        whole = expected(found, 64)
        if not found.transfer.faults:
            assert (found.after, found.status) == (whole, 0)
            continue
        assert found.status == status
        assert found.beats == found.given
        written = sum(beats for _, beats in found.bursts) * 8
        assert all(now in (then, wanted) for now, then, wanted in zip(found.after, found.before, whole))
        place = found.transfer.address - found.base
        assert found.after[place + written :] == found.before[place + written :]


def test_no_words_are_done_without_a_burst(seed: int) -> None:
    found = run_transfers("dma_write", 64, [Transfer(0x1003, 0), Transfer(0x1003, 2)], seed)
    assert (found[0].bursts, found[0].after) == ([], found[0].before)
    assert found[1].after == expected(found[1], 64)
