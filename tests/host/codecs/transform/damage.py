"""Frames damaged in every way that a link or a file can, in great number, and what the native decoder says of them."""

from __future__ import annotations

import binascii
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bitswath.codecs.transform import TransformCodec
from tests.host.codecs.transform.cases import frames_of, rows_of

HEADER = 5
BATCH = 10_000
SHAPE = (40, 33, 3)
Bytes = NDArray[np.uint8]
Damage = Callable[[np.random.Generator, bytes, bytes], bytes]


def flipped(random: np.random.Generator, frame: bytes, _: bytes) -> bytes:
    changed = np.unpackbits(np.frombuffer(frame, np.uint8))
    changed[random.integers(0, len(changed), int(random.integers(1, 24)))] ^= 1
    return np.packbits(changed).tobytes()


def overwritten(random: np.random.Generator, frame: bytes, _: bytes) -> bytes:
    start = int(random.integers(0, len(frame)))
    return frame[:start] + random.bytes(int(random.integers(1, 40))) + frame[start + 20 :]


def cut(random: np.random.Generator, frame: bytes, _: bytes) -> bytes:
    return frame[: int(random.integers(0, len(frame)))]


def lengthened(random: np.random.Generator, frame: bytes, _: bytes) -> bytes:
    return frame + random.bytes(int(random.integers(0, 8))) + b"\1"


def relabelled(random: np.random.Generator, frame: bytes, _: bytes) -> bytes:
    """Another length, in front of bytes that may be there."""
    return int(random.integers(0, 1 << 16)).to_bytes(2, "little") + frame[2:]


def spliced(random: np.random.Generator, frame: bytes, other: bytes) -> bytes:
    at = int(random.integers(HEADER, min(len(frame), len(other))))
    return len(other).to_bytes(2, "little") + frame[2:at] + other[at:]


def of_another_version(random: np.random.Generator, frame: bytes, _: bytes) -> bytes:
    return frame[:2] + bytes([frame[2] ^ int(random.integers(1, 4)) << 6]) + frame[3:]


def noise(random: np.random.Generator, frame: bytes, _: bytes) -> bytes:
    size = int(random.integers(HEADER, 2 * len(frame)))
    return size.to_bytes(2, "little") + bytes([64 | int(random.integers(64))]) + random.bytes(size - 3)


UNCHECKED: dict[str, Damage] = {
    "bits flipped": flipped,
    "bytes overwritten": overwritten,
    "cut short": cut,
    "lengthened": lengthened,
    "another length": relabelled,
    "spliced": spliced,
    "another version": of_another_version,
    "noise": noise,
}
"""Damages that only the header's check, length and version tell: 2^-16 of the frames may pass."""

RIGHT = "check right"
"""Any of them, then signed: what the entropy decoder must find out, where it is no other frame."""


@dataclass
class Tally:
    """Frames by damage: how many there were, how many passed, and how many had each fault, 0 for none."""

    given: Counter[str] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    faults: Counter[int] = field(default_factory=Counter)

    @property
    def unchecked(self) -> tuple[int, int]:
        """Given and passed, of the frames with the check that they had."""
        return sum(self.given[name] for name in UNCHECKED), sum(self.passed[name] for name in UNCHECKED)


def signed(frame: bytes, seed: int) -> bytes:
    """With the length, version and check that are right for its bytes."""
    head = len(frame).to_bytes(2, "little") + bytes([64 | frame[2] & 63])
    return head + binascii.crc_hqx(head + frame[HEADER:], seed).to_bytes(2, "little") + frame[HEADER:]


def damaged_frames(
    random: np.random.Generator, frames: list[bytes], seed: int, count: int
) -> Iterator[tuple[str, bytes]]:
    """`count` frames with their damage's name, a quarter of them with a check that is right; without those that came
    out as they were."""
    names = list(UNCHECKED)
    chosen, which = random.integers(0, len(names), count), random.integers(0, len(frames), (count, 2))
    right = random.random(count) < 0.25
    for i in range(count):
        sound, other = frames[which[i, 0]], frames[which[i, 1]]
        name = names[chosen[i]]
        frame = UNCHECKED[name](random, sound, other)
        if right[i] and len(frame) > HEADER:
            name, frame = RIGHT, signed(frame, seed)
        if not any(frame.rstrip(b"\0") == one.rstrip(b"\0") for one in (sound, other)):
            yield name, frame


def fuzz_software(count: int, seed: int) -> Tally:
    """What the native decoder says of about `count` damaged frames; raises AssertionError for samples of one."""
    codec, frames = sound_frames(seed)
    random, tally = np.random.default_rng(seed), Tally()
    for start in range(0, count, BATCH):
        made = list(damaged_frames(random, frames, codec.seed, min(BATCH, count - start)))
        codes, faults = codec.unpack_sound(rows_of([frame for _, frame in made]), SHAPE)
        assert not codes[faults > 0].any(), "samples of a damaged frame are not zeros"
        for (name, _), fault in zip(made, faults.tolist()):
            tally.given[name] += 1
            tally.passed[name] += fault == 0
            tally.faults[fault] += 1
    return tally


def sound_frames(seed: int) -> tuple[TransformCodec, list[bytes]]:
    """A codec fitted to smooth patches, and frames of patches with little and much noise."""
    random = np.random.default_rng(seed)
    slopes = random.normal(0, 60, (2, 300, 1, 1, 1))
    y, x = np.linspace(-1, 1, SHAPE[0])[:, None, None], np.linspace(-1, 1, SHAPE[1])[:, None]
    grain = random.normal(0, 1, (300, *SHAPE)) * random.uniform(0, 40, (300, 1, 1, 1))
    patches = np.clip(120 + slopes[0] * x + slopes[1] * y + grain, 0, 255).astype(np.uint8)
    codec = TransformCodec.fit(patches, quality=40)
    return codec, frames_of(codec.encode_packed(patches), codec)
