"""The bundles in the repository hold what their manifests say."""

import json
from pathlib import Path

import numpy as np
import pytest

from bitswath.accelerator import open as open_accelerator
from bitswath.bundle.bundle import load_bundle
from bitswath.bundle.cards import card
from bitswath.bundle.zoo_entry import read_entry
from bitswath.models.data.datasets import load_dataset
from bitswath.models.nets.config import TrainConfig, load_config
from bitswath.models.verify.compare import verify_bundle
from tests.paths import ROOT

ZOO = sorted((ROOT / "models" / "zoo").glob("*.bsw"))
EUROSAT = ROOT.parent / "shared" / "data" / "eurosat_rgb.zip"


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_a_bundle_is_small_and_named_as_its_folder(path: Path) -> None:
    bundle = load_bundle(path)
    assert bundle.name == path.stem
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < 2_000_000
    height, width, _ = bundle.manifest.input.patch_shape
    assert bundle.manifest.network.macs <= 15_000 * height * width


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_a_bundle_comes_with_its_configuration_and_log(path: Path) -> None:
    training = load_bundle(path).manifest.provenance.source.training
    config = load_config(path.with_suffix(".yaml"))
    assert config.name == path.stem
    assert TrainConfig.model_validate(training) == config
    log = [json.loads(line) for line in path.with_suffix(".log.jsonl").read_text().splitlines()]
    epochs = [line["epoch"] for line in log if line["phase"] == "quantized"]
    assert epochs == list(range(1, len(epochs) + 1))
    assert len(epochs) == config.schedule.epochs or (
        config.schedule.early_stop and len(epochs) < config.schedule.epochs
    )


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_the_card_is_what_the_maker_writes_now(path: Path) -> None:
    assert path.with_suffix(".md").read_text() == card(read_entry(path)), "run scripts/make_zoo.py --cards"


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_both_splits_are_measured(path: Path) -> None:
    assert {"val", "test"} <= set(load_bundle(path).manifest.accuracy)


def test_nothing_else_is_in_the_folder() -> None:
    endings = (".bsw", ".yaml", ".log.jsonl", ".md", ".hw.json")
    known = {path.with_suffix(ending).name for path in ZOO for ending in endings}
    assert {path.name for path in (ROOT / "models" / "zoo").iterdir()} <= known


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_all_forms_of_a_bundle_are_equal(path: Path) -> None:
    bundle = load_bundle(path)
    patches = np.random.default_rng(20).integers(0, 256, (3, *bundle.manifest.input.patch_shape), np.uint8)
    result = verify_bundle(bundle, patches)
    assert len(result.comparisons) == 4 + bundle.codec.compressed
    assert result.equal, [item.first for item in result.comparisons]


@pytest.mark.skipif(not EUROSAT.is_file(), reason="shared/data/eurosat_rgb.zip is not there")
def test_the_eurosat_bundle_is_as_accurate_as_it_says() -> None:
    bundle = load_bundle(ROOT / "models" / "zoo" / "eurosat-u4-w4a4.bsw")
    for split in ("val", "test"):
        samples = load_dataset("eurosat", split, data=EUROSAT.parent, progress=False)
        with open_accelerator(bundle) as accelerator:
            correct = int((accelerator.classify(samples.patches).labels == samples.labels).sum())
        assert correct == bundle.manifest.accuracy[split].correct
        assert correct >= 0.95 * len(samples)
