"""What is written of a map, as others read it: rasterio, rio-cogeo, pyogrio, pyproj, pystac, a browser."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyogrio.raw
import pyproj
import pystac
import pytest
import rasterio
import shapely
from PIL import Image
from rasterio.features import rasterize
from rio_cogeo import cog_validate

import bitswath as bs
from bitswath.errors import InputError, SceneError
from bitswath.scenes import Map, MapSettings, Outputs, map_scene
from bitswath.scenes.grid import Grid
from bitswath.scenes.products.areas import areas, areas_csv, row_areas_m2
from bitswath.scenes.products.colours import class_colours, read_colours
from bitswath.scenes.products.overviews import halved
from bitswath.scenes.products.page import save_page
from bitswath.scenes.products.polygons import save_polygons
from bitswath.scenes.products.preview import coloured, save_preview
from bitswath.scenes.products.stac import bundle_item, map_item, save_item
from tests.host.scenes.cases import NAMES, PLACE, bundle_of, land, nodata_of, read, write_scene

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Map:
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(1)
    bundle = bundle_of(folder / "b.bsw")
    values, valid = land(rng, 700, 1100), nodata_of(rng, "edge", 700, 1100)
    scene = write_scene(folder / "scene.tif", values * valid, nodata=0, photometric="rgb")
    outputs = Outputs(folder / "map.tif", folder / "scores.tif", folder / "confidence.tif")
    with bs.open(bundle) as accelerator:
        return map_scene(accelerator, scene, outputs, settings=MapSettings(stride=8))


def test_all_rasters_are_valid_cogs_on_the_scenes_grid(made: Map) -> None:
    for path in made.outputs.paths:
        assert cog_validate(path, strict=True) == (True, [], [])
        with rasterio.open(path) as file:
            assert file.crs.to_epsg() == 32633
            assert file.transform == PLACE["transform"]
            assert (file.height, file.width) == (700, 1100)
            assert file.nodata == 255
            assert file.dtypes[0] == "uint8"
            assert file.overviews(1)


def test_the_map_has_colours_and_names(made: Map) -> None:
    with rasterio.open(made.outputs.labels) as file:
        colours, tags = file.colormap(1), file.tags(1)
        assert file.tags()["BITSWATH_BUNDLE"] == made.bundle.name
    assert [colours[label][:3] for label in range(5)] == list(made.colours)
    assert [tags[f"CLASS_{label}"] for label in range(5)] == list(NAMES)
    beside = made.outputs.labels.with_name("map.tif.aux.xml").read_text()
    assert re.findall("<Category>(.*)</Category>", beside) == list(NAMES)
    with rasterio.open(made.outputs.scores) as file:
        assert file.descriptions == NAMES
        assert file.scales == (1 / 254,) * 5


@pytest.mark.skipif(shutil.which("gdalinfo") is None, reason="gdalinfo is not installed")
def test_gdal_reads_the_names(made: Map) -> None:
    said = subprocess.run(["gdalinfo", str(made.outputs.labels)], capture_output=True, text=True, check=True).stdout
    for label, name in enumerate(NAMES):
        assert re.search(rf"{label}: {name}", said)


def test_overviews_are_made_of_the_level_below(made: Map) -> None:
    below = read(made.outputs.labels)
    with rasterio.open(made.outputs.labels) as file:
        assert file.overviews(1) == [2, 4]
    for level, shape in enumerate([(350, 550), (175, 275)]):
        with rasterio.open(made.outputs.labels, overview_level=level) as file:
            assert file.shape == shape
            below = halved(below, 255)
            np.testing.assert_array_equal(file.read(), below)


def test_areas_are_those_of_the_ellipsoid() -> None:
    geod = pyproj.Geod(ellps="WGS84")
    step = 0.25
    grid = Grid(8, 12, (step, 0, 10, 0, -step, 61), rasterio.crs.CRS.from_epsg(4326).to_wkt())
    for row, area in enumerate(row_areas_m2(grid)):
        top, bottom = 61 - row * step, 61 - (row + 1) * step
        along = np.linspace(10, 10 + step, 400)  # parallels are no geodesics
        ring = [(x, top) for x in along] + [(x, bottom) for x in along[::-1]]
        assert area == pytest.approx(abs(geod.polygon_area_perimeter(*zip(*ring))[0]), rel=1e-6)
    project = pyproj.Transformer.from_crs(3857, 4326, always_xy=True)
    mercator = Grid(5, 9, (100, 0, 1_000_000, 0, -100, 7_000_000), rasterio.crs.CRS.from_epsg(3857).to_wkt())
    for row, area in enumerate(row_areas_m2(mercator)):
        y = 7_000_000 - 100 * row
        corners = [project.transform(x, v) for x, v in ((1e6, y), (1e6 + 100, y), (1e6 + 100, y - 100), (1e6, y - 100))]
        assert area == pytest.approx(abs(geod.polygon_area_perimeter(*zip(*corners))[0]), rel=1e-5)
    feet = Grid(2, 2, (30, 0, 0, 0, -30, 0), rasterio.crs.CRS.from_epsg(2263).to_wkt())
    np.testing.assert_allclose(row_areas_m2(feet), (30 * 0.3048006096) ** 2)
    assert row_areas_m2(Grid(2, 2)) is None


def test_areas_are_counted_and_written(made: Map) -> None:
    labels = read(made.outputs.labels)
    for label, area in enumerate(areas(made)):
        assert area.pixels == (labels == label).sum()
        assert area.hectares == pytest.approx(area.pixels * 0.01)
        assert area.share == pytest.approx(area.pixels / (labels != 255).sum())
    rows = list(csv.DictReader(io.StringIO(areas_csv(made))))
    assert [row["class"] for row in rows] == list(NAMES)
    assert sum(int(row["pixels"]) for row in rows) == made.seen


def test_polygons_burn_back_to_the_map(made: Map, tmp_path: Path) -> None:
    labels = read(made.outputs.labels)[0]
    count = save_polygons(made, tmp_path / "p.gpkg")
    about, _, geometry, (names, numbers) = pyogrio.raw.read(tmp_path / "p.gpkg")
    assert len(geometry) == count
    assert pyproj.CRS(about["crs"]).to_epsg() == 32633
    assert [made.classes[number] for number in numbers] == list(names)
    shapes = zip(shapely.from_wkb(geometry), numbers)
    burnt = rasterize(shapes, labels.shape, fill=255, transform=PLACE["transform"], dtype="uint8")
    np.testing.assert_array_equal(burnt, labels)
    assert save_polygons(made, tmp_path / "p.geojson") == count
    features = json.loads((tmp_path / "p.geojson").read_text())["features"]
    assert len(features) == count
    longitude, latitude = features[0]["geometry"]["coordinates"][0][0]
    assert (14.9 < longitude < 15.3, 44.9 < latitude < 45.3) == (True, True)
    with pytest.raises(InputError, match=r"\.gpkg, \.geojson"):
        save_polygons(made, tmp_path / "p.shp")


def test_stac_items_of_map_and_bundle(made: Map, tmp_path: Path) -> None:
    save_item(map_item(made, "bundle.json"), tmp_path / "map.json")
    item = pystac.Item.from_file(str(tmp_path / "map.json"))
    assert item.properties["proj:code"] == "EPSG:32633"
    assert item.properties["proj:shape"] == [700, 1100]
    assert [each["title"] for each in item.assets["landcover"].extra_fields["classification:classes"]] == list(NAMES)
    west, _, _, north = item.bbox
    to_degrees = pyproj.Transformer.from_crs(32633, 4326, always_xy=True).transform
    assert (west, north) == pytest.approx(
        (to_degrees(500_000, 5_000_000)[0], to_degrees(511_000, 5_000_000)[1]), abs=2e-3
    )
    save_item(bundle_item(made.bundle), tmp_path / "bundle.json")
    model = pystac.Item.from_file(str(tmp_path / "bundle.json")).to_dict()
    properties = model["properties"]
    for required in ("mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"):
        assert properties[required]
    assert properties["mlm:input"][0]["input"]["shape"] == [-1, 8, 8, 3]
    assert properties["mlm:output"][0]["result"]["shape"] == [-1, 5]
    assert "mlm" in " ".join(model["stac_extensions"])
    assert properties["mlm:total_parameters"] == 12 * 27 + 5 * 16 * 12


def test_without_a_place_there_is_no_item_and_no_hectare(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path / "b.bsw")
    scene = write_scene(tmp_path / "s.tif", land(np.random.default_rng(2), 40, 40), crs=None, transform=None)
    with bs.open(bundle) as accelerator:
        made = map_scene(accelerator, scene, tmp_path / "map.tif")
    assert {area.hectares for area in areas(made)} == {None}
    assert areas_csv(made).splitlines()[1].endswith(",")
    with pytest.raises(SceneError, match="no place on Earth"):
        map_item(made)
    save_preview(made, tmp_path / "p.png")
    save_page(made, tmp_path / "p.html")
    assert save_polygons(made, tmp_path / "p.gpkg") > 0


def test_colours_are_told_apart(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(200)] + ["Forest", "SeaLake", "AnnualCrop", "PermanentCrop", "lake"]
    colours = class_colours(names)
    assert len(set(colours)) == len(names)
    assert colours[200] == (0x1A, 0x6B, 0x2A)
    (tmp_path / "c.json").write_text('{"Forest": "#010203"}')
    assert class_colours(["Forest", "x"], read_colours(tmp_path / "c.json", ["Forest", "x"]))[0] == (1, 2, 3)
    for wrong in ('{"Forest": "green"}', '{"Wood": "#010203"}', "[]", "{"):
        (tmp_path / "c.json").write_text(wrong)
        with pytest.raises(InputError, match=r"c\.json: (expected JSON|names the class)"):
            read_colours(tmp_path / "c.json", ["Forest"])


def test_the_preview_shows_the_maps_colours(made: Map, tmp_path: Path) -> None:
    save_preview(made, tmp_path / "p.png")
    picture = np.asarray(Image.open(tmp_path / "p.png").convert("RGB")).reshape(-1, 3)
    seen = {tuple(colour) for colour in np.unique(picture, axis=0).tolist()}
    assert {made.colours[area] for area, one in enumerate(areas(made)) if one.share > 0.02} <= seen


SHOT = """
<script>window.addEventListener("load", () => setTimeout(() => {{
  document.getElementById("opacity").value = 100;
  document.getElementById("opacity").oninput({{target: {{value: 100}}}});
  const box = view.getBoundingClientRect();
  const at = {{clientX: box.left + left + ({x} + .5) * scale, clientY: box.top + top_ + ({y} + .5) * scale}};
  view.onpointermove({{pointerId: 1, ...at}});
  document.title = [scale, left, top_, under.innerText].join("|");
}}, 200));</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_in_a_browser_shows_map_class_and_confidence(made: Map, tmp_path: Path) -> None:
    """At full opacity a pixel in the middle of the picture is its class's colour, and pointing at it names it."""
    page = tmp_path / "map.html"
    save_page(made, page, made.outputs.confidence)
    assert not re.findall(r"(?:src|href)=\"https?:", page.read_text())
    labels, sure = read(made.outputs.labels)[0], read(made.outputs.confidence)[0]
    y, x = 504, 704
    assert labels[y, x] != 255
    page.write_text(page.read_text().replace("</html>", SHOT.format(x=x, y=y) + "</html>"))
    common = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1500,900"]
    common += ["--hide-scrollbars", "--virtual-time-budget=8000", f"--user-data-dir={tmp_path / 'profile'}"]

    def ran(*options: str) -> str:
        done = subprocess.run([*common, *options, page.as_uri()], capture_output=True, text=True, timeout=120)
        return done.stdout

    title = re.search("<title>(.*?)</title>", ran("--dump-dom"), re.DOTALL)
    assert title is not None
    scale, left, top, under = title[1].split("|")
    assert under.splitlines()[0] == made.classes[labels[y, x]]
    assert f"confidence {round(100 * int(sure[y, x]) / 254, 1):g} %" in under
    assert "WGS 84 / UTM zone 33N" in under
    ran(f"--screenshot={tmp_path / 'shot.png'}")
    shot = np.asarray(Image.open(tmp_path / "shot.png").convert("RGB"))
    expected = coloured(labels, made)[..., :3]
    rng = np.random.default_rng(3)
    wrong = 0
    for row, column in zip(rng.integers(360, 690, 60), rng.integers(10, 1090, 60)):
        at = float(top) + (row + 0.5) * float(scale), float(left) + (column + 0.5) * float(scale)
        wrong += not np.array_equal(shot[int(at[0]), int(at[1])], expected[row, column])
    assert wrong <= 6  # where a pixel of the screen lies between two of the map
