"""A build's netlists against its RTL: equal as they are, and named where a LUT, a register or a memory is another."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from bitswath.backends.netlist import check
from bitswath.backends.netlist.check import check_netlists, family_of
from bitswath.backends.netlist.mapping import Mapped, read_netlist
from bitswath.backends.netlist.verilog import verilog
from bitswath.builds.design import Design
from bitswath.codecs.packing import pack
from bitswath.errors import BuildError, VerificationError
from bitswath.hw.generating.compile import save_design
from tests.designs import BITS, CACHE, random_codes, residual


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> tuple[Design, Path]:
    folder = tmp_path_factory.mktemp("check") / "build"
    design = residual(folder, direct=40)
    queue = folder / "rtl" / "fifo.sv"
    queue.write_text(re.sub(r"`default_nettype \w+\n", "", queue.read_text()))  # as hw.generating.rtllib does
    return save_design(design, folder), folder


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


def checked(folder: Path, seed: int = 1) -> check.NetlistCheck:
    return check_netlists(folder, pack(random_codes(3, seed), BITS), seed=seed)


def test_every_stage_and_queue_is_what_it_is_mapped_to(build: tuple[Design, Path]) -> None:
    design, folder = build
    steps: list[str] = []
    found = check_netlists(folder, pack(random_codes(3, 1), BITS), whole=True, seed=1, on_step=steps.append)
    assert {verdict.part for verdict in found.verdicts} == {
        *(stage.name for stage in design.stages), "queue direct", "queue held_out", "queue sums", design.top,
    }  # fmt: skip
    assert all(verdict.beats > 0 and not verdict.mismatches for verdict in found.verdicts)
    assert family_of(design) == "xc7"
    assert steps[0] == "front ends"


def inverted(netlist: dict[str, Any]) -> None:
    lut = next(cell for cell in netlist["cells"].values() if cell["type"].startswith("LUT"))
    lut["parameters"]["INIT"] = lut["parameters"]["INIT"].translate(str.maketrans("01", "10"))


def unclocked(netlist: dict[str, Any]) -> None:
    register = next(cell for cell in netlist["cells"].values() if cell["type"] == "FDRE")
    register["connections"]["CE"] = ["0"]


def test_another_cell_is_found_and_its_part_named(build: tuple[Design, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    design, folder = build
    read, faults = check.read_netlist, {"sum": inverted, "pack": unclocked}
    names = [stage.name for stage in design.stages]
    count = iter(range(1000))

    def damaged(path: Path) -> Any:
        netlist, index = copy.deepcopy(read(path)), next(count)
        if index < len(names) and names[index] in faults:
            faults[names[index]](netlist)
        return netlist

    monkeypatch.setattr(check, "read_netlist", damaged)
    assert set(faults) <= set(names)
    assert {verdict.part for verdict in checked(folder).verdicts if verdict.mismatches} == set(faults)


def test_a_part_that_yosys_cannot_take_is_no_proof(build: tuple[Design, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "map_parts", lambda *_, **__: Mapped({}, {"pack": "pack: Yosys cannot take it"}))
    with pytest.raises(VerificationError, match="no netlist of pack: Yosys cannot take it"):
        checked(build[1])


def test_cells_without_a_model_are_refused() -> None:
    netlist = {"ports": {}, "cells": {"x": {"type": "LDCE", "parameters": {}, "connections": {}}}}
    with pytest.raises(BuildError, match="a cell 'LDCE', which no model simulates"):
        verilog(netlist, "top")


def test_a_damaged_netlist_in_the_cache_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "x.json.gz").write_bytes(b"damaged")
    with pytest.raises(BuildError, match="delete it to map it anew"):
        read_netlist(tmp_path / "x.json.gz")
