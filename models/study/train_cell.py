"""A training cell to a trained, exported and measured network.

Below the study's folder: ``runs/NAME/`` is the training run, ``bundles/NAME.bsw`` what it became, and
``runs/NAME/result.json`` what was measured. That file is written once and read ever after, so that the test split is
classified once for a finished cell. Whatever is interrupted goes on from the last epoch.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bitswath.accelerator import open as open_accelerator
from bitswath.bundle import SUFFIX, Bundle, update_accuracy
from bitswath.files import write_atomic
from bitswath.models.commands.export import export_trained
from bitswath.models.config import TrainConfig
from bitswath.models.datasets import Dataset
from bitswath.models.fit import describe, train_model
from bitswath.models.quantizers import tf
from bitswath.models.study.cells import TrainingCell
from bitswath.models.study.patches import Shelf
from bitswath.models.train import Teacher
from bitswath.models.trained import ModelInfo, load_teacher
from bitswath.report import Report

__all__ = ["bundle_path", "run_name", "train_cell", "use_threads"]

Facts = dict[str, Any]

RESULT = "result.json"
TIMED_PATCHES = 1000
TIMED_REPEATS = 3


def use_threads(threads: int) -> None:
    """Keep TensorFlow to so many; to be called before it computes anything."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def run_name(cell: TrainingCell) -> str:
    """Readable and unique: what is in the label, then the digest's first twelve digits."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", cell.label.replace(":420", "")).strip("-")
    return f"{readable[:50].lower()}-{cell.digest[:12]}"


def bundle_path(cell: TrainingCell) -> str:
    """The bundle's place in the study's folder."""
    return f"bundles/{run_name(cell)}{SUFFIX}"


def train_cell(
    cell: TrainingCell, shelf: Shelf, threads: int, progress: Callable[[float, str], None] = lambda share, note: None
) -> Facts:
    """Train and measure; `progress(share, note)` is called after every step.

    Validation accuracy always, test accuracy at fidelity "full", both of the bundle on the emulator. Raises
    `TrainingError`, `ConfigError` and what export and lowering raise.
    """
    folder = shelf.folder / "runs" / run_name(cell)
    result = folder / RESULT
    if not result.exists():
        bundle = _trained(cell, shelf, folder, progress)
        facts = _measured(cell, shelf, bundle, threads) | {"run": f"runs/{folder.name}", **_log(folder)}
        write_atomic(result, json.dumps(facts, sort_keys=True, allow_nan=False).encode())
    found: Facts = json.loads(result.read_text())
    return found


def _trained(cell: TrainingCell, shelf: Shelf, folder: Path, progress: Callable[[float, str], None]) -> Bundle:
    imagery = cell.imagery
    train, val = shelf.split(imagery, "train"), shelf.split(imagery, "val")
    codec = shelf.codec(imagery)
    settings = TrainConfig(
        name=run_name(cell),
        data=imagery.data,
        codec="uniform:8" if imagery.leaks else imagery.codec,
        architecture=cell.architecture,
        widths=cell.widths,
        augment=cell.augment,
        schedule=cell.schedule,
        distill=cell.distill,
    )
    info = describe(settings, codec, train)
    start = _start(cell, shelf, info)
    show = _Steps(cell, progress)
    train_model(
        info,
        codec,
        train,
        val,
        folder,
        teacher=start if settings.distill and settings.distill.teacher == "warm_start" else None,
        start=start.model if start else None,
        report=show.report,
        progress=show.step,
    )
    target = shelf.folder / bundle_path(cell)
    target.parent.mkdir(exist_ok=True)
    bundle, _ = export_trained(folder, target)
    return bundle


def _start(cell: TrainingCell, shelf: Shelf, info: ModelInfo) -> Teacher | None:
    """The network whose weights training starts from."""
    if cell.start is None:
        return None
    if cell.start.folder is not None:
        return load_teacher(cell.start.folder, info)
    ready = sorted((shelf.folder / "runs").glob(f"*-{str(cell.start.cell)[:12]}"))
    return load_teacher(ready[0] if ready else shelf.folder / "runs" / str(cell.start.cell)[:12], info)


def _measured(cell: TrainingCell, shelf: Shelf, bundle: Bundle, threads: int) -> Facts:
    entry, network = bundle.manifest.input, bundle.manifest.network
    facts: Facts = {
        "bundle": bundle_path(cell),
        "macs": network.macs,
        "link_bytes": entry.frame_bytes,
        "dataset_digest": bundle.manifest.provenance.source.dataset_digest,
    }
    for split in ("val", "test") if cell.fidelity == "full" else ("val",):
        samples = shelf.split(cell.imagery, split)
        with open_accelerator(bundle, "emulator", threads=threads) as accelerator:
            report = Report.of(samples.labels, accelerator.classify(samples.patches).labels, bundle.classes)
        bundle = update_accuracy(bundle, split, report.correct, report.patches)
        facts[split] = report.to_dict()
    facts["emulator_patches_per_s"] = _speed(bundle, shelf.split(cell.imagery, "val"), threads)
    facts["emulator_threads"] = threads
    return facts


def _speed(bundle: Bundle, samples: Dataset, threads: int) -> float:
    """From patches in memory to labels, the best of several repeats."""
    patches = np.ascontiguousarray(samples.patches[:TIMED_PATCHES])
    seconds = []
    with open_accelerator(bundle, "emulator", threads=threads) as accelerator:
        for _ in range(TIMED_REPEATS):
            started = time.perf_counter()
            accelerator.classify(patches)
            seconds.append(time.perf_counter() - started)
    return len(patches) / min(seconds)


def _log(folder: Path) -> Facts:
    """How long it was trained: what an interrupted run spent before is in the log too."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    trained = [line for line in lines if line["phase"] == "quantized"]
    best = max(trained, key=lambda line: line["val_accuracy"])
    return {"epochs": len(trained), "best_epoch": best["epoch"], "best_val_accuracy": best["val_accuracy"]}


class _Steps:
    """Steps of all phases as a share of the whole."""

    def __init__(self, cell: TrainingCell, progress: Callable[[float, str], None]) -> None:
        self.epochs = {"float": cell.schedule.float_epochs, "quantized": cell.schedule.epochs}
        self.done = 0
        self.note = "starts"
        self.progress = progress

    def step(self, phase: str, done: int, total: int) -> None:
        before = self.done if phase == "float" else max(self.done, self.epochs["float"])
        self.progress(min(1.0, (before + done / total) / max(sum(self.epochs.values()), 1)), self.note)

    def report(self, phase: str, epoch: int, metrics: dict[str, float]) -> None:
        self.done = epoch + (self.epochs["float"] if phase == "quantized" else 0)
        self.note = f"{phase} epoch {epoch}/{self.epochs[phase]}, val {100 * metrics['val_accuracy']:.1f} %"
