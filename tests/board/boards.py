"""Simulated boards for tests, and the folders of their bitstreams."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.board.overlay import Overlay
from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.codecs.packing import pack
from bitswath.simulated import System
from bitswath.simulated.hwh import Family
from bitswath.simulated.overlay import write_overlay
from tests.board.builds import BOARD, SHAPE, SMALL, VALUES
from tests.host.model_system import ModelSystem
from tests.paths import ROOT

if TYPE_CHECKING:
    from bitswath.backends.board.engines.dma import DmaBackend
    from bitswath.simulated.device import SimulatedDevice

__all__ = ["BUILDS", "CACHE", "SMALL", "Plug", "codes_of", "doubled", "patches_of", "run"]

_CACHE = ROOT / ".cache"
BUILDS, CACHE = _CACHE / "board", _CACHE / "bitswath"


class Plug:
    """What was plugged in for a test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()

    def system(self, bundle: Path, **options: Any) -> System:
        """The system of a bundle's build, or of a build folder."""
        build = bundle / "hw" / BOARD if (bundle / "hw").is_dir() else bundle
        return self._stack.enter_context(System(build, **{"memory_bytes": 1 << 20, **options}))

    def model(self, bundle: Path, busy_s: float = 0.03) -> ModelSystem:
        """The small design's in Python, whose transfers take longer than starting them."""
        overlay = self.overlay(bundle)

        def compute(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
            codes = np.stack([rows[:, :30] & 15, rows[:, :30] >> 4], axis=2).reshape(len(rows), VALUES)
            return np.pad(pack(2 * codes, 5), ((0, 0), (0, 2)))

        return ModelSystem(overlay.input, overlay.output, compute, network=overlay.network, busy_s=busy_s)

    def device(self, system: Any, family: Family = "zynqmp", **options: Any) -> SimulatedDevice:
        from bitswath.simulated.device import SimulatedDevice

        return self._stack.enter_context(SimulatedDevice(system, family=family, **options))

    def folder(self, bundle: Path, family: Family = "zynqmp", **options: Any) -> Path:
        """The folder of a bitstream for a bundle's build, or for a build folder."""
        build = bundle / "hw" / BOARD if (bundle / "hw").is_dir() else bundle
        return write_overlay(build, self._folder / f"{build.name}-{family}", family=family, **options)

    def overlay(self, bundle: Path, family: Family = "zynqmp", **options: Any) -> Overlay:
        return load_overlay(self.folder(bundle, family, **options))

    def close(self) -> None:
        self._stack.close()


def codes_of(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 16, (count, VALUES), np.uint8)


def patches_of(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


def run(backend: DmaBackend, codes: NDArray[np.uint8]) -> NDArray[np.signedinteger]:
    return backend.collect(backend.submit(pack(codes, 4)))


def doubled(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What the small design computes."""
    return 2 * codes.astype(np.int64)
