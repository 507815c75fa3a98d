"""``bitswath study``."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bitswath.basics.console import say
from bitswath.models.study.plan.cells import Cell
from bitswath.models.study.plan.config import Fidelity, load_study
from bitswath.models.study.plan.grid import expand
from bitswath.models.study.show import Show, results_table
from bitswath.models.study.table import export, read_rows
from bitswath.models.study.work.patches import Shelf
from bitswath.models.study.work.runner import Engine, LocalEngine, Settings, run_study, standing, threads_for
from bitswath.models.study.work.store import FILE, Store

__all__ = ["command"]


@click.command("study")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="The study's folder. [NAME.study]"
)
@click.option("--fidelity", default="full", show_default=True, type=click.Choice(["quick", "full"]), help="How long.")
@click.option("--jobs", type=click.IntRange(1), help="Cells at a time. [default: 1; of a cluster: its workers]")
@click.option("--threads", type=click.IntRange(1), help="Of each cell. [default: cores over jobs; of a cluster: 1]")
@click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler, tcp://HOST:PORT, instead of this machine.")
@click.option("--data", type=click.Path(path_type=Path), help="Where data sets are; else BITSWATH_DATA.")
@click.option("--download", is_flag=True, help="Fetch the data set if it is not there.")
@click.option(
    "--silence",
    default=1800.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds without news after which a cell is ended.",
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds that a cell may take at most.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a page, figures and their data there; with --list of what is done so far.",
)
@click.option("--examples", metavar="NAME", help="The report's example patches: of this data set, not of the study's.")
@click.option(
    "--known",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A study.json whose results stand for cells that are not done in the folder.",
)
@click.option("--list", "listing", is_flag=True, help="Only list the cells and what is known of each.")
def command(
    config: Path,
    output: Path | None,
    fidelity: Fidelity,
    jobs: int | None,
    threads: int | None,
    cluster: str | None,
    data: Path | None,
    download: bool,
    silence: float,
    timeout: float | None,
    report: Path | None,
    examples: str | None,
    known: Path | None,
    listing: bool,
) -> None:
    """Measure and train the grid of CONFIG (YAML or TOML), cell by cell.

    The same call goes on where an interrupted one stopped; a cell that is done is never repeated, whatever is added to
    the grid. Validation accuracy is measured at both fidelities, test accuracy once, at full. Writes study.sqlite, and
    from it study.json and study.csv; with --report a page with figures. The exit code is 1 if a cell failed.
    """
    settings = load_study(config)
    cells = expand(settings, fidelity)
    folder = output or Path(f"{settings.name}.study")
    place = str(data.absolute()) if data else None
    if known is not None:
        _take(known, cells, folder)
    if listing:
        _list(cells, folder)
        _report(report, settings.name, cells, fidelity, folder, examples, place)
        return
    store = Store(folder)
    engine = _engine(cluster, jobs)
    threads = threads or (1 if cluster else threads_for(engine.jobs))
    options = Settings(place, download, threads, silence, timeout)
    signal.signal(signal.SIGTERM, _interrupt)
    done = _done(store)
    left = [cell for cell in cells if cell.digest not in done]
    say(f"{len(cells)} cells, {len(cells) - len(left)} of them done")
    if left:
        Shelf(folder, place, download).original(left[0].imagery, "val")  # said once where the data set is missing
    with Show(left, Console()) as show:
        run_study(cells, store, engine, options, show)
    failed = _conclude(store, cells)
    _report(report, settings.name, cells, fidelity, folder, examples, place)
    if failed:
        sys.exit(1)


def _take(known: Path, cells: list[Cell], folder: Path) -> None:
    rows = read_rows(known)
    store = Store(folder)
    say(f"{known}: {store.take(standing(rows, cells, _done(store)))} results taken")


def _done(store: Store) -> set[str]:
    return {row.digest for row in store.rows() if row.state == "done"}


def _report(
    target: Path | None,
    name: str,
    cells: list[Cell],
    fidelity: Fidelity,
    folder: Path,
    examples: str | None,
    data: str | None,
) -> None:
    if target is None:
        return
    from bitswath.models.study.report.write import make_report

    say(f"{make_report(name, cells, fidelity, folder, target, examples=examples, data=data)}: the report")


def _engine(cluster: str | None, jobs: int | None) -> Engine:
    if cluster is None:
        return LocalEngine(jobs or 1)
    from bitswath.models.study.work.cluster import ClusterEngine

    return ClusterEngine(cluster, jobs)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _list(cells: list[Cell], folder: Path) -> None:
    known = {row.digest: row for row in Store(folder).rows()} if (folder / FILE).exists() else {}
    table = Table("digest", "kind", "cell", "state")
    for cell in cells:
        row = known.get(cell.digest)
        state = "new" if row is None else f"failed: {row.error}" if row.error else row.state
        table.add_row(cell.digest[:12], cell.kind, Text(cell.label), Text(state))
    Console().print(table)
    kinds = Counter(cell.kind for cell in cells)
    say(", ".join(f"{count} {kind}" for kind, count in kinds.items()))


def _conclude(store: Store, cells: list[Cell]) -> bool:
    """Show and write what was found; whether a cell failed."""
    rows = store.rows(cell.digest for cell in cells)
    table = results_table(rows)
    if table.row_count:
        Console().print(table)
    whole, flat = export(store)
    failed = [row for row in rows if row.state == "failed"]
    say(f"{whole} and {flat.name}: {len(rows) - len(failed)} cells done, {len(failed)} failed")
    for row in failed:
        say(f"failed: {row.cell.label}: {row.error}", "red")
    return bool(failed)
