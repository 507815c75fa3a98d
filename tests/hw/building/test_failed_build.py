"""A build whose results are wrong is kept, and the command that its error gives finds the first stage."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from bitswath.builds.design import Design
from bitswath.builds.folder import build_folder
from bitswath.bundle.bundle import Bundle, load_bundle, save_bundle
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BackendError, BundleError, VerificationError
from bitswath.hw.building import build as building
from bitswath.hw.building import design as making
from bitswath.hw.generating.compile import compile_design, save_design
from bitswath.hw.planning.boards import find_board
from bitswath.network.network import INPUT, Dense, Network, TensorSpec, Threshold
from tests import reference
from tests.designs import CACHE
from tests.models.graphs import Graph

BOARD = "Pynq-Z2"
OPTIONS = building.Options(target_fps=100_000, counts="estimates")
RAISED = 100
"""What the fault adds to the middle threshold, which all channels share."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bitswath", *arguments], capture_output=True, text=True, timeout=900, check=False
    )


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A zero point of 7 between a convolution and a dense layer; its builds are this test's own."""
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (CACHE / "simulators").mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache" / "simulators").symlink_to(CACHE / "simulators")
    rng = np.random.default_rng(4)
    graph = Graph((1, 3, 8, 8), "UINT8")
    kernels = graph.weights(rng.integers(-7, 8, (4, 3, 3, 3)))
    sums = graph.node("Conv", "global_in", kernels, kernel_shape=[3, 3], pads=[1] * 4)
    flat = graph.node("Flatten", graph.quant(sums, 60.5, 4, zero_point=7.0))
    logits = graph.node("MatMul", flat, graph.weights(rng.integers(-7, 8, (256, 5))))
    onnx.save(graph.model(logits).model, tmp_path / "m.onnx")
    exported = run("export", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "x y.bsw"))
    assert exported.returncode == 0, exported.stderr
    return load_bundle(tmp_path / "x y.bsw")


def spoiled(*arguments: Any, **options: Any) -> Design:
    """Compiled with another threshold in the memories of all channels."""
    design, folder = compile_design(*arguments, **options), arguments[4]
    memories = list((folder / "rtl").glob("*_threshs_*_0.dat"))  # one for each channel that is searched at a time
    assert memories
    for memory in memories:
        first, *others = memory.read_text().split()
        raised = (int(first, 16) + RAISED) % 16 ** len(first)
        memory.write_text("\n".join([f"{raised:0{len(first)}x}", *others]) + "\n")
    return save_design(design, folder)


def test_the_first_stage_index_and_values_are_found(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(making, "compile_design", spoiled)
        with pytest.raises(VerificationError, match="RTL and emulator differ") as failed:
            building.build(bundle, find_board(BOARD), OPTIONS)
    kept = bundle.path / "hw" / f"{BOARD}.failed"
    assert [path.name for path in (bundle.path / "hw").iterdir()] == [kept.name]

    program, *arguments = shlex.split(str(failed.value).partition("run: ")[2])
    assert program == "bitswath"
    found = run(*arguments)
    assert found.returncode == 1, found.stderr
    said = re.search(r"at stage stream (\w+), index \[(.*)\]: (-?\d+) against (-?\d+)", " ".join(found.stdout.split()))
    assert said, found.stdout
    frame, row, column, channel = map(int, said[2].split(","))

    codes = bundle.codec.unpack(np.load(kept / "checked.npy"), bundle.manifest.input.patch_shape)
    tensors = reference.interpret(bundle.network, codes)
    (stage,) = (stage for stage in bundle.network.stages if isinstance(stage, Threshold))
    sums = tensors[stage.inputs[0]]
    wrong = sums - stage.thresholds[0, 7]
    first = np.argwhere((wrong >= 0) & (wrong < RAISED))[0]
    assert said[1] == re.sub(r"\W", "_", stage.name)
    assert [frame, row, column, channel] == list(first)
    assert int(said[3]) == tensors[stage.name][frame, row, column, channel]
    assert int(said[4]) == stage.base + searched(stage.thresholds[0], sums[frame, row, column, channel])

    with pytest.raises(BackendError, match="run 'bitswath build"):
        build_folder(bundle.path)
    _, folder = built_again(bundle)
    assert [path.name for path in (bundle.path / "hw").iterdir()] == [folder.name] == [BOARD]
    proved = run("verify", str(bundle.path), "--to", "rtl")
    assert proved.returncode == 0, proved.stdout + proved.stderr
    assert "EQUAL" in proved.stdout


def test_a_bundle_that_holds_a_failed_build_alone_is_written_anew(tmp_path: Path) -> None:
    def write() -> Bundle:
        network = Network(TensorSpec((2, 2, 1), 0, 3), (Dense("fc", (INPUT,), np.ones((2, 4), np.int64)),))
        codec, classes = UniformCodec(2), ["a", "b"]
        return save_bundle(tmp_path / "x.bsw", network=network, codec=codec, patch_shape=(2, 2, 1), classes=classes)

    for name in (f"{BOARD}.failed", BOARD):
        (write().path / "hw" / name).mkdir(parents=True)
    with pytest.raises(BundleError, match="holds builds below hw/"):
        write()


def searched(thresholds: np.ndarray, value: int) -> int:
    """What a binary search gives whose first threshold is raised."""
    count = 0
    for stage in (8, 4, 2, 1):
        threshold = thresholds[count + stage - 1] + (RAISED if stage == 8 else 0)
        count += stage if value >= threshold else 0
    return count


def built_again(bundle: Bundle) -> tuple[building.Report, Path]:
    """As after a fault that is mended: what the fault made is not in the cache any more."""
    shutil.rmtree(bundle.path.parent / "cache" / "build")
    return building.build(bundle, find_board(BOARD), OPTIONS)
