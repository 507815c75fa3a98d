"""Read engine: the stream is what lies in memory, whatever the alignment, the pauses and the responses."""

from __future__ import annotations

from random import Random

import pytest

from tests.rtl.dma import BURST, Transfer, random_transfers, run_transfers

WIDTHS = (64, 128, 512)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_stream_is_the_buffer(seed: int, width: int) -> None:
    for found in run_transfers("dma_read", width, random_transfers(Random(seed), width, 24), seed):
        if found.transfer.cut:
            assert found.beats == found.given[: len(found.beats)]
            continue
        assert found.beats == found.given, found.transfer
        assert found.status == 0
        assert found.moves == found.transfer.words
        read = sum(beats for _, beats in found.bursts)
        assert read == found.transfer.words + (found.transfer.address % (width // 8) != 0)


@pytest.mark.parametrize("offset", [0, 3])
def test_a_word_a_cycle_with_a_memory_of_30_cycles_latency(seed: int, offset: int) -> None:
    (found,) = run_transfers("dma_read", 64, [Transfer(0x10000 + offset, 600, latency=22)], seed)
    span = found.cycles[-1] - found.cycles[0] + 1
    print(f"offset {offset}: {span} cycles for 600 words, {found.most} bursts under way")
    assert span <= 1.03 * 600
    assert found.most >= 3


def test_bursts_are_as_long_as_they_can_be(seed: int) -> None:
    (found,) = run_transfers("dma_read", 64, [Transfer(0x10000 - 8 * 5, 40)], seed)
    assert [beats for _, beats in found.bursts] == [5, BURST, BURST, 3]


@pytest.mark.parametrize(("response", "status"), [(2, 1), (3, 2), (1, 3)])
def test_a_bad_response_ends_reading_and_the_stream_stays_in_step(seed: int, response: int, status: int) -> None:
    random = Random(seed)
    transfers = []
    for _ in range(4):
        words = random.randrange(2, 300)
        faults = {random.randrange(words): response}
        transfers += [
            Transfer(random.randrange(1 << 20), words, (2, 2), (2, 2), latency=10, faults=faults),
            Transfer(random.randrange(1 << 20), 20, latency=3),
        ]
    for found in run_transfers("dma_read", 64, transfers, seed):
        if not found.transfer.faults:
            assert (found.beats, found.status) == (found.given, 0)
            continue
        (wrong,) = found.transfer.faults
        assert found.status == status
        assert len(found.beats) == found.transfer.words
        sound = max(0, wrong - 1)  # an unaligned word takes two
        assert found.beats[:sound] == found.given[:sound]
        read = sum(beats for _, beats in found.bursts)
        assert read <= wrong + 1 + 64 + BURST
        assert not any(found.beats[read:])


def test_no_words_are_done_without_a_burst(seed: int) -> None:
    found = run_transfers("dma_read", 64, [Transfer(0x1003, 0), Transfer(0x1003, 2)], seed)
    assert (found[0].bursts, found[0].beats) == ([], [])
    assert found[1].beats == found[1].given
