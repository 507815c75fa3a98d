"""Random thresholds, as FINN's RTL and as the model that stands for it: both give what numpy says.

All are simulated side by side in one program, for compiling is what takes time. Then a network of such thresholds.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.backends.rtl import stand_in as fast
from bitswath.backends.rtl.backend import RtlBackend
from bitswath.bundle.bundle import save_bundle
from bitswath.codecs.packing import pack
from bitswath.codecs.uniform import UniformCodec
from bitswath.hw.building.build import Options, build
from bitswath.hw.planning.boards import find_board
from bitswath.hw.units import Numbers, Threshold, Wire, divisors
from bitswath.models.verify.rtl import _first_stream
from bitswath.network.network import INPUT, Add, Conv, Dense, Network, TensorSpec
from bitswath.network.network import Threshold as Stage
from tests import reference
from tests.designs import CACHE
from tests.paths import ROOT
from tests.rtl.simulate import FULL_RATE, SCENARIOS, Run, from_beats, simulate, to_beats

PIXELS, RANDOM = 40, 12
MODULES = ("thresholding.sv", "thresholding_axi.sv")

Values = NDArray[np.int64]


@dataclass(frozen=True)
class Case:
    """A unit of PE channels at a time, and inputs (PIXELS, channels) for it."""

    unit: Threshold
    pe: int
    inputs: Values

    def __str__(self) -> str:
        source, result = (wire.numbers.datatype for wire in (*self.unit.inputs, *self.unit.outputs))
        rows, steps = self.unit.thresholds.shape
        size = f"{rows} of {self.inputs.shape[1]} x {steps} from {self.unit.base}"
        return f"{self.unit.name}: {source} to {result}, {size}, PE {self.pe}, {self.unit.parameter_type}"

    @property
    def expected(self) -> Values:
        return self.unit.base + (self.inputs[:, :, None] >= self.unit.thresholds).sum(axis=2)

    @property
    def job(self) -> dict[str, Any]:
        unit = self.unit
        parameters = {"values": unit.parameters.tolist(), "datatype": unit.parameter_type.datatype}
        folding = {"PE": self.pe}
        return {
            "name": unit.name, "op": unit.operator(folding), "attributes": unit.attributes(folding), "frames": 0,
            "inputs": [f"{unit.name}_x"], "outputs": [f"{unit.name}_y"], "parameters": parameters,
        }  # fmt: skip


def case(
    name: str, random: np.random.Generator, numbers: Numbers, rows: Values, base: int, channels: int, pe: int
) -> Case:
    """With inputs next to the thresholds and at the ends among them."""
    near = rows[random.integers(0, len(rows), PIXELS * channels), random.integers(0, rows.shape[1], PIXELS * channels)]
    kinds = [near + random.integers(-1, 2, near.shape), random.integers(numbers.lo, numbers.hi + 1, near.shape)]
    kinds += [random.choice([numbers.lo, numbers.hi], near.shape)]
    inputs = np.clip(np.choose(random.integers(0, 3, near.shape), kinds), numbers.lo, numbers.hi)
    wires = [
        Wire(f"{name}_{side}", (PIXELS, 1, channels), kind)
        for side, kind in (("x", numbers), ("y", Numbers.holding(base, base + rows.shape[1])))
    ]
    unit = Threshold(name, name, (wires[0],), (wires[1],), thresholds=rows, base=base)
    return Case(unit, pe, inputs.reshape(PIXELS, channels))


def at_random(name: str, random: np.random.Generator) -> Case:
    numbers = Numbers(int(random.choice([1, 2, 5, 8, 12, 17, 28])), bool(random.integers(2)))
    steps = int(random.choice([1, 2, 3, 4, 6, 7, 8, 13, 15, 16, 30]))
    base = int(random.choice([0, random.integers(-3 * steps, 2 * steps), -steps, -(steps + 1) // 2, -steps - 40, 90]))
    channels = int(random.integers(1, 7))
    reach = min(int(random.choice([3, 40, 1 << 20])), numbers.hi)
    centre = int(random.integers(numbers.lo, numbers.hi, endpoint=True))
    shape = (int(random.choice([1, channels])), steps)
    rows = np.sort(random.integers(centre - reach, centre + reach + 1, shape), axis=1)
    pe = int(random.choice(divisors(channels)))
    return case(name, random, numbers, np.clip(rows, numbers.lo, numbers.hi + 1), base, channels, pe)


def cases(random: np.random.Generator) -> list[Case]:
    byte, accumulator = Numbers(8, signed=True), Numbers(28, signed=True)
    rows = {
        "zero_point_7": (byte, np.sort(random.integers(-90, 90, (1, 15)), axis=1), -7),
        "zero_point_3_signed": (byte, np.sort(random.integers(-90, 90, (4, 15)), axis=1), -11),
        "normalized_pixels": (Numbers(8), np.sort(random.integers(0, 256, (4, 121)), axis=1), -54),
        "between_9_and_13": (byte, np.sort(random.integers(-90, 90, (4, 4)), axis=1), 9),
        "below_all_outputs": (byte, np.sort(random.integers(-90, 90, (4, 5)), axis=1), -13),
        "lowest_of_its_type": (accumulator, np.array([[-8, 0, 7]]), 0),
        "beyond_a_float": (accumulator, (1 << 26) + np.arange(7)[None] - 3, -3),
        "one_step": (byte, random.integers(-90, 90, (4, 1)), -1),
    }
    named = [
        case(name, random, numbers, values, base, channels=4, pe=2) for name, (numbers, values, base) in rows.items()
    ]
    return named + [at_random(f"random_{i}", random) for i in range(RANDOM)]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Case], list[Run]]:
    seed, folder = secrets.randbelow(2**31), tmp_path_factory.mktemp("thresholding")
    print(f"seed {seed}")
    found = cases(np.random.default_rng(seed))
    job = {"cases": [one.job for one in found], "chains": [], "refusals": []}
    (folder / "job.json").write_text(json.dumps(job, default=int))
    command = [sys.executable, "-m", "tests.hw.node_worker", str(folder / "job.json"), str(folder / "result.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    generated = json.loads((folder / "result.json").read_text())["cases"]
    files = {name: text for entry in generated for name, text in entry["memories"].items()}
    beats = {one.unit.name: to_beats(one.inputs.reshape(-1, one.pe), bits_of(one)) for one in found}
    sources = {f"{name}_{kind}_x": [lane] for name, lane in beats.items() for kind in ("exact", "fast")}
    sinks = {f"{name}_{kind}_y": [len(lane)] for name, lane in beats.items() for kind in ("exact", "fast")}
    scenarios = [SCENARIOS[0], FULL_RATE, SCENARIOS[4]]
    rtl = written(found, generated, folder)
    return found, simulate("both", {}, sources, sinks, seed=seed, scenarios=scenarios, files=files, rtl=rtl)


def bits_of(one: Case) -> int:
    return one.unit.inputs[0].numbers.bits


def written(found: list[Case], generated: list[dict[str, Any]], folder: Path) -> list[Path]:
    """The generated sources, once as they are and once around the model, and a module with all of them in it."""
    names = list(dict.fromkeys(name for entry in generated for name in entry["sources"]))
    doubled = [name for name in names if name in MODULES or not name.endswith(".sv")]
    texts = {name: (folder / name).read_text() for name in names}
    for name in doubled:
        text = fast.MODELS[name].read_text() if name in fast.MODELS else texts[name]
        stems = "|".join(Path(one).stem for one in doubled)
        texts[f"fast_{name}"] = re.sub(rf"\b((?:module|endmodule\s*:)\s*)?({stems})(?=\s|$)", r"\1fast_\2", text)
    texts["both.sv"] = side_by_side(found, generated)
    for name, text in texts.items():
        (folder / name).write_text(text)
    return [folder / name for name in texts]


def side_by_side(found: list[Case], generated: list[dict[str, Any]]) -> str:
    ports, bodies = ["input logic clk", "input logic rst_n"], []
    for one, entry in zip(found, generated):
        for kind, prefix in (("exact", ""), ("fast", "fast_")):
            wires = [".ap_clk(clk)", ".ap_rst_n(rst_n)"]
            wires += [f".s_axilite_{port}VALID(1'b0)" for port in ("AW", "W", "AR")]
            for port, side, end, flow in (("in0_V", "s_axis", "x", "iio"), ("out0_V", "m_axis", "y", "ooi")):
                width = dict(entry["ports"][side])[port]
                for signal, way in zip(("TDATA", "TVALID", "TREADY"), flow):
                    name = f"{one.unit.name}_{kind}_{end}_{signal.lower()}"
                    shape = f"[{width - 1}:0] " if signal == "TDATA" else ""
                    ports.append(f"{'input' if way == 'i' else 'output'} logic {shape}{name}")
                    wires.append(f".{port}_{signal}({name})")
            bodies.append(f"  {prefix}{one.unit.name} {kind}_{one.unit.name} ({', '.join(wires)});")
    return "\n".join(["module both (", "  " + ",\n  ".join(ports), ");", *bodies, "endmodule", ""])


def differing(one: Case, run: Run, kind: str) -> str:
    """The first output that is not numpy's, if any."""
    result = one.unit.outputs[0].numbers
    actual = from_beats(run.beats[f"{one.unit.name}_{kind}_y"][0], one.pe, result.bits, result.signed)
    wrong = np.argwhere(actual.reshape(one.inputs.shape) != one.expected)
    return f"{one}: {run.scenario.name}, {len(wrong)} outputs, first at {wrong[0]}" if len(wrong) else ""


@pytest.mark.parametrize("kind", ["exact", "fast"])
def test_outputs_are_what_numpy_says(simulated: tuple[list[Case], list[Run]], kind: str) -> None:
    found, runs = simulated
    assert not [said for one in found for run in runs if (said := differing(one, run, kind))]


def test_the_model_is_as_fast_as_what_it_stands_for(simulated: tuple[list[Case], list[Run]]) -> None:
    found, runs = simulated
    (run,) = (run for run in runs if run.scenario is FULL_RATE)
    for one in found:
        assert run.cycles[f"{one.unit.name}_fast_y"] == run.cycles[f"{one.unit.name}_exact_y"], one


def network() -> Network:
    """Outputs on both sides of zero, far above and below it, two levels, one level; of two levels again."""
    rng = np.random.default_rng(39)  # every level of every stage occurs

    def conv(name: str, source: str, channels: int, kernel: int = 1) -> Conv:
        return Conv(name, (source,), rng.integers(-3, 4, (4, kernel, kernel, channels)), pads=(kernel // 2,) * 4)

    def rows(count: int, reach: int) -> Values:
        return np.sort(rng.integers(-reach, reach + 1, (4, count)), axis=1)

    stages = (
        conv("conv1", INPUT, 3, kernel=3),
        Stage("zero_point", ("conv1",), rows(15, 90), base=-7),
        conv("conv2", "zero_point", 4, kernel=3),
        Stage("above", ("conv2",), rows(4, 60), base=9),
        conv("conv3", "above", 4, kernel=3),
        Stage("below", ("conv3",), rows(5, 300), base=-13),
        conv("conv4", "below", 4),
        Stage("narrow", ("conv4",), np.array([[-8, 0, 7]])),
        conv("conv5", "narrow", 4),
        Stage("sign", ("conv5",), rows(1, 5), base=-1, step=2),
        Stage("of_signs", ("sign",), np.array([[0], [1], [-1], [2]]), base=-1),
        Stage("constant", ("conv5",), np.zeros((1, 0), np.int64), base=3),
        Add("sum", ("of_signs", "constant"), (1, 1)),
        Dense("logits", ("sum",), rng.integers(-3, 4, (5, 144))),
    )
    return Network(TensorSpec((6, 6, 3), 0, 15), stages)


def test_a_network_of_such_thresholds_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))
    bundle = save_bundle(
        tmp_path / "x.bsw", network=network(), codec=UniformCodec(4), patch_shape=(6, 6, 3), classes=list("abcde")
    )
    _, folder = build(bundle, find_board("Pynq-Z2"), Options(target_fps=300_000, counts="estimates"))
    codes = np.random.default_rng(1).integers(0, 16, (6, 6, 6, 3), np.uint8)
    assert _first_stream(bundle, folder, pack(codes, 4), {"stall": 0.3, "seed": 1, "exact": False}, 5) is None
    for exact in (True, False):
        with RtlBackend(folder, exact=exact, stall=0.3, seed=1) as rtl:
            logits = rtl.collect(rtl.submit(pack(codes, 4)))
        np.testing.assert_array_equal(logits, reference.output(bundle.network, codes))
