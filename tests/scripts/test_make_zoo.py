"""What goes into the zoo, and what does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import make_zoo
import pytest

from bitswath.builds.report import Counts, LinkReport, Report
from bitswath.bundle.bundle import Bundle, load_bundle, save_bundle
from bitswath.bundle.manifest import SplitAccuracy
from bitswath.bundle.zoo import zoo_path
from bitswath.bundle.zoo_entry import read_entry
from bitswath.errors import BitswathError, BundleError, ConfigError, StudyError
from bitswath.models.nets.config import DataConfig, DistillConfig, ScheduleConfig, WidthsConfig, load_config
from bitswath.models.study.plan.cells import Imagery, Start, TrainingCell
from bitswath.models.study.work.store import Store

SMALL = zoo_path("synthetic-u4-w4a4")


def copy_of(target: Path, accuracy: dict[str, SplitAccuracy] | None = None, **training: Any) -> Bundle:
    """The zoo's small bundle under another name, as a training run's export would be."""
    small = load_bundle(SMALL)
    source = small.manifest.provenance.source
    config = dict(source.training or {}) | {"name": target.stem} | training
    return save_bundle(
        target,
        network=small.network,
        codec=small.codec,
        patch_shape=small.manifest.input.patch_shape,
        classes=small.classes,
        onnx_model=small.onnx_path,
        provenance=source.model_copy(update={"training": config}),
        accuracy=small.manifest.accuracy if accuracy is None else accuracy,
    )


def run_of(folder: Path, bundle: Bundle) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps({"config": bundle.manifest.provenance.source.training}))
    shutil.copy(SMALL.with_suffix(".log.jsonl"), folder / "log.jsonl")
    return folder


def report(name: str, board: str = "Pynq-Z2", frame_bytes: int = 6144) -> Report:
    return Report(
        name=name,
        board=board,
        part="xc7z020clg400-1",
        clock_hz=100e6,
        frames_per_s=1234.5,
        initiation_interval=81004.0,
        latency_cycles=190_000,
        checked_frames=4,
        limiting=None,
        input=LinkReport(width=64, frame_bytes=frame_bytes),
        output=LinkReport(width=64, frame_bytes=8),
        resources=Counts(lut=26_600),
        resources_from="sum of parts",
        parts=Counts(),
        available=Counts(lut=53_200),
        stages=(),
        queues=(),
    )


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    folder = tmp_path / "zoo"
    folder.mkdir()
    return folder


def test_a_run_becomes_four_files_under_the_zoos_name(tmp_path: Path, zoo: Path) -> None:
    bundle = copy_of(tmp_path / "mine.bsw")
    made = make_zoo.from_run(run_of(tmp_path / "run", bundle), bundle.path)
    path = make_zoo.add(made, "new", notes=["One sentence."], zoo=zoo)
    assert sorted(file.name for file in zoo.iterdir()) == ["new.bsw", "new.log.jsonl", "new.md", "new.yaml"]
    found, original = load_bundle(path).manifest, bundle.manifest
    assert (found.name, found.accuracy, found.files) == ("new", original.accuracy, original.files)
    config = load_config(path.with_suffix(".yaml"))
    assert config.name == "new"
    assert found.provenance.source.training == config.model_dump(mode="json")
    assert config.model_copy(update={"name": "mine"}) == made.config
    text = path.with_suffix(".yaml").read_text()
    for said in ("codec: uniform:4\n", "  weights: 4\n", "epochs: 24,", "seed: 1}"):  # defaults may change
        assert said in text, said
    assert path.with_suffix(".md").read_text().startswith("# new\n\nOne sentence.\n")


def test_a_run_must_be_the_bundles_own(tmp_path: Path) -> None:
    bundle = copy_of(tmp_path / "mine.bsw")
    other = copy_of(tmp_path / "other.bsw", codec="uniform:3")
    with pytest.raises(BundleError, match="trained otherwise"):
        make_zoo.from_run(run_of(tmp_path / "run", bundle), other.path)
    with pytest.raises(ConfigError, match="finished 'bitswath train'"):
        make_zoo.from_run(tmp_path, bundle.path)


def test_without_an_accuracy_on_the_test_split_it_is_refused(tmp_path: Path, zoo: Path) -> None:
    bundle = copy_of(tmp_path / "mine.bsw", {"val": SplitAccuracy.of(9, 10)})
    made = make_zoo.from_run(run_of(tmp_path / "run", bundle), bundle.path)
    with pytest.raises(BundleError, match="no accuracy on test"):
        make_zoo.add(made, "new", zoo=zoo)
    assert list(zoo.iterdir()) == []


def test_above_two_megabytes_it_is_refused(tmp_path: Path, zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_zoo.MAX_BYTES == 2_000_000
    bundle = copy_of(tmp_path / "mine.bsw")
    made = make_zoo.from_run(run_of(tmp_path / "run", bundle), bundle.path)
    monkeypatch.setattr(make_zoo, "MAX_BYTES", 50_000)
    with pytest.raises(BundleError, match="at most 50,000 bytes"):
        make_zoo.add(made, "new", zoo=zoo)
    assert list(zoo.iterdir()) == []


def test_folders_of_the_machine_do_not_get_in(tmp_path: Path, zoo: Path) -> None:
    distill = {"teacher": str(tmp_path / "teacher"), "temperature": 4.0, "weight": 0.5}
    bundle = copy_of(tmp_path / "mine.bsw", distill=distill, data={"name": str(tmp_path / "imagery"), "limit": 50})
    path = make_zoo.add(make_zoo.from_run(run_of(tmp_path / "run", bundle), bundle.path), "new", zoo=zoo)
    for file in (path / "manifest.json", path.with_suffix(".yaml"), path.with_suffix(".md")):
        assert str(tmp_path) not in file.read_text(), file
    config = load_config(path.with_suffix(".yaml"))
    assert config.distill is not None
    assert (config.distill.teacher, config.data) == ("teacher", DataConfig(name="imagery", limit=50))


def test_builds_leave_their_figures_and_nothing_else(tmp_path: Path, zoo: Path) -> None:
    bundle = copy_of(tmp_path / "mine.bsw")
    made = make_zoo.from_run(run_of(tmp_path / "run", bundle), bundle.path)
    (bundle.path / "hw" / "Pynq-Z2").mkdir(parents=True)
    (bundle.path / "hw" / "Pynq-Z2" / "report.json").write_text(report("mine").model_dump_json())
    path = make_zoo.add(made, "new", reports=[report("mine", "U250")], zoo=zoo)
    assert not (path / "hw").exists()
    assert [build.board for build in read_entry(path).builds] == ["Pynq-Z2", "U250"]
    make_zoo.write_builds(path, [report("new", "ZCU104"), report("new", "U250")])
    assert [(build.board, build.name) for build in read_entry(path).builds] == [
        *(("Pynq-Z2", "mine"), ("U250", "new"), ("ZCU104", "new")),
    ]
    with pytest.raises(BundleError, match="is of 'another'"):
        make_zoo.add(made, "new", reports=[report("another")], zoo=zoo)
    with pytest.raises(BundleError, match="64 bytes a frame"):
        make_zoo.add(made, "new", reports=[report("mine", frame_bytes=64)], zoo=zoo)


def cell(codec: str, **values: Any) -> TrainingCell:
    return TrainingCell(imagery=Imagery(data=DataConfig(name="synthetic"), codec=codec), network="tiny", **values)


@pytest.fixture
def study(tmp_path: Path) -> Store:
    """A warm start, a network that starts from it and learns from it, one through JPEG, one that leaks, one waiting,
    one that learns from it only, one that is not quantized."""
    store = Store(tmp_path / "study")
    first = cell("uniform:8", schedule=ScheduleConfig(epochs=7), widths=WidthsConfig(weights=8, activations=8))
    distill = DistillConfig(teacher="warm_start")
    second = cell("uniform:4", start=Start(cell=first.digest), distill=distill)
    jpeg = TrainingCell(imagery=Imagery(data=DataConfig(name="synthetic"), codec="uniform:4", source="jpeg:50"))
    leaking = TrainingCell(imagery=Imagery(data=DataConfig(name="synthetic"), codec="palette:2", codebook="per_class"))
    waiting = cell("uniform:2", schedule=ScheduleConfig(seed=5))
    taught = cell("uniform:3", start=Start(cell=first.digest, weights=False), distill=distill)
    unquantized = cell("uniform:8", widths=None)
    store.add([first, second, jpeg, leaking, waiting, taught, unquantized])
    (store.folder / "bundles").mkdir()
    bundle = copy_of(store.folder / "bundles" / "cell.bsw", distill=distill.model_dump())
    run_of(store.folder / "runs" / "cell", bundle)
    store.finish(unquantized.digest, {"run": "runs/cell", "epochs": 7}, 1.0)
    for done in (first, second, jpeg, leaking, taught):
        store.begin(done.digest)
        store.finish(done.digest, {"bundle": "bundles/cell.bsw", "run": "runs/cell", "epochs": 7}, 1.0)
    return store


def test_a_cell_says_where_its_weights_start_and_who_taught_it(study: Store, zoo: Path) -> None:
    first, second = study.rows()[:2]
    for named in (second.digest, second.digest[:10], second.cell.label):
        made = make_zoo.from_study(study.folder, named)
        assert made.notes == (
            f"Trained by `bitswath study`: {second.cell.label}, cell {second.digest[:12]}.",
            f"Its weights start from those of {first.cell.label}, cell {first.digest[:12]} (7 epochs)."
            " It is its teacher too.",
        )
    path = make_zoo.add(made, "new", zoo=zoo)
    assert path.with_suffix(".yaml").read_text().startswith(f"# {made.notes[0]}\n# {made.notes[1]}\n")
    assert " ".join(made.notes) in path.with_suffix(".md").read_text()
    assert load_config(path.with_suffix(".yaml")).name == "new"


def test_a_cell_that_was_only_taught_says_so(study: Store) -> None:
    first, taught = study.rows()[0], study.rows()[5]
    teacher = f"{first.cell.label}, cell {first.digest[:12]} (7 epochs)"
    notes = make_zoo.from_study(study.folder, taught.digest).notes
    assert notes[1:] == (f"Its teacher is {teacher}; its own weights start at random.",)


def test_a_cell_brings_the_configuration_of_its_start(study: Store, zoo: Path, tmp_path: Path) -> None:
    first, second = study.rows()[:2]
    path = make_zoo.add(make_zoo.from_study(study.folder, second.digest), "new", zoo=zoo)
    _, start = path.with_suffix(".yaml").read_text().split(f"# cell {first.digest[:12]}:\n")
    recipe = tmp_path / "start.yaml"
    recipe.write_text("name: start\n" + start.replace("#   ", ""))
    found = load_config(recipe)
    assert isinstance(first.cell, TrainingCell)
    assert found.codec == first.cell.imagery.codec
    for part in ("architecture", "widths", "augment", "schedule", "distill"):
        assert getattr(found, part) == getattr(first.cell, part), part


@pytest.mark.parametrize(
    ("index", "reason"),
    [(2, "cannot do that to patches"), (3, "cannot do that to patches"), (4, "waiting"), (6, "float network")],
)
def test_cells_that_no_bundle_can_repeat_are_refused(study: Store, index: int, reason: str) -> None:
    with pytest.raises(StudyError, match=reason):
        make_zoo.from_study(study.folder, study.rows()[index].digest)


@pytest.mark.parametrize("named", ["", "no such cell"])
def test_a_cell_must_be_one(study: Store, named: str) -> None:
    with pytest.raises(StudyError, match="expected one cell"):
        make_zoo.from_study(study.folder, named)


def test_a_folder_without_a_study_is_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(BitswathError, match=r"study\.sqlite"):
        make_zoo.from_study(tmp_path, "x")
    assert list(tmp_path.iterdir()) == []
