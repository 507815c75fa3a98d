"""The table of hardware builds."""

from __future__ import annotations

from hw_report import HEADINGS, table

from bitswath.builds.report import Counts, LinkReport, Report


def report(name: str, board: str) -> Report:
    return Report(
        name=name,
        board=board,
        part="xc7z020clg400-1",
        clock_hz=100e6,
        frames_per_s=1220.7,
        initiation_interval=81920.0,
        latency_cycles=190_000,
        checked_frames=4,
        limiting=None,
        input=LinkReport(width=64, frame_bytes=6144),
        output=LinkReport(width=64, frame_bytes=24),
        resources=Counts(lut=1_234_567, ff=10, bram36=42.5, dsp=110),
        resources_from="whole design",
        parts=Counts(),
        available=Counts(lut=53_200, lutram=17_400, ff=106_400, bram36=140, dsp=220),
        stages=(),
        queues=(),
    )


def test_each_build_is_a_row_in_the_order_of_bundle_and_board() -> None:
    lines = table([report("b", "Pynq-Z2"), report("a", "ZCU104"), report("a", "U250")]).splitlines()
    assert {line.count("|") for line in lines} == {len(HEADINGS) + 1}
    assert [line.split(" | ")[:2] for line in lines[2:]] == [["| a", "U250"], ["| a", "ZCU104"], ["| b", "Pynq-Z2"]]
    assert (
        "| 100 | – | 1,221 | 1.90 ms | 6,144 | 1,234,567 (2321 %) | 10 (0 %) | 42.5 (30 %) | 110 (50 %) |" in lines[2]
    )


def test_instances_are_named_with_their_board() -> None:
    several = report("a", "U250").model_copy(update={"instances": 4})
    assert table([several]).splitlines()[2].startswith("| a | U250 x 4 | 100 |")
