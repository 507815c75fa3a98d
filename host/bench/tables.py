"""Measured facts as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from bitswath.bench.latency import ALONE, STEPS

__all__ = ["joules", "rate", "seconds", "sentences", "tables"]

Facts = dict[str, Any]
_PREFIXES = ((1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


def seconds(value: float) -> str:
    """Three digits, "204 µs"."""
    return _scaled(value, "s")


def joules(value: float) -> str:
    """Three digits, "2.53 mJ"."""
    return _scaled(value, "J")


def rate(value: float) -> str:
    """At least three digits, "2.63 /s" or "5,026 /s"."""
    return f"{_digits(value)} /s"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _scaled(value: float, unit: str) -> str:
    scale, prefix = next((pair for pair in _PREFIXES if abs(value) >= pair[0]), _PREFIXES[-1] if value else (1.0, ""))
    return f"{value / scale:#.3g}".rstrip(".") + f" {prefix}{unit}"


def tables(facts: Facts) -> Iterator[Table]:
    """One or more for each measurement that was made."""
    if facts.get("latency"):
        yield _latency(facts["latency"])
        yield _steps(facts["latency"])
    if facts.get("throughput"):
        yield from _throughput(facts["throughput"])
    if facts.get("energy"):
        yield _energy(facts["energy"])


def sentences(facts: Facts) -> Iterator[str]:
    """What was measured on what, and what is absent, with the reason."""
    backend, bundle = facts["backend"], facts["bundle"]
    board = f" for {backend['board']}" if backend["board"] else ""
    clock = f" at {backend['clock_hz'] / 1e6:g} MHz" if backend["clock_hz"] else ""
    yield (
        f"{bundle['name']} ({bundle['digest'][:12]}) on backend {backend['name']}{board}{clock}, {facts['input']},"
        f" {facts['machine']['cores']} cores of {facts['machine']['processor']}, load {facts['load'][0]:.1f}"
    )
    found = facts.get("latency")
    if found and found["device_cycles"]:
        at = f", {seconds(found['device_s'])} at its clock" if found["device_s"] else ""
        yield f"hardware's own latency, counted in simulation: {found['device_cycles']:,} cycles{at}"
    queries = min((row["queries"] for row in found["percentiles"].values()), default=0) if found else 0
    if 0 < queries < 100:
        yield f"of {queries} queries, p99 is the slowest; give 100 or more"
    if found and backend["name"] == "rtl":
        yield "other times are those of the simulation, not of a board"
    found = facts.get("energy")
    if found:
        yield (
            f"energy by meter {found['meter']!r}, rails {', '.join(found['rails'])}: {found['samples']} readings in"
            f" {len(found['rounds'])} rounds; net is less the idle power read before each round"
        )
    for name, reason in {**facts["absent"], **(facts.get("latency") or {}).get("absent", {})}.items():
        yield f"no {name}: {reason}"


def _latency(found: Facts) -> Table:
    table = Table("from, to", "p50", "p95", "p99", "max", "queries", "single stream", title="Latency at batch 1")
    for name, row in found["percentiles"].items():
        stream = found["single_stream"].get(name)
        rate = f"{stream['per_s']:,.1f} /s" if stream else ""
        shown = [seconds(row[column]) for column in ("p50_s", "p95_s", "p99_s", "max_s")]
        table.add_row(name, *shown, str(row["queries"]), rate)
    return table


def _steps(found: Facts) -> Table:
    table = Table("step", "median", "what it is", title="Where the time goes")
    for name, value in found["steps"].items():
        table.add_row(name, seconds(value), STEPS[name])
    for name, value in found["alone"].items():
        table.add_row(name, seconds(value), ALONE[name])
    return table


def _throughput(found: Facts) -> Iterator[Table]:
    table = Table(
        "throughput", "median", title=f"Throughput, {found['patches']:,} random patches, {found['rounds']} turns"
    )
    table.add_row("bare device, packed frames to integers", rate(found["kernel_per_s"]))
    table.add_row("stream, patches in memory to labels (offline)", rate(found["stream_per_s"]))
    low, high = found["quartiles"]
    table.add_row("stream over bare device", f"{found['stream_over_kernel']:.3f} (quartiles {low:.3f} to {high:.3f})")
    table.add_row("on the link", f"{_digits(found['link_mb_per_s'])} MB/s, {found['frame_bytes']:,} bytes a patch")
    table.add_row("host's work a patch, CPU time", seconds(found["host_work_us"] * 1e-6))
    if "scaling" in found:
        low, high = found["scaling"]["quartiles"]
        ratio = f"{found['scaling']['two_over_one']:.2f} (quartiles {low:.2f} to {high:.2f})"
        table.add_row("stream over two devices, over one", ratio)
    yield table
    batches = Table("patches in a batch", "stream", title="Stream by size of its batches")
    for row in found["by_batch"]:
        batches.add_row(f"{row['batch']:,}", rate(row["patches_per_s"]))
    yield batches
    if "by_bits" in found:
        widths = Table("bits", "bytes a patch", "stream", "on the link", "host's work", title="Stream by bits of input")
        for row in found["by_bits"]:
            rates = (rate(row["stream_per_s"]), f"{_digits(row['link_mb_per_s'])} MB/s")
            widths.add_row(str(row["bits"]), f"{row['frame_bytes']:,}", *rates, seconds(row["host_work_us"] * 1e-6))
        yield widths


def _energy(found: Facts) -> Table:
    table = Table("energy", "mean", "95 % interval", title="Energy per patch, from memory to label")
    for name, key in (("gross, per patch", "gross_j"), ("net of idle, per patch", "net_j")):
        row = found[key]
        table.add_row(name, joules(row["mean"]), f"{joules(row['low'])} to {joules(row['high'])}")
    for name, key in (("power, running", "power_w"), ("power, idle", "idle_w")):
        row = found[key]
        table.add_row(name, f"{row['mean']:.3g} W", f"{row['low']:.3g} W to {row['high']:.3g} W")
    table.add_row("rate", f"{found['frames_per_s']:,.1f} /s", "")
    return table
