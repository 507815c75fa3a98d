"""Lossy formats are named, write what other readers read, and say what they do not take."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from bitswath.errors import ConfigError, ContainerError
from bitswath.models.study.lossy.formats import parse_lossy
from tests.models.study.lossy.patches import land

NAMES = {
    "jpeg:50": ("jpeg:50:420", "JPEG 50"),
    "jpeg:50:444": ("jpeg:50:444", "JPEG 50"),
    "webp:1": ("webp:1", "WebP 1"),
    "jpeg2000:29.5": ("jpeg2000:29.5", "JPEG 2000 29.5 dB"),
    "jpegxl:10.5": ("jpegxl:10.5", "JPEG XL distance 10.5"),
    "avif:37": ("avif:37", "AVIF 37"),
}


@pytest.mark.parametrize(("text", "told"), NAMES.items())
def test_a_format_is_named_in_one_way(text: str, told: tuple[str, str]) -> None:
    found = parse_lossy(text)
    assert (str(found), found.label) == told
    assert parse_lossy(str(found)) == found


@pytest.mark.parametrize(
    "text", ["", "jpeg", "jpeg:0", "jpeg:50:411", "webp:1.5", "webp:50:420", "jpegxl:26", "gif:5", "avif:nan", "avif:x"]
)
def test_what_is_no_format_is_said_with_what_there_is(text: str) -> None:
    with pytest.raises(ConfigError, match=r"jpegxl:0.1..25") as caught:
        parse_lossy(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", NAMES)
def test_a_file_is_what_pillow_or_its_plugins_read(text: str) -> None:
    """libjxl has no other reader here; its patch is near the original."""
    chosen = parse_lossy(text)
    patch = land(1, 1)[0]
    file = chosen.encode(patch)
    found = chosen.decode(file)
    assert (found.shape, found.dtype) == (patch.shape, np.uint8)
    assert len(file) < patch.size / 3
    assert np.abs(found.astype(int) - patch).mean() < 12
    if chosen.kind != "jpegxl":
        with Image.open(io.BytesIO(file)) as image:
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - found).max() <= (chosen.kind == "avif")


@pytest.mark.parametrize("kind", ["jpeg:{}", "webp:{}", "avif:{}"])
def test_quality_costs_bytes(kind: str) -> None:
    patch = land(2, 1)[0]
    sizes = [len(parse_lossy(kind.format(quality)).encode(patch)) for quality in (10, 50, 90)]
    assert sizes == sorted(sizes)


def test_other_samples_and_damaged_files_are_refused() -> None:
    webp = parse_lossy("webp:50")
    with pytest.raises(ContainerError, match="8-bit samples"):
        webp.encode(np.zeros((8, 8, 3), np.uint16))  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ContainerError, match=r"\(H, W, 3\), got \(8, 8, 1\)"):
        webp.encode(np.zeros((8, 8, 1), np.uint8))
    assert parse_lossy("jpeg:50").decode(parse_lossy("jpeg:50").encode(np.zeros((8, 8, 1), np.uint8))).shape == (
        8,
        8,
        1,
    )
    for text in NAMES:
        with pytest.raises(ContainerError, match="cannot be decoded"):
            parse_lossy(text).decode(b"no image at all, only text")
