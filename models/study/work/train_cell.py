"""A training cell to a trained, exported and measured network.

Below the study's folder: ``runs/NAME/`` is the training run, ``bundles/NAME.bsw`` what it became (a network that is
not quantized has none, and is measured in Keras), and
``runs/NAME/result.json`` what was measured. That file is written once and read ever after, so that the test split is
classified once for a finished cell. Whatever is interrupted goes on from the last epoch.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitswath.accelerator import Accelerator
from bitswath.accelerator import open as open_accelerator
from bitswath.basics.files import write_atomic
from bitswath.bundle.bundle import SUFFIX, update_accuracy
from bitswath.bundle.zoo import PREFIX
from bitswath.evaluation.report import Report
from bitswath.models.data.datasets import Dataset
from bitswath.models.nets.config import TrainConfig
from bitswath.models.nets.quantizers import tf
from bitswath.models.study.lossy.formats import parse_lossy
from bitswath.models.study.lossy.through import ThroughFiles
from bitswath.models.study.plan.cells import ORIGINAL, TrainingCell
from bitswath.models.study.work.patches import Shelf
from bitswath.models.study.work.sizes import file_sizes, link_sizes
from bitswath.models.training.fit import describe, train_model
from bitswath.models.training.origins import load_start, load_teacher
from bitswath.models.training.run_bundle import bundle_trained
from bitswath.models.training.train import predict
from bitswath.models.training.trained import Trained

__all__ = ["bundle_path", "run_name", "train_cell", "use_threads"]

Facts = dict[str, Any]

RESULT = "result.json"
TIMED_PATCHES = 1000
TIMED_REPEATS = 3


def use_threads(threads: int) -> None:
    """Keep TensorFlow to so many; to be called before it computes anything."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)


def run_name(cell: TrainingCell) -> str:
    """Readable and unique: what is in the name, then the digest's first twelve digits."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", cell.name.replace(":420", "")).strip("-")
    return f"{readable[:50].lower()}-{cell.digest[:12]}"


def bundle_path(cell: TrainingCell) -> str:
    """The bundle's place in the study's folder."""
    return f"bundles/{run_name(cell)}{SUFFIX}"


def train_cell(
    cell: TrainingCell, shelf: Shelf, progress: Callable[[float, str], None] = lambda share, note: None
) -> Facts:
    """Train and measure; `progress(share, note)` is called after every step.

    Validation accuracy always, test accuracy at fidelity "full", of a bundle on the emulator; `hits` tells which
    patches of a split were right, a character each, so that networks can be compared patch by patch. Raises
    `TrainingError`, `ConfigError` and what export and lowering raise.
    """
    folder = shelf.folder / "runs" / run_name(cell)
    result = folder / RESULT
    if not result.exists():
        trained = _trained(cell, shelf, folder, progress)
        facts = _measured(cell, shelf, trained) if cell.widths is None else _bundled(cell, shelf, folder)
        facts |= {**_sent(cell, shelf), "run": f"runs/{folder.name}", **_log(folder)}
        write_atomic(result, json.dumps(facts, sort_keys=True, allow_nan=False).encode())
    found: Facts = json.loads(result.read_text())
    return found


def _trained(cell: TrainingCell, shelf: Shelf, folder: Path, progress: Callable[[float, str], None]) -> Trained:
    imagery = cell.imagery
    train, val, codec = _trained_on(cell, shelf, "train"), _trained_on(cell, shelf, "val"), shelf.codec(imagery)
    origin, distill = _origin(cell, shelf), cell.distill
    if distill and origin and distill.teacher == "warm_start":
        distill = distill.model_copy(update={"teacher": origin})
    settings = TrainConfig(
        name=run_name(cell),
        data=imagery.data,
        codec="uniform:8" if imagery.leaks else imagery.codec,
        architecture=cell.architecture,
        widths=cell.widths,
        augment=cell.augment,
        schedule=cell.schedule,
        distill=distill,
        start=origin if cell.start and cell.start.weights else None,
    )
    info = describe(settings, codec, train)
    show = _Steps(cell, progress)
    trained, _ = train_model(
        info,
        ThroughFiles.before(codec, parse_lossy(imagery.source)) if cell.lossy_as == "codec" else codec,
        train,
        val,
        folder,
        originals=shelf.original(imagery, "train").patches if cell.lossy_as == "pairs" else None,
        teacher=load_teacher(_place(origin, shelf), info) if origin and distill and distill.teacher == origin else None,
        start=load_start(_place(origin, shelf), info) if origin and settings.start else None,
        report=show.report,
        progress=show.step,
    )
    return trained


def _trained_on(cell: TrainingCell, shelf: Shelf, name: str) -> Dataset:
    """A split as training takes it: before lossy files, where those stand for a codec."""
    if cell.lossy_as != "codec":
        return shelf.split(cell.imagery, name)
    original = shelf.original(cell.imagery, name)
    return replace(original, name=f"{original.name}, {cell.imagery.source}")


def _origin(cell: TrainingCell, shelf: Shelf) -> str | None:
    """The run or bundle to start from or to learn from: below the study's folder, absolute, or ``zoo:NAME``."""
    if cell.start is None:
        return None
    if cell.start.folder is not None:
        return cell.start.folder
    short = str(cell.start.cell)[:12]
    ready = sorted((shelf.folder / "runs").glob(f"*-{short}"))
    return f"runs/{ready[0].name if ready else short}"


def _place(origin: str, shelf: Shelf) -> str | Path:
    return origin if origin.startswith(PREFIX) else shelf.folder / origin


def _bundled(cell: TrainingCell, shelf: Shelf, folder: Path) -> Facts:
    """The exported network on the emulator."""
    target = shelf.folder / bundle_path(cell)
    target.parent.mkdir(exist_ok=True)
    bundle, _ = bundle_trained(folder, target)
    network = bundle.manifest.network
    with open_accelerator(bundle, "emulator", threads=1) as accelerator:
        facts, reports = _classified(cell, shelf, lambda patches: accelerator.classify(patches).labels, bundle.classes)
        speed = _speed(accelerator, shelf.split(cell.imagery, "val"))
    for split, report in reports.items():
        bundle = update_accuracy(bundle, split, report.correct, report.patches)
    return facts | {
        "bundle": bundle_path(cell),
        "macs": network.macs,
        "dataset_digest": bundle.manifest.provenance.source.dataset_digest,
        "emulator_patches_per_s": speed,
    }


def _measured(cell: TrainingCell, shelf: Shelf, trained: Trained) -> Facts:
    """A network that is not quantized, in Keras."""
    info, codec = trained.info, shelf.codec(cell.imagery)
    facts, _ = _classified(cell, shelf, lambda patches: predict(trained.model, codec.encode, patches), info.classes)
    return facts | {"dataset_digest": info.dataset_digest}


def _sent(cell: TrainingCell, shelf: Shelf) -> Facts:
    """Bytes of the very patches that the accuracy is of, see `sizes`."""
    imagery, split = cell.imagery, _splits(cell)[-1]
    facts = link_sizes(shelf.codec(imagery), shelf.split(imagery, split).patches)
    if imagery.source != ORIGINAL:
        facts |= file_sizes(imagery.source, shelf.original(imagery, split).patches, shelf.original(imagery, "train"))
    return facts


def _splits(cell: TrainingCell) -> tuple[str, ...]:
    return ("val", "test") if cell.fidelity == "full" else ("val",)


def _classified(
    cell: TrainingCell, shelf: Shelf, classify: Callable[[NDArray[Any]], NDArray[Any]], classes: Sequence[str]
) -> tuple[Facts, dict[str, Report]]:
    """What is right, per split."""
    facts: Facts = {"hits": {}}
    reports = {}
    for split in _splits(cell):
        samples = shelf.split(cell.imagery, split)
        labels = classify(samples.patches)
        reports[split] = Report.of(samples.labels, labels, classes)
        facts[split] = reports[split].to_dict()
        facts["hits"][split] = "".join("01"[right] for right in (labels == samples.labels).astype(int))
    return facts, reports


def _speed(accelerator: Accelerator, samples: Dataset) -> float:
    """From patches in memory to labels, patches a second of one core: by the processor's time, since other cells may
    be worked on beside this one; the best of several repeats."""
    patches = np.ascontiguousarray(samples.patches[:TIMED_PATCHES])
    seconds = []
    for _ in range(TIMED_REPEATS):
        started = time.process_time()
        accelerator.classify(patches)
        seconds.append(time.process_time() - started)
    return len(patches) / min(seconds)


def _log(folder: Path) -> Facts:
    """How long it was trained: what an interrupted run spent before is in the log too."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    trained = [line for line in lines if line["phase"] == lines[-1]["phase"]]
    best = max(trained, key=lambda line: line["val_accuracy"])
    return {"epochs": len(trained), "best_epoch": best["epoch"], "best_val_accuracy": best["val_accuracy"]}


class _Steps:
    """Steps of all phases as a share of the whole."""

    def __init__(self, cell: TrainingCell, progress: Callable[[float, str], None]) -> None:
        schedule = cell.schedule
        self.epochs = {"float": schedule.float_epochs, "quantized": schedule.epochs}
        if cell.widths is None:
            self.epochs = {"float": schedule.epochs, "quantized": 0}
        self.done = 0
        self.note = "starts"
        self.progress = progress

    def step(self, phase: str, done: int, total: int) -> None:
        before = self.done if phase == "float" else max(self.done, self.epochs["float"])
        self.progress(min(1.0, (before + done / total) / max(sum(self.epochs.values()), 1)), self.note)

    def report(self, phase: str, epoch: int, metrics: dict[str, float]) -> None:
        self.done = epoch + (self.epochs["float"] if phase == "quantized" else 0)
        self.note = f"{phase} epoch {epoch}/{self.epochs[phase]}, val {100 * metrics['val_accuracy']:.1f} %"
