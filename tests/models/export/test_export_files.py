"""`bitswath export` of ONNX files: the bundle needs nothing but itself, and a refusal is one line."""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from bitswath.cli import main
from bitswath.models.lowering import lower
from tests.models.graphs import Graph


def model(end: str = "Identity") -> ModelProto:
    rng = np.random.default_rng(0)
    graph = Graph((1, 3, 8, 8), "UINT8")
    y = graph.node("Conv", "global_in", graph.weights(rng.integers(-7, 8, (4, 3, 3, 3))), kernel_shape=(3, 3))
    y = graph.quant(graph.node("Relu", y), 32.0, 4)
    y = graph.node("MatMul", graph.node("Flatten", y), graph.weights(rng.integers(-7, 8, (144, 5)), 0.125))
    proto: ModelProto = graph.model(graph.node(end, y)).model
    return proto


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["bitswath", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
        sys.exit(0)
    return int(ended.value.code or 0)


def test_a_bundle_needs_no_file_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    (tmp_path / "source").mkdir()
    path = tmp_path / "source" / "model.onnx"
    onnx.save(model(), path, save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=0)
    assert len(list(path.parent.iterdir())) > 3
    bundle = tmp_path / "model.bsw"
    assert run(monkeypatch, "export", path, "-o", bundle) == 0
    shutil.rmtree(path.parent)
    assert run(monkeypatch, "verify", bundle) == 0
    assert "EQUAL" in capsys.readouterr().out.splitlines()[-1]
    weights = onnx.load(bundle / "model.onnx").graph.initializer
    assert {len(i.dims) for i in weights if i.raw_data or i.float_data} >= {2, 4}
    assert lower(bundle / "model.onnx").network.macs == lower(model()).network.macs


def test_export_says_what_logits_are_where_the_graph_ends_in_more(tmp_path: Path, monkeypatch, capsys) -> None:
    onnx.save(model("Sigmoid"), tmp_path / "model.onnx")
    assert run(monkeypatch, "export", tmp_path / "model.onnx", "-o", tmp_path / "model.bsw") == 0
    assert "ends in Sigmoid, left out here: logits are the values before it" in " ".join(
        capsys.readouterr().out.split()
    )
    assert run(monkeypatch, "verify", tmp_path / "model.bsw") == 0


def damaged(whole: bytes, rng: random.Random) -> bytes:
    content = bytearray(whole)
    if rng.random() < 0.3:
        return bytes(content[: rng.randrange(len(content))])
    for _ in range(rng.choice([1, 2, 8])):
        content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


@pytest.mark.parametrize("seed", range(25))
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, monkeypatch, capfd, seed: int) -> None:
    (tmp_path / "model.onnx").write_bytes(damaged(model().SerializeToString(), random.Random(seed)))
    code = run(monkeypatch, "export", tmp_path / "model.onnx", "-o", tmp_path / "model.bsw")
    said = capfd.readouterr().err.strip()
    assert code == 0 or (code == 1 and len([s for s in said.splitlines() if "onnxruntime" not in s]) == 1), said
    assert code == 0 or "model.onnx" in said or "node" in said
