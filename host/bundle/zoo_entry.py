"""What is known of a bundle of the zoo.

All that must be there is the bundle. Beside it are the comment lines that open NAME.yaml, the training log
NAME.log.jsonl, and NAME.hw.json, the reports of its builds.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from bitswath.basics.schema import Schema, parse_json
from bitswath.builds.folder import HARDWARE
from bitswath.builds.report import Report
from bitswath.bundle.bundle import MANIFEST, Bundle, load_bundle
from bitswath.bundle.manifest import SplitAccuracy
from bitswath.codecs.kinds import CodecSpec
from bitswath.errors import BundleError
from bitswath.network.network import Conv, Dense, Threshold

__all__ = ["BUILDS", "CARD", "CONFIG", "LOG", "Builds", "Entry", "codec_name", "facts", "percent", "read_entry"]

CONFIG, LOG, CARD, BUILDS = ".yaml", ".log.jsonl", ".md", ".hw.json"
"""Endings of the files beside NAME.bsw."""

Facts = dict[str, Any]


class Builds(Schema):
    """NAME.hw.json: what was found out for each board, without stages and queues."""

    builds: tuple[Report, ...]


@dataclass(frozen=True)
class Entry:
    """A bundle of the zoo and what is beside it. `log`: a dictionary an epoch, as `bitswath train` writes them."""

    bundle: Bundle
    notes: tuple[str, ...] = ()
    log: tuple[Facts, ...] = ()
    builds: tuple[Report, ...] = ()

    @property
    def training(self) -> Facts:
        """The training configuration; empty for a network of another tool."""
        return dict(self.bundle.manifest.provenance.source.training or {})

    @property
    def widths(self) -> str:
        """ "W4A4": the bits of weights and activations that were asked for, else the widest in the network."""
        asked, network = self.training.get("widths") or {}, self.bundle.manifest.network
        return f"W{asked.get('weights', network.weight_bits)}A{asked.get('activations', network.activation_bits)}"


def read_entry(path: Path) -> Entry:
    """The bundle at `path` with what is beside it. Raises `BundleError` for what cannot be read."""
    bundle = load_bundle(path)
    notes = takewhile(lambda line: line.startswith("#"), _beside(path, CONFIG).splitlines())
    try:
        log = tuple(json.loads(line) for line in _beside(path, LOG).splitlines())
    except ValueError as error:
        raise BundleError(f"{path.with_suffix(LOG)}: not a line of JSON an epoch ({error})") from None
    return Entry(bundle, tuple(line.strip("# ") for line in notes), log, _builds(path))


def _builds(path: Path) -> tuple[Report, ...]:
    text = _beside(path, BUILDS)
    try:
        return parse_json(Builds, text, BundleError).builds if text else ()
    except BundleError as error:
        raise BundleError(f"{path.with_suffix(BUILDS)}: {error}") from None


def _beside(path: Path, ending: str) -> str:
    """The text of a file beside the bundle; empty where there is none."""
    file = path.with_suffix(ending)
    try:
        return file.read_text(encoding="utf-8") if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{file}: cannot be read ({error})") from error


def facts(entry: Entry) -> Facts:
    """What the bundle is, as plain JSON. `link_bytes`, `raw_bytes`: of a patch, coded and packed or as samples;
    `parameters`: weights; `thresholds` beside them; `bundle_bytes`: of all its files but builds."""
    bundle, manifest = entry.bundle, entry.bundle.manifest
    inputs, source = manifest.input, manifest.provenance.source
    weights = [stage.weights for stage in bundle.network.stages if isinstance(stage, Conv | Dense)]
    thresholds = [stage.thresholds for stage in bundle.network.stages if isinstance(stage, Threshold)]
    listed = sum(file.bytes for name, file in manifest.files.items() if not name.startswith(f"{HARDWARE}/"))
    return {
        "name": manifest.name,
        "data": source.dataset,
        "dataset_digest": source.dataset_digest,
        "classes": list(manifest.classes),
        "patch_shape": list(inputs.patch_shape),
        "patch_dtype": inputs.patch_dtype,
        "codec": codec_name(dict(inputs.codec)),
        "network": entry.training.get("architecture", {}).get("kind"),
        "widths": entry.widths,
        "macs": manifest.network.macs,
        "parameters": sum(int(array.size) for array in weights),
        "thresholds": sum(int(array.size) for array in thresholds),
        "link_bytes": inputs.frame_bytes,
        "raw_bytes": math.prod(inputs.patch_shape) * np.dtype(inputs.patch_dtype).itemsize,
        "accuracy": {split: found.model_dump(mode="json") for split, found in manifest.accuracy.items()},
        "bundle_bytes": listed + (bundle.path / MANIFEST).stat().st_size,
        "notes": list(entry.notes),
        "training": entry.training or None,
        "hardware": [_build_facts(report) for report in entry.builds],
    }


def codec_name(codec: Facts) -> str:
    """ "companded:2:ordered", "transform:40:B=300": a codec's dictionary as the command line names it."""
    known: dict[str, Any] = {field.name: codec.get(field.name) for field in fields(CodecSpec)}
    return str(CodecSpec(**known))


def percent(found: SplitAccuracy) -> str:
    """ "95.81 % (94.99-96.51)": an accuracy with its Wilson 95 % interval."""
    low, high = found.interval
    return f"{100 * found.accuracy:.2f} % ({100 * low:.2f}-{100 * high:.2f})"


def _build_facts(report: Report) -> Facts:
    need = report.resources
    return {
        "board": report.board,
        "clock_mhz": report.clock_hz / 1e6,
        "patches_per_s": report.frames_per_s,
        "latency_ms": 1e3 * report.latency_cycles / report.clock_hz,
        "lut": need.lut,
        "bram36": need.bram36,
        "dsp": need.dsp,
        "shares": {name: report.usage.get(name) for name in ("lut", "bram36", "dsp")},
        "resources_from": report.resources_from,
        "bitstream": report.bitstream is not None,
    }
