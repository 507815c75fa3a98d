"""Transfers of compressed frames, which differ in length and come back with a status."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.accelerator import Accelerator
from bitswath.accelerator import open as open_bundle
from bitswath.backends.base import Packing
from bitswath.backends.board.engines.dma import DmaBackend
from bitswath.backends.board.overlay import Frames, Overlay
from bitswath.codecs.packing import unpack_folded
from bitswath.errors import FrameError, InputError
from bitswath.network.network import Dense
from tests.compressed_cases import bundle_of, dense, frames_of, smooth
from tests.host.compressed_frames import frame, rows_of
from tests.host.model_system import COUNT, IDMA, ODMA, ModelBoard, ModelSystem

MOST = 48
GIVEN = Frames("idma0", bits=8, signed=False, values=768, group=None, frame_bytes=MOST, width=64, compressed=True)
TAKEN = Frames("odma0", bits=24, signed=False, values=2, group=None, frame_bytes=8, width=64, status=True)
NETWORK = "0123456789abcdef" * 4


def compute(words: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Of each frame its length and the sum of its payload, and behind them whether its check is that sum."""
    data, found = words.tobytes(), []
    while data:
        length = int.from_bytes(data[:2], "little")
        total = sum(data[5:length])
        sound = total == int.from_bytes(data[3:5], "little")
        found.append(length.to_bytes(3, "little") + total.to_bytes(3, "little") + bytes([0, not sound]))
        data = data[-(-length // 8) * 8 :]
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, 8)


@pytest.fixture
def system() -> ModelSystem:
    return ModelSystem(GIVEN, TAKEN, compute, network=NETWORK)


@pytest.fixture
def backend(system: ModelSystem) -> Iterator[DmaBackend]:
    overlay = Overlay(Path("none.bit"), "bitswath", GIVEN, TAKEN)
    with DmaBackend(ModelBoard(system), overlay, frames_per_transfer=4, transfer_timeout_s=2.0) as made:
        yield made


def drawn(count: int, seed: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [frame(rng.integers(0, 256, size, np.uint8)) for size in rng.integers(0, MOST - 4, count)]


def expected(frames: list[bytes]) -> list[list[int]]:
    return [[len(one), sum(one[5:])] for one in frames]


def test_it_takes_compressed_frames_in_words_of_the_link(backend: DmaBackend) -> None:
    assert backend.packing == Packing(8, compressed=True, word_bytes=8)
    frames = drawn(9, 0)
    assert backend.packing.link_bytes(rows_of(frames)).tolist() == [-(-len(one) // 8) * 8 for one in frames]


@pytest.mark.parametrize("seed", range(4))
def test_many_frames_go_in_a_transfer_of_their_words(backend: DmaBackend, system: ModelSystem, seed: int) -> None:
    batches = [drawn(count, seed + count) for count in (3, 9, 1, 4)]
    tickets = [backend.submit(rows_of(batch)) for batch in batches[:2]]
    got = [backend.collect(ticket).tolist() for ticket in tickets]
    got += [backend.collect(backend.submit(rows_of(batch, MOST))).tolist() for batch in batches[2:]]
    assert got == [expected(batch) for batch in batches]
    moved = [batch[at : at + 4] for batch in batches for at in range(0, len(batch), 4)]
    started = [value for engine, offset, value in system.log if offset == COUNT and engine == IDMA]
    assert started == [sum(-(-len(one) // 8) for one in frames) for frames in moved]
    assert [value for engine, offset, value in system.log if offset == COUNT and engine == ODMA] == list(
        map(len, moved)
    )


def test_a_damaged_frame_is_named_and_the_others_of_its_batch_do_no_harm(backend: DmaBackend) -> None:
    frames = drawn(10, 5)
    rows = rows_of(frames)
    rows[6, 3] ^= 1
    ticket, other = backend.submit(rows), backend.submit(rows_of(frames[:3]))
    with pytest.raises(InputError, match="frame 6: it is damaged"):
        backend.collect(ticket)
    assert backend.collect(other).tolist() == expected(frames[:3])


def test_a_frame_that_would_lose_the_decoder_its_place_is_not_sent(backend: DmaBackend) -> None:
    rows = rows_of(drawn(4, 6))
    rows[2, 0] += 100
    with pytest.raises(InputError, match="frame 2: its length is not that of its bytes"):
        backend.submit(rows)
    with pytest.raises(InputError, match="takes frames of up to 48 bytes"):
        backend.submit(rows_of([frame(bytes(50))]))
    with pytest.raises(InputError, match="expected frames as a uint8 array"):
        backend.submit(rows.astype(np.int64))


def test_a_bitstream_without_a_decoder_gets_decoded_pixels(tmp_path: Path) -> None:
    """FINN's folders take folded codes, whatever frames the bundle has."""
    shape, group = (16, 20, 2), 4
    bundle = bundle_of(dense(shape), tmp_path)
    given = Frames("idma0", bits=8, signed=False, values=640, group=group, frame_bytes=640)
    taken = Frames("odma0", bits=24, signed=True, values=3, group=3, frame_bytes=9)
    (layer,) = bundle.network.stages
    assert isinstance(layer, Dense)

    def multiplied(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
        sums = unpack_folded(rows, (640,), 8, False, group) @ layer.weights.T.astype(np.int64)
        return (sums[..., np.newaxis] >> np.array([0, 8, 16]) & 255).astype(np.uint8).reshape(len(rows), 9)

    patches, frames = smooth(9, 3, shape), frames_of(bundle, 9, 3)
    system = ModelSystem(given, taken, multiplied)
    backend = DmaBackend(ModelBoard(system), Overlay(Path("none.bit"), "finn", given, taken), frames_per_transfer=4)
    with Accelerator(bundle, backend, timeout_s=10) as accelerator, open_bundle(bundle, "emulator") as emulator:
        for found, expected in (
            (accelerator.classify(patches), emulator.classify(patches)),
            (accelerator.classify_frames(frames), emulator.classify_frames(frames)),
        ):
            np.testing.assert_array_equal(found.logits, expected.logits)
        frames[6, 4] ^= 8
        with pytest.raises(FrameError, match="frame 6: it is damaged"):
            accelerator.classify_frames(frames)
