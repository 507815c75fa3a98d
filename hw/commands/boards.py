"""``bitswath boards``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from bitswath.hw.planning.boards import Board, boards

__all__ = ["command"]

_WIDTH = 120
"""Columns of the table; a narrower terminal breaks its lines, which is better than cut names and numbers."""


@click.command("boards")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the boards an accelerator can be built for, with what their parts offer."""
    console = Console()
    if as_json:
        console.print_json(json.dumps([_facts(board) for board in boards()]))
    else:
        console.width = max(console.width, _WIDTH)
        console.print(_table())


def _facts(board: Board) -> dict[str, object]:
    totals = {key: getattr(board, key) for key in ("lut", "lutram", "ff", "bram36", "uram", "dsp", "dsp_block")}
    return {**asdict(board), **totals}


def _table() -> Table:
    table = Table("board", "part")
    for heading in ("LUT", "FF", "BRAM36", "URAM", "DSP", "SLR", "MHz", "link bits"):
        table.add_column(heading, justify="right")
    for board in boards():
        counts = (board.lut, board.ff, board.bram36, board.uram, board.dsp, len(board.regions))
        clock = f"{board.clock_hz / 1e6:g}"
        table.add_row(board.name, board.part, *(f"{count:,}" for count in counts), clock, str(board.link_width))
    return table
