"""What lies beside a bitstream: which accelerator it is, its two DMA engines, and how frames lie in memory.

Three kinds of folders are understood. Ours has ``overlay.json`` and the build's ``design.json``: frames are dense.
FINN+ leaves ``settings.json``, FINN a ``driver.py``, which is read, never run (finn_settings.py): frames are folded,
or dense if a build of ours was put through FINN's shell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from bitswath.backends.base import Packing
from bitswath.design import DESIGN, Design, Link
from bitswath.errors import BackendError, BundleError
from bitswath.files import sha256_of, write_atomic
from bitswath.network import Network
from bitswath.packing import MAX_FOLDED_BITS, unpack_folded
from bitswath.schema import Digest, Schema, parse_json

__all__ = ["OVERLAY", "EngineEntry", "Frames", "Overlay", "OverlayFile", "load_overlay", "write_overlay_file"]

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
    """

    engine: str
    bits: int
    signed: bool
    values: int
    group: int | None
    frame_bytes: int
    width: int | None = None
    address: int | None = None

    @property
    def packing(self) -> Packing:
        return Packing(self.bits, self.group, self.signed and self.group is not None)

    @property
    def payload_bytes(self) -> int:
        """Of a frame without the fill of its last word."""
        return self.frame_bytes if self.group is not None else -(-self.bits * self.values // 8)

    def read(self, rows: NDArray[np.uint8]) -> NDArray[np.signedinteger]:
        """The integers, int32 or int64 (N, values), of frames uint8 (N, frame_bytes) as the device left them."""
        if self.group is not None:
            return unpack_folded(rows, (self.values,), self.bits, self.signed, self.group)
        from bitswath.backends.rtl import read_words

        link = Link(
            stream="results", width=8, words=self.frame_bytes, values=self.values, bits=self.bits, signed=self.signed
        )
        return read_words(link, [row.tobytes() for row in rows])


@dataclass(frozen=True)
class Overlay:
    """A bitstream and what must be known to drive it.

    `network`: SHA-256 of the network's file, `sha256`: of the bit file, both None where the folder does not say.
    `clock_hz`: what it was routed for, None if unknown.
    """

    bitfile: Path
    shell: Literal["bitswath", "finn"]
    input: Frames
    output: Frames
    clock_hz: float | None = None
    network: str | None = None
    sha256: str | None = None

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


def load_overlay(folder: str | Path, build: str | Path | None = None) -> Overlay:
    """The overlay in a bitstream's folder; `build`: our build folder it was made from, if it lies elsewhere.

    Raises `BundleError` that says what is missing, damaged, or beyond this driver.
    """
    from bitswath.finn_settings import find_settings

    folder = Path(folder)
    if not folder.is_dir():
        raise BundleError(f"{folder}: expected the folder of a bitstream, found none")
    design = _design(folder, Path(build) if build is not None else None)
    if (folder / OVERLAY).is_file():
        return _ours(folder, design)
    overlay = find_settings(folder)
    if overlay is None:
        raise BundleError(
            f"{folder}: expected {OVERLAY} (bitswath), driver/settings.json (FINN+) or driver/driver.py (FINN), "
            "found none; give the folder that holds the bit file and its driver"
        )
    return _folded(overlay) if design is None else _dense(overlay, design)


def write_overlay_file(folder: Path, entry: OverlayFile) -> None:
    """Put ``overlay.json`` beside the bit file."""
    write_atomic(folder / OVERLAY, entry.model_dump_json(indent=1).encode() + b"\n")


def _ours(folder: Path, design: Design | None) -> Overlay:
    path = folder / OVERLAY
    if design is None:
        raise BundleError(f"{folder}: expected the build's {DESIGN} in it or in the folder above; copy it there")
    try:
        entry = parse_json(OverlayFile, path.read_bytes(), BundleError)
    except BundleError as error:
        raise BundleError(f"{path}: {error}; build the bitstream again") from None
    if entry.network != design.network:
        raise BundleError(f"{path}: is for another network than the {DESIGN} beside it; build the bitstream again")
    return Overlay(
        bitfile=folder / entry.bitfile,
        shell=entry.shell,
        input=_linked(entry.idma, design.input),
        output=_linked(entry.odma, design.output),
        clock_hz=entry.clock_hz,
        network=entry.network,
        sha256=entry.sha256,
    )


def _linked(engine: EngineEntry, link: Link) -> Frames:
    return Frames(
        engine=engine.name,
        bits=link.bits,
        signed=link.signed,
        values=link.values,
        group=None,
        frame_bytes=link.frame_bytes,
        width=link.width,
        address=engine.address,
    )


def _folded(overlay: Overlay) -> Overlay:
    for frames in (overlay.input, overlay.output):
        if frames.bits > MAX_FOLDED_BITS:
            raise BundleError(
                f"{overlay.bitfile}: expected values of at most {MAX_FOLDED_BITS} bits at {frames.engine}, "
                f"got {frames.bits}; use FINN's own driver for it"
            )
    return overlay


def _dense(overlay: Overlay, design: Design) -> Overlay:
    """FINN's shell around a build of ours, whose frames are the link's words."""
    ends = ((overlay.input, design.input), (overlay.output, design.output))
    for frames, link in ends:
        if frames.frame_bytes != link.frame_bytes:
            raise BundleError(
                f"{overlay.bitfile}: {frames.engine} moves {frames.frame_bytes} bytes a frame, the build's {DESIGN} "
                f"says {link.frame_bytes}; it was made from another build"
            )
    given, taken = (_linked(EngineEntry(name=frames.engine), link) for frames, link in ends)
    return replace(overlay, input=given, output=taken, network=design.network)


def _design(folder: Path, build: Path | None) -> Design | None:
    for place in (build,) if build is not None else (folder, folder.parent):
        path = place / DESIGN
        try:
            return parse_json(Design, path.read_bytes(), BundleError)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
        except BundleError as error:
            raise BundleError(f"{path}: {error}; build again") from None
    if build is not None:
        raise BundleError(f"{build}: expected a build with {DESIGN}, found none")
    return None
