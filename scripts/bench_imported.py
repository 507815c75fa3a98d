"""Builds models that other people made for a Pynq-Z2 and puts them beside what FINN published of them.

    python scripts/bench_imported.py MODELS [--only NAME;...] [--work FOLDER] [--json FILE] [--page FILE]

MODELS: a folder with the files that `Imported.model` names. Each is exported, built without a vendor's tools and
verified in RTL, frame by frame against the emulator, all by the command line; builds that are in the work folder are
kept. The page is docs/results/imported.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from bitswath.builds.folder import build_folder
from bitswath.builds.report import Report, read_report

__all__ = ["MODELS", "Imported", "Published", "page"]

BOARD = "Pynq-Z2"


@dataclass(frozen=True)
class Published:
    """What others say of an accelerator of the same network. `rams`: RAMB36, a RAMB18 being half of one."""

    frames_per_s: float
    what: str
    source: str
    lut: float | None = None
    rams: float | None = None
    latency_us: float | None = None


@dataclass(frozen=True)
class Imported:
    """A model's file, how it is exported, at what rate it is built, and what is published of it."""

    name: str
    model: str
    options: tuple[str, ...] = ()
    target_fps: float | None = None
    published: Published | None = None
    why_none: str = "nothing found"
    remark: str = ""


_LABS = "github.com/alhusseingamal/finn-brevitas-pynq-labs"

MODELS = (
    Imported(
        "TFC W1A1",
        "finn_tfc_w1a1_multithreshold",
        target_fps=111_607,
        published=Published(
            111_607,
            "Pynq-Z2, rate estimated, latency simulated, the accelerator alone, after Vivado's synthesis",
            f"{_LABS}, task 3, tfc_w1a1 with automatic folding",
            lut=1_700,
            rams=3.5,
            latency_us=32.74,
        ),
    ),
    Imported(
        "TFC W1A1, fast",
        "finn_tfc_w1a1_multithreshold",
        target_fps=1_000_000,
        published=Published(
            1_785_714,
            "as above, folded by hand; misses 100 MHz by 2 ns",
            f"{_LABS}, task 3, custom folding 0",
            lut=19_099,
            rams=79,
            latency_us=1.06,
        ),
    ),
    Imported(
        "TFC W2A2",
        "qz_tfc_2w2a",
        target_fps=1_000_000,
        published=Published(1_193_598, "AUP-ZU3, another FPGA, measured", "github.com/Xilinx/finn/pull/1499, tfc-w2a2"),
    ),
    Imported(
        "GTSRB 12 x 12 W2A3",
        "labs_gtsrb12_w2a3_cnn",
        ("--input-scale", "1/255"),
        target_fps=462_963,
        published=Published(
            448_877,
            "Pynq-Z2, simulated (145,000 measured on the board); normalization, label and shell included, after"
            " Vivado's synthesis",
            f"{_LABS}, task 4",
            lut=40_660,
            rams=27,
            latency_us=7.98,
        ),
    ),
    Imported(
        "keyword spotting MLP W3A3",
        "qz_kwsmlp_w3a3",
        ("--input-datatype", "INT8"),
        target_fps=200_000,
        published=Published(
            200_000,
            "Pynq-Z1, the same FPGA, what the build is configured for; 268,672 measured on an AUP-ZU3",
            "github.com/Xilinx/finn-examples build/kws, github.com/Xilinx/finn/pull/1499",
        ),
    ),
    Imported(
        "RadioML VGG10 W8A8, 1-D",
        "radioml_vgg10_w8a8_1d",
        target_fps=4_000,
        remark="92 % of the LUTs and 91 % of the DSP blocks: whether that can be routed at 100 MHz is not known",
        published=Published(
            230_000,
            "ZCU104 at 250 MHz, another FPGA, and W4A4 with half the channels, a sixteenth of the work bit by bit",
            "github.com/Xilinx/finn-examples build/vgg10-radioml",
        ),
    ),
    Imported(
        "jet tagging MLP W6A6",
        "qz_jettagging_qkeras",
        ("--input-datatype", "INT8", "--input-scale", "1/16"),
        target_fps=1_000_000,
        why_none="none by FINN; the model comes from hls4ml",
    ),
    Imported(
        "finn-cpp-driver's identity",
        "finncpp_ident_qonnx",
        ("--input-datatype", "INT8"),
        target_fps=1_000_000,
        why_none="none; it tests a driver",
    ),
)

Row = dict[str, Any]


def made(one: Imported, models: Path, work: Path) -> Row:
    """Export, build and verify; figures, or the reason why there are none."""
    bundle = work / f"{one.name.replace(' ', '-').replace(',', '').replace(chr(39), '')}.bsw"
    target = () if one.target_fps is None else ("--target-fps", str(one.target_fps))
    steps = {
        "export": ("export", models / f"{one.model}.onnx", "-o", bundle, *one.options),
        "build": ("build", bundle, "--board", BOARD, "--quick", *target),
        "verify": ("verify", bundle, "--to", "rtl"),
    }
    built = (bundle / "hw" / BOARD).exists()
    seconds = {}
    for step, command in steps.items():
        if built and step != "verify":
            continue
        start = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "bitswath", *map(str, command)], capture_output=True, text=True)
        seconds[step] = time.monotonic() - start
        if done.returncode:
            return {"refused": f"{step}: {(done.stderr or done.stdout).strip().splitlines()[-1]}"}
    report = read_report(build_folder(bundle, BOARD))
    verified = next((line for line in done.stdout.splitlines() if line.startswith("EQUAL")), "")
    return {"seconds": seconds, "verified": verified, **figures(report)}


def figures(report: Report) -> Row:
    need = report.resources
    return {
        "clock_mhz": report.clock_hz / 1e6,
        "frames_per_s": report.frames_per_s,
        "latency_us": 1e6 * report.latency_cycles / report.clock_hz,
        **{name: getattr(need, name) for name in ("lut", "ff", "bram36", "dsp")},
        "counted": report.resources_from,
        "tools": report.tools,
    }


def page(rows: dict[str, Row], machine: str, day: str) -> str:
    """Markdown."""
    head = ("model", "frames/s", "latency", "LUT", "FF", "RAMB36", "DSP", "FINN: frames/s", "latency", "LUT", "RAMB36")
    table = [head, ("---", *["---:"] * (len(head) - 1))]
    notes = []
    for number, one in enumerate((one for one in MODELS if one.name in rows), 1):
        row, other = rows[one.name], one.published
        name = f"{one.name} [{number}]"
        if "refused" in row:
            ours = [f"not built: {row['refused']}", *[""] * 5]
        else:
            ours = [
                f"{row['frames_per_s']:,.0f}", f"{row['latency_us']:,.2f} µs", f"{row['lut']:,.0f}",
                f"{row['ff']:,.0f}", f"{row['bram36']:g}", f"{row['dsp']:g}",
            ]  # fmt: skip
        theirs = [""] * 4
        if other is not None:
            cells = [(other.latency_us, "{:,.2f} µs"), (other.lut, "{:,.0f}"), (other.rams, "{:g}")]
            theirs = [f"{other.frames_per_s:,.0f}", *("" if v is None else form.format(v) for v, form in cells)]
        table.append((name, *ours, *theirs))
        export = " ".join(("bitswath export", f"{one.model}.onnx", *one.options))
        told = one.why_none if other is None else f"{other.what} ({other.source})"
        sentences = [f"`{export}`", row.get("verified", ""), one.remark, f"FINN's: {told}"]
        notes.append(f"{number}. " + " ".join(f"{sentence}." for sentence in sentences if sentence))
    rendered = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    return _PAGE.format(day=day, machine=machine, table=rendered, notes="\n".join(notes))


_PAGE = """\
# Models that other people made, in hardware

Built for a Pynq-Z2 (xc7z020) at 100 MHz on {day} by `python scripts/bench_imported.py MODELS`, on {machine}. \
Each file is taken as its tool wrote it. Every build computes the emulator's integers in RTL.

Ours: rates and latencies by cycle-accurate simulation, resources counted by Yosys stage by stage, before placement \
and without a shell; neither is a measurement on a board. The part has 53,200 LUTs, 106,400 flip-flops, 140 RAMB36 \
and 220 DSP blocks. FINN's: as published, from the sources below, which differ in what they measured; empty where \
nothing is published.

{table}

{notes}
"""


def machine() -> str:
    """Of what simulated and counted."""
    names = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(":", 1)[1].strip() for line in names if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores of {name}, Python {platform.python_version()}"


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, metavar="MODELS")
    parser.add_argument("--only", default="", help="names, between semicolons")
    parser.add_argument("--work", type=Path, default=Path(".cache") / "imported", help="where bundles go")
    parser.add_argument("--json", type=Path, help="keep the figures, and take those of models that are left out")
    parser.add_argument("--page", type=Path, help="write the page")
    given = parser.parse_args(None if arguments is None else list(arguments))
    given.work.mkdir(parents=True, exist_ok=True)
    facts: Row = json.loads(given.json.read_text()) if given.json and given.json.exists() else {"models": {}}
    wanted = [one for one in MODELS if not given.only or one.name in given.only.split(";")]
    for one in wanted:
        print(f"{one.name} ...", flush=True)
        facts["models"][one.name] = {**made(one, given.models, given.work), "entry": asdict(one)}
        print(f"  {facts['models'][one.name].get('refused') or facts['models'][one.name]['verified']}", flush=True)
        facts |= {"machine": machine(), "day": date.today().isoformat()}
        if given.json:
            given.json.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    if given.page:
        given.page.write_text(page(facts["models"], facts["machine"], facts["day"]))


if __name__ == "__main__":
    main()
