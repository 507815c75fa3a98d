"""Own FINN operators: their generated modules, FINN's ports and all, give what numpy and their models say."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.hw.node_cases import FRAMES, Case, cases
from tests.paths import ROOT
from tests.rtl.simulate import FULL_RATE, SCENARIOS, Run, from_beats, simulate

NAMES = [case.name for case in cases(np.random.default_rng(0))]
MEMORY = """\
  wire [{high}:0] {name}_w_tdata;
  wire {name}_w_tvalid, {name}_w_tready;
  {name}_memstream_wrapper {name}_weights (
      .ap_clk(clk), .ap_clk2x(clk), .ap_rst_n(rst_n),
      .m_axis_0_tdata({name}_w_tdata), .m_axis_0_tvalid({name}_w_tvalid), .m_axis_0_tready({name}_w_tready)
  );"""


@dataclass(frozen=True)
class Nodes:
    """Cases by name, what the worker said of them, and the runs in which all streamed side by side."""

    cases: dict[str, Case]
    generated: dict[str, dict[str, Any]]
    chains: list[list[dict[str, Any]]]
    refusals: list[str]
    runs: list[Run]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    seed, folder = secrets.randbelow(2**31), tmp_path_factory.mktemp("nodes")
    print(f"seed {seed}")
    found = cases(np.random.default_rng(seed))
    job = {"cases": [case.job for case in found], "chains": CHAINS, "refusals": [case for case, _ in REFUSALS]}
    (folder / "job.json").write_text(json.dumps(job, default=int))
    command = [sys.executable, "-m", "tests.hw.node_worker", str(folder / "job.json"), str(folder / "result.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((folder / "result.json").read_text())
    generated = {case.name: entry for case, entry in zip(found, result["cases"])}
    runs = streamed(found, generated, folder, seed)
    yield Nodes({case.name: case for case in found}, generated, result["chains"], result["refusals"], runs)


def streamed(found: list[Case], generated: dict[str, dict[str, Any]], folder: Path, seed: int) -> list[Run]:
    """All cases in one simulation, which is what compiling takes time for."""
    (folder / "nodes.sv").write_text(side_by_side(found, generated))
    names = dict.fromkeys(name for entry in generated.values() for name in entry["sources"])
    ordered = sorted(names, key=lambda name: not name.endswith("_pkg.sv"))
    rtl = [*(folder / name for name in ordered), folder / "nodes.sv"]
    sources = {f"{case.name}_in{i}": [beats] for case in found for i, beats in enumerate(case.beats)}
    sinks = {
        f"{case.name}_out{i}": [result.values.size // result.elements]
        for case in found
        for i, result in enumerate(case.results)
    }
    files = {name: text for entry in generated.values() for name, text in entry["memories"].items()}
    scenarios = [SCENARIOS[0], FULL_RATE, *SCENARIOS[4:]]
    return simulate("nodes", {}, sources, sinks, seed=seed, scenarios=scenarios, files=files, rtl=rtl)


def side_by_side(found: list[Case], generated: dict[str, dict[str, Any]]) -> str:
    """A module with each case's node in it, and streams ``<case>_in0_tdata`` and so on."""
    ports, bodies = ["input logic clk", "input logic rst_n"], []
    for case in found:
        wires = [".ap_clk(clk)", ".ap_rst_n(rst_n)", *([".ap_clk2x(clk)"] if case.op == "MVAU_rtl" else [])]
        for side, directions in (("s_axis", ("input", "input", "output")), ("m_axis", ("output", "output", "input"))):
            for port, width in generated[case.name]["ports"][side]:
                stream = f"{case.name}_{port.removesuffix('_V')}"
                for signal, direction in zip(("tdata", "tvalid", "tready"), directions):
                    ports.append(
                        f"{direction} logic {f'[{width - 1}:0] ' if signal == 'tdata' else ''}{stream}_{signal}"
                    )
                    wires.append(f".{port}_{signal.upper()}({stream}_{signal})")
        if any(name.endswith("_memstream_wrapper.v") for name in generated[case.name]["sources"]):
            pe, simd = case.attributes["PE"], case.attributes["SIMD"]
            bits = 1 if (kind := case.attributes["weightDataType"]) == "BIPOLAR" else int(kind.lstrip("UINT"))
            bodies.append(MEMORY.format(name=case.name, high=-(-pe * simd * bits // 8) * 8 - 1))
            wires += [f".in1_V_{signal.upper()}({case.name}_w_{signal})" for signal in ("tdata", "tvalid", "tready")]
        bodies.append(f"  {case.name} node_{case.name} (\n      {', '.join(wires)}\n  );")
    return "\n".join(["module nodes (", "  " + ",\n  ".join(ports), ");", *bodies, "endmodule", ""])


@pytest.mark.parametrize("name", NAMES)
def test_module_gives_what_numpy_says(nodes: Nodes, name: str) -> None:
    for run in nodes.runs:
        for index, result in enumerate(nodes.cases[name].results):
            beats = run.beats[f"{name}_out{index}"][0]
            if nodes.cases[name].op in ("DuplicateStreams_rtl", "MVAU_rtl"):  # give signs or copies beside the data
                beats = [beat & ((1 << result.elements * result.bits) - 1) for beat in beats]
            coded = (result.values + 1) // 2 if name == "maximum_of_signs" else result.values
            if result.bits > 63:
                assert beats == coded.reshape(-1).tolist(), run.scenario.name
            else:
                y = from_beats(beats, result.elements, result.bits, result.signed)
                expected = coded.astype(np.int64).reshape(-1, result.elements)
                np.testing.assert_array_equal(y, expected, err_msg=run.scenario.name)


@pytest.mark.parametrize("name", NAMES)
def test_functional_model_gives_what_numpy_says(nodes: Nodes, name: str) -> None:
    for frame, outputs in enumerate(nodes.generated[name]["outputs"]):
        for values, result in zip(outputs, nodes.cases[name].results):
            assert values == result.values[frame].reshape(-1).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_frames_follow_each_other_in_the_expected_cycles(nodes: Nodes, name: str) -> None:
    (run,) = (run for run in nodes.runs if run.scenario is FULL_RATE)
    case, expected = nodes.cases[name], nodes.generated[name]["cycles"]
    inputs = [run.cycles[f"{name}_in{i}"][0] for i in range(len(case.beats))]
    outputs = [run.cycles[f"{name}_out{i}"][0] for i in range(len(case.results))]
    intervals = [cycles[-1] - cycles[len(cycles) // FRAMES - 1] for cycles in (*inputs, *outputs)]
    assert max(intervals) / (FRAMES - 1) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("name", NAMES)
def test_finn_sees_the_beats_that_stream(nodes: Nodes, name: str) -> None:
    case, entry = nodes.cases[name], nodes.generated[name]
    for beats, folded in zip(case.beats, entry["folded"][0]):
        assert len(beats) == FRAMES * np.prod(folded[:-1])
    for result, folded, (_, width) in zip(case.results, entry["folded"][1], entry["ports"]["m_axis"]):
        assert folded[-1] == result.elements
        assert np.prod(folded) == result.values[0].size
        assert width == -(-result.elements * result.bits // 8) * 8
    assert max(entry["estimates"]) > 0 and min(entry["estimates"]) >= 0
    assert any("create_bd_cell" in command for command in entry["commands"])


def chain(*steps: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"name": f"n{i}", "op": op, "attributes": attributes, "inputs": [f"t{i}"], "outputs": [f"t{i + 1}"]}
        for i, (op, attributes) in enumerate(steps)
    ]


CHAINS = [
    chain(
        ("DenseUnpack_rtl", {"Shape": [8, 8, 4], "dataType": "UINT3", "wordBits": 64, "SIMD": 4}),
        ("FMPadding_rtl", {"ImgDim": [8, 8], "Padding": [1, 1, 1, 1], "NumChannels": 4, "SIMD": 2,
                           "inputDataType": "UINT3"}),
        ("Pool_rtl", {"Channels": 4, "PE": 1, "KernelSize": [1, 1], "Function": "MaxPool", "OutImgDims": [10, 10],
                      "InputDataType": "UINT3", "OutputDataType": "UINT3"}),
        ("GlobalAccPool_rtl", {"NumChannels": 4, "PE": 4, "inputDataType": "UINT3", "numInputVectors": [1, 10, 10]}),
        ("DensePack_rtl", {"Shape": [1, 1, 4], "dataType": "UINT10", "wordBits": 64, "PE": 1}),
    ),
]  # fmt: skip


def test_width_converters_fit_between_own_and_finn_nodes(nodes: Nodes) -> None:
    (streams,) = nodes.chains
    assert sum("StreamingDataWidthConverter_rtl" in stream["ends"] for stream in streams) == 8
    for stream in streams:
        assert stream["widths"][0] == stream["widths"][1], stream
        assert stream["types"][0] == stream["types"][1], stream
        assert np.prod(stream["shapes"][0]) == np.prod(stream["shapes"][1]), stream
        assert stream["shapes"][0][-1] == stream["shapes"][1][-1], stream


LINK = {"Shape": [4, 4, 3], "dataType": "UINT4", "wordBits": 64}
SUM = {"NumChannels": 4, "PE": 2, "inputDataTypes": ["UINT4", "UINT4"], "outputDataType": "UINT5"}
REFUSALS: list[tuple[dict[str, Any], str]] = [
    (case, message)
    for op, attributes, message in [
        ("DenseUnpack_rtl", LINK | {"SIMD": 2}, "expected elements a beat that divide 3, not 2"),
        ("DenseUnpack_rtl", LINK | {"wordBits": 60}, "expected wordBits in whole bytes up to 4096, not 60"),
        ("DensePack_rtl", LINK | {"dataType": "BIPOLAR"}, "expected INT or UINT, not BIPOLAR"),
        ("AddStreams_rtl", SUM | {"outputDataType": "UINT4"}, "expected outputDataType of 0..30, not UINT4"),
        ("AddStreams_rtl", SUM | {"multipliers": [1, 0]}, "expected multipliers other than 0"),
    ]
    for case in chain((op, attributes))
]


def test_attributes_that_do_not_fit_are_refused_in_a_line(nodes: Nodes) -> None:
    for (case, message), said in zip(REFUSALS, nodes.refusals):
        assert said == f"node 'n0' ({case['op']}): {message}"
