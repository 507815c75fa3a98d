"""``bitswath map``."""

from __future__ import annotations

from pathlib import Path

import click

from bitswath.accelerator import open as open_accelerator
from bitswath.basics.console import say
from bitswath.basics.schema import build
from bitswath.bundle.bundle import load_bundle
from bitswath.errors import InputError
from bitswath.scenes.mapping import map_scene
from bitswath.scenes.settings import MapSettings
from bitswath.scenes.sources.opening import Source
from bitswath.scenes.windows import MODES
from bitswath.streaming.progress import stream_progress

__all__ = ["command"]

_FILE = click.Path(path_type=Path, dir_okay=False)


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
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The map, a GeoTIFF.")
@click.option("--stride", type=click.IntRange(min=1), help="Pixels from window to window; by default half a patch.")
@click.option("--mode", type=click.Choice(MODES), default="mean", show_default=True, help="Of windows that overlap.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
def command(
    bundle: Path, scenes: tuple[str, ...], output: Path, stride: int | None, mode: str, overwrite: bool
) -> None:
    """Classify whole SCENES with BUNDLE and write their maps."""
    loaded = load_bundle(bundle)
    settings = build(MapSettings, InputError, stride=stride, mode=mode)
    with open_accelerator(loaded) as accelerator, stream_progress() as progress:
        made = map_scene(accelerator, Source(scenes), output, settings=settings, overwrite=overwrite, progress=progress)
    say(f"{output}: {made.windows:,} windows in {made.seconds:.1f} s")
