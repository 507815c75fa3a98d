"""Example patches are what codecs make of them, from the study's own data or from another's that is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bitswath.codecs.uniform import UniformCodec
from bitswath.errors import DatasetError
from bitswath.models.data.datasets import load_dataset
from bitswath.models.study.report.facts.examples import Examples, NoExamples, borrowed_examples, own_examples
from bitswath.models.study.report.figures.examples import GAP, example_patches, shown
from bitswath.models.study.report.figures.style import styled
from bitswath.models.study.work.patches import Shelf
from tests.models.study.report.rows import Row, imagery, results


def measured(codec: str, name: str = "synthetic") -> Row:
    """An imagery row of a small synthetic data set, with its codec as it was measured."""
    row = imagery(codec)
    row["cell"]["imagery"]["data"] = {"name": name, "limit": 30, "size": 16}
    spec = UniformCodec(row["bits"], row["dither"])
    return {**row, "measures": {"codec": spec.to_dict()}}


def test_the_studys_own_patches_go_through_the_codecs_as_measured(tmp_path: Path) -> None:
    found = own_examples(results(measured("uniform:2"), measured("uniform:1:ordered")), Shelf(tmp_path))
    assert isinstance(found, Examples)
    split = load_dataset("synthetic", "val", limit=30, size=16)
    assert all(any(np.array_equal(patch, own) for own in split.patches) for patch in found.patches)
    assert len(set(found.names)) == 3
    codec = UniformCodec(1, "ordered")
    np.testing.assert_array_equal(found.decoded[("uniform", "ordered"), 1], codec.decode(codec.encode(found.patches)))
    assert "synthetic, split val" in found.source


def test_patches_on_the_shelf_do_without_the_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = results(measured("uniform:2"))
    first = own_examples(study, Shelf(tmp_path))
    monkeypatch.setattr("bitswath.models.study.work.patches.load_configured", None)
    again = own_examples(study, Shelf(tmp_path))
    assert isinstance(first, Examples)
    assert isinstance(again, Examples)
    np.testing.assert_array_equal(first.patches, again.patches)


def test_without_the_data_set_examples_are_left_out_with_the_reason(tmp_path: Path) -> None:
    found = own_examples(results(measured("uniform:2", "eurosat")), Shelf(tmp_path, str(tmp_path)))
    assert isinstance(found, NoExamples)
    assert "'eurosat' is not in" in found.reason
    picture = example_patches(found)
    assert picture.figure is None
    assert "--examples NAME" in picture.caption


def test_other_patches_are_coded_with_codecs_fitted_to_them() -> None:
    found = borrowed_examples(results(measured("uniform:2", "eurosat"), imagery("companded:1")), "synthetic", None)
    assert isinstance(found, Examples)
    assert found.source.startswith("synthetic, not the study's own data")
    assert found.patches.shape == (3, 64, 64, 3)
    assert set(found.decoded) == {(("uniform", None), 2), (("companded", None), 1)}
    for band in range(3):
        assert len(np.unique(found.decoded[("companded", None), 1][..., band])) <= 2


def test_an_unknown_data_set_is_an_error() -> None:
    with pytest.raises(DatasetError, match="no data set 'nowhere'"):
        borrowed_examples(results(measured("uniform:2")), "nowhere", None)


def test_every_pixel_of_a_patch_is_in_the_picture_and_missing_codecs_leave_a_gap() -> None:
    patches = np.random.default_rng(4).integers(0, 255, (1, 64, 64, 3), np.uint8)
    decoded = {(("uniform", None), 4): patches // 2, (("uniform", "ordered"), 1): patches // 3}
    with styled():
        picture = example_patches(Examples("here", ("crop",), patches, decoded))
    assert picture.figure is not None
    mosaic = np.asarray(picture.figure.axes[0].images[0].get_array())
    side = 128 + GAP

    def tile(row: int, column: int) -> np.ndarray:
        return mosaic[row * side : row * side + 128 : 2, column * side : column * side + 128 : 2]

    np.testing.assert_array_equal(tile(0, 0), patches[0])
    np.testing.assert_array_equal(tile(0, 1), patches[0] // 2)
    np.testing.assert_array_equal(tile(1, 2), patches[0] // 3)
    assert (tile(0, 2) == 255).all()
    assert (tile(1, 1) == 255).all()


def test_many_bands_show_three_and_one_shows_grey() -> None:
    deep = np.random.default_rng(5).integers(0, 10_000, (8, 8, 13)).astype(np.uint16)
    assert shown(deep, deep).shape == (8, 8, 3)
    assert (shown(deep, deep).min(), shown(deep, deep).max()) == (0, 255)
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    np.testing.assert_array_equal(shown(grey, grey), np.repeat(grey, 3, axis=2))
