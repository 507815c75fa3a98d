"""What `bitswath export` and training put into a manifest about the sensor."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import bitswath as bs
from bitswath.errors import BundleError, ExportError
from bitswath.models.commands import export
from bitswath.models.data.catalogue import CATALOGUE
from bitswath.models.nets.config import DataConfig
from bitswath.models.training.run_bundle import _sensor
from tests.paths import ZOO

MODEL = ZOO / "synthetic-u4-w4a4.bsw" / "model.onnx"


def exported(output: Path, *options: str) -> Exception | None:
    done = CliRunner().invoke(export.command, [str(MODEL), "-o", str(output), *options])
    return done.exception  # type: ignore[return-value]


def test_a_file_is_told_its_sensor(tmp_path: Path) -> None:
    output = tmp_path / "a.bsw"
    assert exported(output, "--bands", "B04,B03,B02", "--gsd", "10", "--value-range", "0", "255") is None
    sensor = bs.load_bundle(output).manifest.input.sensor
    assert sensor is not None
    assert (sensor.bands, sensor.gsd_m, sensor.value_range) == (("B04", "B03", "B02"), 10.0, (0.0, 255.0))
    bs.update_accuracy(bs.load_bundle(output), "test", 1, 2)
    assert bs.load_bundle(output).manifest.input.sensor == sensor


def test_a_sensor_that_cannot_be(tmp_path: Path) -> None:
    assert isinstance(exported(tmp_path / "a.bsw", "--gsd", "-1"), ExportError)
    assert isinstance(exported(tmp_path / "a.bsw", "--bands", "B04,B03"), BundleError)
    assert isinstance(exported(tmp_path / "a.bsw", "--bands", "B04,B03,B03"), BundleError)
    assert not (tmp_path / "a.bsw").exists()


@pytest.mark.parametrize(
    ("config", "bands", "known"),
    [
        (DataConfig(name="eurosat"), 3, True),
        (DataConfig(name="eurosat_ms"), 13, True),
        (DataConfig(name="eurosat_ms"), 3, False),
        (DataConfig(name="eurosat", size=32), 3, False),
        (DataConfig(name="aid"), 3, False),
        (DataConfig(name="somewhere/else"), 3, False),
    ],
)
def test_training_knows_the_sensor_of_a_data_set_taken_as_it_is(config: DataConfig, bands: int, known: bool) -> None:
    assert _sensor(config, bands) == (CATALOGUE[config.name].sensor if known else None)
