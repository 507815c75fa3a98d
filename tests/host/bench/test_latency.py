"""Latencies of a device whose times are known, on every backend through the same code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bitswath.backends.rtl.backend import RtlBackend
from bitswath.bench import subject as subjects
from bitswath.bench.latency import DEVICE, IMAGE, PATCH, STEPS, measure_latency, percentiles, single_stream
from bitswath.bench.subject import load_inputs, opened
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import InputError
from tests.designs import BITS, CACHE, CODES, residual
from tests.host.bench import slow_device
from tests.host.bench.slow_device import COLLECT_S, SUBMIT_S
from tests.host.kinds import linear


def test_percentiles_are_values_that_were_measured() -> None:
    taken = np.random.default_rng(5).permutation(np.arange(1, 201)).astype(float).tolist()
    found = percentiles(taken)
    assert (found.p50_s, found.p95_s, found.p99_s, found.max_s, found.queries) == (100, 190, 198, 200, 200)
    assert found.mean_s == 100.5 and percentiles([7.0]).p99_s == 7.0


def test_no_latencies_have_no_percentiles() -> None:
    with pytest.raises(InputError, match="got none"):
        percentiles([])


def test_each_step_takes_at_least_what_the_device_takes(bundle: Bundle, images: Path) -> None:
    with opened(bundle, "slow") as subject:
        found = measure_latency(subject, load_inputs(bundle, 4, images), queries=8, warmup=2, least_s=0.0)
        log = subject.bare.log  # type: ignore[attr-defined]
    assert list(found.steps) == list(STEPS)
    assert found.steps["hand over"] >= SUBMIT_S and found.steps["wait"] >= COLLECT_S
    assert found.percentiles[DEVICE].p50_s >= SUBMIT_S + COLLECT_S
    assert all(row.queries == 8 for row in found.percentiles.values()) and not found.absent
    single = 2 * 5 * 10  # two single streams of five runs of the least number of queries
    assert sum(line.startswith("submit") for line in log) == 2 * (2 + 8) + single
    assert list(found.alone) == ["encode", "pack"]


def test_the_steps_of_a_query_add_up_to_its_latency(bundle: Bundle, images: Path) -> None:
    with opened(bundle, "slow") as subject:
        found = measure_latency(subject, load_inputs(bundle, 4, images), queries=1, warmup=0, least_s=0.0)
    assert found.percentiles[IMAGE].max_s == pytest.approx(sum(found.steps.values()))
    assert found.percentiles[PATCH].max_s == pytest.approx(sum(found.steps.values()) - found.steps["decode"])


def test_without_files_decoding_is_absent_and_the_reason_is_told(bundle: Bundle) -> None:
    with opened(bundle, "slow") as subject:
        found = measure_latency(subject, load_inputs(bundle, 2), queries=2, warmup=0, least_s=0.0)
    assert IMAGE not in found.percentiles and "decode" not in found.steps
    assert "no files to decode" in found.absent[IMAGE]


def test_folded_frames_go_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "BACKENDS", slow_device.install(group=3))
    bundle = slow_device.bundle(tmp_path)
    with opened(bundle, "slow") as subject:
        found = measure_latency(subject, load_inputs(bundle, 2), queries=3, warmup=0, least_s=0.0)
    assert found.percentiles[DEVICE].p50_s >= SUBMIT_S + COLLECT_S


def test_the_emulator_is_measured_by_the_same_code(bundle: Bundle, images: Path) -> None:
    with opened(bundle, "emulator") as subject:
        found = measure_latency(subject, load_inputs(bundle, 4, images), queries=20, warmup=2, least_s=0.0)
    assert list(found.steps) == list(STEPS) and found.device_cycles is None and found.device_s is None
    assert list(found.alone) == ["encode", "pack", "compute", "unpack"] and min(found.alone.values()) > 0
    told = json.loads(json.dumps(found.to_dict()))
    assert told["percentiles"][PATCH]["queries"] == 20 and set(told["step_notes"]) == set(STEPS)


def test_of_simulated_hardware_the_cycles_are_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))
    residual(tmp_path / "build")
    shape = (CODES // 2, 2, 1)
    network = linear(2 * np.eye(CODES, dtype=np.int64), shape, BITS)
    names = tuple(f"c{index}" for index in range(CODES))
    bundle = save_bundle(
        tmp_path / "x.bsw", network=network, codec=UniformCodec(BITS), patch_shape=shape, classes=names
    )
    monkeypatch.setattr(subjects, "BACKENDS", {"rtl": lambda opened, options: RtlBackend(tmp_path / "build")})
    with opened(bundle, "rtl") as subject:
        found = measure_latency(subject, load_inputs(bundle, 2), queries=3, warmup=0, least_s=0.0)
    assert found.device_cycles is not None and CODES // 2 < found.device_cycles < 1000
    assert found.device_s == found.device_cycles / 100e6


def test_a_single_stream_is_the_median_of_runs_of_ten_queries_or_the_least_time_in_turns() -> None:
    calls: list[str] = []
    runs = {name: [lambda name=name: calls.append(name)] * 3 for name in "ab"}
    found = single_stream(runs, 0.0)
    assert calls == (["a"] * 10 + ["b"] * 10) * 3
    assert found["a"].queries == (10, 10, 10) and found["a"].per_s == sorted(found["a"].runs)[1]
    assert min(single_stream({"a": [lambda: None]}, 0.05)["a"].queries) > 10


@pytest.mark.parametrize("options", [{"queries": 0}, {"warmup": -1}, {"least_s": float("nan")}])
def test_settings_that_cannot_be_are_refused(bundle: Bundle, options: dict[str, float]) -> None:
    with opened(bundle, "slow") as subject, pytest.raises(InputError, match="expected queries"):
        measure_latency(subject, load_inputs(bundle, 1), **options)  # type: ignore[arg-type]
