"""A configuration and its data to a trained model in its folder: what `bitswath train` and a study's cells share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bitswath.codecs.base import Codec
from bitswath.errors import ConfigError
from bitswath.models.data.datasets import Dataset
from bitswath.models.nets.architectures import input_spec
from bitswath.models.nets.config import TrainConfig
from bitswath.models.nets.quantizers import keras
from bitswath.models.training.origins import load_start, load_teacher
from bitswath.models.training.settle import Settled, settle
from bitswath.models.training.train import Samples, Teacher, TrainingRun
from bitswath.models.training.trained import ModelInfo, Trained, save_trained

__all__ = ["describe", "train_model"]


def describe(settings: TrainConfig, codec: Codec, train: Dataset) -> ModelInfo:
    """What will be trained."""
    height, width, bands = train.patches.shape[1:]
    return ModelInfo(
        config=settings,
        codec=codec.to_dict(),
        patch_shape=(height, width, bands),
        classes=train.classes,
        dataset=train.name,
        dataset_digest=train.digest,
        notes=train.notes,
    )


def train_model(
    info: ModelInfo,
    codec: Codec,
    train: Dataset,
    val: Dataset,
    folder: Path,
    *,
    originals: NDArray[Any] | None = None,
    teacher: Teacher | None = None,
    start: keras.Model | None = None,
    report: Callable[[str, int, dict[str, float]], None] = lambda phase, epoch, metrics: None,
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
) -> tuple[Trained, list[Settled]]:
    """Train, settle and save; a run that was interrupted in `folder` goes on.

    `originals`: for the teacher, the patches of `train` before a lossy file that the student sees them through.
    `teacher` and `start`, a network of the same layers whose weights the first phase starts from: by default those
    that the configuration names. `report` and `progress` are those of `TrainingRun`.
    """
    if originals is not None and (originals.shape, originals.dtype) != (train.patches.shape, train.patches.dtype):
        expected, found = (f"{array.dtype} {array.shape}" for array in (train.patches, originals))
        raise ConfigError(f"originals for the teacher: expected {expected}, as the patches trained on, got {found}")
    distill = info.config.distill
    if teacher is None and distill is not None and distill.teacher != "float":
        teacher = load_teacher(distill.teacher, info)
    if start is None and info.config.start is not None:
        start = load_start(info.config.start, info)
    run = TrainingRun(
        info.config,
        input_spec(codec, info.patch_shape),
        len(info.classes),
        codec,
        folder,
        teacher=teacher,
        start=start,
        report=report,
        progress=progress,
    )
    model = run.fit(Samples(train.patches, train.labels, originals), Samples(val.patches, val.labels))
    settled = settle(model)
    save_trained(folder, info, model)
    return Trained(info, codec, model), settled
