"""What goes wrong on a board ends in a typed error within its time-out, and a reset brings the board back.

Each fault once with the backend alone, once through an accelerator, whose streams reset and try again by themselves.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitswath as bs
from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.backends.board.pynq import PynqBackend
from bitswath.errors import BackendError, BackendTimeoutError
from bitswath.simulated import Fault, System
from bitswath.simulated.bus import Registers
from bitswath.simulated.hwh import Family
from tests.board.boards import Plug, codes_of, doubled, patches_of, run

TIMEOUT_S = 1.0


@dataclass(frozen=True)
class Case:
    fault: Fault
    error: type[BackendError]
    message: str


CASES = {
    "never done": Case(Fault("never_done"), BackendTimeoutError, r"8 frames were not done within 1 s .*odma0: running"),
    "read error": Case(
        Fault("read_error", after=5), BackendError, "idma0: the bus answered SLVERR while reading memory"
    ),
    "write error": Case(Fault("write_error"), BackendError, "odma0: the bus answered SLVERR while writing memory"),
    "late write error": Case(Fault("write_error", after=50), BackendError, "odma0: the bus answered SLVERR"),
    "hang at once": Case(Fault("hang"), BackendTimeoutError, "8 frames were not done within 1 s"),
    "hang in a frame": Case(Fault("hang", after=30), BackendTimeoutError, "8 frames were not done within 1 s"),
    "reset in a frame": Case(Fault("reset", after=7), BackendError, "stopped in the middle|not done within 1 s"),
}


SHELLS = ("bitswath", "finn")
UNSEEN = ("read error", "write error", "late write error")
"""What FINN's engines, which have no status, do not tell."""


def bitstream(plug: Plug, system: System, small: Path, shell: str) -> Path:
    """The folder of one with our shell, or with FINN's, whose engines have neither identity nor status."""
    folder = plug.folder(small)
    if shell == "finn":
        path, read = folder / "overlay.json", system.read
        path.write_text(json.dumps(json.loads(path.read_text()) | {"shell": shell}))
        system.read = lambda engine, offset: read(engine, offset) if offset < 0x40 else 0  # type: ignore[method-assign]
    return folder


def opened(plug: Plug, system: System, small: Path, shell: str = "bitswath", **options: Any) -> PynqBackend:
    limits = {"frames_per_transfer": 8, "transfer_timeout_s": TIMEOUT_S}
    overlay = load_overlay(bitstream(plug, system, small, shell))
    return PynqBackend(overlay, device=plug.device(system), **{**limits, **options})


def matrix() -> list[tuple[str, str]]:
    """Faults that are told, with the shells that tell them."""
    return [(shell, name) for shell in SHELLS for name in CASES if not (shell == "finn" and name in UNSEEN)]


@pytest.mark.parametrize(("shell", "name"), matrix())
@pytest.mark.parametrize("wait", ["poll", "interrupt"])
@pytest.mark.filterwarnings("error:the interrupt of the output engine")
def test_a_fault_is_named_in_time_and_gone_after_a_reset(
    plug: Plug, system: System, small: Path, shell: str, name: str, wait: Any
) -> None:
    case = CASES[name]
    with opened(plug, system, small, shell, wait=wait) as backend:
        for round_ in range(2):
            assert np.array_equal(run(backend, codes_of(11)), doubled(codes_of(11)))
            system.inject(case.fault)
            started = time.monotonic()
            with pytest.raises(BackendError, match=case.message) as raised:
                run(backend, codes_of(8, seed=round_))
            assert time.monotonic() - started < TIMEOUT_S + 2
            assert isinstance(raised.value, case.error)
            with pytest.raises(case.error):
                run(backend, codes_of(1))
            backend.reset(20.0)
        assert np.array_equal(run(backend, codes_of(30)), doubled(codes_of(30)))


@pytest.mark.parametrize("name", UNSEEN)
def test_finns_engines_do_not_tell_of_bus_errors(plug: Plug, system: System, small: Path, name: str) -> None:
    """A limit of such bitstreams: answers are wrong, the accelerator goes on; later transfers are right."""
    with opened(plug, system, small, "finn") as backend:
        run(backend, codes_of(8, seed=1))
        system.inject(CASES[name].fault)
        assert not np.array_equal(run(backend, codes_of(8, seed=2)), doubled(codes_of(8, seed=2)))
        for seed in range(3, 6):
            assert np.array_equal(run(backend, codes_of(8, seed)), doubled(codes_of(8, seed)))


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", CASES)
def test_a_fault_leaves_memory_free_after_closing(
    plug: Plug, system: System, small: Path, shell: str, name: str
) -> None:
    device = plug.device(system)
    whole = device.free_bytes
    limits: dict[str, Any] = {"frames_per_transfer": 8, "transfer_timeout_s": 0.3}
    overlay = load_overlay(bitstream(plug, system, small, shell))
    backend = PynqBackend(overlay, device=device, **limits)
    system.inject(CASES[name].fault)
    ticket = backend.submit(np.zeros((8, 30), np.uint8))
    backend.close()
    backend.close()
    assert device.free_bytes == whole
    with pytest.raises(BackendError, match="closed"):
        backend.collect(ticket)
    with PynqBackend(overlay, device=device, **limits) as again:
        assert np.array_equal(run(again, codes_of(3)), doubled(codes_of(3)))


@pytest.mark.parametrize(("shell", "name"), matrix())
def test_classify_and_stream_reset_and_try_again(
    plug: Plug, system: System, small: Path, shell: str, name: str
) -> None:
    batches = [patches_of(count, seed=count) for count in (20, 5, 17)]
    with bs.open(small) as emulator:
        expected = [emulator.classify(batch).logits for batch in batches]
    options: dict[str, Any] = {"frames_per_transfer": 8, "transfer_timeout_s": TIMEOUT_S}
    device = plug.device(system)
    folder = bitstream(plug, system, small, shell)
    with bs.open(small, backend="pynq", bitstream=folder, device=device, **options) as accel:
        system.inject(CASES[name].fault)
        assert np.array_equal(accel.classify(batches[0]).logits, expected[0])
        assert len(device.downloads) == 2, "loaded when opened, and once again"
        system.inject(CASES[name].fault)
        for result, logits in zip(accel.stream(batches), expected):
            assert np.array_equal(result.logits, logits)
        assert len(device.downloads) == 3


@pytest.mark.parametrize(
    ("shell", "name"),
    [(shell, name) for shell, name in matrix() if name in ("never done", "write error", "hang in a frame")],
)
def test_a_fault_that_stays_is_raised_and_the_accelerator_works_once_it_is_gone(
    plug: Plug, system: System, small: Path, shell: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, reset = CASES[name], system.reset

    def reset_in_vain() -> None:
        reset()
        system.inject(case.fault)

    options: dict[str, Any] = {"frames_per_transfer": 8, "transfer_timeout_s": 0.5}
    device = plug.device(system)
    folder = bitstream(plug, system, small, shell)
    with bs.open(small, backend="pynq", bitstream=folder, device=device, **options) as accel:
        monkeypatch.setattr(system, "reset", reset_in_vain)
        system.inject(case.fault)
        with pytest.raises(case.error):
            accel.classify(patches_of(20))
        monkeypatch.setattr(system, "reset", reset)
        assert len(accel.classify(patches_of(20))) == 20


def test_a_simulator_that_dies_is_started_again(plug: Plug, system: System, small: Path) -> None:
    """As a board that does not answer any more, until it is loaded again."""
    with opened(plug, system, small) as backend:
        run(backend, codes_of(2))
        system._process.close()
        with pytest.raises(BackendError, match="closed"):
            run(backend, codes_of(2))
        backend.reset(20.0)
        assert np.array_equal(run(backend, codes_of(2)), doubled(codes_of(2)))


@pytest.mark.parametrize(
    ("buffer", "message"),
    [
        (0, "idma0: the bus answered DECERR while reading memory"),
        (1, "odma0: the bus answered DECERR while writing memory"),
    ],
)
def test_a_buffer_that_ends_too_early(plug: Plug, system: System, small: Path, buffer: int, message: str) -> None:
    with opened(plug, system, small) as backend:
        right = backend._transfers.pairs.buffers[buffer].address
        backend._transfers.pairs.buffers[buffer].address = system.memory_base + system.memory.nbytes - 64
        with pytest.raises(BackendError, match=message):
            run(backend, codes_of(8))
        backend._transfers.pairs.buffers[buffer].address = right
        backend.reset(20.0)
        assert np.array_equal(run(backend, codes_of(8)), doubled(codes_of(8)))


def test_a_full_memory(plug: Plug, system: System, small: Path) -> None:
    import pynq

    device = plug.device(system)
    taken = pynq.allocate(device.free_bytes - 8192, np.uint8, target=device)
    with pytest.raises(BackendError, match="bytes of contiguous memory; lower frames_per_transfer") as raised:
        PynqBackend(plug.overlay(small), device=device)
    assert isinstance(raised.value.__cause__, MemoryError) and device.free_bytes == 8192
    del taken
    with PynqBackend(plug.overlay(small), device=device) as backend:
        assert np.array_equal(run(backend, codes_of(8)), doubled(codes_of(8)))


class Frozen(Registers):
    """Clock registers that do not take what is written."""

    def write(self, offset: int, value: int) -> None:
        pass


def freeze_clocks(device: Any) -> None:
    for base in (0xF800_0000,) if device.family == "zynq" else (0xFD1A_0000, 0xFF5E_0000):
        frozen = Frozen({offset: device.bus.read(base + offset) for offset in range(0, 0x200, 4)})
        device.bus.attach(base, 0x1000, frozen)


@pytest.mark.parametrize(("family", "found"), [("zynq", "100"), ("zynqmp", "99.999")])
def test_a_clock_that_cannot_be_set(plug: Plug, system: System, small: Path, family: Family, found: str) -> None:
    device = plug.device(system, family)
    freeze_clocks(device)
    with pytest.raises(BackendError, match=re.escape(f"expected clock 0 at 50 MHz, the board runs it at {found} MHz")):
        PynqBackend(plug.overlay(small, family), device=device, clock_hz=50e6)
    assert device.free_bytes == system.memory.nbytes


def test_a_clock_that_another_program_changed_is_set_again_or_fails_the_reset(
    plug: Plug, system: System, small: Path
) -> None:
    import pynq

    with opened(plug, system, small, clock_hz=50e6) as backend:
        pynq.Clocks.fclk0_mhz = 25
        backend.reset(20.0)
        assert backend.clock_hz == pytest.approx(50e6, rel=0.01)
        pynq.Clocks.fclk0_mhz = 25
        freeze_clocks(pynq.Device.active_device)
        with pytest.raises(BackendError, match=r"expected clock 0 at 50 MHz, the board runs it at 24\.9997 MHz"):
            backend.reset(20.0)
        with pytest.raises(BackendError, match="expected clock 0"):
            run(backend, codes_of(1))


def test_another_bitstream_loaded_by_somebody_else(plug: Plug, system: System, small: Path) -> None:
    """It resets what runs here; then the registers are those of another design."""
    with opened(plug, system, small) as backend:
        read = system.read
        system.read = lambda engine, offset: 1 if offset == 0x60 else read(engine, offset)  # type: ignore[method-assign]
        with pytest.raises(BackendError, match=r"idma0: expected network .*another design is loaded"):
            backend.reset(20.0)
        system.read = read  # type: ignore[method-assign]
        backend.reset(20.0)
        assert np.array_equal(run(backend, codes_of(2)), doubled(codes_of(2)))
