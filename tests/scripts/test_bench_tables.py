"""Bars and tables show what was measured, on the terminal and as Markdown."""

from __future__ import annotations

from bench_tables import Bar, Grid, bar_grid
from rich.console import Console


def test_bars_know_their_side() -> None:
    facts = {"a": {"b": 2.0}, "mb": 70}
    assert Bar("", "a.b", 3).missed(facts) and not Bar("", "a.b", 2).missed(facts)
    assert Bar("", "mb", 64, "MB", at_most=True).missed(facts)
    assert not Bar("", "a.c", 3).missed(facts), "what was not measured is not missed"
    assert Bar("", "a.b.c", 3).value(facts) is None
    assert Bar("", "a.c", 3).value(facts) is None and not Bar("", "a.b", None).missed(facts)


def test_values_are_shown_in_their_unit() -> None:
    assert Bar("", "k", 1).shown(2.5) == "2.50x"
    assert Bar("", "k", 1, "%").shown(0.256) == "25.6 %"
    assert Bar("", "k", 1, "GMAC/s").shown(1234.4) == "1,234 GMAC/s"


def test_quartiles_stand_beside_the_measure() -> None:
    facts = {"a": {"b": 2.0, "c": 1.0, "quartiles": {"b": [1.5, 2.25]}}}
    assert Bar("", "a.b").quartiles(facts) == "1.50x to 2.25x"
    assert Bar("", "a.c").quartiles(facts) == ""


def test_the_table_has_what_was_measured() -> None:
    wanted = [Bar("speed", "speed", 8), Bar("size", "size", 64, "MB", at_most=True), Bar("absent", "absent", 1)]
    grid = bar_grid("Title", [*wanted, Bar("reported", "speed")], {"speed": 9.0, "size": 70.0})
    assert grid.rows == (
        ("speed", "9.00x", "", "at least 8.00x", "reached"),
        ("size", "70.0 MB", "", "at most 64.0 MB", "missed"),
        ("reported", "9.00x", "", "", ""),
    )


def test_the_terminal_and_markdown_show_the_same_cells() -> None:
    grid = Grid("Title", ("name", "value"), (("[red]a[/red]", "1"), ("b|c", "missed")))
    console = Console(width=100)
    with console.capture() as captured:
        console.print(grid.rich())
    assert all(cell in captured.get() for cell in ("Title", "value", "[red]a[/red]", "b|c", "missed"))
    assert grid.markdown() == ("## Title\n\n| name | value |\n| --- | --- |\n| [red]a[/red] | 1 |\n| b/c | missed |\n")
