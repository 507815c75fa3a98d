"""Patches in, classes out: what a result holds, what is refused, and that it is the same in any batch size."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.accelerator import Accelerator, open
from bitswath.backends.kinds import BACKENDS
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.integer import IntegerCodec
from bitswath.codecs.packing import pack
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.threshold import ThresholdCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BackendError, BackendTimeoutError, BundleError, CodecError, InputError, PackingError
from bitswath.network.network import INPUT, ArgMax, Dense, Head, Lookup, Network, SumPool, TensorSpec
from bitswath.streaming.counters import Counters
from tests.host.fake_backend import FakeBackend
from tests.host.kinds import linear

SHAPE = (4, 5, 2)
CLASSES = ("forest", "river", "sea lake")
WEIGHTS = np.random.default_rng(7).integers(-7, 8, (3, 40))
HEAD = Head(np.array([0.5]), np.array([-3.0]))


def bundle(path: Path, network: Network | None = None, **changes: Any) -> Bundle:
    network = network or linear(WEIGHTS, SHAPE, 4, HEAD)
    values: dict[str, Any] = {"codec": UniformCodec(4), "patch_shape": SHAPE, "classes": CLASSES}
    return save_bundle(path / "x.bsw", network=network, **{**values, **changes})


def patches(count: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


def codes_of(batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The four high bits."""
    return (batch >> 4).astype(np.uint8)


def logits_of(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the bundle computes, written down a second time: a matrix and a scale."""
    return (codes_of(batch).reshape(len(batch), 40).astype(np.int64) @ WEIGHTS.T * 0.5 - 3).astype(np.float32)


@pytest.fixture(params=["emulator", "reference"])
def accel(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Accelerator]:
    """The same statements hold on the emulator and on plain numpy."""
    made = bundle(tmp_path)
    if request.param == "emulator":
        opened = open(made, chunk=4)
    else:
        opened = Accelerator(made, FakeBackend(made.network, 4), chunk=4, timeout_s=1)
    with opened:
        yield opened


@pytest.mark.parametrize("count", [0, 1, 4, 5, 11])
def test_labels_and_logits_are_those_of_the_network(accel: Accelerator, count: int) -> None:
    batch = patches(count)
    result = accel.classify(batch)
    assert result.logits is not None
    assert result.logits.dtype == np.float32
    assert result.logits.shape == (count, 3)
    assert result.labels.dtype == np.int64
    np.testing.assert_array_equal(result.logits, logits_of(batch))
    np.testing.assert_array_equal(result.labels, logits_of(batch).argmax(axis=1))
    assert result.names == [CLASSES[label] for label in result.labels]
    assert len(result) == count


BANDED = tuple((0.5 * band - 3.25, 0.5 * band, 1e-3 + 3 * band) for band in range(40))
"""Thresholds of forty features."""
FEATURES = ThresholdCodec(
    2, depth=32, numbers="float", thresholds=tuple(tuple(float(np.float32(t)) for t in sorted(row)) for row in BANDED)
)


def flat_bundle(path: Path) -> Bundle:
    return bundle(path, linear(WEIGHTS, (40,), 2, HEAD), codec=FEATURES, patch_shape=(1, 1, 40), layout="flat")


def features(count: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(5, 8, (count, 40)).astype(np.float32)


def flat_logits_of(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = np.sort(np.array(BANDED, np.float32), axis=1)
    return ((vectors[..., None] >= rows).sum(axis=-1) @ WEIGHTS.T * 0.5 - 3).astype(np.float32)


def test_vectors_are_taken_as_they_are(tmp_path: Path) -> None:
    given = features(11)
    with open(flat_bundle(tmp_path), chunk=4) as accel:
        for same in (given, given.reshape(-1, 1, 1, 40), given.astype(np.float64), given.tolist()):
            np.testing.assert_array_equal(accel.classify(same).logits, flat_logits_of(given))
        for one in (given[0], given[0].reshape(1, 1, 40), given[:1]):
            np.testing.assert_array_equal(accel.classify(one).logits, flat_logits_of(given[:1]))
        codes = accel.bundle.codec.encode(given.reshape(-1, 1, 1, 40))
        np.testing.assert_array_equal(accel.infer(codes), accel.infer(codes.reshape(-1, 40)))
        with accel.stream([given[:3], given[3:]]) as results:
            np.testing.assert_array_equal(np.concatenate([r.logits for r in results]), flat_logits_of(given))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (
            np.zeros((3, 39), np.float32),
            r"float32 patches \(N, 40\) or one of \(40,\), got shape \(3, 39\); give 40 fea",
        ),
        (np.zeros((2, 3, 40), np.float32), r"got shape \(2, 3, 40\); give 40 features"),
        (np.zeros((3, 40), np.int64), r"got int64 \(3, 40\); give them as float32"),
    ],
)
def test_other_things_than_vectors_are_refused(tmp_path: Path, wrong: NDArray[Any], reason: str) -> None:
    with open(flat_bundle(tmp_path)) as accel, pytest.raises(InputError, match=reason):
        accel.classify(wrong)


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    given = features(3)
    given[1, 7] = np.nan
    with open(flat_bundle(tmp_path)) as accel:
        with pytest.raises(CodecError, match=r"finite samples, got nan at index \(1, 0, 0, 7\)"):
            accel.classify(given)
        np.testing.assert_array_equal(accel.classify(given[:1]).logits, flat_logits_of(given[:1]))


def test_signals_are_time_by_channels(tmp_path: Path) -> None:
    codec = IntegerCodec(4, lowest=-8, highest=7)
    made = bundle(
        tmp_path, linear(WEIGHTS, (1, 20, 2), 4, HEAD), codec=codec, patch_shape=(1, 20, 2), layout="sequence"
    )
    signals = np.random.default_rng(0).integers(-8, 8, (5, 20, 2), np.int8)
    expected = ((signals.reshape(5, 40) + 8) @ WEIGHTS.T * 0.5 - 3).astype(np.float32)
    with open(made) as accel:
        for same in (signals, signals[:, None]):
            np.testing.assert_array_equal(accel.classify(same).logits, expected)
        for one in (signals[0], signals[:1], signals[:1, None]):
            np.testing.assert_array_equal(accel.classify(one).logits, expected[:1])
        with pytest.raises(InputError, match=r"swap the last two axes: time comes first, channels last"):
            accel.classify(signals.transpose(0, 2, 1))


def test_a_single_patch_is_a_batch_of_one(accel: Accelerator) -> None:
    one = patches(1)
    np.testing.assert_array_equal(accel.classify(one[0]).labels, accel.classify(one).labels)


def test_patches_may_lie_anyhow_in_memory(accel: Accelerator) -> None:
    wide = patches(12)
    np.testing.assert_array_equal(accel.classify(wide[::-2]).labels, logits_of(wide[::-2]).argmax(axis=1))
    fortran = np.asfortranarray(wide)
    np.testing.assert_array_equal(accel.classify(fortran).labels, logits_of(wide).argmax(axis=1))
    np.testing.assert_array_equal(accel.classify(list(wide)).labels, accel.classify(wide).labels)


def test_codes_and_frames_give_what_their_patches_give(accel: Accelerator) -> None:
    batch = patches(6)
    codes = codes_of(batch)
    np.testing.assert_array_equal(accel.infer(codes), logits_of(batch))
    assert accel.infer(codes).dtype == np.float32
    framed = accel.classify_frames(pack(codes, 4))
    np.testing.assert_array_equal(framed.labels, logits_of(batch).argmax(axis=1))
    assert accel.infer(codes[:0]).shape == (0, 3)


def test_frames_mapped_from_a_file_are_classified(accel: Accelerator, tmp_path: Path) -> None:
    frames = pack(codes_of(patches(9)), 4)
    frames.tofile(tmp_path / "frames")
    mapped = np.memmap(tmp_path / "frames", np.uint8, "r", shape=frames.shape)
    np.testing.assert_array_equal(accel.classify_frames(mapped).labels, accel.classify(patches(9)).labels)


def test_a_stream_answers_each_batch_in_order(accel: Accelerator) -> None:
    batches = [patches(size, size) for size in (3, 9, 0, 1)]
    results = list(accel.stream(iter(batches)))
    assert [len(result) for result in results] == [3, 9, 0, 1]
    for result, batch in zip(results, batches):
        np.testing.assert_array_equal(result.labels, logits_of(batch).argmax(axis=1))


def test_a_stream_that_is_left_early_leaves_the_accelerator_usable(accel: Accelerator) -> None:
    for _ in accel.stream(patches(2, seed) for seed in range(100)):
        break
    np.testing.assert_array_equal(accel.classify(patches(5)).labels, logits_of(patches(5)).argmax(axis=1))


def test_a_stream_that_is_closed_clears_the_device_at_once(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    device = FakeBackend(made.network, 4)
    running = Accelerator(made, device, timeout_s=1).stream(patches(2, seed) for seed in range(100))
    next(running)
    running.close()
    assert not device.waiting
    assert not device.closed


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (
            np.zeros((2, 4, 5, 2), np.float32),
            r"expected uint8 patches \(N, 4, 5, 2\).*float32 \(2, 4, 5, 2\).*unscaled",
        ),
        (np.zeros((2, 4, 5, 2), np.uint16), "got uint16"),
        (np.zeros((2, 4, 5, 2), bool), "got bool"),
        (np.full((2, 4, 5, 2), np.nan), "got float64"),
        (np.zeros((2, 4, 5, 3), np.uint8), "got 3 bands; select the bands"),
        (np.zeros((2, 4, 5, 1), np.uint8), "got 1 bands"),
        (np.zeros((4, 5), np.uint8), r"got shape \(4, 5\)"),
        (np.zeros((4, 5, 3), np.uint8), r"got shape \(4, 5, 3\)"),
        (np.zeros((2, 8, 10, 2), np.uint8), r"got shape \(2, 8, 10, 2\); crop or resample"),
        (np.zeros((1, 2, 4, 5, 2), np.uint8), r"got shape \(1, 2, 4, 5, 2\)"),
        (np.uint8(3), r"got shape \(\)"),
        ([], r"float64 \(0,\)"),
        ([[1], [2, 3]], "patches of one shape in one array, got list"),
        ("patches.png", "<U11"),
        (None, "object"),
    ],
)
def test_patches_that_do_not_fit_are_refused_in_one_line(accel: Accelerator, wrong: Any, named: str) -> None:
    with pytest.raises(InputError, match=named) as caught:
        accel.classify(wrong)
    assert "\n" not in str(caught.value)
    assert len(accel.classify(patches(2))) == 2


def test_codes_and_frames_that_do_not_fit_are_refused(accel: Accelerator) -> None:
    with pytest.raises(InputError, match=r"uint8 codes \(N, 4, 5, 2\), got int64"):
        accel.infer(np.zeros((1, *SHAPE), np.int64))
    with pytest.raises(InputError, match=r"got uint8 \(4, 5, 2\)"):
        accel.infer(np.zeros(SHAPE, np.uint8))
    with pytest.raises(PackingError, match="16"):
        accel.infer(np.full((1, *SHAPE), 16, np.uint8))
    with pytest.raises(InputError, match=r"uint8 frames \(N, 20\), got uint8 \(2, 21\)"):
        accel.classify_frames(np.zeros((2, 21), np.uint8))


def test_a_wrong_batch_in_a_stream_is_refused_after_the_good_ones(accel: Accelerator) -> None:
    stream = accel.stream([patches(2), patches(2), patches(2), patches(2)[..., :1]])
    assert len(next(stream)) == 2
    with pytest.raises(InputError, match="1 bands"):
        list(stream)


def test_a_closed_accelerator_cannot_be_used(accel: Accelerator) -> None:
    running = accel.stream(patches(2, seed) for seed in range(9))
    next(running)
    accel.close()
    accel.close()
    for use in (
        lambda: accel.classify(patches(1)),
        lambda: accel.infer(codes_of(patches(1))),
        lambda: accel.classify_frames(pack(codes_of(patches(1)), 4)),
        lambda: accel.stream([patches(1)]),
        lambda: next(running),
    ):
        with pytest.raises(BackendError, match="is closed; open"):
            use()
    assert "closed" in repr(accel)


def test_accelerators_of_one_network_share_a_stream(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    devices = [FakeBackend(made.network, 4) for _ in range(3)]
    first, *others = (Accelerator(made, device, chunk=2, timeout_s=5) for device in devices)
    for device in devices:
        device.hold.clear()
    running = first.stream((patches(5, seed) for seed in range(20)), also=others)

    def release() -> None:
        """The first one late, none before each has its share."""
        ends = time.monotonic() + 5
        while not all(device.submitted for device in devices) and time.monotonic() < ends:
            time.sleep(0.01)
        for device in reversed(devices):
            device.hold.set()

    threading.Thread(target=release).start()
    for seed, result in enumerate(running):
        np.testing.assert_array_equal(result.labels, logits_of(patches(5, seed)).argmax(axis=1))
    assert all(device.submitted for device in devices)
    assert sum(device.submitted for device in devices) == 60


def test_accelerators_of_other_networks_cannot_share_a_stream(tmp_path: Path) -> None:
    other = bundle(tmp_path, linear(WEIGHTS + 1, SHAPE, 4, HEAD))
    (tmp_path / "mine").mkdir()
    mine = bundle(tmp_path / "mine")
    with open(mine) as first, open(other) as second, pytest.raises(InputError, match="of the network of"):
        first.stream([patches(1)], also=[second])


@pytest.mark.parametrize("kind", ["itself", "the same twice", "one backend", "one device"])
def test_a_device_is_in_a_stream_once(tmp_path: Path, kind: str) -> None:
    """Two lanes would send to it at once."""

    class Card(FakeBackend):
        device = "0000:03:00.1"

    made = bundle(tmp_path)
    first, second, other = (FakeBackend(made.network, 4), *(Card(made.network, 4) for _ in range(2)))
    mine, again, card, its_twin = (Accelerator(made, one, timeout_s=1) for one in (first, first, second, other))
    also = {
        "itself": [mine],
        "the same twice": [card, card],
        "one backend": [again],
        "one device": [card, its_twin],
    }[kind]
    for stream in (mine.stream, mine.stream_frames):
        with pytest.raises(InputError, match="expected a device of its own for each accelerator"):
            stream([], also=also)
    assert first.log == second.log == []
    assert list(mine.stream([], also=[card])) == []


def test_progress_tells_rate_and_time_left(accel: Accelerator) -> None:
    seen: list[Counters] = []
    for _ in accel.stream([patches(3), patches(5)], total=8, progress=seen.append):
        pass
    assert [counters.frames for counters in seen] == [3, 8]
    assert seen[0].rate > 0
    assert seen[0].eta_s == pytest.approx(5 / seen[0].rate)
    assert seen[1].eta_s == 0


def with_head(path: Path, head: Head, rows: list[list[int]]) -> Accelerator:
    made = bundle(path, linear(rows, (1, 1, 2), 4, head), patch_shape=(1, 1, 2), classes=CLASSES[: len(rows)])
    return Accelerator(made, FakeBackend(made.network, 4), timeout_s=1)


ONES = np.full((1, 1, 1, 2), 16, np.uint8)


def test_of_equal_logits_the_lowest_index_wins(tmp_path: Path) -> None:
    result = with_head(tmp_path, Head(), [[0, 1], [1, 1], [2, 0]]).classify(ONES)
    np.testing.assert_array_equal(result.logits, [[1, 2, 2]])
    assert result.labels.tolist() == [1]


def test_integers_that_float32_cannot_tell_apart_keep_their_order(tmp_path: Path) -> None:
    """As with an ArgMax stage in the hardware."""
    result = with_head(tmp_path, Head(), [[1 << 25, 0], [1 << 25, 1]]).classify(ONES)
    assert result.logits is not None
    assert result.logits[0, 0] == result.logits[0, 1]
    assert result.labels.tolist() == [1]


def test_a_scale_or_offset_per_class_decides_the_label(tmp_path: Path) -> None:
    rows = [[4, 0], [3, 0], [2, 0]]
    assert with_head(tmp_path, Head(np.array([1, 1, 3.0])), rows).classify(ONES).labels.tolist() == [2]
    assert with_head(tmp_path, Head(offset=np.array([0, 9.0, 0])), rows).classify(ONES).labels.tolist() == [1]
    assert with_head(tmp_path, Head(np.array([-1.0])), rows).classify(ONES).labels.tolist() == [2]


def test_a_softmax_that_saturates_does_not_change_the_label(tmp_path: Path) -> None:
    head = Head(np.array([1e-9]), softmax=True)
    result = with_head(tmp_path, head, [[1, 0], [2, 0]]).classify(ONES)
    assert result.logits is not None
    assert result.logits.tolist() == [[0.5, 0.5]]
    assert result.labels.tolist() == [1]


def test_a_network_that_ends_in_argmax_gives_labels_only(tmp_path: Path) -> None:
    stages = (Dense("logits", (INPUT,), WEIGHTS), ArgMax("label", ("logits",)))
    with open(bundle(tmp_path, Network(TensorSpec(SHAPE, 0, 15), stages))) as opened:
        result = opened.classify(patches(20))
    assert result.logits is None
    np.testing.assert_array_equal(result.labels, logits_of(patches(20)).argmax(axis=1))


def test_a_palettes_colours_are_looked_up_in_the_network(tmp_path: Path) -> None:
    """One 2-bit code a pixel crosses the link; the network sees the two bands it stands for."""
    colours = ((0, 9), (40, 80), (90, 20), (255, 200))
    codec = PaletteCodec(2, colours=colours)
    assert codec.values is not None
    stages = (Lookup("colours", (INPUT,), codec.values), Dense("logits", ("colours",), WEIGHTS))
    made = bundle(tmp_path, Network(TensorSpec((4, 5, 1), 0, 3), stages), codec=codec)
    assert made.manifest.input.frame_bytes == 5
    painted = np.array(colours, np.uint8)[np.random.default_rng(1).integers(0, 4, (9, 4, 5))]
    with open(made) as opened:
        result = opened.classify(painted)
    np.testing.assert_array_equal(result.logits, painted.reshape(9, 40).astype(np.int64) @ WEIGHTS.T)


def test_uint16_patches_go_through_a_uint16_codec(tmp_path: Path) -> None:
    deep = patches(5).astype(np.uint16) * 257
    with open(bundle(tmp_path, codec=UniformCodec(4, depth=16))) as opened:
        np.testing.assert_array_equal(opened.classify(deep).logits, logits_of(patches(5)))
        with pytest.raises(InputError, match="expected uint16 patches"):
            opened.classify(patches(5))


def test_a_late_backend_is_a_time_out_and_the_next_call_works(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    late = Accelerator(made, FakeBackend(made.network, 4, late=0), timeout_s=0.25)
    with pytest.raises(BackendTimeoutError, match=r"1 frames were not done within 0\.25 s"):
        late.classify(patches(1))
    assert len(late.classify(patches(1))) == 1


def test_frames_are_folded_for_a_backend_that_takes_them_so(tmp_path: Path) -> None:
    made = bundle(tmp_path)
    folded = Accelerator(made, FakeBackend(made.network, 4, group=1), timeout_s=1)
    expected = logits_of(patches(9)).argmax(axis=1)
    np.testing.assert_array_equal(folded.classify(patches(9)).labels, expected)
    np.testing.assert_array_equal(folded.classify_frames(pack(codes_of(patches(9)), 4)).labels, expected)
    np.testing.assert_array_equal(folded.infer(codes_of(patches(9))), logits_of(patches(9)))


class TestOpening:
    def test_a_folder_or_a_bundle_can_be_opened(self, tmp_path: Path) -> None:
        made = bundle(tmp_path)
        for what in (made, made.path, str(made.path)):
            with open(what, "emulator", threads=1) as opened:
                assert opened.classes == CLASSES
                assert repr(opened) == "<Accelerator 'x' on EmulatorBackend>"

    def test_a_board_needs_a_build(self, tmp_path: Path) -> None:
        with pytest.raises(BackendError, match=r"expected a build of the bundle, it has none; run 'bitswath build"):
            open(bundle(tmp_path), "pynq")

    @pytest.mark.parametrize(
        ("file", "machine", "module", "options", "chosen"),
        [
            ("x.bit", "armv7l", "pynq", {}, "board"),
            ("x.bit", "x86_64", "pynq", {}, "emulator"),
            ("x.xclbin", "x86_64", "pyxrt", {}, "board"),
            ("x.xclbin", "x86_64", "pynq", {}, "emulator"),
            ("x.bit", "aarch64", "pynq", {"board": "b"}, "board"),
            ("x.bit", "aarch64", "pynq", {"threads": 1}, "emulator"),
            (None, "aarch64", "pynq", {}, "emulator"),
        ],
    )
    def test_auto_is_the_board_where_there_is_one(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        file: str | None,
        machine: str,
        module: str,
        options: dict[str, Any],
        chosen: str,
    ) -> None:
        made = bundle(tmp_path)
        if file:
            (made.path / "hw" / "b" / "bitstream").mkdir(parents=True)
            (made.path / "hw" / "b" / "bitstream" / file).touch()
        monkeypatch.setattr("platform.machine", lambda: machine)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: name == module or None)
        monkeypatch.setitem(BACKENDS, "pynq", lambda made, options: FakeBackend(made.network, 4))
        with open(made, **options) as opened:
            assert ("FakeBackend" in repr(opened)) == (chosen == "board")

    def test_an_unknown_backend_or_option_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(BackendError, match="auto, emulator, rtl, pynq, got 'gpu'"):
            open(bundle(tmp_path), "gpu")
        with pytest.raises(BackendError, match="'emulator' has no option 'thraeds'; it takes threads"):
            open(bundle(tmp_path), thraeds=2)

    @pytest.mark.parametrize("wrong", [{"chunk": 0}, {"timeout_s": 0}, {"timeout_s": float("nan")}])
    def test_impossible_limits_are_refused(self, tmp_path: Path, wrong: dict[str, Any]) -> None:
        with pytest.raises(InputError, match="expected"):
            open(bundle(tmp_path), **wrong)

    def test_what_is_no_bundle_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(BundleError, match="found nothing"):
            open(tmp_path / "absent.bsw")

    def test_chunks_stay_below_memory_and_the_backends_room(self, tmp_path: Path) -> None:
        small = bundle(tmp_path)
        assert Accelerator(small, FakeBackend(small.network, 4), timeout_s=None).chunk == 32
        assert Accelerator(small, FakeBackend(small.network, 4), chunk=1000, timeout_s=None).chunk == 32
        pool = SumPool("pool", (INPUT,), (2048, 2048), (1, 1))
        network = Network(TensorSpec((2048, 2048, 3), 0, 15), (pool,))
        large = bundle(tmp_path, network, patch_shape=(2048, 2048, 3))
        assert Accelerator(large, FakeBackend(large.network, 4), timeout_s=None).chunk == 2
