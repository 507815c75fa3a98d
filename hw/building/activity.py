"""The switching activity of real frames, as Vivado reads it (SAIF), from the simulation of what is built."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitswath.backends.rtl.backend import RtlBackend
from bitswath.basics.files import scratch_path, write_atomic
from bitswath.bundle.bundle import Bundle
from bitswath.errors import BuildError
from bitswath.imagery.images import open_images

__all__ = ["ACTIVITY", "frames_of", "record_activity"]

ACTIVITY = "activity.saif"
_TOP = b"(INSTANCE accelerator"


def frames_of(bundle: Bundle, images: Path, count: int) -> NDArray[np.uint8]:
    """At most `count` packed frames uint8 (N, W) of images in a file, folder or zip, evenly over all of them.

    Raises `ImageError`.
    """
    entry = bundle.manifest.input
    height, width, bands = entry.patch_shape
    source = open_images(images, shape=(height, width, bands), dtype=entry.patch_dtype).sample(count)
    return bundle.codec.encode_packed(next(source.batches(count)).patches)


def record_activity(build: Path, frames: NDArray[np.uint8], on_step: Callable[[str], None] = lambda name: None) -> Path:
    """Simulate packed frames uint8 (N, W) on the build, every module as it is synthesized; the SAIF file beside the
    build, from before if these frames were simulated already. Its one instance is the accelerator, its times are those
    of the clock.

    Raises `BackendError`, `InputError`; `BuildError` for a simulator that writes something else.
    """
    target = build.with_name(f"{hashlib.sha256(frames.tobytes()).hexdigest()[:12]}-{ACTIVITY}")
    if target.is_file():
        return target
    on_step(f"switching activity of {len(frames)} frames")
    scratch = scratch_path(target).with_suffix(".saif")
    try:
        with RtlBackend(build, exact=True, trace=scratch) as simulated:
            simulated.collect(simulated.submit(frames))
        text = scratch.read_bytes()
    finally:
        scratch.unlink(missing_ok=True)
    header, top, inner = text.partition(b"(INSTANCE TOP")[0], *text.partition(_TOP)[1:]
    if b"(SAIFILE" not in header or not top or _TOP in inner:
        raise BuildError(f"{build}: expected the simulator to write a SAIF file of the accelerator, it is another")
    header = header[header.find(b"(SAIFILE") :].replace(b"(TIMESCALE 1ps)", b"(TIMESCALE 1 ps)")
    inner = inner[: inner.rstrip()[:-1].rfind(b")")]  # without the ends of the simulator's own top and of the file
    write_atomic(target, header + top + inner + b")\n")
    return target
