"""Walking a functional Keras model, quantized or not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bitswath.errors import ExportError
from bitswath.models.nets.quantizers import keras

__all__ = ["layer_calls", "plain_layer", "producers"]


def layer_calls(model: keras.Model) -> Iterator[tuple[Any, Any]]:
    """Each layer, in topological order, with the node of its call in this model.

    A layer that quantization left as it was carries its calls in the annotated model too; those are not
    this model's. Raises `ExportError` for a layer that is called more than once.
    """
    for layer in model.layers:
        nodes = [
            node for index, node in enumerate(layer.inbound_nodes) if f"{layer.name}_ib-{index}" in model._network_nodes
        ]
        if len(nodes) != 1:
            raise ExportError(f"layer {layer.name!r}: used {len(nodes)} times; expected once")
        yield layer, nodes[0]


def plain_layer(layer: Any) -> Any:
    """The layer itself, without its quantization wrapper."""
    return getattr(layer, "layer", layer)


def producers(model: keras.Model) -> dict[str, Any]:
    """By layer name, the layer whose output it reads first; the input is not in it."""
    sources: dict[int, Any] = {}
    found = {}
    for layer, node in layer_calls(model):
        sources[id(node.outputs)] = layer
        if node.keras_inputs:
            found[layer.name] = sources[id(node.keras_inputs[0])]
    return found
