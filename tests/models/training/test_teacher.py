"""A teacher sees the original patches, as its own codec codes them, changed as the student's are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import ConfigError
from bitswath.models.data.datasets import Dataset
from bitswath.models.nets.architectures import InputSpec
from bitswath.models.training.fit import train_model
from bitswath.models.training.train import Samples, Teacher, TrainingRun
from tests.models.training.test_train import config, info, samples

BATCHES = 3
ONE_EPOCH = {"epochs": 1, "batch": 32}


class Watched(UniformCodec):
    """Keeps what it was given and what it made of it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "seen", [])

    def encode(self, patches: np.ndarray, **options: Any) -> np.ndarray:
        codes = super().encode(patches, **options)
        self.seen.append((patches, codes))  # type: ignore[attr-defined]
        return codes


class Taught:
    """A teacher that keeps the codes it is asked about."""

    def __init__(self, codec: Any) -> None:
        self.codes: list[np.ndarray] = []
        self.teacher = Teacher(codec, self._logits)

    def _logits(self, codes: np.ndarray) -> np.ndarray:
        self.codes.append(codes)
        return np.zeros((len(codes), 3), np.float32)


def train(folder: Path, codec: Any, teacher: Teacher, data: Samples, spec: InputSpec, zoom: float = 0.5) -> None:
    """An epoch of three batches, flipped, turned, shifted and zoomed."""
    settings = config(
        distill={"teacher": "elsewhere"}, schedule=ONE_EPOCH, augment={"shift": 3, "zoom": zoom}, widths="float"
    )
    TrainingRun(settings, spec, 3, codec, folder, teacher=teacher).fit(data, samples(10, 1))


def test_a_student_sees_fewer_bits_of_what_its_teacher_sees(tmp_path: Path) -> None:
    student, taught = Watched(1), Taught(UniformCodec(8))
    data = samples(32 * BATCHES, 0)
    train(tmp_path, student, taught.teacher, data, InputSpec((16, 16, 3), 1))
    views = student.seen[:BATCHES]  # type: ignore[attr-defined]
    for (patches, codes), original in zip(views, taught.codes, strict=True):
        assert np.array_equal(original, patches)
        assert np.array_equal(codes, original >> 7)
        assert not any((original == patch).all((1, 2, 3)).any() for patch in data.patches)


def test_a_teacher_of_pixels_sees_no_palette_of_the_student(tmp_path: Path) -> None:
    data = samples(32 * BATCHES, 0)
    palette, taught = PaletteCodec.fit(data.patches, 2), Taught(Watched(8))
    spec = InputSpec(palette.code_shape((16, 16, 3)), 2, palette.values)
    train(tmp_path, palette, taught.teacher, data, spec)
    for codes, (patches, own) in zip(taught.codes, taught.teacher.codec.seen, strict=True):  # type: ignore[attr-defined]
        assert np.array_equal(codes, own)
        assert np.array_equal(codes, patches)
        assert len(np.unique(codes.reshape(-1, 3), axis=0)) > 4


def test_equal_codecs_code_a_batch_once_for_both(tmp_path: Path) -> None:
    student, own = Watched(4), Watched(4)
    taught = Taught(own)
    train(tmp_path, student, taught.teacher, samples(32 * BATCHES, 0), InputSpec((16, 16, 3), 4))
    assert not own.seen  # type: ignore[attr-defined]
    for (_, codes), shared in zip(student.seen[:BATCHES], taught.codes, strict=True):  # type: ignore[attr-defined]
        assert shared is codes


@pytest.mark.parametrize("teacher_bits", [8, 4])
def test_originals_of_a_lossy_file_are_the_teachers_changed_as_the_patches_are(
    tmp_path: Path, teacher_bits: int
) -> None:
    data = samples(32 * BATCHES, 0)
    lossy = Samples(data.patches & 0xC0, data.labels, data.patches)
    student, taught = Watched(4), Taught(UniformCodec(teacher_bits))
    train(tmp_path, student, taught.teacher, lossy, InputSpec((16, 16, 3), 4), zoom=0)
    for (patches, _), codes in zip(student.seen[:BATCHES], taught.codes, strict=True):  # type: ignore[attr-defined]
        assert np.array_equal(patches, codes << (8 - teacher_bits) & 0xC0)
        assert len(np.unique(codes)) > 4


def test_originals_of_another_shape_are_refused(tmp_path: Path) -> None:
    data = Dataset("stripes", "train", samples(64, 0).patches, samples(64, 0).labels, ("a", "b", "c"))
    codec = UniformCodec(4)
    for originals in (data.patches[:-1], data.patches.astype(np.uint16)):
        with pytest.raises(ConfigError, match="originals for the teacher: expected uint8"):
            train_model(info(config(), codec), codec, data, data, tmp_path, originals=originals)
