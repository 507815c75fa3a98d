"""What a server says of itself and of its models: metadata, Triton's configuration, statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bitswath.serving.protocol.inputs import Input
from bitswath.serving.statistics import Statistics, Times
from bitswath.version import __version__

__all__ = ["EXTENSIONS", "PLATFORM", "configuration", "metadata", "server_metadata", "statistics"]

EXTENSIONS = (
    *("binary_tensor_data", "classification", "model_configuration", "model_repository", "parameters"),
    *("schedule_policy", "statistics"),
)
PLATFORM = "bitswath_bsw"


def server_metadata() -> dict[str, Any]:
    return {"name": "bitswath", "version": __version__, "extensions": list(EXTENSIONS)}


def metadata(name: str, versions: Sequence[str], inputs: Sequence[Input], outputs: Sequence[Input]) -> dict[str, Any]:
    """`$metadata_model_response`. Of the inputs a request gives one, of the outputs any."""
    return {
        "name": name,
        "versions": list(versions),
        "platform": PLATFORM,
        "inputs": [_entry(tensor) for tensor in inputs],
        "outputs": [_entry(tensor) for tensor in outputs],
    }


def configuration(
    name: str, classes: Sequence[str], inputs: Sequence[Input], outputs: Sequence[Input], max_batch: int
) -> dict[str, Any]:
    """As much of Triton's ModelConfig as its clients look at. Dimensions are those of one patch."""
    return {
        "name": name,
        "platform": PLATFORM,
        "backend": "bitswath",
        "max_batch_size": max_batch,
        "input": [{**_dimensions(tensor), "optional": True} for tensor in inputs],
        "output": [_dimensions(tensor) for tensor in outputs],
        "dynamic_batching": {},
        "instance_group": [],
        "parameters": {"classes": {"string_value": ",".join(classes)}},
    }


def statistics(name: str, version: str, counted: Statistics) -> dict[str, Any]:
    """`$model_stat` of Triton's statistics extension."""
    stages = {stage: _duration(times) for stage, times in counted.stages.items()}
    nothing = _duration(Times())
    return {
        "name": name,
        "version": version,
        "last_inference": counted.last_ms,
        "inference_count": counted.inferences,
        "execution_count": counted.executions,
        "inference_stats": {**stages, "cache_hit": nothing, "cache_miss": nothing},
        "response_stats": {},
        "batch_stats": [
            {
                "batch_size": size,
                "compute_input": _duration(times.compute_input),
                "compute_infer": _duration(times.compute_infer),
                "compute_output": nothing,
            }
            for size, times in sorted(counted.batches.copy().items())
        ],
        "memory_usage": [],
    }


def _entry(tensor: Input) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _dimensions(tensor: Input) -> dict[str, Any]:
    kind = "TYPE_STRING" if tensor.datatype == "BYTES" else f"TYPE_{tensor.datatype}"
    return {"name": tensor.name, "data_type": kind, "dims": list(tensor.shape[1:]) or [1]}


def _duration(times: Times) -> dict[str, int]:
    return {"count": times.count, "ns": times.ns}
