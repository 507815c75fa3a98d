"""The figures of a report agree with scipy and scikit-learn, and its picture can be read."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from PIL import Image
from rich.console import Console
from sklearn import metrics

from bitswath.basics.proportions import difference_interval, paired_difference_interval, wilson_interval
from bitswath.errors import InputError
from bitswath.evaluation.confusion import confusion_figure, save_confusion_picture
from bitswath.evaluation.report import Report, class_table, confusion_matrix

CLASSES = ("forest", "river", "sea lake")
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
GUESSES = np.array([0, 1, 0, 1, 1, 2, 2, 2, 0, 2])


@settings(deadline=None)
@given(data=st.data(), total=st.integers(1, 100_000))
def test_the_interval_ends_where_the_score_test_at_5_percent_does(data: st.DataObject, total: int) -> None:
    correct = data.draw(st.integers(0, total))
    low, high = wilson_interval(correct, total)
    assert 0 <= low <= correct / total <= high <= 1
    for bound in {low, high} - {0.0, 1.0}:
        score = (correct / total - bound) / np.sqrt(bound * (1 - bound) / total)
        assert abs(score) == pytest.approx(1.959964, abs=1e-5)


def test_the_interval_is_the_textbooks() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), table I, method 3."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@pytest.mark.parametrize(("correct", "total"), [(0, 0), (2, 1), (-1, 3)])
def test_an_impossible_count_has_no_interval(correct: int, total: int) -> None:
    with pytest.raises(InputError, match=f"{correct} of {total}"):
        wilson_interval(correct, total)


def test_the_interval_of_a_difference_is_the_publisheds() -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 873-890, table II, method 10."""
    assert difference_interval((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert difference_interval((9, 10), (3, 10)) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert difference_interval((5, 56), (0, 29)) == pytest.approx((-0.0381, 0.1926), abs=5e-5)
    assert difference_interval((0, 10), (0, 20)) == pytest.approx((-0.1611, 0.2775), abs=5e-5)
    assert difference_interval((10, 10), (0, 10)) == pytest.approx((0.6075, 1.0), abs=5e-5)


def paired_counts(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[int], list[int]]:
    first = [1] * (both + only_first) + [0] * (only_second + neither)
    return first, [1] * both + [0] * only_first + [1] * only_second + [0] * neither


def test_the_interval_of_a_paired_difference_is_the_publisheds() -> None:
    """What the R package contingencytables 3.1 (Fagerland, Lydersen and Laake) gives for Cavo et al. (2012)."""
    assert paired_difference_interval(*paired_counts(59, 6, 16, 80)) == pytest.approx((-0.1186, -0.0046), abs=5e-5)


@settings(deadline=None, max_examples=50)
@given(counts=st.tuples(*[st.integers(0, 400)] * 4).filter(any))
def test_a_paired_difference_turns_round_with_its_sides(counts: tuple[int, int, int, int]) -> None:
    first, second = paired_counts(*counts)
    low, high = paired_difference_interval(first, second)
    assert paired_difference_interval(second, first) == pytest.approx((-high, -low))
    assert -1 <= low <= np.mean(first) - np.mean(second) <= high <= 1


def test_a_paired_difference_covers_the_true_one_nineteen_times_in_twenty() -> None:
    seed = 11
    random = np.random.default_rng(seed)
    covered = []
    for _ in range(1500):
        cells = random.choice(4, 300, p=(0.85, 0.06, 0.03, 0.06))
        low, high = paired_difference_interval(cells < 2, cells % 2 == 0)
        covered.append(low <= 0.03 <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02), f"seed {seed}"


def test_hits_on_the_same_patches_tell_more_than_two_samples() -> None:
    first, second = paired_counts(900, 30, 10, 60)
    low, high = paired_difference_interval(first, second)
    wide_low, wide_high = difference_interval((930, 1000), (910, 1000))
    assert wide_low < 0 < low < high < wide_high


@pytest.mark.parametrize(("first", "second"), [([1, 0], [1]), ([], []), ([2, 0], [1, 0])])
def test_hits_that_do_not_fit_are_refused(first: list[int], second: list[int]) -> None:
    with pytest.raises(InputError, match="hits"):
        paired_difference_interval(first, second)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(0, 200), classes=st.integers(1, 12))
def test_the_matrix_is_scikit_learns(seed: int, size: int, classes: int) -> None:
    labels, guesses = np.random.default_rng(seed).integers(0, classes, (2, size))
    expected = (
        metrics.confusion_matrix(labels, guesses, labels=list(range(classes))) if size else np.zeros((classes, classes))
    )
    np.testing.assert_array_equal(confusion_matrix(labels, guesses, classes), expected)


@pytest.mark.parametrize(
    ("labels", "guesses", "named"),
    [
        ([0, 1], [0], "one prediction a label, got 1 for 2"),
        ([0, 3], [0, 0], r"labels.*0\.\.2, got int64 0\.\.3"),
        ([0, 0], [0, -1], r"predictions.*0\.\.2, got int64 -1\.\.0"),
        ([0.0, 1.0], [0, 1], "labels.*float64"),
        (["a"], [0], "labels.*<U1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: list[object], guesses: list[int], named: str) -> None:
    with pytest.raises(InputError, match=named):
        confusion_matrix(labels, guesses, 3)  # type: ignore[arg-type]


def test_scores_per_class_are_scikit_learns() -> None:
    report = Report.of(LABELS, GUESSES, CLASSES)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(LABELS, GUESSES)
    assert [score.precision for score in report.scores] == pytest.approx(precision)
    assert [score.recall for score in report.scores] == pytest.approx(recall)
    assert [score.f1 for score in report.scores] == pytest.approx(f1)
    assert [score.patches for score in report.scores] == support.tolist()
    assert report.accuracy == metrics.accuracy_score(LABELS, GUESSES) == 0.8
    assert report.interval == wilson_interval(8, 10)


def test_a_class_that_never_came_has_no_share() -> None:
    absent = Report.of([0, 0], [0, 0], CLASSES).scores[2]
    assert (absent.recall, absent.precision, absent.f1) == (None, None, None)


def test_the_report_is_plain_json() -> None:
    told = json.loads(json.dumps(Report.of(LABELS, GUESSES, CLASSES).to_dict()))
    assert told["accuracy"] == 0.8
    assert told["patches"] == 10
    assert told["classes"]["river"] == {
        "patches": 2,
        "correct": 2,
        "predicted": 3,
        "precision": 2 / 3,
        "recall": 1.0,
        "f1": 0.8,
    }
    assert np.trace(told["confusion_matrix"]) == 8


def test_a_report_without_patches_has_no_accuracy() -> None:
    empty = Report.of(np.array([], int), np.array([], int), CLASSES)
    with pytest.raises(InputError, match="at least one"):
        _ = empty.accuracy
    with pytest.raises(InputError, match="at least one"):
        class_table(empty)


def test_the_table_shows_each_class_and_the_whole() -> None:
    text = io.StringIO()
    Console(file=text, width=120).print(class_table(Report.of(LABELS, GUESSES, CLASSES), "val"))
    lines = {line.split("│")[1].strip(): line for line in text.getvalue().splitlines() if line.startswith("│")}
    assert set(lines) == {*CLASSES, "all"}
    assert [cell.strip() for cell in lines["forest"].split("│")[2:-1]] == ["3", "2", "66.7", "66.7", "river (1)"]
    assert [cell.strip() for cell in lines["all"].split("│")[2:-1]] == ["10", "8", "80.0", "", "95 %: 49.0-94.3"]


@pytest.mark.parametrize("ending", ["PNG", "svg", "pdf"])
def test_the_picture_is_written_in_the_format_asked_for(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"c.{ending}"
    save_confusion_picture(Report.of(LABELS, GUESSES, CLASSES), path, "EuroSAT")
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(starts[ending.lower()])
    assert list(tmp_path.iterdir()) == [path]


def test_the_picture_shows_every_count_title_and_class() -> None:
    report = Report.of(LABELS, GUESSES, CLASSES)
    axes = confusion_figure(report, "EuroSAT").axes[0]
    shown = {(int(t.get_position()[1]), int(t.get_position()[0])): t.get_text() for t in axes.texts}
    assert shown == {cell: str(n) if n else "·" for cell, n in np.ndenumerate(report.matrix)}
    assert axes.get_title() == "EuroSAT\n80.00 % of 10 patches correct (95 %: 49.02-94.33)"
    assert [t.get_text() for t in axes.get_yticklabels()] == list(CLASSES)


def shades(axes: Axes) -> np.ndarray:
    """RGBA of each cell, 0..1."""
    image = axes.images[0]
    return np.asarray(image.cmap(image.norm(np.asarray(image.get_array()))))


def test_a_darker_cell_is_a_larger_share_in_grey_print_too(tmp_path: Path) -> None:
    matrix = np.array([[0, 1, 2, 3, 4, 5, 6, 7]]).repeat(8, 0)
    axes = confusion_figure(Report(tuple("abcdefgh"), matrix)).axes[0]
    grey = Image.fromarray((shades(axes) * 255).astype("u1")).convert("L")
    assert (np.diff(np.asarray(grey, int)[0]) < 0).all()


def test_the_numbers_stand_out_from_their_cells() -> None:
    """WCAG 2 contrast of at least 3:1 at shares of 0, 10, ... 100 %."""
    matrix = np.zeros((11, 11), int)
    matrix[:, 0], matrix[:, 1] = np.arange(0, 101, 10), 100 - np.arange(0, 101, 10)
    axes = confusion_figure(Report(tuple("abcdefghijk"), matrix)).axes[0]
    cells = shades(axes)[..., :3]

    def luminance(rgb: np.ndarray) -> float:
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    for text in axes.texts:
        column, row = map(int, text.get_position())
        ink = 1.0 if text.get_color() == "white" else 0.0
        low, high = sorted((ink, luminance(cells[row, column])))
        assert (high + 0.05) / (low + 0.05) >= 3


def test_an_unknown_picture_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"png, svg, pdf, not 'xyz'"):
        save_confusion_picture(Report.of(LABELS, GUESSES, CLASSES), tmp_path / "c.xyz")
