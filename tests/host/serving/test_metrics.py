"""What Prometheus reads: Triton's names with Triton's meaning, ours beside them, and power where there is a meter."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bitswath.errors import PowerError
from bitswath.power.meters import Quantity
from bitswath.serving import energy
from bitswath.serving.energy import Energy
from tests.host.serving.served import FRAME_BYTES, ask, bundle, patches, serving, tensor
from tests.host.serving.test_faults import until

INFER = "/v2/models/small/infer"


def samples(address: str) -> dict[str, float]:
    """By name, of the only model (and device)."""
    reply = ask(address, "/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(reply.body.decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_counts_and_durations(tmp_path: Path) -> None:
    with serving(bundle(tmp_path).path) as address:
        for count in (1, 4, 5):
            assert ask(address, INFER, {"inputs": [tensor("patches", patches(count))]}).status == 200
        assert ask(address, INFER, {"inputs": [tensor("patches", patches(1), "INT8")]}).status == 400
        told = samples(address)
    assert told["nv_inference_request_success"] == 3
    assert told["nv_inference_request_failure"] == 1
    assert told["nv_inference_count"] == told["bitswath_frames"] == 10
    assert told["nv_inference_exec_count"] == 3
    assert told["bitswath_link_bytes"] == 10 * FRAME_BYTES
    assert told["bitswath_device_in_service"] == 1 and told["bitswath_queue_frames"] == 0
    whole = told["nv_inference_request_duration_us"]
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    assert 0 < sum(told[f"nv_inference_{part}_duration_us"] for part in parts) <= whole


class Meter:
    """Four watts, or as many joules a second."""

    name, rails, everything, longest_gap_s = "bench supply", ("12V", "5V"), ("12V",), float("inf")

    def __init__(self, quantity: Quantity) -> None:
        self.quantity = quantity
        self.broken = False

    def read(self) -> tuple[float, ...]:
        if self.broken:
            raise PowerError("bench supply: unplugged")
        return (4.0 if self.quantity is Quantity.POWER else 4.0 * time.monotonic(), 100.0)


@pytest.mark.parametrize("quantity", Quantity)
def test_power_is_read_from_the_meter_and_not_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantity: Quantity
) -> None:
    meter = Meter(quantity)
    monkeypatch.setattr(energy, "open_meter", lambda name: meter)
    monkeypatch.setattr(energy, "_PERIOD_S", 0.05)
    with serving(bundle(tmp_path).path) as address:
        until(lambda: samples(address).get("bitswath_energy_joules", 0) > 0)
        assert samples(address)["bitswath_power_watts"] == pytest.approx(4.0, rel=0.05)
        assert ask(address, "/status").json["power"]["meter"] == "bench supply"
        meter.broken = True
        until(lambda: "bitswath_power_watts" not in samples(address))


def test_without_a_meter_there_is_no_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str | None) -> Any:
        raise PowerError("this machine has no power meter")

    monkeypatch.setattr(energy, "open_meter", none)
    with serving(bundle(tmp_path).path) as address:
        assert not any("power" in name or "energy" in name for name in samples(address))
        assert ask(address, "/status").json["power"] is None
    with pytest.raises(PowerError):
        Energy("hwmon")
