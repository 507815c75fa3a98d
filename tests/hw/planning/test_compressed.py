"""Plans of bundles whose frames are compressed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitswath.bundle.bundle import save_bundle
from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import BuildError
from bitswath.hw import units
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.folding import evaluate, find_folding
from bitswath.hw.planning.plan import FRAMES, RESULTS, STATUS, Plan, plan
from bitswath.hw.units import Decoding, decoding_of
from bitswath.network.network import INPUT, Conv, Network, SumPool, TensorSpec
from tests.compressed_cases import BUDGET, SHAPE, bundle_of, codec_of, convolutional, dense


def planned(budget: int | None = BUDGET, word: int = 64) -> Plan:
    return plan(convolutional(), 8, word, Decoding(codec_of(SHAPE[2], budget), SHAPE))


def test_a_decoder_stands_in_front_and_its_status_goes_to_the_end() -> None:
    hardware = planned()
    first, last = hardware.units[0], hardware.units[-1]
    assert isinstance(first, units.Decode) and isinstance(last, units.Pack)
    assert [wire.name for wire in first.outputs][1] == STATUS == last.inputs[1].name
    assert hardware.wires[FRAMES].size == hardware.wires[STATUS].size == 1
    assert (first.operator({}), last.operator({})) == ("TransformDecode_rtl", "PackStatus_rtl")


def test_results_have_room_for_the_status() -> None:
    bits = {word: planned(word=word).wires[RESULTS].size * word for word in (32, 64, 128)}
    results = planned().units[-1].inputs[0]
    needed = results.size * results.numbers.bits + 8
    assert bits == {word: -(-needed // word) * word for word in bits}


@pytest.mark.parametrize(
    ("budget", "word", "most"),
    [(220, 64, 220), (30, 64, 32), (None, 64, 2 * 20 * 36 * 3), (100, 512, 256)],
)
def test_the_longest_frame_is_the_budget(budget: int | None, word: int, most: int) -> None:
    decoding = Decoding(replace(codec_of(3), budget=budget), SHAPE)
    first = plan(convolutional(), 8, word, decoding).units[0]
    assert isinstance(first, units.Decode)
    assert decoding.most_bytes(word) == first.attributes({"SIMD": 1})["maxBytes"] == most
    assert first.most_words == -(-most * 8 // word)


def test_it_gives_no_more_than_a_pixel_a_beat_and_takes_a_cycle_a_coefficient() -> None:
    flat = plan(dense((16, 20, 6)), 8, 64, Decoding(codec_of(6), (16, 20, 6)))
    decode = flat.units[0]
    assert decode.outputs[0].size == 16 * 20 * 6
    assert decode.choices() == {"SIMD": (1, 2, 3, 6)}
    assert {decode.cycles({"SIMD": simd}) for simd in (1, 6)} == {16 * 32 * 6}
    board = find_board("Pynq-Z2")
    found = find_folding(flat, board, margin=0.1, cycles=4000)
    assert found.cycles <= 4000
    assert evaluate(flat, board, found.foldings).cost == found.cost
    assert found.foldings["decode"]["SIMD"] in (1, 2, 3, 6)


def test_products_leave_the_decoder_the_dsp_blocks_it_needs() -> None:
    """The layer could do with 189 of the 198 that may be used, and a part of few LUTs wants it to; the decoder needs
    26."""
    shape = (32, 32, 3)
    conv = Conv("a", (INPUT,), np.random.default_rng(3).integers(-7, 8, (56, 3, 3, 3)), pads=(1, 1, 1, 1))
    network = Network(TensorSpec(shape, 0, 255), (conv, SumPool("sum", ("a",), (32, 32), (32, 32))))
    board = find_board("Pynq-Z1")
    few = replace(board, regions=(replace(board.regions[0], lut=30000),))
    found = [
        find_folding(plan(network, 8, 64, decoding), few, margin=0.1, cycles=4200)
        for decoding in (None, Decoding(codec_of(3), shape))
    ]
    assert all(fit.cost.fits(few, 0.1) for fit in found)
    assert found[1].cost.dsp >= 26


def test_only_a_bundle_of_compressed_frames_has_a_decoder(tmp_path: Path) -> None:
    bundle = bundle_of(convolutional(), tmp_path)
    decoding = decoding_of(bundle)
    assert decoding == Decoding(bundle.codec, SHAPE)  # type: ignore[arg-type]
    codec = UniformCodec(8)
    packed = save_bundle(
        tmp_path / "packed.bsw", network=bundle.network, codec=codec, patch_shape=SHAPE, classes=bundle.classes
    )
    assert decoding_of(packed) is None


def test_frames_longer_than_the_decoder_takes_are_refused(tmp_path: Path) -> None:
    bundle = bundle_of(convolutional(), tmp_path, budget=40000)
    with pytest.raises(BuildError, match="frames may have 40000 bytes, the decoder takes 32768"):
        decoding_of(bundle)
