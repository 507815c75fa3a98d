"""The zoo's check: it runs the command, and it can fail."""

from __future__ import annotations

from pathlib import Path

import check_zoo
import make_zoo
import numpy as np
import pytest
from PIL import Image

from bitswath.accelerator import open as open_accelerator
from bitswath.bundle.bundle import Bundle, load_bundle, update_accuracy
from bitswath.bundle.manifest import SplitAccuracy
from bitswath.models.data.datasets import load_configured
from bitswath.models.nets.config import DataConfig
from tests.scripts.test_make_zoo import copy_of

FEW = DataConfig(name="synthetic", limit=60)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """The small network with its accuracy on 60 patches of the test split, and its card."""
    made = copy_of(tmp_path / "few.bsw", data=FEW.model_dump())
    samples = load_configured(FEW, "test")
    with open_accelerator(made) as accelerator:
        correct = int((accelerator.classify(samples.patches).labels == samples.labels).sum())
    made = update_accuracy(made, "test", correct, 60)
    make_zoo.write_card(made.path)
    return made


def test_what_the_manifest_says_is_what_the_command_counts(bundle: Bundle, tmp_path: Path) -> None:
    assert check_zoo.check(str(bundle.path), None, tmp_path) == []


def test_another_count_is_told(bundle: Bundle, tmp_path: Path) -> None:
    said = bundle.manifest.accuracy["test"]
    update_accuracy(bundle, "test", said.correct - 1, 60)
    found = check_zoo.check(str(bundle.path), None, tmp_path)
    assert found[0] == f"correct: manifest {said.correct - 1}, classify {said.correct}"
    assert found[-1] == "its card is not what make_zoo writes"


def test_a_card_of_other_figures_is_told() -> None:
    figures = {"correct": 9, "patches": 10, "accuracy": 0.9}
    row = "| test | 90.00 % (59.58-98.21) | 9 of 10 |"
    assert check_zoo.differences(SplitAccuracy.of(9, 10), figures, f"# x\n{row}\n") == []
    assert check_zoo.differences(SplitAccuracy.of(9, 10), figures, row.replace("90", "91")) == [
        f"its card has no row {row}"
    ]
    assert check_zoo.differences(None, figures, row) == ["its manifest has no accuracy on test"]


def test_a_published_set_in_splits_is_given_to_the_command_as_it_is(tmp_path: Path) -> None:
    bundle = load_bundle(make_zoo.ZOO / "eurosat-u4-w4a4.bsw")
    folder = tmp_path / "eurosat_rgb" / "test" / bundle.classes[0]
    folder.mkdir(parents=True)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "a.png")
    assert check_zoo.source_of(bundle, tmp_path, tmp_path) == [str(tmp_path / "eurosat_rgb"), "--split", "test"]
