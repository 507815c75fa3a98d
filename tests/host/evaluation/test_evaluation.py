"""What is classified, and what is not, is told with the figures."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import bitswath as bs
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.archive import ArchiveWriter
from bitswath.codecs.uniform import UniformCodec
from bitswath.commands import classify, compress
from bitswath.errors import ArchiveError, ImageError
from bitswath.evaluation.classify import classify_path
from tests.host.kinds import linear

SHAPE = (8, 8, 3)
CLASSES = ("Forêt", "Eau", "Désert")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    network = linear(np.random.default_rng(1).integers(-7, 8, (3, 192)), SHAPE, 4)
    path = tmp_path / "small.bsw"
    return save_bundle(path, network=network, codec=UniformCodec(4), patch_shape=SHAPE, classes=CLASSES)


def folders(root: Path, form: str, count: int = 3) -> Path:
    rng = np.random.default_rng(2)
    for name in CLASSES:
        folder = root / unicodedata.normalize(form, name)
        folder.mkdir(parents=True)
        for index in range(count):
            Image.fromarray(rng.integers(0, 256, SHAPE, np.uint8)).save(folder / f"{index}.png")
    return root


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_folders_and_archives_in_any_form_have_the_same_labels(bundle: Bundle, tmp_path: Path, form: str) -> None:
    images = folders(tmp_path / form, form)
    archive = tmp_path / "images.bsa"
    packed = CliRunner().invoke(
        compress.command, [str(images), "--codec", "uniform:4", "-o", str(archive)], catch_exceptions=False
    )
    assert packed.exit_code == 0
    with bs.open(bundle.path) as accelerator:
        results = [classify_path(accelerator, path) for path in (images, archive)]
    for result in results:
        assert result.labels is not None
        truth = [unicodedata.normalize("NFC", Path(name).parent.name) for name in result.names]
        assert [CLASSES[label] for label in result.labels] == truth
    np.testing.assert_array_equal(*[result.predicted[np.argsort(result.names)] for result in results])


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_classes_of_an_archive_are_matched_in_any_form(bundle: Bundle, tmp_path: Path, form: str) -> None:
    patches = np.random.default_rng(3).integers(0, 256, (3, *SHAPE), np.uint8)
    names = [unicodedata.normalize(form, name) for name in reversed(CLASSES)]
    with ArchiveWriter(tmp_path / "a.bsa", bundle.codec, SHAPE, names) as writer:
        writer.append(bundle.codec.encode_packed(patches), np.arange(3))
    with bs.open(bundle.path) as accelerator:
        labels = classify_path(accelerator, tmp_path / "a.bsa").labels
    assert labels is not None and labels.tolist() == [2, 1, 0]


def test_an_archive_of_another_class_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    images = folders(tmp_path / "images", "NFD")
    (images / "Eau").rename(images / "Lac")
    CliRunner().invoke(
        compress.command, [str(images), "--codec", "uniform:4", "-o", str(tmp_path / "a.bsa")], catch_exceptions=False
    )
    with bs.open(bundle.path) as accelerator, pytest.raises(ArchiveError, match="holds the class 'Lac'"):
        classify_path(accelerator, tmp_path / "a.bsa")


def test_what_is_missing_is_printed_and_written(bundle: Bundle, tmp_path: Path) -> None:
    images = folders(tmp_path / "images", "NFC")
    for index in range(3):
        (images / "Eau" / f"{index}.png").rename(images / "Eau" / f"{index}.gif")
    facts = tmp_path / "facts.json"
    done = CliRunner().invoke(
        classify.command, [str(bundle.path), str(images), "--json", str(facts)], env={"COLUMNS": "200"}
    )
    notes = ["files left out that are no images by their names: 3 .gif", "no images of Eau"]
    assert done.exit_code == 0 and all(note in done.output for note in notes)
    figures = json.loads(facts.read_text())
    assert (figures["notes"], figures["patches"], figures["ignored_files"]) == (notes, 6, 3)


def test_a_class_folder_that_leads_nowhere_is_an_error_whatever_is_skipped(bundle: Bundle, tmp_path: Path) -> None:
    images = folders(tmp_path / "images", "NFC")
    (images / "Eau").rename(tmp_path / "Eau")
    (images / "Eau").symlink_to(tmp_path / "gone")
    with bs.open(bundle.path) as accelerator, pytest.raises(ImageError, match=r"images/Eau: is a link to .*gone"):
        classify_path(accelerator, images, skip_bad=True)
