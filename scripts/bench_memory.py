"""Peak memory of a large batch of packed patches, measured in this process, which does nothing else.

Prints how far the peak lies above the packed bytes and the outputs, in MB (10^6 bytes), through
`Accelerator.classify_frames` and through `EmulatorBackend` alone. The emulator's own buffers count.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.accelerator import open as open_accelerator
from bitswath.backends.emulator import EmulatorBackend
from bitswath.bundle.bundle import Bundle, load_bundle

Frames = NDArray[np.uint8]
PATCHES = 10_000


def through_accelerator(bundle: Bundle, frames: Frames) -> int:
    """Bytes of the outputs."""
    with open_accelerator(bundle, timeout_s=None) as accelerator:
        result = accelerator.classify_frames(frames)
        return result.labels.nbytes + (result.logits.nbytes if result.logits is not None else 0)


def through_backend(bundle: Bundle, frames: Frames) -> int:
    """Bytes of the outputs."""
    with EmulatorBackend(bundle.network, bundle.codec.bits) as backend:
        return backend.collect(backend.submit(frames)).nbytes


def over_mb(bundle: Bundle, run: Callable[[Bundle, Frames], int]) -> float:
    """MB that the peak of resident memory rises beyond the packed bytes and the outputs."""
    before = _status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (PATCHES, bundle.manifest.input.frame_bytes), np.uint8)
    needed = frames.nbytes + run(bundle, frames)
    return (_status_bytes("VmHWM") - before - needed) / 1e6


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    opened = load_bundle(sys.argv[1])
    runs = {"accelerator": through_accelerator, "backend": through_backend}
    print(json.dumps({"over_mb": over_mb(opened, runs[sys.argv[2]]), "patches": PATCHES}))
