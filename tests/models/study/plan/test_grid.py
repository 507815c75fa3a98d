"""A study's configuration spans the grid it says, and a cell's digest is what decides its result, nothing else."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bitswath.bundle.zoo import zoo_path
from bitswath.errors import ConfigError
from bitswath.models.nets.config import DataConfig
from bitswath.models.study.plan import cells as cells_module
from bitswath.models.study.plan.cells import ContainerCell, Imagery, ImageryCell, TrainingCell, cell_from_json
from bitswath.models.study.plan.config import StudyConfig, load_study
from bitswath.models.study.plan.grid import expand

OLD_DIGEST = "86f507cf470667cce89bbd9e38b54b7abc65108609b637bdcb54feedae2f89b3"

NAME = "zoo:synthetic-u4-w4a4"
EXAMPLES = Path(cells_module.__file__).parent.parent


def study(**changes: Any) -> StudyConfig:
    return StudyConfig.model_validate(
        {"name": "trial", "data": {"name": "synthetic"}, "codecs": ["uniform:4"], **changes}
    )


def networks(config: StudyConfig, fidelity: Any = "full") -> list[TrainingCell]:
    return [cell for cell in expand(config, fidelity) if isinstance(cell, TrainingCell)]


def test_codecs_are_named_or_spanned_and_each_counts_once() -> None:
    grid = {"kinds": ["uniform", "companded"], "bits": [1, 2], "dither": [False, True]}
    config = study(codecs=["uniform:2", grid, "palette:4"])
    assert config.codecs == (
        "uniform:2", "uniform:1", "uniform:1:ordered", "uniform:2:ordered",
        "companded:1", "companded:2", "companded:1:ordered", "companded:2:ordered", "palette:4",
    )  # fmt: skip


def test_dithers_are_spanned_by_name() -> None:
    grid = {"kinds": "companded", "bits": [1], "dither": ["none", "ordered", "ordered8", "blue16", "ordered4-aligned"]}
    assert study(codecs=grid).codecs == (
        "companded:1", "companded:1:ordered", "companded:1:blue16", "companded:1:ordered4-aligned",
    )  # fmt: skip
    booleans, names = (
        {"kinds": "uniform", "bits": [2], "dither": dither} for dither in ([False, True], [None, "ordered"])
    )
    assert [cell.digest for cell in expand(study(codecs=booleans))] == [
        cell.digest for cell in expand(study(codecs=names))
    ]
    with pytest.raises(ValidationError, match=r"expected a dither of .*blue16.*, got 'blue9', or none"):
        study(codecs={"kinds": "uniform", "bits": [2], "dither": ["blue9"]})


def test_digests_of_dithered_cells_stay() -> None:
    """Written down before dithers had other names."""
    imagery = Imagery(data=DataConfig(name="synthetic"), codec="companded:2:ordered")
    assert ImageryCell(imagery=imagery).digest == OLD_DIGEST
    named = study(codecs=["companded:2:ordered8"])
    assert expand(named)[0].imagery.codec == "companded:2:ordered"


def test_training_is_a_product_of_codecs_architectures_widths_and_seeds() -> None:
    config = study(
        codecs=["uniform:1", "uniform:2", "palette:4"],
        architectures={"small": {"widths": [4]}, "large": {"widths": [8]}},
        widths=["w4a4", "w2a2"],
        seeds=[0, 1],
    )
    found = networks(config)
    assert len(found) == len({cell.digest for cell in found}) == 3 * 2 * 2 * 2
    assert {cell.schedule.seed for cell in found} == {0, 1}
    assert {(cell.widths.weights, cell.widths.activations) for cell in found} == {(4, 4), (2, 2)}


def test_a_block_narrows_what_is_trained_but_not_what_is_measured() -> None:
    config = study(codecs=["uniform:1", "uniform:2"], training=[{"codecs": ["uniform:2"], "widths": ["w1a1"]}])
    assert [cell.imagery.codec for cell in networks(config)] == ["uniform:2"]
    measured = [cell.imagery.codec for cell in expand(config) if isinstance(cell, ImageryCell)]
    assert measured == ["uniform:1", "uniform:2"]


def test_containers_are_measured_of_every_codec_of_original_patches() -> None:
    config = study(containers=["png", "jpeg:5"], jpeg={"qualities": [75]}, training=[])
    stored = [cell for cell in expand(config) if isinstance(cell, ContainerCell)]
    assert [(cell.imagery.source, cell.container) for cell in stored] == [
        ("original", "png"),
        ("original", "jpeg:5:420"),
    ]
    sources = [cell.imagery.source for cell in expand(config) if isinstance(cell, ImageryCell)]
    assert sources == ["original", "jpeg:75:420"]


def test_lossy_files_are_one_rule_and_jpeg_keeps_its_name() -> None:
    files = {"files": ["jpeg:75", "webp:10", "jpegxl:3.5"], "codecs": ["uniform:8", "uniform:4"]}
    both = study(training=[{"codecs": [], "lossy": files, "jpeg": {"qualities": [75]}}])
    assert [(cell.imagery.source, cell.imagery.codec) for cell in networks(both)] == [
        ("jpeg:75:420", "uniform:8"), ("jpeg:75:420", "uniform:4"), ("webp:10", "uniform:8"), ("webp:10", "uniform:4"),
        ("jpegxl:3.5", "uniform:8"), ("jpegxl:3.5", "uniform:4"),
    ]  # fmt: skip
    measured = [
        cell.imagery.source for cell in expand(study(lossy=files, training=[])) if isinstance(cell, ImageryCell)
    ]
    assert measured[1::2] == ["jpeg:75:420", "webp:10", "jpegxl:3.5"]
    with pytest.raises(ValidationError, match="a lossy format and its quality"):
        study(lossy={"files": ["webp:101"]})


def test_patches_go_through_files_as_data_unless_told_and_origins_always() -> None:
    origin = {"warm_start": {"codec": "uniform:8", "widths": "float"}}
    training = [{"codecs": ["uniform:4"], "lossy": {"files": ["avif:30"]}}]
    as_codec = [{**training[0], "lossy_as": "codec"}]
    expected = [("original", "data"), ("original", "data"), ("avif:30", "codec")]
    for config in (study(training=as_codec, **origin), study(training=training, lossy_as="codec", **origin)):
        assert [(cell.imagery.source, cell.lossy_as) for cell in networks(config)] == expected
    before, after = networks(study(training=training)), networks(study(training=as_codec))
    assert {cell.lossy_as for cell in before} == {"data"}
    assert [one.digest == other.digest for one, other in zip(before, after)] == [True, False]


def test_containers_hold_no_codes_of_compressed_frames() -> None:
    config = study(codecs=["uniform:4", "transform:B=300"], containers=["png"], training=[])
    stored = [cell.imagery.codec for cell in expand(config) if isinstance(cell, ContainerCell)]
    assert stored == ["uniform:4"]


def test_palettes_by_class_are_off_by_default_and_leak() -> None:
    codecs = ["palette:2", "palette:2:ordered", "uniform:2"]
    assert not any(cell.imagery.leaks for cell in expand(study(codecs=codecs)))
    both = expand(study(codecs=codecs, codebooks=["shared", "per_class"]))
    leaking = [cell for cell in both if cell.imagery.leaks]
    assert {cell.imagery.codec for cell in leaking} == {"palette:2"}
    assert all("LEAKS" in cell.label for cell in leaking)


def test_fidelity_sets_epochs_patches_and_channels() -> None:
    quicker = {"epochs": 3, "limit": 100, "batch": 8, "multiplier": 0.5}
    config = study(schedule={"epochs": 60}, quick=quicker)
    (quick,), (full,) = networks(config, "quick"), networks(config)
    assert (quick.schedule.epochs, quick.imagery.data.limit, quick.architecture.multiplier) == (3, 100, 0.5)
    assert (full.schedule.epochs, full.imagery.data.limit, full.architecture.multiplier) == (60, None, 1.0)
    assert (quick.schedule.batch, full.schedule.batch) == (8, 128)
    assert [cell.digest for cell in expand(config, "quick")[:-1]] == [cell.digest for cell in expand(config)[:-1]]


def test_a_cell_stands_behind_the_one_it_starts_from() -> None:
    config = study(codecs=["uniform:2", "uniform:8"], widths=["w8a8", "w2a2"], warm_start={"codec": "uniform:8"})
    found = networks(config)
    assert len(found) == 4
    for index, cell in enumerate(found):
        if cell.start:
            assert cell.start.cell in [earlier.digest for earlier in found[:index]]
    roots = [cell for cell in found if cell.start is None]
    assert [(cell.imagery.codec, cell.widths.weights) for cell in roots] == [("uniform:8", 8)]


def test_a_warm_start_has_a_schedule_and_a_warm_start_of_its_own() -> None:
    scratch = {"codec": "uniform:2", "widths": "w4a4", "schedule": {"epochs": 9}}
    config = study(
        schedule={"epochs": 3, "learning_rate": 0.001},
        distill={"teacher": "warm_start"},
        warm_start={"codec": "uniform:8", "widths": "float", "schedule": {"epochs": 5}, "warm_start": scratch},
    )
    first, second, last = networks(config)
    assert [cell.schedule.epochs for cell in (first, second, last)] == [9, 5, 3]
    assert [cell.origin for cell in (first, second, last)] == [True, True, False]
    assert (first.start, second.widths) == (None, None)
    assert second.start is not None
    assert last.start is not None
    assert (second.start.cell, last.start.cell) == (first.digest, second.digest)
    assert [cell.distill is not None for cell in (first, second, last)] == [False, False, True]
    assert "float" in second.label
    assert {cell.schedule.epochs for cell in networks(config, "quick")} == {6}


def test_a_block_has_a_schedule_and_a_teacher_of_another_architecture() -> None:
    teacher = {"codec": "uniform:8", "widths": "float", "architecture": "large", "weights": False}
    config = study(
        architectures={"small": {"widths": [4]}, "large": {"widths": [8]}},
        distill={"teacher": "warm_start"},
        training=[{"architectures": ["small"], "schedule": {"learning_rate": 0.5}, "warm_start": teacher}],
    )
    large, small = networks(config)
    assert (large.network, small.network) == ("large", "small")
    assert small.start is not None
    assert (small.start.cell, small.start.weights) == (large.digest, False)
    assert (large.schedule.learning_rate, small.schedule.learning_rate) == (0.001, 0.5)


def test_weights_of_another_architecture_are_refused_before_anything_is_trained() -> None:
    architectures = {"small": {"widths": [4]}, "large": {"widths": [8]}}
    warm = {"codec": "uniform:8", "widths": "float", "architecture": "large"}
    with pytest.raises(ConfigError, match="weights: false"):
        expand(study(architectures=architectures, warm_start=warm))


def test_a_block_keeps_its_schedule_where_it_trains_the_warm_start_itself() -> None:
    config = study(
        codecs=["uniform:8"],
        widths=["w8a8"],
        warm_start={"codec": "uniform:8"},
        training=[{"schedule": {"epochs": 7}}],
    )
    assert [(cell.schedule.epochs, cell.origin) for cell in networks(config)] == [(30, True), (7, False)]


def test_a_cell_of_the_grid_that_others_start_from_is_no_mere_origin() -> None:
    config = study(codecs=["uniform:2", "uniform:8"], widths=["w8a8"], warm_start={"codec": "uniform:8"})
    assert [(cell.imagery.codec, cell.origin) for cell in networks(config)] == [
        ("uniform:8", False),
        ("uniform:2", False),
    ]


def test_the_weights_of_a_folder_decide_a_digest_and_its_name_does_not(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.weights.h5").write_bytes(content)
    digests = [networks(study(warm_start={"folder": str(tmp_path / name)}))[0].digest for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
    with pytest.raises(ConfigError, match="bitswath train"):
        expand(study(warm_start={"folder": str(tmp_path / "d")}))


def test_a_bundle_is_named_as_it_is_and_its_weights_decide_the_digest(tmp_path: Path) -> None:
    shutil.copytree(zoo_path("synthetic-u4-w4a4"), tmp_path / "mine.bsw")
    named, copied = (networks(study(warm_start={"folder": f}))[0] for f in (NAME, str(tmp_path / "mine.bsw")))
    assert (named.digest, named.start and named.start.folder) == (copied.digest, NAME)
    with pytest.raises(ConfigError, match="no such model in the zoo"):
        expand(study(warm_start={"folder": "zoo:nothing"}))


def test_digests_do_not_change() -> None:
    imagery = Imagery(data=DataConfig(name="eurosat"), codec="palette:4")
    assert ImageryCell(imagery=imagery).canonical() == (
        '{"digest_version":1,"imagery":{"codec":"palette:4","data":{"name":"eurosat"}},"kind":"imagery"}'
    )
    assert ImageryCell(imagery=imagery).digest[:16] == "6db6e8ca948c8b74"
    assert TrainingCell(imagery=imagery, network="a").digest == TrainingCell(imagery=imagery, network="b").digest


@pytest.mark.parametrize("name", ["eurosat", "paper"])
@pytest.mark.parametrize("fidelity", ["quick", "full"])
def test_examples_are_valid_and_their_cells_survive_json(name: str, fidelity: Any) -> None:
    cells = expand(load_study(EXAMPLES / f"{name}.yaml"), fidelity)
    for cell in cells:
        again = cell_from_json(json.dumps(cell.model_dump(mode="json")))
        assert again == cell
        assert again.digest == cell.digest
    assert len({cell.digest for cell in cells}) == len(cells)


def test_eurosat_trains_five_formats_at_four_qualities_and_eight_budgets_as_codecs() -> None:
    found = networks(load_study(EXAMPLES / "eurosat.yaml"))
    assert [cell.origin for cell in found] == [False] * 72
    usual = next(cell for cell in found if cell.imagery.codec == "palette:4:ordered")
    lossy = [cell for cell in found if cell.lossy_as == "pairs"]
    frames = [cell for cell in found if cell.imagery.codec.startswith("transform:B=")]
    assert Counter(cell.imagery.source.split(":")[0] for cell in lossy) == dict.fromkeys(
        ("webp", "jpegxl", "jpeg", "avif", "jpeg2000"), 4
    )
    assert [cell.imagery.source for cell in found if cell.lossy_as == "codec"] == ["jpeg:32:420"]
    assert Counter((cell.schedule.epochs, cell.schedule.precision) for cell in frames) == {
        (usual.schedule.epochs, "float32"): 8,
        (24, "bfloat16"): 2,
    }
    alike = "network", "architecture", "widths", "augment", "distill", "start"
    for cell in lossy + frames:
        assert [getattr(cell, name) for name in alike] == [getattr(usual, name) for name in alike]
    assert all(cell.schedule == usual.schedule for cell in lossy)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name: x\ndata: {name: synthetic}\ncodecs: [uniform:9]", "codecs.0"),
        ("name: x\ndata: {name: synthetic}\ncodecs: []", "codecs"),
        ("name: x\ndata: {name: synthetic}\ncodecs: [uniform:1]\ncontainers: [gif]", "containers.0"),
        ("name: x\ndata: {name: synthetic}\ncodecs: [{kinds: [square], bits: [1]}]", "kinds"),
        ("name: x\ndata: {name: synthetic}\ncodecs: [uniform:1]\nwidths: [w0a4]", "widths.0"),
        ("name: x\ndata: {name: synthetic}\ncodecs: [uniform:1]\ntraining: [{architectures: [alexnet]}]", "alexnet"),
        ("name: x\ndata: {name: synthetic}\ncodecs: [uniform:1]\nwarm_start: {}", "either a codec or a folder"),
        (
            "name: x\ndata: {name: synthetic}\ncodecs: [uniform:1]\nwarm_start: {codec: uniform:8, architecture: q}",
            "no architecture 'q'",
        ),
        (
            "name: x\ndata: {name: synthetic}\ncodecs: [uniform:1]\nwarm_start: {folder: run, widths: float}",
            "leave out widths",
        ),
        ("name: x\ndata: {name: synthetic}\ncodecs: [uniform:1]\nepochs: 4", "epochs"),
        ("[1, 2]", "table"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ConfigError, match=named) as caught:
        load_study(tmp_path / "study.yaml")
    assert "\n" not in str(caught.value)
