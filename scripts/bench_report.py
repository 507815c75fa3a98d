"""What ``bitswath bench --json`` measured, as a page: python scripts/bench_report.py FILE.json ... > page.md"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.table import Table

from bitswath.bench.tables import sentences, tables

__all__ = ["page"]


def page(results: dict[str, dict[str, Any]]) -> str:
    """Markdown of facts by file name: conditions, tables, what is absent, and the picture where there is one."""
    lines = ["# Latency, throughput and energy", ""]
    for name, facts in results.items():
        lines += _section(name, facts)
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, facts: dict[str, Any]) -> Iterator[str]:
    backend = facts["backend"]
    yield f"## {facts['bundle']['name']} on {backend['name']}" + (f", {backend['board']}" if backend["board"] else "")
    yield f"\nMeasured on {facts['date']}; [everything that was measured]({name}).\n"
    for sentence in sentences(facts):
        yield f"- {sentence}"
    for table in tables(facts):
        yield f"\n### {table.title}\n"
        yield from _rows(table)
    yield ""


def _rows(table: Table) -> Iterator[str]:
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    yield _row([str(column.header) for column in table.columns])
    yield _row(["---"] * len(columns))
    yield from map(_row, zip(*columns))


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


if __name__ == "__main__":
    paths = [Path(argument) for argument in sys.argv[1:]]
    print(page({path.name: json.loads(path.read_text()) for path in paths}), end="")
