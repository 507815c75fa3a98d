"""The overlay in a bitstream's folder, or in an archive of one, whoever made it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from bitswath.backends.board.archives import is_packed, unpacked
from bitswath.backends.board.bitfiles import SUFFIXES
from bitswath.backends.board.finn.build import FinnBuild, find_build
from bitswath.backends.board.overlay import OVERLAY, EngineEntry, Frames, Overlay, OverlayFile
from bitswath.basics.schema import parse_json
from bitswath.builds.design import DESIGN, Design, Link
from bitswath.codecs.packing import MAX_FOLDED_BITS
from bitswath.errors import BundleError

__all__ = ["load_build", "load_overlay"]


def load_overlay(
    path: str | Path, build: str | Path | None = None, *, suffix: Literal["", ".bit", ".xclbin"] = ""
) -> Overlay:
    """The overlay in a bitstream's folder, in a zip or tar file of one, or of a bit file in one.

    `build`: our build folder it was made from, if it lies elsewhere; `suffix`: of the bit file that the device takes,
    where there are both. Raises `BundleError` that says what is missing, damaged, or beyond this driver.
    """
    path = Path(path)
    folder, bitfile = _located(path)
    with _told_as(folder, path):
        design = _design(folder, Path(build) if build is not None else None)
        if (folder / OVERLAY).is_file():
            return _ours(folder, design)
        found = find_build(folder, suffix=suffix, bitfile=bitfile)
        if found is None:
            raise BundleError(
                f"{path}: expected {OVERLAY} (bitswath), driver/settings.json (FINN+) or driver/driver.py (FINN), "
                "found none; give the folder that holds the bit file and its driver"
            )
        return _folded(found.overlay()) if design is None else _dense(found.overlay(), design)


def load_build(path: str | Path) -> FinnBuild | None:
    """What FINN left in a folder or archive, or beside a bit file, with what its build reported; None if it left none
    there, as in a folder of ours. Raises `BundleError` for what is damaged."""
    path = Path(path)
    folder, bitfile = _located(path)
    with _told_as(folder, path):
        found = find_build(folder, bitfile=bitfile)
    return found if found is None else replace(found, problem=found.problem.replace(str(folder), str(path)))


def _located(path: Path) -> tuple[Path, str]:
    """The folder that is meant by a path, and the name of the bit file if the path is one's, else ""."""
    if path.is_dir():
        return path, ""
    if path.suffix in SUFFIXES and path.is_file():
        return path.parent, path.name
    if is_packed(path):
        return unpacked(path), ""
    found = "another file" if path.exists() else "nothing"
    raise BundleError(
        f"{path}: expected the folder of a bitstream, a zip or tar file of one, or a bit file; found {found}"
    )


@contextlib.contextmanager
def _told_as(folder: Path, path: Path) -> Iterator[None]:
    """Errors name the archive that was given, not where it was unpacked; files that may not be read are errors too."""
    try:
        yield
    except OSError as error:
        raise BundleError(f"{error.filename or path}: cannot be read ({error.strerror})") from error
    except BundleError as error:
        if folder == path or path.suffix in SUFFIXES:
            raise
        raise BundleError(str(error).replace(str(folder), str(path))) from error.__cause__


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
        compressed=link.compressed,
        codec=link.codec,
        status=link.status,
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
        step_bytes = link.step_words * link.width // 8
        if frames.frame_bytes != step_bytes:
            raise BundleError(
                f"{overlay.bitfile}: {frames.engine} moves {frames.frame_bytes} bytes a frame, the build's {DESIGN} "
                f"says {step_bytes}; it was made from another build"
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
