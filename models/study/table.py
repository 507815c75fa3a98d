"""The results as rows: one flat row a cell, for JSON, CSV and the terminal.

Hardware columns are read from the bundles at that moment (``hw/<board>/report.json`` and ``energy.json`` of each), so
that a build made later shows up. There is no energy without a meter: `energy_j` (a board's) and `emulator_j` (a host's)
are joules a patch net of idle, None where nothing measured them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bitswath.basics.files import write_atomic
from bitswath.builds.folder import HARDWARE
from bitswath.builds.report import REPORT, read_report
from bitswath.bundle.bundle import NETWORK, load_bundle
from bitswath.codecs.kinds import parse_codec
from bitswath.errors import BundleError, ConfigError, StudyError
from bitswath.models.study.plan.cells import ContainerCell, TrainingCell, cell_from_json
from bitswath.models.study.work.store import Row, Store

__all__ = ["COLUMNS", "ENERGY", "SIZES", "export", "flat_row", "hardware", "read_rows", "whole_row", "write_rows"]

Facts = dict[str, Any]

_NEEDED = {"imagery": {"link_bytes", "psnr_db"}, "container": {"bytes_per_patch", "holds"}, "training": {"val"}}
"""What the measures of a cell that is done have at least, by kind."""

ENERGY = "energy.json"
"""Beside a build's report: what ``bitswath bench BUNDLE --backend pynq --what energy --json`` wrote on the board."""

SIZES = ("link_bytes", "source_bytes", "source_payload_bytes")
"""Mean bytes of a frame, of a lossy file, and of what is its own; with `_p99` and `_max` where patches differ."""

_MEASURED = (
    "measured_patches", *(f"{size}{end}" for size in SIZES for end in ("", "_p99", "_max")), "code_bits_per_pixel",
    "holds", "bytes_per_patch",
    "file_bits_per_pixel", "psnr_db", "ssim", "encode_patches_per_s", "decode_patches_per_s", "write_patches_per_s",
    "read_patches_per_s", "macs", "emulator_patches_per_s", "emulator_j", "timed_on", "epochs",
    "best_epoch", "bundle", "run", "dataset_digest",
)  # fmt: skip
_ENERGY = ("energy_j", "energy_low_j", "energy_high_j")
_HARDWARE = ("board", "hw_patches_per_s", "clock_hz", "lut", "bram36", "dsp", *_ENERGY)

COLUMNS = (
    "digest", "kind", "label", "state", "data", "source", "codec", "codec_kind", "bits", "dither", "codebook", "leaks",
    "container", "network", "weights", "activations", "seed", "fidelity", "origin", *_MEASURED,
    *(f"{split}_{what}" for split in ("val", "test") for what in ("accuracy", "low", "high", "correct", "patches")),
    *(f"palette_rule_{what}" for what in ("accuracy", "low", "high", "shared", "unquantized")),
    *_HARDWARE, "attempts", "seconds", "finished", "version", "processor", "error",
)  # fmt: skip
"""Of a flat row, in their order; None where a cell has no such thing."""


def flat_row(row: Row, folder: Path) -> Facts:
    """A cell, what was measured of it, and the fastest of the builds of its bundle, under the names of `COLUMNS`."""
    cell, measures = row.cell, row.measures or {}
    spec = parse_codec(cell.imagery.codec)
    ran_on = row.ran_on or {}
    flat: Facts = dict.fromkeys(COLUMNS) | {
        "digest": row.digest,
        "kind": cell.kind,
        "label": cell.label,
        "state": row.state,
        "data": cell.imagery.data.name,
        "source": cell.imagery.source,
        "codec": cell.imagery.codec,
        "codec_kind": spec.kind,
        "bits": spec.bits,
        "dither": spec.dither,
        "codebook": cell.imagery.codebook,
        "leaks": cell.imagery.leaks,
        "attempts": row.attempts,
        "seconds": row.seconds,
        "finished": row.finished,
        "version": ran_on.get("versions", {}).get("bitswath"),
        "processor": ran_on.get("processor"),
        "error": row.error,
        **{name: measures.get(name) for name in _MEASURED},
    }
    if isinstance(cell, ContainerCell):
        flat["container"] = cell.container
    if isinstance(cell, TrainingCell):
        flat |= _network(cell)
    return flat | _accuracies(measures) | _fastest(folder, measures)


def hardware(bundle: Path) -> list[Facts]:
    """What builds of a bundle found out, a row a board. Raises `BundleError` for a damaged file."""
    found = []
    for path in sorted((bundle / HARDWARE).glob(f"*/{REPORT}")):
        report = read_report(path.parent)
        found.append(
            {
                "board": report.board,
                "hw_patches_per_s": report.frames_per_s,
                "clock_hz": report.clock_hz,
                "lut": report.resources.lut,
                "bram36": report.resources.bram36,
                "dsp": report.resources.dsp,
                **_energy(bundle, path.with_name(ENERGY), report.board),
            }
        )
    return found


def _energy(bundle: Path, path: Path, board: str) -> Facts:
    """Net joules a frame with their interval, None where none were measured. Raises `BundleError` for what is no
    benchmark of this network on this board."""
    if not path.exists():
        return dict.fromkeys(_ENERGY)
    try:
        facts = json.loads(path.read_text())
        measured = facts["bundle"]["digest"], facts["backend"]["board"]
        found = facts["energy"] and [float(facts["energy"]["net_j"][name]) for name in ("mean", "low", "high")]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: not what `bitswath bench --what energy --json` writes ({error!r})") from error
    expected = load_bundle(bundle).manifest.files[NETWORK].sha256, board
    if measured != expected:
        raise BundleError(f"{path}: expected the energy of network and board {expected}, it is that of {measured}")
    return dict(zip(_ENERGY, found or (None, None, None)))


def whole_row(row: Row, folder: Path) -> Facts:
    """A flat row with its cell, measures and all builds of its bundle."""
    return {
        **flat_row(row, folder),
        "cell": row.cell.model_dump(mode="json"),
        "measures": row.measures and {name: value for name, value in row.measures.items() if name != "builds"},
        "ran_on": row.ran_on,
        "hardware": _builds(folder, row.measures or {}),
    }


def export(store: Store, digests: Iterable[str] | None = None) -> tuple[Path, Path]:
    """Write the study's rows into its folder: see `write_rows`."""
    return write_rows([whole_row(row, store.folder) for row in store.rows(digests)], store.folder)


def read_rows(path: Path) -> list[Row]:
    """The rows of a ``study.json``, the builds of each network among its measures, where `flat_row` finds them.

    Raises `StudyError` naming the file and the row.
    """
    try:
        found = json.loads(path.read_text())["rows"]
        if not isinstance(found, list):
            raise TypeError(f"expected a list of rows, got {type(found).__name__}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: not the study.json that a study writes ({error!r})") from error
    return [_row_of(values, f"{path}: row {index}") for index, values in enumerate(found)]


def _row_of(values: Facts, where: str) -> Row:
    try:
        cell = cell_from_json(json.dumps(values["cell"]))
        measures = values["measures"]
        if values["state"] == "done" and (lacking := _NEEDED[cell.kind] - {*(measures or ())}):
            raise StudyError(f"{cell.label} is done, its measures lack {', '.join(sorted(lacking))}")
        if builds := [build for build in values.get("hardware") or () if "error" not in build]:
            measures = {**measures, "builds": builds}
        if cell.digest != values["digest"]:
            raise StudyError(f"its cell has the digest {cell.digest[:12]}, it says {values['digest'][:12]}")
        return Row(
            cell.digest, cell, values["state"], values["attempts"], measures, values["error"], values["seconds"],
            values["finished"], values["ran_on"],
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError, ConfigError, StudyError) as error:
        raise StudyError(f"{where}: not a row of a study, or of another version ({error})") from error


def write_rows(rows: Sequence[Mapping[str, Any]], folder: Path) -> tuple[Path, Path]:
    """Write ``study.json`` (whole rows) and ``study.csv`` (their flat part)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    paths = folder / "study.json", folder / "study.csv"
    whole = json.dumps({"rows": list(rows)}, indent=1, sort_keys=True, allow_nan=False)
    write_atomic(paths[0], f"{whole}\n".encode())
    write_atomic(paths[1], text.getvalue().encode())
    return paths


def _network(cell: TrainingCell) -> Facts:
    return {
        "network": cell.network or cell.architecture.kind,
        "weights": cell.widths.weights if cell.widths else None,
        "activations": cell.widths.activations if cell.widths else None,
        "seed": cell.schedule.seed,
        "fidelity": cell.fidelity,
        "origin": cell.origin,
    }


def _accuracies(measures: Facts) -> Facts:
    flat: Facts = {}
    for split in ("val", "test"):
        if found := measures.get(split):
            low, high = found["interval"]
            values = {"accuracy": found["accuracy"], "low": low, "high": high}
            values |= {"correct": found["correct"], "patches": found["patches"]}
            flat |= {f"{split}_{name}": value for name, value in values.items()}
    if rule := measures.get("palette_rule"):
        low, high = rule["per_class"]["interval"]
        flat |= {"palette_rule_accuracy": rule["per_class"]["accuracy"], "palette_rule_low": low}
        flat |= {"palette_rule_high": high}
        flat |= {f"palette_rule_{name}": rule[name]["accuracy"] for name in ("shared", "unquantized")}
    return flat


def _builds(folder: Path, measures: Facts) -> list[Facts]:
    """The builds of a cell's bundle, and those known of it from elsewhere; one with a damaged report is left out of the
    table with its reason."""
    if "bundle" not in measures:
        return []
    try:
        here = hardware(folder / measures["bundle"])
    except BundleError as error:
        here = [{"error": str(error)}]
    boards = {build.get("board") for build in here}
    return here + [build for build in measures.get("builds", ()) if build["board"] not in boards]


def _fastest(folder: Path, measures: Facts) -> Facts:
    builds = [build for build in _builds(folder, measures) if "error" not in build]
    return max(builds, key=lambda build: float(build["hw_patches_per_s"]), default={})
