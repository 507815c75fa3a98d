"""The bundles in the repository hold what their manifests say."""

from pathlib import Path

import numpy as np
import pytest

from bitswath.accelerator import open as open_accelerator
from bitswath.bundle import load_bundle
from bitswath.models.config import load_config
from bitswath.models.datasets import load_dataset
from bitswath.models.verify import verify_bundle

ROOT = Path(__file__).resolve().parents[2]
ZOO = sorted((ROOT / "models" / "zoo").glob("*.bsw"))
EUROSAT = ROOT.parent / "shared" / "data" / "eurosat_rgb.zip"


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_a_bundle_is_small_and_comes_with_its_configuration_and_log(path: Path) -> None:
    bundle = load_bundle(path)
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < 2_000_000
    assert bundle.manifest.network.macs <= 60_000_000
    config = load_config(path.with_suffix(".yaml"))
    assert bundle.manifest.provenance.source.training == config.model_dump(mode="json")
    assert len(path.with_suffix(".log.jsonl").read_text().splitlines()) == config.schedule.epochs


@pytest.mark.parametrize("path", ZOO, ids=lambda path: path.stem)
def test_all_forms_of_a_bundle_are_equal(path: Path) -> None:
    bundle = load_bundle(path)
    shape = bundle.manifest.input.code_shape
    codes = np.random.default_rng(20).integers(0, 2**bundle.codec.bits, (3, *shape), np.uint8)
    result = verify_bundle(bundle, codes)
    assert len(result.comparisons) == 4
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
