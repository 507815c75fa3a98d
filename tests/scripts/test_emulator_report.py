"""The emulator's report: bars that fit the machine, and what limits a measure that falls short."""

from __future__ import annotations

from typing import Any

import pytest
from emulator_report import bars, limits, report

BLOCKS = {
    "input": {"kernel": "unpack", "us": 4.0, "share": 0.04, "gmac_per_s": None},
    "a0": {"kernel": "tdpbusd", "us": 72.0, "share": 0.72, "gmac_per_s": 10.0},
    "p1": {"kernel": "sum_pool", "us": 4.0, "share": 0.04, "gmac_per_s": None},
    "a1": {"kernel": "tdpbusd", "us": 20.0, "share": 0.20, "gmac_per_s": 40.0},
}
PEAK = {"unit": "amx", "gmac_per_s": 2000.0}
VGG = {"ratio_ort_int8": 2.0, "fraction_of_peak": 0.1, "peak": PEAK, "blocks": BLOCKS}


def kernels(*names: str) -> dict[str, Any]:
    rates = {f"{name}_patches_per_s": 1000.0 for name in ("w4a4", "w2a2", "w1a1")} | {
        "w4a4_direct_patches_per_s": 700.0
    }
    ratios = {"w2a2_over_w4a4": 1.1, "w1a1_over_w4a4": 1.2, "fraction_of_peak": 0.5}
    return {name: {**rates, **ratios, "w4a4_gmac_per_s": 56.0, "peak_gmac_per_s": 112.0} for name in names}


@pytest.mark.parametrize(
    ("unit", "bound"), [("amx", 0.25), ("avx512", 0.6), ("avxvnni", 0.6), ("avx2", None), ("neondot", None)]
)
def test_the_part_of_the_peak_to_reach_depends_on_the_unit(unit: str, bound: float | None) -> None:
    facts = {"zoo_vgg": {"peak": {"unit": unit}}}
    (bar,) = (bar for bar in bars(facts) if bar.key == "zoo_vgg.fraction_of_peak")
    assert bar.bound == bound


def test_fewer_bits_have_a_bar_on_the_best_kernel_set_alone() -> None:
    facts = {"kernels": kernels("scalar", "avx2", "avx512", "amx")}
    found = {bar.key: bar.bound for bar in bars(facts) if "over_w4a4" in bar.key}
    assert found == {
        "w1a1.over_w4a4": 1.05,
        "w1a1.over_w4a4_direct": 2.0,
        "w2a2.over_w4a4": 1.05,
        "w2a2.over_w4a4_direct": 1.25,
        **{
            f"kernels.{kernel}.{width}_over_{base}": None
            for kernel in ("avx512", "avx2")
            for width in ("w1a1", "w2a2")
            for base in ("w4a4", "w4a4_direct")
        },
    }


def test_slower_kernel_sets_are_compared_with_the_peaks_of_their_units() -> None:
    facts = {"kernels": kernels("scalar", "avx512", "amx")}
    (bar,) = (bar for bar in bars(facts) if bar.key.endswith(".fraction_of_peak") and bar.value(facts) is not None)
    assert "avx512" in bar.text and "VNNI" in bar.text and bar.bound is None and bar.value(facts) == 0.5


def test_what_falls_short_is_explained_once_for_each_reason() -> None:
    facts = {"zoo_vgg": VGG, "memory": {"over_mb": 80, "accelerator_over_mb": 20, "backend_over_mb": 80}}
    throughput, memory = limits(bars(facts), facts)
    assert "2.00x" in throughput and "10.0 %" in throughput
    assert "AMX peak would take 10%" in throughput and "unpacking takes 4%, tdpbusd 92%" in throughput
    assert "a0 72% at 10 GMAC/s, a1 20% at 40 GMAC/s" in throughput
    assert "EmulatorBackend 80 MB" in memory
    assert limits(bars(facts), {"zoo_vgg": VGG | {"ratio_ort_int8": 9.0, "fraction_of_peak": 0.3}}) == []


def test_exact_peers_that_differ_are_named() -> None:
    facts = {"zoo_vgg": {"qcdq_mismatches": 2}, "binary": {"larq_mismatches": 3}}
    assert limits([], facts) == [
        "QCDQ is not bit-exact here: 2 logits differ.",
        "larq-compute-engine is not exact here: 3 logits differ.",
    ]


def test_widths_that_are_not_faster_are_explained_by_their_kernels() -> None:
    facts = {"kernels": kernels("amx"), "w1a1": {"over_w4a4": 0.98, "blocks": BLOCKS}}
    (line,) = limits(bars(facts), facts)
    assert line.startswith("VGG W1A1 over W4A4, amx 0.98x: ") and "tdpbusd 92%" in line
    facts["w1a1"]["over_w4a4_direct"] = 1.9
    (line,) = limits(bars(facts), facts)
    assert "; VGG W1A1 over W4A4 without Winograd's form, amx 1.90x: " in line


def test_the_report_has_a_table_for_what_was_measured() -> None:
    peers = {"qonnx": {"setting": "qonnx execute_onnx", "batch": 1, "patches_per_s": 10.0}}
    vgg = {**VGG, "patches_per_s": 7000.0, "ratio_fastest": 700.0, "peers": peers}
    facts = {"zoo_vgg": vgg, "kernels": kernels("scalar", "amx")}
    bar_rows, fastest, engines, sets, steps = (table.rows for table in report(facts).tables)
    assert fastest == (("zoo VGG", "7,000", "10", "qonnx execute_onnx", "700.00x"),)
    assert ("zoo VGG over ONNX Runtime int8", "2.00x") in [row[:2] for row in bar_rows]
    assert engines == (("emulator", "large", "7,000"), ("qonnx execute_onnx", "1", "10"))
    assert sets[1] == ("amx", "1,000", "700", "1,000", "1,000", "56", "50% of 112")
    assert steps[0] == ("input", "unpack", "4.0", "4%", "") and steps[1][-1] == "10"
    assert len(report({"memory": {"over_mb": 8}}).tables) == 1
