"""Every operator's netlist, of both families, does in every cycle what its RTL does."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.backends.netlist.lockstep import Stimulus, Verdict, run_lockstep
from bitswath.backends.netlist.mapping import Mapped, map_parts, read_netlist
from bitswath.backends.netlist.parts import Part
from tests.designs import CACHE
from tests.hw.node_cases import Case, cases
from tests.hw.worker.test_nodes import MEMORY
from tests.paths import ROOT

NAMES = [case.name for case in cases(np.random.default_rng(0))]
ULTRASCALE = ("in_dsps", "few_bits", "palette", "sum")
SEED = 20261129
"""Of the cases: netlists are kept, pauses and resets are new each time."""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Part], Path]:
    folder = tmp_path_factory.mktemp("netlists")
    found = cases(np.random.default_rng(SEED))
    job = {"cases": [case.job for case in found], "chains": [], "refusals": []}
    (folder / "job.json").write_text(json.dumps(job, default=int))
    command = [sys.executable, "-m", "tests.hw.node_worker", str(folder / "job.json"), str(folder / "result.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    generated = json.loads((folder / "result.json").read_text())["cases"]
    (folder / "rtl").mkdir()
    for case, entry in zip(found, generated):
        for name in entry["sources"]:
            shutil.copy(folder / name, folder / "rtl" / name)
        for name, text in entry["memories"].items():
            (folder / "rtl" / name).write_text(text)
        for port, beats in enumerate(case.beats):
            lines = "".join(f"{int(beat):x}\n" for beat in beats)
            (folder / f"{case.name}_in{port}.beats").write_text(lines * 40)
    return [part_of(case, entry) for case, entry in zip(found, generated)], folder


def part_of(case: Case, entry: dict[str, Any]) -> Part:
    ports = {side: dict(entry["ports"][side]) for side in ("s_axis", "m_axis")}
    wires = [".ap_clk(clk)", ".ap_rst_n(rst_n)", *([".ap_clk2x(clk)"] if case.op == "MVAU_rtl" else [])]
    for port in (*ports["s_axis"], *ports["m_axis"]):
        wires += [f".{port}_{signal.upper()}({port}_{signal})" for signal in ("tdata", "tvalid", "tready")]
    body = ""
    if any(name.endswith("_memstream_wrapper.v") for name in entry["sources"]):
        pe, simd, kind = case.attributes["PE"], case.attributes["SIMD"], case.attributes["weightDataType"]
        bits = 1 if kind == "BIPOLAR" else int(kind.lstrip("UINT"))
        body = MEMORY.format(name=case.name, high=-(-pe * simd * bits // 8) * 8 - 1) + "\n"
        wires += [f".in1_V_{signal.upper()}({case.name}_w_{signal})" for signal in ("tdata", "tvalid", "tready")]
    instance = f"{body}  {case.name} node ({', '.join(wires)});\n"
    streams = {port: f"{case.name}_{port.removesuffix('_V')}" for port in ports["s_axis"]}
    sources = tuple(sorted(entry["sources"], key=lambda name: not name.endswith("_pkg.sv")))
    return Part(case.name, case.name, ports["s_axis"], ports["m_axis"], instance, sources, streams)


def mapped(parts: list[Part], rtl: Path, family: str) -> Mapped:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BITSWATH_CACHE", str(CACHE))
        found = map_parts(parts, rtl, family)
    assert not found.problems
    return found


def compared(parts: list[Part], folder: Path, family: str) -> dict[str, Verdict]:
    seed = secrets.randbelow(2**31)
    print(f"seed {seed}")
    netlists = mapped(parts, folder / "rtl", family)
    beats = {path.stem: path for path in folder.glob("*.beats")}
    pairs = {part: read_netlist(netlists.files[part.name]) for part in parts}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BITSWATH_CACHE", str(CACHE))
        found = run_lockstep(pairs, folder / "rtl", beats, Stimulus(cycles=12_000, seed=seed))
    return {verdict.part: verdict for verdict in found}


@pytest.fixture(scope="module")
def xc7(parts: tuple[list[Part], Path]) -> dict[str, Verdict]:
    return compared(*parts, "xc7")


@pytest.fixture(scope="module")
def xcup(parts: tuple[list[Part], Path]) -> dict[str, Verdict]:
    return compared([part for part in parts[0] if part.name in ULTRASCALE], parts[1], "xcup")


@pytest.mark.parametrize("name", NAMES)
def test_netlist_for_7_series_is_the_rtl(xc7: dict[str, Verdict], name: str) -> None:
    assert not xc7[name].mismatches
    assert xc7[name].beats > 0 and xc7[name].values > 10_000


@pytest.mark.parametrize("name", ULTRASCALE)
def test_netlist_for_ultrascale_is_the_rtl(xcup: dict[str, Verdict], name: str) -> None:
    assert not xcup[name].mismatches
    assert xcup[name].beats > 0
