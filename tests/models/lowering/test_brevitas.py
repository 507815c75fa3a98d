"""Models that Brevitas exported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes

from bitswath.models.lowering import lower
from tests import reference
from tests.models.graphs import (
    assert_head_equals,
    assert_same_integers,
    random_codes,
    run_qonnx,
    stages_of,
)


@pytest.fixture(scope="module")
def brevitas_models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("brevitas")
    script = Path(__file__).with_name("brevitas_export.py")
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, timeout=600, check=False)
    if "No module named" in done.stderr:
        pytest.skip(f"Brevitas is not installed: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_residual_network_of_brevitas(brevitas_models) -> None:
    model = ModelWrapper(str(brevitas_models / "residual.onnx")).transform(InferShapes())
    lowered = assert_same_integers(model)
    assert {"Conv", "Threshold", "Add", "MaxPool", "Dense"} == set(stages_of(lowered))
    assert lowered.network.input.bits == 6


def test_a_float_scaled_network_of_brevitas(brevitas_models) -> None:
    model = ModelWrapper(str(brevitas_models / "scaled.onnx")).transform(InferShapes())
    lowered = lower(model)
    assert stages_of(lowered) == ["Conv", "Threshold", "SumPool", "Dense"]
    codes = random_codes(lowered, np.random.default_rng(0), frames=1)
    context = run_qonnx(model, lowered.reals(lowered.input, codes))
    computed = reference.interpret(lowered.network, codes)
    for name, pair in lowered.tensors.items():
        np.testing.assert_array_equal(lowered.integers(name, context[name]), computed[pair.tensor], err_msg=name)
    assert_head_equals(lowered, computed[lowered.network.stages[-1].name], context[lowered.output])


@pytest.mark.parametrize("name", ["residual", "scaled"])
@pytest.mark.parametrize("form", ["dynamo", "qcdq"])
def test_the_other_exporters_give_the_same_network(brevitas_models, name, form) -> None:
    first, second = (lower(brevitas_models / file).network for file in (f"{name}.onnx", f"{name}_{form}.onnx"))
    assert first.input == second.input
    codes = np.random.default_rng(0).integers(first.input.lo, first.input.hi + 1, (8, *first.input.shape))
    np.testing.assert_array_equal(reference.output(first, codes), reference.output(second, codes))
    np.testing.assert_array_equal(first.head.scale, second.head.scale)


def test_a_qcdq_model_equals_onnx_runtime(brevitas_models) -> None:
    path = brevitas_models / "residual_qcdq.onnx"
    lowered = lower(path, input_scale=1 / 64, input_offset=-2)
    assert lowered.entry is not None
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), np.uint8)
    codes = (pixels[..., None] >= lowered.entry.thresholds).sum(axis=-1) + lowered.network.input.lo
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options)
    fed = lowered.fed(pixels)
    np.testing.assert_array_equal(fed, (pixels / 64 - 2).astype(np.float32).transpose(0, 3, 1, 2))
    theirs = np.concatenate([session.run(None, {lowered.input: frame[None]})[0] for frame in fed])
    ours = lowered.network.head.dequantize(reference.output(lowered.network, codes))
    np.testing.assert_array_equal(ours, theirs)
