"""Verification passes what is equal and names the first value that is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.base import Codec
from bitswath.codecs.transform import TransformCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BundleError, VerificationError
from bitswath.models.export.qonnx import export_qonnx
from bitswath.models.lowering import Lowered, lower
from bitswath.models.nets.architectures import InputSpec
from bitswath.models.nets.config import TrainConfig, WidthsConfig
from bitswath.models.training.settle import settle
from bitswath.models.verify import compare, frames
from bitswath.models.verify.compare import verify_bundle
from bitswath.network.network import Network, Threshold
from tests.models.small import ARCHITECTURES, small_model

CLASSES = ("a", "b", "c", "d", "e")


def made(
    folder: Path,
    name: str,
    weights: int = 4,
    activations: int = 4,
    power_of_two: bool = False,
    codec: Codec | None = None,
) -> Bundle:
    given = None if codec is None else InputSpec((12, 12, 3), codec.bits)
    model, spec = small_model(name, weights, activations, given, power_of_two=power_of_two)
    settle(model)
    proto = export_qonnx(model, spec)
    widths = WidthsConfig(weights=weights, activations=activations, power_of_two=power_of_two)
    config = TrainConfig(name="small", data={"name": "synthetic"}, architecture=ARCHITECTURES[name], widths=widths)
    return save_bundle(
        folder / "small.bsw",
        network=lower(proto).network,
        codec=codec or UniformCodec(spec.bits),
        patch_shape=spec.shape,
        classes=CLASSES,
        onnx_model=proto.SerializeToString(),
        provenance={"training": config.model_dump(mode="json")},
    )


def patches_for(bundle: Bundle, count: int = 6) -> np.ndarray:
    shape = bundle.manifest.input.patch_shape
    return np.random.default_rng(3).integers(0, 256, (count, *shape), np.uint8)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_equal_everywhere(tmp_path: Path, name: str) -> None:
    bundle = made(tmp_path, name)
    result = verify_bundle(bundle, patches_for(bundle))
    assert [(item.left, item.right) for item in result.comparisons] == [
        ("Keras", "QONNX"), ("QONNX", "network"), ("network", "emulator"), ("QONNX", "head"),
    ]  # fmt: skip
    assert result.equal, [item.first for item in result.comparisons]
    assert result.comparisons[1].tensors > 4


@pytest.mark.parametrize(("weights", "activations"), [(1, 1), (2, 2), (8, 4)])
def test_every_width_is_equal_everywhere(tmp_path: Path, weights: int, activations: int) -> None:
    bundle = made(tmp_path, "vgg", weights, activations)
    result = verify_bundle(bundle, patches_for(bundle))
    assert result.equal, [item.first for item in result.comparisons]


@pytest.mark.parametrize("name", ["vgg", "resnet"])
def test_powers_of_two_are_equal_although_ties_are_common(tmp_path: Path, name: str) -> None:
    bundle = made(tmp_path, name, power_of_two=True)
    result = verify_bundle(bundle, patches_for(bundle))
    assert result.equal, [item.first for item in result.comparisons]


def shifted(network: Network, name: str) -> Network:
    """The network with one threshold of one stage moved by one."""
    stages = list(network.stages)
    index = next(i for i, stage in enumerate(stages) if stage.name == name)
    stage = stages[index]
    assert isinstance(stage, Threshold)
    thresholds = stage.thresholds.copy()
    thresholds[:, 0] -= 50
    stages[index] = replace(stage, thresholds=thresholds)
    return Network(network.input, tuple(stages), network.head)


def test_the_first_difference_is_named(tmp_path: Path) -> None:
    bundle = made(tmp_path, "vgg")
    second = [stage.name for stage in bundle.network.stages if isinstance(stage, Threshold)][1]
    wrong = replace(bundle, network=shifted(bundle.network, second))
    result = verify_bundle(wrong, patches_for(bundle))
    assert not result.equal
    keras, qonnx, emulator, head = result.comparisons
    assert keras.equal and emulator.equal and head.equal
    assert qonnx.first is not None
    assert qonnx.first.tensor == "act1"
    assert qonnx.first.actual == qonnx.first.expected + 1
    assert len(qonnx.first.index) == 4


def test_another_head_is_a_difference(tmp_path: Path) -> None:
    bundle = made(tmp_path, "vgg")
    network = bundle.network
    turned = Network(network.input, network.stages, replace(network.head, scale=-network.head.scale))
    result = verify_bundle(replace(bundle, network=turned), patches_for(bundle))
    assert not result.equal
    first = result.comparisons[-1].first
    assert first is not None
    assert first.tensor == "head scale"
    assert first.actual == -first.expected


def test_reals_off_the_grid_are_named(tmp_path: Path) -> None:
    bundle = made(tmp_path, "vgg", power_of_two=True)
    model = onnx.load(bundle.onnx_path)
    scale = next(i for i in model.graph.initializer if i.name == "act0_scale")
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(1.1), "act0_scale"))
    onnx.save(model, bundle.onnx_path)
    with pytest.raises(VerificationError, match=r"Keras at stage act0: .*expected integers times"):
        verify_bundle(bundle, patches_for(bundle))


def test_sums_that_float32_cannot_tell_behind_a_tie_are_compared_exactly(tmp_path: Path, monkeypatch) -> None:
    bundle = made(tmp_path, "vgg")
    made_executor = compare._qonnx_executor

    def executor(path: Path, lowered: Lowered):
        execute = made_executor(path, lowered)

        def only_exactly(fed, near, exact):
            if not exact:
                raise VerificationError("QONNX at stage conv1: expected integers times 0.1, 0.4 off")
            return execute(fed, near, exact)

        return only_exactly

    monkeypatch.setattr(compare, "_qonnx_executor", executor)
    result = verify_bundle(bundle, patches_for(bundle))
    assert result.equal and any("behind exact sums" in note for note in result.notes)


def test_residual_branches_of_one_bit_are_equal_everywhere(tmp_path: Path) -> None:
    bundle = made(tmp_path, "resnet", weights=2, activations=1)
    result = verify_bundle(bundle, patches_for(bundle))
    assert result.equal, [item.first for item in result.comparisons]


def test_a_bundle_without_qonnx_cannot_be_verified(tmp_path: Path) -> None:
    bundle = made(tmp_path, "vgg")
    bare = save_bundle(
        tmp_path / "bare.bsw",
        network=bundle.network,
        codec=bundle.codec,
        patch_shape=bundle.manifest.input.patch_shape,
        classes=CLASSES,
    )
    with pytest.raises(BundleError, match=r"model\.onnx"):
        verify_bundle(bare, patches_for(bundle))


def test_compressed_frames_are_decoded_as_documented(tmp_path: Path, monkeypatch) -> None:
    patches = np.random.default_rng(1).integers(0, 256, (6, 12, 12, 3), np.uint8)
    bundle = made(tmp_path, "vgg", codec=TransformCodec.fit(patches, budget=200))
    result = verify_bundle(bundle, patches)
    assert (result.comparisons[0].left, result.comparisons[0].right) == ("frames as documented", "codec")
    assert result.equal
    monkeypatch.setattr(frames, "MANTISSAS", (255, *frames.MANTISSAS[1:]))
    assert not verify_bundle(bundle, patches).comparisons[0].equal
