"""Images are read exactly, in a fixed order, with their labels; bad ones are named with the reason."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitswath.errors import ImageError
from bitswath.imagery.images import ImageSource, open_images, read_image
from tests.host.image_files import BAD, RGB, pixels, png, saved, tree, zipped
from tests.paths import DATA

EUROSAT = DATA / "eurosat_rgb.zip"


def names(source: ImageSource) -> list[str]:
    return [name for name, _ in source.items]


# layouts


def test_flat_images_come_sorted_and_unlabelled(store: Callable[[dict[str, bytes]], Path]) -> None:
    source = open_images(store({"b.png": png(1), "a.png": png(0), "c.PNG": png(2), "readme.txt": b"-", ".x.png": b""}))
    (batch,) = source
    assert batch.names == ("a.png", "b.png", "c.PNG")
    assert (batch.labels, source.classes, source.ignored) == (None, None, 1)
    np.testing.assert_array_equal(batch.patches, np.stack([pixels(seed) for seed in range(3)]))


def test_folders_are_classes(store: Callable[[dict[str, bytes]], Path]) -> None:
    source = open_images(store({"River/a.png": png(1), "Forest/x/b.png": png(0), "Forest/a.png": png(2)}))
    (batch,) = source
    assert source.classes == ("Forest", "River")
    assert batch.names == ("Forest/a.png", "Forest/x/b.png", "River/a.png")
    assert batch.labels is not None
    assert batch.labels.dtype == np.int64
    assert batch.labels.tolist() == [0, 0, 1]


def test_a_folder_around_everything_is_looked_through(store: Callable[[dict[str, bytes]], Path]) -> None:
    source = open_images(store({"EuroSAT/2750/River/a.png": png(), "EuroSAT/2750/Forest/a.png": png()}))
    assert source.classes == ("Forest", "River")


def test_splits_are_chosen(store: Callable[[dict[str, bytes]], Path]) -> None:
    files = {f"set/{split}/{name}/a.png": png() for split in ("train", "test") for name in ("Forest", "River")}
    path = store(files)
    source = open_images(path, split="test")
    assert names(source) == ["set/test/Forest/a.png", "set/test/River/a.png"]
    assert source.classes == ("Forest", "River")
    with pytest.raises(ImageError, match="splits test, train; choose one"):
        open_images(path)
    with pytest.raises(ImageError, match="no split 'val'"):
        open_images(path, split="val")


def test_a_split_where_there_is_none_is_refused(store: Callable[[dict[str, bytes]], Path]) -> None:
    with pytest.raises(ImageError, match="no split 'test'"):
        open_images(store({"a.png": png()}), split="test")


def test_given_classes_fix_the_labels(store: Callable[[dict[str, bytes]], Path]) -> None:
    path = store({"River/a.png": png(), "Forest/a.png": png()})
    source = open_images(path, classes=("Sea", "River", "Forest"))
    assert [label for _, label in source.items] == [2, 1]
    assert source.classes == ("Sea", "River", "Forest")
    assert open_images(path, classes=("2023", "2024")).classes is None
    with pytest.raises(ImageError, match="Forest is in none of the classes Sea, River"):
        open_images(path, classes=("Sea", "River"))


def test_one_folder_is_a_class_only_if_it_is_a_given_one(store: Callable[[dict[str, bytes]], Path]) -> None:
    path = store({"River/a.png": png()})
    assert open_images(path).classes is None
    assert open_images(path, classes=("Forest", "River")).items == [("River/a.png", 1)]


def test_images_beside_class_folders_are_refused(store: Callable[[dict[str, bytes]], Path]) -> None:
    with pytest.raises(ImageError, match=r"a\.png is in none of the classes"):
        open_images(store({"a.png": png(), "River/a.png": png(), "Forest/a.png": png()}))


def test_a_single_file_is_read(tmp_path: Path) -> None:
    path = tree(tmp_path, {"only.png": png(3)}) / "only.png"
    (batch,) = open_images(path)
    assert batch.names == ("only.png",)
    np.testing.assert_array_equal(batch.patches[0], read_image(path))


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_keep_the_order_and_fill_up(tmp_path: Path, threads: int) -> None:
    path = zipped(tmp_path / "many.zip", {f"{i:03}.png": png(i) for i in range(150)})
    source = open_images(path, threads=threads)
    for _ in range(2):
        batches = list(source.batches(64))
        assert [len(batch) for batch in batches] == [64, 64, 22]
        got = np.concatenate([batch.patches for batch in batches])
        np.testing.assert_array_equal(got, np.stack([pixels(i) for i in range(150)]))


def test_a_pass_that_is_not_finished_leaves_no_thread(tmp_path: Path) -> None:
    import threading

    source = open_images(tree(tmp_path, {f"{i:03}.png": png(i) for i in range(200)}))
    batches = source.batches(4)
    next(batches)
    del batches
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("bitswath-images")]


@pytest.mark.parametrize("count", [1, 2, 7, 10, 99, 100, 1000])
def test_a_sample_is_even_over_all_images(tmp_path: Path, count: int) -> None:
    files = {f"{name}/{i:02}.png": png(i) for name in ("a", "b", "c", "d") for i in range(25)}
    source = open_images(zipped(tmp_path / "a.zip", files))
    drawn = source.sample(count)
    places = [source.items.index(item) for item in drawn.items]
    assert len(drawn) == min(count, 100) and places == sorted(set(places))
    assert len(set(np.diff([*places, 100 + places[0]]))) <= 2  # steps of one size, or of two neighbouring ones
    assert len(source) == 100 and source.sample(count).items == drawn.items


def test_a_sample_has_bad_images_of_its_own(tmp_path: Path) -> None:
    source = open_images(tree(tmp_path, {"a.png": b"", "b.png": png(), "c.png": b"", "d.png": png()}), skip_bad=True)
    assert len(list(source)) == 1
    first = source.only(source.items[:2])
    assert [batch.names for batch in first] == [("b.png",)] and [name for name, _ in first.skipped] == ["a.png"]
    assert [name for name, _ in source.skipped] == ["a.png", "c.png"]


# what is left out is told


def test_what_is_not_read_is_counted_by_its_suffix(store: Callable[[dict[str, bytes]], Path]) -> None:
    left = ("a.gif", "b.GIF", "b/c.xml", "Makefile", ".hidden.png", "a.tif.msk")
    debris = ("._a.png", ".DS_Store", "b/Thumbs.db", "__MACOSX/b/._c.png")
    source = open_images(store({"a.png": png(), **dict.fromkeys((*left, *debris), b"-")}))
    assert len(source) == 1 and source.ignored == 5
    (note,) = source.notes
    assert note.startswith("files left out that are no images by their names: 2 .gif")
    for kind in ("1 .xml", "1 without suffix", "1 hidden", "1 .msk"):
        assert kind in note


def test_nothing_is_told_where_nothing_is_left_out(store: Callable[[dict[str, bytes]], Path]) -> None:
    source = open_images(store({"Forest/a.JPG": png(), "River/b.TIFF": png()}), classes=("River", "Forest"))
    assert source.notes == ()


@pytest.mark.parametrize("suffix", [".PNG", ".jfif", ".JPE", ".gtif", ".Tiff", ".jP2"])
def test_suffixes_are_read_in_any_case(store: Callable[[dict[str, bytes]], Path], suffix: str) -> None:
    assert len(open_images(store({f"a{suffix}": png()}))) == 1


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_named_with_its_reason(store: Callable[[dict[str, bytes]], Path], kind: str) -> None:
    data, reason = BAD[kind]
    path = store({"a/good.png": png(), "b/bad.png": data, "b/good.png": png(1)})
    with pytest.raises(ImageError, match=f"b/bad.png: .*{reason}") as caught:
        list(open_images(path, shape=RGB, dtype=np.uint8))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_skip_bad_goes_on_and_lists_them(store: Callable[[dict[str, bytes]], Path]) -> None:
    files = {f"{kind}.png": data for kind, (data, _) in BAD.items()} | {f"ok{i}.png": png(i) for i in range(20)}
    source = open_images(store(files), shape=RGB, dtype=np.uint8, skip_bad=True)
    batches = list(source.batches(8))
    assert [name for batch in batches for name in batch.names] == sorted(f"ok{i}.png" for i in range(20))
    assert [name for name, _ in source.skipped] == sorted(f"{kind}.png" for kind in BAD)
    assert all(BAD[name[:-4]][1] in reason for name, reason in source.skipped)


def test_without_expectations_the_first_image_sets_them(tmp_path: Path) -> None:
    path = tree(tmp_path, {"a.png": png(), "b.png": saved(pixels(0, (8, 8, 3)))})
    with pytest.raises(ImageError, match=r"b\.png: is 8 x 8 x 3 uint8 \(RGB\); expected 16 x 12 x 3 uint8 \(RGB\)"):
        list(open_images(path))


def test_if_all_are_bad_skip_bad_is_an_error_too(tmp_path: Path) -> None:
    source = open_images(tree(tmp_path, {"a.png": b"", "b.png": b""}), skip_bad=True)
    with pytest.raises(ImageError, match=r"none of its 2 images can be used; a\.png: is empty"):
        list(source)


def test_paths_without_images_are_refused(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {"empty/readme.txt": b"-", "hidden/.a.png": b"-", "notes.gif": b"-", "set.bsa": b"-", "broken.zip": b"PK\3\4"},
    )
    zipped(tmp_path / "none.zip", {"readme.txt": b"-"})
    for name, reason in {
        "empty": r"holds no images \(1 other files\)",
        "none.zip": "holds no images",
        "hidden": r"holds no images \(1 other files\)",
        "missing": "no such file or folder",
        "notes.gif": "unsupported suffix '.gif'",
        "set.bsa": "is a packed archive",
        "broken.zip": "not a zip, or damaged",
    }.items():
        with pytest.raises(ImageError, match=f"{name}: {reason}"):
            open_images(tmp_path / name)


def test_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tree(tmp_path, {"a.png": png()}) / "a.png"
    if os.geteuid() == 0:  # root reads everything, whatever the mode says

        def deny(_: Path) -> bytes:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", deny)
    else:
        path.chmod(0)
    with pytest.raises(ImageError, match=r"a\.png: cannot be read: Permission denied"):
        list(open_images(path))


def test_files_that_would_block_or_vanish_are_named(tmp_path: Path) -> None:
    tree(tmp_path, {"c.png": png()})
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere")
    source = open_images(tmp_path, skip_bad=True)
    assert [batch.names for batch in source] == [("c.png",)]
    assert source.skipped == [
        ("a.png", "is not a regular file"),
        ("b.png", f"is a link to {tmp_path / 'nowhere'}, which is not there; mend or remove it"),
    ]


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "x/../../a.png", "..\\a.png"])
def test_zip_entries_that_point_outside_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match="points outside"):
        open_images(zipped(tmp_path / "evil.zip", {name: png()}))


def test_a_zip_with_a_flipped_byte_names_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "stored.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.png", png())
    data = bytearray(path.read_bytes())
    data[200] ^= 4
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"stored\.zip/a\.png: cannot be read from the zip: Bad CRC"):
        list(open_images(path))


def test_an_absurd_declared_size_in_a_zip_is_refused_unread(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", {"a.png": png()})
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, 0x7FFFFFFF)
    path.write_bytes(data)
    with pytest.raises(ImageError, match="2147483647 bytes"):
        list(open_images(path))


def test_an_encrypted_zip_entry_is_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "secret.zip", {"a.png": png()})
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(magic) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(ImageError, match="encrypted"):
        list(open_images(path))


# real imagery


@pytest.mark.skipif(not EUROSAT.exists(), reason="shared/data/eurosat_rgb.zip is not there")
def test_eurosat_is_read_as_pillow_reads_it() -> None:
    source = open_images(EUROSAT, split="val", shape=(64, 64, 3), dtype=np.uint8)
    assert len(source) == 2700
    assert source.classes is not None
    assert (len(source.classes), source.classes[0], source.classes[-1]) == (10, "AnnualCrop", "SeaLake")
    assert np.bincount([label or 0 for _, label in source.items]).tolist() == [
        300,
        300,
        300,
        250,
        250,
        200,
        250,
        300,
        250,
        300,
    ]
    batch = next(source.batches(100))
    with zipfile.ZipFile(EUROSAT) as file:
        for name, patch in zip(batch.names[::17], batch.patches[::17]):
            expected = np.asarray(Image.open(io.BytesIO(file.read(name))))
            assert hashlib.sha256(patch.tobytes()).digest() == hashlib.sha256(expected.tobytes()).digest()
