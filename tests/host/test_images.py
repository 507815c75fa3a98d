"""Images are read exactly, in a fixed order, with their labels; bad ones are named with the reason."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from bitswath.containers import Tiff, write
from bitswath.errors import ImageError
from bitswath.imagefile import decode_image
from bitswath.images import ImageSource, open_images, read_image

EUROSAT = Path(__file__).resolve().parents[3] / "shared" / "data" / "eurosat_rgb.zip"
RGB = (16, 12, 3)


def pixels(seed: int = 0, shape: tuple[int, ...] = RGB, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def saved(array: np.ndarray, name: str = "PNG", mode: str | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file, name, **options)
    return file.getvalue()


def tiff(array: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


@pytest.fixture(params=["folder", "zip"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    if request.param == "folder":
        return lambda files: tree(tmp_path / "data", files)
    return lambda files: zipped(tmp_path / "data.zip", files)


def png(seed: int = 0) -> bytes:
    return saved(pixels(seed))


def names(source: ImageSource) -> list[str]:
    return [name for name, _ in source.items]


# what is read


@pytest.mark.parametrize("name", ["PNG", "BMP", "PPM", "TIFF"])
def test_lossless_formats_give_the_pixels(name: str) -> None:
    np.testing.assert_array_equal(decode_image(saved(pixels(), name)), pixels())


def test_lossless_webp_and_jpeg2000_give_the_pixels() -> None:
    np.testing.assert_array_equal(decode_image(saved(pixels(), "WEBP", lossless=True)), pixels())
    np.testing.assert_array_equal(decode_image(saved(pixels(), "JPEG2000")), pixels())


def test_jpeg_is_what_pillow_makes_of_it() -> None:
    data = saved(pixels(), "JPEG", quality=80)
    np.testing.assert_array_equal(decode_image(data), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize(("bands", "dtype"), [(1, np.uint8), (2, np.uint16), (3, np.uint16), (13, np.uint16)])
def test_multi_band_tiffs_give_the_samples(bands: int, dtype: type, compression: str | None) -> None:
    expected = pixels(1, (9, 7, bands), dtype)
    options = {"photometric": "minisblack", "compression": compression}
    if bands == 1:
        np.testing.assert_array_equal(decode_image(tiff(expected[..., 0], **options)), expected)
    else:
        contiguous = tiff(expected, planarconfig="contig", **options)
        np.testing.assert_array_equal(decode_image(contiguous), expected)
        planar = tiff(expected.transpose(2, 0, 1), planarconfig="separate", **options)
        np.testing.assert_array_equal(decode_image(planar), expected)


def test_big_endian_and_tiled_tiffs_are_read() -> None:
    expected = pixels(1, (40, 50, 5), np.uint16)
    data = tiff(expected, byteorder=">", tile=(16, 16), photometric="minisblack", planarconfig="contig")
    samples = decode_image(data)
    assert samples.dtype == np.dtype(np.uint16)
    np.testing.assert_array_equal(samples, expected)


def test_grey_images_of_8_and_16_bits_have_one_band() -> None:
    grey = pixels(2, (5, 6))
    np.testing.assert_array_equal(decode_image(saved(grey)), grey[..., None])
    deep = pixels(2, (5, 6), np.uint16)
    pgm = b"P5\n6 5\n65535\n" + deep.astype(">u2").tobytes()
    for data in (saved(deep), saved(deep, "TIFF"), pgm):
        samples = decode_image(data)
        assert samples.dtype == np.dtype(np.uint16)
        np.testing.assert_array_equal(samples, deep[..., None])


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


# bad input


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def sixteen_bit_rgb_png() -> bytes:
    header = struct.pack(">IIBBBBB", 12, 16, 16, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(72) for _ in range(16)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def float_tiff() -> bytes:
    samples = np.zeros((16, 12, 3), np.float32)
    samples[3, 4, 1] = np.nan
    return tiff(samples, photometric="rgb")


BAD = {
    "wrong size": (saved(pixels(0, (8, 8, 3))), "8 x 8 x 3"),
    "grey": (saved(pixels(0, (16, 12))), "grey"),
    "RGBA": (saved(pixels(0, (16, 12, 4))), "RGBA"),
    "13 bands": (tiff(pixels(0, (16, 12, 13)), photometric="minisblack", planarconfig="contig"), "13 bands"),
    "palette": (saved(pixels(), "PNG", "P"), "palette image"),
    "palette TIFF": (tiff(pixels(0, (16, 12)), colormap=np.zeros((3, 256), np.uint16)), "palette image"),
    "bilevel": (saved(pixels(), "PNG", "1"), "bilevel"),
    "grey with alpha": (saved(pixels(), "PNG", "LA"), "alpha"),
    "CMYK": (saved(pixels(), "JPEG", "CMYK"), "CMYK"),
    "16-bit TIFF": (tiff(pixels(0, RGB, np.uint16), photometric="rgb"), "uint16"),
    "16-bit PNG": (sixteen_bit_rgb_png(), "more than 8 bits"),
    "16-bit PPM": (b"P6\n# scene\n12 16\n65535\n" + bytes(16 * 12 * 6), "more than 8 bits"),
    "4-bit TIFF": (write(Tiff(), pixels() // 16, 4), "4-bit"),
    "float TIFF with NaN": (float_tiff(), "float32 samples, with NaN"),
    "signed TIFF": (tiff(pixels().astype(np.int16), photometric="rgb"), "int16"),
    "inverted TIFF": (tiff(pixels(0, (16, 12)), photometric="miniswhite"), "MINISWHITE"),
    "two pages": (tiff(pixels(0, (2, 16, 12, 3)), photometric="rgb"), "2 pages"),
    "truncated PNG": (png()[:300], "cannot be decoded"),
    "truncated JPEG": (saved(pixels(), "JPEG")[:-40], "truncated"),
    "truncated TIFF": (tiff(pixels(), photometric="rgb", metadata=None)[:-30], "truncated"),
    "corrupt": (png()[:50] + b"\xff" * 40 + png()[90:], "cannot be decoded"),
    "text": (b"this is not an image", "not an image"),
    "empty": (b"", "zero bytes"),
    "decompression bomb": (huge_png(100_000, 100_000), "declares"),
    "large bomb": (huge_png(12_000, 12_000), "declares"),
}  # fmt: skip


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
    tree(tmp_path, {"empty/readme.txt": b"-", "notes.gif": b"-", "set.bsa": b"-", "broken.zip": b"PK\3\4"})
    zipped(tmp_path / "none.zip", {"readme.txt": b"-"})
    for name, reason in {
        "empty": r"holds no images \(1 other files\)",
        "none.zip": "holds no images",
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
        ("b.png", "cannot be read: No such file or directory"),
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


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", ["PNG", "JPEG", "BMP", "PPM", "WEBP", "JPEG2000", "TIFF", "LZW"])
def test_damage_gives_an_image_error_or_an_image(name: str) -> None:
    data = tiff(pixels(), photometric="rgb", compression="lzw") if name == "LZW" else saved(pixels(), name)
    rng = np.random.default_rng(5)
    for _ in range(100):
        damaged = bytearray(data[: int(rng.integers(1, len(data) + 1))] if rng.random() < 0.3 else data)
        for _ in range(int(rng.integers(1, 4))):
            damaged[int(rng.integers(0, min(len(damaged), 500)))] = int(rng.integers(0, 256))
        try:
            assert decode_image(bytes(damaged)).ndim == 3
        except ImageError as error:
            assert "\n" not in str(error)


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


@pytest.mark.parametrize(
    ("header", "samples"),
    [
        (b"P5 4 4 15\n", 16),
        (b"P5 4 4 4095\n", 32),
        (b"P6\n4 4\n#c\r65535\n", 96),
        (b"P6" + b" " * 5000 + b"4 4 +255\n", 48),
    ],
)
def test_netpbm_of_another_depth_is_refused_and_quickly(header: bytes, samples: int) -> None:
    with pytest.raises(ImageError):
        decode_image(header + bytes(samples))


def test_netpbm_of_eight_bits_is_read_whatever_its_comments() -> None:
    samples = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    header = b"P6 # a comment\n4\t4\r\n# another\n255\n"
    np.testing.assert_array_equal(decode_image(header + samples.tobytes()), samples)
