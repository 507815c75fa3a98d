"""Files in front of a codec give the codes of what files leave, whatever was done to patches before."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from bitswath.codecs.companded import CompandedCodec
from bitswath.codecs.palette import PaletteCodec
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import ConfigError
from bitswath.models.nets.architectures import input_spec
from bitswath.models.study.lossy.formats import parse_lossy
from bitswath.models.study.lossy.through import ThroughFiles
from tests.models.study.lossy.patches import land


@pytest.mark.parametrize("inner", [UniformCodec(8), UniformCodec(3), CompandedCodec.fit(land(20, 9), 2, "ordered")])
def test_codes_are_of_what_pillow_reads(inner: UniformCodec | CompandedCodec) -> None:
    codec, patches = ThroughFiles.before(inner, parse_lossy("webp:20")), land(21, 3)
    for patch, codes in zip(patches, codec.encode(patches)):
        file = io.BytesIO()
        Image.fromarray(patch).save(file, "WEBP", quality=20, method=6)
        with Image.open(file) as image:
            np.testing.assert_array_equal(codes, inner.encode(np.asarray(image.convert("RGB"))))
    np.testing.assert_array_equal(codec.encode(patches[0]), codec.encode(patches)[0])
    frames = codec.encode_packed(patches)
    assert frames.shape[1] == codec.frame_bytes(patches.shape[1:])
    np.testing.assert_array_equal(codec.unpack(frames, patches.shape[1:]), codec.encode(patches))
    assert input_spec(codec, (48, 48, 3)) == input_spec(inner, (48, 48, 3))
    assert codec != inner and codec == ThroughFiles.before(inner, parse_lossy("webp:20"))


def test_names_of_colours_and_wide_samples_are_refused() -> None:
    for inner in (PaletteCodec.fit(land(22, 4), 2), UniformCodec(4, depth=12)):
        with pytest.raises(ConfigError, match="lossy_as: data takes any"):
            ThroughFiles.before(inner, parse_lossy("webp:20"))
