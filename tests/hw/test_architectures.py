"""Every architecture of the zoo, at every width: FINN's RTL and ours against the emulator, with pauses at both ends.

FINN runs in its own process, so that TensorFlow may run in this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from bitswath.backends.emulator import EmulatorBackend
from bitswath.backends.rtl.backend import RtlBackend
from bitswath.builds.design import Design
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.base import Codec
from bitswath.codecs.packing import pack
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.hw.generating.compile import compile_design, save_design
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.folding import find_folding
from bitswath.hw.planning.plan import plan
from tests.designs import CACHE

PATCH = (12, 12, 3)
FRAMES = 5
DEPTH = 257
"""Of every queue: enough for the residual branches of small images."""


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


def build(bundle: Bundle, board_name: str, folder: Path, changes: Mapping[str, int] | None = None) -> Design:
    """Compiled, with a queue in every stream."""
    board = find_board(board_name)
    hardware = plan(bundle.network, bundle.codec.bits, board.link_width)
    foldings = find_folding(hardware, board, margin=0.1, cycles=2500).foldings
    for unit in hardware.units:
        for key, value in (changes or {}).items():
            if value in unit.choices().get(key, ()):
                foldings[unit.name][key] = value
    design = compile_design(bundle, board, 100e6, foldings, folder)
    deep = tuple(
        stream.model_copy(update={"depth": DEPTH}) if stream.source and stream.sink and stream.beats else stream
        for stream in design.streams
    )
    return save_design(design.model_copy(update={"streams": deep}), folder)


def assert_equal(bundle: Bundle, folder: Path, *, exact: bool) -> None:
    seed = np.random.SeedSequence().entropy
    print(f"seed {seed}")
    shape = tuple(bundle.codec.code_shape(PATCH))
    codes = np.random.default_rng(seed).integers(0, 2**bundle.codec.bits, (FRAMES, *shape), np.uint8)
    frames = pack(codes, bundle.codec.bits)
    with EmulatorBackend(bundle.network, bundle.codec.bits) as emulator:
        expected = emulator.collect(emulator.submit(frames))
    with RtlBackend(folder, output_shape=bundle.network.output.shape, stall=0.3, exact=exact) as rtl:
        np.testing.assert_array_equal(rtl.collect(rtl.submit(frames)), expected)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("name", ["vgg", "resnet", "separable"])
def test_an_architecture_in_rtl_equals_the_emulator(name: str, bits: int, tmp_path: Path) -> None:
    bundle = bundle_of(name, bits, tmp_path)
    build(bundle, "Pynq-Z2", tmp_path / "build")
    assert_equal(bundle, tmp_path / "build", exact=bits == 2)


@pytest.mark.parametrize(("board", "bits"), [("Pynq-Z2", 4), ("ZCU104", 2), ("VCK190", 8)])
def test_products_in_dsps_equal_the_emulator(board: str, bits: int, tmp_path: Path) -> None:
    bundle = bundle_of("vgg", bits, tmp_path)
    design = build(bundle, board, tmp_path / "build", {"lut": 0})
    assert "MVAU_rtl" in {stage.kind for stage in design.stages}
    assert_equal(bundle, tmp_path / "build", exact=False)


def test_a_palette_is_looked_up_in_fabric(tmp_path: Path) -> None:
    patches = np.random.default_rng(1).integers(0, 256, (20, *PATCH), np.uint8)
    bundle = bundle_of("vgg", 4, tmp_path, PaletteCodec.fit(patches, 4))
    design = build(bundle, "Pynq-Z2", tmp_path / "build")
    assert "Lookup_rtl" in {stage.kind for stage in design.stages}
    assert design.input.words == -(-12 * 12 * 4 // design.input.width)
    assert_equal(bundle, tmp_path / "build", exact=False)
