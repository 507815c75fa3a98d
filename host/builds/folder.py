"""Where a bundle's builds lie, and reading one."""

from __future__ import annotations

from pathlib import Path

from bitswath.basics.files import sha256_of
from bitswath.basics.schema import parse_json
from bitswath.builds.design import DESIGN, Design
from bitswath.errors import BackendError, BundleError

__all__ = ["CHECKED", "FAILED", "HARDWARE", "RTL", "build_folder", "load_design", "read_design"]

HARDWARE = "hw"
FAILED = ".failed"
"""Ends the name of a build whose results were wrong; it is there to find out why."""
RTL = "rtl"
"""The folder of sources and memory files in a build."""


CHECKED = "checked.npy"
"""In a build that failed: the frames for which its results are wrong, uint8 (N, W)."""


def build_folder(bundle: Path, board: str | None = None) -> Path:
    """Where a bundle's build for a board lies; with one build there is no need to name it.

    One that failed is found by its own name alone, BOARD.failed. Raises `BackendError` that lists the builds if there
    is no such one.
    """
    builds = {path.parent.name: path.parent for path in sorted((bundle / HARDWARE).glob(f"*/{DESIGN}"))}
    sound = [folder for name, folder in builds.items() if not name.endswith(FAILED)]
    if board is None and len(sound) == 1:
        return sound[0]
    if board in builds:
        return builds[board]
    if not sound or board is not None:
        found = f"it has builds for {', '.join(builds)}" if builds else "it has none"
        wanted = f"for {board}" if board else "of the bundle"
        command = f"bitswath build {bundle} --board {board or 'BOARD'}"
        raise BackendError(f"{bundle}: expected a build {wanted}, {found}; run '{command}'")
    raise BackendError(f"{bundle}: has builds for {', '.join(builds)}; say which with board=")


def load_design(folder: Path, network: str | None = None) -> Design:
    """The design of a build folder. Raises `BundleError` if a file is missing, damaged, or of another network."""
    design, path = read_design(folder), folder / DESIGN
    try:
        for file in design.files:
            if sha256_of(folder / RTL / file.path) != file.sha256:
                raise BundleError(f"{folder / RTL / file.path}: its SHA-256 differs from the design's; build again")
    except OSError as error:
        raise BundleError(f"{error.filename or path}: cannot be read ({error.strerror}); build again") from error
    if network is not None and design.network != network:
        raise BundleError(f"{path}: was built from another network than this bundle's; build again")
    return design


def read_design(folder: Path) -> Design:
    """The design of a build folder, whatever its files are. Raises `BundleError` if there is none or it is damaged."""
    path = folder / DESIGN
    try:
        return parse_json(Design, path.read_bytes(), BundleError)
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); build again") from error
    except BundleError as error:
        raise BundleError(f"{path}: {error}; build again") from None
