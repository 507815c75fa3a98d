"""Rows become networks, codecs and stored codes, each with what was measured and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from bitswath.basics.proportions import difference_interval, paired_difference_interval
from bitswath.errors import StudyError
from bitswath.models.study.report.facts.compare import difference
from bitswath.models.study.report.facts.results import dither_name
from bitswath.models.study.report.figures.confusion import class_names, report_of
from tests.models.study.report.rows import CLASSES, STUDY, first_right, imagery, network, results, waiting


def test_a_study_is_scored_on_test_and_a_screen_on_validation() -> None:
    full, quick = network("uniform:4", 900), network("uniform:2", 800, split="val")
    assert [(n.codec, n.score.correct) for n in results(full, quick).networks] == [("uniform:4", 900)]
    assert [(n.codec, n.score.correct) for n in results(full, quick, fidelity="quick").networks] == [("uniform:2", 800)]


def test_a_network_knows_the_bits_and_bytes_of_its_codec() -> None:
    found = results(*STUDY)
    by_name = {n.name: n for n in found.networks if n.widths == "W4A4"}
    assert by_name["companded:2:ordered"].bits_per_pixel == 6
    assert by_name["palette:2"].bits_per_pixel == 2
    assert by_name["uniform:8 of JPEG 75"].source_bytes == 1800.0


def test_bits_follow_from_the_frame_where_the_codec_was_not_measured() -> None:
    found = results(imagery("uniform:8"), network("uniform:4", 900))
    assert found.networks[0].bits_per_pixel == 12


def test_a_float_network_has_no_widths() -> None:
    floating = results(*STUDY).networks[0]
    assert (floating.widths, str(floating.setting)) == ("float", "vgg float")


@pytest.mark.parametrize(
    ("value", "name"), [(True, "ordered"), (False, None), (None, None), ("blue16", "blue16"), ("", None)]
)
def test_a_dither_is_named_by_older_rows_too(value: object, name: str | None) -> None:
    assert dither_name(value) == name


def test_what_is_missing_says_why() -> None:
    found = results(waiting(network("uniform:4", 1)), waiting(network("uniform:2", 1), "no room"), imagery("uniform:4"))
    assert [missing.reason for missing in found.missing] == ["not done yet", "failed: no room"]
    assert found.networks == ()


def test_hits_that_contradict_the_accuracy_are_refused() -> None:
    with pytest.raises(StudyError, match="900 of 1000 are right, its hits say 899 of 1000"):
        results(network("uniform:4", 900, hits=first_right(899)))


def test_differences_are_paired_where_both_have_hits() -> None:
    first, second = results(
        network("uniform:4", 930, hits=first_right(930)), network("uniform:2", 910, hits=first_right(910))
    ).networks
    found = difference(first, second)
    hits = [[place < count for place in range(1000)] for count in (930, 910)]
    assert (found.low, found.high) == paired_difference_interval(*hits)
    assert (found.paired, found.is_noise) == (True, False)
    assert found.value == pytest.approx(0.02)


def test_differences_without_hits_are_those_of_two_samples() -> None:
    first, second = results(network("uniform:4", 930, hits=first_right(930)), network("uniform:2", 910)).networks
    found = difference(first, second)
    assert (found.low, found.high) == difference_interval((930, 1000), (910, 1000))
    assert (found.paired, found.is_noise) == (False, True)
    assert str(found) == "+2.0 points (-0.4 to 4.4, within noise)"


def test_hits_on_other_patches_are_not_paired() -> None:
    first = network("uniform:4", 930, hits=first_right(930))
    other = network("uniform:2", 910, hits=first_right(910))
    other["cell"]["imagery"]["data"] = {"name": "eurosat", "limit": 1000}
    one, two = results(first, other).networks
    assert not difference(one, two).paired


def test_classes_are_named_in_the_order_of_the_matrix_though_the_store_sorts_them() -> None:
    found = results(network("uniform:4", 700)).networks[0]
    report = report_of(found, "test")
    classes = found.row["measures"]["test"]["classes"]
    assert report.classes == CLASSES
    backwards = dict(sorted(classes.items(), reverse=True))
    assert class_names(backwards, report.matrix) in (CLASSES, ("class 0", "class 1", "class 2"))
    shifted = report.matrix[[2, 0, 1]][:, [2, 0, 1]]
    assert class_names(classes, shifted) in (("lake", "crop", "forest"), ("class 0", "class 1", "class 2"))


def test_classes_that_counts_do_not_tell_apart_are_numbers() -> None:
    classes = {name: {"patches": n, "correct": n, "predicted": n} for name, n in (("a", 1), ("b", 2), ("c", 2))}
    assert class_names(classes, np.diag([2, 1, 2])) == ("class 0", "class 1", "class 2")
    assert class_names(classes, np.diag([1, 2, 2])) == ("a", "b", "c")


def test_what_others_start_from_is_compared_only_where_it_is_their_float_line() -> None:
    rows = [
        network("uniform:4", 900, origin=True),
        network("uniform:4", 950, seed=1),
        network("uniform:8", 980, widths=None, origin=True),
    ]
    assert [found.score.correct for found in results(*rows).honest] == [950, 980]
