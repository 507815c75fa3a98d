"""``bitswath map``."""

from __future__ import annotations

import contextlib
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import click
from rich.console import Console
from rich.table import Table

from bitswath.accelerator import open as open_accelerator
from bitswath.basics.console import say
from bitswath.basics.files import check_outputs, write_atomic
from bitswath.basics.schema import build
from bitswath.bundle.bundle import Bundle, load_bundle
from bitswath.errors import BitswathError, InputError
from bitswath.scenes.cluster import cluster_worker
from bitswath.scenes.mapping import is_made, map_scene
from bitswath.scenes.products.areas import areas, areas_csv
from bitswath.scenes.products.colours import read_colours
from bitswath.scenes.products.made import Map, Outputs
from bitswath.scenes.products.page import save_page
from bitswath.scenes.products.polygons import ENDINGS, save_polygons
from bitswath.scenes.products.preview import save_preview
from bitswath.scenes.products.stac import map_item, save_item
from bitswath.scenes.settings import MapSettings, Resampling, SceneSettings
from bitswath.scenes.sources.listing import sources_at
from bitswath.scenes.sources.opening import Source
from bitswath.scenes.windows import MODES
from bitswath.streaming.progress import stream_progress

__all__ = ["command"]

_FILE = click.Path(path_type=Path, dir_okay=False)
_RESAMPLINGS = get_args(Resampling)


@dataclass(frozen=True)
class _Beside:
    """What is written beside a map; of several scenes as endings, in the same folder."""

    scores: Path | None
    confidence: Path | None
    preview: Path | None
    html: Path | None
    polygons: Path | None
    areas: Path | None
    stac: Path | None
    json: Path | None


def _listed(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(part.strip() for part in value.split(",") if part.strip())


def _numbers(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    parts = _listed(ctx, param, value)
    if parts is not None and not all(part.isdecimal() for part in parts):
        raise click.BadParameter(f"expected numbers with commas between, got {value!r}")
    return None if parts is None else tuple(map(int, parts))


@click.command("map")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("scenes", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The map; a folder for several.")
@click.option("--stack", is_flag=True, help="SCENES are bands of one scene, a file each.")
@click.option("--stride", type=click.IntRange(min=1), help="Pixels from window to window; by default half a patch.")
@click.option("--mode", type=click.Choice(MODES), default="mean", show_default=True, help="Where windows overlap.")
@click.option(
    "--extent",
    type=click.Choice(("scene", "windows")),
    default="scene",
    show_default=True,
    help="All of it, or what windows every --stride cover.",
)
@click.option("--most-nodata", type=float, default=0.5, show_default=True, help="Share of a window that may be nodata.")
@click.option("--bands", callback=_listed, help="Names or numbers, in the bundle's order: B04,B03,B02.")
@click.option("--resample", is_flag=True, help="Bring a scene of another resolution to the bundle's.")
@click.option(
    "--resampling",
    type=click.Choice(_RESAMPLINGS),
    default="bilinear",
    show_default=True,
    help="How, and how bands of several resolutions come to one grid.",
)
@click.option("--nodata", type=float, help="The value that stands for none, if not what the file says.")
@click.option("--scale", type=float, help="Samples are taken times this,")
@click.option("--offset", type=float, help="and this is added; by default what the product declares.")
@click.option("--range", "value_range", type=(float, float), help="Samples that become lowest and highest.")
@click.option("--mask", help="A raster of what is left out, such as clouds; scl: a product's own classification.")
@click.option("--mask-values", callback=_numbers, help="Its values that are left out; by default all but 0.")
@click.option("--scores", type=_FILE, help="Write a band for each class.")
@click.option("--confidence", type=_FILE, help="Write the score of the class.")
@click.option("--preview", type=_FILE, help="Write a picture with a legend, PNG.")
@click.option("--html", type=_FILE, help="Write a page to look around in.")
@click.option("--polygons", type=_FILE, help=f"Write polygons: {', '.join(ENDINGS)}.")
@click.option("--areas", type=_FILE, help="Write the area of each class, CSV.")
@click.option("--stac", type=_FILE, help="Write a STAC item, JSON.")
@click.option("--json", "json_path", type=_FILE, help="Write the figures as JSON.")
@click.option("--colours", type=_FILE, help='Colours of classes: JSON {"class": "#rrggbb"}.')
@click.option("--backend", default="auto", show_default=True, help="emulator, rtl, pynq or auto.")
@click.option("--board", help="Which board's build, for a backend of hardware; needless if there is one.")
@click.option("--device", "devices", multiple=True, help="Card by number or PCIe address; may be repeated.")
@click.option("--also", multiple=True, metavar="BACKEND", help="A further backend, to share the work; may be repeated.")
@click.option("--resume/--no-resume", default=True, help="Take over what an interrupted run did.  [default: resume]")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--skip-bad", is_flag=True, help="Go on after blocks, or of several scenes those, that cannot be read.")
@click.option("--cluster", metavar="ADDRESS", help="Work on a Dask scheduler's workers, tcp://HOST:PORT.")
def command(**given: Any) -> None:
    """Classify whole SCENES with BUNDLE and write land-cover maps: GeoTIFFs and what else GDAL reads, Sentinel-2 SAFE
    folders and zips, folders of them, STAC items."""
    beside = _Beside(json=given["json_path"], **{name: given[name] for name in _BESIDE})
    bundle = load_bundle(given["bundle"])
    sensor = bundle.manifest.input.sensor
    if given["stack"]:
        sources = [Source(given["scenes"], title=given["scenes"][0])]
    else:
        sources = sources_at(given["scenes"], given["bands"] or (sensor.bands if sensor else None))
    run = _Run(bundle, beside, given)
    if len(sources) == 1 and not given["output"].is_dir():
        run.one(sources[0], given["output"], beside)
    else:
        run.several(sources, given["output"])


_BESIDE = ("scores", "confidence", "preview", "html", "polygons", "areas", "stac")


class _Run:
    """The command's options, applied to scene after scene."""

    def __init__(self, bundle: Bundle, beside: _Beside, given: dict[str, Any]) -> None:
        self._bundle, self._beside, self._given = bundle, beside, given
        self._settings = build(
            MapSettings,
            InputError,
            **{name: given[name] for name in ("stride", "mode", "extent", "most_nodata")},
        )
        self._scene = build(SceneSettings, InputError, **{name: given[name] for name in SceneSettings.model_fields})
        self._colours = read_colours(given["colours"], bundle.classes) if given["colours"] else None

    def one(self, source: Source, output: Path, beside: _Beside) -> None:
        paths = [path for path in asdict(beside).values() if path is not None]
        check_outputs(*paths)
        if present := [path for path in paths if path.exists() and not self._given["overwrite"]]:
            raise InputError(f"{present[0]}: exists and is not overwritten; --overwrite replaces it, or name another")
        if beside.polygons is not None and beside.polygons.suffix.lower() not in ENDINGS:
            raise InputError(f"{beside.polygons}: expected polygons as {', '.join(ENDINGS)}")
        with tempfile.TemporaryDirectory(prefix="bitswath-map-") as folder:
            sure = beside.confidence
            if beside.html is not None and sure is None:
                sure = Path(folder) / "confidence.tif"
            made = self._mapped(source, Outputs(output, beside.scores, sure))
            _write_beside(made, beside, sure)
        _show(made)

    def several(self, sources: list[Source], folder: Path) -> None:
        """Those that are there already, of the same settings, are left as they are."""
        folder.mkdir(parents=True, exist_ok=True)
        bad = []
        for source, name in zip(sources, _names(sources)):
            output = folder / f"{name}.tif"
            chosen = {
                key: None if path is None else folder / f"{name}.{path.name.lstrip('.')}"
                for key, path in asdict(self._beside).items()
            }
            if is_made(self._bundle, source, output, self._scene, self._settings):
                say(f"{output}: is there already")
                continue
            try:
                self.one(source, output, _Beside(**chosen))
            except BitswathError as error:
                if not self._given["skip_bad"]:
                    raise
                bad.append(source.name)
                say(f"skipped {error}", "yellow")
        say(f"{len(sources) - len(bad)} of {len(sources)} scenes are mapped in {folder}")

    def _mapped(self, source: Source, outputs: Outputs) -> Map:
        given, chosen = self._given, self._devices()
        with contextlib.ExitStack() as stack:
            progress, worker = stack.enter_context(stream_progress()), None
            if given["cluster"]:
                (backend, options), *more = chosen
                if more:
                    raise InputError(
                        "expected one device with --cluster, whose workers open one each; leave out --also"
                    )
                address, path = given["cluster"], str(self._bundle.path)
                worker = cluster_worker(address, open_accelerator, path, backend, options, progress)
                chosen = []
            opened = [stack.enter_context(open_accelerator(self._bundle, name, **more)) for name, more in chosen]
            return map_scene(
                opened[0] if opened else self._bundle,
                source,
                outputs,
                scene=self._scene,
                settings=self._settings,
                colours=self._colours,
                overwrite=given["overwrite"],
                resume=given["resume"],
                skip_bad=given["skip_bad"],
                also=opened[1:],
                progress=progress,
                worker=worker,
            )

    def _devices(self) -> list[tuple[str, dict[str, Any]]]:
        """Backends, with their options, that share the work."""
        given = self._given
        board = {} if given["board"] is None else {"board": given["board"]}
        cards = [{"device": int(card) if card.isdigit() else card} for card in given["devices"]]
        also = [(name, {} if name == "emulator" else board) for name in given["also"]]
        return [*((given["backend"], {**board, **card}) for card in cards or [{}]), *also]


def _names(sources: list[Source]) -> list[str]:
    """Of their maps: each scene's own, numbered where two are alike."""
    found: list[str] = []
    for source in sources:
        plain = Path(source.name).name
        stem = plain.removesuffix(".zip").removesuffix(".SAFE")
        stem = stem if source.title and "/" not in source.title and "." not in source.title else Path(stem).stem
        name, number = stem, 2
        while name in found:
            name, number = f"{stem}-{number}", number + 1
        found.append(name)
    return found


def _write_beside(made: Map, beside: _Beside, confidence: Path | None) -> None:
    if beside.preview:
        save_preview(made, beside.preview)
    if beside.html:
        save_page(made, beside.html, confidence)
    if beside.polygons:
        save_polygons(made, beside.polygons)
    if beside.areas:
        write_atomic(beside.areas, areas_csv(made).encode())
    if beside.stac:
        save_item(map_item(made), beside.stac)
    if beside.json:
        write_atomic(beside.json, (json.dumps(_figures(made), indent=2) + "\n").encode())


def _show(made: Map) -> None:
    table = Table("class", "pixels", "share", "hectares", title=str(made.outputs.labels), title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    for area in areas(made):
        hectares = "" if area.hectares is None else f"{area.hectares:,.1f}"
        table.add_row(area.name, f"{area.pixels:,}", f"{100 * area.share:.2f} %", hectares)
    Console().print(table)
    for note in (*made.notes, *(f"left out {line}" for line in made.bad)):
        say(note, "yellow")
    figures = _figures(made)
    before = f", {made.resumed:,} of them by an earlier run" if made.resumed else ""
    say(
        f"{made.grid.width:,} x {made.grid.height:,} pixels, {made.windows:,} windows{before}, {made.seconds:.1f} s: "
        f"{figures['windows_per_s']:,.0f} windows/s from file to map"
    )


def _figures(made: Map) -> dict[str, Any]:
    fresh = made.windows - made.resumed
    return {
        "bundle": made.bundle.name,
        "scene": made.scene.name,
        "map": str(made.outputs.labels),
        "size": list(made.grid.shape),
        "windows": made.windows,
        "resumed": made.resumed,
        "seconds": made.seconds,
        "windows_per_s": fresh / made.seconds,
        "nodata": int(made.counts[:, -1].sum()),
        "classes": [asdict(area) for area in areas(made)],
        "left_out": list(made.bad),
        "notes": list(made.notes),
    }
