"""Every architecture of the zoo, at every width: FINN's RTL and ours against the emulator, with pauses at both ends.

FINN runs in its own process, so that TensorFlow may run in this one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.base import Codec
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec
from tests.designs import CACHE
from tests.hw.built import assert_equal, built

PATCH = (12, 12, 3)


def bundle_of(name: str, bits: int, folder: Path, codec: Codec | None = None) -> Bundle:
    from bitswath.models.export.qonnx import export_qonnx
    from bitswath.models.lowering import lower
    from bitswath.models.nets.architectures import input_spec
    from bitswath.models.training.settle import settle
    from tests.models.small import small_model

    codec = codec or UniformCodec(bits)
    model, spec = small_model(name, bits, bits, spec=input_spec(codec, PATCH))
    settle(model)
    network = lower(export_qonnx(model, spec)).network
    classes = [str(label) for label in range(network.output.size)]
    return save_bundle(folder / "x.bsw", network=network, codec=codec, patch_shape=PATCH, classes=classes)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("name", ["vgg", "resnet", "separable"])
def test_an_architecture_in_rtl_equals_the_emulator(name: str, bits: int, tmp_path: Path) -> None:
    bundle = bundle_of(name, bits, tmp_path)
    built(bundle, "Pynq-Z2", tmp_path / "build")
    assert_equal(bundle, tmp_path / "build", exact=bits == 2)


@pytest.mark.parametrize(("board", "bits"), [("Pynq-Z2", 4), ("ZCU104", 2), ("VCK190", 8)])
def test_products_in_dsps_equal_the_emulator(board: str, bits: int, tmp_path: Path) -> None:
    bundle = bundle_of("vgg", bits, tmp_path)
    design = built(bundle, board, tmp_path / "build", {"lut": 0})
    assert "MVAU_rtl" in {stage.kind for stage in design.stages}
    assert_equal(bundle, tmp_path / "build", exact=False)


def test_a_palette_is_looked_up_in_fabric(tmp_path: Path) -> None:
    patches = np.random.default_rng(1).integers(0, 256, (20, *PATCH), np.uint8)
    bundle = bundle_of("vgg", 4, tmp_path, PaletteCodec.fit(patches, 4))
    design = built(bundle, "Pynq-Z2", tmp_path / "build")
    assert "Lookup_rtl" in {stage.kind for stage in design.stages}
    assert design.input.words == -(-12 * 12 * 4 // design.input.width)
    assert_equal(bundle, tmp_path / "build", exact=False)
