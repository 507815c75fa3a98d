"""A model is complete in itself wherever its parts were stored, or is refused in one line."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data, uses_external_data

from bitswath.errors import LoweringError
from bitswath.models.lowering import lower, read_model
from bitswath.models.lowering.reading import source
from tests import reference
from tests.models.graphs import classifier


def outputs(model: object) -> np.ndarray:
    network = lower(model).network
    codes = np.random.default_rng(1).integers(0, 256, (4, *network.input.shape))
    return reference.output(network, codes)


def scattered(model: ModelProto, folder: Path, location: Callable[[int], str]) -> Path:
    """The model with every tensor's data in a file of its own or a shared one, told by `location`."""
    for number, tensor in enumerate(source._tensors(model)):
        data, name = numpy_helper.to_array(tensor).tobytes(), location(number)
        file = folder / name
        file.parent.mkdir(exist_ok=True, parents=True)
        offset = file.stat().st_size if file.exists() else 0
        with file.open("ab") as stream:
            stream.write(data)
        for field in ("float_data", "int64_data", "int32_data"):
            tensor.ClearField(field)
        tensor.raw_data = data
        set_external_data(tensor, name, offset, len(data))
        tensor.ClearField("raw_data")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


PLACES: dict[str, Callable[[int], str]] = {
    "one file": lambda number: "model.onnx.data",
    "a file each": lambda number: f"weights_{number}",
    "sub-folders": lambda number: f"data/{number % 2}/weights",
}


@pytest.mark.parametrize("place", PLACES)
def test_external_data_are_taken_in(tmp_path: Path, place: str) -> None:
    path = scattered(classifier(), tmp_path, PLACES[place])
    whole = read_model(path)
    assert not any(uses_external_data(tensor) for tensor in source._tensors(whole))
    shutil.rmtree(tmp_path)
    np.testing.assert_array_equal(outputs(whole), outputs(classifier()))


def test_external_data_of_constant_nodes_are_taken_in(tmp_path: Path) -> None:
    model = classifier()
    weights = next(i for i in model.graph.initializer if len(i.dims) == 4)
    model.graph.node.insert(0, helper.make_node("Constant", [], [weights.name], value=weights))
    model.graph.initializer.remove(weights)
    whole = read_model(scattered(model, tmp_path, PLACES["one file"]))
    np.testing.assert_array_equal(outputs(whole), outputs(classifier()))


def _missing(file: Path) -> None:
    file.unlink()


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def _linked(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


@pytest.mark.parametrize("damage", [_missing, _truncated, _linked])
def test_external_data_that_cannot_be_had_are_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = scattered(classifier(), tmp_path, PLACES["one file"])
    damage(tmp_path / "model.onnx.data")
    with pytest.raises(LoweringError, match=r"model\.onnx: tensor 'const\d': .*'model\.onnx\.data'") as caught:
        read_model(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("location", ["../model.onnx.data", "{tmp}/model.onnx.data", ""])
def test_external_data_outside_the_models_folder_are_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "inside").mkdir()
    path = scattered(classifier(), tmp_path / "inside", PLACES["one file"])
    shutil.copy(tmp_path / "inside" / "model.onnx.data", tmp_path / "model.onnx.data")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        next(e for e in tensor.external_data if e.key == "location").value = location.format(tmp=tmp_path)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(LoweringError, match=r"model\.onnx: tensor 'const\d'"):
        read_model(path)


@pytest.mark.parametrize(
    ("key", "value"), [("offset", "-4"), ("offset", "many"), ("length", "99999999999"), ("length", "4")]
)
def test_external_data_of_wrong_bounds_are_refused(tmp_path: Path, key: str, value: str) -> None:
    path = scattered(classifier(), tmp_path, PLACES["one file"])
    model = onnx.load(path, load_external_data=False)
    weights = next(i for i in model.graph.initializer if len(i.dims) == 4)
    next(e for e in weights.external_data if e.key == key).value = value
    path.write_bytes(model.SerializeToString())
    with pytest.raises(LoweringError, match=rf"model\.onnx: tensor '{weights.name}'|holds .* bytes"):
        read_model(path)


def test_a_model_that_no_onnx_file_can_hold_is_refused(tmp_path: Path) -> None:
    path = scattered(classifier(), tmp_path, PLACES["a file each"])
    with (tmp_path / "weights_0").open("r+b") as stream:
        stream.truncate(3 << 30)  # sparse: takes no space
    model = onnx.load(path, load_external_data=False)
    entry = next(e for e in model.graph.initializer[0].external_data if e.key == "length")
    entry.value = str(3 << 30)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(LoweringError, match=r"model\.onnx: holds 3,221,\d+,\d+ bytes with its external data"):
        read_model(path)


def test_a_tensor_cut_short_inside_the_file_is_named(tmp_path: Path) -> None:
    model = classifier()
    weights = next(i for i in model.graph.initializer if len(i.dims) == 4)
    weights.raw_data = weights.raw_data[:-4]
    with pytest.raises(LoweringError, match=rf"tensor '{weights.name}': its data are not the \[4, 3, 3, 3\] values"):
        lower(model)


def test_sparse_initializers_and_constants_are_dense() -> None:
    model, twin = classifier(), classifier()
    for form, copy in (("initializer", model), ("Constant", twin)):
        weights = next(i for i in copy.graph.initializer if len(i.dims) == 4)
        array = numpy_helper.to_array(weights)
        places = np.flatnonzero(array)
        values = numpy_helper.from_array(array.reshape(-1)[places], weights.name)
        sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(places, f"{form}_places"), list(array.shape))
        copy.graph.initializer.remove(weights)
        if form == "initializer":
            copy.graph.sparse_initializer.append(sparse)
        else:
            copy.graph.node.insert(0, helper.make_node("Constant", [], [weights.name], sparse_value=sparse))
    np.testing.assert_array_equal(outputs(model), outputs(classifier()))
    np.testing.assert_array_equal(outputs(twin), outputs(classifier()))


def test_initializers_may_be_inputs_too() -> None:
    model = classifier()
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.dims))
    np.testing.assert_array_equal(outputs(model), outputs(classifier()))


def test_local_functions_are_inlined() -> None:
    model = classifier()
    relu = next(node for node in model.graph.node if node.op_type == "Relu")
    body = [helper.make_node("Relu", ["x"], ["y"])]
    model.functions.append(helper.make_function("local", "Rectify", ["x"], ["y"], body, [helper.make_opsetid("", 13)]))
    relu.op_type, relu.domain = "Rectify", "local"
    model.opset_import.append(helper.make_opsetid("local", 1))
    np.testing.assert_array_equal(outputs(model), outputs(classifier()))


@pytest.mark.parametrize("domain", ["", "finn.custom_op.general", "onnx.brevitas", "finn"])
def test_quantizers_of_other_exporters_domains(domain: str) -> None:
    np.testing.assert_array_equal(outputs(classifier(domain)), outputs(classifier()))


def test_the_standard_domain_has_two_names() -> None:
    model = classifier()
    for item in (*model.graph.node, *model.opset_import):
        item.domain = item.domain or "ai.onnx"
    np.testing.assert_array_equal(outputs(model), outputs(classifier()))


def test_a_value_may_be_described_twice() -> None:
    model = classifier()
    (end,) = model.graph.output
    end.CopyFrom(helper.make_tensor_value_info(end.name, TensorProto.FLOAT, [1, 5]))
    between = helper.make_tensor_value_info(model.graph.node[1].output[0], TensorProto.FLOAT, [1, 4, 6, 6])
    model.graph.value_info.extend([end, between, between, model.graph.input[0]])
    np.testing.assert_array_equal(outputs(model), outputs(classifier()))


def test_a_batch_of_any_size_is_one() -> None:
    model = classifier()
    end = helper.make_tensor_value_info(model.graph.output[0].name, TensorProto.FLOAT, ["N", 5])
    model.graph.output[0].CopyFrom(end)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    completed = source.complete(model)
    ends = (completed.graph.input[0], completed.graph.output[0])
    assert [value.type.tensor_type.shape.dim[0].dim_value for value in ends] == [1, 1]
    np.testing.assert_array_equal(outputs(model), outputs(classifier()))
