"""``bitswath info``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bitswath.archive import is_archive, open_archive
from bitswath.bundle import Bundle, load_bundle
from bitswath.console import say
from bitswath.network import Conv, Dense, Network, Stage, Threshold

__all__ = ["command"]


@click.command("info")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(path: Path, as_json: bool) -> None:
    """Say what the bundle or archive at PATH holds; reading it checks every digest."""
    console = Console()
    if is_archive(path):
        facts = _archive_facts(path)
        stages = None
    else:
        bundle = load_bundle(path)
        facts = _bundle_facts(bundle)
        stages = _stage_table(bundle.network)
    if as_json:
        console.print_json(json.dumps(facts))
        return
    for name, value in facts.items():
        say(f"{name}: {value}")
    if stages:
        console.print(stages)


def _archive_facts(path: Path) -> dict[str, Any]:
    archive = open_archive(path, verify=True)
    return {
        "patches": len(archive),
        "patch shape": list(archive.patch_shape),
        "codec": _codec_name(archive.codec.to_dict()),
        "bytes per patch": archive.frames.shape[1],
        "classes": list(archive.classes) if archive.classes else None,
    }


def _bundle_facts(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "name": manifest.name,
        "patch": f"{' x '.join(map(str, manifest.input.patch_shape))} {manifest.input.patch_dtype}",
        "codec": _codec_name(dict(manifest.input.codec)),
        "bytes per patch": manifest.input.frame_bytes,
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


def _codec_name(codec: dict[str, Any]) -> str:
    return ":".join(str(codec[key]) for key in ("kind", "bits", "dither") if codec.get(key))


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
