"""The files of a bitstream for a simulated board: a placeholder for the bit file, its handoff file, overlay.json."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from bitswath.backends.board.overlay import EngineEntry, OverlayFile, write_overlay_file
from bitswath.basics.files import write_atomic
from bitswath.builds.design import DESIGN, Design
from bitswath.builds.folder import load_design
from bitswath.errors import BackendError
from bitswath.simulated.hwh import Family, Module, handoff

__all__ = ["CONTROLLER", "ENGINE_BYTES", "INTC_BYTES", "engine_addresses", "placeholder", "write_overlay"]

ENGINE_BYTES, INTC_BYTES = 0x10000, 0x10000
_ENGINES = {"zynq": 0x43C0_0000, "zynqmp": 0xA000_0000}
CONTROLLER = {family: base + 2 * ENGINE_BYTES for family, base in _ENGINES.items()}
"""Address of the interrupt controller."""

_NAME = "simulated.bit"


def engine_addresses(family: Family) -> tuple[int, int]:
    """Of the registers of idma0 and odma0."""
    base = _ENGINES[family]
    return base, base + ENGINE_BYTES


def placeholder(design: Design) -> bytes:
    """What stands for the bit file: the digest of the design."""
    digest = hashlib.sha256(design.model_dump_json().encode()).hexdigest()
    return f"bitswath simulated bitstream\n{design.name}\n{digest}\n".encode()


def write_overlay(build: str | Path, folder: str | Path, *, family: Family = "zynqmp", interrupts: bool = True) -> Path:
    """Write a bitstream's folder for the build to `folder`, as the vendor's tools would leave it; returns it.

    `interrupts`: with an interrupt controller. Raises `BundleError` for a damaged build, `BackendError`.
    """
    build, folder = Path(build), Path(folder)
    design = load_design(build)
    first, second = engine_addresses(family)
    engines = (
        Module("idma0", first, ENGINE_BYTES, design.input.width),
        Module("odma0", second, ENGINE_BYTES, design.output.width),
    )
    content = placeholder(design)
    entry = OverlayFile(
        bitfile=_NAME,
        sha256=hashlib.sha256(content).hexdigest(),
        network=design.network,
        shell="bitswath",
        idma=EngineEntry(name="idma0", address=first),
        odma=EngineEntry(name="odma0", address=second),
        clock_hz=design.clock_hz,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / _NAME, content)
        text = handoff(family, engines, controller=CONTROLLER[family] if interrupts else None)
        write_atomic((folder / _NAME).with_suffix(".hwh"), text.encode())
        if (folder / DESIGN).absolute() != (build / DESIGN).absolute():
            shutil.copyfile(build / DESIGN, folder / DESIGN)
        write_overlay_file(folder, entry)
    except OSError as error:
        raise BackendError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error
    return folder
