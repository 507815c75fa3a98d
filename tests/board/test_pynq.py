"""The pynq backend on simulated boards: answers, checks before anything runs, clocks, interrupts, memory."""

from __future__ import annotations

import importlib.util
import json
import shutil
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.backends.board.engines import interrupts
from bitswath.backends.board.engines.interrupts import OutputInterrupt
from bitswath.backends.board.handoff import read_handoff
from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.backends.board.pynq import PynqBackend, Wait
from bitswath.builds.design import Design
from bitswath.errors import BackendError, BundleError, InputError
from bitswath.simulated import System
from bitswath.simulated.hwh import Family
from tests.board.boards import Plug, codes_of, doubled, run

FAMILIES: tuple[Family, ...] = ("zynq", "zynqmp")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("wait", ["poll", "interrupt"])
def test_answers_on_both_families(plug: Plug, system: System, small: Path, family: Family, wait: Wait) -> None:
    device = plug.device(system, family)
    with PynqBackend(plug.overlay(small, family), device=device, wait=wait, frames_per_transfer=4) as backend:
        for count in (1, 4, 11):
            codes = codes_of(count, seed=count)
            assert np.array_equal(run(backend, codes), doubled(codes))
        assert backend.clock_hz is not None and abs(backend.clock_hz - 100e6) < 1e4
    assert len(device.downloads) == 1


def test_pauses_of_the_memory_change_nothing(plug: Plug, small: Path) -> None:
    system = plug.system(small, stall=0.6, seed=5)
    with PynqBackend(plug.overlay(small), device=plug.device(system), frames_per_transfer=3) as backend:
        codes = codes_of(10)
        assert np.array_equal(run(backend, codes), doubled(codes))


def test_addresses_above_4_gb(plug: Plug, small: Path) -> None:
    system = plug.system(small, memory_base=0x8_0000_0000)
    with PynqBackend(plug.overlay(small), device=plug.device(system)) as backend:
        assert np.array_equal(run(backend, codes_of(5)), doubled(codes_of(5)))


def test_interrupts_are_waited_for(plug: Plug, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each transfer ends with one, also after the bitstream was loaded again."""
    arrived: list[bool] = []
    wait = OutputInterrupt._wait

    async def noted(self: OutputInterrupt) -> bool:
        arrived.append(await wait(self))
        return arrived[-1]

    monkeypatch.setattr(OutputInterrupt, "_wait", noted)
    monkeypatch.setattr(interrupts, "_SLICE_S", 10.0)  # longer than a transfer, however busy this machine is
    with (
        PynqBackend(plug.overlay(small), device=plug.device(plug.model(small)), wait="interrupt") as backend,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")
        for transfers in (3, 5):
            arrived.clear()
            for seed in range(transfers):
                assert np.array_equal(run(backend, codes_of(20, seed)), doubled(codes_of(20, seed)))
            assert arrived.count(True) >= transfers
            backend.reset()


@pytest.mark.filterwarnings("error:the interrupt of the output engine")
def test_interrupts_arrive_whenever_it_is_opened(plug: Plug, small: Path) -> None:
    """pynq binds an interrupt's file to the event loop that waits for it first."""
    overlay, device = plug.overlay(small), plug.device(plug.model(small))
    for seed in range(3):
        with PynqBackend(overlay, device=device, wait="interrupt") as backend:
            for _ in range(4):
                assert np.array_equal(run(backend, codes_of(64, seed)), doubled(codes_of(64, seed)))
            assert backend._board._interrupt is not None  # type: ignore[attr-defined]


def test_interrupts_that_do_not_arrive_lead_to_polling(plug: Plug, small: Path) -> None:
    device = plug.device(plug.model(small))
    device.controller.close()
    backend = PynqBackend(plug.overlay(small), device=device, wait="auto")
    with backend, pytest.warns(UserWarning, match="does not arrive, polling instead"):
        for seed in range(3):
            assert np.array_equal(run(backend, codes_of(64, seed)), doubled(codes_of(64, seed)))


def test_an_overlay_without_interrupts_is_polled(plug: Plug, system: System, small: Path) -> None:
    overlay, device = plug.overlay(small, interrupts=False), plug.device(system)
    with pytest.raises(BackendError, match="odma0 has no interrupt"):
        PynqBackend(overlay, device=device, wait="interrupt")
    with PynqBackend(overlay, device=device) as backend:
        assert np.array_equal(run(backend, codes_of(2)), doubled(codes_of(2)))


def test_a_clock_that_no_file_names_is_that_of_the_handoff_file(plug: Plug, system: System, small: Path) -> None:
    import pynq

    overlay, device = replace(plug.overlay(small), clock_hz=None), plug.device(system)
    pynq.Clocks.fclk0_mhz = 50
    with PynqBackend(overlay, device=device) as backend:
        assert backend.clock_hz == pytest.approx(100e6, rel=1e-3)


def test_a_loaded_bitstream_can_be_taken_as_it_is(plug: Plug, system: System, small: Path) -> None:
    device = plug.device(system)
    with PynqBackend(plug.overlay(small), device=device, download=False) as backend:
        assert np.array_equal(run(backend, codes_of(2)), doubled(codes_of(2)))
        assert device.downloads == []
        backend.reset()
        assert len(device.downloads) == 1


def test_pynqs_active_device_is_taken_by_default(plug: Plug, system: System, small: Path) -> None:
    device = plug.device(system)
    with PynqBackend(plug.overlay(small)) as backend:
        run(backend, codes_of(1))
    assert device.downloads


@pytest.mark.parametrize("families", [("zynqmp", "zynqmp"), ("zynq", "zynqmp")])
def test_two_boards_in_one_process(plug: Plug, small: Path, families: tuple[Family, Family]) -> None:
    """Each with clocks of its own, though pynq keeps one set of clock registers a process."""
    import pynq

    if not hasattr(pynq.Clocks, "set_device") and families[0] != families[1]:
        pytest.skip("pynq 3.0 takes every device's clocks for the machine's")
    backends = [
        PynqBackend(plug.overlay(small, family), device=plug.device(plug.system(small), family), clock_hz=clock_hz)
        for family, clock_hz in zip(families, (50e6, 100e6))
    ]
    if hasattr(pynq.Clocks, "set_device"):
        assert [round(backend.clock_hz or 0, -6) for backend in backends] == [50e6, 100e6]
    answers: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda i=i: answers.update({i: run(backends[i], codes_of(20, i))})) for i in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, backend in enumerate(backends):
        assert np.array_equal(answers[i], doubled(codes_of(20, i)))
        backend.reset()
        backend.close()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("clock_hz", [100e6, 62.5e6, 25e6])
def test_the_clock_is_set_and_read_back(
    plug: Plug, system: System, small: Path, family: Family, clock_hz: float
) -> None:
    with PynqBackend(plug.overlay(small, family), device=plug.device(system, family), clock_hz=clock_hz) as backend:
        assert backend.clock_hz == pytest.approx(clock_hz, rel=0.01)


class Fastest:
    """The fastest that clock 0 ever was while registers were written."""

    def __init__(self, device: Any) -> None:
        import pynq

        self.hz = 0.0
        write = device.bus.write

        def noted(address: int, value: int) -> None:
            write(address, value)
            if address in (0xF800_0170, 0xFF5E_00C0):
                self.hz = max(self.hz, pynq.Clocks.fclk0_mhz * 1e6)

        device.bus.write = noted


@pytest.mark.parametrize(
    ("family", "routed_hz", "made_hz"),
    [("zynqmp", 200e6, 187.498e6), ("zynq", 150e6, 142.857e6), ("zynq", 450e6, 1e9 / 3)],
)
def test_clocks_are_never_faster_than_routed(
    plug: Plug, system: System, small: Path, family: Family, routed_hz: float, made_hz: float
) -> None:
    """PLLs of 1500 and 1000 MHz are divided by whole numbers; the nearest would be 214, 167 and 500 MHz."""
    overlay, device = replace(plug.overlay(small, family), clock_hz=routed_hz), plug.device(system, family)
    path = overlay.bitfile.with_suffix(".hwh")
    path.write_text(path.read_text().replace('"100.000000"', f'"{routed_hz / 1e6:.6f}"'))
    fastest = Fastest(device)
    with PynqBackend(overlay, device=device) as backend:
        assert backend.clock_hz == pytest.approx(made_hz, rel=1e-4)
        assert np.array_equal(run(backend, codes_of(5)), doubled(codes_of(5)))
        backend.reset()
        assert backend.clock_hz == pytest.approx(made_hz, rel=1e-4)
        entry = backend._board._loaded.clock_dict[0]  # type: ignore[attr-defined]
        assert entry["divisor0"] * entry["divisor1"] == round((1e9 if family == "zynq" else 1.5e9) / made_hz), "pynq 3"
    with pytest.raises(BackendError, match=f"expected clock 0 at {routed_hz / 1e6:g} MHz, the board runs it at "):
        PynqBackend(overlay, device=device, clock_hz=routed_hz)
    assert 0 < fastest.hz < routed_hz * 1.0001


@pytest.mark.parametrize("clock_hz", [0.0, -1.0, 150e6])
def test_a_clock_faster_than_routed_is_refused(plug: Plug, system: System, small: Path, clock_hz: float) -> None:
    with pytest.raises(InputError, match="expected clock_hz"):
        PynqBackend(plug.overlay(small), device=plug.device(system), clock_hz=clock_hz)


def test_zynq_7000_handoff_files_that_pynq_stumbles_over(plug: Plug, system: System, small: Path) -> None:
    """pynq 4.0.0 finds no frequency of an enabled clock there and cannot load such an overlay; the backend can."""
    import pynq

    device, folder = plug.device(system, "zynq"), plug.folder(small, "zynq")
    if pynq.__version__ == "4.0.0":
        with pytest.raises(TypeError):
            pynq.Overlay(str(folder / "simulated.bit"), device=device)
    with PynqBackend(load_overlay(folder), device=device) as backend:
        assert np.array_equal(run(backend, codes_of(1)), doubled(codes_of(1)))
        assert backend.clock_hz == pytest.approx(100e6)


def test_a_zynq_7000_handoff_file_by_vivado(tmp_path: Path) -> None:
    """One that pynqmetadata has for its own tests."""
    spec = importlib.util.find_spec("pynqmetadata")
    assert spec is not None and spec.origin is not None
    path = Path(spec.origin).parent / "tests" / "hwhs" / "resizer.hwh"
    if not path.is_file():
        pytest.skip("this pynqmetadata comes without its tests")
    assert read_handoff(path).clocks_hz == {0: 100e6, 1: 10e6, 2: 10e6, 3: 10e6}
    assert read_handoff(path).wizard is None


def edited(folder: Path, name: str, change: Callable[[str], str]) -> Path:
    path = folder / name
    path.write_text(change(path.read_text()))
    return folder


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("simulated.hwh", lambda text: text.replace("idma0", "dma_in"), "expected an engine 'idma0', it has .*dma_in"),
        ("simulated.hwh", lambda text: text.replace('HIGHVALUE="0xa000ffff"', 'HIGHVALUE="0xa000003f"'), "136 bytes"),
        (
            "simulated.hwh",
            lambda text: text.replace("0xa001", "0xa005"),
            "expected its registers at 0xa0010000",
        ),
        ("simulated.hwh", lambda text: text.replace('DATAWIDTH="64"', 'DATAWIDTH="128"'), "expected 64 bits"),
        ("simulated.hwh", lambda text: text[:100], "no hardware handoff file"),
        ("simulated.bit", lambda text: text + "x", "expected SHA-256"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    plug: Plug, system: System, small: Path, name: str, change: Callable[[str], str], message: str
) -> None:
    folder = edited(plug.folder(small), name, change)
    device = plug.device(system)
    with pytest.raises((BackendError, BundleError), match=message):
        PynqBackend(load_overlay(folder), device=device)
    assert device.free_bytes == system.memory.nbytes


def test_a_missing_handoff_file_is_named(plug: Plug, system: System, small: Path) -> None:
    folder = plug.folder(small)
    (folder / "simulated.hwh").unlink()
    with pytest.raises(BundleError, match=r"simulated\.hwh: cannot be read"):
        PynqBackend(load_overlay(folder), device=plug.device(system))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("network", "ab" * 32, r"idma0: expected network abababab.*, the device has "),
        ("words", 6, r"idma0: expected 64 bits, 6 words a frame, direction 0, the device has 64, 4, 0"),
    ],
)
def test_the_design_in_the_device_is_the_one_of_the_folder(
    plug: Plug, system: System, small: Path, field: str, value: Any, message: str
) -> None:
    """Another design is loaded than the folder is for, and nobody loads the right one."""
    folder = plug.folder(small)
    design = json.loads((folder / "design.json").read_text())
    (design if field == "network" else design["input"])[field] = value
    (folder / "design.json").write_text(json.dumps(design))
    Design.model_validate_json((folder / "design.json").read_text())
    if field == "network":
        edited(folder, "overlay.json", lambda text: text.replace(json.loads(text)["network"], value))
    with pytest.raises(BackendError, match=message):
        PynqBackend(load_overlay(folder), device=plug.device(system), download=False)


def test_finns_engines_have_no_identity_and_are_not_taken_for_ours(plug: Plug, system: System, small: Path) -> None:
    device = plug.device(system)
    read = system.read
    system.read = lambda engine, offset: 0 if offset >= 0x40 else read(engine, offset)  # type: ignore[method-assign]
    with pytest.raises(BackendError, match="expected bitswath's DMA engine, version 1, found magic 0x00000000"):
        PynqBackend(plug.overlay(small), device=device)
    edited(plug.folder(small), "overlay.json", lambda text: text)
    finns = replace(plug.overlay(small), shell="finn")
    with PynqBackend(finns, device=device) as backend:
        assert np.array_equal(run(backend, codes_of(3)), doubled(codes_of(3)))


def test_memory_is_given_back(plug: Plug, system: System, small: Path) -> None:
    device = plug.device(system)
    whole = device.free_bytes
    for _ in range(3):
        backend = PynqBackend(plug.overlay(small), device=device)
        assert device.free_bytes < whole
        run(backend, codes_of(5))
        backend.close()
        backend.close()
        assert device.free_bytes == whole


def test_a_device_that_is_none(plug: Plug, system: System, small: Path) -> None:
    with pytest.raises(BackendError, match=r"simulated\.bit: pynq cannot load it"):
        PynqBackend(plug.overlay(small), device="pynq")


def test_unknown_waits_are_refused(plug: Plug, system: System, small: Path) -> None:
    with pytest.raises(InputError, match="auto, poll or interrupt"):
        PynqBackend(plug.overlay(small), device=plug.device(system), wait="spin")  # type: ignore[arg-type]


def test_pynq_4_needs_a_current_directory_that_can_be_written(
    plug: Plug, system: System, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes loaded.xclbin there, in the middle of loading a bitstream."""
    import pynq
    from pynq.pl_server.xrt_device import XrtDevice

    if pynq.__version__ < "4":
        pytest.skip("pynq 3 writes nothing")
    device, overlay = plug.device(system), plug.overlay(small)
    download = device.download
    device.handle = type("Handle", (), {"load_xclbin": lambda self, path: None})()
    device._xrt_download = lambda data: XrtDevice._xrt_download(device, data)
    device.download = lambda bitstream, parser=None: (download(bitstream, parser), device._xrt_download(b""))
    monkeypatch.chdir(tmp_path)
    with PynqBackend(overlay, device=device) as backend:
        assert np.array_equal(run(backend, codes_of(1)), doubled(codes_of(1)))
        (tmp_path / "loaded.xclbin").unlink()
        (tmp_path / "loaded.xclbin").mkdir()  # not even root can write it
        with pytest.raises(BackendError, match=r"writes loaded\.xclbin into the current directory, which it cannot"):
            backend.reset()
        assert len(device.downloads) == 1


def test_a_bitstream_may_be_copied_elsewhere(plug: Plug, system: System, small: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(plug.folder(small), tmp_path / "an other place")
    with PynqBackend(load_overlay(copied), device=plug.device(system)) as backend:
        assert np.array_equal(run(backend, codes_of(1)), doubled(codes_of(1)))
