"""``bitswath map`` as users call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import bitswath as bs
from bitswath.bundle.manifest import Sensor
from bitswath.commands import info
from bitswath.commands import map as map_command
from bitswath.errors import BitswathError
from tests.host.scenes.cases import bundle_of, land, read, small_network, write_scene


def said(*arguments: object) -> Result:
    return CliRunner().invoke(map_command.command, [*map(str, arguments)])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    bundle_of(folder / "b.bsw", sensor=Sensor(bands=("red", "green", "blue"), gsd_m=10.0, value_range=(0, 255)))
    rng = np.random.default_rng(1)
    (folder / "scenes").mkdir()
    for name in ("a", "b"):
        write_scene(folder / "scenes" / f"{name}.tif", land(rng, 70, 90), nodata=0, photometric="rgb")
    return folder


def test_everything_beside_a_map(place: Path, tmp_path: Path) -> None:
    ends = {"scores": "tif", "confidence": "tif", "preview": "png", "html": "html", "polygons": "gpkg", "areas": "csv"}
    ends |= {"stac": "json", "json": "json"}
    options = [part for name, end in ends.items() for part in (f"--{name}", tmp_path / f"{name}.{end}")]
    done = said(place / "b.bsw", place / "scenes" / "a.tif", "-o", tmp_path / "map.tif", *options)
    assert done.exit_code == 0, done.output
    assert all((tmp_path / f"{name}.{end}").stat().st_size for name, end in ends.items())
    figures = json.loads((tmp_path / "json.json").read_text())
    assert figures["size"] == [70, 90]
    assert sum(each["pixels"] for each in figures["classes"]) + figures["nodata"] == 70 * 90
    for name in ("Forest", "windows/s from file to map"):
        assert name in done.output
    again = said(
        place / "b.bsw", place / "scenes" / "a.tif", "-o", tmp_path / "other.tif", "--areas", tmp_path / "areas.csv"
    )
    assert "exists and is not overwritten" in str(again.exception)
    assert not (tmp_path / "other.tif").exists()


def test_a_folder_of_scenes_goes_on_where_it_was(place: Path, tmp_path: Path) -> None:
    done = said(place / "b.bsw", place / "scenes", "-o", tmp_path / "maps", "--areas", "areas.csv")
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {
        f"{name}.{end}" for name in ("a", "b") for end in ("tif", "tif.aux.xml", "areas.csv")
    }
    (tmp_path / "maps" / "b.tif").unlink()
    (tmp_path / "maps" / "b.areas.csv").unlink()
    again = said(place / "b.bsw", place / "scenes", "-o", tmp_path / "maps", "--areas", "areas.csv")
    assert again.exit_code == 0, again.output
    assert "a.tif: is there already" in again.output
    assert (tmp_path / "maps" / "b.tif").exists()
    other = said(place / "b.bsw", place / "scenes", "-o", tmp_path / "maps", "--mode", "smooth")
    assert "exists and is not overwritten" in str(other.exception)


def test_a_bad_scene_among_others(place: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.tif"
    bad.write_bytes(b"no")
    scenes = [bad, place / "scenes" / "a.tif"]
    refused = said(place / "b.bsw", *scenes, "-o", tmp_path / "maps")
    assert "bad.tif: cannot be read" in str(refused.exception)
    done = said(place / "b.bsw", *scenes, "-o", tmp_path / "maps", "--skip-bad")
    assert done.exit_code == 0, done.output
    assert "1 of 2 scenes are mapped" in done.output
    assert (tmp_path / "maps" / "a.tif").exists()


def test_stac_items_and_stacks(place: Path, tmp_path: Path) -> None:
    values = read(place / "scenes" / "a.tif")
    for index, name in enumerate(("red", "green", "blue")):
        write_scene(tmp_path / f"{name}.tif", values[None, index], nodata=0)
    assets = {name: {"href": f"./{name}.tif", "type": "image/tiff"} for name in ("blue", "green", "red")}
    item: dict[str, Any] = {
        "type": "Feature",
        "id": "one",
        "assets": assets,
        "properties": {"datetime": "2024-01-02T03:04:05Z"},
    }
    whole = {"visual": {"href": str(place / "scenes" / "b.tif"), "type": "image/tiff"}}
    items = {"type": "FeatureCollection", "features": [item, {**item, "id": "two", "assets": whole}]}
    (tmp_path / "items.json").write_text(json.dumps(items))
    done = said(place / "b.bsw", tmp_path / "items.json", "-o", tmp_path / "maps", "--stac", "json")
    assert done.exit_code == 0, done.output
    assert said(place / "b.bsw", place / "scenes", "-o", tmp_path / "plain").exit_code == 0
    for item_map, plain in (("one", "a"), ("two", "b")):
        np.testing.assert_array_equal(
            read(tmp_path / "maps" / f"{item_map}.tif"), read(tmp_path / "plain" / f"{plain}.tif")
        )
    assert json.loads((tmp_path / "maps" / "one.json").read_text())["properties"]["datetime"] == "2024-01-02T03:04:05Z"
    stack = [tmp_path / f"{name}.tif" for name in ("blue", "green", "red")]
    assert said(place / "b.bsw", *stack, "--stack", "-o", tmp_path / "stack.tif").exit_code == 0
    np.testing.assert_array_equal(read(tmp_path / "stack.tif"), read(tmp_path / "plain" / "a.tif"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--bands", "blue,green,red"], "gives 'blue' at place 1, where the bundle takes 'red'"),
        (["--bands", "1,2"], "expected 3 bands"),
        (["--stride", "20"], "expected a stride of 1 to 8"),
        (["--most-nodata", "1.5"], "most_nodata"),
        (["--range", "5", "1"], "expected a lower and a higher sample"),
        (["--mask", "scl"], "has no scene classification"),
        (["--polygons", "p.shp"], "expected polygons as"),
        (["--colours", "none.json"], "expected JSON"),
        (["--cluster", "there"], "expected the address of a Dask scheduler"),
    ],
)
def test_wrong_options_are_one_line_and_leave_nothing(
    place: Path, tmp_path: Path, options: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = said(place / "b.bsw", place / "scenes" / "a.tif", "-o", "map.tif", *options)
    assert isinstance(done.exception, BitswathError)
    assert message in str(done.exception)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tif" and not path.name.startswith(".")]


def test_sixteen_bits_for_eight(place: Path, tmp_path: Path) -> None:
    values = read(place / "scenes" / "a.tif").astype(np.uint16) * 10
    scene = write_scene(tmp_path / "s.tif", values, nodata=0, photometric="rgb")
    refused = said(place / "b.bsw", scene, "-o", tmp_path / "map.tif")
    assert "holds uint16, the bundle takes uint8" in str(refused.exception)
    done = said(place / "b.bsw", scene, "-o", tmp_path / "map.tif", "--range", 0, 2550)
    assert done.exit_code == 0, done.output
    plain = said(place / "b.bsw", place / "scenes" / "a.tif", "-o", tmp_path / "plain.tif")
    assert plain.exit_code == 0
    np.testing.assert_array_equal(read(tmp_path / "map.tif"), read(tmp_path / "plain.tif"))


def test_a_bundle_of_no_sensor_opens_as_before_and_info_tells(place: Path, tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "old.bsw", small_network())
    assert "sensor" not in (bundle.path / "manifest.json").read_text()
    assert bs.load_bundle(bundle.path).manifest.input.sensor is None
    told = CliRunner().invoke(info.command, [str(place / "b.bsw")]).output
    assert "red, green, blue, 10 m" in told
    item = json.loads(CliRunner().invoke(info.command, [str(place / "b.bsw"), "--stac"]).output)
    assert item["properties"]["mlm:input"][0]["bands"] == ["red", "green", "blue"]


def test_two_backends_share_the_work(place: Path, tmp_path: Path) -> None:
    scene = place / "scenes" / "a.tif"
    done = said(place / "b.bsw", scene, "-o", tmp_path / "both.tif", "--backend", "emulator", "--also", "emulator")
    assert done.exit_code == 0, done.output
    assert said(place / "b.bsw", scene, "-o", tmp_path / "one.tif").exit_code == 0
    np.testing.assert_array_equal(read(tmp_path / "both.tif"), read(tmp_path / "one.tif"))
    refused = said(
        place / "b.bsw", scene, "-o", tmp_path / "no.tif", "--also", "emulator", "--cluster", "tcp://127.0.0.1:9"
    )
    assert "expected one device with --cluster" in str(refused.exception)
    unknown = said(place / "b.bsw", scene, "-o", tmp_path / "no.tif", "--also", "abacus")
    assert "expected a backend of auto" in str(unknown.exception)
    assert not (tmp_path / "no.tif").exists()
