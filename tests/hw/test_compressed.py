"""A build that takes compressed frames: what it computes, in RTL and behind DMA engines, and of damaged frames."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.accelerator import Accelerator
from bitswath.accelerator import open as open_bundle
from bitswath.backends.base import Packing
from bitswath.backends.board.engines.dma import DmaBackend
from bitswath.backends.board.overlay_folder import load_overlay
from bitswath.backends.emulator import EmulatorBackend
from bitswath.backends.rtl.backend import RtlBackend
from bitswath.backends.rtl.taps import last_frame_streams
from bitswath.bundle.bundle import Bundle
from bitswath.errors import InputError
from bitswath.models.verify.rtl import verify_rtl
from bitswath.network.network import INPUT
from bitswath.simulated import System
from bitswath.simulated.overlay import write_overlay
from tests.compressed_cases import BUDGET, SHAPE, bundle_of, convolutional, frames_of
from tests.designs import CACHE
from tests.host.model_system import ModelBoard
from tests.hw.built import built

BOARD = "Pynq-Z2"
WORD = 8


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


@pytest.fixture
def seed() -> int:
    drawn = secrets.randbelow(2**31)
    print(f"seed {drawn}")
    return drawn


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    made = bundle_of(convolutional(), folder)
    (made.path / "hw").mkdir()
    built(made, BOARD, made.path / "hw" / BOARD, cycles=6000, depth=33)
    return made


@pytest.fixture
def rtl(bundle: Bundle, seed: int) -> Iterator[RtlBackend]:
    with RtlBackend(bundle.path / "hw" / BOARD, stall=0.3, seed=seed) as backend:
        yield backend


def emulated(bundle: Bundle, frames: NDArray[np.uint8]) -> NDArray[np.signedinteger]:
    with EmulatorBackend(bundle.network, 8, unpack=bundle.unpacking) as emulator:
        return emulator.collect(emulator.submit(frames))


def damaged(frames: NDArray[np.uint8], number: int, seed: int) -> NDArray[np.uint8]:
    """A bit of a frame behind its length turned over."""
    rows, rng = frames.copy(), np.random.default_rng(seed)
    length = int(rows[number, 0]) | int(rows[number, 1]) << 8
    rows[number, rng.integers(3, length)] ^= 1 << rng.integers(8)
    return rows


def test_the_links_say_that_frames_differ(bundle: Bundle, rtl: RtlBackend) -> None:
    given, taken = rtl.design.input, rtl.design.output
    assert (given.compressed, given.status, given.frame_bytes) == (True, False, -(-BUDGET // WORD) * WORD)
    assert (taken.compressed, taken.status) == (False, True)
    assert (given.codec, taken.codec) == (bundle.codec.frames_digest, None)
    assert taken.frame_bytes * 8 >= taken.values * taken.bits + 8
    assert rtl.packing == Packing(8, compressed=True, word_bytes=WORD)
    assert next(stream for stream in rtl.design.streams if stream.name == given.stream).beats is None


def test_rtl_computes_what_the_emulator_does_of_frames_of_any_length(
    bundle: Bundle, rtl: RtlBackend, seed: int
) -> None:
    frames = frames_of(bundle, 24, seed)
    lengths = rtl.packing.link_bytes(frames)
    assert lengths.max() - lengths.min() > 100
    np.testing.assert_array_equal(rtl.collect(rtl.submit(frames)), emulated(bundle, frames))
    counted = rtl.statistics().streams[rtl.design.input.stream].transfers
    assert counted == lengths.sum() // WORD


def test_pixels_in_the_fabric_are_the_codecs(bundle: Bundle, seed: int) -> None:
    frames = frames_of(bundle, 3, seed)
    codes = bundle.codec.unpack(frames[-1:], SHAPE)
    streams = last_frame_streams(bundle.path / "hw" / BOARD, frames)
    carried = [values for stream, values in streams if stream.tensor == INPUT]
    assert carried
    for values in carried:
        np.testing.assert_array_equal(values, codes.reshape(-1))


def test_verify_compares_every_integer_of_compressed_frames(bundle: Bundle, seed: int) -> None:
    found, note = verify_rtl(bundle, frames_of(bundle, 4, seed), stall=0.2, seed=seed, exact=False)
    assert found.equal and found.values == 4 * bundle.network.output.size
    assert "4 frames" in note


def test_a_damaged_frame_is_named_and_those_around_it_are_right(bundle: Bundle, rtl: RtlBackend, seed: int) -> None:
    frames = frames_of(bundle, 6, seed)
    wrong = [frames, damaged(frames, 5, seed), frames, damaged(damaged(frames, 2, seed), 3, seed), frames]
    tickets = [rtl.submit(rows) for rows in wrong]
    expected = emulated(bundle, frames)
    for ticket, bad in zip(tickets, (None, 5, None, 2, None)):
        if bad is None:
            np.testing.assert_array_equal(rtl.collect(ticket), expected)
        else:
            with pytest.raises(InputError, match=f"frame {bad}: it is damaged"):
                rtl.collect(ticket)


class Plugged:
    """A simulated system as `ModelBoard` takes one."""

    def __init__(self, system: System) -> None:
        self.memory, self.memory_base, self.network = system.memory, system.memory_base, system.design.network
        self.read, self.write, self.reset = system.read, system.write, system.reset

    def bytes_at(self, address: int, size: int) -> NDArray[np.uint8]:
        start = address - self.memory_base
        return self.memory[start : start + size]


@pytest.fixture
def system(bundle: Bundle, seed: int) -> Iterator[System]:
    with System(bundle.path / "hw" / BOARD, memory_bytes=1 << 20, stall=0.2, seed=seed, checks=True) as opened:
        yield opened


@pytest.fixture
def board(bundle: Bundle, system: System, tmp_path: Path) -> Iterator[DmaBackend]:
    overlay = load_overlay(write_overlay(bundle.path / "hw" / BOARD, tmp_path / "bitstream", family="zynq"))
    plugged: Any = Plugged(system)
    with DmaBackend(ModelBoard(plugged), overlay, frames_per_transfer=7, transfer_timeout_s=120) as backend:
        yield backend


def test_dma_engines_move_what_frames_have(bundle: Bundle, board: DmaBackend, system: System, seed: int) -> None:
    frames = frames_of(bundle, 17, seed)
    np.testing.assert_array_equal(board.collect(board.submit(frames)), emulated(bundle, frames))
    moved = 0x84
    assert system.read(0, moved) == board.packing.link_bytes(frames[14:]).sum() // WORD
    wrong = damaged(frames, 9, seed)
    tickets = board.submit(wrong), board.submit(frames[:5])
    with pytest.raises(InputError, match="frame 9: it is damaged"):
        board.collect(tickets[0])
    np.testing.assert_array_equal(board.collect(tickets[1]), emulated(bundle, frames[:5]))


def test_an_accelerator_takes_patches_on_rtl_as_on_the_emulator(bundle: Bundle, seed: int) -> None:
    patches = np.random.default_rng(seed).integers(0, 256, (5, *SHAPE), np.uint8)
    found = []
    for backend in ("rtl", "emulator"):
        opened: Accelerator
        with open_bundle(bundle, backend) as opened:
            found.append(opened.classify(patches).logits)
    np.testing.assert_array_equal(*found)
