"""A bundle's build as a board: system, pynq device and the bitstream's folder in one piece."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitswath.builds.folder import build_folder
from bitswath.simulated.hwh import Family
from bitswath.simulated.overlay import write_overlay
from bitswath.simulated.system import System

if TYPE_CHECKING:
    from bitswath.simulated.device import SimulatedDevice

__all__ = ["SimulatedBoard", "simulate_board"]


@dataclass(frozen=True)
class SimulatedBoard:
    """`system`: to look at memory and inject faults; `device`: pynq's; `bitstream`: the folder for `bitswath.open`."""

    system: System
    device: SimulatedDevice
    bitstream: Path


@contextlib.contextmanager
def simulate_board(bundle: str | Path, board: str | None = None, **options: Any) -> Iterator[SimulatedBoard]:
    """The bundle's build for `board` (needless if there is one) behind the installed pynq, as its active device.

        with simulate_board("model.bsw") as board:
            accelerator = bitswath.open("model.bsw", backend="pynq", bitstream=board.bitstream)

    `options`: as `System` takes them. Raises `BackendError` without a build, `BundleError` for one that is damaged or
    has no shell, `ImportError` without pynq.
    """
    from bitswath.simulated.device import SimulatedDevice

    build = build_folder(Path(bundle), board)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bitswath-")))
        system = stack.enter_context(System(build, **options))
        family: Family = "zynq" if system.design.part.startswith("xc7") else "zynqmp"
        device = stack.enter_context(SimulatedDevice(system, family=family))
        yield SimulatedBoard(system, device, write_overlay(build, folder / "bitstream", family=family))
