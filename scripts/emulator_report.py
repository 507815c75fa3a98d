"""What `bench_emulator` shows: what is to be reached, tables, and what limits a measure that falls short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bench_run import Report
from bench_tables import Bar, Grid, bar_grid
from steps import kernel_shares

__all__ = ["bars", "limits", "report"]

Facts = Mapping[str, Any]
UNITS = {
    "amx": "AMX",
    "zen4": "AVX512-VNNI",
    "avx512": "AVX512-VNNI",
    "avxvnni": "AVX-VNNI",
    "avx2": "AVX2",
    "neondot": "NEON dot product",
}
PART_OF_PEAK = {"amx": 0.25, "avx512": 0.6, "avxvnni": 0.6}
FASTER = 1.05
"""A ratio that rounds of equal speed do not reach by chance."""
OVER_DIRECT = {"W1A1": 2.0, "W2A2": 1.25}
"""What fewer bits are to reach over four bits without Winograd's form, which fewer bits gain less from."""
NETWORKS = {
    "zoo_vgg": "zoo VGG",
    "resnet": "residual net",
    "separable": "depthwise-separable net",
    "binary": "VGG W1A1",
}
SHOWN_KERNELS = 3
SLOWEST = 2


def report(facts: Facts) -> Report:
    """Of whatever was measured."""
    wanted = bars(facts)
    tables = [bar_grid("Measured and wanted", wanted, facts)]
    if any("peers" in facts.get(network, {}) for network in NETWORKS):
        tables.append(_fastest(facts))
    if "peers" in facts.get("zoo_vgg", {}):
        tables.append(_peers(facts["zoo_vgg"]))
    if "kernels" in facts:
        tables.append(_kernels(facts["kernels"]))
    if "blocks" in facts.get("zoo_vgg", {}):
        tables.append(_steps(facts["zoo_vgg"]["blocks"]))
    return Report("Emulator", tuple(tables), tuple(limits(wanted, facts)))


def bars(facts: Facts) -> list[Bar]:
    """Every measure with what it is to reach; the part of the peak depends on the unit that has it."""
    unit = facts.get("zoo_vgg", {}).get("peak", {}).get("unit", "")
    return [
        Bar("zoo VGG over the fastest peer", "zoo_vgg.ratio_fastest", 3 if unit == "amx" else 1.7),
        Bar("zoo VGG over OpenVINO int8", "zoo_vgg.ratio_openvino"),
        Bar("zoo VGG over the newest ONNX Runtime int8", "zoo_vgg.ratio_onnxruntime"),
        Bar("zoo VGG over LiteRT int8, XNNPACK", "zoo_vgg.ratio_litert"),
        Bar("zoo VGG over ONNX Runtime int8", "zoo_vgg.ratio_ort_int8", 8 if unit == "amx" else None),
        Bar("zoo VGG over ONNX Runtime, bit-exact QCDQ", "zoo_vgg.ratio_ort_qcdq", 15),
        Bar("zoo VGG over ONNX Runtime float32", "zoo_vgg.ratio_ort_float"),
        Bar("zoo VGG over qonnx execute_onnx, batch 1", "zoo_vgg.ratio_qonnx", 500),
        Bar("zoo VGG over qonnx execute_onnx, batched", "zoo_vgg.ratio_qonnx_batched"),
        Bar("zoo VGG", "zoo_vgg.gmac_per_s", None, "GMAC/s"),
        Bar(f"zoo VGG, part of the {_unit(unit)} peak", "zoo_vgg.fraction_of_peak", PART_OF_PEAK.get(unit), "%"),
        Bar("zoo VGG, part of AMX with tiles loaded and stored", "zoo_vgg.fraction_of_tiles", None, "%"),
        Bar("zoo VGG, batch 1, latency over ONNX Runtime int8", "zoo_vgg.batch1.ratio_ort_int8", 3),
        Bar("zoo VGG, batch 1, latency over the fastest peer", "zoo_vgg.batch1.ratio_fastest", 1.5),
        Bar("zoo VGG, stream of single patches over large batches", "zoo_vgg.stream_over_large", 0.8, "%"),
        *_width_bars(facts),
        Bar("VGG W1A1 over the fastest peer", "binary.ratio_fastest"),
        Bar("VGG W1A1 over larq-compute-engine", "binary.ratio_larq"),
        Bar("residual net over the fastest peer", "resnet.ratio_fastest", 1.7),
        Bar("depthwise-separable net over the fastest peer", "separable.ratio_fastest", 2),
        Bar("residual net over ONNX Runtime int8", "resnet.ratio_ort_int8", 4),
        Bar("depthwise-separable net over ONNX Runtime int8", "separable.ratio_ort_int8", 4),
        Bar("zoo VGG, two cores over one", "zoo_vgg.two_cores_over_one", 1.9),
        Bar("zoo VGG over the fastest peer, two cores each", "zoo_vgg.two_cores_ratio_fastest"),
        Bar("memory over packed bytes and outputs", "memory.over_mb", 64, "MB", at_most=True),
    ]


def _width_bars(facts: Facts) -> list[Bar]:
    """Fewer bits over four: to reach on the machine's best kernel set, reported on the other SIMD sets."""
    *others, best = facts.get("kernels", {"auto": {}})
    others = [kernel for kernel in reversed(others) if kernel != "scalar"]
    found = []
    for width, bound in OVER_DIRECT.items():
        key, direct = width.lower(), f"VGG {width} over W4A4 without Winograd's form"
        found.append(Bar(f"VGG {width} over W4A4, {best}", f"{key}.over_w4a4", FASTER))
        found.append(Bar(f"{direct}, {best}", f"{key}.over_w4a4_direct", bound))
        for kernel in others:
            found.append(Bar(f"VGG {width} over W4A4, {kernel}", f"kernels.{kernel}.{key}_over_w4a4"))
            found.append(Bar(f"{direct}, {kernel}", f"kernels.{kernel}.{key}_over_w4a4_direct"))
    return found + [
        Bar(f"zoo VGG, {kernel}, part of the {_unit(kernel)} peak", f"kernels.{kernel}.fraction_of_peak", None, "%")
        for kernel in others
    ]


def _unit(name: str) -> str:
    return UNITS.get(name, name)


def _fastest(facts: Facts) -> Grid:
    """Each network's rate, and that of the peer that is fastest on it."""
    rows = []
    for key, name in NETWORKS.items():
        found = facts.get(key, {})
        if "peers" in found:
            best = max(found["peers"].values(), key=lambda peer: peer["patches_per_s"])
            rates = (f"{rate:,.0f}" for rate in (found["patches_per_s"], best["patches_per_s"]))
            rows.append((name, *rates, best["setting"], f"{found['ratio_fastest']:.2f}x"))
    columns = ("network", "emulator, patches/s", "fastest peer, patches/s", "peer", "ratio")
    return Grid("Against the fastest peer, one core", columns, tuple(rows))


def _peers(vgg: Facts) -> Grid:
    """Rates of the engines on the zoo's VGG."""
    rows = [("emulator", "large", f"{vgg['patches_per_s']:,.0f}")]
    rows += [(peer["setting"], str(peer["batch"]), f"{peer['patches_per_s']:,.0f}") for peer in vgg["peers"].values()]
    return Grid("Engines: zoo VGG W4A4, one core", ("engine", "batch", "patches/s"), tuple(rows))


def _kernels(kernels: Facts) -> Grid:
    """Rates of the same VGG at three widths on each kernel set."""
    rows = []
    for kernel, of in kernels.items():
        rates = [f"{of[f'{width}_patches_per_s']:,.0f}" for width in ("w4a4", "w4a4_direct", "w2a2", "w1a1")]
        part = f"{of['fraction_of_peak']:.0%} of {of['peak_gmac_per_s']:,.0f}" if "fraction_of_peak" in of else ""
        rows.append((kernel, *rates, f"{of['w4a4_gmac_per_s']:,.0f}", part))
    columns = ("kernel set", "W4A4 patches/s", "without Winograd", "W2A2", "W1A1", "W4A4 GMAC/s", "of its unit's peak")
    return Grid("Kernel sets: VGG at three widths, one core", columns, tuple(rows))


def _steps(blocks: Facts) -> Grid:
    rows = tuple(
        (name, step["kernel"], f"{step['us']:.1f}", f"{step['share']:.0%}", _rate(step))
        for name, step in blocks.items()
    )
    return Grid("Steps: zoo VGG W4A4, one core", ("tensor", "kernel", "µs a patch", "share", "GMAC/s"), rows)


def _rate(step: Facts) -> str:
    return "" if step["gmac_per_s"] is None else f"{step['gmac_per_s']:,.0f}"


def limits(wanted: Iterable[Bar], facts: Facts) -> list[str]:
    """What the time of measures that fall short goes into, from what was measured; a line for each reason."""
    lines = []
    if facts.get("zoo_vgg", {}).get("qcdq_mismatches"):
        lines.append(f"QCDQ is not bit-exact here: {facts['zoo_vgg']['qcdq_mismatches']} logits differ.")
    if facts.get("binary", {}).get("larq_mismatches"):
        lines.append(f"larq-compute-engine is not exact here: {facts['binary']['larq_mismatches']} logits differ.")
    reasons: dict[str, list[str]] = {}
    for bar in wanted:
        value = bar.value(facts)
        if value is not None and bar.missed(facts):
            reason = _REASONS.get(bar.key, _throughput)(facts, bar.key.split(".")[0])
            reasons.setdefault(reason, []).append(f"{bar.text} {bar.shown(value)}")
    return lines + [f"{'; '.join(measures)}: {reason}" for reason, measures in reasons.items()]


def _throughput(facts: Facts, network: str) -> str:
    """The arithmetic at the machine's peak, and where the time goes."""
    measured = facts[network]
    part, unit = measured["fraction_of_peak"], _unit(measured["peak"]["unit"])
    tiles = ""
    if "tiles_gmac_per_s" in measured:
        share = measured["tiles_gmac_per_s"] / measured["peak"]["gmac_per_s"]
        tiles = f"with tiles loaded from the first-level cache and sums stored the unit gives {share:.0%} of its peak; "
    return f"of the time, the arithmetic at the {unit} peak would take {part:.0%}; {tiles}{_time(measured['blocks'])}."


def _time(blocks: Facts) -> str:
    """Shares of kernels, unpacking always among them, and the steps that take longest."""
    shares = kernel_shares(blocks)
    unpacking = shares.pop("unpack", 0.0)
    kernels = [f"{kernel} {share:.0%}" for kernel, share in list(shares.items())[:SHOWN_KERNELS]]
    slowest = sorted(blocks.items(), key=lambda step: -step[1]["share"])[:SLOWEST]
    steps = [
        f"{name} {step['share']:.0%}" + (f" at {_rate(step)} GMAC/s" if step["gmac_per_s"] else "")
        for name, step in slowest
    ]
    return f"unpacking takes {unpacking:.0%}, {', '.join(kernels)}; the longest steps are {', '.join(steps)}"


def _latency(facts: Facts, network: str) -> str:
    vgg = facts[network]
    single = vgg["batch1"]["emulator_us"]["p50"]
    if "patches_per_s" not in vgg:
        return f"a call takes {single:.0f} us."
    return f"a call takes {single:.0f} us, a patch of a large batch {1e6 / vgg['patches_per_s']:.0f} us."


def _stream(facts: Facts, network: str) -> str:
    return f"a patch of the stream takes {1e6 / facts[network]['stream_patches_per_s']:.0f} us."


def _two_cores(facts: Facts, network: str) -> str:
    machine = facts[network]["machine_two_over_one"]
    return f"two processes of nothing but multiply-accumulates do {machine:.2f}x of one on this machine."


def _memory(facts: Facts, network: str) -> str:
    ways = {way: facts[network][f"{way}_over_mb"] for way in ("accelerator", "backend")}
    return f"Accelerator.classify_frames {ways['accelerator']:.0f} MB, EmulatorBackend {ways['backend']:.0f} MB."


def _widths(facts: Facts, width: str) -> str:
    """Kernels of bytes take the same time whatever the bits: their names and shares tell."""
    return f"of the time, {_time(facts[width]['blocks'])}."


_REASONS = {
    "zoo_vgg.batch1.ratio_ort_int8": _latency,
    "zoo_vgg.batch1.ratio_fastest": _latency,
    "zoo_vgg.stream_over_large": _stream,
    "zoo_vgg.two_cores_over_one": _two_cores,
    "memory.over_mb": _memory,
    **{f"{width.lower()}.{over}": _widths for width in OVER_DIRECT for over in ("over_w4a4", "over_w4a4_direct")},
}
