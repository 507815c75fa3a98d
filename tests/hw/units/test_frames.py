"""The memories of the frames' decoder: what it looks up of a code is the symbol that a canonical code gives it."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.errors import BuildError
from bitswath.hw.units.frames import frame_memories
from tests.transform_model import LONGEST, Codec, codes, random_codec


def words(text: str) -> list[int]:
    return [int(line, 16) for line in text.splitlines()]


def memories(codec: Codec) -> dict[str, list[int]]:
    (ac_counts, ac_symbols), (dc_counts, dc_symbols) = zip(*codec.ac), zip(*codec.dc)
    found = frame_memories(ac_counts, ac_symbols, codec.contexts, dc_counts, dc_symbols)
    return {name: words(text) for name, text in found.items()}


@pytest.mark.parametrize("draw", range(5))
def test_every_code_leads_to_its_symbol(draw: int) -> None:
    codec = random_codec(np.random.default_rng(draw), 3)
    found = memories(codec)
    tables = [*enumerate(codec.ac), *enumerate(codec.dc, 8)]
    for number, table in tables:
        for symbol, code in codes(table).items():
            bits = int(code.ljust(LONGEST, "1"), 2)
            length, limits = 1, found["limits.hex"][number]
            while length < LONGEST and bits >> (LONGEST - length) >= limits & (2 << length) - 1:
                limits >>= length + 1
                length += 1
            assert length == len(code)
            address = found["bases.hex"][number * 16 + length] + int(code, 2)
            assert found["symbols.hex"][address % 1024] == symbol


def test_contexts_lie_where_their_fields_say() -> None:
    codec = random_codec(np.random.default_rng(0), 1)
    found = memories(codec)["contexts.hex"]
    assert len(found) == 64
    assert [
        found[c << 5 | zone << 2 | before] for c in range(2) for zone in range(7) for before in range(4)
    ] == codec.contexts


def test_tables_that_do_not_fit_are_an_error() -> None:
    codec = random_codec(np.random.default_rng(0), 1)
    (dc_counts, dc_symbols) = zip(*codec.dc)
    counts, symbols = codec.ac[0]
    with pytest.raises(BuildError, match="1 to 8 AC tables"):
        frame_memories([counts] * 9, [symbols] * 9, [0] * 56, dc_counts, dc_symbols)
    with pytest.raises(BuildError, match="542 symbols"):
        frame_memories([[0] * 9 + [1024, 0, 0]], [list(range(1024))], [0] * 56, dc_counts, dc_symbols)
