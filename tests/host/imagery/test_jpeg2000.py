"""A JPEG 2000 header says what its boxes and markers say, whatever bytes look like markers elsewhere."""

from __future__ import annotations

import io
import struct

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from bitswath.errors import ContainerError, ImageError
from bitswath.imagery import code_formats as formats
from bitswath.imagery.code_files import Jpeg2000, read, write
from bitswath.imagery.decode import decode_image
from bitswath.imagery.jpeg2000 import read_header

MARKER_LIKE = 0xFF52
"""A width whose bytes are those of the marker of coding parameters."""


def saved(height: int = 20, width: int = 24, bands: int = 3, **options: object) -> bytes:
    samples = np.random.default_rng(1).integers(0, 256, (height, width, bands), np.uint8)
    file = io.BytesIO()
    Image.fromarray(samples[..., 0] if bands == 1 else samples).save(file, "JPEG2000", **options)
    return file.getvalue()


def with_segment(data: bytes, marker: int, body: bytes, before: bytes) -> bytes:
    """A codestream's bytes with another marker segment in front of the marker `before`."""
    at = data.index(before)
    return data[:at] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[at:]


@pytest.mark.parametrize("irreversible", [False, True])
@pytest.mark.parametrize("options", [{}, {"no_jp2": True}, {"tile_size": (8, 8)}, {"num_resolutions": 1}])
def test_the_wavelet_is_told(options: dict[str, object], irreversible: bool) -> None:
    header = read_header(saved(irreversible=irreversible, **options))
    assert (header.height, header.width, header.depths) == (20, 24, (8, 8, 8))
    assert (header.irreversible, header.signed, header.subsampled) == (irreversible, False, False)


@pytest.mark.parametrize(("height", "width"), [(2, MARKER_LIKE), (MARKER_LIKE, 2), (1, MARKER_LIKE - 1)])
def test_a_size_that_looks_like_a_marker_is_a_size(height: int, width: int) -> None:
    codes = np.random.default_rng(2).integers(0, 16, (height, width, 1), np.uint8)
    np.testing.assert_array_equal(read(write(Jpeg2000(), codes, 4), 4), codes)
    for ratio, lossy in ((None, False), (4, True)):
        assert formats.decode(write(Jpeg2000(ratio), codes, 4))[1] == lossy
    with pytest.raises(ContainerError, match="how many bits"):
        read(write(Jpeg2000(4), codes, 4))


def test_markers_in_other_boxes_are_not_the_codestream() -> None:
    data = saved(irreversible=True)
    body = b"0123456789abcdef" + b"\xff\x4f\xff\x51" + bytes(39) + b"\x05" + b"\xff\x52" + b"\1" * 20
    box = struct.pack(">I4s", 8 + len(body), b"uuid") + body
    long_box = struct.pack(">I4sQ", 1, b"uuid", 16 + len(body)) + body
    at = data.index(b"jp2h") - 4
    for more in (box, long_box):
        mixed = data[:at] + more + data[at:]
        assert read_header(mixed) == read_header(data)
        np.testing.assert_array_equal(decode_image(mixed), decode_image(data))
        assert formats.decode(mixed)[1]


def test_a_bands_own_parameters_count() -> None:
    data = saved(no_jp2=True)
    for bands, number in ((0, b"\1"), (1, b"\0")):  # of the bands' own, then of a later one
        body = number + b"\0" + bytes([5, 4, 4, 0, bands])
        assert read_header(with_segment(data, 0x53, body, b"\xff\x5c")).irreversible == (bands == 0)


@pytest.mark.parametrize("first", [True, False])
def test_a_tiles_own_parameters_count(first: bool) -> None:
    data = saved(no_jp2=True, tile_size=(16, 16))
    tile = data.index(b"\xff\x90") if first else data.rindex(b"\xff\x90\0\x0a")
    assert struct.unpack_from(">H", data, tile + 4)[0] == (0 if first else 3)
    body = bytes([0, 0, 0, 1, 0, 5, 4, 4, 0, 0])
    mixed = bytearray(data[:tile] + with_segment(data[tile:], 0x52, body, b"\xff\x93"))
    (length,) = struct.unpack_from(">I", mixed, tile + 6)
    struct.pack_into(">I", mixed, tile + 6, length + len(body) + 4)
    assert read_header(bytes(mixed)).irreversible and not read_header(data).irreversible


@pytest.mark.parametrize(("offset", "value"), [(0, 0x87), (1, 2), (0, 15)])
def test_bands_that_are_signed_subsampled_or_mixed_are_refused(offset: int, value: int) -> None:
    data = bytearray(saved())
    data[data.index(b"\xff\x4f\xff\x51") + 42 + offset] = value
    with pytest.raises(ImageError):
        decode_image(bytes(data))


def test_depths_are_those_that_were_written() -> None:
    samples = np.random.default_rng(3).integers(0, 5000, (9, 8), np.uint16)
    for bits in (13, 16):
        data = imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, bitspersample=bits, codecformat="jp2")
        assert read_header(data).depths == (bits,)


@pytest.mark.parametrize("keep", [4, 12, 13, 40, 90, 120])
def test_damaged_headers_are_refused(keep: int) -> None:
    with pytest.raises(ContainerError):
        read(saved()[:keep], 8)
    with pytest.raises(ImageError):
        decode_image(saved()[:keep])
