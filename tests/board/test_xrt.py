"""Alveo cards through XRT's Python API, here a stand-in for it over the same simulated systems."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitswath as bs
from bitswath.backends.board import xrt
from bitswath.backends.board.engines import pairs
from bitswath.backends.board.overlay import Overlay, OverlayFile
from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.backends.board.xrt import XrtBackend
from bitswath.errors import BackendError, BackendTimeoutError, DependencyError, InputError
from bitswath.simulated import Fault, System
from tests.board import pyxrt
from tests.board.boards import Plug, codes_of, doubled, patches_of, run


@pytest.fixture
def card(system: System, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    monkeypatch.setitem(sys.modules, "pyxrt", pyxrt)
    monkeypatch.setitem(pyxrt.CARDS, 0, system)
    monkeypatch.setattr(xrt, "_left_running", set())
    return system


@pytest.fixture
def folder(plug: Plug, small: Path) -> Path:
    """The small design's with an xclbin file."""
    folder = plug.folder(small)
    (folder / "simulated.bit").rename(folder / "simulated.xclbin")
    entry = OverlayFile.model_validate_json((folder / "overlay.json").read_text())
    (folder / "overlay.json").write_text(entry.model_copy(update={"bitfile": "simulated.xclbin"}).model_dump_json())
    return folder


@pytest.fixture
def overlay(folder: Path) -> Overlay:
    return load_overlay(folder)


@pytest.mark.parametrize("count", [1, 8, 30])
def test_answers(card: System, overlay: Overlay, count: int) -> None:
    with XrtBackend(overlay, frames_per_transfer=8) as backend:
        codes = codes_of(count, seed=count)
        assert np.array_equal(run(backend, codes), doubled(codes))
        assert backend.clock_hz == 98e6, "what XRT says, not what the overlay was routed for"


def test_a_bundle_on_a_card(card: System, folder: Path, small: Path) -> None:
    """pynq is here, but does not drive cards."""
    patches = patches_of(20)
    with (
        bs.open(small) as emulator,
        bs.open(small, backend="pynq", bitstream=folder, frames_per_transfer=8) as accel,
    ):
        assert np.array_equal(accel.classify(patches).logits, emulator.classify(patches).logits)
        assert type(accel.backend) is XrtBackend
    with pytest.raises(InputError, match="clock_hz is for boards"):
        bs.open(small, backend="pynq", bitstream=folder, clock_hz=1e6)


def test_pynq_drives_a_card_that_is_a_device_of_its_own(plug: Plug, system: System, folder: Path, small: Path) -> None:
    """As pynq 3.0 does: registers by calls, no clock to set."""
    device = plug.device(system, registers=True)
    patches = patches_of(9)
    with (
        bs.open(small) as emulator,
        bs.open(small, backend="pynq", bitstream=folder, device=device) as accel,
    ):
        assert np.array_equal(accel.classify(patches).logits, emulator.classify(patches).logits)
        assert device.downloads
    with pytest.raises(InputError, match="clock_hz is for boards"):
        bs.open(small, backend="pynq", bitstream=folder, device=device, clock_hz=50e6)


@pytest.mark.parametrize("clocks", [[], [{"id": "x", "description": "Data"}], [{"description": "Kernel"}], None])
def test_a_clock_that_xrt_does_not_tell_is_unknown(
    card: System, overlay: Overlay, clocks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyxrt, "CLOCKS", clocks)
    with XrtBackend(overlay) as backend:
        assert backend.clock_hz is None


def test_a_card_is_one_device_by_whichever_name_it_is_opened(card: System, overlay: Overlay) -> None:
    with XrtBackend(overlay) as first, XrtBackend(overlay, device="0000:00:00.1") as second:
        assert first.device == second.device


@pytest.mark.parametrize("kind", ["never_done", "hang"])
def test_a_late_card_has_to_be_reset_by_hand(card: System, overlay: Overlay, kind: Any) -> None:
    """XRT does not program an xclbin again that is loaded: frames would stay in the accelerator."""
    kept = len(pairs._kept)
    with XrtBackend(overlay, frames_per_transfer=8, transfer_timeout_s=0.5) as backend:
        card.inject(Fault(kind, after=20))
        with pytest.raises(BackendTimeoutError, match=r"odma0: ERT_CMD_STATE_SUBMITTED"):
            run(backend, codes_of(8))
        for _ in range(2):
            with pytest.raises(BackendError, match=r"odma0: ERT_CMD_STATE_SUBMITTED.*run 'xbutil reset' on the card"):
                backend.reset(20.0)
            with pytest.raises(BackendError, match="xbutil reset"):
                run(backend, codes_of(1))
    assert len(pairs._kept) == kept + 4, "the card may still write"
    with pytest.raises(BackendError, match="card 0: a run of this program did not complete; end the program"):
        XrtBackend(overlay)
    pyxrt.xbutil_reset(0)
    xrt._left_running.clear()  # as in another program
    with XrtBackend(overlay, frames_per_transfer=8) as backend:
        assert np.array_equal(run(backend, codes_of(20)), doubled(codes_of(20)))


def test_a_card_that_completes_is_opened_again(card: System, overlay: Overlay) -> None:
    """A reset in the middle of transfers, of which nothing is wrong."""
    with XrtBackend(overlay, frames_per_transfer=8) as backend:
        for seed in range(3):
            backend.submit(np.zeros((16, 30), np.uint8))
            backend.reset(20.0)
            assert np.array_equal(run(backend, codes_of(20, seed)), doubled(codes_of(20, seed)))


@pytest.mark.parametrize("state", ["ERROR", "ABORT", "TIMEOUT", "NORESPONSE"])
def test_states_of_failure_are_named(
    card: System, overlay: Overlay, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with XrtBackend(overlay) as backend:
        failed = pyxrt.ert_cmd_state[f"ERT_CMD_STATE_{state}"]
        monkeypatch.setattr(pyxrt.run, "state", lambda self: failed)
        with pytest.raises(BackendError, match=f"idma0: XRT ended it with {state}"):
            run(backend, codes_of(1))
        with pytest.raises(BackendError, match="run 'xbutil reset' on the card"):
            backend.reset()


def test_no_such_card(card: System, overlay: Overlay) -> None:
    with pytest.raises(BackendError, match=r"simulated\.xclbin: cannot be loaded into card 3"):
        XrtBackend(overlay, device=3)


def test_no_such_compute_unit(card: System, overlay: Overlay) -> None:
    wrong = replace(overlay, input=replace(overlay.input, engine="idma7"))
    with pytest.raises(BackendError, match="expected a compute unit 'idma7', its kernels Streaming"):
        XrtBackend(wrong)


def test_a_changed_xclbin_is_refused(card: System, overlay: Overlay) -> None:
    overlay.bitfile.write_bytes(b"another")
    with pytest.raises(BackendError, match="expected SHA-256"):
        XrtBackend(overlay)


def test_a_full_card(card: System, overlay: Overlay) -> None:
    with pytest.raises(BackendError, match="bytes of card memory; lower frames_per_transfer"):
        XrtBackend(overlay, frames_per_transfer=1 << 14)


def test_without_xrt(overlay: Overlay, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("pyxrt") is not None:
        pytest.skip("XRT is installed here")
    with pytest.raises(DependencyError, match="needs pyxrt, which comes with XRT"):
        XrtBackend(overlay)
