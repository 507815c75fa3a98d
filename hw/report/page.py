"""A build's report as one self-contained page: no script, no file beside it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from bitswath.builds.report import Counts, PathReport, Report, StageReport

__all__ = ["report_page"]

_RESOURCES = {
    "lut": "LUT",
    "lutram": "LUT as memory",
    "ff": "flip-flops",
    "bram36": "RAMB36",
    "uram": "UltraRAM",
    "dsp": "DSP",
}

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1c2430; background: #fff; margin: 2rem auto; max-width: 76rem;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
.sub { color: #5b6675; margin: .2rem 0 1.4rem; }
.figures { display: flex; flex-wrap: wrap; gap: .8rem; }
.figure { border: 1px solid #dde2e9; border-radius: 8px; padding: .6rem 1rem; min-width: 9rem; }
.figure b { display: block; font-size: 1.35rem; } .figure span { color: #5b6675; font-size: .85rem; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th { text-align: left; color: #5b6675; font-weight: 600; border-bottom: 2px solid #dde2e9; padding: .3rem .5rem; }
td { border-bottom: 1px solid #eceff3; padding: .25rem .5rem; vertical-align: middle; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.est { color: #8a94a3; }
tr.limit td { background: #fff4e0; } .tag { background: #e08a00; color: #fff; border-radius: 4px; padding: 0 .35rem;
  font-size: .75rem; margin-left: .4rem; }
.scroll { overflow-x: auto; }
.problem { color: #a11; }
ul { padding-left: 1.2rem; } svg { display: block; }
"""


def report_page(report: Report) -> str:
    """HTML of `report`."""
    title = escape(f"{report.name} on {report.board}")
    parts = [
        f"<h1>{title}</h1>",
        f'<p class="sub">{escape(report.part)} at {report.clock_hz / 1e6:g} MHz</p>',
        _figures(report),
        "<h2>Resources</h2>",
        _utilization(report),
        _routed(report),
        "<h2>Stages</h2>",
        _stages(report),
        "<h2>Queues</h2>",
        _queues(report),
        _problems(report),
        "<h2>How this was found</h2>",
        _list([*report.notes, *(f"{name}: {version}" for name, version in report.tools.items())]),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body>\n{chr(10).join(part for part in parts if part)}\n</body></html>\n"
    )


def _figures(report: Report) -> str:
    bitstream = report.bitstream or report.bitstream_reason or "not built"
    latency_ms = 1e3 * report.latency_cycles / report.clock_hz
    figures = [
        (f"{report.frames_per_s:,.0f}", "frames a second"),
        (f"{report.initiation_interval:,.0f}", "cycles a frame"),
        (f"{latency_ms:,.2f} ms", f"latency, {report.latency_cycles:,} cycles"),
        (report.input.described, f"a frame in, words of {report.input.width} bits"),
        (report.output.described, f"a frame out, words of {report.output.width} bits"),
        (f"{report.checked_frames:,}", "frames simulated, every integer as emulated"),
        *_clock(report),
        ("yes" if report.bitstream else "no", f"bitstream: {bitstream}"),
    ]
    cells = (f'<div class="figure"><b>{escape(value)}</b><span>{escape(what)}</span></div>' for value, what in figures)
    return f'<div class="figures">{"".join(cells)}</div>'


def _clock(report: Report) -> list[tuple[str, str]]:
    """What is known of the clock before place and route."""
    if report.path is None:
        return []
    levels = f"{report.path.levels} LUTs, {report.path.carries} carries; {report.path_from}, nets modelled"
    return [(f"{report.path.ns:.1f} ns", f"longest path of {1e9 / report.clock_hz:.1f} ns: {levels}")]


def _utilization(report: Report) -> str:
    rows = []
    for name, title in _RESOURCES.items():
        has = getattr(report.available, name)
        if not has:
            continue
        need, parts = getattr(report.resources, name), getattr(report.parts, name)
        guess = getattr(report.estimated, name) if report.estimated else None
        rows.append(
            f"<tr><td>{title}</td><td>{_bar(need / has, 320)}</td>{_number(need)}"
            f'<td class="n">{100 * need / has:.1f} %</td>{_number(parts)}'
            f"{_number(guess, 'n est')}{_number(has)}</tr>"
        )
    how = report.resources_from if report.resources_from == "estimates" else f"counted, {report.resources_from}"
    heads = ["", "", how, "of the part", "sum of parts", "estimated", "the part has"]
    return _table(heads, rows, first_numeric=2)


def _routed(report: Report) -> str:
    """What Vivado found, where it ran."""
    routed = report.routed
    if routed is None:
        return ""
    period = f" of {routed.period_ns:g} ns" if routed.period_ns else ""
    lines = [f"timing met: worst slack {routed.slack_ns:g} ns{period}, hold {routed.hold_ns:g} ns"]
    if (power := routed.power_estimated) is not None:
        lines.append(
            f"power estimated: {power.total_w:g} W, {power.dynamic_w:g} W of it by switching, from {routed.activity};"
            f" confidence {power.confidence}"
        )
    rows = []
    for name, title in _RESOURCES.items():
        if has := getattr(report.available, name):
            counted, ours = getattr(routed.counted, name), getattr(report.resources, name)
            share = f'<td class="n">{100 * counted / has:.1f} %</td>'
            rows.append(f"<tr><td>{title}</td>{_number(counted)}{share}{_number(ours)}</tr>")
    heads = ["", f"measured, {routed.of}", "of the part", f"here, {report.resources_from}"]
    return f"<h2>{escape(routed.tool)}</h2>{_list(lines)}{_table(heads, rows, first_numeric=1)}"


def _stages(report: Report) -> str:
    most = max((stage.cycles or 0 for stage in report.stages), default=0) or 1
    rows = [_stage_row(stage, report, most) for stage in report.stages]
    heads = ["stage", "kind", "folding", "cycles", "", "stalled", "starved", "LUT", "est.", "FINN's est."]
    heads += ["FF", "RAMB36", "DSP", "FINN's est.", "levels", "ns"]
    return _table(heads, rows, first_numeric=5)


def _stage_row(stage: StageReport, report: Report, most: int) -> str:
    limits = stage.name == report.limiting
    tag = '<span class="tag">limits</span>' if limits else ""
    folding = " ".join(f"{name} {value}" for name, value in stage.folding.items())
    counted, guess, finn = stage.counted or Counts(), stage.estimated, stage.finn_estimated
    known = stage.counted is not None
    cells = [
        f"<td>{escape(stage.name)}{tag}</td><td>{escape(stage.kind)}</td><td>{escape(folding)}</td>",
        _number(stage.cycles),
        f"<td>{_bar((stage.cycles or 0) / most, 90, '#e08a00' if limits else '#5a86c5')}</td>",
        _share(stage.stalled),
        _share(stage.starved),
        _number(counted.lut if known else None),
        _number(guess.lut if guess else None, "n est"),
        _number(finn.lut if finn else None, "n est"),
        *(_number(getattr(counted, name) if known else None) for name in ("ff", "bram36", "dsp")),
        _number(finn.dsp if finn else None, "n est"),
        *_path(stage.path),
    ]
    return f"<tr{' class=limit' if limits else ''}>{''.join(cells)}</tr>"


def _path(path: PathReport | None) -> tuple[str, str]:
    """Levels of logic and carries, and the time that they take."""
    if path is None:
        return _number(None), _number(None, "n est")
    chain = f" + {path.carries}" if path.carries else ""
    return f'<td class="n">{path.levels}{chain}</td>', _number(path.ns, "n est")


def _queues(report: Report) -> str:
    if not report.queues:
        return "<p>None.</p>"
    rows = [
        f"<tr><td>{escape(queue.stream)}</td>{_number(queue.depth)}{_number(queue.high_water)}{_number(queue.width)}"
        f'<td class="n">{escape(queue.ram_style)}</td>{_number(queue.counted.lut if queue.counted else None)}'
        f"{_number(queue.counted.bram36 if queue.counted else None)}</tr>"
        for queue in report.queues
    ]
    return _table(["stream", "beats", "most seen", "bits", "memory", "LUT", "RAMB36"], rows, first_numeric=1)


def _problems(report: Report) -> str:
    if not report.problems:
        return ""
    lines = (f"{name or 'whole design'}: {reason}" for name, reason in report.problems.items())
    return f'<h2 class="problem">Not counted</h2>{_list(lines)}'


def _list(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _table(heads: list[str], rows: Iterable[str], *, first_numeric: int) -> str:
    cells = (f"<th{' class=n' if i >= first_numeric else ''}>{escape(head)}</th>" for i, head in enumerate(heads))
    return f'<div class="scroll"><table><tr>{"".join(cells)}</tr>\n{chr(10).join(rows)}\n</table></div>'


def _number(value: float | None, style: str = "n") -> str:
    shown = "–" if value is None else f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"
    return f'<td class="{style}">{shown}</td>'


def _share(value: float | None) -> str:
    return f'<td class="n">{"–" if value is None else f"{100 * value:.0f} %"}</td>'


def _bar(share: float, width: int, colour: str | None = None) -> str:
    fill = colour or ("#c0392b" if share > 1 else "#e08a00" if share > 0.9 else "#3f8f5b")
    full = min(max(share, 0.0), 1.0) * width
    return (
        f'<svg width="{width}" height="12" role="img" aria-label="{100 * share:.0f} %">'
        f'<rect width="{width}" height="12" rx="3" fill="#eceff3"/>'
        f'<rect width="{full:.1f}" height="12" rx="3" fill="{fill}"/></svg>'
    )
