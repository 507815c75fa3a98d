"""What is measured: a bundle on a backend, the patches it gets, and how both are told in results."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.accelerator import Accelerator
from bitswath.backends.base import Backend
from bitswath.backends.kinds import BACKENDS
from bitswath.basics.machine import machine, versions
from bitswath.bench.timing import TimedBackend
from bitswath.bundle.bundle import NETWORK, Bundle, load_bundle
from bitswath.errors import BackendError, InputError
from bitswath.evaluation.arrays import is_arrays, read_arrays
from bitswath.imagery.images import open_images

__all__ = ["Inputs", "Subject", "conditions", "load_inputs", "opened"]

_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Inputs:
    """`patches`: (n, H, W, C), as the bundle takes them; `files`: the image files they came from, None where they did
    not; `source`: what they are, in words; `notes`: what a user should be told about what is missing."""

    patches: NDArray[Any]
    files: tuple[bytes, ...] | None
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subject:
    """An open bundle. `device`: its backend, also under `accelerator`, with the times of what passes through it;
    `options`: of the backend, as given."""

    bundle: Bundle
    backend: str
    device: TimedBackend
    accelerator: Accelerator
    options: dict[str, Any]

    @property
    def bare(self) -> Backend:
        """The backend itself."""
        return self.device.backend


@contextlib.contextmanager
def opened(bundle: str | Path | Bundle, backend: str, **options: Any) -> Iterator[Subject]:
    """A bundle on a backend, `options` as `bitswath.open` takes them. Raises `BundleError`, `BackendError`."""
    if backend not in BACKENDS:
        raise BackendError(f"expected a backend of {', '.join(BACKENDS)}, got {backend!r}")
    loaded = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    device = TimedBackend(BACKENDS[backend](loaded, dict(options)))
    with contextlib.closing(device), Accelerator(loaded, device, timeout_s=_TIMEOUT_S) as accelerator:
        yield Subject(loaded, backend, device, accelerator, options)


def load_inputs(
    bundle: Bundle, count: int, images: str | Path | None = None, split: str | None = None, seed: int = 0
) -> Inputs:
    """`count` images of a file, folder or zip (fewer if there are fewer), evenly over all, patches of a .npy, .npz or
    .csv, or random ones.

    Images keep their files, so that decoding can be measured. Raises `ImageError`, `InputError`.
    """
    if count < 1:
        raise InputError(f"expected 1 or more patches, got {count}")
    entry = bundle.manifest.input
    dtype = np.dtype(entry.patch_dtype)
    if images is None:
        drawn = bundle.codec.samples(np.random.default_rng(seed), count, entry.patch_shape)
        return Inputs(drawn, None, f"{count} random patches")
    if is_arrays(Path(images)):
        held = read_arrays(Path(images), bundle).sample(count)
        return Inputs(held.patches, None, f"{len(held)} patches of {Path(images).name}")
    found = open_images(images, split=split, shape=entry.patch_shape, dtype=dtype)
    chosen = found.sample(count)
    patches = np.concatenate([batch.patches for batch in chosen])
    files = tuple(chosen.read(name) for name, _ in chosen.items)
    return Inputs(patches, files, f"{len(patches)} images of {Path(images).name}", found.notes)


def conditions(subject: Subject, inputs: Inputs) -> dict[str, Any]:
    """What a figure was measured on, as it goes into JSON; "digest" is the network's SHA-256."""
    design = getattr(subject.bare, "design", None)
    return {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": versions("numpy"),
        "bundle": {"name": subject.bundle.name, "digest": subject.bundle.manifest.files[NETWORK].sha256},
        "backend": {
            "name": subject.backend,
            "board": getattr(design, "board", None),
            "clock_hz": subject.bare.clock_hz,
            "packing_bits": subject.bare.packing.bits,
            "folded": subject.bare.packing.group is not None,
        },
        "input": inputs.source,
    }
