"""The independent reference of the transform codec's frames: bit strings and int64 numpy, slow and obvious.

Levels are (..., rows of blocks, blocks in a row, bands, 256 positions of the scan). Codecs here are random: complete
Huffman tables of any shape, near-orthogonal matrices.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Table = tuple[list[int], list[int]]
"""How many codes of each length 1..12, symbols in order of length."""

END, ESCAPE = 0x000, 0x00F
ZONES = (1, 3, 6, 15, 36, 90)
LARGEST = 16383
LONGEST = 12
HEADER = 5

SCAN = sorted(((u, v) for u in range(16) for v in range(16)), key=lambda p: (sum(p), p[0] if sum(p) % 2 else p[1]))
MANTISSAS = [round(256 * 2 ** (m / 8)) for m in range(8)]


def _cosines() -> Integers:
    """HEVC's integers: the same magnitude wherever the cosine's is."""
    of_angle = [64, 90, 89, 87, 83, 80, 75, 70, 64, 57, 50, 43, 36, 25, 18, 9, 0]
    angles = np.outer(np.arange(16), 2 * np.arange(16) + 1) % 64
    folded = np.minimum(angles, 64 - angles)
    return np.where(folded > 16, -1, 1) * np.array(of_angle)[np.minimum(folded, 32 - folded)]


COSINES = _cosines()


@dataclass(frozen=True, eq=False)
class Codec:
    """What both ends of a link know."""

    bands: int
    matrix: Integers
    deltas: tuple[int, int, int]
    ac: list[Table]
    contexts: list[int]
    dc: list[Table]
    seed: int

    @cached_property
    def ac_words(self) -> list[dict[int, str]]:
        return [codes(table) for table in self.ac]

    @cached_property
    def dc_words(self) -> list[dict[int, str]]:
        return [codes(table) for table in self.dc]

    @cached_property
    def ac_readers(self) -> list[dict[str, int]]:
        return [{word: symbol for symbol, word in words.items()} for words in self.ac_words]

    @cached_property
    def dc_readers(self) -> list[dict[str, int]]:
        return [{word: symbol for symbol, word in words.items()} for words in self.dc_words]

    @property
    def guard(self) -> int:
        return int(self.bands > 15) + int(self.bands > 63)


@dataclass(frozen=True)
class Decoded:
    """Levels up to where the frame is damaged, then zeros."""

    levels: Integers
    step: int
    damaged: bool


def codes(table: Table) -> dict[int, str]:
    """Each symbol's canonical code."""
    counts, symbols = table
    found, code, rest = dict[int, str](), 0, iter(symbols)
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            found[next(rest)] = f"{code:0{length}b}"
            code += 1
        code <<= 1
    return found


def random_codec(random: np.random.Generator, bands: int) -> Codec:
    """Any codec."""
    angles, _ = np.linalg.qr(random.normal(size=(bands, bands)))
    codec = Codec(
        bands=bands,
        matrix=np.rint(4096 * angles).astype(np.int64),
        deltas=(int(random.integers(-31, 32)), int(random.integers(-31, 32)), int(random.integers(-31, 32))),
        ac=[],
        contexts=[],
        dc=[],
        seed=int(random.integers(1 << 16)),
    )
    return with_random_tables(random, codec)


def with_random_tables(random: np.random.Generator, codec: Codec) -> Codec:
    """A codec with other entropy tables."""
    tables = int(random.integers(1, 9))
    return replace(
        codec,
        ac=[_ac_table(random) for _ in range(tables)],
        contexts=random.integers(0, tables, 56).tolist(),
        dc=[_table(random, random.permutation(15).tolist()) for _ in range(2)],
    )


def _ac_table(random: np.random.Generator) -> Table:
    likely = [run << 4 | size for run in range(4) for size in range(1, 5)]
    other = [int(run) << 4 | int(size) for run, size in zip(random.integers(0, 256, 80), random.integers(1, 15, 80))]
    chosen = list(dict.fromkeys([*likely, *other]))[: int(random.integers(0, 63))]
    symbols = [END, ESCAPE, *chosen]
    return _table(random, [symbols[i] for i in random.permutation(len(symbols))])


def _table(random: np.random.Generator, symbols: list[int]) -> Table:
    """A random complete code: leaves are split until there are enough."""
    lengths = [0]
    uneven = random.random() * 4
    while len(lengths) < len(symbols):
        open_ = np.array([length for length in lengths if length < LONGEST])
        weights = np.exp2(uneven * (open_ - open_.max()))
        split = int(random.choice(open_, p=weights / weights.sum()))
        lengths.remove(split)
        lengths += [split + 1, split + 1]
    return [lengths.count(length) for length in range(1, LONGEST + 1)], symbols


# Frames


def crc(seed: int, data: bytes) -> int:
    """CRC-16 with polynomial 0x1021, most significant bit first."""
    return binascii.crc_hqx(data, seed)


def framed(codec: Codec, step: int, payload: bytes, *, version: int = 1) -> bytes:
    """A payload with its header."""
    head = (len(payload) + HEADER).to_bytes(2, "little") + bytes([version << 6 | step])
    return head + crc(codec.seed, head + payload).to_bytes(2, "little") + payload


def packed_bits(text: str) -> bytes:
    """Bits to bytes, the first in bit 7; filled up with zeros."""
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def encode(codec: Codec, levels: Integers, step: int) -> bytes:
    """The frame of levels."""
    return framed(codec, step, packed_bits(bits_of(codec, levels)))


def bits_of(codec: Codec, levels: Integers) -> str:
    """The payload of levels (rows of blocks, blocks in a row, bands, 256)."""
    rows, columns, bands, _ = levels.shape
    text = list[str]()
    for y in range(rows):
        for x in range(columns):
            for c in range(bands):
                difference = int(levels[y, x, c, 0]) - predicted(levels[..., 0], y, x, c)
                words = codec.dc_words[c > 0]
                text += [words[abs(difference).bit_length()], magnitude_bits(difference)]
                text.append(_ac_bits(codec, c > 0, levels[y, x, c]))
    return "".join(text)


def _ac_bits(codec: Codec, class_: bool, levels: Integers) -> str:
    text, at, before = list[str](), 0, 0
    for position in np.flatnonzero(levels[1:]) + 1:
        level, run = int(levels[position]), int(position) - at - 1
        words = codec.ac_words[codec.contexts[context(class_, at, before)]]
        symbol = run << 4 | abs(level).bit_length()
        if symbol in words:
            text.append(words[symbol])
        else:
            text.append(f"{words[ESCAPE]}{symbol:012b}")
        text.append(magnitude_bits(level))
        at, before = int(position), abs(level)
    return "".join([*text, codec.ac_words[codec.contexts[context(class_, at, before)]][END]])


def context(class_: bool, position: int, before: int) -> int:
    return class_ * 28 + sum(zone <= position for zone in ZONES) * 4 + min(before, 3)


def magnitude_bits(level: int) -> str:
    """The sign, and what follows the leading 1."""
    return str(int(level < 0)) + f"{abs(level):b}"[1:] if level else ""


def predicted(dc: Integers, y: int, x: int, c: int) -> int:
    """From DC levels (rows, columns, bands) of the blocks on the left and above."""
    left, above = (int(dc[y, x - 1, c]) if x else None), (int(dc[y - 1, x, c]) if y else None)
    if left is None or above is None:
        return (left or 0) + (above or 0)
    return (left + above) >> 1


class _DamagedError(Exception):
    pass


class _Bits:
    def __init__(self, payload: bytes) -> None:
        self.text = "".join(f"{byte:08b}" for byte in payload)
        self.at = 0

    def take(self, count: int) -> str:
        if self.at + count > len(self.text):
            raise _DamagedError
        self.at += count
        return self.text[self.at - count : self.at]

    def symbol(self, reader: dict[str, int]) -> int:
        for length in range(1, LONGEST + 1):
            if (word := self.text[self.at : self.at + length]) in reader:
                self.at += length
                return reader[word]
            if self.at + length > len(self.text):
                break
        raise _DamagedError

    def level(self, size: int) -> int:
        sign = self.take(1)
        magnitude = int("1" + self.take(size - 1), 2)
        return -magnitude if sign == "1" else magnitude


def decode(codec: Codec, frame: bytes, rows: int, columns: int) -> Decoded:
    """The levels of a frame of so many blocks; never an error."""
    levels = np.zeros((rows, columns, codec.bands, 256), np.int64)
    if not is_whole(codec, frame):
        return Decoded(levels, 0, True)
    bits, damaged = _Bits(frame[HEADER:]), False
    try:
        for y in range(rows):
            for x in range(columns):
                for c in range(codec.bands):
                    _decode_dc(codec, bits, levels, y, x, c)
                    _decode_ac(codec, bits, levels[y, x, c], c > 0)
        rest = bits.text[bits.at :]
        damaged = len(rest) > 7 or "1" in rest
    except _DamagedError:
        damaged = True
    return Decoded(levels, frame[2] & 63, damaged)


def is_whole(codec: Codec, frame: bytes) -> bool:
    """Whether length, version and check are right."""
    if len(frame) < HEADER or int.from_bytes(frame[:2], "little") != len(frame) or frame[2] >> 6 != 1:
        return False
    return crc(codec.seed, frame[:3] + frame[HEADER:]) == int.from_bytes(frame[3:5], "little")


def _decode_dc(codec: Codec, bits: _Bits, levels: Integers, y: int, x: int, c: int) -> None:
    size = bits.symbol(codec.dc_readers[c > 0])
    level = (bits.level(size) if size else 0) + predicted(levels[..., 0], y, x, c)
    if abs(level) > LARGEST:
        raise _DamagedError
    levels[y, x, c, 0] = level


def _decode_ac(codec: Codec, bits: _Bits, levels: Integers, class_: bool) -> None:
    at = before = 0
    while (symbol := bits.symbol(codec.ac_readers[codec.contexts[context(class_, at, before)]])) != END:
        if symbol == ESCAPE:
            symbol = int(bits.take(12), 2)
        run, size = symbol >> 4, symbol & 15
        at += run + 1
        if not 1 <= size <= 14 or at > 255:
            raise _DamagedError
        levels[at] = bits.level(size)
        before = abs(int(levels[at]))


# Pixels


def reconstruct(codec: Codec, levels: Integers, steps: Sequence[int], height: int, width: int) -> NDArray[np.uint8]:
    """Pixels (N, height, width, bands) of levels (N, rows, columns, bands, 256), with a step index each."""
    samples = inverse_blocks(coefficients(codec, levels, steps), codec.guard)
    n, rows, columns = samples.shape[:3]
    image = samples.transpose(0, 1, 4, 2, 5, 3).reshape(n, rows * 16, columns * 16, codec.bands)
    bands = 128 + ((image @ codec.matrix + 2048) >> 12)
    return np.clip(bands, 0, 255).astype(np.uint8)[:, :height, :width]


def coefficients(codec: Codec, levels: Integers, steps: Sequence[int]) -> Integers:
    """Blocks (N, rows, columns, bands, 16, 16) of dequantized values."""
    size = np.abs(levels)
    delta = np.array([0, *codec.deltas])[np.minimum(size, 3)]
    delta[..., 0] = 0
    index = np.array(steps, np.int64).reshape(-1, *[1] * (levels.ndim - 1))
    shift = 11 - (index >> 3) + codec.guard
    reduced = (32 * size - delta) * np.array(MANTISSAS)[index & 7]
    values = np.sign(levels) * np.minimum((reduced + (1 << (shift - 1))) >> shift, 32767)
    blocks = np.zeros((*levels.shape[:-1], 16, 16), np.int64)
    for position, (u, v) in enumerate(SCAN):
        blocks[..., u, v] = values[..., position]
    return blocks


def inverse_blocks(blocks: Integers, guard: int) -> Integers:
    """The samples of blocks (..., 16, 16)."""
    columns = (np.einsum("uy,...uv->...yv", COSINES, blocks) + 32) >> 6
    columns = np.clip(columns, -32768, 32767)
    rows = (np.einsum("vx,...yv->...yx", COSINES, columns) + (1 << (11 - guard))) >> (12 - guard)
    return np.clip(rows, -2048, 2047)


# The link


def on_link(frames: Sequence[bytes], word: int) -> bytes:
    """Frames back to back, each filled up to words of so many bytes."""
    return b"".join(frame + bytes(-len(frame) % word) for frame in frames)


def found_on_link(codec: Codec, data: bytes, word: int, most: int) -> list[bytes | None]:
    """The frames that a reader without other knowledge of where they begin gives out, None for damaged ones.

    Behind a damaged frame, the next that is whole is looked for word by word. If there is none up to where the damaged
    frame's length says, if it can be right, and a header that can be right lies there, that is the next frame, whole or
    not. What is cut off by the end of `data` is damaged.
    """
    found, at = list[bytes | None](), 0
    while at < len(data):
        length = plausible_length(data, at, most)
        if length and is_whole(codec, data[at : at + length]):
            found.append(data[at : at + length])
            at += -(-length // word) * word
            continue
        found.append(None)
        end = at + -(-length // word) * word if length and length <= len(data) - at else len(data)
        starts = range(at + word, len(data), word)
        at = next((start for start in starts if _begins(codec, data, start, end, most)), len(data))
    return found


def _begins(codec: Codec, data: bytes, at: int, end: int, most: int) -> bool:
    length = plausible_length(data, at, most)
    return length > 0 and (at == end or is_whole(codec, data[at : at + length]))


def plausible_length(data: bytes, at: int, most: int) -> int:
    """What the header at a place says, 0 if it cannot be right."""
    length = int.from_bytes(data[at : at + 2], "little")
    return length if len(data) - at >= HEADER and data[at + 2] >> 6 == 1 and HEADER <= length <= most else 0


# Random frames


def random_levels(random: np.random.Generator, rows: int, columns: int, bands: int) -> Integers:
    """Blocks of every kind: empty, few, long runs, all positions, the largest levels; each can be coded."""
    levels = np.zeros((rows, columns, bands, 256), np.int64)
    for y in range(rows):
        for x in range(columns):
            for c in range(bands):
                levels[y, x, c] = _random_block(random)
                middle = predicted(levels[..., 0], y, x, c)
                low, high = max(middle - LARGEST, -LARGEST), min(middle + LARGEST, LARGEST)
                levels[y, x, c, 0] = np.clip(levels[y, x, c, 0], low, high)
    return levels


def _random_block(random: np.random.Generator) -> Integers:
    kind = random.choice(["empty", "few", "runs", "dense", "largest", "any"], p=[0.15, 0.45, 0.15, 0.1, 0.05, 0.1])
    size = np.minimum(random.geometric(0.5, 256), 14)
    if kind == "largest":
        size = np.full(256, 14)
    levels = random.integers(0, 1 << (size - 1)) + (1 << (size - 1))
    levels = np.where(random.random(256) < 0.1 * (kind == "largest"), LARGEST, levels)
    density = {"empty": 0.0, "runs": 0.02, "dense": 1.0}.get(str(kind), random.random() ** 2 / 2)
    if kind == "few":
        density = density * np.exp2(-np.arange(256) / 16)
    chosen = random.random(256) < density
    if kind == "runs":
        chosen[255] = True
    levels = np.where(chosen, levels, 0) * random.choice([-1, 1], 256)
    levels[0] = random.integers(-LARGEST, LARGEST + 1) >> int(random.integers(0, 15))
    return levels


def damaged(random: np.random.Generator, codec: Codec, frame: bytes, word: int) -> bytes:
    """A frame with something wrong, filled up to words; what is sent instead of it."""
    payload, step = frame[HEADER:], frame[2] & 63
    kind = random.choice(["flip", "flips", "cut", "more", "length", "version", "seed", "payload", "short", "noise"])
    if kind == "flip" or kind == "flips":
        changed = int.from_bytes(frame, "little")
        for _ in range(1 if kind == "flip" else int(random.integers(2, 20))):
            changed ^= 1 << int(random.integers(8 * len(frame)))
        frame = changed.to_bytes(len(frame), "little")
    elif kind == "cut":
        frame = frame[: int(random.integers(1, len(frame)))]
    elif kind == "more":
        frame += bytes(random.integers(0, 256, int(random.integers(1, 20)), np.uint8))
    elif kind == "length":
        frame = int(random.integers(1 << int(random.integers(1, 17)))).to_bytes(2, "little") + frame[2:]
    elif kind == "version":
        frame = framed(codec, step, payload, version=int(random.choice([0, 2, 3])))
    elif kind == "seed":
        frame = framed(replace(codec, seed=codec.seed ^ int(random.integers(1, 1 << 16))), step, payload)
    elif kind == "payload":  # the check is right
        changed = int.from_bytes(payload, "big") ^ 1 << int(random.integers(8 * max(len(payload), 1)))
        frame = framed(codec, step, (changed & (1 << 8 * len(payload)) - 1).to_bytes(len(payload), "big"))
    elif kind == "short":
        frame = framed(codec, step, payload[: int(random.integers(0, len(payload) + 1))] + bytes(random.integers(0, 3)))
    else:
        size = int(random.integers(0, len(payload) + 1))
        frame = framed(codec, step, bytes(random.integers(0, 256, size, np.uint8)))
    return on_link([frame], word)
