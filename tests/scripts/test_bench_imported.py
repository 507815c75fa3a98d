"""The page of models that other people made."""

from __future__ import annotations

import pytest
from bench_imported import MODELS, page

from tests.paths import DATA

FIGURES = {
    "frames_per_s": 127551.02, "latency_us": 29.35, "lut": 1191.0, "ff": 1051.0, "bram36": 1.5, "dsp": 0.0,
    "verified": "EQUAL: x, 15,711 values compared over 4 frames",
}  # fmt: skip


def test_each_model_is_a_row_beside_what_is_published() -> None:
    known, unknown = MODELS[0], next(one for one in MODELS if one.published is None)
    rows = {known.name: FIGURES, unknown.name: {"refused": "build: BRAM is short"}}
    lines = page(rows, "a machine", "2026-11-29").splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1
    assert "| 127,551 | 29.35 µs | 1,191 | 1,051 | 1.5 | 0 | 111,607 | 32.74 µs | 1,700 | 3.5 |" in table[2]
    assert "not built: build: BRAM is short" in table[3]
    notes = [line for line in lines if line[:1].isdigit()]
    assert "github.com" in notes[0] and "EQUAL" in notes[0]
    assert unknown.why_none in notes[1]


def test_the_files_are_those_that_are_shared() -> None:
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there")
    assert {one.model for one in MODELS} <= {path.stem for path in (DATA / "models").glob("*.onnx")}
