"""``bitswath zoo``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from bitswath.basics.console import say
from bitswath.basics.files import scratch_path
from bitswath.builds.folder import HARDWARE
from bitswath.bundle.bundle import Bundle, load_bundle
from bitswath.bundle.cards import card
from bitswath.bundle.manifest import SplitAccuracy
from bitswath.bundle.zoo import PREFIX, zoo_folder, zoo_names, zoo_path
from bitswath.bundle.zoo_entry import Entry, facts, read_entry
from bitswath.errors import InputError

__all__ = ["command"]

_UNBROKEN = 160
"""Columns where there is no terminal to fit into."""


@click.command("zoo")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Copy NAME there, to build it for a board.")
def command(name: str | None, as_json: bool, output: Path | None) -> None:
    """List the trained bundles that come with bitswath, or describe the one called NAME.

    Wherever a command or `bitswath.open` takes a bundle's path, zoo:NAME names one of them.
    """
    if name is None:
        if output:
            raise InputError("--output: expected the NAME of the bundle to copy")
        _show_all([read_entry(zoo_path(name)) for name in zoo_names()], as_json)
        return
    entry = read_entry(zoo_path(name.removeprefix(PREFIX)))
    if output:
        _copy(entry.bundle, output)
        return
    console = Console()
    if as_json:
        click.echo(json.dumps(facts(entry), indent=2))
    elif console.is_terminal:
        console.print(Markdown(card(entry)))
    else:
        click.echo(card(entry), nl=False)


def _copy(bundle: Bundle, target: Path) -> None:
    """A bundle of one's own, without builds; there whole or not at all."""
    if target.exists() or not target.absolute().parent.is_dir():
        raise InputError(f"{target}: expected a new name in a folder that exists")
    scratch = scratch_path(target)
    try:
        shutil.copytree(bundle.path, scratch, ignore=shutil.ignore_patterns(HARDWARE))
        load_bundle(scratch)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    say(f"{target}: a copy of {bundle.name}")


def _show_all(entries: list[Entry], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([facts(entry) for entry in entries], indent=2))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_UNBROKEN)
    console.print(_table(entries))


def _table(entries: list[Entry]) -> Table:
    caption = f"bytes of a patch on the link; {zoo_folder()}"
    table = Table(caption=caption, box=box.SIMPLE_HEAD, padding=0, pad_edge=False)  # to fit into 100 columns
    table.add_column("name", no_wrap=True)
    for heading in ("data", "codec"):
        table.add_column(heading, overflow="fold", min_width=8)
    table.add_column("network", no_wrap=True)
    table.add_column("widths", no_wrap=True)
    for heading in ("MACs", "bytes", "test %", "95 %", "val %", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in entries:
        known, accuracy = facts(entry), entry.bundle.manifest.accuracy
        test, val = accuracy.get("test"), accuracy.get("val")
        cells = (
            *(str(known[key] or "?") for key in ("name", "data", "codec", "network", "widths")),
            f"{known['macs'] / 1e6:.1f} M",
            f"{known['link_bytes']:,}",
            *(_with_interval(test) if test else ("?", "?")),
            f"{100 * val.accuracy:.2f}" if val else "?",
            f"{known['bundle_bytes'] / 1e6:.2f}",
        )
        table.add_row(*map(escape, cells))
    return table


def _with_interval(found: SplitAccuracy) -> tuple[str, str]:
    low, high = found.interval
    return f"{100 * found.accuracy:.2f}", f"{100 * low:.2f}-{100 * high:.2f}"
