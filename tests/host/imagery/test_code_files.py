"""Codes come back from every file format, and other libraries read the same from the files."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from bitswath.errors import ContainerError
from bitswath.imagery.code_files import (
    Bmp,
    Container,
    Jpeg,
    Jpeg2000,
    Png,
    Ppm,
    Tiff,
    WebP,
    parse_container,
    read,
    write,
)

LOSSLESS = [
    "tiff", "tiff:lzw", "tiff:deflate", "tiff:packbits", "tiff:lzw:pred", "tiff:deflate:pred", "tiff:packbits:bytes",
    "tiff:deflate:bytes", "png", "bmp", "ppm", "jpeg2000", "webp",
]  # fmt: skip
LOSSY = ["jpeg:90:444", "jpeg:75:422", "jpeg:75:420", "jpeg2000:4", "webp:80"]
INDEXED = ["tiff", "tiff:lzw", "tiff:deflate:pred", "png", "bmp"]


@st.composite
def codes_and_bits(draw: st.DrawFn, container: Container) -> tuple[np.ndarray, int]:
    bits = draw(st.integers(1, 8))
    bands = draw(st.sampled_from([band for band in (1, 2, 3, 4, 5, 13) if band in container.bands]))
    shape = (draw(st.integers(1, 20)), draw(st.integers(1, 35)), bands)
    return draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, (1 << bits) - 1))), bits


def random_codes(bits: int, shape: tuple[int, int, int] = (21, 13, 1), seed: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1 << bits, shape, np.uint8)


def smooth_codes(bits: int, bands: int) -> np.ndarray:
    y, x, c = np.mgrid[:64, :64, :bands]
    wave = np.sin(x / 17 + c) + np.cos(y / 23)
    return np.clip((wave + 2) / 4 * (1 << bits), 0, (1 << bits) - 1).astype(np.uint8)


def pillow(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("text", LOSSLESS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_lossless_formats_give_the_codes_back(text: str, data: st.DataObject) -> None:
    container = parse_container(text)
    codes, bits = data.draw(codes_and_bits(container))
    assert container.lossless
    np.testing.assert_array_equal(read(write(container, codes, bits), bits), codes)


@pytest.mark.parametrize("text", INDEXED)
@settings(max_examples=15, deadline=None)
@given(data=st.data(), bits=st.integers(1, 8))
def test_indexed_files_keep_the_indices_and_the_colours(text: str, data: st.DataObject, bits: int) -> None:
    codes = data.draw(hnp.arrays(np.uint8, (7, 9, 1), elements=st.integers(0, (1 << bits) - 1)))
    palette = data.draw(hnp.arrays(np.uint8, (1 << bits, 3)))
    written = write(parse_container(text), codes, bits, palette)
    np.testing.assert_array_equal(read(written, bits), codes)
    if text.startswith("tiff"):
        page = tifffile.TiffFile(io.BytesIO(written)).pages.first
        assert page.photometric == tifffile.PHOTOMETRIC.PALETTE
        np.testing.assert_array_equal(page.colormap[:, : 1 << bits] // 257, palette.T)
        colours = (page.colormap[:, page.asarray().astype(np.uint8)] >> 8).transpose(1, 2, 0)
    else:
        colours = np.asarray(pillow(written).convert("RGB"))
    np.testing.assert_array_equal(colours, palette[codes[..., 0]])


@pytest.mark.parametrize("text", INDEXED)
@pytest.mark.parametrize("bits", range(1, 9))
def test_a_palette_that_looks_like_grey_levels_is_still_a_palette(text: str, bits: int) -> None:
    codes = random_codes(bits)
    ramp = np.repeat(np.arange(1 << bits, dtype=np.uint8)[:, None], 3, axis=1)
    for palette in (ramp, ramp[::-1], np.zeros_like(ramp)):
        np.testing.assert_array_equal(read(write(parse_container(text), codes, bits, palette), bits), codes)


@pytest.mark.parametrize("text", LOSSY)
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_lossy_formats_stay_near_the_codes(text: str, bits: int) -> None:
    container = parse_container(text)
    codes = smooth_codes(bits, 3)
    back = read(write(container, codes, bits), bits)
    assert not container.lossless
    assert back.shape == codes.shape
    assert back.max() < 1 << bits
    assert np.abs(back.astype(int) - codes).mean() < 0.08 * (1 << bits)


@pytest.mark.parametrize("text", LOSSY)
def test_lossy_files_are_scaled_to_the_full_range(text: str) -> None:
    codes = np.full((16, 16, 3), 3, np.uint8)
    samples = np.asarray(pillow(write(parse_container(text), codes, 2)).convert("RGB"))
    assert samples.min() >= 253


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "packbits"])
def test_tiff_declares_and_uses_the_true_depth(compression: str, bits: int) -> None:
    codes = random_codes(bits, (6, 11, 5))
    written = write(Tiff(compression), codes, bits)
    page = tifffile.TiffFile(io.BytesIO(written)).pages.first
    assert (page.bitspersample, page.samplesperpixel) == (bits, 5)
    assert page.compression.value == {"none": 1, "lzw": 5, "deflate": 8, "packbits": 32773}[compression]
    if compression == "none":
        assert page.databytecounts == (6 * -(-11 * 5 * bits // 8),)


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "packbits"])
@pytest.mark.parametrize(("bits", "scale"), [(1, 255), (2, 85), (4, 17), (8, 1)])
def test_libtiff_reads_grey_tiffs(compression: str, bits: int, scale: int) -> None:
    codes = random_codes(bits)
    image = pillow(write(Tiff(compression), codes, bits)).convert("L")
    np.testing.assert_array_equal(np.asarray(image), codes[..., 0] * scale)


@pytest.mark.parametrize("compression", ["lzw", "deflate"])
def test_libtiff_undoes_the_predictor(compression: str) -> None:
    codes = smooth_codes(8, 3)
    plain, predicted = (write(Tiff(compression, predictor), codes, 8) for predictor in (False, True))
    np.testing.assert_array_equal(np.asarray(pillow(predicted)), codes)
    assert len(predicted) < len(plain)


def test_the_predictor_stores_sub_byte_codes_as_bytes() -> None:
    page = tifffile.TiffFile(io.BytesIO(write(Tiff("lzw", predictor=True), random_codes(4), 4))).pages.first
    assert (page.bitspersample, page.predictor.value) == (8, 2)


@pytest.mark.parametrize(("bits", "depth"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (8, 8)])
def test_png_declares_the_narrowest_depth(bits: int, depth: int) -> None:
    codes = random_codes(bits)
    palette = np.random.default_rng(1).integers(0, 256, (1 << bits, 3), np.uint8)
    assert write(Png(), codes, bits)[24:26] == bytes([depth, 0])
    assert write(Png(), codes, bits, palette)[24:26] == bytes([depth, 3])
    pillow(write(Png(), codes, bits)).verify()


@pytest.mark.parametrize(("bits", "depth"), [(1, 1), (2, 4), (4, 4), (5, 8), (8, 8)])
def test_bmp_declares_the_narrowest_depth(bits: int, depth: int) -> None:
    codes = random_codes(bits)
    written = write(Bmp(), codes, bits)
    assert struct.unpack_from("<H", written, 28) == (depth,)
    grey = np.asarray(pillow(written).convert("L"))
    np.testing.assert_array_equal(grey, codes[..., 0] * 255.0 // ((1 << bits) - 1))


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("bits", range(1, 9))
def test_pillow_reads_netpbm_files_scaled_by_maxval(bits: int, bands: int) -> None:
    codes = random_codes(bits, (5, 13, bands))
    image = pillow(write(Ppm(), codes, bits))
    expected = np.round(codes * 255.0 / ((1 << bits) - 1))
    np.testing.assert_array_equal(np.asarray(image).reshape(codes.shape) * (255 if image.mode == "1" else 1), expected)


@pytest.mark.parametrize("bits", range(1, 9))
def test_jpeg2000_declares_the_precision(bits: int) -> None:
    written = write(Jpeg2000(), random_codes(bits, (9, 8, 3)), bits)
    components = written.index(b"\xff\x51") + 40 - 2
    assert struct.unpack_from(">HB", written, components) == (3, bits - 1)


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_jpeg2000_keeps_few_bits_of_high_contrast(bits: int) -> None:
    rng = np.random.default_rng(1)
    for share in rng.random((300, 3)):
        codes = ((1 << bits) - 1) * (rng.random((64, 64, 3)) < share).astype(np.uint8)
        container = parse_container("jpeg2000")
        assert np.array_equal(read(write(container, codes, bits), bits), codes)


@pytest.mark.parametrize(("subsampling", "factors"), [("444", 0x11), ("422", 0x21), ("420", 0x22)])
def test_jpeg_uses_the_chosen_subsampling(subsampling: str, factors: int) -> None:
    written = write(Jpeg(50, subsampling), smooth_codes(8, 3), 8)
    frame = written.index(b"\xff\xc0")
    assert written[frame + 11] == factors


def test_jpeg_quality_and_jpeg2000_ratio_set_the_size() -> None:
    codes = random_codes(8, (64, 64, 3))
    sizes = [len(write(Jpeg(quality), codes, 8)) for quality in (1, 25, 75, 100)]
    assert sizes == sorted(sizes)
    assert len(write(Jpeg2000(10), codes, 8)) < codes.size / 10 + 300


@pytest.mark.parametrize("text", [*LOSSLESS, *LOSSY])
def test_a_container_is_named_by_what_parses_to_it(text: str) -> None:
    container = parse_container(text)
    assert parse_container(str(container)) == container


@pytest.mark.parametrize(
    "text",
    ["gif", "", "png:9", "tiff:zip", "tiff:pred", "tiff:packbits:pred", "tiff:lzw:lzw", "tiff:lzw:pred:pred", "jpeg:0",
     "jpeg:101", "jpeg:x", "jpeg:75:411", "jpeg:75:420:1", "jpeg2000:1", "jpeg2000:nan", "webp:0", "bmp:8"],
)  # fmt: skip
def test_unknown_containers_are_refused(text: str) -> None:
    with pytest.raises(ContainerError):
        parse_container(text)


@pytest.mark.parametrize("text", ["png", "bmp", "ppm", "jpeg", "jpeg2000:9", "webp"])
def test_too_many_bands_are_refused(text: str) -> None:
    with pytest.raises(ContainerError, match="TIFF holds any number"):
        write(parse_container(text), random_codes(4, (8, 8, 13)), 4)


@pytest.mark.parametrize(
    ("codes", "bits"),
    [
        (np.full((4, 4, 1), 16, np.uint8), 4),
        (np.zeros((4, 4, 1), np.uint16), 4),
        (np.zeros((4, 4), np.uint8), 4),
        (np.zeros((0, 4, 1), np.uint8), 4),
        (np.zeros((4, 4, 1), np.uint8), 9),
    ],
)
def test_what_are_no_codes_is_refused(codes: np.ndarray, bits: int) -> None:
    with pytest.raises(ContainerError):
        write(Tiff(), codes, bits)


def test_palettes_go_only_where_they_fit() -> None:
    palette = np.zeros((16, 3), np.uint8)
    for container, codes, colours in (
        (WebP(), random_codes(4, (4, 4, 3)), palette),
        (Png(), random_codes(4, (4, 4, 3)), palette),
        (Png(), random_codes(4), palette[:15]),
    ):
        with pytest.raises(ContainerError, match="palette"):
            write(container, codes, 4, colours)


def test_lossy_files_need_the_width_and_lossless_ones_check_it() -> None:
    with pytest.raises(ContainerError, match="how many bits"):
        read(write(Jpeg(), smooth_codes(4, 3), 4))
    with pytest.raises(ContainerError, match="3-bit codes"):
        read(write(Png(), np.full((4, 4, 1), 9, np.uint8), 4), 3)


@pytest.mark.parametrize("text", [*LOSSLESS, *LOSSY])
@pytest.mark.parametrize("bands", [1, 3])
def test_damaged_files_raise_one_line_or_still_decode(text: str, bands: int) -> None:
    container = parse_container(text)
    if bands not in container.bands:
        bands = 3
    written = write(container, smooth_codes(4, bands), 4)
    rng = np.random.default_rng(11)
    damaged = [written[:length] for length in {0, 1, 7, 20, len(written) // 3, len(written) // 2}]
    for _ in range(30):
        flipped = bytearray(written)
        flipped[int(rng.integers(0, min(len(written), 400)))] ^= 1 << int(rng.integers(0, 8))
        damaged.append(bytes(flipped))
    refused = 0
    for data in damaged:
        try:
            read(data, 4)
        except ContainerError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused >= 6


def test_deeper_samples_are_refused_not_cut() -> None:
    for name in ("PNG", "TIFF"):
        file = io.BytesIO()
        Image.fromarray(np.full((4, 4), 300, np.uint16)).save(file, name)
        with pytest.raises(ContainerError, match="8 bits"):
            read(file.getvalue())


def test_a_path_is_read_like_its_bytes(tmp_path: Path) -> None:
    codes = random_codes(4)
    (tmp_path / "codes.png").write_bytes(write(Png(), codes, 4))
    np.testing.assert_array_equal(read(tmp_path / "codes.png", 4), codes)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ContainerError, match=r"nowhere\.png"):
        read("nowhere.png")


def test_a_bomb_is_a_container_error() -> None:
    data = bytearray(write(parse_container("bmp"), np.zeros((4, 4, 3), np.uint8), 8))
    data[18:26] = struct.pack("<ii", 60_000, 60_000)
    with pytest.raises(ContainerError, match="declares more pixels"):
        read(bytes(data))
