"""A network survives its file exactly, and a file that is not one is named and refused."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from bitswath.errors import NetworkError
from bitswath.network.file import load_network, network_bytes, save_network
from bitswath.network.network import INPUT, Conv, Dense, Head, Network, Stage, SumPool, TensorSpec, Threshold
from tests.host.kinds import every_stage, linear


def same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and bool((a == b).all())
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


@pytest.mark.parametrize("argmax", [True, False])
def test_every_kind_of_stage_comes_back_exactly(tmp_path: Path, argmax: bool) -> None:
    network = every_stage(argmax=argmax)
    save_network(network, tmp_path / "n.safetensors")
    loaded = load_network(tmp_path / "n.safetensors")
    assert same(network, loaded)
    assert network.tensors == loaded.tensors
    assert network.macs == loaded.macs


def test_the_sample_has_every_kind_of_stage_there_is() -> None:
    def leaves(kind: type) -> set[type]:
        below: list[type] = kind.__subclasses__()
        return set().union(*map(leaves, below)) if below else {kind}

    kinds = {kind for kind in leaves(Stage) if kind.__module__ == Stage.__module__}
    assert {type(stage) for stage in every_stage().stages} == kinds


@settings(max_examples=30, deadline=None)
@given(
    weights=hnp.arrays(np.int64, st.tuples(st.integers(1, 4), st.just(12)), elements=st.integers(-(2**31), 2**31 - 1)),
    thresholds=hnp.arrays(np.int64, st.tuples(st.just(1), st.integers(0, 5)), elements=st.integers(-(2**61), 2**61)),
    scale=st.floats(allow_nan=False, allow_infinity=False),
    bits=st.integers(1, 8),
)
def test_any_values_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, weights: Any, thresholds: Any, scale: float, bits: int
) -> None:
    stages = (
        Dense("d", (INPUT,), weights),
        Threshold("t", ("d",), np.sort(thresholds, axis=1), base=3, step=-2),
    )
    network = Network(TensorSpec((2, 2, 3), 0, 2**bits - 1), stages, Head(np.array([scale])))
    path = tmp_path_factory.mktemp("n") / "n.safetensors"
    save_network(network, path)
    assert same(network, load_network(path))


@pytest.mark.parametrize(
    ("largest", "smallest", "dtype"),
    [
        (127, -128, "I8"),
        (255, 0, "U8"),
        (128, -1, "I16"),
        (65535, 0, "U16"),
        (40000, -1, "I32"),
    ],
)
def test_arrays_take_the_narrowest_integer_type(tmp_path: Path, largest: int, smallest: int, dtype: str) -> None:
    save_network(linear([[largest, smallest]], (1, 1, 2), 4), tmp_path / "n.safetensors")
    with safe_open(tmp_path / "n.safetensors", framework="numpy") as file:
        assert file.get_slice("logits.weights").get_dtype() == dtype


def test_equal_networks_give_equal_bytes() -> None:
    assert network_bytes(every_stage(3)) == network_bytes(every_stage(3))
    assert network_bytes(every_stage(3)) != network_bytes(every_stage(4))


def test_transposed_weights_are_stored_in_their_logical_order(tmp_path: Path) -> None:
    weights = np.arange(12).reshape(4, 3).T
    network = Network(TensorSpec((4,), 0, 1), (Dense("d", (INPUT,), weights),))
    save_network(network, tmp_path / "n.safetensors")
    stage = load_network(tmp_path / "n.safetensors").stages[0]
    assert isinstance(stage, Dense)
    np.testing.assert_array_equal(stage.weights, weights)


def test_numpy_integers_in_settings_are_accepted(tmp_path: Path) -> None:
    one = np.int64(1)
    conv = Conv("c", (INPUT,), np.ones((1, 1, 1, 1), int), (one, one), (one, one, one, one))  # type: ignore[arg-type]
    save_network(Network(TensorSpec((2, 2, 1), 0, 1), (conv,)), tmp_path / "n.safetensors")
    assert load_network(tmp_path / "n.safetensors").output.shape == (4, 4, 1)


def test_weights_beyond_32_bits_are_refused_when_saved(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"'logits.weights': values .* do not fit int32"):
        save_network(linear([[2**31]], (1, 1, 1), 1), tmp_path / "n.safetensors")
    assert list(tmp_path.iterdir()) == []


Edit = Callable[[dict[str, Any], dict[str, Any]], None]


def rewritten(path: Path, edit: Edit) -> Path:
    save_network(every_stage(argmax=False), path)
    with safe_open(path, framework="numpy") as file:
        graph = json.loads(file.metadata()["network"])
    tensors = load_file(path)
    edit(graph, tensors)
    save_file(tensors, path, {"network": json.dumps(graph)})
    return path


def without_stages(graph: dict[str, Any], tensors: dict[str, Any]) -> None:
    graph["stages"] = []
    for name in [name for name in tensors if not name.startswith("head.")]:
        del tensors[name]


def stage(graph: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(form for form in graph["stages"] if form["name"] == name)
    return found


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda g, t: stage(g, "conv").update(op="system"), r"stages\.1.*'system'.*'Conv'"),
        (lambda g, t: stage(g, "conv").update(op="__class__"), r"stages\.1"),
        (lambda g, t: stage(g, "conv").update(extra=1), r"stages\.1\.Conv\.extra"),
        (lambda g, t: stage(g, "conv").update(strides=[1]), r"stages\.1\.Conv\.strides"),
        (lambda g, t: stage(g, "conv").update(strides=[1, "1"]), r"stages\.1\.Conv\.strides\.1"),
        (lambda g, t: stage(g, "conv").update(strides=[0, 1]), r"'conv'.*positive kernel and strides"),
        (lambda g, t: stage(g, "conv").update(groups=0), r"'conv'"),
        (lambda g, t: stage(g, "conv").update(pads=[2**40, 0, 0, 0]), r"stages\.1\.Conv\.pads\.0"),
        (lambda g, t: stage(g, "conv").update(inputs=["levels", "levels"]), r"stages\.1\.Conv\.inputs"),
        (lambda g, t: stage(g, "conv").update(inputs=["max"]), r"'conv'.*'max' is not"),
        (lambda g, t: stage(g, "add").update(multipliers=[1]), r"'add'.*one multiplier"),
        (lambda g, t: g["input"].update(shape=[10**9, 10**9, 2]), r"at most \d+ values a frame"),
        (lambda g, t: g["input"].update(shape=[0, 6, 2]), r"input\.shape\.0"),
        (lambda g, t: g["input"].update(lo=4), r"input.*lo <= hi"),
        (lambda g, t: g.update(schema_version=2), r"schema_version.*1.*got 2"),
        (without_stages, r"at least one stage"),
        (lambda g, t: g.pop("softmax"), r"softmax.*required"),
        (lambda g, t: t.pop("conv.weights"), r"'conv.weights' is missing"),
        (lambda g, t: t.pop("head.scale"), r"'head.scale' is missing"),
        (lambda g, t: t.update(more=np.ones(1)), r"'more' belongs to no stage"),
        (lambda g, t: t.update({"conv.weights": t["conv.weights"].astype("f4")}), r"'conv.weights'.*int8.*F32"),
        (lambda g, t: t.update({"act.thresholds": t["act.thresholds"].astype("u8")}), r"'act.thresholds'.*U64"),
        (lambda g, t: t.update({"conv.weights": t["conv.weights"][..., 0]}), r"'conv.weights'.*4 dimensions"),
        (lambda g, t: t.update({"conv.weights": t["conv.weights"][:0]}), r"'conv.weights'.*\(0, "),
        (lambda g, t: t.update({"logits.weights": t["logits.weights"][:, 1:].copy()}), r"'logits'.*47 inputs"),
        (lambda g, t: stage(g, "some").update(shape=[2, 24]), r"'some'.*\(H, W, C\) or \(C,\)"),
        (lambda g, t: stage(g, "some").update(shape=[2, 4, 8]), r"'some'.*64 indices"),
        (lambda g, t: t.update({"some.index": np.full(48, 144, "u1")}), r"'some'.*indices in -1\.\.143"),
        (lambda g, t: t.update({"some.index": np.full(48, -2, "i1")}), r"'some'.*indices in -1\.\.143"),
        (lambda g, t: t.update({"head.scale": np.array([np.nan])}), r"'head.scale'.*finite"),
        (lambda g, t: t.update({"act.directions": np.zeros(4, "i1")}), r"'act'.*\+1 or -1"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(tmp_path: Path, edit: Edit, named: str) -> None:
    path = rewritten(tmp_path / "bad.safetensors", edit)
    with pytest.raises(NetworkError, match=named) as caught:
        load_network(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_sums_that_no_accumulator_holds_are_refused(tmp_path: Path) -> None:
    wide = np.full((1, 8), 2**31 - 1)
    stages = (Dense("a", (INPUT,), wide.repeat(8, 0)), Dense("b", ("a",), wide))
    save_network(Network(TensorSpec((8,), 0, 255), stages), tmp_path / "n.safetensors")
    with pytest.raises(NetworkError, match=r"'b'.*62 bits"):
        load_network(tmp_path / "n.safetensors")


def test_a_tensor_that_no_memory_holds_is_refused(tmp_path: Path) -> None:
    huge = SumPool("huge", (INPUT,), (1, 1), (1, 1), (1 << 15, 0, 0, 1 << 15))
    save_network(Network(TensorSpec((1, 1, 1), 0, 1), (huge,)), tmp_path / "n.safetensors")
    with pytest.raises(NetworkError, match=r"'huge'.*at most \d+ values"):
        load_network(tmp_path / "n.safetensors")


def test_files_that_are_no_network_are_refused(tmp_path: Path) -> None:
    save_file({"x": np.ones(1)}, tmp_path / "other.safetensors")
    save_file({"x": np.ones(1)}, tmp_path / "json.safetensors", {"network": "[" * 100_000})
    (tmp_path / "text.safetensors").write_bytes(b"not a header")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("other", "json", "text", "empty", "folder", "absent"):
        path = tmp_path / f"{name}.safetensors"
        with pytest.raises(NetworkError, match=re.escape(str(path))):
            load_network(path)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_bytes_raise_a_network_error_or_load(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(network_bytes(every_stage(argmax=False)))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("n") / "n.safetensors"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content))
    try:
        network = load_network(path)
    except NetworkError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(network, Network)
