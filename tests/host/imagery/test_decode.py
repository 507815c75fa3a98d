"""One image file's bytes give its samples exactly, or a reason why not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from bitswath.errors import ContainerError, ImageError
from bitswath.imagery.code_files import read
from bitswath.imagery.decode import decode_image
from tests.host.image_files import pixels, saved, tiff


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


@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_animations_are_refused_not_cut_to_a_frame(name: str) -> None:
    data = saved(pixels(1), name, save_all=True, append_images=[Image.fromarray(pixels(2))], lossless=True)
    with pytest.raises(ImageError, match="an animation of 2 frames"):
        decode_image(data)
    with pytest.raises(ContainerError, match="an animation"):
        read(data, 8)


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


@pytest.mark.parametrize(
    ("header", "samples"),
    [
        (b"P5 4 4 15\n", 16),
        (b"P5 4 4 4095\n", 31),
        (b"P5 4 4 65536\n", 32),
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
