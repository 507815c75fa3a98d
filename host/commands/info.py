"""``bitswath info``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bitswath.basics.console import say
from bitswath.builds.folder import HARDWARE
from bitswath.builds.report import REPORT, Report, read_report
from bitswath.bundle.answers import how_it_answers
from bitswath.bundle.bundle import Bundle, how_pixels_enter, load_bundle
from bitswath.bundle.manifest import Sensor
from bitswath.bundle.zoo_entry import codec_name
from bitswath.codecs.archive import is_archive, open_archive
from bitswath.commands.bitstream import bitstream_at, show_build
from bitswath.network.network import Conv, Dense, Network, Stage, Threshold

__all__ = ["command"]


@click.command("info")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--stac", is_flag=True, help="Print a bundle's STAC item, with the extension MLM.")
def command(path: Path, as_json: bool, stac: bool) -> None:
    """Say what the bundle or archive at PATH holds; reading it checks every digest. Or what the bitstream is that FINN
    left in the folder, zip or tar file PATH."""
    console = Console()
    if stac:
        from bitswath.scenes.products.stac import bundle_item

        click.echo(json.dumps(bundle_item(load_bundle(path)), indent=2))
        return
    if is_archive(path):
        facts = _archive_facts(path)
        tables = []
    elif (build := bitstream_at(path)) is not None:
        show_build(console, build, as_json)
        return
    else:
        bundle = load_bundle(path)
        reports = _reports(bundle)
        facts = {**_bundle_facts(bundle), "hardware": [_build_facts(report) for report in reports]}
        tables = [_stage_table(bundle.network), *([_build_table(reports)] if reports else [])]
    if as_json:
        console.print_json(json.dumps(facts))
        return
    for name, value in facts.items():
        if name != "hardware":
            say(f"{name}: {value}")
    for table in tables:
        console.print(table)


def _archive_facts(path: Path) -> dict[str, Any]:
    archive = open_archive(path, verify=True)
    lengths = archive.lengths
    spread = {
        "bytes per patch, p99": int(np.percentile(lengths, 99, method="higher")),
        "bytes per patch, most": int(lengths.max()),
    }
    return {
        "patches": len(archive),
        "patch shape": list(archive.patch_shape),
        "codec": codec_name(archive.codec.to_dict()),
        "bytes per patch": round(float(lengths.mean()), 1) if archive.codec.compressed else int(lengths[0]),
        **(spread if archive.codec.compressed else {}),
        "classes": list(archive.classes) if archive.classes else None,
    }


def _bundle_facts(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    longest = manifest.input.frame_bytes
    return {
        "name": manifest.name,
        "patch": manifest.input.described,
        "codec": codec_name(dict(manifest.input.codec)),
        "input": how_pixels_enter(bundle),
        **({"sensor": _sensor(manifest.input.sensor)} if manifest.input.sensor else {}),
        "bytes per patch": f"up to {longest}" if bundle.codec.compressed else longest,
        "answers": how_it_answers(bundle),
        "classes": ", ".join(manifest.classes),
        "multiply-accumulates": f"{manifest.network.macs:,}",
        "weight bits": manifest.network.weight_bits,
        "activation bits": manifest.network.activation_bits,
        "made by": f"bitswath {manifest.provenance.bitswath}, {manifest.provenance.created.isoformat()}",
        "trained on": manifest.provenance.source.dataset or "unknown",
        "accuracy": "; ".join(
            f"{split} {100 * found.accuracy:.2f} % of {found.patches}"
            f" (95 %: {100 * found.interval[0]:.2f}-{100 * found.interval[1]:.2f})"
            for split, found in manifest.accuracy.items()
        )
        or "not measured",
    }


def _sensor(sensor: Sensor) -> str:
    bands = ", ".join(sensor.bands) if sensor.bands else "bands without names"
    size = f", {sensor.gsd_m:g} m" if sensor.gsd_m else ""
    span = f", samples {sensor.value_range[0]:g} to {sensor.value_range[1]:g}" if sensor.value_range else ""
    return f"{bands}{size}{span}"


def _reports(bundle: Bundle) -> list[Report]:
    """What is reported of the builds in the bundle, by board."""
    return [read_report(path.parent) for path in sorted((bundle.path / HARDWARE).glob(f"*/{REPORT}"))]


def _build_facts(report: Report) -> dict[str, Any]:
    return {
        "board": report.board,
        "clock MHz": report.clock_hz / 1e6,
        "frames/s": round(report.frames_per_s, 1),
        "latency ms": round(1e3 * report.latency_cycles / report.clock_hz, 3),
        "resources": report.resources.model_dump(),
        "share of the part": {name: round(share, 3) for name, share in report.usage.items()},
        "bitstream": report.bitstream,
    }


def _build_table(reports: list[Report]) -> Table:
    table = Table("board", title="hardware, simulated and counted before placement")
    for heading in ("MHz", "frames/s", "latency ms", "LUT", "RAMB36", "DSP", "bitstream"):
        table.add_column(heading, justify="right")
    for report in reports:
        facts, usage = _build_facts(report), report.usage
        shares = (f"{100 * usage.get(name, 0):.0f} %" for name in ("lut", "bram36", "dsp"))
        rate, latency = f"{report.frames_per_s:,.0f}", f"{facts['latency ms']:.2f}"
        built = "yes" if report.bitstream else "no"
        table.add_row(escape(report.board), f"{facts['clock MHz']:g}", rate, latency, *shares, built)
    return table


def _stage_table(network: Network) -> Table:
    table = Table("stage", "kind", "output", "range", "parameters", title="network")
    table.add_row("input", "", " x ".join(map(str, network.input.shape)), f"{network.input.lo}..{network.input.hi}", "")
    for stage in network.stages:
        spec = network.tensors[stage.name]
        shape = " x ".join(map(str, spec.shape))
        table.add_row(escape(stage.name), type(stage).__name__, shape, f"{spec.lo}..{spec.hi}", _parameters(stage))
    return table


def _parameters(stage: Stage) -> str:
    if isinstance(stage, Conv):
        return f"{' x '.join(map(str, stage.weights.shape))}, stride {stage.strides[0]}, {stage.groups} groups"
    if isinstance(stage, Dense):
        return " x ".join(map(str, stage.weights.shape))
    if isinstance(stage, Threshold):
        return f"{' x '.join(map(str, stage.thresholds.shape))} thresholds"
    return ""
