"""Scans of baseline JPEG under other Huffman tables: the same coefficients in other bits.

ITU-T T.81 lets tables be sent apart from images (Annex B.5, abbreviated formats). One set of tables for a whole data
set can then be fitted to it, as libjpeg fits one to each file; pixels do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from bitswath.errors import ContainerError

__all__ = [
    "DHT", "EOI", "SOS", "Scan", "Segments", "Table", "coded", "counted", "fitted_table", "legal_symbols", "read_scan",
    "read_segments",
]  # fmt: skip

LONGEST = 16
"""Bits of a code."""

END_OF_BLOCK, SIXTEEN_ZEROS = 0x00, 0xF0

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """A Huffman table as DHT writes it: `lengths`, how many codes there are of 1..16 bits, and their `symbols`."""

    lengths: tuple[int, ...]
    symbols: tuple[int, ...]

    def codes(self) -> dict[int, tuple[int, int]]:
        """By symbol: code and its length in bits (T.81, Annex C)."""
        found, code, place = {}, 0, 0
        for length, count in enumerate(self.lengths, 1):
            for symbol in self.symbols[place : place + count]:
                found[symbol] = code, length
                code += 1
            place, code = place + count, code << 1
        return found


@dataclass(frozen=True)
class Segments:
    """Of a baseline file: `segments`, markers and bodies up to the scan's; `tables` by class (0 DC, 1 AC) and number;
    `blocks`: the numbers of the DC and AC tables of each block of an MCU; `units`: MCUs; `scan`: without EOI."""

    segments: tuple[tuple[int, bytes], ...]
    tables: dict[tuple[int, int], Table]
    blocks: tuple[tuple[int, int], ...]
    units: int
    scan: bytes


@dataclass(frozen=True, eq=False)
class Scan:
    """Symbols in their order: `tables` (class, number) as 2 * class + number, the extra bits behind each symbol."""

    tables: NDArray[np.uint8]
    symbols: NDArray[np.uint8]
    extra: NDArray[np.uint32]


SOF0, DHT, EOI, SOS = 0xC0, 0xC4, 0xD9, 0xDA


def read_segments(file: bytes) -> Segments:
    """Take a baseline JPEG of one interleaved scan without restarts apart. Raises `ContainerError` for others."""
    segments: list[tuple[int, bytes]] = []
    place = 2
    while not segments or segments[-1][0] != SOS:
        if file[place : place + 1] != b"\xff" or place + 4 > len(file):
            raise ContainerError(f"expected a baseline JPEG, got no marker at byte {place}")
        size = int.from_bytes(file[place + 2 : place + 4], "big")
        segments.append((file[place + 1], file[place + 4 : place + 2 + size]))
        place += 2 + size
    bodies = dict(segments)
    if SOF0 not in bodies or file[-2:] != bytes([0xFF, EOI]):
        raise ContainerError("expected a baseline JPEG of one scan")
    tables = dict(chain.from_iterable(_tables(body) for marker, body in segments if marker == DHT))
    blocks, units = _layout(bodies[SOF0], bodies[SOS])
    return Segments(tuple(segments), tables, blocks, units, file[place:-2])


def _tables(body: bytes) -> Iterable[tuple[tuple[int, int], Table]]:
    while body:
        kind, number = divmod(body[0], 16)
        lengths = tuple(body[1 : 1 + LONGEST])
        end = 1 + LONGEST + sum(lengths)
        yield (kind, number), Table(lengths, tuple(body[1 + LONGEST : end]))
        body = body[end:]


def _layout(frame: bytes, scan: bytes) -> tuple[tuple[tuple[int, int], ...], int]:
    height, width, count = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big"), frame[5]
    sampled = {frame[6 + 3 * i]: divmod(frame[7 + 3 * i], 16) for i in range(count)}
    chosen = {scan[1 + 2 * i]: divmod(scan[2 + 2 * i], 16) for i in range(scan[0])}
    if list(sampled) != list(chosen):
        raise ContainerError("expected a JPEG of one interleaved scan")
    across, down = (max(factors) for factors in zip(*sampled.values()))
    if count == 1:
        sampled, across, down = dict.fromkeys(sampled, (1, 1)), 1, 1
    blocks = tuple(chosen[component] for component, (wide, tall) in sampled.items() for _ in range(wide * tall))
    return blocks, -(-width // (8 * across)) * -(-height // (8 * down))


def read_scan(image: Segments) -> Scan:
    """The symbols of a file's scan. Raises `ContainerError` where it ends too soon or holds no code of its tables."""
    data = image.scan.replace(b"\xff\x00", b"\xff") + bytes(4)
    padded = np.frombuffer(data, np.uint8).astype(np.uint32)
    windows = (padded[:-3] << 24 | padded[1:-2] << 16 | padded[2:-1] << 8 | padded[3:]).tolist()
    lookups = {key: _lookup(table) for key, table in image.tables.items()}
    order = [(dc, lookups[0, dc], 2 + ac, lookups[1, ac]) for dc, ac in image.blocks]
    tables, symbols, extra = bytearray(), bytearray(), []
    at = 0
    try:
        for dc, dc_codes, ac, ac_codes in order * image.units:
            kind, codes, place = dc, dc_codes, 0
            while place < 64:
                length, symbol = codes[(windows[at >> 3] >> (16 - (at & 7))) & 0xFFFF]
                at += length
                size = symbol & 15
                tables.append(kind)
                symbols.append(symbol)
                extra.append((windows[at >> 3] >> (32 - (at & 7) - size)) & ((1 << size) - 1))
                at += size
                if kind == ac and symbol == END_OF_BLOCK:
                    break
                place += 1 + (symbol >> 4 if kind == ac else 0)
                kind, codes = ac, ac_codes
    except (IndexError, TypeError):
        raise ContainerError(f"a JPEG's scan of {len(image.scan)} bytes is damaged at bit {at}") from None
    return Scan(np.frombuffer(tables, np.uint8), np.frombuffer(symbols, np.uint8), np.array(extra, np.uint32))


def _lookup(table: Table) -> list[tuple[int, int] | None]:
    """By the next 16 bits: length of the code and its symbol."""
    found: list[tuple[int, int] | None] = [None] * (1 << LONGEST)
    for symbol, (code, length) in table.codes().items():
        span = 1 << (LONGEST - length)
        found[code * span : (code + 1) * span] = [(length, symbol)] * span
    return found


def counted(scans: Iterable[Scan]) -> Counts:
    """How often each symbol stands in each table: (4, 256), tables as in `Scan`."""
    counts = np.zeros((4, 256), np.int64)
    for scan in scans:
        counts += np.bincount(scan.tables * np.int64(256) + scan.symbols, minlength=1024).reshape(4, 256)
    return counts


def legal_symbols(kind: int) -> list[int]:
    """Of baseline tables of 8-bit samples: class 0 (DC) or 1 (AC)."""
    if kind == 0:
        return list(range(12))
    return [END_OF_BLOCK, SIXTEEN_ZEROS, *(run << 4 | size for run in range(16) for size in range(1, 11))]


def fitted_table(counts: Sequence[int]) -> Table:
    """The table of least bits for symbols that stand `counts` (256,) times; no code is all ones, none over 16 bits.

    T.81, Annex K.2: Huffman's lengths with one more symbol, the rarest, then codes over 16 bits are shortened.
    """
    weights = {symbol: count for symbol, count in enumerate(counts) if count} | {256: 0}
    groups = [(count, -symbol, [symbol]) for symbol, count in weights.items()]
    sizes = dict.fromkeys(weights, 0)
    while len(groups) > 1:
        groups.sort(reverse=True)
        (less, _, some), (more, last, others) = groups.pop(), groups.pop()
        for symbol in some + others:
            sizes[symbol] += 1
        groups.append((less + more, last, some + others))
    lengths = np.bincount(list(sizes.values()), minlength=LONGEST + 1)
    for size in range(len(lengths) - 1, LONGEST, -1):
        while lengths[size] > 0:
            shorter = max(length for length in range(1, size - 1) if lengths[length])
            for length, change in ((size, -2), (size - 1, 1), (shorter + 1, 2), (shorter, -1)):
                lengths[length] += change
    lengths[np.flatnonzero(lengths)[-1]] -= 1
    order = sorted((symbol for symbol in sizes if symbol < 256), key=lambda symbol: (sizes[symbol], symbol))
    return Table(tuple(lengths[1 : LONGEST + 1].tolist()), tuple(order))


def coded(scan: Scan, tables: Sequence[Table | None]) -> bytes:
    """The scan's bytes under four tables as in `Scan`: filled up with ones, a zero behind each 255."""
    codes, lengths = np.zeros((2, 4, 256), np.uint32)
    for place, table in enumerate(tables):
        for symbol, (code, length) in (table.codes() if table else {}).items():
            codes[place, symbol], lengths[place, symbol] = code, length
    size = scan.symbols.astype(np.uint32) & 15
    values = codes[scan.tables, scan.symbols] << size | scan.extra
    total = lengths[scan.tables, scan.symbols] + size
    if not lengths[scan.tables, scan.symbols].all():
        raise ContainerError("a JPEG's scan has a symbol that the shared tables have not")
    bits = np.unpackbits(values.astype(">u4").view(np.uint8).reshape(-1, 4), axis=1)
    used = bits[np.arange(32) >= 32 - total[:, None].astype(np.int64)]
    filled = np.concatenate([used, np.ones(-len(used) % 8, np.uint8)])
    return np.packbits(filled).tobytes().replace(b"\xff", b"\xff\x00")
