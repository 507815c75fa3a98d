"""Sentences say what the rows say, and nothing where rows are missing."""

from __future__ import annotations

import pytest

from bitswath.models.study.report.findings import (
    FINDINGS,
    companding,
    dithering,
    equal_bytes,
    fewest_bits,
    fewest_bytes,
    findings,
    hardware,
    leaking,
    quantization,
    seeds,
    widths,
)
from tests.models.study.report.rows import PEERS, STUDY, build, first_right, imagery, network, results, trained


def test_the_fewest_bits_within_the_margin_are_named_with_their_rule() -> None:
    (sentence,) = fewest_bits(results(*STUDY))
    assert "Of 5 codecs with fewer bits than uniform:8 (24 bits a pixel): 96.5 %" in sentence
    assert "the one of fewest bits within 1 point is companded:2:ordered (6 bits a pixel): 96.3 %" in sentence
    assert "its whole 95 % interval lies above -1 point" in sentence


def test_without_proof_the_nearest_is_named_and_not_called_enough() -> None:
    rows = [{**row, "measures": {**row["measures"], "hits": None}} for row in STUDY]
    (sentence,) = fewest_bits(results(*rows))
    assert sentence.startswith("No codec of fewer bits is shown to be within 1 point of uniform:8")
    assert "nearest is companded:2:ordered" in sentence
    assert "within noise" in sentence


def test_quantization_costs_the_difference_to_the_float_network() -> None:
    (sentence,) = quantization(results(*STUDY))
    assert "float network reaches 97.0 %" in sentence
    assert "vgg W4A4 96.5 %" in sentence
    assert "-0.5 points" in sentence


def test_quantization_is_of_one_architecture_and_says_what_it_starts_from() -> None:
    other = network("uniform:8", 970, widths=None, architecture="resnet")
    assert quantization(results(network("uniform:8", 960), other)) == []
    whole = trained(network("uniform:8", 970, widths=None), schedule={"epochs": 12})
    start = {"cell": whole["digest"], "weights": True}
    reference = trained(network("uniform:8", 960), schedule={"epochs": 16}, start=start)
    (sentence,) = quantization(results(whole, reference))
    assert "(16 epochs against 12); uniform:8 vgg W4A4 starts from a float network, so the difference" in sentence


def test_dither_and_companding_say_what_they_buy() -> None:
    assert dithering(results(*STUDY))[0].startswith("Ordered dither: companded 1 bit +12.0 points (")
    assert companding(results(*STUDY))[0].startswith("Companded levels: 1 bit, plain +10.0 points (")
    assert widths(results(*STUDY))[0].startswith("W2A2 for W4A4: companded:2:ordered -1.8 points (")


def test_a_difference_whose_interval_includes_zero_is_noise() -> None:
    same = network("uniform:2", 900), network("uniform:2:ordered", 903)
    (sentence,) = dithering(results(*same))
    assert "+0.3 points" in sentence
    assert "within noise" in sentence
    (sentence,) = dithering(results(network("uniform:2", 800), network("uniform:2:ordered", 903)))
    assert "noise" not in sentence


def test_the_fewest_bytes_are_compared_at_an_accuracy_both_reach() -> None:
    sentence, equal = fewest_bytes(results(*STUDY))
    assert sentence.startswith(
        "At a measured accuracy of 96 % or more the fewest bytes a patch are 800 (companded:2:ordered in webp"
    )
    assert "with JPEG 1,800 (JPEG 75" in sentence
    assert "companded:2:ordered in webp needs 2.2 times fewer. Of each JPEG 609 bytes are headers" in sentence
    assert sentence.endswith("would have 1,191 here.")
    assert "400 (palette:2 in png" in equal
    assert "700 (JPEG 10" in equal


def test_jpeg_wins_where_it_is_smaller() -> None:
    rows = [row for row in STUDY if row["kind"] != "container"]
    assert "JPEG 75 needs 1.7 times fewer." in fewest_bytes(results(*rows))[0]


def test_each_format_has_its_fewest_bytes() -> None:
    told = fewest_bytes(results(*STUDY, *PEERS))
    assert [sentence[: sentence.index(" or more")] for sentence in told] == [
        "At a measured accuracy of 95 %", "At a measured accuracy of 94 %", "At a measured accuracy of 96 %"
    ]  # fmt: skip
    assert "900 (transform:B=900, 96.5 % (95.2-97.5)), with WebP 400 (WebP 50, shared head" not in told[0]
    assert (
        "are 800 (companded:2:ordered in webp, 96.3 % (94.9-97.3)), with WebP 400 (WebP 50, shared head, 95" in told[0]
    )
    assert "WebP 50, shared head needs 2.0 times fewer." in told[0]
    assert "are 400 (transform:B=400, 94.0 % (92.4-95.3)), with JPEG XL 500 (JPEG XL distance 3, 94.0 %" in told[1]


def test_frames_are_compared_with_each_format_at_equal_bytes() -> None:
    jpeg, webp, jxl, standing = equal_bytes(results(*STUDY, *PEERS))
    assert jpeg.startswith("Transform minus JPEG at equal bytes: 50 bytes, whose smallest have 700 -11.0 points (")
    assert webp.startswith(
        "Transform minus WebP, shared head at equal bytes: 50 bytes, whose smallest have 100 -1.0 points"
    )
    assert "; 200 bytes +3.0 points (" in webp
    assert webp.count(" bytes") == 4 and "900" not in webp
    assert jxl.startswith("Transform minus JPEG XL at equal bytes: ")
    assert standing == (
        "Of these 7 comparisons at equal bytes transform frames are ahead in 6, behind in 1"
        " (WebP, shared head at 400), within noise in 0."
    )
    assert equal_bytes(results(*STUDY)) == []


def test_the_leak_is_said_loudly_and_only_there() -> None:
    rule = {name: {"accuracy": n / 500, "correct": n} for name, n in (("per_class", 490), ("shared", 50))}
    leaky = (
        imagery("palette:2", codebook="per_class", measures={"palette_rule": rule}),
        network("palette:2", 995, codebook="per_class", hits=first_right(995)),
    )
    honest, both = results(*STUDY), results(*STUDY, *leaky)
    (sentence,) = leaking(both)
    assert sentence.startswith("LEAK, palettes of 2 bit: rule, palettes by class: LEAKS 98.0 % (96.4-98.9)")
    assert "rule, one palette for all 10.0 %" in sentence
    assert "network, palettes by class: LEAKS 99.5 %" in sentence
    assert "network, one palette for all 88.0 %" in sentence
    assert findings(both) == [*findings(honest), sentence]


def test_each_board_has_its_fastest_build() -> None:
    rows = (
        network("uniform:8", 965, hardware=[build("Pynq-Z2", 900.0, 40_000), build("ZCU104", 4000.0, 90_000)]),
        network("uniform:4", 960, hardware=[build("Pynq-Z2", 1200.0, 30_000), {"error": "damaged"}]),
    )
    pynq, zcu = hardware(results(*rows))
    assert pynq.startswith("On Pynq-Z2 the fastest build, uniform:4 vgg W4A4 (96.0 %")
    assert "takes 1,200 patches/s at 100 MHz in 30,000 LUT, 40.5 RAMB36 and 0 DSP" in pynq
    assert "uniform:8" in zcu
    assert "energy is not measured" in zcu
    energy = {"energy_j": 0.00123, "energy_low_j": 0.001, "energy_high_j": 0.0015}
    measured = network("uniform:4", 960, hardware=[build("Pynq-Z2", 1200.0, 30_000) | energy])
    assert "1.23 mJ a patch (1 to 1.5)" in hardware(results(measured))[0]


def test_seeds_say_how_far_they_spread() -> None:
    (sentence,) = seeds(results(*(network("uniform:4", 900 + 5 * seed, seed=seed) for seed in range(3))))
    assert sentence == "Networks that differ in their seed alone lie up to 1.0 points apart (1 tried)."


def test_another_recipe_is_not_another_seed() -> None:
    short, long = ({"epochs": epochs, "seed": 0} for epochs in (12, 16))
    rows = [trained(network("uniform:4", 900), schedule=short), trained(network("uniform:4", 950), schedule=long)]
    assert seeds(results(*rows)) == []
    again = trained(network("uniform:4", 907, seed=1), schedule={**short, "seed": 1})
    (sentence,) = seeds(results(*rows, again))
    assert "up to 0.7 points apart (1 tried)" in sentence


@pytest.mark.parametrize("find", FINDINGS)
def test_nothing_is_found_in_nothing(find: object) -> None:
    assert find(results()) == []  # type: ignore[operator]
    assert find(results(imagery("uniform:8"))) == []  # type: ignore[operator]
    assert find(results(network("uniform:8", 900))) == []  # type: ignore[operator]
