"""Figures show the rows, can be told apart without colour, and their labels do not lie on each other."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.text import Annotation

from bitswath.models.study.report.facts.labels import Label, place_labels
from bitswath.models.study.report.facts.results import Results
from bitswath.models.study.report.figures.bits import accuracy_by_bits
from bitswath.models.study.report.figures.bytes import accuracy_by_bytes
from bitswath.models.study.report.figures.confusion import confusion_matrices
from bitswath.models.study.report.figures.differences import differences, leak
from bitswath.models.study.report.figures.hardware import accuracy_by_hardware
from bitswath.models.study.report.figures.lossy import equal_bytes
from bitswath.models.study.report.figures.style import Picture, look_of, new_figure, percent_axis, rendered, styled
from tests.models.study.report.rows import PEERS, STUDY, build, imagery, network, results

BUILT = network("uniform:4", 960, hardware=[build("Pynq-Z2", 1200.0, 30_000), build("ZCU104", 5000.0, 95_000)])


def drawn(picture: Picture) -> bytes:
    assert picture.figure is not None
    return rendered(picture.figure, "svg")


def overlaps(picture: Picture) -> list[tuple[str, str]]:
    """Pairs of annotations whose boxes share some area."""
    assert picture.figure is not None
    picture.figure.draw_without_rendering()
    found = []
    for axes in picture.figure.axes:
        labels = [text for text in axes.texts if isinstance(text, Annotation)]
        boxes = [(text.get_text(), super(Annotation, text).get_window_extent()) for text in labels]
        found += [(a, b) for (a, one), (b, other) in itertools.combinations(boxes, 2) if one.overlaps(other)]
    return found


@pytest.fixture(scope="module")
def study() -> Results:
    return results(*STUDY, BUILT)


@pytest.mark.parametrize("draw", [accuracy_by_bits, accuracy_by_bytes, accuracy_by_hardware, differences])
def test_labels_do_not_lie_on_each_other(draw: object, study: Results) -> None:
    with styled():
        picture = draw(study)  # type: ignore[operator]
        assert overlaps(picture) == []


def test_bits_are_drawn_with_their_series_and_references_named(study: Results) -> None:
    with styled():
        picture = accuracy_by_bits(study)
    assert picture.figure is not None
    axes = picture.figure.axes[0]
    names = {text.get_text() for text in axes.texts}
    assert {"uniform", "companded", "companded, ordered dither", "palette"} <= names
    assert "float network, 8-bit patches: 97.0 %" in names
    assert "W4A4, 8-bit codes: 96.5 %" in names
    heights = [y for line in axes.lines for y in np.atleast_1d(line.get_ydata())]
    for accuracy in (70.0, 80.0, 92.0, 96.3, 88.0, 96.5, 97.0, 94.5):
        assert any(abs(height - accuracy) < 1e-9 for height in heights)


def test_the_front_is_named_in_the_figure_and_below_it(study: Results) -> None:
    with styled():
        picture = accuracy_by_bytes(study)
    assert picture.figure is not None
    names = {text.get_text() for text in picture.figure.axes[0].texts}
    assert {"palette:2 in png", "companded:2:ordered in webp"} <= names
    assert "palette:2 in png (400 B); JPEG 10 (700 B); companded:2:ordered in webp (800 B)" in picture.caption


def test_several_formats_are_lines_of_their_own_and_named() -> None:
    with styled():
        picture = accuracy_by_bytes(results(*STUDY, *PEERS))
        assert overlaps(picture) == []
    assert picture.figure is not None
    axes = picture.figure.axes[0]
    assert {"JPEG", "WebP", "JPEG XL", "transform"} <= {text.get_text() for text in axes.texts}
    lines = [list(map(float, line.get_xdata())) for line in axes.lines if len(line.get_xdata()) > 1]
    for sizes in ([100, 400], [120, 420], [300, 500], [50, 200, 400, 900], [700, 1800]):
        assert sizes in lines
    shown = {text.get_text() for text in picture.figure.legends[0].get_texts()}
    assert {"WebP, shared head", "JPEG XL", "transform", "not filled: whole files"} <= shown
    assert "without what is the same in every file" in picture.caption


def test_frames_beside_formats_are_drawn_at_their_bytes() -> None:
    with styled():
        picture = equal_bytes(results(*STUDY, *PEERS))
    assert picture.figure is not None
    axes = picture.figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["50", "200", "400", "900"]
    heights = [y for line in axes.lines for y in np.atleast_1d(line.get_ydata())]
    for points in (-1.0, 3.0, -11.0):
        assert any(abs(height - points) < 1e-6 for height in heights)
    assert equal_bytes(results(*STUDY)).figure is None
    assert equal_bytes(results(*STUDY)).caption == ""


def test_bits_of_compressed_frames_get_few_ticks() -> None:
    rows = [
        imagery(f"transform:B={b}", code_bits_per_pixel=8 * b / 4096, link_bytes=float(b)) for b in (50, 200, 400, 900)
    ]
    with styled():
        picture = accuracy_by_bits(results(*STUDY, *PEERS, *rows))
    assert picture.figure is not None
    axes = picture.figure.axes[0]
    assert [float(tick) for tick in axes.get_xticks()] == [0.125, 0.25, 0.5, 1, 2, 3, 6, 24]
    assert axes.get_xlim()[0] < 8 * 50 / 4096


def test_without_builds_the_figure_says_how_to_get_them() -> None:
    picture = accuracy_by_hardware(results(*STUDY))
    assert picture.figure is None
    assert "bitswath build" in picture.caption


def test_confusion_matrices_share_one_scale(study: Results) -> None:
    with styled():
        picture = confusion_matrices(study)
    assert picture.figure is not None
    panels = [axes for axes in picture.figure.axes if axes.images]
    assert [axes.get_title() for axes in panels[:2]] == ["uniform:8, W4A4: 96.5 %", "palette:2, W4A4: 88.0 %"]
    assert {axes.images[0].get_clim() for axes in panels} == {(0, 100)}
    assert len(panels) == 4


def test_another_architecture_is_named_in_titles_and_labels() -> None:
    other = network("uniform:8", 940, widths=(2, 1), architecture="resnet", hardware=[build("ZCU104", 9000.0, 9_000)])
    study = results(*STUDY, BUILT, other)
    with styled():
        confusion, hardware = confusion_matrices(study), accuracy_by_hardware(study)
    assert confusion.figure is not None
    assert hardware.figure is not None
    assert "uniform:8, resnet W2A1: 94.0 %" in [axes.get_title() for axes in confusion.figure.axes]
    names = {text.get_text() for text in hardware.figure.axes[0].texts}
    assert names == {"uniform:4, W4A4", "uniform:8, resnet W2A1"}


def test_other_widths_are_within_the_axis_and_none_is_dropped_unsaid() -> None:
    widths = [(8, 8), (6, 6), (3, 3), (2, 2), (1, 2), (1, 1)]
    rows = [network("uniform:8", 950 - place, widths=pair) for place, pair in enumerate(widths)]
    with styled():
        picture = accuracy_by_bits(
            results(imagery("uniform:8"), network("uniform:2", 900), network("uniform:1", 900), *rows)
        )
    assert picture.figure is not None
    axes = picture.figure.axes[0]
    assert axes.get_xlim()[1] > 24
    assert 24 in axes.get_xticks()
    assert picture.caption.endswith("Not drawn, for want of markers: W1A1.")


def test_leaks_are_labelled_and_absent_from_honest_figures(study: Results) -> None:
    rule = {name: {"accuracy": n / 500, "correct": n} for name, n in (("per_class", 490), ("shared", 50))}
    leaky = imagery("palette:2", codebook="per_class", measures={"palette_rule": rule})
    both = results(*STUDY, BUILT, leaky, network("palette:2", 999, codebook="per_class"))
    assert leak(study).figure is None
    with styled():
        picture = leak(both)
        assert "LEAKING" in picture.title
        assert picture.figure is not None
        texts = [text.get_text() for text in picture.figure.legends[0].get_texts()]
        assert sum("LEAKS" in text for text in texts) == 2
        for draw in (accuracy_by_bytes, differences):
            assert drawn(draw(both)) == drawn(draw(study))


def test_no_figure_of_nothing() -> None:
    for draw in (accuracy_by_bits, accuracy_by_bytes, accuracy_by_hardware, confusion_matrices, differences):
        picture = draw(results())
        assert picture.figure is None
        assert picture.caption.startswith("Left out: ")


def test_the_same_rows_give_the_same_bytes(study: Results) -> None:
    with styled():
        one, other = accuracy_by_bits(study), accuracy_by_bits(study)
    assert drawn(one) == drawn(other)


def test_series_differ_by_more_than_colour() -> None:
    dithers = ["ordered", "blue16", "ordered4"]
    series = [(kind, dither) for kind in ("uniform", "companded", "palette") for dither in (None, *dithers)]
    looks = [look_of(*one, dithers) for one in series]
    assert len({(look.marker, look.line) for look in looks}) == len(series)
    assert len({look.marker for look in looks}) == len(series)


def test_a_crowd_of_labels_finds_room() -> None:
    seed = 3
    random = np.random.default_rng(seed)
    with styled():
        figure = new_figure(8, 5)
        axes = figure.add_subplot()
        points = random.uniform(0, 1, (14, 2)) * (1, 0.2) + (0, 0.4)
        axes.plot(*points.T, "o")
        axes.set(xlim=(-0.2, 1.2), ylim=(0, 1))
        place_labels(axes, [Label(f"label {index}", [tuple(point)]) for index, point in enumerate(points)])
        assert overlaps(Picture("crowd", "", "", figure)) == [], f"seed {seed}"


def test_a_label_stands_at_a_point_in_the_frame() -> None:
    with styled():
        axes = new_figure(4, 3).add_subplot()
        axes.set_xlim(2.3, 30)
        place_labels(axes, [Label("a line over the whole width", [(2.2, 0.5), (10.0, 0.5)])])
    assert [text.xy for text in axes.texts if isinstance(text, Annotation)] == [(10.0, 0.5)]


def test_a_wide_range_is_drawn_by_its_errors() -> None:
    with styled():
        axes = new_figure(4, 3).add_subplot()
        percent_axis(axes, [60.0, 98.0])
        assert axes.get_yscale() == "function"
        low, high = axes.get_ylim()
        assert low < 60 < 98 < high < 101
        percent_axis(other := new_figure(4, 3).add_subplot(), [90.0, 98.0])
        assert other.get_yscale() == "linear"
