"""The simulated device as pynq itself uses it: Overlay, MMIO, allocate, Clocks, register maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitswath.errors import BackendError
from bitswath.simulated import System
from bitswath.simulated.hwh import Family
from bitswath.simulated.overlay import engine_addresses
from tests.board.boards import Plug, codes_of, doubled

FAMILIES: tuple[Family, ...] = ("zynq", "zynqmp")


def loaded(plug: Plug, system: System, bundle: Path, family: Family = "zynqmp", **options: Any) -> Any:
    import pynq

    device = plug.device(system, family, **options)
    return device, pynq.Overlay(str(plug.folder(bundle, family) / "simulated.bit"), download=False, device=device)


@pytest.mark.parametrize("registers", [False, True])
def test_engines_are_driven_with_pynq_alone(plug: Plug, system: System, small: Path, registers: bool) -> None:
    """As FINN's driver does it: buffers, register writes, a loop until the output engine is done."""
    import pynq

    device, overlay = loaded(plug, system, small, registers=registers)
    overlay.download()
    assert overlay.is_loaded()
    codes = codes_of(2)
    given = pynq.allocate((2, 32), np.uint8, target=device, cacheable=1)
    taken = pynq.allocate((2, 40), np.uint8, target=device)
    given[:, :30] = codes[:, ::2] | codes[:, 1::2] << 4
    given.flush()
    for engine, buffer in ((overlay.odma0, taken), (overlay.idma0, given)):
        engine.write(0x10, buffer.device_address & 0xFFFFFFFF)
        engine.write(0x14, buffer.device_address >> 32)
        engine.register_map.numReps = 2
        engine.write(0x00, 1)
    while not overlay.odma0.read(0x00) & 2:
        pass
    bits = np.unpackbits(np.asarray(taken), axis=1, bitorder="little")[:, :300].reshape(2, 60, 5)
    assert np.array_equal((bits.astype(np.int64) << np.arange(5)).sum(axis=2), doubled(codes))
    assert int(overlay.idma0.register_map.numReps) == 2


def test_caches_are_apart_from_memory(plug: Plug, system: System) -> None:
    import pynq

    device = plug.device(system)
    buffer = pynq.allocate(100, np.uint8, target=device, cacheable=1)
    start = buffer.device_address - system.memory_base
    memory = system.memory[start : start + 100]
    assert len(set(np.asarray(buffer))) > 50, "new memory is noise"
    buffer[:] = 7
    assert (memory != 7).any()
    buffer.flush()
    assert (memory == 7).all()
    memory[:] = 9
    assert (buffer == 7).all()
    buffer.invalidate()
    assert (buffer == 9).all()


def test_memory_is_given_back_by_any_way_to_free_it(plug: Plug, system: System) -> None:
    import pynq

    device = plug.device(system)
    whole = device.free_bytes
    with pynq.allocate(5000, np.uint8, target=device):
        assert device.free_bytes == whole - 8192
    first, second, third = (pynq.allocate(4096, np.uint8, target=device) for _ in range(3))
    second.freebuffer()
    del first, third, second
    assert device.free_bytes == whole
    everything = pynq.allocate(whole, np.uint8, target=device)
    with pytest.raises(MemoryError, match="contiguous"):
        pynq.allocate(1, np.uint8, target=device)
    del everything


@pytest.mark.parametrize("family", FAMILIES)
def test_clocks_are_those_of_the_family(plug: Plug, system: System, family: Family) -> None:
    import pynq

    plug.device(system, family)
    assert abs(pynq.Clocks.fclk0_mhz - 100) < 0.01
    pynq.Clocks.fclk0_mhz = 50
    assert abs(pynq.Clocks.fclk0_mhz - 50) < 0.01 and abs(pynq.Clocks.fclk1_mhz - 100) < 0.01


def test_another_designs_bit_file_is_refused(plug: Plug, system: System, small: Path) -> None:
    _, overlay = loaded(plug, system, small)
    Path(overlay.bitfile_name).write_bytes(b"another")
    with pytest.raises(RuntimeError, match="not of the design 'residual'"):
        overlay.download()


def test_loading_the_bitstream_resets_the_system(plug: Plug, system: System, small: Path) -> None:
    _, overlay = loaded(plug, system, small)
    overlay.download()
    overlay.idma0.write(0x1C, 5)
    assert overlay.idma0.read(0x1C) == 5
    overlay.download()
    assert overlay.idma0.read(0x1C) == 0


def test_nothing_answers_where_nothing_is(plug: Plug, system: System) -> None:
    import pynq

    device = plug.device(system)
    with pytest.raises(RuntimeError, match="nothing answers at 0x50000000"):
        pynq.MMIO(0x5000_0000, 16, device=device).read(0)


@pytest.mark.parametrize("family", FAMILIES)
def test_copies_of_a_window_are_plain_memory(plug: Plug, system: System, family: Family) -> None:
    import pynq

    device = plug.device(system, family)
    array = pynq.MMIO(engine_addresses(family)[0], 0x100, device=device).array
    array[0x1C // 4] = 6
    copied = array[4:8].copy()
    copied[3] = 1
    assert array[0x1C // 4] == 6 and (array[7:8] + 1)[0] == 7


def test_a_closed_system_says_so_through_pynq(plug: Plug, system: System, small: Path) -> None:
    _, overlay = loaded(plug, system, small)
    overlay.download()
    system.close()
    with pytest.raises(BackendError, match="closed"):
        overlay.idma0.read(0)
