"""A page of what was measured says the same as the terminal."""

from __future__ import annotations

from pathlib import Path

from bench_report import page

from bitswath.bench.subject import load_inputs, opened
from bitswath.bench.suite import Settings, measure_all
from bitswath.bench.tables import seconds
from tests.host.bench import slow_device


def test_a_page_has_every_table_and_what_is_absent(tmp_path: Path) -> None:
    bundle = slow_device.bundle(tmp_path)
    settings = Settings(queries=3, warmup=0, stream_s=0.0, turns=1, turn_s=0.01, bits=(1,), meter="none such")
    with opened(bundle, "emulator", threads=1) as subject:
        facts = measure_all(["latency", "throughput", "energy"], subject, load_inputs(bundle, 2), settings)
    said = page({"small.json": facts})
    assert "## small on emulator" in said and "(small.json)" in said
    assert f"| device | {seconds(facts['latency']['percentiles']['device']['p50_s'])} |" in said
    assert "### Latency at batch 1" in said and "### Stream by bits of input" in said
    assert "- no energy: no meter 'none such'" in said
    widths = {len(line.split(" | ")) for line in said.split("### Stream by bits of input\n\n")[1].splitlines() if line}
    assert widths == {5}
