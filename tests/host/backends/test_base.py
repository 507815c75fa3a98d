"""A build of other frames than the bundle's is refused before one is sent."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.backends.base import check_decoder
from bitswath.codecs.transform.codec import TransformCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BundleError


def fitted(seed: int) -> TransformCodec:
    patches = np.random.default_rng(seed).integers(0, 256, (20, 16, 16, 3), np.uint8)
    return TransformCodec.fit(patches, quality=30)


def test_a_decoder_of_the_same_tables_is_taken_and_one_that_does_not_say() -> None:
    codec = fitted(1)
    for digest in (codec.frames_digest, None):
        check_decoder("build", True, digest, codec)
    check_decoder("build", False, None, codec)  # what decodes nothing is given codes
    check_decoder("build", False, None, UniformCodec(8))


def test_one_of_other_tables_is_refused_and_one_for_packed_codes() -> None:
    codec, other = fitted(1), fitted(2)
    assert codec.frames_digest != other.frames_digest
    assert fitted(1).frames_digest == codec.frames_digest
    with pytest.raises(BundleError, match=r"hw/Pynq-Z2: takes compressed frames, .* of other tables; build it again"):
        check_decoder("hw/Pynq-Z2", True, other.frames_digest, codec)
    with pytest.raises(BundleError, match="the bundle's are packed codes"):
        check_decoder("build", True, other.frames_digest, UniformCodec(8))
