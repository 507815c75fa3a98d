"""The top's text for what simulation does not tell: constants, names, ends that do not fit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bitswath.builds.design import Design
from bitswath.errors import BuildError
from bitswath.hw.generating.top import top_module
from tests.designs import residual


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Design:
    return residual(tmp_path_factory.mktemp("top") / "board")


def changed(design: Design, name: str, **values: object) -> Design:
    streams = [one.model_copy(update=values) if one.name == name else one for one in design.streams]
    return design.model_copy(update={"streams": tuple(streams)})


def test_queues_stand_where_a_stream_has_a_depth(design: Design) -> None:
    assert re.findall(r"stream_fifo #\(.WIDTH\(8\), .DEPTH\((\d+)\), .* queue_(\w+)", top_module(design)) == [
        ("16", "direct"),
        ("2", "held_in"),
        ("2", "held_out"),
    ]
    assert "queue_codes" not in top_module(design)


def test_parameters_are_numbers_or_quoted_strings_and_ties_constants(design: Design) -> None:
    stage = design.stages[2].model_copy(
        update={"parameters": {"N": -3, "BIG": 1 << 40, "FILE": 'a"b.dat'}, "ties": {"x": 0, "y": 5, "z": 1 << 70}}
    )
    text = top_module(design.model_copy(update={"stages": (*design.stages[:2], stage, *design.stages[3:])}))
    assert f'.N(-3), .BIG(41\'d{1 << 40}), .FILE("a\\"b.dat")' in text
    assert ".x(1'd0)" in text
    assert ".y(3'd5)" in text
    assert f".z(71'd{1 << 70})" in text


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("codes", {"source": None}, "no stage gives it"),
        ("codes", {"sink": None}, "no stage takes it"),
        ("words_in", {"bits": 32}, "expected the link's 64 bits"),
    ],
)
def test_open_ends_and_other_widths_are_refused(
    design: Design, name: str, values: dict[str, object], said: str
) -> None:
    with pytest.raises(BuildError, match=said):
        top_module(changed(design, name, **values))


def test_a_build_folder_is_complete(tmp_path: Path) -> None:
    design = residual(tmp_path / "board")
    rtl = tmp_path / "board" / "rtl"
    found = {path.relative_to(rtl).as_posix() for path in rtl.rglob("*") if path.is_file()}
    assert {file.path for file in design.files} == found
    assert {"accelerator.sv", "shell/shell.sv", "shell/dma_read.sv"} <= found
