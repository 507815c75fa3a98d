"""QONNX says what Keras computes, for every architecture and width."""

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

from bitswath.errors import ExportError
from bitswath.models.export.qonnx import export_qonnx
from bitswath.models.nets.architectures import InputSpec
from bitswath.models.nets.quantizers import keras
from bitswath.models.training.settle import settle
from tests.models.small import random_codes, small_model

PALETTE = np.random.default_rng(1).integers(0, 256, (1, 16, 3))
LEVELS = np.sort(np.random.default_rng(2).integers(0, 256, (3, 4, 1)), axis=1)


def logits(proto: object, codes: np.ndarray) -> np.ndarray:
    """By qonnx's own executor, after the clean-up every QONNX tool begins with."""
    model = cleanup_model(ModelWrapper(proto))
    source, target = model.graph.input[0].name, model.graph.output[0].name
    return np.concatenate([execute_onnx(model, {source: c[np.newaxis].transpose(0, 3, 1, 2)})[target] for c in codes])


@pytest.mark.parametrize(
    ("name", "weights", "activations"),
    [("vgg", 4, 4), ("vgg", 1, 2), ("vgg", 8, 8), ("vgg16", 4, 4), ("resnet", 2, 2), ("separable", 8, 4)],
)
def test_logits_equal_keras(name: str, weights: int, activations: int) -> None:
    model, spec = small_model(name, weights, activations, power_of_two=True)
    settle(model)
    codes = random_codes(spec, 4, np.random.default_rng(5))
    np.testing.assert_allclose(logits(export_qonnx(model, spec), codes), model(codes), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "spec",
    [InputSpec((12, 12, 1), 4, PALETTE), InputSpec((12, 12, 3), 2, LEVELS), InputSpec((12, 12, 13), 1)],
    ids=["palette", "levels", "13 bands of one bit"],
)
def test_every_input_has_its_form(spec: InputSpec) -> None:
    model, _ = small_model("vgg", spec=spec, power_of_two=True)
    codes = random_codes(spec, 4, np.random.default_rng(5))
    np.testing.assert_allclose(logits(export_qonnx(model, spec), codes), model(codes), rtol=1e-4, atol=1e-4)


def test_clean_up_leaves_plain_qonnx() -> None:
    model, spec = small_model("vgg")
    graph = cleanup_model(ModelWrapper(export_qonnx(model, spec))).graph
    operators = {node.op_type for node in graph.node}
    assert operators == {
        "Mul",
        "Quant",
        "Conv",
        "BatchNormalization",
        "Relu",
        "MaxPool",
        "Transpose",
        "Flatten",
        "MatMul",
    }


def test_the_file_holds_a_byte_per_weight() -> None:
    model, spec = small_model("vgg16")
    weights = sum(
        int(np.prod(kernel.shape)) for layer in model.layers for kernel, *_ in getattr(layer, "_weight_vars", [])
    )
    assert export_qonnx(model, spec).ByteSize() < 1.5 * weights + 100_000


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (keras.layers.LeakyReLU(name="odd"), "LeakyReLU has no QONNX form"),
        (keras.layers.Conv2D(4, 3, name="odd"), "not quantized"),
        (keras.layers.ReLU(negative_slope=0.1, name="odd"), "plain ReLU"),
    ],
)
def test_a_layer_without_a_form_is_named(layer: keras.layers.Layer, reason: str) -> None:
    codes = keras.Input((12, 12, 3))
    with pytest.raises(ExportError, match=f"layer 'odd'.*{reason}"):
        export_qonnx(keras.Model(codes, layer(codes)), InputSpec((12, 12, 3), 4))
