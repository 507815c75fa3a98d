"""How the benchmark scripts show what they measured: bars and tables, on the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

__all__ = ["Bar", "Grid", "bar_grid"]

COLOURS = {"reached": "green", "missed": "red"}


@dataclass(frozen=True)
class Bar:
    """What a measure is to reach. `key`: dotted path into the facts; `bound`: None where it is reported only."""

    text: str
    key: str
    bound: float | None = None
    unit: str = "x"
    at_most: bool = False

    def value(self, facts: Mapping[str, Any]) -> float | None:
        """The measured value, None if it was not measured."""
        found = _found(facts, self.key.split("."))
        return None if found is None else float(found)

    def quartiles(self, facts: Mapping[str, Any]) -> str:
        """As shown; "" for what is no ratio of interleaved rates."""
        *above, name = self.key.split(".")
        found = _found(facts, [*above, "quartiles", name])
        return "" if found is None else " to ".join(map(self.shown, found))

    def missed(self, facts: Mapping[str, Any]) -> bool:
        value = self.value(facts)
        if value is None or self.bound is None:
            return False
        return value > self.bound if self.at_most else value < self.bound

    def shown(self, value: float) -> str:
        number = 100 * value if self.unit == "%" else value
        digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2
        return f"{number:,.{digits}f}{'' if self.unit == 'x' else ' '}{self.unit}"


def _found(facts: Any, path: Iterable[str]) -> Any:
    for part in path:
        if not isinstance(facts, Mapping) or part not in facts:
            return None
        facts = facts[part]
    return facts


@dataclass(frozen=True)
class Grid:
    """A table of text: a title, its columns, and rows of as many cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def rich(self) -> Table:
        table = Table(*self.columns, title=self.title, title_justify="left")
        for row in self.rows:
            table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
        return table

    def markdown(self) -> str:
        lines = (self.columns, ("---",) * len(self.columns), *self.rows)
        cells = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
        return f"## {self.title}\n\n{cells}\n"


def bar_grid(title: str, bars: Iterable[Bar], facts: Mapping[str, Any]) -> Grid:
    """Measured against wanted, a row for each bar that was measured."""
    rows = []
    for bar in bars:
        value = bar.value(facts)
        if value is None:
            continue
        verdict = "" if bar.bound is None else "missed" if bar.missed(facts) else "reached"
        wanted = "" if bar.bound is None else f"{'at most' if bar.at_most else 'at least'} {bar.shown(bar.bound)}"
        rows.append((bar.text, bar.shown(value), bar.quartiles(facts), wanted, verdict))
    return Grid(title, ("measure", "measured", "quartiles", "to reach", ""), tuple(rows))
