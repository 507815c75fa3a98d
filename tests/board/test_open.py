"""`bs.open(..., backend="pynq")`: the same code path as on the emulator, with the same answers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import bitswath as bs
from bitswath.errors import BackendError, BundleError, InputError
from bitswath.simulated import System, simulate_board
from bitswath.simulated.overlay import write_overlay
from tests.board.boards import BUILDS, Plug, patches_of
from tests.board.builds import BOARD, EUROSAT


def test_classes_and_logits_are_the_emulators(plug: Plug, system: System, small: Path) -> None:
    patches = patches_of(21)
    device = plug.device(system)
    with (
        bs.open(small) as emulator,
        bs.open(small, backend="pynq", bitstream=plug.folder(small), device=device, frames_per_transfer=4) as accel,
    ):
        expected, got = emulator.classify(patches), accel.classify(patches)
        assert got.logits is not None and expected.logits is not None
        assert np.array_equal(got.labels, expected.labels) and np.array_equal(got.logits, expected.logits)
        assert got.logits.max() == 30, "twice the largest code"


def test_streams_of_any_batches(plug: Plug, system: System, small: Path) -> None:
    batches = [patches_of(count, seed=count) for count in (1, 9, 0, 4, 30)]
    options = {"bitstream": plug.folder(small), "device": plug.device(system), "frames_per_transfer": 4}
    with bs.open(small) as emulator, bs.open(small, backend="pynq", **options) as accel:
        results = list(accel.stream(batches))
        assert [len(result) for result in results] == [1, 9, 0, 4, 30]
        for batch, result in zip(batches, results):
            assert np.array_equal(result.logits, emulator.classify(batch).logits)


def test_the_bundles_own_bitstream_is_taken(plug: Plug, system: System, small: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(small, tmp_path / "x.bsw")
    with pytest.raises(BackendError, match="has no bitstream"):
        bs.open(copied, backend="pynq", device=plug.device(system))
    write_overlay(copied / "hw" / BOARD, copied / "hw" / BOARD / "bitstream")
    with bs.open(copied, backend="pynq", board=BOARD, device=plug.device(system)) as accel:
        assert len(accel.classify(patches_of(3))) == 3
    with pytest.raises(BackendError, match="expected a build for ZCU104"):
        bs.open(copied, backend="pynq", board="ZCU104")


def test_a_build_for_a_clock_that_the_board_does_not_make(small: Path, tmp_path: Path) -> None:
    """200 MHz on a ZCU104, whose PLL makes 187.5 or 214 of it."""
    import pynq

    copied = shutil.copytree(small, tmp_path / "x.bsw")
    path = copied / "hw" / BOARD / "design.json"
    design = json.loads(path.read_text()) | {"part": "xczu7ev-ffvc1156-2-e", "clock_hz": 200e6}
    path.write_text(json.dumps(design))
    with (
        simulate_board(copied, memory_bytes=1 << 20) as board,
        bs.open(copied, backend="pynq", bitstream=board.bitstream) as accel,
    ):
        assert len(accel.classify(patches_of(3))) == 3
        assert pynq.Clocks.fclk0_mhz == pytest.approx(187.498, rel=1e-4)


def test_a_bitstream_of_another_network_is_refused(plug: Plug, system: System, small: Path, tmp_path: Path) -> None:
    folder = plug.folder(small)
    for name in ("overlay.json", "design.json"):
        network = bs.load_bundle(small).manifest.files["network.safetensors"].sha256
        (folder / name).write_text((folder / name).read_text().replace(network, "ab" * 32))
    with pytest.raises(BundleError, match="was made for network abab"):
        bs.open(small, backend="pynq", bitstream=folder, device=plug.device(system))


def test_unknown_options_are_refused(small: Path) -> None:
    with pytest.raises(BackendError, match="has no option 'thread'; it takes board, bitstream, device"):
        bs.open(small, backend="pynq", thread=1)


def test_options_reach_the_backend(plug: Plug, system: System, small: Path) -> None:
    with pytest.raises(InputError, match="frames_per_transfer"):
        bs.open(small, backend="pynq", bitstream=plug.folder(small), device=plug.device(system), frames_per_transfer=0)


def test_eurosat_logits_are_the_emulators_bit_by_bit(plug: Plug) -> None:
    """The trained network, as it would be on a Pynq-Z2."""
    bundle = BUILDS / EUROSAT
    assert (bundle / "hw" / BOARD).is_dir(), f"{bundle} has no build; scripts/test-board makes one"
    seed = 20
    patches = np.random.default_rng(seed).integers(0, 256, (4, 64, 64, 3), np.uint8)
    patches[1] = patches[1].mean(axis=(0, 1)).astype(np.uint8)
    device = plug.device(plug.system(bundle), "zynq")
    options = {"bitstream": plug.folder(bundle, "zynq"), "device": device, "transfer_timeout_s": 120.0}
    with bs.open(bundle) as emulator, bs.open(bundle, backend="pynq", **options) as accel:
        expected, got = emulator.classify(patches), accel.classify(patches)
        assert np.array_equal(got.logits, expected.logits), f"seed {seed}"
        assert np.array_equal(got.labels, expected.labels)
