"""The emulator decodes compressed frames, and counts that as unpacking."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitswath.backends.emulator import EmulatorBackend, run
from bitswath.errors import FrameError
from tests.compressed_cases import bundle_of, convolutional, frames_of


def test_compressed_frames_are_decoded_before_the_first_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = bundle_of(convolutional(), tmp_path)
    frames = frames_of(bundle, 11, seed=3)
    codes = bundle.codec.unpack(frames, bundle.manifest.input.patch_shape)
    with EmulatorBackend(bundle.network, 8, unpack=bundle.unpacking) as backend:
        np.testing.assert_array_equal(backend.collect(backend.submit(frames)), run(bundle.network, codes))
        profile = [("frames", "decode", 4.0), ("input", "unpack", 2.0), ("conv", "x", 1.0), ("fc", "x", 0.5)]
        assert [tensor for tensor, *_ in backend.profile(frames)[:2]] == ["frames", "input"]
        monkeypatch.setattr(backend, "profile", lambda frames: profile)
        assert backend.steps(frames) == {"unpack": 6.0, "compute": 1.5}


def test_a_damaged_frame_is_named(tmp_path: Path) -> None:
    bundle = bundle_of(convolutional(), tmp_path)
    frames = frames_of(bundle, 5, seed=4)
    frames[3, 9] ^= 1
    backend = EmulatorBackend(bundle.network, 8, unpack=bundle.unpacking)
    with backend, pytest.raises(FrameError, match="frame 3"):
        backend.submit(frames)
