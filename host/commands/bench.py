"""``bitswath bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bitswath.basics.console import say
from bitswath.basics.files import check_outputs
from bitswath.basics.pictures import picture_format
from bitswath.bench.quick import quick
from bitswath.bench.quick import sentence as quick_sentence
from bitswath.bench.subject import load_inputs, opened
from bitswath.bench.suite import MEASURES, Settings, measure_all, write_results
from bitswath.bench.tables import sentences, tables
from bitswath.bundle.bundle import load_bundle

__all__ = ["command", "show"]

_FILE = click.Path(path_type=Path, dir_okay=False)


def _widths(context: click.Context, option: click.Parameter, value: str | None) -> tuple[int, ...]:
    try:
        widths = tuple(int(bits) for bits in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(f"expected widths such as 1,2,4,8, got {value!r}") from None
    if not all(1 <= bits <= 8 for bits in widths):
        raise click.BadParameter(f"expected widths of 1 to 8, got {value!r}")
    return widths


@click.command("bench")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--backend", default="emulator", show_default=True, help="emulator, rtl or pynq.")
@click.option("--board", help="Which board's build, for a backend of hardware; needless if there is one.")
@click.option("--bitstream", type=click.Path(path_type=Path), help="A bitstream's folder or archive, such as FINN's.")
@click.option("--threads", type=click.IntRange(1), help="Of the emulator or the simulator; else their own default.")
@click.option("--what", default=",".join(MEASURES), show_default=True, help="What to measure, by commas.")
@click.option("--images", type=click.Path(path_type=Path), help="Real patches: an image, a folder, a zip. Else random.")
@click.option("--split", help="Which split of the images.")
@click.option("--patches", default=256, show_default=True, help="How many, at most; of images, evenly over all.")
@click.option("--queries", default=Settings.queries, show_default=True, help="Single patches whose latency is taken.")
@click.option("--stream-s", default=Settings.stream_s, show_default=True, help="Length of each single-stream run.")
@click.option("--turns", default=Settings.turns, show_default=True, help="Of throughput: everything in turns.")
@click.option("--turn-s", default=Settings.turn_s, show_default=True, help="Length of a measurement in a turn.")
@click.option("--bits", callback=_widths, help="Also measure throughput at other widths of input, such as 1,2,4,8.")
@click.option("--second", is_flag=True, help="Also measure throughput over two devices.")
@click.option("--meter", help="Power meter by name or kind: hwmon, pynq, xrt, rapl. Else the best there is.")
@click.option("--rail", "rails", multiple=True, help="Rail of the meter to add up; may be repeated.")
@click.option("--rounds", default=Settings.rounds, show_default=True, help="Of energy, each after idling.")
@click.option("--round-s", default=Settings.round_s, show_default=True, help="Length of a round of energy.")
@click.option("--idle-s", default=Settings.idle_s, show_default=True, help="Idling before each round.")
@click.option("--quick", "is_quick", is_flag=True, help="Only say which kernels run here, and how near their best.")
@click.option("--json", "json_path", type=_FILE, help="Write the figures as JSON.")
@click.option("--plot", type=_FILE, help="Draw them: PNG, SVG or PDF.")
def command(
    bundle: Path,
    backend: str,
    board: str | None,
    what: str,
    images: Path | None,
    split: str | None,
    patches: int,
    bitstream: Path | None,
    threads: int | None,
    is_quick: bool,
    json_path: Path | None,
    plot: Path | None,
    **settings: Any,
) -> None:
    """Measure latency, throughput and energy of BUNDLE on a backend."""
    check_outputs(json_path, plot)
    if plot:
        picture_format(plot)
    loaded = load_bundle(bundle)
    if is_quick:
        if backend != "emulator":
            raise click.UsageError(f"expected --quick for the emulator, got --backend {backend}")
        say(quick_sentence(quick(loaded.network, loaded.codec.bits)))
        return
    inputs = load_inputs(loaded, patches, images, split)
    for note in inputs.notes:
        say(note, "yellow")
    given = {"board": board, "bitstream": bitstream, "threads": threads}
    options = {name: value for name, value in given.items() if value is not None}
    names = [name.strip() for name in what.split(",")]
    with opened(loaded, backend, **options) as subject:
        facts = measure_all(names, subject, inputs, Settings(**settings))
    show(facts, json_path, plot)


def show(facts: dict[str, Any], json_path: Path | None, plot: Path | None) -> None:
    """Print tables and sentences, and write what is asked for."""
    for table in tables(facts):
        Console().print(table)
    for sentence in sentences(facts):
        say(sentence)
    if json_path:
        write_results(facts, json_path)
    if plot:
        from bitswath.bench.figures import save_picture

        save_picture(facts, plot)
