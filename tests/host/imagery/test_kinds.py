"""Images of every kind that people bring, against Pillow, tifffile, imagecodecs and plain numpy."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from bitswath.errors import ImageError
from bitswath.imagery.decode import decode, decode_image
from bitswath.imagery.images import open_images, read_image
from tests.host.image_files import chunk, pixels, saved, tiff, tree, zipped


def smooth(height: int = 24, width: int = 40, bands: int = 3) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([(x * (3 + band) + y * (5 - band)) % 256 for band in range(bands)], -1).astype(np.uint8)


# CMYK


def inks() -> np.ndarray:
    return np.asarray(Image.fromarray(smooth()).convert("CMYK")) + np.array([0, 0, 0, 40], np.uint8)


def cmyk_jpeg(adobe: bool = True) -> bytes:
    """Pillow counts what an ink leaves, as Adobe does, and says so in a segment APP14."""
    file = io.BytesIO()
    Image.fromarray(inks(), "CMYK").save(file, "JPEG", quality=95)
    data = file.getvalue()
    segment = data.index(b"\xff\xee")
    (length,) = struct.unpack_from(">H", data, segment + 2)
    return data if adobe else data[:segment] + data[segment + 2 + length :]


def let_through(left: np.ndarray) -> np.ndarray:
    """RGB of what each ink leaves (H, W, 4)."""
    return np.rint(left[..., :3].astype(float) * left[..., 3:] / 255)


def test_a_cmyk_jpeg_of_adobe_is_inverted() -> None:
    data = cmyk_jpeg()
    got = decode_image(data)
    left = imagecodecs.jpeg8_decode(data, outcolorspace="CMYK")
    np.testing.assert_array_equal(got, let_through(left))
    np.testing.assert_array_equal(got, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert np.abs(got - let_through(255 - inks().astype(int))).max() < 20  # the picture that was meant


def test_a_cmyk_jpeg_of_others_is_not() -> None:
    data = cmyk_jpeg(adobe=False)
    straight = imagecodecs.jpeg8_decode(data, outcolorspace="CMYK")
    np.testing.assert_array_equal(decode_image(data), let_through(255 - straight.astype(int)))


def test_a_cmyk_tiff_is_what_pillow_makes_of_it() -> None:
    data = tiff(inks(), photometric="separated", planarconfig="contig")
    np.testing.assert_array_equal(decode_image(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


# palettes


@pytest.mark.parametrize("name", ["PNG", "BMP"])
@pytest.mark.parametrize("colours", [2, 16, 200])
def test_palettes_are_their_colours(name: str, colours: int) -> None:
    indexed = Image.fromarray(smooth()).quantize(colours)
    data = saved_image(indexed, name)
    assert Image.open(io.BytesIO(data)).mode == "P"
    np.testing.assert_array_equal(decode_image(data), np.asarray(indexed.convert("RGB")))


def test_a_palette_with_a_transparent_colour_has_alpha() -> None:
    indexed = Image.fromarray(smooth()).quantize(16)
    data = saved_image(indexed, "PNG", transparency=3)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    assert (expected[..., 3] == 0).any()
    np.testing.assert_array_equal(decode_image(data), expected)


@pytest.mark.parametrize("compression", [None, "lzw"])
@pytest.mark.parametrize("sixteen", [False, True])
def test_a_palette_tiff_is_its_colours(compression: str | None, sixteen: bool) -> None:
    rng = np.random.default_rng(4)
    colormap = rng.integers(0, 65536, (3, 256), dtype=np.uint16)
    indices = rng.integers(0, 256, (24, 40), dtype=np.uint8)
    if not sixteen:  # as some old writers do
        colormap //= 256
    data = tiff(indices, photometric="palette", colormap=colormap, compression=compression)
    expected = (colormap // 256 if sixteen else colormap).T.astype(np.uint8)[indices]
    np.testing.assert_array_equal(decode_image(data), expected)
    if sixteen:
        np.testing.assert_array_equal(expected, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


# alpha


def with_alpha(alpha: np.ndarray | int) -> np.ndarray:
    return np.concatenate([smooth(), np.broadcast_to(np.uint8(alpha), (24, 40))[..., None]], axis=2)


def rgba_files(rgba: np.ndarray) -> dict[str, bytes]:
    return {
        "PNG": saved(rgba),
        "TIFF": tiff(rgba, photometric="rgb", extrasamples=["unassalpha"]),
        "16-bit PNG": imagecodecs.png_encode(rgba.astype(np.uint16) * 257),
    }


@pytest.mark.parametrize("kind", rgba_files(with_alpha(255)))
def test_an_opaque_alpha_channel_is_left_out(kind: str) -> None:
    data = rgba_files(with_alpha(255))[kind]
    scale = 257 if "16" in kind else 1
    for bands in (None, 3):
        np.testing.assert_array_equal(decode_image(data, bands), smooth().astype(int) * scale)
    np.testing.assert_array_equal(decode_image(data, 4), with_alpha(255).astype(int) * scale)
    np.testing.assert_array_equal(decode(data).samples, with_alpha(255).astype(int) * scale)


@pytest.mark.parametrize("kind", rgba_files(with_alpha(255)))
def test_what_is_transparent_is_no_patch_of_three_bands(kind: str) -> None:
    alpha = np.full((24, 40), 255)
    alpha[5, 7] = 254
    data = rgba_files(with_alpha(alpha))[kind]
    with pytest.raises(ImageError, match="transparent pixels"):
        decode_image(data, 3)
    assert decode_image(data, 4).shape == decode_image(data).shape == (24, 40, 4)


def test_a_fourth_band_that_is_no_alpha_stays() -> None:
    data = tiff(with_alpha(255), photometric="rgb", extrasamples=["unspecified"])
    np.testing.assert_array_equal(decode_image(data), with_alpha(255))


def test_grey_with_alpha_is_grey() -> None:
    grey = smooth(bands=1)[..., 0]
    data = saved_image(Image.merge("LA", [Image.fromarray(grey), Image.new("L", (40, 24), 255)]), "PNG")
    np.testing.assert_array_equal(decode_image(data), grey[..., None])


def test_files_with_and_without_alpha_are_one_set(tmp_path: Path) -> None:
    path = tree(tmp_path, {"a.png": saved(smooth()), "b.png": saved(with_alpha(255)), "c.tif": tiff(smooth())})
    (batch,) = open_images(path)
    np.testing.assert_array_equal(batch.patches, np.stack([smooth()] * 3))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("kind", ["16-bit PNG", "12-bit JPEG", "12-bit JPEG 2000", "CMYK", "palette", "PPM", "signed"])
def test_damage_gives_an_image_error_or_an_image(kind: str) -> None:
    deep = smooth().astype(np.uint16) * 16
    data = {
        "16-bit PNG": lambda: imagecodecs.png_encode(deep),
        "12-bit JPEG": lambda: imagecodecs.jpeg_encode(deep, level=90, bitspersample=12),
        "12-bit JPEG 2000": lambda: imagecodecs.jpeg2k_encode(deep, level=0, bitspersample=12, planar=False),
        "CMYK": cmyk_jpeg,
        "palette": lambda: tiff(smooth()[..., 0], photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
        "PPM": lambda: b"P3 40 24 4095\n" + b" ".join(b"%d" % value for value in deep.ravel()),
        "signed": lambda: tiff(deep.astype(np.int16), photometric="rgb", compression="lzw"),
    }[kind]()
    rng = np.random.default_rng(5)
    for _ in range(100):
        damaged = bytearray(data[: int(rng.integers(1, len(data) + 1))] if rng.random() < 0.3 else data)
        for _ in range(int(rng.integers(1, 4))):
            damaged[int(rng.integers(0, min(len(damaged), 500)))] = int(rng.integers(0, 256))
        try:
            patch = decode_image(bytes(damaged))
        except ImageError as error:
            assert "\n" not in str(error)
        else:
            assert patch.ndim == 3 and patch.dtype in (np.uint8, np.uint16)


# orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "tifffile"])
def test_images_are_turned_upright_as_exif_says(name: str, orientation: int) -> None:
    if name == "tifffile":
        data = tiff(smooth(), photometric="rgb", extratags=[(274, 3, 1, orientation, False)])
    else:
        exif = Image.Exif()
        exif[274] = orientation
        lossless = {"lossless": True} if name == "WEBP" else {}
        data = saved(smooth(), name, exif=exif, **lossless)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert expected.shape == ((40, 24, 3) if orientation > 4 else (24, 40, 3))
    np.testing.assert_array_equal(decode_image(data), expected)


def test_exif_that_is_damaged_says_nothing() -> None:
    data = bytearray(saved(smooth(), "JPEG", exif=Image.Exif().tobytes() + b"II*\0\xff\xff\xff\xff"))
    np.testing.assert_array_equal(decode_image(bytes(data)), np.asarray(Image.open(io.BytesIO(data))))


# more than 8 bits


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_pngs_of_16_bits_are_read_whole(bands: int) -> None:
    expected = pixels(bands, (9, 7, bands), np.uint16)
    np.testing.assert_array_equal(decode_image(imagecodecs.png_encode(expected)), expected)


@pytest.mark.parametrize("bits", [9, 10, 12, 15, 16])
@pytest.mark.parametrize("bands", [1, 3, 13])
def test_jpeg2000_of_up_to_16_bits_is_what_was_written(bits: int, bands: int) -> None:
    expected = pixels(bands, (32, 24, bands), np.uint16) >> (16 - bits)
    squeezed = expected[..., 0] if bands == 1 else expected
    data = imagecodecs.jpeg2k_encode(squeezed, level=0, reversible=True, bitspersample=bits, planar=False)
    np.testing.assert_array_equal(decode_image(data), expected)


def test_jpeg_of_12_bits_is_what_libjpeg_makes_of_it() -> None:
    deep = smooth().astype(np.uint16) * 16
    data = imagecodecs.jpeg_encode(deep, level=98, bitspersample=12)
    got = decode_image(data)
    assert got.dtype == np.uint16
    np.testing.assert_array_equal(got, imagecodecs.jpeg_decode(data))
    assert np.abs(got.astype(int) - deep).mean() < 40


@pytest.mark.parametrize(("magic", "bands"), [(b"P5", 1), (b"P6", 3), (b"P2", 1), (b"P3", 3)])
@pytest.mark.parametrize("maxval", [256, 4095, 65535])
def test_netpbm_of_up_to_16_bits_is_not_rescaled(magic: bytes, bands: int, maxval: int) -> None:
    expected = np.random.default_rng(maxval).integers(0, maxval + 1, (5, 6, bands)).astype(np.uint16)
    if magic in (b"P2", b"P3"):
        body = b"\n".join(b" ".join(b"%d" % value for value in row.ravel()) + b" # a row" for row in expected)
    else:
        body = expected.astype(">u2").tobytes()
    np.testing.assert_array_equal(decode_image(magic + b"\n6 5\n%d\n" % maxval + body), expected)


# samples of other types


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint32, np.float32, np.float64])
def test_whole_numbers_of_another_type_are_taken_as_uint16(dtype: type) -> None:
    values = pixels(1, (9, 7, 4), np.uint16) // 2
    data = tiff(values.astype(dtype), photometric="minisblack", planarconfig="contig")
    for wanted in (None, np.uint16):
        got = decode_image(data, 4, wanted)
        assert got.dtype == np.uint16
        np.testing.assert_array_equal(got, values)
    assert decode(data).samples.dtype == dtype


@pytest.mark.parametrize(
    ("value", "dtype", "held"),
    [
        (-9999, np.int16, "holds int16 samples from -9999 to 5000; expected uint16"),
        (-9999, np.float32, "holds float32 samples from -9999 to 5000; expected uint16"),
        (0.25, np.float32, "holds float32 samples from 0.25 to 5000; expected uint16"),
        (np.nan, np.float32, "holds float32 samples from 5000 to 5000, with NaN or infinity; expected uint16"),
        (70_000, np.int32, "holds int32 samples from 5000 to 70000; expected uint16"),
    ],
)
def test_what_is_no_data_or_no_number_of_pixels_is_refused(
    value: float, dtype: type, held: str, tmp_path: Path
) -> None:
    samples = np.full((9, 7), 5000, dtype)
    samples[2, 3] = value
    tifffile.imwrite(tmp_path / "a.tif", samples, extratags=[(42113, 2, 0, f"{value}", False)])
    with pytest.raises(
        ImageError, match=f"a.tif: {held}, whole numbers from 0 to 65535: fill what is no data"
    ) as caught:
        next(iter(open_images(tmp_path)))
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], samples)


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.uint16])
def test_eight_bits_are_never_taken_from_more(dtype: type) -> None:
    data = tiff(smooth(bands=1)[..., 0].astype(dtype))
    with pytest.raises(ImageError, match=f"holds {np.dtype(dtype)} samples from 0 to .*expected uint8: convert it"):
        decode_image(data, 1, np.uint8)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.float32])
def test_eight_bits_are_never_taken_for_more(dtype: type) -> None:
    with pytest.raises(ImageError, match=f"holds uint8 samples from 0 to .*expected {np.dtype(dtype)}: convert it"):
        decode_image(saved(smooth()), 3, dtype)


def test_a_bundle_of_reals_or_signed_numbers_gets_them() -> None:
    reals = np.random.default_rng(0).normal(size=(9, 7)).astype(np.float32)
    np.testing.assert_array_equal(decode_image(tiff(reals), 1, np.float32)[..., 0], reals)
    signed = np.random.default_rng(0).integers(-3000, 3000, (9, 7)).astype(np.int16)
    np.testing.assert_array_equal(decode_image(tiff(signed), 1, np.int16)[..., 0], signed)
    np.testing.assert_array_equal(decode_image(tiff(signed.astype(np.float32)), 1, np.int16)[..., 0], signed)
    with pytest.raises(ImageError, match=r"expected int16, whole numbers from -32768 to 32767"):
        decode_image(tiff(np.full((9, 7), 40_000, np.uint16)), 1, np.int16)
    reals[0, 0] = np.nan
    with pytest.raises(ImageError, match="with NaN or infinity; fill them, and what is no data, first"):
        decode_image(tiff(reals), 1, np.float32)


# layouts of TIFF, folders and zips


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize(
    "options",
    [
        {"bigtiff": True},
        {"bigtiff": True, "byteorder": ">", "tile": (16, 16)},
        {"tile": (32, 16), "compression": "zlib", "predictor": True},
        {"rowsperstrip": 5, "compression": "lzw"},
    ],
    ids=str,
)
def test_tiffs_in_every_layout_are_what_tifffile_reads(dtype: type, options: dict[str, object]) -> None:
    for bands in (3, 5):
        expected = (pixels(1, (40, 50, bands), np.uint16) % 251).astype(dtype)
        interleaved = tiff(expected, photometric="minisblack", planarconfig="contig", **options)
        np.testing.assert_array_equal(decode(interleaved).samples, tifffile.imread(io.BytesIO(interleaved)))
        planar = tiff(expected.transpose(2, 0, 1), photometric="minisblack", planarconfig="separate", **options)
        np.testing.assert_array_equal(decode(planar).samples, expected)


def test_what_a_desktop_leaves_in_a_zip_is_no_image(tmp_path: Path) -> None:
    files = {
        "Länder/Wald ü/a.png": saved(smooth()),
        "Länder/Wald ü/deeper/b.png": saved(smooth()),
        "Länder/海/c.png": saved(smooth()),
        "Länder/.DS_Store": b"\0\0\0\1Bud1",
        "Länder/海/.DS_Store": b"\0\0\0\1Bud1",
        "Länder/海/Thumbs.db": b"-",
        "__MACOSX/._Länder": b"\0\5\x16\7",
        "__MACOSX/Länder/海/._c.png": b"\0\5\x16\7",
    }
    for path in (zipped(tmp_path / "a.zip", files), tree(tmp_path / "folder", files)):
        source = open_images(path)
        (batch,) = source
        assert source.classes == ("Wald ü", "海")
        assert batch.labels is not None and batch.labels.tolist() == [0, 0, 1]
        assert [Path(name).name for name in batch.names] == ["a.png", "b.png", "c.png"]
        assert source.notes == ("folders inside those of classes count as these: Wald ü/deeper",)


@pytest.mark.parametrize("profile", [None, "sRGB"])
def test_a_colour_profile_changes_nothing(profile: str | None) -> None:
    options = {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()} if profile else {}
    np.testing.assert_array_equal(decode_image(saved(smooth(), "PNG", **options)), smooth())


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_grey_pngs_of_fewer_bits_are_refused(depth: int) -> None:
    rows = zlib_rows(depth)
    header = struct.pack(">IIBBBBB", 8, 4, depth, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match="bilevel" if depth == 1 else f"{depth}-bit samples, which would be rescaled"):
        decode_image(data)


def zlib_rows(depth: int) -> bytes:
    return bytes(imagecodecs.zlib_encode(bytes(4 * (1 + depth))))


def saved_image(image: Image.Image, name: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, name, **options)
    return file.getvalue()
