"""Transfers of the DMA engines as tests describe them, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tests.rtl.axis import Pace
from tests.rtl.simulate import run_bench

BURST, DEPTH = 16, 64
MARGIN = 4096


@dataclass(frozen=True)
class Transfer:
    """`latency`: of the memory, in cycles; `faults`: responses other than OKAY by number of the word read or of the
    burst written; `cut`: reset after so many cycles."""

    address: int
    words: int
    pace: Pace = (1, 0)
    stream_pace: Pace = (1, 0)
    latency: int = 0
    faults: dict[int, int] = field(default_factory=dict)
    cut: int = 0


@dataclass(frozen=True)
class Outcome:
    """`given`: the buffer's words before a read, the stream's before a write; `beats`: that moved on the stream;
    `before`, `after`: the memory from `base` on; `most`: bursts under way at once; `waits`: for words of a burst."""

    transfer: Transfer
    given: list[int]
    beats: list[int]
    cycles: list[int]
    base: int
    before: bytes
    after: bytes
    bursts: list[tuple[int, int]]
    most: int
    waits: int
    status: int
    moves: int


def run_transfers(kernel: str, width: int, transfers: Sequence[Transfer], seed: int) -> list[Outcome]:
    """All on one device, one after the other. Those that are cut have an outcome, too."""
    random, word = Random(seed), width // 8
    jobs, givens = [], []
    for number, transfer in enumerate(transfers):
        base = max(0, transfer.address // MARGIN * MARGIN - MARGIN)
        content = random.randbytes(transfer.address - base + transfer.words * word + MARGIN)
        place = transfer.address - base
        stream = [random.getrandbits(width) for _ in range(transfer.words)] if kernel == "dma_write" else []
        kept = content[place : place + transfer.words * word]
        held = [int.from_bytes(kept[i : i + word], "little") for i in range(0, len(kept), word)]
        givens.append(stream if kernel == "dma_write" else held)
        jobs.append({**vars(transfer), "base": base, "content": content.hex(), "stream": stream})
        jobs[-1].update(seed=seed + number, limit=2000 + 60 * transfer.words)
    longest = min(BURST, 4096 // word)
    job = {"write": kernel == "dma_write", "word": word, "longest": longest, "transfers": jobs}
    parameters = {"WIDTH": width, "BURST": BURST, "DEPTH": DEPTH}
    results = run_bench("tests.rtl.dma_bench", kernel, parameters, job, seed=seed)
    return [
        Outcome(
            transfer=transfer,
            given=given,
            base=job["base"],
            before=bytes.fromhex(job["content"]),
            after=bytes.fromhex(result.pop("memory")),
            **result,
        )
        for transfer, given, job, result in zip(transfers, givens, jobs, results)
    ]


def random_transfers(random: Random, width: int, count: int) -> list[Transfer]:
    """Some begin shortly before a page ends, some are reset, many pause."""
    paces: list[Pace] = [(1, 0), (1, 0), (2, 2), (1.5, 3), (20, 12)]
    found = []
    for _ in range(count):
        page = random.randrange(1, 1 << 20) * 4096
        near = 4096 - random.randrange(1, 20 * width // 8)
        address = page + random.choice([0, near, random.randrange(4096)])
        if random.random() < 0.3:
            address -= address % (width // 8)
        found.append(
            Transfer(
                address=address + random.choice([0, 0, 1 << 40]),
                words=random.choice([1, 2, random.randrange(1, 30), random.randrange(1, 150)]),
                pace=random.choice(paces),
                stream_pace=random.choice(paces),
                latency=random.choice([0, 5, 30]),
                cut=random.randrange(1, 80) if random.random() < 0.1 else 0,
            )
        )
    return found
