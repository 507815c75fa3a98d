"""Patches a second of a bundle on a backend: the stream beside the bare device, by batch size, by bits, by devices.

python scripts/bench_throughput.py [BUNDLE] [--backend emulator] [--board BOARD] [--rounds 7] [--threads 1]
                                   [--bits 1,2,4,8] [--second] [--json FILE] [--plot FILE]

The default bundle is the zoo's EuroSAT network. `--bits`: the same network behind uniform codes of other widths, for
what bits cost in time (its answers then mean nothing). `--second`: what a second emulated accelerator adds. With
`--json` the figures are merged into the file under the backend's name, so that several backends share one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmark import Facts, machine, versions
from rich.console import Console
from rich.table import Table

import bitswath as bs
from bitswath.bench.figures import line_chart
from bitswath.bench.throughput import Throughput, measure_scaling, measure_throughput
from bitswath.bundle import NETWORK, load_bundle, save_bundle
from bitswath.codecs import UniformCodec
from bitswath.network import Network, TensorSpec

ZOO = Path(__file__).resolve().parent.parent / "models" / "zoo" / "eurosat-u4-w4a4.bsw"


def at_bits(bundle: bs.Bundle, bits: int, folder: Path) -> bs.Bundle:
    """The bundle's network behind uniform codes of `bits`; only its speed means anything."""
    entry, network = bundle.manifest.input, bundle.network
    spec = TensorSpec(network.input.shape, 0, 2**bits - 1)
    return save_bundle(
        folder / f"{bundle.name}-u{bits}.bsw",
        network=Network(spec, network.stages, network.head),
        codec=UniformCodec(bits, depth=8 * (entry.patch_dtype == "uint16") + 8),
        patch_shape=entry.patch_shape,
        classes=bundle.classes,
    )


def measure(chosen: argparse.Namespace) -> Facts:
    bundle, options = load_bundle(chosen.bundle), _options(chosen)
    measured: Facts = {}
    with bs.open(bundle, chosen.backend, **options) as accelerator:
        rates = measure_throughput(accelerator, rounds=chosen.rounds)
        measured = {**rates.to_dict(), "bundle": bundle.name, "network": bundle.manifest.files[NETWORK].sha256}
        if chosen.second:
            with bs.open(bundle, chosen.backend, **options) as second:
                measured["scaling"] = measure_scaling(accelerator, second, rounds=chosen.rounds)
    if chosen.bits:
        measured["by_bits"] = [dataclasses.asdict(one) for one in _by_bits(bundle, chosen, options)]
    return {chosen.backend: measured, "machine": machine(), "versions": versions()}


def _options(chosen: argparse.Namespace) -> dict[str, Any]:
    if chosen.backend == "emulator":
        return {"threads": chosen.threads}
    return {"board": chosen.board} if chosen.board else {}


def _by_bits(bundle: bs.Bundle, chosen: argparse.Namespace, options: dict[str, Any]) -> list[Throughput]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for bits in chosen.bits:
            with bs.open(at_bits(bundle, bits, Path(folder)), chosen.backend, **options) as accelerator:
                found.append(measure_throughput(accelerator, batches=(256,), rounds=chosen.rounds))
    return found


def show(facts: Facts, backend: str, console: Console) -> None:
    rates = facts[backend]
    table = Table("measure", "value", title=f"{rates['bundle']} on {backend}, {rates['patches']} patches a round")
    table.add_row("bare device, packed frames", f"{rates['kernel_per_s']:,.0f} patches/s")
    table.add_row("stream, raw patches to labels", f"{rates['stream_per_s']:,.0f} patches/s")
    low, high = rates["quartiles"]
    table.add_row("stream over bare device", f"{rates['stream_over_kernel']:.3f} (quartiles {low:.3f}-{high:.3f})")
    table.add_row("on the link", f"{rates['link_mb_per_s']:.1f} MB/s, {rates['frame_bytes']:,} bytes a patch")
    table.add_row("host's work, CPU time of one core", f"{rates['host_work_us']:.2f} us a patch")
    if "scaling" in rates:
        table.add_row("two devices over one", f"{rates['scaling']['two_over_one']:.2f}")
    console.print(table)
    batches = Table("batch", "patches/s", title="Stream by batch size")
    for one in rates["by_batch"]:
        batches.add_row(f"{one['batch']:,}", f"{one['patches_per_s']:,.0f}")
    console.print(batches)
    if "by_bits" in rates:
        bits = Table("bits", "bytes a patch", "stream, patches/s", "host's work, us", title="The network by input bits")
        for one in rates["by_bits"]:
            figures = (f"{one['stream_per_s']:,.0f}", f"{one['host_work_us']:.2f}")
            bits.add_row(str(one["bits"]), f"{one['frame_bytes']:,}", *figures)
        console.print(bits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?", default=ZOO)
    parser.add_argument("--backend", default="emulator")
    parser.add_argument("--board")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="of the emulator")
    parser.add_argument("--bits", type=lambda text: [int(bits) for bits in text.split(",")])
    parser.add_argument("--second", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args()
    facts = measure(chosen)
    show(facts, chosen.backend, Console())
    if chosen.json:
        known = json.loads(chosen.json.read_text()) if chosen.json.exists() else {}
        chosen.json.write_text(json.dumps({**known, **facts}, indent=1) + "\n")
    if chosen.plot:
        by_batch = facts[chosen.backend]["by_batch"]
        line_chart(
            chosen.plot,
            {"stream": [(one["batch"], one["patches_per_s"]) for one in by_batch]},
            x="patches in a batch",
            y="patches/s",
            title=f"{facts[chosen.backend]['bundle']} on {chosen.backend}",
            log_x=True,
        )


if __name__ == "__main__":
    main()
