"""What lies beside a bitstream: which accelerator it is, its two DMA engines, and how frames lie in memory.

Three kinds of folders are understood. Ours has ``overlay.json`` and the build's ``design.json``: frames are dense.
FINN+ leaves ``settings.json``, FINN a ``driver.py``, which is read, never run (finn/): frames are folded,
or dense if a build of ours was put through FINN's shell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from bitswath.backends.base import Packing
from bitswath.basics.files import sha256_of, write_atomic
from bitswath.basics.schema import Digest, Schema
from bitswath.builds.design import Link
from bitswath.builds.words import check_compressed, compressed_words, read_words
from bitswath.codecs.packing import unpack_folded
from bitswath.errors import BackendError, BundleError, InputError
from bitswath.network.network import Network

__all__ = ["OVERLAY", "EngineEntry", "Frames", "Overlay", "OverlayFile", "write_overlay_file"]

OVERLAY = "overlay.json"


class EngineEntry(Schema):
    """A DMA engine in the block design: its instance name, and its registers' bus address (None on Alveo)."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    address: Annotated[int, Field(ge=0, lt=1 << 64)] | None = None


class OverlayFile(Schema):
    """``overlay.json``. `sha256`: of the bit file; `network`: of the network's file that the design computes;
    `shell`: whose DMA engines are in it; `clock_hz`: the clock it was routed for."""

    schema_version: Literal[1] = 1
    bitfile: str
    sha256: Digest
    network: Digest
    shell: Literal["bitswath", "finn"]
    idma: EngineEntry
    odma: EngineEntry
    clock_hz: Annotated[float, Field(gt=0)]

    @field_validator("bitfile")
    @classmethod
    def _is_beside(cls, name: str) -> str:
        if PurePosixPath(name).name != name or "\\" in name or name in ("", ".", ".."):
            raise ValueError(f"expected the name of a file beside it, got {name!r}")
        return name


@dataclass(frozen=True)
class Frames:
    """One end of the accelerator: its engine, and how a frame of `values` integers of `bits` lies in memory.

    `group` None: dense, back to back; else FINN's groups, each padded to whole bytes. `frame_bytes`: from one frame to
    the next. `width`: bits of the engine's stream, None where nothing says so. `address`: of its registers.
    `compressed`: frames of `codec`, each of its own number of words, `frame_bytes` the most; `status`: the
    last byte of a frame says whether what it is of was sound. See `Link`.
    """

    engine: str
    bits: int
    signed: bool
    values: int
    group: int | None
    frame_bytes: int
    width: int | None = None
    address: int | None = None
    shape: tuple[int, ...] | None = field(default=None, compare=False)
    compressed: bool = False
    codec: str | None = None
    status: bool = False

    @property
    def packing(self) -> Packing:
        signed = self.signed and self.group is not None
        return Packing(self.bits, self.group, signed, self.compressed, self.step_bytes if self.compressed else 1)

    @property
    def step_bytes(self) -> int:
        """What the engine moves at least and counts by: a frame, or a word where frames differ in length."""
        return (self.width or 8) // 8 if self.compressed else self.frame_bytes

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the largest value. One signed bit is FINN's BIPOLAR in folded frames, -1 or +1."""
        if not self.signed:
            return 0, (1 << self.bits) - 1
        return (
            (-1, 1) if self.bits == 1 and self.group is not None else (-(1 << self.bits - 1), (1 << self.bits - 1) - 1)
        )

    @property
    def payload_bytes(self) -> int:
        """Of a frame without the fill of its last word."""
        return self.frame_bytes if self.group is not None else -(-self.bits * self.values // 8)

    def check(self, rows: NDArray[np.uint8]) -> None:
        """Raises `InputError` if these are not frames as it takes them, uint8 (N, payload_bytes), or (N, W)."""
        if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8:
            raise InputError(f"expected frames as a uint8 array, got {getattr(rows, 'dtype', type(rows).__name__)}")
        if self.compressed:
            check_compressed(rows, self.frame_bytes)
        elif rows.ndim != 2 or rows.shape[1] != self.payload_bytes:
            raise InputError(
                f"expected frames of shape (N, {self.payload_bytes}) at {self.bits} bits, got {rows.shape}"
            )

    def fill(self, rows: NDArray[np.uint8], memory: NDArray[np.uint8]) -> int:
        """Put frames that were checked into memory, one behind the other; the steps that the engine is to move."""
        if self.compressed:
            words = compressed_words(rows, self.step_bytes)
            memory[: words.data.size] = words.data
            return int(words.counts.sum())
        target = memory[: len(rows) * self.frame_bytes].reshape(len(rows), self.frame_bytes)
        target[:, : rows.shape[1]] = rows
        return len(rows)

    def status_of(self, rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """0 (N,) for frames (N, frame_bytes), as the device left them, of what was sound."""
        return rows[:, -1].copy() if self.status else np.zeros(len(rows), np.uint8)

    def read(self, rows: NDArray[np.uint8]) -> NDArray[np.signedinteger]:
        """The integers, int32 or int64 (N, values), of frames uint8 (N, frame_bytes) as the device left them."""
        if self.group is not None:
            return unpack_folded(rows, (self.values,), self.bits, self.signed, self.group)
        link = Link(
            stream="results", width=8, words=self.frame_bytes, values=self.values, bits=self.bits, signed=self.signed
        )
        return read_words(link, [row.tobytes() for row in rows])


@dataclass(frozen=True)
class Overlay:
    """A bitstream and what must be known to drive it.

    `network`: SHA-256 of the network's file, `sha256`: of the bit file, both None where the folder does not say.
    `clock_hz`: what it was routed for, None if unknown. `timely_hz`: the fastest clock at which it is in time, where
    its report says that this is slower. `doubts`: what else may make its results wrong, a sentence each.
    """

    bitfile: Path
    shell: Literal["bitswath", "finn"]
    input: Frames
    output: Frames
    clock_hz: float | None = None
    network: str | None = None
    sha256: str | None = None
    timely_hz: float | None = None
    doubts: tuple[str, ...] = ()

    @property
    def is_alveo(self) -> bool:
        return self.bitfile.suffix == ".xclbin"

    def check_bitfile(self) -> None:
        """Raises `BackendError` if the bit file is not there or not the one that the folder was written for."""
        try:
            found = sha256_of(self.bitfile)
        except OSError as error:
            raise BackendError(f"{self.bitfile}: cannot be read ({error.strerror}); copy the whole folder") from error
        if self.sha256 is not None and found != self.sha256:
            raise BackendError(
                f"{self.bitfile}: expected SHA-256 {self.sha256[:16]}..., got {found[:16]}...; "
                f"copy the bit file together with its {OVERLAY}"
            )

    def check_fits(self, sha256: str, network: Network, bits: int) -> None:
        """Raises `BundleError` unless this is made for the network, whose file has that SHA-256, and for codes of
        `bits` bits. A folder of FINN's names no network: then the sizes must agree."""
        if self.network is not None and self.network != sha256:
            raise BundleError(
                f"{self.bitfile}: was made for network {self.network[:16]}..., the bundle's is {sha256[:16]}...; "
                "build the bitstream again or open the bundle it was made from"
            )
        given, taken = math.prod(network.input.shape), math.prod(network.output.shape)
        if (self.input.values, self.output.values) != (given, taken) or self.input.bits < bits:
            raise BundleError(
                f"{self.bitfile}: takes {self.input.values} values of {self.input.bits} bits and gives "
                f"{self.output.values}, expected {given} of {bits} and {taken}; it computes another network"
            )
        lo, hi = self.input.bounds
        if self.network is None and not lo <= network.input.lo <= network.input.hi <= hi:
            raise BundleError(
                f"{self.bitfile}: takes values of {lo}..{hi}, the bundle's codes are {network.input.lo}.."
                f"{network.input.hi}; it computes another network"
            )
        if _bands_first(self.input.shape, network.input.shape):
            raise BundleError(
                f"{self.bitfile}: takes frames of {self.input.shape}, bands first, the bundle's are of "
                f"{network.input.shape}; build it with channels last, or export the network with a flat input"
            )

    def input_doubts(self, network: Network) -> Iterator[str]:
        """What may be wrong with what a folder of FINN's is given, a sentence each."""
        if self.network is not None:
            return
        shape, (_, hi) = network.input.shape, self.input.bounds
        if network.input.hi <= hi // 2:
            yield (
                f"it takes values up to {hi}, the bundle's codes end at {network.input.hi}; if it quantizes pixels "
                "itself, results are wrong: compare some with the emulator's"
            )
        if self.input.shape is not None and len(self.input.shape) == 1 < len(shape) and shape[-1] > 1:
            yield (
                f"it takes {self.input.values} values in a row and gets the bundle's {shape} by rows, columns, bands; "
                "if its network was flattened bands first, results are wrong: compare some with the emulator's"
            )


def _bands_first(theirs: tuple[int, ...] | None, ours: tuple[int, ...]) -> bool:
    """Whether (C, H, W) is theirs where ours is (H, W, C), and that is another order of values."""
    if theirs is None or len(theirs) != 3 or len(ours) != 3 or theirs == ours:
        return False
    rows, columns, bands = ours
    return theirs == (bands, rows, columns) and bands > 1 and rows * columns > 1


def write_overlay_file(folder: Path, entry: OverlayFile) -> None:
    """Put ``overlay.json`` beside the bit file."""
    write_atomic(folder / OVERLAY, entry.model_dump_json(indent=1).encode() + b"\n")
