"""What `bench_emulator` prints: what is to be reached, tables, and what limits a measure that falls short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmark import Bar
from rich.table import Table

__all__ = ["bars", "kernel_table", "limits", "peer_table"]

Facts = Mapping[str, Any]
PART_OF_PEAK = {"amx": 0.25, "avx512vnni": 0.6}
FASTER = 1.05
"""A ratio that rounds of equal speed do not reach by chance."""
SLOWEST = 3


def bars(facts: Facts) -> list[Bar]:
    """Every measure with what it is to reach; the part of the peak depends on the unit that has it."""
    unit = facts.get("zoo_vgg", {}).get("peak", {}).get("unit", "")
    return [
        Bar("zoo VGG over ONNX Runtime int8", "zoo_vgg.ratio_ort_int8", 8),
        Bar("zoo VGG over ONNX Runtime, bit-exact QCDQ", "zoo_vgg.ratio_ort_qcdq", 15),
        Bar("zoo VGG over ONNX Runtime float32", "zoo_vgg.ratio_ort_float", None),
        Bar("zoo VGG over qonnx execute_onnx, batch 1", "zoo_vgg.ratio_qonnx", 500),
        Bar("zoo VGG over qonnx execute_onnx, batch 64", "zoo_vgg.ratio_qonnx_batched", 500),
        Bar("zoo VGG", "zoo_vgg.gmac_per_s", None, "GMAC/s"),
        Bar(f"zoo VGG, part of the {unit} peak", "zoo_vgg.fraction_of_peak", PART_OF_PEAK.get(unit), "%"),
        Bar("zoo VGG, batch 1, latency over ONNX Runtime int8", "zoo_vgg.batch1.ratio_ort_int8", 3),
        Bar("VGG W1A1 over W4A4", "w1a1.over_w4a4", FASTER),
        Bar("VGG W2A2 over W4A4", "w2a2.over_w4a4", FASTER),
        Bar("residual net over ONNX Runtime int8", "resnet.ratio_ort_int8", 4),
        Bar("depthwise-separable net over ONNX Runtime int8", "separable.ratio_ort_int8", 4),
        Bar("zoo VGG, two cores over one", "zoo_vgg.two_cores_over_one", 1.9),
        Bar("memory over packed bytes and outputs", "memory.over_mb", 64, "MB", at_most=True),
    ]


def peer_table(facts: Facts) -> Table | None:
    """Rates of the engines on the zoo's VGG."""
    vgg = facts.get("zoo_vgg", {})
    if "peers" not in vgg:
        return None
    table = Table("engine", "batch", "patches/s", title="zoo VGG W4A4, one core", title_justify="left")
    table.add_row("emulator", "large", f"{vgg['patches_per_s']:,.0f}")
    for peer in vgg["peers"].values():
        table.add_row(peer["setting"], str(peer["batch"]), f"{peer['patches_per_s']:,.0f}")
    return table


def kernel_table(facts: Facts) -> Table | None:
    """Rates of the same VGG at three widths on each kernel set."""
    if "kernels" not in facts:
        return None
    table = Table("kernel set", "W4A4 patches/s", "W2A2", "W1A1", title="Kernel sets, one core", title_justify="left")
    for kernel, rates in facts["kernels"].items():
        table.add_row(kernel, *(f"{rates[f'{width}_patches_per_s']:,.0f}" for width in ("w4a4", "w2a2", "w1a1")))
    return table


def limits(wanted: Iterable[Bar], facts: Facts) -> list[str]:
    """What the time of measures that fall short goes into, from what was measured; a line for each reason."""
    lines = []
    if facts.get("zoo_vgg", {}).get("qcdq_mismatches"):
        lines.append(f"QCDQ is not bit-exact here: {facts['zoo_vgg']['qcdq_mismatches']} logits differ.")
    reasons: dict[str, list[str]] = {}
    for bar in wanted:
        if bar.missed(facts):
            reason = _REASONS.get(bar.key, _throughput)(facts, bar.key.split(".")[0])
            reasons.setdefault(reason, []).append(f"{bar.text} {bar.shown(bar.value(facts))}")
    return lines + [f"{'; '.join(measures)}: {reason}" for reason, measures in reasons.items()]


def _throughput(facts: Facts, network: str) -> str:
    """Time beside the arithmetic, and the blocks that take longest."""
    measured = facts.get(network, {})
    slowest = sorted(measured["blocks"].items(), key=lambda block: -block[1]["share"])[:SLOWEST]
    blocks = ", ".join(f"{name} {block['share']:.0%} at {block['gmac_per_s']:.0f} GMAC/s" for name, block in slowest)
    arithmetic = ""
    if "peak" in measured:
        part, unit = measured["fraction_of_peak"], measured["peak"]["unit"]
        arithmetic = f"at the {unit} peak the arithmetic alone would take {part:.0%} of the time; "
    return f"{arithmetic}most time in {blocks}."


def _latency(facts: Facts, network: str) -> str:
    vgg = facts[network]
    single = vgg["batch1"]["emulator_us"]["p50"]
    if "patches_per_s" not in vgg:
        return f"a call takes {single:.0f} us."
    return f"a call takes {single:.0f} us, a patch of a large batch {1e6 / vgg['patches_per_s']:.0f} us."


def _two_cores(facts: Facts, network: str) -> str:
    machine = facts[network]["machine_two_over_one"]
    return f"two processes of nothing but multiply-accumulates do {machine:.2f}x of one on this machine."


def _memory(facts: Facts, network: str) -> str:
    ways = {way: facts[network][f"{way}_over_mb"] for way in ("accelerator", "backend")}
    return f"Accelerator.classify_frames {ways['accelerator']:.0f} MB, EmulatorBackend {ways['backend']:.0f} MB."


def _widths(facts: Facts, network: str) -> str:
    rates = facts["kernels"]
    return "on each kernel set: " + ", ".join(
        f"{kernel} {values[f'{network}_over_w4a4']:.2f}x" for kernel, values in rates.items()
    )


_REASONS = {
    "zoo_vgg.batch1.ratio_ort_int8": _latency,
    "zoo_vgg.two_cores_over_one": _two_cores,
    "memory.over_mb": _memory,
    "w1a1.over_w4a4": _widths,
    "w2a2.over_w4a4": _widths,
}
