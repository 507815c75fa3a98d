"""Compiles a kernel of hw/rtl for given parameters with Verilator and streams beats through it.

Compiled models are kept in .cache/rtl, keyed by a digest of the sources, the parameters and the tools.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path
from time import time
from typing import Any

import numpy as np
from cocotb_tools.runner import get_runner
from numpy.typing import NDArray

from bitswath.hw.rtl import KERNELS
from tests.paths import ROOT
from tests.rtl.axis import Pace

CACHE = ROOT / ".cache" / "rtl"
TOOLS = Path(str(distribution("verilator").locate_file("verilator")))

ARGUMENTS = (
    *("-Wall", "--assert", "--no-timing"),
    *("--x-assign", "unique", "--x-initial", "unique"),  # unknowns are random, so that what relies on them shows
)
MAKEFLAGS = "CFG_CXXFLAGS_PCH_I=-include OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0"

Parameters = Mapping[str, int | str]


class SimulationError(AssertionError):
    """The simulation ended early: an assertion failed or a stream got stuck."""


@dataclass(frozen=True)
class Scenario:
    """How streams pause: `pace_in` and `pace_out` as in `axis.Pace`; `cut` resets after so many cycles."""

    name: str
    pace_in: Pace = (1, 0)
    pace_out: Pace = (1, 0)
    cut: int = 0


FULL_RATE = Scenario("full rate")
SCENARIOS = (
    Scenario("reset in between", (2, 2), (2, 2), cut=37),
    FULL_RATE,
    Scenario("slow source", (1.5, 3)),
    Scenario("slow sink", (1, 0), (1.5, 3)),
    Scenario("both stall", (2, 2), (2, 2)),
    Scenario("long stalls", (20, 12), (20, 12)),
)


@dataclass(frozen=True)
class Run:
    """What one scenario gave: for each port, for each lane, the beats and the cycles they were taken in."""

    scenario: Scenario
    beats: dict[str, list[list[int]]]
    cycles: dict[str, list[list[int]]]

    def span(self, port: str = "m_axis", lane: int = 0) -> int:
        """Cycles from the first to the last beat on a port, both counted."""
        return self.cycles[port][lane][-1] - self.cycles[port][lane][0] + 1


def simulate(
    kernel: str,
    parameters: Parameters,
    sources: Mapping[str, Sequence[Sequence[int]]],
    sinks: Mapping[str, Sequence[int]],
    *,
    seed: int,
    limit: int = 20_000,
    scenarios: Sequence[Scenario] = SCENARIOS,
    files: Mapping[str, str] | None = None,
    defines: Sequence[str] = (),
    rtl: Sequence[Path] | None = None,
) -> list[Run]:
    """Streams the same beats through a kernel in each scenario.

    `sources`: lanes of beats for each port; `sinks`: how many beats each lane gives; `limit`: cycles
    after which a scenario has failed; `files`: memory images that parameters name; `defines`: of the
    preprocessor; `rtl`: the sources, if the kernel is not in hw/rtl. Scenarios that are cut are not returned.
    """
    paces = [
        {"pace_in": s.pace_in, "pace_out": s.pace_out, "cut": s.cut, "seed": seed + i, "limit": limit}
        for i, s in enumerate(scenarios)
    ]
    job = {"sources": sources, "sinks": sinks, "scenarios": paces}
    results = run_bench("tests.rtl.bench", kernel, parameters, job, seed=seed, files=files, defines=defines, rtl=rtl)
    runs = [
        Run(s, {p: r["beats"] for p, r in ports.items()}, {p: r["cycles"] for p, r in ports.items()})
        for s, ports in zip(scenarios, results)
    ]
    return [run for run in runs if not run.scenario.cut]


def run_bench(
    bench: str,
    kernel: str,
    parameters: Parameters,
    job: Any,
    *,
    seed: int,
    files: Mapping[str, str] | None = None,
    defines: Sequence[str] = (),
    rtl: Sequence[Path] | None = None,
) -> Any:
    """What the cocotb module `bench` gave for a job (JSON), with a kernel as its device."""
    model = compiled(kernel, parameters, defines, rtl)
    print(f"{kernel} {dict(parameters)} seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job, default=int))
        for name, text in (files or {}).items():
            (Path(folder) / name).write_text(text)
        shutil.copy(model, Path(folder) / kernel)
        with contextlib.suppress(RuntimeError, SystemExit):  # the missing result tells
            get_runner("verilator").test(
                test_module=bench,
                hdl_toplevel=kernel,
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=folder,
                plusargs=["+verilator+rand+reset+2", f"+verilator+seed+{seed % 2**31 or 1}"],
                extra_env={"BENCH_JOB": str(path), "COCOTB_ANSI_OUTPUT": "0"},
            )
        if not (result := path.with_suffix(".result")).exists():
            raise SimulationError(f"{kernel} failed in simulation, see its output; seed {seed}")
        return json.loads(result.read_text())


def compiled(
    kernel: str, parameters: Parameters, defines: Sequence[str] = (), rtl: Sequence[Path] | None = None
) -> Path:
    """The simulator of a kernel, from the cache or compiled now."""
    files = sources(kernel) if rtl is None else list(rtl)
    model = CACHE / f"{kernel}-{digest(*files, *defines, json.dumps(dict(parameters), default=int))}"
    runtime = CACHE / f"runtime-{digest()}"
    if not model.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder, environment():
            for built in runtime.glob("*.o"):
                os.utime(shutil.copy(built, folder), (time() + 3600,) * 2)  # newer than the makefile to come
            get_runner("verilator").build(
                sources=files,
                hdl_toplevel=kernel,
                defines=dict.fromkeys(defines, 1),
                parameters={name: literal(value) for name, value in parameters.items()},
                build_args=[*ARGUMENTS, *(() if rtl is None else ("-Wno-fatal",))],
                build_dir=folder,
            )
            keep_runtime(Path(folder), runtime)
            Path(folder, kernel).replace(model)
    return model


def literal(value: int | str) -> str:
    """A parameter on Verilator's command line: a number, a sized number such as 8'hff, or a quoted string."""
    if isinstance(value, str):
        return value if re.fullmatch(r"\d+'h[0-9a-f]+", value) else f'"{value}"'
    return str(int(value))


def fields(values: Sequence[int], width: int) -> str:
    """A packed array as a sized number, value 0 in the low bits."""
    return f"{len(values) * width}'h{sum(int(v) << (i * width) for i, v in enumerate(values)):x}"


def keep_runtime(folder: Path, runtime: Path) -> None:
    """Verilator's own object files take most of the time and are the same for every model."""
    if not runtime.exists():
        (folder / "runtime").mkdir()
        for built in folder.glob("verilated*.o"):
            built.replace(folder / "runtime" / built.name)
        with contextlib.suppress(OSError):  # another process was first
            (folder / "runtime").replace(runtime)


def sources(kernel: str) -> list[Path]:
    """The files of a kernel and of the modules in it; one module a file."""
    found = {KERNELS[f"{kernel}.sv"]}
    while True:
        text = "\n".join(path.read_text() for path in found)
        more = {path for path in KERNELS.values() if re.search(rf"^\s*{path.stem} (#\(|\w+ \()", text, re.MULTILINE)}
        if more <= found:
            return sorted(found)
        found |= more


def digest(*parts: Path | str) -> str:
    tools = [f"{tool} {version(tool)}" for tool in ("verilator", "cocotb")]
    contents = [part.read_text() if isinstance(part, Path) else part for part in parts]
    return hashlib.sha256("\0".join([*tools, *ARGUMENTS, MAKEFLAGS, *contents]).encode()).hexdigest()[:20]


@contextlib.contextmanager
def environment() -> Iterator[None]:
    """The environment in which the runner finds `verilator`: its package is no program on the path."""
    before = dict(os.environ)
    os.environ.update(VERILATOR_ROOT=str(TOOLS), MAKEFLAGS=MAKEFLAGS)
    os.environ["PATH"] = os.pathsep.join([str(TOOLS / "bin"), *filter(None, [before.get("PATH")])])
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def packed(values: NDArray[np.integer], bits: int) -> list[int]:
    """Integers (words, elements) to words: element 0 in the low bits, two's complement."""
    mask = (1 << bits) - 1
    return [sum((int(v) & mask) << (i * bits) for i, v in enumerate(row)) for row in values]


def to_beats(values: NDArray[np.integer], bits: int) -> list[int]:
    """Integers (beats, elements) to words for a kernel. The bits that fill up bytes are ones: they mean nothing,
    and some of FINN's kernels put signs there."""
    used = values.shape[1] * bits
    fill = (1 << -used % 8) - 1
    return [word | fill << used for word in packed(values, bits)]


def from_beats(beats: Sequence[int], elements: int, bits: int, signed: bool) -> NDArray[np.int64]:
    """Words to integers (beats, elements); the bits that fill up a word must be 0."""
    if any(beat >> (elements * bits) for beat in beats):
        raise AssertionError(f"expected words below 2**{elements * bits}, got {max(beats):#x}")
    raw = [[beat >> (i * bits) & ((1 << bits) - 1) for i in range(elements)] for beat in beats]
    values = np.array(raw, np.int64).reshape(len(beats), elements)
    return np.where(values >> (bits - 1) & signed, values - (1 << bits), values)


def random_integers(random: np.random.Generator, bits: int, signed: bool, shape: Sequence[int]) -> NDArray[np.int64]:
    """Integers of a width, its extremes among them."""
    low = -(1 << (bits - 1)) if signed else 0
    values = random.integers(low, low + (1 << bits), shape)
    extreme = random.random(shape) < 0.1
    return np.where(extreme, random.choice([low, low + (1 << bits) - 1], shape), values)
