"""A bundle with a build: opened on the rtl backend, verified against the emulator, differences named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitswath.accelerator import open
from bitswath.backends.emulator import run
from bitswath.builds.folder import CHECKED
from bitswath.bundle.bundle import NETWORK, Bundle, load_bundle, save_bundle
from bitswath.codecs.packing import pack
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BackendError, BundleError
from bitswath.models.verify.rtl import verify_rtl
from bitswath.network.network import INPUT, Add, Network, TensorSpec
from tests.designs import BEATS, BITS, CACHE, CODES, residual

SHAPE = (4, 5, 3)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BITSWATH_CACHE", str(CACHE))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Doubles each code, as the residual design does."""
    network = Network(TensorSpec(SHAPE, 0, (1 << BITS) - 1), (Add("sum", (INPUT, INPUT), (1, 1)),))
    classes = [f"c{i}" for i in range(SHAPE[-1])]
    return save_bundle(
        tmp_path / "x.bsw", network=network, codec=UniformCodec(BITS), patch_shape=SHAPE, classes=classes
    )


def codes_of(count: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 1 << BITS, (count, *SHAPE), np.uint8)


def built(bundle: Bundle, **options: int) -> None:
    residual(bundle.path / "hw" / "none", network=bundle.manifest.files[NETWORK].sha256, **options)


def test_a_bundle_classifies_the_same_on_rtl_and_emulator(bundle: Bundle) -> None:
    built(bundle)
    patches = np.random.default_rng(1).integers(0, 256, (21, *SHAPE), np.uint8)
    with open(load_bundle(bundle.path), "rtl", stall=0.3, seed=1) as rtl, open(bundle, "emulator") as emulator:
        on_rtl, emulated = rtl.classify(patches), emulator.classify(patches)
    np.testing.assert_array_equal(on_rtl.logits, emulated.logits)
    np.testing.assert_array_equal(on_rtl.labels, emulated.labels)


def test_a_good_build_is_equal(bundle: Bundle) -> None:
    built(bundle)
    found, note = verify_rtl(bundle, pack(codes_of(5), BITS), stall=0.5, seed=3, exact=False)
    assert found.equal
    assert (found.left, found.right, found.values) == ("emulator", "RTL", 5 * CODES)
    assert "5 frames" in note


@pytest.mark.parametrize(("frames", "simulations"), [(4, 1), (9, 2)])
def test_a_fault_is_traced_to_its_stream(bundle: Bundle, frames: int, simulations: int) -> None:
    """Beat 40 of the held branch has a wrong second code, in each simulation's second frame."""
    built(bundle, fault=40, stop=9 * BEATS)
    codes = codes_of(frames)
    found, note = verify_rtl(bundle, pack(codes, BITS), exact=False, simulations=simulations)
    index = np.unravel_index((40 - BEATS) * 2 + 1, SHAPE)
    assert not found.equal
    assert found.differing == simulations
    assert (" of 2 simulations" in note) == (simulations == 2)
    assert found.first is not None
    assert found.first.tensor == "stream held_out"
    assert found.first.index == (1, *index)
    assert found.first.expected == codes[1][index]
    assert found.first.actual == codes[1][index] ^ 1


def test_a_difference_in_a_later_simulation_is_looked_for_there(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An emulator that is wrong about frame 6 of 8, which the second simulation has as its third."""
    built(bundle)
    frames, asked = pack(codes_of(8), BITS), []

    def wrong(network: Network, codes: np.ndarray, *, taps: bool = False) -> object:
        found = run(network, codes, taps=taps)
        if not taps:
            found[6, 0, 0, 0] += 1
        return found

    def streams(folder: Path, frames: np.ndarray, **ends: object) -> list[object]:
        asked.append((frames, ends["seed"]))
        return []

    monkeypatch.setattr("bitswath.models.verify.rtl.run", wrong)
    monkeypatch.setattr("bitswath.backends.rtl.taps.last_frame_streams", streams)
    found, _ = verify_rtl(bundle, frames, exact=False, seed=2, simulations=2)
    assert found.first is not None and found.first.index == (6, 0, 0, 0)
    ((before, seed),) = asked
    assert seed == 3
    np.testing.assert_array_equal(before, frames[4:7])


@pytest.mark.parametrize("content", [b"", b"no array", np.zeros((1, 29), np.uint8), np.zeros((2, 30))])
def test_frames_of_a_failed_build_that_do_not_fit_are_refused(bundle: Bundle, content: bytes | np.ndarray) -> None:
    built(bundle)
    folder = (bundle.path / "hw" / "none").rename(bundle.path / "hw" / "none.failed")
    if isinstance(content, bytes):
        (folder / CHECKED).write_bytes(content)
    else:
        np.save(folder / CHECKED, content)
    with pytest.raises(BundleError, match=f"{CHECKED}: .*; build again"):
        verify_rtl(bundle, pack(codes_of(1), BITS), board="none.failed")


def test_without_a_build_the_error_says_how_to_make_one(bundle: Bundle) -> None:
    with pytest.raises(BackendError, match="run 'bitswath build"):
        open(bundle, "rtl")
    with pytest.raises(BackendError, match="run 'bitswath build"):
        verify_rtl(bundle, pack(codes_of(1), BITS))


def test_a_build_of_another_network_is_refused(bundle: Bundle) -> None:
    residual(bundle.path / "hw" / "none")
    with pytest.raises(BundleError, match="another network"):
        open(bundle, "rtl", board="none")
