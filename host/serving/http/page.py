"""The page: three files of this folder, and what they show, as JSON."""

from __future__ import annotations

import base64
import io
import math
import time
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.bundle.bundle import Bundle
from bitswath.errors import BitswathError
from bitswath.serving.energy import Energy
from bitswath.serving.repository import Entry
from bitswath.serving.scheduling.device import Device
from bitswath.serving.service import Seen, Service
from bitswath.version import __version__

__all__ = ["page_file", "status"]

_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_STARTED = time.time()


def page_file(path: str) -> tuple[bytes, str]:
    """A file of the page by its address, one of three, and its media type."""
    name, kind = _FILES[path]
    return files(__package__).joinpath(name).read_bytes(), kind


def status(service: Service, energy: Energy) -> dict[str, Any]:
    """What the server does at the moment."""
    power = {"meter": energy.meter, "watts": energy.watts, "joules": energy.joules}
    return {
        "version": __version__,
        "ready": service.ready,
        "uptime_s": time.time() - _STARTED,
        "power": None if energy.meter is None else power,
        "models": [_model(entry, service.settings.max_queue) for entry in service.repository.entries],
        "seen": [_seen(seen) for seen in reversed(service.seen.copy())],
    }


def _model(entry: Entry, max_queue: int) -> dict[str, Any]:
    told: dict[str, Any] = {"name": entry.name, "version": entry.version, "ready": entry.ready, "reason": entry.reason}
    counted = entry.statistics
    told["requests"] = counted.stages["success"].count
    told["refused"] = sum(counted.refused.values())
    told["frames"] = counted.inferences
    told["recent"] = counted.recent()
    if entry.model is not None:
        told["queue"] = {"frames": entry.model.queue.depth, "most": max_queue}
        scores = any(output.name == "scores" and len(output.shape) == 2 for output in entry.model.outputs)
        told["card"] = {**_card(entry.model.bundle), "scores": scores}
        told["devices"] = [_device(device) for device in entry.model.devices]
    return told


def _card(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    entry, accuracy = manifest.input, manifest.accuracy
    raw = math.prod(entry.patch_shape) * np.dtype(entry.patch_dtype).itemsize
    measured = {split: [found.accuracy, *found.interval] for split, found in sorted(accuracy.items())}
    return {
        "input": entry.described,
        "shape": list(entry.patch_shape),
        "image": entry.layout == "image",
        "codec": bundle.codec.summary,
        "frame_bytes": entry.frame_bytes,
        "at_most": bundle.codec.compressed,
        "raw_bytes": raw,
        "weight_bits": manifest.network.weight_bits,
        "activation_bits": manifest.network.activation_bits,
        "macs": manifest.network.macs,
        "classes": list(bundle.classes),
        "accuracy": measured,
    }


def _device(device: Device) -> dict[str, Any]:
    counters = device.tally.counters()
    return {
        "name": device.name,
        "serving": device.serving,
        "error": device.error,
        "faults": device.faults,
        "resets": counters.resets,
        "frames": counters.frames,
        "link_bytes": counters.link_bytes,
    }


def _seen(seen: Seen) -> dict[str, Any]:
    return {"model": seen.model, "label": seen.label, "at": seen.at, "image": _picture(seen.bundle, seen.frame)}


def _picture(bundle: Bundle, frame: NDArray[np.uint8]) -> str | None:
    """A PNG as a data address, of what a frame says of its patch: of more than three bands the first three."""
    entry = bundle.manifest.input
    if entry.layout != "image" or np.dtype(entry.patch_dtype).kind != "u":
        return None
    from PIL import Image

    try:
        patch = bundle.codec.decode(bundle.codec.unpack(frame, entry.patch_shape))[0]
    except BitswathError:  # a damaged frame, of which nothing can be shown
        return None
    bands = patch[..., :3] if patch.shape[2] >= 3 else patch[..., :1]
    pixels = bands if bands.dtype == np.uint8 else (bands.astype(np.float32) * (255 / max(int(bands.max()), 1)))
    encoded = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8).squeeze()).save(encoded, "PNG")
    return f"data:image/png;base64,{base64.b64encode(encoded.getvalue()).decode()}"
