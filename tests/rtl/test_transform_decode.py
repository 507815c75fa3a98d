"""The decoder of compressed frames: the model's pixels, never more or fewer, whatever comes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.rtl.frames_bench import Form, built, check, stream
from tests.rtl.simulate import FULL_RATE, SCENARIOS, Scenario
from tests.transform_model import (
    END,
    ESCAPE,
    Codec,
    Integers,
    damaged,
    encode,
    found_on_link,
    framed,
    on_link,
    packed_bits,
    random_codec,
    random_levels,
    with_random_tables,
)

FORMS = (
    Form(bands=3, height=64, width=64, simd=1),
    Form(bands=1, height=16, width=16, simd=1, word_bits=32),
    Form(bands=3, height=20, width=33, simd=3, queue=64),
    Form(bands=13, height=7, width=18, simd=13, word_bits=32, max_bytes=8192),
)
SMALL = FORMS[1]


def codec_of(form: Form, random: np.random.Generator) -> Codec:
    """What is compiled in is the same each time, the tables are others."""
    return with_random_tables(random, random_codec(np.random.default_rng(form.bands), form.bands))


def frames_of(form: Form, codec: Codec, random: np.random.Generator) -> Iterator[bytes]:
    """Random frames without end."""
    while True:
        levels = random_levels(random, form.rows, form.columns, form.bands)
        if len(frame := encode(codec, levels, int(random.integers(64)))) <= form.max_bytes:
            yield frame


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_pixels_are_the_models(form: Form, scenario: Scenario, seed: int) -> None:
    random = np.random.default_rng(seed)
    codec = codec_of(form, random)
    frames = [frame for frame, _ in zip(frames_of(form, codec, random), range(6))]
    cut = Scenario(scenario.name, scenario.pace_in, scenario.pace_out, cut=int(random.integers(5000)))
    found = check(form, codec, on_link(frames, form.word), cut if scenario.cut else scenario, seed)
    assert len(found.pixels) == 6 and not found.damaged.any()


def test_many_bands_have_a_guard_bit(seed: int) -> None:
    random, form = np.random.default_rng(seed), Form(bands=17, height=9, width=3, simd=17, max_bytes=16384)
    codec = codec_of(form, random)
    frames = [frame for frame, _ in zip(frames_of(form, codec, random), range(4))]
    assert not check(form, codec, on_link(frames, form.word), FULL_RATE, seed).damaged.any()


def usual(random: np.random.Generator) -> Integers:
    """Levels of a photograph: most at low frequencies, blocks that are busier than others."""
    scale = np.exp(random.normal(size=(4, 4, 1, 1))) * np.exp(-np.arange(256) / 20)
    levels = np.rint(random.laplace(size=(4, 4, 3, 256)) * scale * np.array([1.5, 0.5, 0.5])[:, None])
    levels[..., 0] = random.integers(-40, 40, (4, 4, 3))
    return np.asarray(levels, np.int64)


def test_a_coefficient_a_cycle(seed: int) -> None:
    random, form = np.random.default_rng(seed), FORMS[0]
    codec = codec_of(form, random)
    frames = [encode(codec, usual(random), int(random.integers(64))) for _ in range(10)]
    assert 300 < np.mean([len(frame) for frame in frames]) < 1500
    found = check(form, codec, on_link(frames, form.word), FULL_RATE, seed)
    assert np.diff(found.cycles).max() <= 64 * 64 * 3


@pytest.mark.parametrize("form", FORMS[1:], ids=str)
def test_a_damaged_frame_is_flagged_and_the_next_one_is_right(form: Form, seed: int) -> None:
    random = np.random.default_rng(seed)
    codec = codec_of(form, random)
    source = frames_of(form, codec, random)
    count = 1000 // (form.rows * form.columns * form.bands)
    whole = [next(source) for _ in range(count)]
    wrong = [damaged(random, codec, next(source), form.word) for _ in range(count)]
    data = b"".join(bad + on_link([good], form.word) for bad, good in zip(wrong, whole))
    check(form, codec, data, SCENARIOS[seed % len(SCENARIOS)], seed)
    given = set(found_on_link(codec, data, form.word, form.max_bytes))
    assert sum(frame not in given for frame in whole) <= 1  # a check of 16 bits is right by chance now and then


@pytest.mark.parametrize("form", FORMS[1:3], ids=str)
def test_damaged_frames_behind_each_other_are_all_given(form: Form, seed: int) -> None:
    random = np.random.default_rng(seed)
    codec = codec_of(form, random)
    shortest = framed(codec, 0, b"")  # no longer than its header
    frames = [
        frame if random.random() < 0.8 else shortest for frame, _ in zip(frames_of(form, codec, random), range(50))
    ]
    wrong = random.random(50) < 0.7
    sent = [frame[:4] + bytes([frame[4] ^ 1]) + frame[5:] if bad else frame for frame, bad in zip(frames, wrong)]
    found = check(form, codec, on_link(sent, form.word), FULL_RATE, seed)
    assert found.damaged.tolist() == [bad or frame == shortest for frame, bad in zip(frames, wrong)]


def test_what_was_cut_off_does_not_reach_the_next_transfer(seed: int) -> None:
    random, form = np.random.default_rng(seed), SMALL
    codec = codec_of(form, random)
    source = frames_of(form, codec, random)
    first, last = next(source), next(source)
    for size in (1, 4, 5, len(first) // 2, len(first) - 1):
        start = on_link([next(source), first[:size]], form.word)
        whole = len(first) <= -(-size // form.word) * form.word
        found = check(form, codec, start + on_link([last], form.word), FULL_RATE, seed, pause_at=len(start))
        assert found.damaged.tolist() == [False, not whole or any(first[size:]), False]


def test_levels_that_no_encoder_writes_are_found(seed: int) -> None:
    random, form = np.random.default_rng(seed), SMALL
    codec = codec_of(form, random)
    dc, ac = codec.dc_words[0], codec.ac_words
    start, end = ac[codec.contexts[0]][ESCAPE], ac[codec.contexts[0]][END]
    level = "0" * 14
    cases = {
        "a run behind the last position": dc[0] + start + f"{255:08b}{1:04b}" + level,
        "a size of 0": dc[0] + start + f"{1:08b}{0:04b}" + level,
        "a size of 15": dc[0] + start + f"{1:08b}{15:04b}" + level,
        "bits behind the end": dc[0] + end + "0" * 8,
        "ones behind the end": dc[0] + end + "1",
        "nothing": "",
    }
    frames = [framed(codec, 20, packed_bits(bits)) for bits in cases.values()]
    good = framed(codec, 20, packed_bits(dc[0] + end))
    data = on_link([frame for bad in frames for frame in (bad, good)], form.word)
    found = check(form, codec, data, FULL_RATE, seed)
    assert found.damaged.tolist() == [True, False] * len(cases)


@pytest.mark.parametrize("sign", [-1, 1])
def test_too_large_a_dc_level_is_found(seed: int, sign: int) -> None:
    random, form = np.random.default_rng(seed), FORMS[2]
    codec = codec_of(form, random)
    levels = np.zeros((form.rows, form.columns, form.bands, 256), np.int64)
    levels[0, 0, 1, 0] = 16383
    levels[0, 1:, 1, 0] = levels[1, :, 1, 0] = 16383
    good = encode(codec, sign * levels, 3)
    levels[1, 2, 1, 0] += 1
    found = stream(form, codec, on_link([encode(codec, sign * levels, 3), good], form.word), 2, FULL_RATE, seed)
    assert found.damaged.tolist() == [True, False]


def test_a_wrong_size_is_an_error_of_elaboration() -> None:
    with pytest.raises(AssertionError, match="expected SIMD to divide BANDS"):
        built(Form(bands=3, simd=2), random_codec(np.random.default_rng(0), 3))
