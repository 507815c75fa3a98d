"""Scans are read and written as libjpeg does, and fitted tables are Huffman's."""

from __future__ import annotations

import heapq
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bitswath.errors import ContainerError
from bitswath.models.study.lossy.huffman import coded, fitted_table, read_scan, read_segments
from tests.models.study.lossy.patches import land


def jpeg(patch: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(patch).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
@pytest.mark.parametrize("size", [48, 41])
@pytest.mark.parametrize("optimize", [False, True])
def test_a_scan_read_and_written_under_its_own_tables_is_itself(subsampling: str, size: int, optimize: bool) -> None:
    image = read_segments(jpeg(land(7, 1, size)[0], quality=85, subsampling=subsampling, optimize=optimize))
    tables = [image.tables.get(key) for key in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert coded(read_scan(image), tables) == image.scan


def test_one_band_has_one_table_of_each_class() -> None:
    image = read_segments(jpeg(land(8, 1)[0][..., 0], quality=60))
    tables = [image.tables.get(key) for key in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert tables[1] is tables[3] is None
    assert coded(read_scan(image), tables) == image.scan


@given(st.lists(st.integers(0, 1 << 20), min_size=256, max_size=256).filter(any))
def test_a_fitted_table_is_huffmans_but_for_a_code_of_ones(counts: list[int]) -> None:
    table = fitted_table(counts)
    codes = table.codes()
    assert sorted(codes) == [symbol for symbol, count in enumerate(counts) if count]
    assert all(code < (1 << length) - 1 and length <= 16 for code, length in codes.values())
    assert sum(2.0**-length for _, length in codes.values()) <= 1 - 2.0**-16
    if max(length for _, length in codes.values()) < 16:
        heap = [0, *(count for count in counts if count)]
        heapq.heapify(heap)
        least = 0
        while len(heap) > 1:
            joined = heapq.heappop(heap) + heapq.heappop(heap)
            least += joined
            heapq.heappush(heap, joined)
        assert sum(counts[symbol] * length for symbol, (_, length) in codes.items()) == least


def test_codes_over_16_bits_are_shortened() -> None:
    counts = [0] * 256
    counts[:30] = [1 << place for place in range(30)]
    table = fitted_table(counts)
    assert sum(table.lengths) == 30
    assert sum(count << (16 - length) for length, count in enumerate(table.lengths, 1)) < 1 << 16
    assert table.symbols[0] == 29


def test_other_jpegs_are_refused() -> None:
    patch = land(9, 1)[0]
    with pytest.raises(ContainerError, match="baseline"):
        read_segments(jpeg(patch, progressive=True))
    with pytest.raises(ContainerError, match="no marker at byte 2"):
        read_segments(b"\xff\xd8 and more")
    image = read_segments(jpeg(patch, quality=90))
    with pytest.raises(ContainerError, match="damaged"):
        read_scan(type(image)(image.segments, image.tables, image.blocks, image.units, image.scan[:40]))
