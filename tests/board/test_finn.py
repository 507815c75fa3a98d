"""Bitstreams that FINN and FINN+ made: our driver on their folders, and FINN+'s own driver on the simulated board.

The accelerator is modelled in Python behind FINN's registers; it takes and gives FINN's folded frames.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import bitswath as bs
from bitswath.backends.board.overlay import Overlay
from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.backends.board.pynq import PynqBackend
from bitswath.bundle.bundle import save_bundle
from bitswath.codecs.packing import pack_folded
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BackendError, BackendTimeoutError, BundleError
from bitswath.network.network import INPUT, Add, Head, Network, TensorSpec
from bitswath.simulated import System
from bitswath.simulated.hwh import Module, handoff
from bitswath.simulated.overlay import ENGINE_BYTES, engine_addresses
from tests.board.boards import Plug
from tests.host.model_system import ODMA, ModelSystem

SHAPE = (4, 5, 6)
VALUES = 120
SIMD, PE = 3, 2
IN_BITS, OUT_BITS = 4, 7
SETTINGS = {
    "driver_type": "FINNDMAOverlay",
    "platform": "zynq-iodma",
    "fclk_mhz": 187.5,
    "external_weights": False,
    "runtime_weights": False,
    "io_shape_dict": {
        "idt": [f"DataType['UINT{IN_BITS}']"],
        "odt": [f"DataType['INT{OUT_BITS}']"],
        "idma_names": ["idma0"],
        "odma_names": ["odma0"],
        "ishape_normal": [[1, *SHAPE]],
        "ishape_folded": [[1, 4, 5, 2, SIMD]],
        "ishape_packed": [[1, 4, 5, 2, 2]],
        "oshape_normal": [[1, *SHAPE]],
        "oshape_folded": [[1, 4, 5, 3, PE]],
        "oshape_packed": [[1, 4, 5, 3, 2]],
        "num_inputs": 1,
        "num_outputs": 1,
        "number_of_external_weights": 0,
    },
}


def answers(codes: NDArray[Any]) -> NDArray[np.int64]:
    """What the accelerator computes: -3x, up to -45 of 7 signed bits."""
    return -3 * codes.astype(np.int64)


def network() -> Network:
    return Network(TensorSpec(SHAPE, 0, 15), (Add("sum", (INPUT, INPUT), (-1, -2)),), Head(np.ones(1), np.zeros(1)))


def compute(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same on folded words, by another way than the driver's."""
    words = rows.reshape(len(rows), -1, 2).astype(np.int64) @ [1, 256]
    codes = np.stack([words >> IN_BITS * i & 15 for i in range(SIMD)], axis=2).reshape(len(rows), -1, PE)
    values = answers(codes) & (1 << OUT_BITS) - 1
    folded = values @ [1, 1 << OUT_BITS]
    return np.stack([folded & 255, folded >> 8], axis=2).astype(np.uint8).reshape(len(rows), -1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A deployment package of FINN+ for a board, with a clocking wizard as its block designs have."""
    return package(tmp_path / "deploy", 187.5)


def package(folder: Path, wizard_mhz: float | None) -> Path:
    for name in ("bitfile", "driver"):
        (folder / name).mkdir(parents=True)
    first, second = engine_addresses("zynqmp")
    engines = (Module("idma0", first, ENGINE_BYTES, 16), Module("odma0", second, ENGINE_BYTES, 16))
    (folder / "bitfile" / "finn-accel.bit").write_bytes(b"bits")
    (folder / "bitfile" / "finn-accel.hwh").write_text(handoff("zynqmp", engines, wizard_mhz=wizard_mhz))
    (folder / "driver" / "settings.json").write_text(json.dumps({"driver_information": SETTINGS}))
    return folder


def modelled(overlay: Overlay) -> ModelSystem:
    return ModelSystem(overlay.input, overlay.output, compute)


def codes_of(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 16, (count, *SHAPE), np.uint8)


def run(backend: PynqBackend, codes: NDArray[np.uint8]) -> NDArray[np.signedinteger]:
    return backend.collect(backend.submit(pack_folded(codes, IN_BITS, False, SIMD)))


def test_folded_frames_through_pynq(plug: Plug, folder: Path) -> None:
    overlay = load_overlay(folder)
    with PynqBackend(overlay, device=plug.device(modelled(overlay)), output_shape=SHAPE) as backend:
        for count in (1, 70):
            assert np.array_equal(run(backend, codes_of(count)), answers(codes_of(count)))


def test_a_bundle_on_a_bitstream_of_finn(plug: Plug, folder: Path, tmp_path: Path) -> None:
    bundle = save_bundle(
        tmp_path / "x.bsw",
        network=network(),
        codec=UniformCodec(4),
        patch_shape=SHAPE,
        classes=[f"class {i}" for i in range(SHAPE[-1])],
    )
    device = plug.device(modelled(load_overlay(folder)))
    patches = np.random.default_rng(5).integers(0, 256, (9, *SHAPE), np.uint8)
    with bs.open(bundle) as emulator, bs.open(bundle, backend="pynq", bitstream=folder, device=device) as accel:
        expected, got = emulator.classify(patches), accel.classify(patches)
        assert np.array_equal(got.logits, expected.logits) and np.array_equal(got.labels, expected.labels)


def test_a_bundle_of_another_size_is_refused(plug: Plug, folder: Path, small: Path) -> None:
    with pytest.raises(BundleError, match="it computes another network"):
        bs.open(small, backend="pynq", bitstream=folder, device=plug.device(modelled(load_overlay(folder))))


def test_the_clock_is_that_of_the_wizard(plug: Plug, folder: Path) -> None:
    """FINN+'s wizard makes the accelerator's clock of 100 MHz, whatever was asked for."""
    import pynq

    overlay = load_overlay(folder)
    with PynqBackend(overlay, device=plug.device(modelled(overlay))) as backend:
        assert backend.clock_hz == pytest.approx(187.5e6, rel=1e-3)
        assert pynq.Clocks.fclk0_mhz == pytest.approx(100, rel=1e-3)


@pytest.mark.parametrize("clock_hz", [50e6, 93.75e6])
def test_a_clock_that_the_wizard_does_not_make_is_refused(plug: Plug, folder: Path, clock_hz: float) -> None:
    overlay = load_overlay(folder)
    message = f"expected the accelerator at {clock_hz / 1e6:g} MHz, the board runs it at 187.5 MHz"
    with pytest.raises(BackendError, match=message):
        PynqBackend(overlay, device=plug.device(modelled(overlay)), clock_hz=clock_hz)


@pytest.mark.parametrize(("wizard_mhz", "fits"), [(190.0, False), (189.0, True), (150.0, True)])
def test_a_wizard_is_not_faster_than_the_settings_say(
    plug: Plug, tmp_path: Path, wizard_mhz: float, fits: bool
) -> None:
    overlay = load_overlay(package(tmp_path / "x", wizard_mhz))
    device = plug.device(modelled(overlay))
    if fits:
        with PynqBackend(overlay, device=device) as backend:
            assert backend.clock_hz == pytest.approx(wizard_mhz * 1e6, rel=1e-3)
    else:
        with pytest.raises(BackendError, match=r"expected the accelerator at 187\.5 MHz, the board runs it at 190"):
            PynqBackend(overlay, device=device)


def test_without_a_wizard_the_boards_clock_is_set(plug: Plug, tmp_path: Path) -> None:
    overlay = load_overlay(package(tmp_path / "x", None))
    with PynqBackend(overlay, device=plug.device(modelled(overlay))) as backend:
        assert backend.clock_hz == pytest.approx(187.5e6, rel=1e-3)


def test_a_width_that_does_not_divide_a_frame_is_refused(plug: Plug, folder: Path) -> None:
    path = folder / "bitfile" / "finn-accel.hwh"
    path.write_text(path.read_text().replace('DATAWIDTH="16"', 'DATAWIDTH="512"'))
    overlay = load_overlay(folder)
    with pytest.raises(BackendError, match="moves words of 512 bits, a frame of 80 bytes is no whole number"):
        PynqBackend(overlay, device=plug.device(modelled(overlay)))


def test_a_device_that_never_finishes_is_late_here_too(plug: Plug, folder: Path) -> None:
    overlay = load_overlay(folder)
    system = modelled(overlay)
    with PynqBackend(overlay, device=plug.device(system), transfer_timeout_s=0.3) as backend:
        system.late = ODMA
        with pytest.raises(BackendTimeoutError, match="idma0: idle; odma0: running"):
            run(backend, codes_of(3))
        backend.reset()
        assert run(backend, codes_of(3)).shape == (3, VALUES)


@pytest.mark.skipif(
    importlib.util.find_spec("finn_plus_driver") is None, reason="finn-plus-driver is not installed here"
)
def test_finn_plus_own_driver_drives_the_simulated_device(plug: Plug, folder: Path) -> None:
    """What it packs, sends and unpacks is what our driver packs, sends and unpacks."""
    from finn_plus_driver import get_driver_class

    overlay = load_overlay(folder)
    device = plug.device(modelled(overlay))
    settings = json.loads((folder / "driver" / "settings.json").read_text())["driver_information"]
    theirs = get_driver_class(settings["driver_type"])(str(overlay.bitfile), batch_size=5, device=device, **settings)
    codes = codes_of(5)
    assert np.array_equal(theirs.execute(codes.astype(np.float32)), answers(codes))
    packed = theirs.pack_input(theirs.fold_input(codes.astype(np.float32)))
    assert np.array_equal(packed.reshape(5, -1), pack_folded(codes, IN_BITS, False, SIMD))
    with PynqBackend(overlay, device=device, output_shape=SHAPE) as ours:
        assert np.array_equal(run(ours, codes), answers(codes))


@pytest.mark.skipif(
    importlib.util.find_spec("finn_plus_driver") is None, reason="finn-plus-driver is not installed here"
)
def test_finn_plus_own_driver_drives_our_engines(plug: Plug, system: System, small: Path) -> None:
    """The RTL of our shell behaves as FINN's engines do: here the words of the dense link are FINN's values."""
    from finn_plus_driver import get_driver_class

    shapes = {"ishape": [1, 4, 8], "oshape": [1, 5, 8]}
    io = {f"{end}_{kind}": [shape] for end, shape in shapes.items() for kind in ("normal", "folded", "packed")}
    io |= {"idt": ["DataType['UINT8']"], "odt": ["DataType['UINT8']"], "num_inputs": 1, "num_outputs": 1}
    overlay, device = plug.overlay(small), plug.device(system)
    theirs = get_driver_class("FINNDMAOverlay")(
        str(overlay.bitfile), platform="zynq-iodma", io_shape_dict=io, batch_size=3, device=device
    )
    codes = np.random.default_rng(8).integers(0, 16, (3, 60), np.uint8)
    words = np.zeros((3, 32), np.uint8)
    words[:, :30] = codes[:, ::2] | codes[:, 1::2] << 4
    given = theirs.execute(words.reshape(3, 4, 8)).astype(np.uint8).reshape(3, 40)
    assert np.array_equal(overlay.output.read(given), 2 * codes.astype(np.int64))
