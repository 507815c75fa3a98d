"""The report's page: self-contained HTML that prints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from bitswath.models.study.report.facts.results import Results
from bitswath.models.study.report.facts.select import main_setting
from bitswath.models.study.report.figures.style import Picture, data_url
from bitswath.models.study.report.findings import findings
from bitswath.models.study.report.tables import (
    codecs_table,
    container_bytes_table,
    container_speeds_table,
    networks_table,
    processor_marks,
)

__all__ = ["report_page"]

Rendered = dict[tuple[str, str], bytes]

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; background: #fff; margin: 2rem auto; max-width: 68rem;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
.sub, figcaption { color: #4a5462; } .sub { margin: .2rem 0 1.2rem; }
figure { margin: 0 0 1.6rem; break-inside: avoid; } figure img { max-width: 100%; height: auto; display: block; }
figcaption { font-size: .9rem; margin-top: .3rem; }
table { border-collapse: collapse; font-size: .8rem; }
th { text-align: left; color: #4a5462; font-weight: 600; border-bottom: 2px solid #cfd6df; padding: .25rem .45rem;
  vertical-align: bottom; }
td { border-bottom: 1px solid #e6eaef; padding: .2rem .45rem; }
.n { text-align: right; font-variant-numeric: tabular-nums; } td { white-space: nowrap; }
.scroll { overflow-x: auto; }
tr.leaks td { background: #fdeadf; font-weight: 600; }
.leak { border: 3px solid #d55e00; padding: .4rem 1rem; }
.missing { border-left: 4px solid #e69f00; background: #fff7e6; padding: .4rem 1rem; }
li { margin: .3rem 0; }
@media print { body { max-width: none; margin: 0; font-size: 10pt; } .scroll { overflow: visible; }
  table { font-size: 6.5pt; } td, th { padding: .1rem .2rem; } thead { display: table-header-group; }
  tr { break-inside: avoid; } h2, h3 { break-after: avoid; } @page { size: A4 landscape; margin: 12mm; } }
"""

_METHOD = (
    "Accuracies: of the exported integer network on the emulator, float networks as trained. Intervals are 95 %: of an"
    " accuracy Wilson's (1927); of a difference Newcombe's (1998), paired where each patch's hits on both networks are"
    " kept, else as of two samples. Each is for one comparison alone: of twenty, one misses by chance. They tell how"
    " well these patches measure these networks, not how another training of the same network would turn out; the"
    " finding about seeds does, where several were trained.",
    "Of a network's epochs the one most accurate on the validation split is kept, judged before its statistics are"
    " settled for export; so accuracies on that split flatter a little.",
    "Codecs were fitted to the training split, without labels. PSNR, SSIM, bytes and speeds of codecs and containers"
    " are of patches of the validation split, speeds of one thread.",
    "Networks marked (to start from) were trained for others to start from; quantized ones of them are left out of"
    " figures and findings.",
    "Where accuracies spread over more than 25 points, their axis is by the logarithm of the errors.",
    "Emulator patches/s: of one core, from patches in memory to labels; scripts/time_study.py measures them on a quiet"
    " machine, until then they are of one beside other cells."
    " Patches/s, LUT, RAMB36 and DSP come from builds' reports, as they state them. mJ: of a patch,"
    " net of idle, where a meter saw the host or the board.",
)


def report_page(results: Results, pictures: Sequence[Picture], rendered: Rendered) -> str:
    """HTML; `rendered`: by picture's name and ending."""
    title = escape(f"Study {results.name}")
    parts = [
        f"<h1>{title}: how few bits are enough</h1>",
        f'<p class="sub">{escape(_about(results))}</p>',
        _missing_note(results),
        "<h2>Findings</h2>",
        _list(findings(results)) or "<p>None yet: they need trained networks.</p>",
        "<h2>Figures</h2>",
        *(_picture(picture, rendered) for picture in pictures if picture.figure is not None or picture.caption),
        "<h2>Tables</h2>",
        *_tables(results),
        "<h2>How this was measured</h2>",
        _list([*_METHOD, *_processors(results)]),
        _missing(results),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body>\n{chr(10).join(part for part in parts if part)}\n</body></html>\n"
    )


def _processors(results: Results) -> list[str]:
    named = "; ".join(f"{mark.strip()}: {name}" if mark else name for name, mark in processor_marks(results).items())
    return [f"Speeds were measured on {named}."] if named else []


def _about(results: Results) -> str:
    data = " and ".join(dict.fromkeys(str(row["data"]) for row in results.rows)) or "no data"
    sizes = " or ".join(f"{size:,}" for size in sorted({n.score.patches for n in results.networks}))
    scored = f"accuracies of {sizes} patches of the split {results.split!r}" if sizes else "no network is trained yet"
    done = len(results.rows) - len(results.missing)
    main = main_setting(results)
    shown = f"; figures and findings: {main}, seed {main.seed}, unless they say otherwise" if main else ""
    fidelity = " (a screen: short training, few patches)" if results.fidelity == "quick" else ""
    cells = f"{done} of {len(results.rows)} cells done"
    return f"Data set {data}, fidelity {results.fidelity!r}{fidelity}, {scored}; {cells}{shown}."


def _missing_note(results: Results) -> str:
    if not results.missing:
        return ""
    note = f"{len(results.missing)} of {len(results.rows)} cells are missing; they are listed"
    return f'<p class="missing">{note} <a href="#missing">below</a>.</p>'


def _missing(results: Results) -> str:
    if not results.missing:
        return ""
    lines = (f"{missing.label}: {missing.reason}" for missing in results.missing)
    return f'<h2 id="missing">Missing cells</h2>{_list(lines)}'


def _picture(picture: Picture, rendered: Rendered) -> str:
    style = ' class="leak"' if picture.name == "leak" else ""
    head = f"<figure{style}><h3>{escape(picture.title)}</h3>"
    if picture.figure is None:
        return f"{head}<p>{escape(picture.caption)}</p></figure>"
    ending, kind = ("png", "image/png") if picture.pixels else ("svg", "image/svg+xml")
    image = data_url(rendered[picture.name, ending], kind)
    caption = escape(picture.caption)
    return f'{head}<img alt="{escape(picture.title)}" src="{image}"><figcaption>{caption}</figcaption></figure>'


def _tables(results: Results) -> list[str]:
    parts = []
    if results.networks:
        parts += ["<h3>Networks</h3>", networks_table(results)]
    if results.codecs:
        parts += ["<h3>Codecs</h3>", codecs_table(results)]
    if results.stored:
        note = "<p>Bytes a patch; in brackets: of decoded patches, where a format is lossy or cannot hold codes.</p>"
        parts += ["<h3>Containers</h3>", note, container_bytes_table(results), container_speeds_table(results)]
    return parts or ["<p>Nothing is measured yet.</p>"]


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""
