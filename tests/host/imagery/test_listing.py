"""Images are found wherever links and zips put them; where one cannot be, its name is told."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bitswath.errors import ImageError
from bitswath.imagery.images import open_images
from tests.host.image_files import pixels, png, tree, zipped

CLASSES = ("Forest", "River", "Sea")


def images(*folders: str) -> dict[str, bytes]:
    return {f"{folder}/{i}.png": png(i) for folder in folders for i in range(4)}


# links


def test_class_folders_that_are_links_are_read(tmp_path: Path) -> None:
    tree(tmp_path / "elsewhere", images("Sea"))
    root = tree(tmp_path / "data", images("Forest", "River"))
    (root / "Sea").symlink_to(tmp_path / "elsewhere" / "Sea")
    source = open_images(root, classes=CLASSES)
    assert [label for _, label in source.items] == [0] * 4 + [1] * 4 + [2] * 4 and source.notes == ()
    (batch,) = source
    np.testing.assert_array_equal(batch.patches[-1], pixels(3))


@pytest.mark.parametrize("relative", [False, True])
def test_all_that_is_linked_is_read(tmp_path: Path, relative: bool) -> None:
    tree(tmp_path / "a", images(*CLASSES))
    links = tmp_path / "links"
    links.mkdir()
    for name in CLASSES:
        (links / name).symlink_to(Path("..", "a", name) if relative else tmp_path / "a" / name)
    (tmp_path / "link").symlink_to(links)
    assert len(open_images(tmp_path / "link", classes=CLASSES)) == 12
    for name in CLASSES:
        (tmp_path / "b" / name).mkdir(parents=True)
        for image in (tmp_path / "a" / name).iterdir():
            (tmp_path / "b" / name / image.name).symlink_to(image)
    assert len(open_images(tmp_path / "b", classes=CLASSES)) == 12


def test_splits_may_be_links_to_one_folder(tmp_path: Path) -> None:
    tree(tmp_path / "a", images(*CLASSES))
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        (tmp_path / "data" / split).symlink_to(tmp_path / "a")
    for split in ("train", "test"):
        assert len(open_images(tmp_path / "data", split=split, classes=CLASSES)) == 12


@pytest.mark.parametrize("target", [".", "..", "../Forest", "../../data"])
def test_a_link_back_is_an_error_that_names_it(tmp_path: Path, target: str) -> None:
    root = tree(tmp_path / "data", images("Forest", "River"))
    (root / "Forest" / "again").symlink_to(target)
    with pytest.raises(ImageError, match=r"Forest/again: is a link back to a folder that it lies in"):
        open_images(root)


def test_two_folders_that_link_to_each_other_are_an_error(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", images("Forest", "River"))
    (root / "Forest" / "x").symlink_to("../River")
    (root / "River" / "y").symlink_to("../Forest")
    with pytest.raises(ImageError, match="is a link back"):
        open_images(root)


def test_a_link_to_itself_is_an_error_that_names_it(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", images("Forest", "River"))
    (root / "Sea").symlink_to("Sea")
    with pytest.raises(ImageError, match=r"data/Sea: "):
        open_images(root)


def test_links_that_lead_nowhere_are_errors_that_name_them(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", images("Forest", "River"))
    (root / "Sea").symlink_to("/nowhere/Sea")
    with pytest.raises(ImageError, match=r"data/Sea: is a link to /nowhere/Sea, which is not there"):
        open_images(root, classes=CLASSES, skip_bad=True)
    (root / "Sea").unlink()
    (root / "Forest" / "x.png").symlink_to("/nowhere/x.png")
    with pytest.raises(ImageError, match=r"Forest/x.png: is a link to /nowhere/x.png, which is not there"):
        list(open_images(root))
    with pytest.raises(ImageError, match=r"x.png: is a link to /nowhere/x.png"):
        open_images(root / "Forest" / "x.png")


def test_hidden_folders_are_not_looked_into_but_counted(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", {**images("Forest", "River"), ".cache/a.png": b"-"})
    (root / ".lock").symlink_to("host:1234")
    source = open_images(root)
    assert len(source) == 8 and source.notes == ("files left out that are no images by their names: 2 hidden",)


# zips


def test_backslashes_part_folders(tmp_path: Path) -> None:
    files = {name.replace("/", "\\"): data for name, data in images("Forest", "River").items()}
    source = open_images(zipped(tmp_path / "a.zip", {"Sea\\": b"", **files}))
    assert source.classes == ("Forest", "River") and source.notes == ("no images of Sea",)
    (batch,) = source
    assert batch.names[:2] == ("Forest/0.png", "Forest/1.png")
    np.testing.assert_array_equal(batch.patches[1], pixels(1))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("other", ["Forest/0.png", "Forest\\0.png", "Forest/./0.png"])
def test_two_entries_of_one_name_are_refused(tmp_path: Path, other: str) -> None:
    path = zipped(tmp_path / "a.zip", images("Forest", "River"))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(other, png(9))
    with pytest.raises(ImageError, match=r"a\.zip: holds 'Forest/0\.png' twice"):
        open_images(path)


@pytest.mark.parametrize("name", ["Sea", "Forest/x.png"])
def test_links_in_a_zip_are_refused(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "a.zip", images("Forest", "River"))
    link = zipfile.ZipInfo(name)
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(link, "../elsewhere")
    with pytest.raises(ImageError, match=f"a.zip: holds the symbolic link '{name}'"):
        open_images(path)


def test_names_of_any_bytes_are_read(tmp_path: Path) -> None:
    root = tree(tmp_path / "data", images("Forest"))
    (root / os.fsdecode(b"\xff\xfe.png")).write_bytes(png(9))
    assert len(open_images(root)) == 5


def test_names_of_nothing_are_no_files(tmp_path: Path) -> None:
    assert len(open_images(zipped(tmp_path / "a.zip", {"./": b"", ".//": b"", **images("Forest")}))) == 4


def test_folders_are_read_in_the_order_of_their_names(store: Callable[[dict[str, bytes]], Path]) -> None:
    source = open_images(store(images("b", "a/z", "a/b", "c")))
    assert [name for name, _ in source.items] == sorted(name for name, _ in source.items)
