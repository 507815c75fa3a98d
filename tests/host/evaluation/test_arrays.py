"""Vectors and signals in files of numbers are classified as they are, or refused with the place that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

import bitswath as bs
from bitswath.bench.subject import load_inputs
from bitswath.bundle.bundle import Bundle, save_bundle
from bitswath.codecs.integer import IntegerCodec
from bitswath.codecs.threshold import ThresholdCodec
from bitswath.commands import classify
from bitswath.errors import InputError
from bitswath.evaluation.arrays import read_arrays
from bitswath.evaluation.classify import classify_path
from tests.host.kinds import linear

CLASSES = ("gluon", "quark", "2")
WEIGHTS = np.random.default_rng(1).integers(-7, 8, (3, 6))
THRESHOLD = 0.25


@pytest.fixture
def reals(tmp_path: Path) -> Bundle:
    """A bundle of vectors of six features, of each of which one bit counts."""
    codec = ThresholdCodec(1, depth=32, numbers="float", thresholds=((THRESHOLD,),))
    return saved(tmp_path, 1, codec=codec)


@pytest.fixture
def integers(tmp_path: Path) -> Bundle:
    return saved(tmp_path, 4, codec=IntegerCodec(4, lowest=-8, highest=7))


def saved(folder: Path, bits: int, **options: Any) -> Bundle:
    values: dict[str, Any] = {"patch_shape": (1, 1, 6), "layout": "flat", "classes": CLASSES, **options}
    return save_bundle(folder / f"v{bits}.bsw", network=linear(WEIGHTS, (6,), bits), **values)


def vectors(count: int = 300) -> NDArray[np.float32]:
    """More than a batch, some on the threshold."""
    found = np.random.default_rng(0).normal(THRESHOLD, 1, (count, 6)).astype(np.float32)
    found[::5, 2] = THRESHOLD
    return found


def labels_of(given: NDArray[np.float32]) -> NDArray[np.intp]:
    return ((given >= THRESHOLD) @ WEIGHTS.T).argmax(axis=1)


def classified(bundle: Bundle, path: Path) -> Any:
    with bs.open(bundle) as accelerator:
        return classify_path(accelerator, path)


def write_csv(path: Path, rows: Any, header: str = "") -> Path:
    text = "\n".join(",".join(map(str, row)) for row in rows)
    path.write_text(f"{header}\n{text}\n" if header else f"{text}\n", encoding="utf-8-sig")
    return path


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4"])
def test_arrays_are_classified(reals: Bundle, tmp_path: Path, dtype: str) -> None:
    given = vectors()
    np.save(tmp_path / "x.npy", given.astype(dtype))
    np.save(tmp_path / "four.npy", given.reshape(-1, 1, 1, 6))
    np.savez(tmp_path / "x.npz", x=given, labels=labels_of(given))
    for name in ("x.npy", "four.npy", "x.npz"):
        done = classified(reals, tmp_path / name)
        np.testing.assert_array_equal(done.predicted, labels_of(given))
    assert done.report(reals).accuracy == 1
    assert done.names[:2] == ("0", "1")


def test_a_csv_needs_no_first_line_of_names(reals: Bundle, tmp_path: Path) -> None:
    given = vectors()
    done = classified(reals, write_csv(tmp_path / "x.csv", given.tolist()))
    np.testing.assert_array_equal(done.predicted, labels_of(given))
    assert done.labels is None


def test_a_csv_may_name_patches_and_their_classes(reals: Bundle, tmp_path: Path) -> None:
    given = vectors(9)
    truth = [CLASSES[label] if row % 2 else label for row, label in enumerate(labels_of(given))]
    truth = [0 if label == "2" else label for label in truth]  # a class may be called as another's number
    rows = [
        [f"jet {row}", *values[:3], label, *values[3:]]
        for row, (values, label) in enumerate(zip(given.tolist(), truth))
    ]
    path = write_csv(tmp_path / "x.csv", rows, "name,a,b,c,Label,d,e,f")
    done = classified(reals, path)
    np.testing.assert_array_equal(done.predicted, labels_of(given))
    expected = [CLASSES.index(label) if isinstance(label, str) else label for label in truth]
    np.testing.assert_array_equal(done.labels, expected)
    assert done.names[-1] == "jet 8"


def test_the_command_writes_what_it_found(reals: Bundle, tmp_path: Path) -> None:
    given = vectors(30)
    rows = [[*values, CLASSES[label]] for values, label in zip(given.tolist(), labels_of(given))]
    path = write_csv(tmp_path / "x.csv", rows, "a,b,c,d,e,f,label")
    told, predictions = tmp_path / "x.json", tmp_path / "out.csv"
    options = ["--json", str(told), "--predictions", str(predictions), "--record", "test"]
    result = CliRunner().invoke(classify.command, [str(reals.path), str(path), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert json.loads(told.read_text())["accuracy"] == 1
    assert predictions.read_text().splitlines()[1] == f"0,{CLASSES[labels_of(given)[0]]},{CLASSES[labels_of(given)[0]]}"
    refused = CliRunner().invoke(classify.command, [str(reals.path), str(path), "--split", "test"])
    assert isinstance(refused.exception, InputError) and "leave --split" in str(refused.exception)


def test_integers_stay_integers(integers: Bundle, tmp_path: Path) -> None:
    given = np.random.default_rng(0).integers(-8, 8, (20, 6))
    np.save(tmp_path / "x.npy", given.astype(np.int8))
    expected = ((given + 8) @ WEIGHTS.T).argmax(axis=1)
    for path in (tmp_path / "x.npy", write_csv(tmp_path / "x.csv", given.tolist())):
        np.testing.assert_array_equal(classified(integers, path).predicted, expected)


def test_bits_may_be_booleans(tmp_path: Path) -> None:
    bundle = saved(tmp_path, 1, codec=IntegerCodec(1, lowest=0, highest=1))
    given = np.random.default_rng(0).integers(0, 2, (20, 6), np.uint8)
    np.save(tmp_path / "x.npy", given.astype(bool))
    np.testing.assert_array_equal(classified(bundle, tmp_path / "x.npy").predicted, (given @ WEIGHTS.T).argmax(axis=1))


def test_a_sample_is_drawn_evenly(reals: Bundle, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(60, dtype=np.float32).reshape(10, 6))
    drawn = read_arrays(tmp_path / "x.npy", reals).sample(4)
    assert drawn.names == ("0", "3", "6", "9")
    np.testing.assert_array_equal(drawn.patches[:, 0, 0, 0], [0, 18, 36, 54])
    assert len(load_inputs(reals, 4, tmp_path / "x.npy").patches) == 4
    assert len(load_inputs(reals, 40, tmp_path / "x.npy").patches) == 10


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("1,2,3,4,5,6\n\n1,2,3,4,5\n", "line 3: expected 6 values, got 5"),
        ("a,b,c,d,e,f,label\n1,2,3,4,5,6,gluon\n1,2,3,4,5,6\n", "line 3: expected 6 values beside label, got 5"),
        ("a,b,c,d,e,f\n1,2,3,4,5,x\n", "line 2: expected numbers, got 'x'"),
        ("a,b,c,d,e,f,label\n1,2,3,4,5,6,muon\n", "label 'muon' is none of the classes gluon, quark, 2"),
        ("a,b,c,d,e,f,label\n1,2,3,4,5,6,3\n", "label '3' is none of the classes"),
        ("", "holds no patches"),
        ("a,b,c,d,e,f\n", "holds no patches"),
        ("1;2;3;4;5;6\n7;8;9;1;2;3\n", "line 2: expected 6 values, got 1"),
    ],
)
def test_a_wrong_csv_is_refused_with_its_line(reals: Bundle, tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(InputError, match=f"x.csv: {reason}") as caught:
        read_arrays(tmp_path / "x.csv", reals)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["7.5", "300", "nan"])
def test_what_are_no_integers_is_refused_with_its_line(integers: Bundle, tmp_path: Path, value: str) -> None:
    (tmp_path / "x.csv").write_text(f"1,2,3,4,5,6\n1,2,{value},4,5,6\n")
    with pytest.raises(InputError, match=f"line 2: expected int8 integers, got {value}"):
        read_arrays(tmp_path / "x.csv", integers)


def test_wrong_arrays_are_refused(reals: Bundle, tmp_path: Path) -> None:
    def refused(name: str, reason: str) -> None:
        with pytest.raises(InputError, match=reason):
            read_arrays(tmp_path / name, reals)

    (tmp_path / "text.npy").write_text("no array")
    refused("text.npy", "text.npy: cannot be read")
    np.save(tmp_path / "objects.npy", np.array([{}], object))
    refused("objects.npy", "objects.npy: cannot be read")
    np.save(tmp_path / "wide.npy", np.zeros((3, 7), np.float32))
    refused("wide.npy", "give 6 features a vector")
    np.save(tmp_path / "whole.npy", np.zeros((3, 6), np.int64))
    refused("whole.npy", "got int64")
    np.savez(tmp_path / "two.npz", a=np.zeros((3, 6), np.float32), b=np.zeros(3))
    refused("two.npz", "expected an array 'patches', and perhaps 'labels', got a, b")
    np.savez(tmp_path / "few.npz", patches=np.zeros((3, 6), np.float32), y=np.zeros(2, int))
    refused("few.npz", "a label for each of 3 patches")
    np.savez(tmp_path / "high.npz", patches=np.zeros((1, 6), np.float32), y=np.array([3]))
    refused("high.npz", "label 3 is none")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "few.npz").read_bytes()[:200])
    refused("cut.npz", "cut.npz: cannot be read")


@pytest.mark.parametrize("name", ["absent.npy", "absent.npz", "absent.csv"])
def test_a_file_that_is_not_there_is_said_to_be_so(reals: Bundle, tmp_path: Path, name: str) -> None:
    with bs.open(reals) as accelerator, pytest.raises(InputError, match=rf"{name}: cannot be read: .*No such file"):
        classify_path(accelerator, tmp_path / name)


def test_images_are_no_vectors(reals: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"takes float32 vectors of 6; give a \.npy, \.npz or \.csv"):
        classified(reals, tmp_path)
