"""Codecs as text and as JSON: what is read, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.codecs.dither import DITHERS
from bitswath.codecs.kinds import CodecSpec, codec_from_dict, fit_codec, parse_codec
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import CodecError
from tests.host.codec_cases import (
    land,
)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "vector"},
        {"bits": 3},
        {"bits": "2"},
        {"bits": None},
        {"dither": "noise"},
        {"depth": 7},
        {"depth": 17},
        {"levels": [[1, 2, 3, 256]]},
        {"levels": [[1, 2, 3, -4]]},
        {"levels": [[1, 3, 2, 4]]},
        {"levels": [[1, 2, 2, 4]]},
        {"levels": [[1, 2, 3.0, 4]]},
        {"levels": [[1, 2, 3, True]]},
        {"levels": [[1, 2, 3, 4], [1, 2, 3]]},
        {"levels": []},
        {"levels": [[]]},
        {"levels": 5},
        {"levels": "1234"},
        {"label": 1},
    ],
    ids=str,
)
def test_descriptions_that_make_no_codec_are_refused(change: dict[str, object]) -> None:
    good = {"kind": "companded", "bits": 2, "dither": None, "depth": 8, "levels": [[1, 2, 3, 4]]}
    assert codec_from_dict(good).bands == 1
    with pytest.raises(CodecError):
        codec_from_dict(good | change)


@pytest.mark.parametrize("data", [None, [], {}, {"kind": ["uniform"]}, {"kind": "uniform", "bits": 2}], ids=str)
def test_other_data_make_no_codec(data: dict[str, object]) -> None:
    with pytest.raises(CodecError):
        codec_from_dict(data)


@pytest.mark.parametrize(
    "text",
    ["uniform:4", "palette:8", *(f"companded:2:{dither.name}" for dither in DITHERS), "palette:1:blue16-aligned"],
)
def test_specs_are_written_as_they_are_read(text: str) -> None:
    assert str(parse_codec(text)) == text


def test_the_mask_of_eight_pixels_is_called_ordered() -> None:
    assert str(parse_codec("uniform:2:ordered8")) == "uniform:2:ordered"
    assert str(parse_codec("uniform:2:ordered8-aligned")) == "uniform:2:ordered-aligned"
    assert UniformCodec(2, "ordered8").to_dict() == UniformCodec(2, "ordered").to_dict()


def test_specs_are_read() -> None:
    assert parse_codec("companded:2:ordered") == CodecSpec("companded", 2, "ordered")
    assert isinstance(fit_codec(parse_codec("palette:1"), land(0)), PaletteCodec)
    assert fit_codec(parse_codec("uniform:3"), land(0, dtype=np.uint16)) == UniformCodec(3, depth=16)


@pytest.mark.parametrize(
    "text",
    ["", "uniform", "uniform:", "uniform:0", "uniform:9", "vq:4", "uniform:04", "uniform:4:ordered:aligned"],
)
def test_other_specs_are_refused(text: str) -> None:
    with pytest.raises(CodecError, match="with 1 to 8 bits and optionally :DITHER"):
        parse_codec(text)


@pytest.mark.parametrize("dither", ["", "x", "none", "ordered3", "ordered32", "blue", "blue64", "aligned", "blue8-"])
def test_other_dithers_are_refused(dither: str) -> None:
    with pytest.raises(CodecError, match=r"expected a dither of ordered2, .*, blue32, each also with -aligned, got"):
        parse_codec(f"uniform:4:{dither}")
