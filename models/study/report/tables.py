"""The tables of a report's page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from statistics import median
from typing import Any

from bitswath.models.study.report.facts.results import CodecFacts, Network, Results
from bitswath.models.study.report.facts.select import series_order

__all__ = [
    "codecs_table", "container_bytes_table", "container_speeds_table", "networks_table", "processor_marks", "table",
]  # fmt: skip

NONE = "–"
SPREAD = " (p99; max)"


def processor_marks(results: Results) -> dict[str, str]:
    """What stands behind a speed, by the processor that it was measured on: letters, where there are several."""
    found = list(dict.fromkeys(name for row in results.rows if (name := _measured_on(row))))
    return {name: f" {chr(ord('A') + index)}" if len(found) > 1 else "" for index, name in enumerate(found)}


def _measured_on(row: Mapping[str, Any]) -> str | None:
    """The processor; what was timed again may have been on another one than it was first worked on."""
    return row.get("timed_on") or row.get("processor")


def networks_table(results: Results) -> str:
    """A row a network and build; those to start from and those that leak come last and say so."""
    files = _file_columns(results.networks)
    heads = (
        "codec", "network", "seed", "accuracy %", "95 %", "bits/pixel", _link_head(results.networks), *files.values(),
        "MACs", "epochs", "emulator patches/s", "emulator mJ", "board", "LUT", "RAMB36", "DSP", "patches/s", "mJ",
    )  # fmt: skip
    ordered = sorted(
        results.networks,
        key=lambda n: (n.leaks, bool(n.row.get("origin")), n.setting.network, -(n.setting.weights or 99)),
    )
    marks = processor_marks(results)
    rows = [_network(network, build, marks, files) for network in ordered for build in (network.builds or [{}])]
    return table(heads, rows, text=2, marked=lambda cells: "LEAKS" in cells[0])


def _network(network: Network, build: Any, marks: Mapping[str, str], files: Iterable[str]) -> list[str]:
    score, row = network.score, network.row
    name = network.name + " (to start from)" * bool(row.get("origin"))
    return [
        name, str(network.setting), str(network.setting.seed), f"{100 * score.accuracy:.2f}",
        f"{100 * score.low:.2f}-{100 * score.high:.2f}", _number(network.bits_per_pixel),
        _sizes(row, "link_bytes", network.link_bytes), *(_sizes(row, name, row.get(name)) for name in files),
        _number(row["macs"]), _number(row["epochs"]), _speed(row, "emulator_patches_per_s", marks),
        _millijoules(row.get("emulator_j")),
        build.get("board", NONE), _number(build.get("lut")), _number(build.get("bram36")), _number(build.get("dsp")),
        _number(build.get("hw_patches_per_s"), whole=True),
        _millijoules(*(build.get(name) for name in ("energy_j", "energy_low_j", "energy_high_j"))),
    ]  # fmt: skip


def codecs_table(results: Results) -> str:
    """A row a codec; speeds are of one thread."""
    files = {"source_bytes": "JPEG bytes"} | _file_columns(results.codecs)
    speeds = "encode patches/s", "decode patches/s"
    heads = ("codec", "bits/pixel", _link_head(results.codecs), *files.values(), "PSNR dB", "SSIM", *speeds)
    ordered = sorted(results.codecs, key=_place)
    marks = processor_marks(results)
    rows = [_codec(facts, marks, files) for facts in ordered]
    return table(heads, rows, text=1, marked=lambda cells: "LEAKS" in cells[0])


def _place(facts: CodecFacts) -> tuple[Any, ...]:
    """Originals first, then format by format from its highest quality to its lowest."""
    lossy = (facts.lossy.name, -facts.lossy.quality) if facts.lossy else ("", 0.0)
    return facts.leaks, *lossy, series_order(facts.series), -facts.bits, -(facts.link_bytes or 0)


def _file_columns(found: Iterable[CodecFacts | Network]) -> dict[str, str]:
    """Columns of files' sizes, by their name in rows that say what files share."""
    known = any(item.row.get("source_payload_bytes") for item in found)
    return {"source_bytes": f"file bytes{SPREAD}", "source_payload_bytes": f"shared head{SPREAD}"} if known else {}


def _link_head(found: Iterable[CodecFacts | Network]) -> str:
    return "link bytes" + SPREAD * any(item.compressed for item in found)


def _codec(facts: CodecFacts, marks: Mapping[str, str], files: Iterable[str]) -> list[str]:
    row = facts.row
    psnr = f"{row['psnr_db']:.1f}" if row["psnr_db"] is not None else "same"
    return [
        facts.name, _number(facts.bits_per_pixel), _sizes(row, "link_bytes", facts.link_bytes),
        *(_sizes(row, name, row.get(name)) for name in files), psnr, f"{row['ssim']:.3f}",
        _speed(row, "encode_patches_per_s", marks), _speed(row, "decode_patches_per_s", marks),
    ]  # fmt: skip


def container_bytes_table(results: Results) -> str:
    """Bytes a patch: a row a codec, a column a container; in brackets where it holds decoded patches."""
    containers = list(dict.fromkeys(stored.container for stored in results.stored))
    codecs = {s.codec: s for s in sorted(results.stored, key=lambda s: (series_order((s.kind, s.dither)), -s.bits))}
    sizes = {(s.codec, s.container): s for s in results.stored}
    rows = []
    for codec in codecs:
        cells = [codec]
        for container in containers:
            found = sizes.get((codec, container))
            size = "" if found is None else f"{found.bytes_per_patch:,.0f}"
            cells.append(NONE if found is None else size if found.holds.startswith("codes") else f"({size})")
        rows.append(cells)
    return table(("codec", *containers), rows, text=1)


def container_speeds_table(results: Results) -> str:
    """Patches/s of writing and reading, the median over all codecs."""
    rows = []
    for container in dict.fromkeys(stored.container for stored in results.stored):
        found = [stored.row for stored in results.stored if stored.container == container]
        speeds = (median(row[key] for row in found) for key in ("write_patches_per_s", "read_patches_per_s"))
        rows.append([container, *(_number(speed, whole=True) for speed in speeds), str(len(found))])
    return table(("container", "write patches/s", "read patches/s", "codecs"), rows, text=1)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, text: int, marked: Any = lambda cells: False) -> str:
    """HTML; the first `text` columns are words, the others numbers; `marked` rows stand out."""
    kinds = ["" if index < text else ' class="n"' for index in range(len(heads))]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, heads))
    body = []
    for cells in rows:
        line = "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds, cells))
        body.append(f"<tr{' class=leaks' if marked(cells) else ''}>{line}</tr>")
    head, rest = f"<thead><tr>{head}</tr></thead>", f"<tbody>{chr(10).join(body)}</tbody>"
    return f'<div class="scroll"><table>{head}\n{rest}</table></div>'


def _number(value: float | None, whole: bool = False) -> str:
    if value is None:
        return NONE
    return f"{value:,.0f}" if whole or float(value).is_integer() else f"{value:,.1f}"


def _sizes(row: Mapping[str, Any], name: str, mean: float | None) -> str:
    """Mean bytes; where patches differ, with the 99th percentile and the most."""
    if row.get(f"{name}_p99") is None:
        return _number(mean, whole=True)
    return f"{_number(mean, whole=True)} ({row[f'{name}_p99']:,}; {row[f'{name}_max']:,})"


def _speed(row: Mapping[str, Any], key: str, marks: Mapping[str, str]) -> str:
    return _number(row[key], whole=True) + ("" if row[key] is None else marks.get(_measured_on(row) or "", ""))


def _millijoules(joules: float | None, *interval: float | None) -> str:
    if joules is None:
        return NONE
    low, high = (f"{1e3 * end:.3g}" if end is not None else NONE for end in interval or (None, None))
    return f"{1e3 * joules:.3g}" + (f" ({low}-{high})" if interval else "")
