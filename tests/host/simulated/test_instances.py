"""Several accelerators behind one pair of DMA engines: results in the frames' order, at a multiple of the rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitswath.builds.design import Design
from bitswath.builds.words import fill_words, read_words
from bitswath.codecs.packing import pack
from bitswath.hw.generating.compile import save_design
from bitswath.simulated.system import ENGINES, System
from tests.designs import BITS, CACHE, random_codes, residual
from tests.host.simulated.test_system import ADDRESS, CONTROL, DONE, REPETITIONS, START, until

MEMORY, SOURCE, TARGET = 1 << 20, 0x1000, 0x80000
FRAMES = 8000
"""So many that what the clock runs between two accesses does not matter."""


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


def made(folder: Path, instances: int) -> Design:
    design = residual(folder, batch=15)
    return save_design(design.model_copy(update={"instances": instances}), folder)


def cycles_of(folder: Path, frames: int, stall: float = 0.0) -> int:
    """Of so many frames, whose results are checked."""
    codes = random_codes(frames, 3)
    with System(folder, memory_bytes=MEMORY, stall=stall, checks=True) as system:
        words = fill_words(system.design.input, pack(codes, BITS)).data
        system.memory[SOURCE : SOURCE + words.size] = words
        before = system.cycles
        for name, place in (("odma0", TARGET), ("idma0", SOURCE)):
            engine, address = ENGINES[name], system.memory_base + place
            for register, value in ((ADDRESS, address), (ADDRESS + 4, 0), (REPETITIONS, frames), (CONTROL, START)):
                system.write(engine, register, value)
        until(lambda: system.read(ENGINES["odma0"], CONTROL) & DONE)
        size = system.design.output.frame_bytes
        rows = [system.memory[TARGET + i * size :][:size].tobytes() for i in range(frames)]
        np.testing.assert_array_equal(read_words(system.design.output, rows), 2 * codes.astype(np.int64))
        return system.cycles - before


def test_three_take_a_third_of_the_cycles(tmp_path: Path) -> None:
    made(tmp_path / "one", 1)
    made(tmp_path / "three", 3)
    one, three = (cycles_of(tmp_path / name, FRAMES) for name in ("one", "three"))
    print(f"{one / FRAMES:.1f} and {three / FRAMES:.1f} cycles a frame")
    assert three < 0.7 * one
    cycles_of(tmp_path / "three", 20, stall=0.6)


def test_one_has_none_of_what_shares_frames(tmp_path: Path) -> None:
    made(tmp_path / "one", 1)
    assert not list((tmp_path / "one" / "rtl" / "shell").glob("frame_*"))


def test_compressed_frames_go_to_one_alone(tmp_path: Path) -> None:
    design = made(tmp_path / "one", 1)
    link = design.input.model_copy(update={"compressed": True})
    with pytest.raises(ValueError, match="go to one instance alone"):
        Design.model_validate({**design.model_dump(), "input": link.model_dump(), "instances": 2})
