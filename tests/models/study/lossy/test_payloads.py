"""Heads kept once and payloads give back the files, or for JPEG ones of the same pixels in fewer bits."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from bitswath.errors import ContainerError
from bitswath.models.study.lossy.formats import parse_lossy
from bitswath.models.study.lossy.payloads import fitted_head
from tests.models.study.lossy.patches import land

FORMATS = ["jpeg:75", "jpeg:10", "jpeg:50:444", "webp:30", "jpeg2000:32", "jpegxl:3", "avif:30"]


@pytest.mark.parametrize("text", FORMATS)
def test_a_head_and_a_payload_are_a_file_of_the_same_pixels(text: str) -> None:
    chosen, patches = parse_lossy(text), land(3, 12)
    head = fitted_head(chosen, patches[:8])
    for patch in patches[8:]:
        file = chosen.encode(patch)
        payload = head.payload(file)
        again = head.file(payload)
        np.testing.assert_array_equal(chosen.decode(again), chosen.decode(file))
        assert len(payload) <= len(file)
        assert (again == file) == (chosen.kind != "jpeg")


def test_shared_jpeg_is_an_abbreviated_stream_with_tables_apart() -> None:
    """libjpeg reads tables from one stream and the image from another, as T.81 B.5 has it."""
    chosen, patches = parse_lossy("jpeg:40"), land(4, 6)
    head = fitted_head(chosen, patches[:5])
    file = head.file(head.payload(chosen.encode(patches[5])))
    tables, image, place = b"\xff\xd8", b"\xff\xd8", 2
    while file[place + 1] != 0xDA:
        end = place + 2 + int.from_bytes(file[place + 2 : place + 4], "big")
        if file[place + 1] in (0xDB, 0xC4):
            tables += file[place:end]
        else:
            image += file[place:end]
        place = end
    found = imagecodecs.jpeg8_decode(image + file[place:], tables=tables + b"\xff\xd9")
    with Image.open(io.BytesIO(chosen.encode(patches[5]))) as reference:
        np.testing.assert_array_equal(found, np.asarray(reference))


def test_tables_fitted_to_a_data_set_spare_bits_and_nearly_those_of_each_file() -> None:
    """Beside libjpeg's own: standard tables, and a table optimized for each file, without its head."""
    patches = land(5, 60)
    chosen = parse_lossy("jpeg:20")
    head = fitted_head(chosen, patches[:40])

    def scan(patch: np.ndarray, **options: bool) -> int:
        file = io.BytesIO()
        Image.fromarray(patch).save(file, "JPEG", quality=20, subsampling="4:2:0", **options)
        content = file.getvalue()
        return len(content) - content.index(b"\xff\xda") - 14 - 2

    shared = sum(len(head.payload(chosen.encode(patch))) for patch in patches[40:])
    standard = sum(map(scan, patches[40:]))
    optimal = sum(scan(patch, optimize=True) for patch in patches[40:])
    assert optimal <= shared < 0.95 * standard


def test_a_file_of_another_shape_is_refused() -> None:
    for text in ("jpeg:75", "jpeg2000:30", "avif:30"):
        chosen = parse_lossy(text)
        head = fitted_head(chosen, land(6, 1))
        with pytest.raises(ContainerError, match="shapes the same"):
            head.payload(chosen.encode(land(6, 1, 56)[0]))
