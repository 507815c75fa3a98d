"""Networks that are set beside each other differ in what is asked about; where their epochs differ, they say so."""

from __future__ import annotations

from bitswath.models.study.report.facts.pairs import (
    companding_pairs,
    dither_pairs,
    longer_pairs,
    mask_pairs,
    width_pairs,
)
from bitswath.models.study.report.findings import masks
from tests.models.study.report.rows import STUDY, network, results, trained


def test_pairs_differ_in_one_thing() -> None:
    found = results(*STUDY)
    assert [(p.what, p.where, p.first.codec, p.second.codec) for p in dither_pairs(found)] == [
        ("ordered dither", "companded 1 bit", "companded:1:ordered", "companded:1")
    ]
    assert [(p.where, p.first.codec, p.second.codec) for p in companding_pairs(found)] == [
        ("1 bit, plain", "companded:1", "uniform:1")
    ]
    (pair,) = width_pairs(found)
    assert (pair.what, pair.where) == ("W2A2 for W4A4", "companded:2:ordered")
    assert (pair.first.widths, pair.second.widths) == ("W2A2", "W4A4")


def test_each_dither_is_compared_with_plain_codes() -> None:
    found = results(
        network("uniform:1", 700),
        network("uniform:1:ordered", 800),
        {**network("uniform:1", 850, seed=0), "dither": "blue16", "codec": "uniform:1:blue16"},
    )
    assert [(p.what, p.second.dither) for p in dither_pairs(found)] == [
        ("blue16 dither", None),
        ("ordered dither", None),
    ]


def test_each_mask_is_compared_with_the_usual_one() -> None:
    blue = {**network("companded:1", 850), "dither": "blue16", "codec": "companded:1:blue16"}
    found = results(network("companded:1", 700), network("companded:1:ordered", 800), blue)
    (pair,) = mask_pairs(found)
    assert (pair.what, pair.where) == ("blue16 for ordered dither", "companded 1 bit")
    assert (pair.first.score.correct, pair.second.score.correct) == (850, 800)
    assert masks(found)[0].startswith("Blue16 for ordered dither: companded 1 bit +5.0 points (")
    assert mask_pairs(results(network("companded:1", 700), blue)) == []


def test_pairs_of_other_epochs_say_so() -> None:
    found = results(
        trained(network("uniform:1", 700), schedule={"epochs": 12}),
        trained(network("uniform:2", 800), schedule={"epochs": 12}),
        trained(network("uniform:1", 600, widths=(2, 2)), schedule={"epochs": 16}),
    )
    (pair,) = width_pairs(found)
    assert pair.where == "uniform:1 (16 epochs against 12)"


def test_other_schedules_are_told() -> None:
    found = results(
        trained(network("uniform:1", 700), schedule={"epochs": 12, "learning_rate": 0.001}),
        trained(network("uniform:2", 800), schedule={"epochs": 12, "learning_rate": 0.001}),
        trained(network("uniform:1", 600, widths=(2, 2)), schedule={"epochs": 12, "learning_rate": 0.0015}),
    )
    assert [pair.where for pair in width_pairs(found)] == ["uniform:1 (learning rate 0.0015 against 0.001)"]


def test_networks_trained_for_longer_stand_beside_the_usual_ones() -> None:
    short, long = ({"epochs": epochs, "seed": 0} for epochs in (8, 24))
    found = results(
        trained(network("uniform:4", 900), schedule=short),
        trained(network("uniform:4", 910), schedule=long),
        trained(network("uniform:2", 800), schedule=short),
    )
    (pair,) = longer_pairs(found)
    assert (pair.what, pair.where) == ("longer training", "uniform:4 (24 epochs against 8)")
    assert (pair.first.score.correct, pair.second.score.correct) == (910, 900)


def test_pairs_of_another_setting_or_of_jpeg_say_so() -> None:
    found = results(
        *STUDY,
        *(network(codec, 800, architecture="resnet") for codec in ("uniform:1", "companded:1")),
        *(network(codec, 800, source="jpeg:75:420") for codec in ("uniform:1", "companded:1")),
    )
    assert [pair.where for pair in companding_pairs(found)] == [
        "1 bit, plain", "1 bit, plain of JPEG 75", "1 bit, plain, resnet W4A4",
    ]  # fmt: skip


def test_widths_of_several_architectures_are_named() -> None:
    usual = network("companded:2:ordered", 900, architecture="resnet")
    narrow = network("companded:2:ordered", 800, widths=(2, 2), architecture="resnet")
    assert [p.where for p in width_pairs(results(*STUDY, usual, narrow))] == [
        "companded:2:ordered, resnet", "companded:2:ordered",
    ]  # fmt: skip
