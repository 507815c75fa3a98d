"""What holds for every codec: round trips, known codes, refusals, and order on real imagery."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bitswath.codecs.companded import CompandedCodec
from bitswath.codecs.kinds import CodecSpec, codec_from_dict, fit_codec
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import CodecError
from tests.host.codec_cases import (
    bit_widths,
    block_means,
    dithers,
    fitted,
    land,
    random_codec,
    sample_types,
    seeds,
    squared_error,
)
from tests.paths import DATA

KNOWN_CODES = {
    "uniform": "001000011100110111111122122212122222322233322233",
    "companded": "000000011111111122221222222222233323333333333333",
    "palette": "0001112222233333",
}


@pytest.mark.parametrize("kind", ["uniform", "companded", "palette"])
@given(seed=seeds, bits=bit_widths, dither=dithers, dtype=sample_types, bands=st.integers(1, 5))
@settings(max_examples=12, deadline=None)
def test_codecs_round_trip_through_json(
    seed: int, kind: str, bits: int, dither: str | None, dtype: type, bands: int
) -> None:
    codec = random_codec(seed, kind, bits, dither, dtype, bands)
    twin = codec_from_dict(json.loads(json.dumps(codec.to_dict())))
    assert twin == codec
    assert hash(twin) == hash(codec)
    patches = land(9, (2, 9, 9, bands), dtype)
    codes = codec.encode(patches)
    assert codes.max() < 1 << bits
    np.testing.assert_array_equal(twin.encode(patches), codes)
    assert codes.shape == (2, *codec.code_shape((9, 9, bands)))
    decoded = codec.decode(codes)
    assert decoded.dtype == patches.dtype
    assert decoded.shape == patches.shape
    if codec.values is not None:
        looked_up = codec.values[np.arange(codes.shape[-1]), codes].reshape(patches.shape)
        np.testing.assert_array_equal(looked_up, decoded)


def test_known_patch_has_known_codes() -> None:
    """The same on every machine: written down once."""
    patch = (np.arange(48, dtype=np.uint8) * 5).reshape(4, 4, 3)
    levels = ((10, 50, 120, 200),) * 3
    colours = ((0, 0, 0), (60, 60, 60), (120, 120, 120), (220, 220, 220))
    got = {
        kind: "".join(map(str, codec.encode(patch).ravel()))
        for kind, codec in {
            "uniform": UniformCodec(2, "ordered"),
            "companded": CompandedCodec(2, "ordered", levels=levels),
            "palette": PaletteCodec(2, "ordered", colours=colours),
        }.items()
    }
    assert got == KNOWN_CODES


@pytest.mark.parametrize("kind", ["uniform", "companded", "palette"])
@pytest.mark.parametrize(
    ("patches", "reason"),
    [
        (np.full((1, 8, 8, 3), np.nan, np.float32), "got float32"),
        (np.zeros((1, 8, 8, 3), np.int64), "got int64"),
        (np.zeros((1, 8, 8, 3), np.uint16), "expected uint8 patches for a 8-bit codec, got uint16"),
        (np.zeros((8, 8), np.uint8), r"got shape \(8, 8\)"),
        (np.zeros((0, 8, 8, 3), np.uint8), "none empty"),
        (np.zeros((1, 8, 0, 3), np.uint8), "none empty"),
    ],
    ids=["nan", "int64", "uint16", "flat", "no patches", "no pixels"],
)
def test_patches_that_do_not_fit_are_refused(kind: str, patches: NDArray[np.uint8], reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        fitted(kind, 4).encode(patches)


@pytest.mark.parametrize("kind", ["companded", "palette"])
def test_another_band_count_is_refused(kind: str) -> None:
    with pytest.raises(CodecError, match="expected patches of 3 bands, got 4"):
        fitted(kind, 4).encode(np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(CodecError, match="expected patches of 3 bands, got 1"):
        fitted(kind, 4).code_shape((8, 8, 1))
    with pytest.raises(CodecError, match="codes"):
        fitted(kind, 4).decode(np.zeros((8, 8, 2), np.uint8))


def test_codes_out_of_range_are_refused() -> None:
    with pytest.raises(CodecError, match="below 4 for 2 bit, got 4"):
        fitted("palette", 2).decode(np.full((1, 1, 1), 4, np.uint8))
    with pytest.raises(CodecError, match="expected uint8 codes"):
        fitted("uniform", 2).decode(np.zeros((1, 1, 1), np.int32))


@pytest.mark.parametrize("fit", [CompandedCodec.fit, PaletteCodec.fit])
def test_fits_refuse_what_no_codec_takes(fit: type) -> None:
    for patches in (np.zeros((0, 8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3)), np.zeros(8, np.uint8)):
        with pytest.raises(CodecError, match="patches"):
            fit(patches, 4)
    for bits in (0, 9, True, 2.0):
        with pytest.raises(CodecError, match="1 to 8 bits"):
            fit(np.zeros((1, 8, 8, 3), np.uint8), bits)
    with pytest.raises(CodecError, match="dither"):
        fit(np.zeros((1, 8, 8, 3), np.uint8), 4, "floyd")


# ---- real imagery ----


EUROSAT = DATA / "eurosat_rgb.zip"


@pytest.fixture(scope="module")
def eurosat() -> NDArray[np.uint8]:
    if not EUROSAT.exists():
        pytest.skip(f"EuroSAT is not at {EUROSAT.name} beside the checkout")
    with zipfile.ZipFile(EUROSAT) as archive:
        names = sorted(name for name in archive.namelist() if "train/" in name and name.endswith(".jpg"))[::400]
        return np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in names])


def test_codecs_are_ordered_on_real_imagery(eurosat: NDArray[np.uint8]) -> None:
    fit, held_out = eurosat[::2], eurosat[1::2]
    previous = dict.fromkeys(("uniform", "companded", "palette"), np.inf)
    for bits in (1, 3):
        error = {kind: squared_error(fit_codec(CodecSpec(kind, bits), fit), held_out) for kind in previous}
        assert error["companded"] < error["uniform"]
        assert error["companded"] < error["palette"]  # three codes a pixel against one
        assert all(error[kind] < previous[kind] for kind in previous)
        previous = error


@pytest.mark.parametrize("kind", ["uniform", "companded", "palette"])
def test_dither_brings_local_means_of_real_imagery_closer(eurosat: NDArray[np.uint8], kind: str) -> None:
    fit, held_out = eurosat[::2], eurosat[1::2]
    errors = []
    for dither in (None, "ordered"):
        codec = fit_codec(CodecSpec(kind, 2, dither), fit)
        errors.append(np.square(block_means(codec.decode(codec.encode(held_out))) - block_means(held_out)).mean())
    assert errors[1] < errors[0] * (
        0.5 if kind == "palette" else 0.1
    )  # a palette's dither stays inside its colours' hull
