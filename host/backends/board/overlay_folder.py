"""The overlay in a bitstream's folder, whoever made it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bitswath.backends.board.overlay import OVERLAY, EngineEntry, Frames, Overlay, OverlayFile
from bitswath.basics.schema import parse_json
from bitswath.builds.design import DESIGN, Design, Link
from bitswath.codecs.packing import MAX_FOLDED_BITS
from bitswath.errors import BundleError

__all__ = ["load_overlay"]


def load_overlay(folder: str | Path, build: str | Path | None = None) -> Overlay:
    """The overlay in a bitstream's folder; `build`: our build folder it was made from, if it lies elsewhere.

    Raises `BundleError` that says what is missing, damaged, or beyond this driver.
    """
    from bitswath.backends.board.finn_settings import find_settings

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
