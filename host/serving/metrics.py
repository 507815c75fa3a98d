"""Prometheus metrics: Triton's names where the meaning is Triton's, `bitswath_` before ours."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from bitswath.serving.energy import Energy
from bitswath.serving.repository import Entry, Repository

__all__ = ["Metrics"]

_KIND = "text/plain; version=0.0.4; charset=utf-8"
_DURATIONS = {
    "request": "success",
    "queue": "queue",
    "compute_input": "compute_input",
    "compute_infer": "compute_infer",
    "compute_output": "compute_output",
}
_MODEL = ("model", "version")


class Metrics:
    """What `repository` and a meter say, as Prometheus reads it."""

    def __init__(self, repository: Repository, energy: Energy) -> None:
        self.energy = energy
        self._repository = repository
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def exposition(self) -> tuple[bytes, str]:
        """The text and its media type."""
        return generate_latest(self._registry), _KIND

    def collect(self) -> Iterator[Metric]:
        entries = self._repository.entries
        yield from _of_requests(entries)
        yield from _of_devices(entries)
        watts = self.energy.watts
        if watts is not None:
            power = Metric("bitswath_power_watts", f"Watts now, by {self.energy.meter}", "gauge")
            power.add_sample(power.name, {}, watts)
            joules = Metric(
                "bitswath_energy_joules", f"Joules since the server began, by {self.energy.meter}", "unknown"
            )
            joules.add_sample(joules.name, {}, self.energy.joules)
            yield power
            yield joules


def _of_requests(entries: list[Entry]) -> Iterator[Metric]:
    """Counters are of type "unknown": their type would give Triton's names another ending."""
    success = Metric("nv_inference_request_success", "Requests answered", "unknown")
    failure = Metric("nv_inference_request_failure", "Requests not answered, by HTTP status", "unknown")
    count = Metric("nv_inference_count", "Patches classified", "unknown")
    executions = Metric("nv_inference_exec_count", "Chunks computed", "unknown")
    durations = {
        name: Metric(f"nv_inference_{name}_duration_us", f"Microseconds of {stage}, of all requests", "unknown")
        for name, stage in _DURATIONS.items()
    }
    for entry in entries:
        counted, labels = entry.statistics, _labels(entry)
        success.add_sample(success.name, labels, counted.stages["success"].count)
        for status, number in sorted(counted.refused.copy().items()):
            failure.add_sample(failure.name, {**labels, "reason": str(status)}, number)
        count.add_sample(count.name, labels, counted.inferences)
        executions.add_sample(executions.name, labels, counted.executions)
        for name, stage in _DURATIONS.items():
            durations[name].add_sample(durations[name].name, labels, counted.stages[stage].ns // 1000)
    yield from (success, failure, count, executions, *durations.values())


def _of_devices(entries: list[Entry]) -> Iterator[Metric]:
    depth = Metric("bitswath_queue_frames", "Frames that wait for a device", "gauge")
    serving = Metric("bitswath_device_in_service", "1 while a device takes frames", "gauge")
    faults = Metric("bitswath_device_faults", "Times a device was taken out of service", "unknown")
    resets = Metric("bitswath_device_resets", "Resets after faults", "unknown")
    retries = Metric("bitswath_frames_sent_again", "Frames sent again after faults", "unknown")
    frames = Metric("bitswath_frames", "Frames computed by a device", "unknown")
    link = Metric("bitswath_link_bytes", "Bytes of frames sent to a device", "unknown")
    for entry in entries:
        if entry.model is None:
            continue
        depth.add_sample(depth.name, _labels(entry), entry.model.queue.depth)
        for device in entry.model.devices:
            labels, counters = {**_labels(entry), "device": device.name}, device.tally.counters()
            for metric, value in (
                (serving, int(device.serving)),
                (faults, device.faults),
                (resets, counters.resets),
                (retries, counters.retries),
                (frames, counters.frames),
                (link, counters.link_bytes),
            ):
                metric.add_sample(metric.name, labels, value)
    yield from (depth, serving, faults, resets, retries, frames, link)


def _labels(entry: Entry) -> dict[str, str]:
    return dict(zip(_MODEL, (entry.name, entry.version)))
