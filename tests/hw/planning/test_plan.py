"""Networks become hardware units, or are refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bitswath.errors import BuildError
from bitswath.hw import units
from bitswath.hw.planning.boards import find_board
from bitswath.hw.planning.folding import find_folding
from bitswath.hw.planning.plan import Plan, plan
from bitswath.hw.units import Numbers
from bitswath.network.network import INPUT, Add, ArgMax, Conv, Dense, MaxPool, Network, Take, TensorSpec, Threshold
from tests import reference

IMAGE = TensorSpec((8, 8, 3), 0, 15)
RNG = np.random.default_rng(3)


def conv(name: str, source: str, channels: int, out: int, **options: object) -> Conv:
    weights = RNG.integers(-7, 8, (out, 3, 3, channels))
    return Conv(name, (source,), weights, pads=(1, 1, 1, 1), **options)  # type: ignore[arg-type]


def network(*stages: object) -> Network:
    return Network(IMAGE, tuple(stages))  # type: ignore[arg-type]


def names(*stages: object) -> list[str]:
    return [type(unit).__name__ for unit in plan(network(*stages), 4, 64).units]


def test_a_convolution_is_padding_windows_and_products() -> None:
    assert names(conv("c", INPUT, 3, 4)) == ["Unpack", "Pad", "Window", "MatVec", "Pack"]


def test_a_pixelwise_convolution_needs_no_window() -> None:
    assert names(Conv("c", (INPUT,), np.ones((4, 1, 1, 3), int))) == ["Unpack", "MatVec", "Pack"]


def test_a_tensor_with_two_readers_is_copied() -> None:
    found = names(conv("a", INPUT, 3, 4), conv("b", INPUT, 3, 4), Add("s", ("a", "b"), (1, -2)))
    assert found.count("Duplicate") == 1
    assert found.count("AddStreams") == 1


def test_wires_carry_the_networks_tensors_and_widths_hold_their_ranges() -> None:
    built = network(conv("c", INPUT, 3, 4), Threshold("t", ("c",), np.arange(15)[np.newaxis]))
    hardware = plan(built, 4, 64)
    wires = {wire.tensor: wire for wire in hardware.wires.values() if wire.tensor}
    assert set(wires) == {INPUT, "c", "t"}
    for name, wire in wires.items():
        spec = built.tensors[name]
        assert wire.numbers.lo <= spec.lo <= spec.hi <= wire.numbers.hi
        assert wire.size == spec.size


def test_channels_that_fall_are_turned_by_their_weights() -> None:
    first = conv("c", INPUT, 3, 4)
    falling = np.array([1, -1, 1, -1], np.int8)
    built = network(first, Threshold("t", ("c",), np.tile(np.arange(15), (4, 1)), falling))
    product = next(unit for unit in plan(built, 4, 64).units if isinstance(unit, units.MatVec))
    np.testing.assert_array_equal(
        product.weights.T.reshape(first.weights.shape), first.weights * falling[:, None, None, None]
    )
    assert product.outputs[0].tensor is None  # its integers are not the network's


def threshold(hardware: Plan) -> units.Threshold:
    return [unit for unit in hardware.units if isinstance(unit, units.Threshold)][-1]


def test_signs_are_compared_as_bits() -> None:
    signs = Threshold("s", (INPUT,), np.array([[7]]), base=-1, step=2)
    rows = np.arange(-2, 3)[:, np.newaxis]
    built = Network(TensorSpec((1, 1, 5), 0, 15), (signs, Threshold("t", ("s",), rows)))
    unit = threshold(plan(built, 4, 64))
    for bit, sign in ((0, -1), (1, 1)):
        np.testing.assert_array_equal(bit >= unit.thresholds, sign >= rows)
    assert unit.attributes({"PE": 1})["inputDataType"] == "BINARY"


@pytest.mark.parametrize("step", [1, 2])
def test_a_constant_has_a_threshold_that_nothing_reaches(step: int) -> None:
    built = network(Threshold("t", (INPUT,), np.zeros((1, 0), int), base=5, step=step))
    unit = threshold(plan(built, 4, 64))
    assert unit.thresholds.tolist() == [[16]] * 3
    assert unit.outputs[0].numbers == Numbers(3)


@pytest.mark.parametrize(("rows", "bits"), [([-8, 7], 5), ([-7, 7], 4), ([-128, 0], 8), ([0, 128], 9)])
def test_what_thresholds_are_held_in_tells_the_lowest_from_what_is_below(rows: list[int], bits: int) -> None:
    wire = units.Wire("x", (1, 1, 1), Numbers(8, signed=True))
    assert units.Threshold("t", "t", (wire,), (wire,), np.array([rows])).parameter_type == Numbers(bits, signed=True)


def test_integers_that_codes_number_are_a_line_and_no_thresholds() -> None:
    signed = Threshold("x", (INPUT,), np.arange(1, 16)[np.newaxis], base=-24, step=3)
    hardware = plan(network(signed, conv("c", "x", 3, 4)), 4, 64)
    line = next(unit for unit in hardware.units if isinstance(unit, units.Affine))
    assert (line.factor, line.offset, line.falling.any()) == (3, -24, False)
    assert not any(isinstance(unit, units.Threshold) for unit in hardware.units)


@pytest.mark.parametrize("missing", [3, 15])
def test_thresholds_with_one_left_out_are_none_of_a_line(missing: int) -> None:
    rows = np.array([[n for n in range(1, 16) if n != missing]])
    hardware = plan(network(Threshold("x", (INPUT,), rows)), 4, 64)
    assert [type(unit).__name__ for unit in hardware.units] == ["Unpack", "Threshold", "Pack"]


def test_thresholds_in_steps_or_that_fall_have_a_line_behind_them() -> None:
    rows = np.array([[2, 7], [3, 3], [-9, 20]])
    stage = Threshold("t", (INPUT,), rows, np.array([1, -1, 1], np.int8), base=4, step=-5)
    built = network(stage)
    hardware = plan(built, 4, 64)
    counted, line = threshold(hardware), next(unit for unit in hardware.units if isinstance(unit, units.Affine))
    x = np.arange(16)[:, np.newaxis, np.newaxis]
    counts = (x >= counted.thresholds).sum(-1) + counted.base
    turned = np.where(line.falling, line.falling_offset - line.factor * counts, line.offset + line.factor * counts)
    expected = reference.compute(stage, np.broadcast_to(x, (16, 1, 3)).reshape(16, 1, 1, 3))
    np.testing.assert_array_equal(turned, expected.reshape(16, 3))


def test_groups_are_a_dense_product_with_zeros() -> None:
    stage = Conv("c", (INPUT,), RNG.integers(-7, 8, (6, 2, 2, 1)), groups=3)
    product = next(unit for unit in plan(network(stage), 4, 64).units if isinstance(unit, units.MatVec))
    full = product.weights.T.reshape(6, 2, 2, 3)
    ungrouped = Conv("c", (INPUT,), full)
    x = RNG.integers(0, 16, (2, 8, 8, 3))
    np.testing.assert_array_equal(reference.compute(ungrouped, x), reference.compute(stage, x))


def test_padding_of_signed_values_is_never_the_largest() -> None:
    signed = Threshold("x", (INPUT,), np.arange(15)[np.newaxis], base=-8)
    found = names(signed, MaxPool("m", ("x",), (3, 3), (2, 2), (1, 1, 1, 1)))
    assert found == ["Unpack", "Threshold", "Affine", "Pad", "Window", "MaxPool", "Affine", "Pack"]


PIXELS = np.arange(192).reshape(8, 8, 3)


@pytest.mark.parametrize(
    ("index", "found", "group"),
    [
        (PIXELS[2:4], ["TakeRuns_rtl"], 48),
        (PIXELS[:, 1:7], ["TakeRuns_rtl"], 3),
        (np.pad(PIXELS, ((1, 1), (0, 0), (0, 0)), constant_values=-1), ["TakeRuns_rtl"], 24),
        (PIXELS.repeat(2, 0), ["TakeRing_rtl"], 24),
        (PIXELS.transpose(2, 0, 1), ["TakeRing_rtl"], 1),
    ],
    ids=["rows", "columns", "padding", "repeated", "transposed"],
)
def test_what_is_taken_moves_in_the_largest_groups(index: NDArray[np.int64], found: list[str], group: int) -> None:
    stage = Take("t", (INPUT,), index.shape, index.reshape(-1), fill=-9)
    takes = [unit for unit in plan(network(stage), 4, 64).units if isinstance(unit, units.Take)]
    assert [unit.op for unit in takes] == found
    assert takes[0].group == group


def test_a_reshape_is_no_unit() -> None:
    stage = Take("t", (INPUT,), (192,), np.arange(192))
    assert names(stage, Threshold("p", ("t",), np.tile(np.arange(1, 5), (192, 1)))) == ["Unpack", "Threshold", "Pack"]


def test_a_frame_that_no_part_holds_is_refused() -> None:
    shape = (512, 512, 64)
    stage = Take("t", (INPUT,), shape, np.arange(2**24)[::-1])
    hardware = plan(Network(TensorSpec(shape, 0, 15), (stage,)), 4, 64)
    with pytest.raises(BuildError, match=r"too small .* its bram36"):
        find_folding(hardware, find_board("Pynq-Z2"), margin=0.1)


def test_labels_may_be_chosen_in_hardware() -> None:
    found = names(Dense("d", (INPUT,), RNG.integers(-7, 8, (10, 192))), ArgMax("label", ("d",)))
    assert found == ["Unpack", "MatVec", "ArgMax", "Pack"]


@pytest.mark.parametrize(("lo", "hi"), [(0, 1), (0, 15), (-8, 7), (-9, 0), (-1, 0), (0, 16)])
def test_numbers_hold_their_ends_and_no_bit_is_wasted(lo: int, hi: int) -> None:
    numbers = Numbers.holding(lo, hi)
    assert numbers.lo <= lo <= hi <= numbers.hi
    if numbers.bits > 1:
        narrower = Numbers(numbers.bits - 1, numbers.signed)
        assert narrower.lo > lo or narrower.hi < hi


@pytest.mark.parametrize("even", [False, True], ids=["to even numbers", "plain"])
def test_many_levels_may_be_counted_by_a_line(even: bool) -> None:
    levels = 8 * np.arange(63) - 200 + (np.arange(63) % 2) * even
    built = network(conv("c", INPUT, 3, 4), Threshold("t", ("c",), np.tile(levels, (4, 1)), base=-3))
    unit = threshold(plan(built, 4, 64))
    assert unit.choices()["line"] == (0, 1)
    assert unit.operator({"PE": 1, "line": 1}) == "Requantize_rtl"
    spec = built.tensors["c"]
    x = np.arange(spec.lo, spec.hi + 1)[:, np.newaxis]
    assert unit.lines is not None
    np.testing.assert_array_equal(unit.lines(x)[:, 0], (x >= levels).sum(1))


def test_levels_that_are_on_no_line_are_searched() -> None:
    levels = np.cumsum(1 + np.arange(63) // 2)
    built = network(conv("c", INPUT, 3, 4), Threshold("t", ("c",), np.tile(levels - 200, (4, 1))))
    assert "line" not in threshold(plan(built, 4, 64)).choices()


def test_levels_that_nothing_reaches_are_a_line_too() -> None:
    built = network(conv("c", INPUT, 3, 4), Threshold("t", ("c",), np.full((4, 40), 10**6)))
    lines = threshold(plan(built, 4, 64)).lines
    assert lines is not None and lines.shift >= 1 and not lines(np.array([[-900], [900]])).any()


def test_two_stages_whose_wires_have_one_name_are_refused() -> None:
    stages = (conv("a.b", INPUT, 3, 4), conv("a_b", "a.b", 4, 4))
    with pytest.raises(BuildError, match="expected one unit that gives 'a_b_padded', got 2; rename"):
        plan(network(*stages), 4, 64)
