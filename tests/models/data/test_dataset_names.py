"""A data set is the same, split and labelled alike, in whatever form its names are written; what it lacks is told."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitswath.errors import DatasetError
from bitswath.models.data.datasets import SPLITS, load_dataset

CLASSES = ("Désert", "Eau", "Forêt")


def folders(root: Path, form: str) -> Path:
    for label, name in enumerate(CLASSES):
        folder = root / unicodedata.normalize(form, name)
        folder.mkdir(parents=True)
        for number in range(20):
            patch = np.full((4, 4, 3), 20 * label + number, np.uint8)
            Image.fromarray(patch).save(folder / unicodedata.normalize(form, f"été{number}.png"))
    return root


@pytest.mark.parametrize("split", SPLITS)
def test_normal_forms_make_no_other_data_set(tmp_path: Path, split: str) -> None:
    composed, decomposed = (load_dataset(folders(tmp_path / form, form), split) for form in ("NFC", "NFD"))
    assert composed.classes == decomposed.classes == CLASSES
    values = [sorted(zip(each.patches[:, 0, 0, 0].tolist(), each.labels.tolist())) for each in (composed, decomposed)]
    assert values[0] == values[1] and len(values[0]) > 0


def test_an_empty_folder_beside_decomposed_names_is_told(tmp_path: Path) -> None:
    root = folders(tmp_path / "data", "NFD")
    (root / "Ville").mkdir()
    with pytest.raises(DatasetError, match="Ville: expected images of a class, found none"):
        load_dataset(root, "train")


def test_a_class_that_is_a_link_is_read(tmp_path: Path) -> None:
    root = folders(tmp_path / "data", "NFC")
    whole = load_dataset(root, "train")
    (root / "Eau").rename(tmp_path / "Eau")
    (root / "Eau").symlink_to(tmp_path / "Eau")
    assert load_dataset(root, "train").digest == whole.digest


def test_what_is_left_out_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folders(tmp_path / "data", "NFC")
    (root / "Eau" / "more.gif").write_bytes(b"-")
    load_dataset(root, "train")
    assert "files left out that are no images by their names: 1 .gif" in capsys.readouterr().out
    load_dataset(root, "train", progress=False)
    assert capsys.readouterr().out == ""
