"""From a configuration to trained, exported and measured cells, seconds of training each."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bitswath.accelerator import open as open_accelerator
from bitswath.basics.proportions import wilson_interval
from bitswath.bundle.bundle import load_bundle
from bitswath.errors import ExportError
from bitswath.models.study.plan.cells import Cell, TrainingCell
from bitswath.models.study.plan.config import StudyConfig
from bitswath.models.study.plan.grid import expand
from bitswath.models.study.work.patches import Shelf
from bitswath.models.study.work.runner import LocalEngine, Settings, run_study
from bitswath.models.study.work.store import Row, Store
from bitswath.models.study.work.train_cell import run_name, train_cell
from bitswath.models.training.run_bundle import bundle_trained
from bitswath.models.training.trained import load_trained

TOY = StudyConfig.model_validate(
    {
        "name": "toy",
        "data": {"name": "synthetic", "limit": 100, "size": 16},
        "codecs": ["palette:2"],
        "codebooks": ["per_class"],
        "lossy": {"files": ["webp:30"], "codecs": ["uniform:4"]},
        "architectures": {"tiny": {"kind": "vgg", "widths": [4, "M", 8, "M"]}},
        "widths": ["w4a4"],
        "warm_start": {"codec": "uniform:8", "widths": "float"},
        "distill": {"teacher": "warm_start"},
        "lossy_as": "codec",
        "training": [{"codecs": [], "lossy": {"files": ["webp:30"], "codecs": ["uniform:4"]}}],
        "schedule": {"epochs": 2, "batch": 50, "learning_rate": 0.005},
    }
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[TrainingCell]]:
    store = Store(tmp_path_factory.mktemp("toy"))
    scratch = {**TOY.model_dump(), "warm_start": None, "distill": None}
    leaking = StudyConfig.model_validate({**scratch, "training": [{"codecs": ["palette:2"]}]})
    frames = StudyConfig.model_validate(
        {**scratch, "training": [{"codecs": ["transform:B=60"], "codebooks": ["shared"]}]}
    )
    cells: list[Cell] = [*expand(TOY, "full"), *expand(leaking, "quick"), *expand(frames, "full")]
    networks = [cell for cell in cells if isinstance(cell, TrainingCell)]
    run_study(networks, store, LocalEngine(1), Settings())
    return store, networks


def rows(study: tuple[Store, list[TrainingCell]]) -> list[Row]:
    return study[0].rows(cell.digest for cell in study[1])


def test_every_cell_is_done_the_one_to_start_from_first(study: tuple[Store, list[TrainingCell]]) -> None:
    assert [(row.state, row.error) for row in rows(study)] == [("done", None)] * 4
    teacher, student, leaking, _ = study[1]
    assert student.start is not None
    assert student.start.cell == teacher.digest
    assert leaking.imagery.leaks


def test_bytes_are_of_the_patches_that_the_accuracy_is_of(study: tuple[Store, list[TrainingCell]]) -> None:
    store, (teacher, student, leaking, frames) = study
    found = {row.digest: row.measures or {} for row in rows(study)}
    files = []
    for patch in Shelf(store.folder).original(student.imagery, "test").patches:
        file = io.BytesIO()
        Image.fromarray(patch).save(file, "WEBP", quality=30, method=6)
        files.append(file.tell())
    assert found[student.digest]["source_bytes"] == pytest.approx(np.mean(files))
    assert found[student.digest]["source_bytes_max"] == max(files)
    assert found[student.digest]["source_payload_bytes"] == pytest.approx(np.mean(files) - 20)
    assert [found[cell.digest]["link_bytes"] for cell in (teacher, student, leaking)] == [768, 384, 768]
    assert not any("source_bytes" in found[cell.digest] for cell in (teacher, leaking, frames))
    shelf = Shelf(store.folder)
    sent = shelf.codec(frames.imagery).encode_packed(shelf.split(frames.imagery, "test").patches)
    lengths = [int(frame[0]) | int(frame[1]) << 8 for frame in sent]
    assert found[frames.digest]["link_bytes"] == pytest.approx(np.mean(lengths))
    assert found[frames.digest]["link_bytes_max"] == max(lengths) <= 60


def test_originals_are_trained_on_where_files_are_as_a_codec(study: tuple[Store, list[TrainingCell]]) -> None:
    store, (_, student, *_) = study
    original = Shelf(store.folder).original(student.imagery, "train")
    hashed = hashlib.sha256(original.patches.tobytes() + original.labels.tobytes())
    assert (store.folder / "runs" / run_name(student) / "data.sha256").read_text() == hashed.hexdigest() + "\n"


def test_a_pair_is_what_the_file_left_and_the_original_that_the_teacher_sees(
    study: tuple[Store, list[TrainingCell]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, (_, student, *_) = study
    given: dict[str, NDArray[np.uint8] | None] = {}

    class StoppedError(Exception):
        pass

    def stopped(*called: Any, originals: NDArray[np.uint8] | None, **_: Any) -> None:
        given.update(patches=called[2].patches, originals=originals)
        raise StoppedError

    monkeypatch.setattr("bitswath.models.study.work.train_cell.train_model", stopped)
    shelf = Shelf(store.folder)
    original = shelf.original(student.imagery, "train").patches
    files = [io.BytesIO() for _ in original]
    for patch, file in zip(original, files):
        Image.fromarray(patch).save(file, "WEBP", quality=30, method=6)
    for lossy_as, expected in (("pairs", original), ("data", None)):
        with pytest.raises(StoppedError):
            train_cell(student.model_copy(update={"lossy_as": lossy_as}), shelf)
        np.testing.assert_array_equal(given["patches"], np.stack([np.asarray(Image.open(file)) for file in files]))
        np.testing.assert_equal(given["originals"], expected)


def test_the_bundle_classifies_as_the_row_says(study: tuple[Store, list[TrainingCell]]) -> None:
    store, cells = study
    for cell, row in zip(cells, rows(study)):
        assert row.measures is not None
        if cell.widths is None:
            continue
        bundle = load_bundle(store.folder / row.measures["bundle"])
        splits = ("val", "test") if cell.fidelity == "full" else ("val",)
        assert set(bundle.manifest.accuracy) == set(splits)
        for split in splits:
            samples = Shelf(store.folder).split(cell.imagery, split)
            with open_accelerator(bundle, "emulator") as accelerator:
                right = accelerator.classify(samples.patches).labels == samples.labels
            correct = int(right.sum())
            found = row.measures[split]
            assert row.measures["hits"][split] == "".join("1" if hit else "0" for hit in right)
            assert (found["correct"], found["patches"]) == (correct, 100)
            assert found["interval"] == list(wilson_interval(correct, 100))
        assert row.measures.get("link_bytes_max", row.measures["link_bytes"]) <= bundle.manifest.input.frame_bytes
        assert row.measures["emulator_patches_per_s"] > 0


def test_a_network_that_is_not_quantized_is_measured_in_keras(study: tuple[Store, list[TrainingCell]]) -> None:
    store, cells = study
    row, student = rows(study)[0], rows(study)[1]
    assert row.measures is not None
    assert student.measures is not None
    trained = load_trained(store.folder / row.measures["run"])
    samples = Shelf(store.folder).split(cells[0].imagery, "test")
    scores = np.asarray(trained.model(trained.codec.encode(samples.patches).astype(np.float32)))
    assert row.measures["test"]["correct"] == int((scores.argmax(axis=1) == samples.labels).sum())
    assert "bundle" not in row.measures
    with pytest.raises(ExportError, match="float network"):
        bundle_trained(store.folder / row.measures["run"], store.folder / "no.bsw")
    config = json.loads((store.folder / student.measures["run"] / "config.json").read_text())
    assert config["start"] == config["distill"]["teacher"] == row.measures["run"]


def test_a_screen_leaves_the_test_split_alone(study: tuple[Store, list[TrainingCell]]) -> None:
    store, cells = study
    screened, trained = rows(study)[2], rows(study)[1]
    assert screened.measures is not None
    assert trained.measures is not None
    assert "test" not in screened.measures
    assert "test" in trained.measures
    assert not list((store.folder / "data").glob(f"{cells[2].imagery.digest[:16]}-test"))


def test_a_leaking_network_takes_8_bit_samples_and_says_so(study: tuple[Store, list[TrainingCell]]) -> None:
    store, _ = study
    row = rows(study)[2]
    assert row.measures is not None
    assert row.measures["link_bytes"] == 16 * 16 * 3
    assert "LEAKS" in row.cell.label
    assert "per class" in str(load_bundle(store.folder / row.measures["bundle"]).manifest.provenance.source.dataset)


def test_a_lost_row_is_read_back_without_training_or_testing_again(study: tuple[Store, list[TrainingCell]]) -> None:
    store, cells = study
    result = store.folder / "runs" / run_name(cells[1]) / "result.json"
    facts = json.loads(result.read_text()) | {"mark": 1}
    result.write_text(json.dumps(facts))
    again = Store(store.folder)
    import sqlite3

    with sqlite3.connect(again.path) as database:
        database.execute("update cells set state = 'waiting', measures = null where digest = ?", (cells[1].digest,))
    run_study(cells, again, LocalEngine(1), Settings())
    row = again.row(cells[1].digest)
    assert row is not None
    assert row.measures is not None
    assert row.measures["mark"] == 1
