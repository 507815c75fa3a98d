"""What is classified, and what is not, is told with the figures."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import bitswath as bs
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.archive import ArchiveWriter, open_archive
from bitswath.codecs.uniform import UniformCodec
from bitswath.commands import classify, compress
from bitswath.errors import ArchiveError, ImageError, InputError
from bitswath.evaluation.classify import classify_path
from bitswath.imagery.fit import Fit
from bitswath.imagery.images import open_images
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


# Sizes


def of_two_sizes(root: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Patches of 8 x 8 and, as UC Merced has them, some of nearly that."""
    rng = np.random.default_rng(4)
    sides = {"a.png": (8, 8), "b.png": (7, 8), "c.png": (9, 10)}
    made = {name: rng.integers(0, 256, (*size, 3), np.uint8) for name, size in sides.items()}
    root.mkdir()
    for name, patch in made.items():
        Image.fromarray(patch).save(root / name)
    return root, made


def classified(bundle: Bundle, path: Path, *options: str) -> list[str]:
    done = CliRunner().invoke(classify.command, [str(bundle.path), str(path), *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [line.split(": ")[1] for line in done.output.splitlines()[: len(list(path.iterdir()))]]


def expected(bundle: Bundle, patches: list[np.ndarray]) -> list[str]:
    with bs.open(bundle.path) as accelerator:
        return [CLASSES[label] for label in accelerator.classify(np.stack(patches)).labels]


def test_images_of_other_sizes_are_resized_and_cropped(bundle: Bundle, tmp_path: Path) -> None:
    path, made = of_two_sizes(tmp_path / "images")
    resized = [np.asarray(Image.fromarray(patch).resize((8, 8), Image.Resampling.BILINEAR)) for patch in made.values()]
    with bs.open(bundle.path) as accelerator:
        ours = [fitted for batch in open_images(path, fit=Fit(resize=(8, 8))) for fitted in batch.patches]
        assert all(np.abs(one.astype(int) - other).max() <= 1 for one, other in zip(ours, resized))
        assert classified(bundle, path, "--resize", "8") == [
            CLASSES[label] for label in accelerator.classify(np.stack(ours)).labels
        ]
    (path / "b.png").unlink()
    cropped = [made["a.png"], made["c.png"][:8, 1:9]]
    assert classified(bundle, path, "--crop", "8x8") == expected(bundle, cropped)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (
            (),
            "b.png: is 7 x 8 x 3 uint8 (RGB); expected 8 x 8 x 3 uint8 (RGB); classify and compress take --resize 8x8",
        ),
        (("--crop", "8"), "b.png: is 7 x 8, too small to crop to 8 x 8; resize it"),
        (("--resize", "9"), "images: would be brought to 9 x 9; expected 8 x 8"),
    ],
)
@pytest.mark.parametrize("command", [classify.command, compress.command])
def test_a_wrong_size_is_refused_with_what_can_be_done(
    bundle: Bundle, tmp_path: Path, command: Any, options: tuple[str, ...], reason: str
) -> None:
    path, _ = of_two_sizes(tmp_path / "images")
    before = [str(bundle.path), str(path)] if command is classify.command else [str(path), "--bundle", str(bundle.path)]
    with pytest.raises(ImageError, match=re.escape(reason)) as caught:
        CliRunner().invoke(command, [*before, *options], catch_exceptions=False)
    assert "\n" not in str(caught.value)


def test_what_is_larger_may_be_cropped(bundle: Bundle, tmp_path: Path) -> None:
    path, _ = of_two_sizes(tmp_path / "images")
    (path / "b.png").unlink()
    with pytest.raises(ImageError, match=r"c\.png: is 9 x 10 .* take --resize 8x8 or --crop 8x8, a configuration the"):
        CliRunner().invoke(classify.command, [str(bundle.path), str(path)], catch_exceptions=False)


def test_an_archive_of_resized_patches_holds_them(bundle: Bundle, tmp_path: Path) -> None:
    path, _ = of_two_sizes(tmp_path / "images")
    target = tmp_path / "a.bsa"
    arguments = [str(path), "--codec", "uniform:8", "--resize", "12", "--crop", "8", "-o", str(target)]
    assert CliRunner().invoke(compress.command, arguments, catch_exceptions=False).exit_code == 0
    (batch,) = open_images(path, fit=Fit((12, 12), (8, 8)))
    archive = open_archive(target)
    np.testing.assert_array_equal(archive.codec.decode(archive.codes()), batch.patches)
    with pytest.raises(InputError, match="is an archive of packed patches; leave --resize and --crop out"):
        CliRunner().invoke(classify.command, [str(bundle.path), str(target), "--crop", "8"], catch_exceptions=False)


@pytest.mark.parametrize("size", ["0", "8x", "-3", "8,8"])
def test_a_size_that_is_none_is_a_wrong_call(bundle: Bundle, tmp_path: Path, size: str) -> None:
    done = CliRunner().invoke(classify.command, [str(bundle.path), str(tmp_path), "--resize", size])
    assert done.exit_code == 2
    assert "expected a size in pixels such as 256" in done.output
