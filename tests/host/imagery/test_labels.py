"""Folders mean the class of their name, however the name is written; what has no class, or no images, is told."""

from __future__ import annotations

import os
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bitswath.errors import ImageError
from bitswath.imagery.images import open_images
from bitswath.imagery.labels import class_index, class_name
from tests.host.image_files import png, tree, zipped

Store = Callable[[dict[str, bytes]], Path]

CLASSES = ("Forêt", "Eau", "Zône d’été")
FORMS = ("NFC", "NFD", "NFKC", "NFKD")


def images(*folders: str) -> dict[str, bytes]:
    return {f"{folder}/{i}.png": png(i) for folder in folders for i in range(2)}


def labels(path: Path, classes: tuple[str, ...] | None = CLASSES, **options: str) -> list[int | None]:
    return [label for _, label in open_images(path, classes=classes, **options).items]


# names


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("own", FORMS)
def test_normal_forms_of_a_name_are_one_class(store: Store, form: str, own: str) -> None:
    path = store(images(*(unicodedata.normalize(form, name) for name in CLASSES)))
    known = tuple(unicodedata.normalize(own, name) for name in CLASSES)
    source = open_images(path, classes=known)
    assert sorted(label or 0 for _, label in source.items) == [0, 0, 1, 1, 2, 2]
    assert source.classes == known and source.notes == ()


def test_classes_that_are_found_are_named_in_normal_form(store: Store) -> None:
    source = open_images(store(images("Eau", unicodedata.normalize("NFD", "Forêt"), "Zo#U0302ne")))
    assert source.classes == ("Eau", "Forêt", "Zône")


def test_two_forms_of_a_name_beside_each_other_are_one_class(store: Store) -> None:
    names = ("Forêt", unicodedata.normalize("NFD", "Forêt"), "Eau")
    assert sorted(labels(store(images(*names)), None)) == [0, 0, 1, 1, 1, 1]


def test_a_single_folder_in_another_form_is_not_looked_through(store: Store) -> None:
    path = store({f"{unicodedata.normalize('NFD', 'Forêt')}/2021/q1/a.png": png()})
    assert labels(path) == [0]


class Encoded(zipfile.ZipInfo):
    """An entry whose name is written in a code page, and not marked as UTF-8."""

    code_page = "cp850"

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.filename.encode(self.code_page), self.flag_bits & ~0x800


def encoded_zip(path: Path, names: tuple[str, ...], code_page: str) -> Path:
    kind = type("Entry", (Encoded,), {"code_page": code_page})
    with zipfile.ZipFile(path, "w") as file:
        for name, data in images(*names).items():
            file.writestr(kind(name), data)
    return path


@pytest.mark.parametrize(
    ("code_page", "classes"),
    [
        ("cp437", ("Forêt", "Eau", "Été")),
        ("cp850", ("Forêt", "Eau", "Água", "Ø")),
        ("cp1252", ("Forêt", "Eau", "Água")),
        ("cp866", ("Лес", "Вода")),
        ("cp1251", ("Лес", "Вода")),
        ("gbk", ("森林", "河流")),
        ("cp932", ("森林", "川")),
        ("utf-8", ("Forêt", "Eau", "森林", "Лес")),
    ],
)
def test_names_in_old_code_pages_are_matched(tmp_path: Path, code_page: str, classes: tuple[str, ...]) -> None:
    path = encoded_zip(tmp_path / "a.zip", classes, code_page)
    source = open_images(path, classes=classes)
    assert {label for _, label in source.items} == set(range(len(classes))) and source.notes == ()
    for name in classes:  # as some tools unpack them
        tree(tmp_path / "folder", {os.fsdecode(name.encode(code_page)) + "/a.png": png()})
    assert set(labels(tmp_path / "folder", classes)) == set(range(len(classes)))


def test_decomposed_utf8_that_is_not_marked_is_what_it_is(tmp_path: Path) -> None:
    names = tuple(unicodedata.normalize("NFD", name) for name in ("Forêt", "Eau"))
    path = encoded_zip(tmp_path / "a.zip", names, "utf-8")
    assert open_images(path).classes == ("Eau", "Forêt")
    assert sorted(labels(path)) == [0, 0, 1, 1]


@pytest.mark.parametrize("folder", ["For#U00eat", "For#U00EAt", "Fore#U0302t", "For#L0000eat", "For├¬t", "ForÃªt"])
def test_escapes_and_misread_bytes_are_matched(store: Store, folder: str) -> None:
    assert sorted(labels(store(images(folder, "Eau")))) == [0, 0, 1, 1]


def test_escapes_that_are_no_characters_stay() -> None:
    for name in ("a#UD800", "a#L110000", "#U12", "C#"):
        assert class_name(name) == name


def test_a_name_of_two_meanings_is_refused() -> None:
    name = b"For\x88t".decode("cp437")
    classes = (name.encode("cp437").decode("cp1252"), b"For\x88t".decode("cp866"))
    with pytest.raises(ImageError, match="may be the class"):
        class_index("For\udc88t", classes)


def test_a_class_by_its_very_name_goes_before_others() -> None:
    forms = ("é", unicodedata.normalize("NFD", "é"))
    assert [class_index(name, forms) for name in forms] == [0, 1]
    assert class_index("x", forms) is None and class_index("e", forms) is None


# what is no class, and classes without images


def test_classes_without_images_are_told(store: Store) -> None:
    path = store({**images("Forêt"), "Eau/notes.gif": b"-"})
    source = open_images(path, classes=CLASSES)
    assert source.notes[1:] == ("no images of Eau, Zône d’été",)
    assert source.notes[0].endswith("1 .gif")


def test_many_classes_without_images_are_told_in_one_line(store: Store) -> None:
    (note,) = open_images(store(images("c0")), classes=[f"c{i}" for i in range(30)]).notes
    assert note == "no images of c1, c2, c3, c4, c5, c6 and 23 more"


@pytest.mark.parametrize("around", ["", "set/", "test/", "set/test/"])
def test_empty_folders_beside_classes_are_told(tmp_path: Path, around: str) -> None:
    root = tree(tmp_path, images(f"{around}Forest", f"{around}River"))
    (root / around / "Sea").mkdir()
    (root / around / "Forest" / "more").mkdir()
    assert open_images(root).notes == ("no images of Sea",)
    assert open_images(root, classes=("River", "Forest")).notes == ("no images of Sea",)


def test_empty_folders_in_a_zip_are_told(tmp_path: Path) -> None:
    assert open_images(zipped(tmp_path / "a.zip", {**images("Forest", "River"), "Sea/": b""})).notes == (
        "no images of Sea",
    )


def test_classes_in_folders_of_categories_are_found(store: Store) -> None:
    files = {
        f"set/{split}/{name}/a.png": png() for split in ("train", "test") for name in ("water/River", "land/Forest")
    }
    source = open_images(store(files), split="test", classes=("Forest", "River"))
    assert dict(source.items) == {
        "set/test/land/Forest/a.png": 0,
        "set/test/water/River/a.png": 1,
    }
    assert not source.notes
    unknown = open_images(store(files), split="test")
    assert unknown.classes == ("land", "water")
    assert unknown.notes == ("folders inside those of classes count as these: land/Forest, water/River",)


def test_an_image_beside_categories_is_refused(store: Store) -> None:
    files = {"water/River/a.png": png(), "land/Forest/a.png": png(), "b.png": png()}
    with pytest.raises(ImageError, match=r"b\.png is in none of the classes Forest, River"):
        open_images(store(files), classes=("Forest", "River"))


def test_folders_that_are_no_classes_are_told(store: Store) -> None:
    source = open_images(store(images("forest", "river")), classes=("Forest", "River"))
    assert source.classes is None
    assert source.notes == ("no labels: no folder is named as one of the classes Forest, River: forest, river",)


def test_a_folder_that_is_no_class_beside_one_that_is_is_refused(store: Store) -> None:
    with pytest.raises(ImageError, match="Desert is in none of the classes Forêt, Eau"):
        open_images(store(images("Eau", "Desert")), classes=CLASSES)


@pytest.mark.parametrize("around", ["", "set/", "a/b/"])
def test_images_beside_classes_are_refused_below_other_folders_too(store: Store, around: str) -> None:
    path = store({**images(f"{around}Forêt", f"{around}Eau"), f"{around}x.png": png()})
    for classes in (CLASSES, None):
        with pytest.raises(ImageError, match=r"x\.png is in none of the classes"):
            open_images(path, classes=classes)


# splits


def test_a_split_is_found_in_any_case_and_below_a_folder(store: Store) -> None:
    path = store(
        images("set/Train/images/Forêt", "set/Train/images/Eau", "set/TEST/images/Forêt", "set/TEST/images/Eau")
    )
    for split in ("train", "Train"):
        assert labels(path, split=split) == [1, 1, 0, 0]
    with pytest.raises(ImageError, match="holds the splits TEST, Train; choose one"):
        open_images(path, classes=CLASSES)


def test_what_lies_beside_splits_is_told(store: Store) -> None:
    path = store({**images("train/Forêt", "test/Forêt", "more/Forêt"), "overview.png": png()})
    source = open_images(path, split="test", classes=("Forêt",))
    assert len(source) == 2 and source.notes == ("left out beside the splits: more, overview.png",)
    with pytest.raises(ImageError, match="holds the splits test, train; choose one"):
        open_images(path, classes=("Forêt",))


def test_a_class_may_be_called_as_a_split(store: Store) -> None:
    path = store(images("plane", "car", "train"))
    assert open_images(path).classes == ("car", "plane", "train")
    assert labels(path, ("car", "plane", "train")) == [0, 0, 1, 1, 2, 2]
    with pytest.raises(ImageError, match="no split 'train': train, car, plane are not all splits"):
        open_images(path, split="train")
