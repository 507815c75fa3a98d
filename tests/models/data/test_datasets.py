"""Data sets in every layout they are published in, their splits, and what is said when they are not right."""

from __future__ import annotations

import hashlib
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bitswath.errors import BitswathError, DatasetError
from bitswath.models.data import datasets
from bitswath.models.data.catalogue import CATALOGUE
from bitswath.models.data.datasets import FRACTIONS, SPLITS, data_folder, load_dataset, split_of
from bitswath.models.data.synthetic import synthetic_patches
from tests.paths import DATA

EUROSAT = DATA / "eurosat_rgb.zip"
EUROSAT_CLASSES = (
    "AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial",
    "Pasture", "PermanentCrop", "Residential", "River", "SeaLake",
)  # fmt: skip
PER_CLASS = 12

Tree = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_data_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BITSWATH_DATA", str(tmp_path / "nothing"))


def save(path: Path, patch: np.ndarray[Any, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        photometric = "rgb" if patch.shape[2] == 3 else "minisblack"
        tifffile.imwrite(path, patch, photometric=photometric, planarconfig="contig")
    else:
        Image.fromarray(patch).save(path)


def tree(
    root: Path, folders: Iterable[str], count: int = PER_CLASS, suffix: str = ".png", **options: Any
) -> dict[str, np.ndarray[Any, Any]]:
    """Image files in class folders below `root`, by their path in it."""
    made = {}
    for label, folder in enumerate(folders):
        patches, _ = synthetic_patches(range(label, 10 * count + label, 10), size=16, **options)
        for number, patch in enumerate(patches):
            made[f"{folder}/{Path(folder).name}_{number}{suffix}"] = patch
    for name, patch in made.items():
        save(root / name, patch)
    return made


def zipped(folder: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w") as file:
        for path in sorted(folder.rglob("*"), reverse=True):
            file.write(path, path.relative_to(folder))
    return target


def names_of_splits(made: Iterable[str]) -> dict[str, list[str]]:
    return {split: sorted(name for name in made if split_of(name) == split) for split in SPLITS}


# Real EuroSAT


@pytest.mark.skipif(not EUROSAT.exists(), reason=f"{EUROSAT.name} is not beside this checkout")
@pytest.mark.parametrize(("split", "most"), [("train", 2100), ("val", 300), ("test", 300)])
def test_eurosat_has_its_published_splits_and_classes(split: str, most: int) -> None:
    sixths = {3: 5, 4: 5, 5: 4, 6: 5, 8: 5}
    source = datasets._open(EUROSAT, split, CATALOGUE["eurosat"])  # listed only: train takes seconds to decode
    assert source.classes == EUROSAT_CLASSES
    assert len(source) == most * 9
    labels = [label for _, label in source.items]
    assert [labels.count(label) for label in range(10)] == [most * sixths.get(label, 6) // 6 for label in range(10)]


@pytest.mark.skipif(not EUROSAT.exists(), reason=f"{EUROSAT.name} is not beside this checkout")
def test_eurosat_is_decoded_whole() -> None:
    dataset = load_dataset("eurosat", "val", data=EUROSAT.parent)
    assert dataset.patches.shape == (2700, 64, 64, 3)
    assert dataset.patches.dtype == np.uint8
    assert np.bincount(dataset.labels).tolist() == [300, 300, 300, 250, 250, 200, 250, 300, 250, 300]


@pytest.mark.skipif(not EUROSAT.exists(), reason=f"{EUROSAT.name} is not beside this checkout")
def test_eurosat_patches_are_what_pillow_decodes() -> None:
    dataset = load_dataset("eurosat", "test", data=EUROSAT, limit=30)
    assert np.bincount(dataset.labels).tolist() == [3] * 10
    files = [name for name, _ in datasets._open(EUROSAT, "test", CATALOGUE["eurosat"]).items]
    kept = sorted(files, key=lambda name: datasets._hash(name)[8:])
    with zipfile.ZipFile(EUROSAT) as file:
        for label, name in enumerate(EUROSAT_CLASSES):
            chosen = sorted([path for path in kept if f"/{name}/" in path][:3])
            expected = np.stack([np.asarray(Image.open(file.open(path))) for path in chosen])
            np.testing.assert_array_equal(dataset.patches[dataset.labels == label], expected)


# Layouts


@pytest.mark.parametrize("layout", ["EuroSAT_RGB", "2750", "EuroSAT/2750", "eurosat_rgb"])
@pytest.mark.parametrize("packed", [False, True])
def test_eurosat_is_found_in_every_published_layout(tmp_path: Path, layout: str, packed: bool) -> None:
    made = tree(tmp_path / "made" / layout, EUROSAT_CLASSES, suffix=".png")
    data = tmp_path / "made"
    if packed:
        data = zipped(data, tmp_path / "data" / "EuroSAT.zip").parent
    for split, names in names_of_splits(made).items():
        dataset = load_dataset("eurosat", split, data=data)
        assert (dataset.name, dataset.split, dataset.classes) == ("eurosat", split, EUROSAT_CLASSES)
        np.testing.assert_array_equal(dataset.patches, np.stack([made[name] for name in names]))
        assert [dataset.classes[label] for label in dataset.labels] == [name.split("/")[0] for name in names]


@pytest.mark.parametrize("layout", ["EuroSAT_MS", "ds/images/remote_sensing/otherDatasets/sentinel_2/tif"])
def test_eurosat_ms_has_thirteen_bands_of_sixteen_bits(tmp_path: Path, layout: str) -> None:
    made = tree(tmp_path / layout, EUROSAT_CLASSES, suffix=".tif", bands=13, depth=16)
    data = zipped(tmp_path, tmp_path.parent / f"{tmp_path.name}_data" / "EuroSATallBands.zip").parent
    dataset = load_dataset("eurosat_ms", "test", data=data)
    expected = np.stack([made[name] for name in names_of_splits(made)["test"]])
    assert dataset.patches.dtype == np.uint16
    np.testing.assert_array_equal(dataset.patches, expected)


def test_a_place_of_eurosat_is_in_one_split_in_either_format() -> None:
    assert split_of("2750/River/River_7.jpg") == split_of("EuroSAT_MS/River/River_7.tif")


def test_rsi_cb256_has_its_classes_in_folders_of_categories(tmp_path: Path) -> None:
    folders = [f"category {number % 6}/class {number:02}" for number in range(35)]
    made = tree(tmp_path / "RSI-CB256", folders, count=10, suffix=".tif")
    dataset = load_dataset("rsi_cb256", "train", data=tmp_path)
    assert dataset.classes == tuple(f"class {number:02}" for number in range(35))
    names = names_of_splits(made)["train"]
    assert [dataset.classes[label] for label in dataset.labels] == [name.split("/")[1] for name in names]
    np.testing.assert_array_equal(dataset.patches, np.stack([made[name] for name in names]))


def test_aid_is_found_and_may_be_resized(tmp_path: Path) -> None:
    made = tree(tmp_path / "AID", [f"Class{number:02}" for number in range(30)], count=8, suffix=".jpg")
    dataset = load_dataset("aid", "train", data=tmp_path, size=5)
    assert dataset.patches.shape == (len(names_of_splits(made)["train"]), 5, 5, 3)


def of_nearly_one_size(root: Path) -> dict[str, np.ndarray[Any, Any]]:
    """As UC Merced comes: most patches of 32 x 32 and some of a few pixels less, in train/ and test/ alone."""
    rng = np.random.default_rng(3)
    sides = [(32, 32), (31, 31), (32, 29), (32, 32), (29, 32)]
    made = {
        f"{split}/{folder}/{folder}_{number}.tif": rng.integers(0, 256, (*sides[number % 5], 3), dtype=np.uint8)
        for split in ("train", "test")
        for folder in ("airport", "beach")
        for number in range(10)
    }
    for name, patch in made.items():
        save(root / name, patch)
    return made


def test_patches_of_nearly_one_size_are_resized_or_cropped(tmp_path: Path) -> None:
    made = of_nearly_one_size(tmp_path)
    files = [name for name in sorted(made) if name.startswith("test/")]
    resized = load_dataset(tmp_path, "test", resize=(32, 32)).patches
    for name, patch in zip(files, resized):
        for band in range(3):
            image = Image.fromarray(made[name][..., band].astype(np.float32))
            theirs = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR))
            assert np.abs(patch[..., band] - theirs).max() <= 0.51
    cropped = load_dataset(tmp_path, "test", crop=(28, 27)).patches
    for name, patch in zip(files, cropped):
        top, left = (made[name].shape[0] - 28) // 2, (made[name].shape[1] - 27) // 2
        np.testing.assert_array_equal(patch, made[name][top : top + 28, left : left + 27])
    both = load_dataset(tmp_path, "test", resize=(32, 32), crop=(20, 20)).patches
    np.testing.assert_array_equal(both, resized[:, 6:26, 6:26])


def test_patches_of_other_sizes_say_how_they_can_be_used(tmp_path: Path) -> None:
    of_nearly_one_size(tmp_path)
    assert re.search(r"airport_\d\.tif: is 31 x 31 .* expected 32 x 32 .*--resize 32x32, a", message(tmp_path, "test"))
    assert "too small to crop to 30 x 30; resize it" in message(tmp_path, "test", crop=(30, 30))
    assert "expected one of them" in message(tmp_path, "test", size=32, resize=(32, 32))
    assert "drawn at any size" in message("synthetic", crop=(8, 8))


@pytest.mark.parametrize("packed", [False, True])
def test_without_val_a_part_of_train_stands_for_it(tmp_path: Path, packed: bool) -> None:
    made = {split: tree(tmp_path / "own" / split, ["a", "b", "c"], count=20) for split in ("train", "test")}
    path = zipped(tmp_path / "own", tmp_path / "own.zip") if packed else tmp_path / "own"
    train, val, test = (load_dataset(path, split, val_share=0.2) for split in SPLITS)
    assert [np.bincount(part.labels).tolist() for part in (train, val, test)] == [[16] * 3, [4] * 3, [20] * 3]
    parts = [{patch.tobytes() for patch in part.patches} for part in (train, val)]
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == {patch.tobytes() for patch in made["train"].values()}
    stated = "has no val: 12 of the 60 images of train stand for it, 0.2 of each class, drawn by seed 0"
    assert stated in train.notes
    assert stated in val.notes
    assert not test.notes
    again, other = (load_dataset(path, "val", val_share=0.2, seed=seed) for seed in (0, 1))
    assert again.digest == val.digest != other.digest


def test_every_class_of_two_images_has_one_in_val(tmp_path: Path) -> None:
    tree(tmp_path / "train", ["a", "b"], count=2)
    save(tmp_path / "train" / "c" / "c.png", synthetic_patches([0], size=16)[0][0])
    assert load_dataset(tmp_path, "val").labels.tolist() == [0, 1]
    assert load_dataset(tmp_path, "train").labels.tolist() == [0, 1, 2]
    assert "has no split 'test'" in message(tmp_path, "test")
    assert "val_share: expected a share between 0 and 1, not 1" in message(tmp_path, "val", val_share=1.0)


def test_a_val_of_other_classes_is_not_replaced(tmp_path: Path) -> None:
    tree(tmp_path / "train", ["a", "b"], count=2)
    tree(tmp_path / "val", ["a", "c"], count=2)
    assert "c is in none of the classes a, b" in message(tmp_path, "val")


@pytest.mark.parametrize("valid", ["val", "valid", "validation"])
@pytest.mark.parametrize("packed", [False, True])
def test_splits_inside_a_set_are_used_as_they_are(tmp_path: Path, valid: str, packed: bool) -> None:
    made = {split: tree(tmp_path / "own" / split, ["a", "b", "c"], count=3) for split in ("train", "test", valid)}
    path = zipped(tmp_path / "own", tmp_path / "own.zip") if packed else tmp_path / "own"
    for split, folder in (("train", "train"), ("val", valid), ("test", "test")):
        dataset = load_dataset(path, split)
        np.testing.assert_array_equal(dataset.patches, np.stack([made[folder][name] for name in sorted(made[folder])]))
        assert dataset.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
        assert (dataset.name, dataset.classes) == ("own", ("a", "b", "c"))


def test_a_class_may_have_folders_inside(tmp_path: Path) -> None:
    made = tree(tmp_path, ["a/2023", "a/2024", "b/2023"])
    dataset = load_dataset(tmp_path, "train")
    assert dataset.classes == ("a", "b")
    names = names_of_splits(made)["train"]
    assert [dataset.classes[label] for label in dataset.labels] == [name[0] for name in names]


def test_a_class_missing_from_a_split_keeps_the_labels_of_the_others(tmp_path: Path) -> None:
    tree(tmp_path / "train", ["a", "b", "c"], count=2)
    tree(tmp_path / "test", ["b", "c"], count=2)
    dataset = load_dataset(tmp_path, "test")
    assert dataset.classes == ("a", "b", "c")
    assert dataset.labels.tolist() == [1, 1, 2, 2]


def test_the_environment_names_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path / "EuroSAT_RGB", EUROSAT_CLASSES)
    monkeypatch.setenv("BITSWATH_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    assert data_folder("elsewhere") == Path("elsewhere")
    assert len(load_dataset("eurosat", "train")) > 0
    monkeypatch.delenv("BITSWATH_DATA")
    assert data_folder().parts[-2:] == ("bitswath", "data")


# Splits


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1), st.sampled_from(["a", "b/c"]))
def test_a_split_depends_on_folder_and_stem_alone(stem: str, folder: str) -> None:
    stem = re.sub(r"[/.\x00]", "_", stem)
    assert split_of(f"{folder}/{stem}.jpg") == split_of(f"elsewhere/{folder}/{stem}.tif")


def test_these_files_stay_in_these_splits() -> None:
    splits = [split_of(f"Forest/Forest_{number}.jpg") for number in range(1, 13)]
    assert splits == ["train", "test", "val", "val", "train", "train", "val", "train", "test", "test", "train", "train"]


def test_splits_have_their_share_of_every_class() -> None:
    for name in EUROSAT_CLASSES:
        splits = [split_of(f"{name}/{name}_{number}.jpg") for number in range(1, 3001)]
        for split, fraction in FRACTIONS.items():
            deviation = (3000 * fraction * (1 - fraction)) ** 0.5
            assert abs(splits.count(split) - 3000 * fraction) < 4 * deviation


def test_adding_files_moves_no_other_file(tmp_path: Path) -> None:
    tree(tmp_path, ["a", "b"], count=30)
    before = {split: load_dataset(tmp_path, split) for split in SPLITS}
    tree(tmp_path, ["a", "b", "c"], count=50)
    for split in SPLITS:
        after = {patch.tobytes() for patch in load_dataset(tmp_path, split).patches}
        assert {patch.tobytes() for patch in before[split].patches} <= after


def test_splits_are_disjoint_and_complete(tmp_path: Path) -> None:
    made = tree(tmp_path, ["a", "b"], count=40)
    parts = [{patch.tobytes() for patch in load_dataset(tmp_path, split).patches} for split in SPLITS]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(made)


# Options


def test_a_limit_is_shared_by_the_classes_and_nested(tmp_path: Path) -> None:
    tree(tmp_path / "train", ["a", "b", "c"], count=10)
    shutil.rmtree(tmp_path / "train" / "c")
    tree(tmp_path / "train", ["c"], count=2)
    tree(tmp_path / "val", ["a", "b", "c"], count=1)
    loaded = {limit: load_dataset(tmp_path, "train", limit=limit) for limit in (1, 3, 8, 12, 500)}
    counts = {limit: np.bincount(dataset.labels, minlength=3).tolist() for limit, dataset in loaded.items()}
    assert counts == {1: [1, 0, 0], 3: [1, 1, 1], 8: [3, 3, 2], 12: [5, 5, 2], 500: [10, 10, 2]}
    kept = [{patch.tobytes() for patch in loaded[limit].patches} for limit in (1, 3, 8, 12, 500)]
    assert all(smaller < larger for smaller, larger in pairwise(kept))


def test_synthetic_patches_are_a_data_set() -> None:
    dataset = load_dataset("synthetic", "val", limit=25, size=20, bands=5, depth=16, seed=9)
    patches, labels = synthetic_patches(range(25), "val", size=20, bands=5, depth=16, seed=9)
    np.testing.assert_array_equal(dataset.patches, patches)
    np.testing.assert_array_equal(dataset.labels, labels)
    assert len(load_dataset("synthetic", "val", size=8)) == 1000


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    tree(tmp_path / "one" / "train", ["a", "b"], count=3)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    one, two = (load_dataset(tmp_path / name, "train") for name in ("one", "two"))
    assert re.fullmatch("sha256:[0-9a-f]{64}", one.digest)
    assert one.digest == two.digest
    save(tmp_path / "two" / "train" / "b" / "b_0.png", one.patches[0])
    assert load_dataset(tmp_path / "two", "train").digest != one.digest


# Downloads


def test_a_missing_set_is_downloaded_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "served" / "EuroSAT_RGB.zip"
    tree(tmp_path / "made" / "EuroSAT_RGB", EUROSAT_CLASSES)
    zipped(tmp_path / "made", archive)
    asked = {}

    def fetch(url: str, target: Path, **options: Any) -> Path:
        asked.update(options, url=url)
        target.parent.mkdir(parents=True)
        return Path(shutil.copy(archive, target))

    monkeypatch.setattr(datasets, "fetch", fetch)
    first = load_dataset("eurosat", "train", data=tmp_path / "data", download=True, progress=False)
    assert asked.pop("url") == "https://zenodo.org/records/7711810/files/EuroSAT_RGB.zip"
    assert asked == {"checksum": "md5:f46e308c4d50d4bf32fedad2d3d62f3b", "size_bytes": 94658721, "progress": False}
    asked.clear()
    again = load_dataset("eurosat", "train", data=tmp_path / "data", download=True)
    assert asked == {}
    assert again.digest == first.digest


def test_offered_checksums_are_well_formed() -> None:
    for offer in filter(None, (published.download for published in CATALOGUE.values())):
        algorithm, _, digest = offer.checksum.partition(":")
        assert len(digest) == 2 * hashlib.new(algorithm).digest_size


# What is said when something is not right


def message(name: Any, split: str = "train", **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        load_dataset(name, split, **options)
    assert isinstance(caught.value, BitswathError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    known = "eurosat, eurosat_ms, rsi_cb256, aid, synthetic"
    assert message("imagenet") == f"no data set 'imagenet': expected {known}, or the path of a folder or zip"


def test_an_unknown_split_and_a_wrong_number_are_named() -> None:
    assert "expected one of train, val, test, not 'dev'" in message("synthetic", "dev")
    assert "limit: expected a number >= 1, not 0" in message("synthetic", limit=0)
    assert "bands: expected a number >= 1, not 0" in message("synthetic", bands=0)
    assert "depth: expected 8 or 16 bits, not 7" in message("synthetic", depth=7)


def test_a_missing_set_says_where_it_was_looked_for_and_how_to_get_it(tmp_path: Path) -> None:
    text = message("eurosat", data=tmp_path)
    assert str(tmp_path) in text
    assert "ask for a download (95 MB), or put EuroSAT_RGB.zip from https://zenodo.org/records/7711810 there" in text
    text = message("aid", data=tmp_path, download=True)
    assert "get it from https://captain-whu.github.io/AID/ and put it there as aid.zip or aid/" in text


def test_a_missing_split_is_named(tmp_path: Path) -> None:
    tree(tmp_path / "train", ["a", "b"], count=2)
    assert "has no split 'test'" in message(tmp_path, "test")
    (tmp_path / "train").rename(tmp_path / "test")
    assert "has no split 'train', only 'test'" in message(tmp_path, "val")


def test_images_without_class_folders_are_no_data_set(tmp_path: Path) -> None:
    tree(tmp_path, ["a"])
    assert "expected a folder for each of at least two classes" in message(tmp_path)
    assert "expected a folder for each of at least two classes" in message(tmp_path / "a")


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    tree(tmp_path / "set", ["a", "b"])
    (tmp_path / "set" / "c").mkdir()
    assert "c: expected images of a class, found none" in message(tmp_path / "set")
    only_test = next(f"c/{number}.png" for number in range(99) if split_of(f"c/{number}.png") == "test")
    save(tmp_path / "set" / only_test, synthetic_patches([0], size=16)[0][0])
    assert "class 'c' has no image in the split 'train'" in message(tmp_path / "set")
    assert load_dataset(tmp_path / "set", "test").labels[-1] == 2


def test_too_few_images_for_a_split_are_an_error(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        name = next(f"{folder}/{number}.png" for number in range(99) if split_of(f"{folder}/{number}.png") == "train")
        save(tmp_path / name, synthetic_patches([0], size=16)[0][0])
    assert len(load_dataset(tmp_path, "train")) == 2
    assert "none of its images falls into the split 'val'" in message(tmp_path, "val")


def test_images_of_different_shapes_are_an_error_that_names_one(tmp_path: Path) -> None:
    tree(tmp_path / "train", ["a", "b"], count=2)
    tree(tmp_path / "val", ["a", "b"], count=2)
    save(tmp_path / "train" / "b" / "b_1.png", synthetic_patches([1], size=17)[0][0])
    text = message(tmp_path)
    assert "b_1.png" in text
    assert "17 x 17 x 3" in text


def test_other_bands_or_depths_than_required_are_an_error(tmp_path: Path) -> None:
    tree(tmp_path / "EuroSAT", EUROSAT_CLASSES, suffix=".tif", bands=13, depth=16)
    assert "expected 3 bands of 8 bits, found 13 bands of 16 bits" in message("eurosat", data=tmp_path)
    assert "expected 4 bands of 16 bits, found 13 bands of 16 bits" in message(tmp_path / "EuroSAT", bands=4)


def test_an_incomplete_published_set_is_an_error(tmp_path: Path) -> None:
    tree(tmp_path / "EuroSAT_RGB", EUROSAT_CLASSES[:9])
    assert "expected 10 classes, found 9; is it whole?" in message("eurosat", data=tmp_path)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    tree(tmp_path / "train", ["a", "b"], count=2)
    tree(tmp_path / "val", ["a", "b"], count=2)
    (tmp_path / "train" / "a" / "a_1.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    assert "a_1.png" in message(tmp_path)


def test_a_damaged_zip_is_named(tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(b"PK not a zip")
    assert "set.zip" in message(tmp_path / "set.zip")


def test_patches_that_exceed_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path / "train", ["a", "b"], count=2)
    tree(tmp_path / "val", ["a", "b"], count=2)
    monkeypatch.setattr(datasets.os, "sysconf", lambda name: 1)
    assert "ask for a smaller size or a limit" in message(tmp_path)
