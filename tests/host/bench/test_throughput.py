"""A stream's rate beside its device's: what is counted is what runs, and what cannot be measured is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import bitswath as bs
from bitswath.bench.subject import load_inputs, opened
from bitswath.bench.suite import Settings, measure_all
from bitswath.bench.throughput import at_bits, measure_scaling, measure_throughput
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.palette import PaletteCodec
from bitswath.errors import InputError
from bitswath.network.network import INPUT, Dense, Lookup, Network, TensorSpec
from tests.host.bench import slow_device

PACE = {"rounds": 3, "round_s": 0.02}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return slow_device.bundle(tmp_path)


def test_a_stream_is_measured_beside_its_device(bundle: Bundle) -> None:
    with bs.open(bundle, threads=1) as accelerator:
        found = measure_throughput(accelerator, batches=(1, 8), rounds=3, round_s=0.02)
    assert found.kernel_per_s > 0 and found.stream_per_s > 0
    assert found.quartiles[0] <= found.stream_over_kernel <= found.quartiles[1]
    assert [one.batch for one in found.by_batch] == [1, 8]
    assert found.frame_bytes == bundle.manifest.input.frame_bytes
    assert found.link_mb_per_s == pytest.approx(found.stream_per_s * found.frame_bytes / 1e6)
    assert 0 < found.host_work_us < 1e6
    json.dumps(found.to_dict())


def test_the_host_s_work_leaves_the_device_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitswath.bench.subject.BACKENDS", slow_device.install())
    made = slow_device.bundle(tmp_path)
    with opened(made, "slow") as subject:
        found = measure_throughput(subject.accelerator, batches=(1,), rounds=1, round_s=0.01)
    assert found.host_work_us * 1e-6 < 0.1 / found.kernel_per_s


def test_folded_frames_are_measured_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitswath.bench.subject.BACKENDS", slow_device.install(group=3))
    with opened(slow_device.bundle(tmp_path), "slow") as subject:
        assert measure_throughput(subject.accelerator, batches=(1,), rounds=1, round_s=0.01).kernel_per_s > 0


def test_two_devices_are_measured_over_one(bundle: Bundle) -> None:
    with bs.open(bundle, threads=1) as one, bs.open(bundle, threads=1) as two:
        found = measure_scaling(one, two, rounds=3, round_s=0.02)
    assert found.quartiles[0] <= found.two_over_one <= found.quartiles[1]


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_the_same_network_runs_at_other_widths(bundle: Bundle, tmp_path: Path, bits: int) -> None:
    cut = at_bits(bundle, bits, tmp_path)
    assert cut.manifest.input.bits == bits
    assert cut.manifest.input.frame_bytes == -(-int(np.prod(cut.manifest.input.code_shape)) * bits // 8)
    with bs.open(cut) as accelerator:
        assert len(accelerator.classify(np.full((3, *cut.manifest.input.patch_shape), 255, np.uint8))) == 3


def test_a_network_that_looks_its_codes_up_has_one_width(tmp_path: Path) -> None:
    codec = PaletteCodec.fit(np.random.default_rng(0).integers(0, 256, (4, 2, 2, 3), np.uint8), bits=2)
    assert codec.values is not None
    stages = (Lookup("colours", (INPUT,), codec.values), Dense("logits", ("colours",), np.ones((2, 12), np.int64)))
    network = Network(TensorSpec((2, 2, 1), 0, 3), stages)
    made = save_bundle(tmp_path / "p.bsw", network=network, codec=codec, patch_shape=(2, 2, 3), classes=("a", "b"))
    with pytest.raises(InputError, match="looks codes up"):
        at_bits(made, 4, tmp_path)


def test_impossible_settings_are_refused(bundle: Bundle) -> None:
    with bs.open(bundle) as accelerator:
        for wrong in ({"rounds": 0}, {"batches": ()}, {"batches": (0,)}):
            with pytest.raises(InputError, match="expected 1 or more rounds"):
                measure_throughput(accelerator, **wrong)  # type: ignore[arg-type]


def test_the_headline_stands_under_the_backends_name(bundle: Bundle) -> None:
    settings = Settings(turns=1, turn_s=0.01, bits=(2,), second=True)
    with opened(bundle, "emulator", threads=1) as subject:
        facts = measure_all(["throughput"], subject, load_inputs(bundle, 1), settings)
    assert facts["emulator"]["stream_over_kernel"] == facts["throughput"]["stream_over_kernel"]
    assert facts["emulator"]["two_over_one"] == facts["throughput"]["scaling"]["two_over_one"]
    assert [one["bits"] for one in facts["throughput"]["by_bits"]] == [2]
