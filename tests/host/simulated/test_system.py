"""The simulated system: frames through registers and memory, faults, interrupts, and what stays when it is reset."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.builds.design import DESIGN
from bitswath.builds.folder import RTL
from bitswath.builds.words import fill_words, read_words
from bitswath.codecs.packing import pack
from bitswath.errors import BackendError, BundleError, InputError
from bitswath.simulated import ENGINES, Fault, System
from tests.designs import BITS, CACHE, random_codes, residual

IN, OUT = ENGINES["idma0"], ENGINES["odma0"]
CONTROL, GIE, IER, ISR, ADDRESS, REPETITIONS, STATUS, MOVED = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x1C, 0x80, 0x84
START, DONE, IDLE = 1, 2, 4
SLVERR, DECERR = 1, 2
FRAMES = 10
MEMORY = 1 << 16
LIMIT_S = 60.0


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("system") / "board"
    residual(folder)
    return folder


@pytest.fixture
def system(build: Path) -> Iterator[System]:
    with System(build, memory_bytes=MEMORY, checks=True) as opened:
        yield opened


def start(system: System, engine: int, address: int, frames: int = FRAMES) -> None:
    system.write(engine, ADDRESS, address & 0xFFFFFFFF)
    system.write(engine, ADDRESS + 4, address >> 32)
    system.write(engine, REPETITIONS, frames)
    system.write(engine, CONTROL, START)


def put(system: System, place: int, seed: int) -> NDArray[np.int64]:
    """Frames at a place in the memory; what the design computes from them."""
    codes = random_codes(FRAMES, seed)
    words = fill_words(system.design.input, pack(codes, BITS)).data
    system.memory[place : place + words.size] = words
    return 2 * codes.astype(np.int64)


def results(system: System, place: int) -> NDArray[np.signedinteger]:
    size = system.design.output.frame_bytes
    frames = [system.memory[start : start + size].tobytes() for start in range(place, place + FRAMES * size, size)]
    return read_words(system.design.output, frames)


def begin(system: System, *, source: int = 0x100, target: int = 0x8000, seed: int = 1) -> NDArray[np.int64]:
    """Start both engines on frames; what should come out."""
    expected = put(system, source, seed)
    start(system, OUT, system.memory_base + target)
    start(system, IN, system.memory_base + source)
    return expected


def until(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit, "nothing happened"


def done(system: System, engine: int = OUT) -> bool:
    return bool(system.read(engine, CONTROL) & DONE)


def check_it_works(system: System) -> None:
    seed = secrets.randbelow(1000)
    expected = begin(system, seed=seed)
    until(lambda: done(system))
    np.testing.assert_array_equal(results(system, 0x8000), expected, err_msg=f"seed {seed}")
    assert [system.read(engine, STATUS) for engine in (IN, OUT)] == [0, 0]


# Frames


@pytest.mark.parametrize("stall", [0.0, 0.5, 0.9])
def test_frames_through_memory_equal_numpy_and_nothing_else_changes(build: Path, stall: float) -> None:
    seed = secrets.randbelow(2**31)
    random = np.random.default_rng(seed)
    print("seed", seed)
    with System(build, memory_bytes=MEMORY, stall=stall, seed=seed, checks=True) as system:
        for _ in range(5):
            source, target = (int(base + random.integers(0, 5000)) for base in (0x1000, 0x8000))
            expected = put(system, source, int(random.integers(1 << 30)))
            before = system.memory.copy()
            begin_at = [(OUT, target), (IN, source)]
            for engine, place in begin_at:
                start(system, engine, system.memory_base + place)
            until(lambda: done(system))
            np.testing.assert_array_equal(results(system, target), expected)
            size = FRAMES * system.design.output.frame_bytes
            before[target : target + size] = system.memory[target : target + size]
            np.testing.assert_array_equal(system.memory, before)


@pytest.mark.parametrize("word", [128, 512])
def test_wider_links_work_at_any_address(tmp_path: Path, word: int) -> None:
    residual(tmp_path / "board", word=word)
    with System(tmp_path / "board", memory_bytes=MEMORY) as system:
        for source, target in ((0x1000, 0x8000), (0x1FFF, 0x8FE5)):
            expected = begin(system, source=source, target=target)
            until(lambda: done(system))
            np.testing.assert_array_equal(results(system, target), expected)


def test_the_exact_model_gives_the_same(build: Path) -> None:
    with System(build, memory_bytes=MEMORY, exact=True) as system:
        check_it_works(system)


def test_the_registers_say_what_the_design_is(system: System) -> None:
    design = system.design
    assert [system.read(IN, offset) for offset in (0x40, 0x44)] == [0x54575342, 1]
    for engine, link in ((IN, design.input), (OUT, design.output)):
        assert [system.read(engine, offset) for offset in (0x48, 0x4C, 0x50)] == [link.width, link.words, engine]
        assert "".join(f"{system.read(engine, offset):08x}" for offset in range(0x60, 0x80, 4)) == design.network


def test_words_moved_are_counted(system: System) -> None:
    begin(system)
    until(lambda: done(system))
    assert system.read(IN, MOVED) == FRAMES * system.design.input.words
    assert system.read(OUT, MOVED) == FRAMES * system.design.output.words


def test_memory_is_noise_that_the_seed_decides(build: Path) -> None:
    memories = []
    for seed in (1, 1, 2):
        with System(build, memory_bytes=MEMORY, seed=seed) as system:
            memories.append(system.memory)
    np.testing.assert_array_equal(memories[0], memories[1])
    assert (memories[0] != memories[2]).mean() > 0.9
    assert abs(memories[0].mean() - 127.5) < 3


def test_two_systems_run_at_once_in_one_process(build: Path) -> None:
    with System(build, memory_bytes=MEMORY) as first, System(build, memory_bytes=MEMORY, stall=0.3) as second:
        begin(first, seed=1)
        check_it_works(second)
        until(lambda: done(first))
        with ThreadPoolExecutor(4) as pool:
            for one in [
                pool.submit(lambda s=system: [check_it_works(s) for _ in range(5)]) for system in (first, second)
            ]:
                one.result(LIMIT_S)


def test_many_threads_may_use_one_system(system: System) -> None:
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda i: system.read(i % 2, 0x4C), range(200)))
    assert values == [system.design.input.words, system.design.output.words] * 100


# The clock


def test_the_clock_stands_still_while_nothing_is_to_do(system: System) -> None:
    check_it_works(system)
    time.sleep(0.05)
    cycles = system.cycles
    time.sleep(0.2)
    assert system.cycles == cycles


def test_the_clock_stops_when_an_engine_waits_for_ever(system: System) -> None:
    start(system, OUT, system.memory_base)
    until(lambda: system.cycles == (time.sleep(0.1), system.cycles)[1])
    assert not done(system)
    cpu = cpu_seconds(system.pid)
    time.sleep(0.3)
    assert cpu_seconds(system.pid) - cpu < 0.1
    put(system, 0x100, 5)
    start(system, IN, system.memory_base + 0x100)
    until(lambda: done(system))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


# Interrupts


def test_an_interrupt_is_high_until_it_is_taken_back(system: System) -> None:
    assert not system.wait_interrupt(OUT, 0.0)
    for offset in (GIE, IER):
        system.write(OUT, offset, 1)
    began = time.monotonic()
    assert not system.wait_interrupt(OUT, 0.1)
    assert 0.1 <= time.monotonic() - began < 5
    for _ in range(2):
        begin(system)
        assert system.wait_interrupt(OUT, LIMIT_S)
        assert system.wait_interrupt(OUT, 0.0)
        assert done(system)
        system.write(OUT, ISR, 1)
        assert not system.wait_interrupt(OUT, 0.0)
    assert not system.wait_interrupt(IN, 0.0)


def test_a_wait_for_an_interrupt_leaves_the_system_to_others(system: System) -> None:
    for offset in (GIE, IER):
        system.write(OUT, offset, 1)
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(system.wait_interrupt, OUT, LIMIT_S) for _ in range(2)]
        time.sleep(0.1)
        begin(system)
        assert [wait.result(LIMIT_S) for wait in waits] == [True, True]


# Faults


@pytest.mark.parametrize("engine", [IN, OUT])
@pytest.mark.parametrize("address", [0, 0x1000_0000 + MEMORY - 64, 1 << 40])
def test_addresses_outside_the_memory_are_a_bus_error(system: System, engine: int, address: int) -> None:
    put(system, 0x100, 1)
    places = {IN: system.memory_base + 0x100, OUT: system.memory_base + 0x8000, engine: address}
    for one in (OUT, IN):
        start(system, one, places[one])
    until(lambda: done(system))
    assert {one: system.read(one, STATUS) for one in (IN, OUT)} == {IN: 0, OUT: 0, engine: DECERR}
    check_it_works(system)


def test_a_read_error_spoils_the_frames_from_there_on_and_the_engines_end(system: System) -> None:
    frames = 2
    system.inject(Fault("read_error", after=frames * system.design.input.words))
    expected = begin(system)
    until(lambda: done(system))
    assert [system.read(engine, STATUS) for engine in (IN, OUT)] == [SLVERR, 0]
    found = results(system, 0x8000)
    np.testing.assert_array_equal(found[:frames], expected[:frames])
    assert (found[frames] != expected[frames]).any()
    check_it_works(system)


def test_a_write_error_ends_writing_and_the_engines_end(system: System) -> None:
    system.inject(Fault("write_error"))
    begin(system)
    until(lambda: done(system))
    until(lambda: done(system, IN))
    assert [system.read(engine, STATUS) for engine in (IN, OUT)] == [0, SLVERR]
    check_it_works(system)


def test_errors_strike_as_often_as_they_are_told(system: System) -> None:
    system.inject(Fault("write_error", times=2))
    statuses = []
    for _ in range(3):
        begin(system)
        until(lambda: done(system))
        statuses.append(system.read(OUT, STATUS))
    assert statuses == [SLVERR, SLVERR, 0]


def test_an_engine_that_is_never_done_has_written_its_frames(system: System) -> None:
    system.inject(Fault("never_done"))
    expected = begin(system)
    until(lambda: done(system, IN))
    until(lambda: np.array_equal(results(system, 0x8000), expected))
    time.sleep(0.1)
    assert system.read(OUT, CONTROL) == START
    system.reset()
    check_it_works(system)


def test_a_memory_that_hangs_leaves_both_engines_running(system: System) -> None:
    system.inject(Fault("hang", after=5))
    begin(system)
    until(lambda: system.cycles == (time.sleep(0.1), system.cycles)[1])
    assert [system.read(engine, CONTROL) for engine in (IN, OUT)] == [START, START]
    system.reset()
    check_it_works(system)


def test_a_reset_in_mid_frame_leaves_engines_idle_and_registers_empty(system: System) -> None:
    system.inject(Fault("reset", after=7))
    begin(system)
    until(lambda: system.read(OUT, CONTROL) & IDLE)
    assert [system.read(engine, CONTROL) for engine in (IN, OUT)] == [IDLE, IDLE]
    assert [system.read(OUT, offset) for offset in (ADDRESS, REPETITIONS)] == [0, 0]
    check_it_works(system)


def test_a_reset_keeps_the_memory_and_forgets_the_rest(system: System) -> None:
    system.inject(Fault("hang"))
    begin(system)
    memory, cycles = system.memory.copy(), system.cycles
    system.reset()
    assert [system.read(engine, offset) for engine in (IN, OUT) for offset in (CONTROL, REPETITIONS)] == [IDLE, 0] * 2
    np.testing.assert_array_equal(system.memory, memory)
    assert system.cycles >= cycles
    check_it_works(system)


def test_resets_leave_nothing_behind(system: System) -> None:
    def held() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before, pids = held(), set()
    for _ in range(20):
        begin(system)
        pids.add(system.pid)
        system.reset()
    assert held() == before
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_process_that_dies_is_an_error_until_the_reset(system: System) -> None:
    os.kill(system.pid, signal.SIGKILL)
    with pytest.raises(BackendError, match="was ended by SIGKILL; reset it"):
        until(lambda: done(system))
    system.reset()
    check_it_works(system)


# What is refused


def test_a_closed_system_says_so_and_keeps_its_memory(build: Path) -> None:
    system = System(build, memory_bytes=MEMORY)
    pid = system.pid
    system.close()
    system.close()
    assert not Path(f"/proc/{pid}").exists()
    for use in (lambda: system.read(IN, 0), lambda: system.cycles, system.reset, lambda: system.wait_interrupt(IN, 1)):
        with pytest.raises(BackendError, match="closed"):
            use()
    assert system.memory.size == MEMORY


def test_accesses_and_settings_that_make_no_sense_are_refused(system: System, build: Path) -> None:
    for use in (
        lambda: system.read(2, 0),
        lambda: system.read(IN, 3),
        lambda: system.write(IN, 0x100, 0),
        lambda: system.write(IN, ADDRESS, 1 << 32),
        lambda: System(build, memory_bytes=100),
        lambda: System(build, memory_base=8),
        lambda: System(build, stall=1.0),
        lambda: Fault("fire"),
        lambda: Fault("hang", after=-1),
    ):
        with pytest.raises(InputError, match="expected"):
            use()
    assert system.read(IN, CONTROL) == IDLE


def test_a_build_without_a_shell_or_with_another_one_is_refused(tmp_path: Path) -> None:
    design = residual(tmp_path / "board")
    bare = design.model_copy(update={"files": tuple(file for file in design.files if file.kind != "shell")})
    (tmp_path / "board" / DESIGN).write_text(bare.model_dump_json())
    with pytest.raises(BundleError, match="no shell around the accelerator; build again"):
        System(tmp_path / "board")
    (tmp_path / "board" / DESIGN).write_text(design.model_dump_json())
    (tmp_path / "board" / RTL / "shell" / "dma_read.sv").write_text("module dma_read; endmodule\n")
    with pytest.raises(BundleError, match="SHA-256"):
        System(tmp_path / "board")
