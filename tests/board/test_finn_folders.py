"""Other people's FINN folders on a simulated board: opened as they are, through the unmodified pynq.

The bit files are not there: placeholders of their names stand for them. The handoff files are Vivado's own.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import bitswath as bs
from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.bundle.bundle import save_bundle
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import InputError
from bitswath.network.network import INPUT, ArgMax, Dense, Network, Take, TensorSpec
from bitswath.simulated.device import SimulatedDevice
from tests.board.boards import Plug
from tests.host.model_system import ModelSystem
from tests.paths import DATA

BUILDS = DATA / "finn_builds"
SHAPE = (28, 28, 1)
FIRST, SECOND, SIZE = 0x4000_0000, 0x4000_1000, 0x1000
"""Of the engines' registers in all these block designs."""

pytestmark = pytest.mark.skipif(not BUILDS.is_dir(), reason=f"{BUILDS} is not there")


class Registers:
    """An engine of a system as a slave of the bus."""

    def __init__(self, system: ModelSystem, engine: int) -> None:
        self.system, self.engine = system, engine

    def read(self, offset: int) -> int:
        return self.system.read(self.engine, offset)

    def write(self, offset: int, value: int) -> None:
        self.system.write(self.engine, offset, value)


@pytest.fixture
def weights() -> NDArray[np.int8]:
    return np.random.default_rng(4).integers(-8, 8, (10, 784)).astype(np.int8)


def copied(name: str, folder: Path) -> Path:
    shutil.copytree(BUILDS / name, folder, ignore=shutil.ignore_patterns("*.onnx"), copy_function=shutil.copyfile)
    for handoff in list((folder / "bitfile").glob("*.hwh")):
        handoff.with_suffix(".bit").write_text("placeholder")
    return folder


def bundled(folder: Path, weights: NDArray[np.int8], *, scores: bool = False) -> Path:
    """A bundle that ends in the label as these builds do, or in `scores` as the model that FINN was given."""
    flat = Take("flat", (INPUT,), (784,), np.arange(784))
    stages = (flat, Dense("scores", ("flat",), weights), ArgMax("label", ("scores",)))
    network = Network(TensorSpec(SHAPE, 0, 255), stages[: 2 if scores else 3])
    classes = [str(digit) for digit in range(10)]
    return save_bundle(folder, network=network, codec=UniformCodec(8), patch_shape=SHAPE, classes=classes)


def board(plug: Plug, path: Path, weights: NDArray[np.int8]) -> SimulatedDevice:
    """A Zynq-7000 with an accelerator that computes the same as the bundle, by numpy, on the bytes that it gets."""
    overlay = load_overlay(path, suffix=".bit")

    def compute(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.argmax(rows.astype(np.int64) @ weights.T.astype(np.int64), axis=1).astype(np.uint8)[:, None]

    system = ModelSystem(overlay.input, overlay.output, compute)
    device: Any = plug.device(system, family="zynq")
    for engine, address in enumerate((FIRST, SECOND)):
        device.bus.attach(address, SIZE, Registers(system, engine))
    return device


@pytest.mark.parametrize("name", ["labs_custom_0", "labs_custom_3", "labs_tfc_w1a1_auto", "sam_fpga_deploy_cnvw2a2"])
def test_folders_of_other_people_open_and_run(plug: Plug, tmp_path: Path, weights: NDArray[np.int8], name: str) -> None:
    folder, bundle = copied(name, tmp_path / "finn"), bundled(tmp_path / "x.bsw", weights)
    patches = np.random.default_rng(5).integers(0, 256, (70, *SHAPE), np.uint8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        accelerator = bs.open(bundle, backend="pynq", bitstream=folder, device=board(plug, folder, weights))
    said = [str(one.message) for one in caught if "finn-accel.bit" in str(one.message)]
    assert len(said) == (name in ("labs_custom_0", "sam_fpga_deploy_cnvw2a2"))  # late; of two builds
    with bs.open(bundle) as emulator, accelerator:
        assert np.array_equal(accelerator.classify(patches).labels, emulator.classify(patches).labels)
        assert accelerator.backend.clock_hz == pytest.approx(200e6 if name.startswith("sam") else 100e6, rel=1e-2)
        assert accelerator.backend.clock_hz < 201e6


def test_a_late_build_at_the_clock_that_is_in_time(plug: Plug, tmp_path: Path, weights: NDArray[np.int8]) -> None:
    folder, bundle = copied("labs_custom_0", tmp_path / "finn"), bundled(tmp_path / "x.bsw", weights)
    device = board(plug, folder, weights)
    with pytest.warns(UserWarning, match=r"timing was not met .* wrong at 100 MHz; open it with clock_hz=83\.3e6 or"):
        bs.open(bundle, backend="pynq", bitstream=folder, device=device).close()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        options = {"bitstream": folder, "device": device, "clock_hz": 71.43e6}
        with bs.open(bundle, backend="pynq", **options) as accelerator:
            assert accelerator.backend.clock_hz == pytest.approx(71.43e6, rel=1e-2)


def test_a_model_that_ends_in_scores_on_a_build_that_ends_in_the_label(
    plug: Plug, tmp_path: Path, weights: NDArray[np.int8]
) -> None:
    folder, bundle = copied("labs_custom_3", tmp_path / "finn"), bundled(tmp_path / "x.bsw", weights, scores=True)
    patches = np.random.default_rng(7).integers(0, 256, (20, *SHAPE), np.uint8)
    device = board(plug, folder, weights)
    with bs.open(bundle) as emulator, bs.open(bundle, backend="pynq", bitstream=folder, device=device) as accelerator:
        expected, got = emulator.classify(patches), accelerator.classify(patches)
        assert np.array_equal(got.labels, expected.labels) and len(np.unique(got.labels)) > 3
        assert got.logits is None and expected.logits is not None
        with pytest.raises(InputError, match=r"answer alike, got \(1,\) and \(10,\) a patch"):
            accelerator.stream([patches], also=[emulator])


@pytest.mark.parametrize("how", ["zip", "gztar", "another name", "for cards too"])
def test_however_it_was_handed_over(
    plug: Plug, tmp_path: Path, weights: NDArray[np.int8], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path / "cache"))
    path, bundle = copied("labs_custom_3", tmp_path / "finn"), bundled(tmp_path / "x.bsw", weights)
    if how == "another name":
        (path / "bitfile" / "finn-accel.bit").rename(path / "bitfile" / "resizer.bit")
    elif how == "for cards too":
        (path / "bitfile" / "finn-accel.xclbin").write_text("placeholder")
    else:
        path = Path(shutil.make_archive(str(tmp_path / "packed"), how, path))
    patches = np.random.default_rng(6).integers(0, 256, (5, *SHAPE), np.uint8)
    device = board(plug, path, weights)
    with bs.open(bundle) as emulator, bs.open(bundle, bitstream=path, device=device) as accelerator:
        assert np.array_equal(accelerator.classify(patches).labels, emulator.classify(patches).labels)
