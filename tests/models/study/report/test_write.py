"""The whole report of a small study: of what is there, complete, self-contained, written whole."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from bitswath.errors import StudyError
from bitswath.models.commands.study import command
from bitswath.models.study.plan.cells import Cell, ContainerCell, ImageryCell, TrainingCell
from bitswath.models.study.plan.config import load_study
from bitswath.models.study.plan.grid import expand
from bitswath.models.study.report.page import report_page
from bitswath.models.study.report.tables import networks_table
from bitswath.models.study.report.write import make_report
from bitswath.models.study.table import COLUMNS
from bitswath.models.study.work.measures import measure_container, measure_imagery
from bitswath.models.study.work.patches import Shelf
from bitswath.models.study.work.store import Store
from tests.models.study.report.rows import frames, lossy, network, results

TOY = """
name: toy
data: {name: synthetic, limit: 60, size: 16}
codecs: [uniform:8, "uniform:1", "uniform:1:ordered", palette:1]
containers: [png]
codebooks: [shared, per_class]
training: [{codebooks: [shared]}]
measure: {patches: 20}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A configuration and its folder: all measured, three networks done, one waiting."""
    root = tmp_path_factory.mktemp("toy")
    config, folder = root / "toy.yaml", root / "toy.study"
    config.write_text(TOY)
    cells = expand(load_study(config), "full")
    store, shelf = Store(folder), Shelf(folder)
    store.add(cells)
    networks = [cell for cell in cells if isinstance(cell, TrainingCell)]
    for cell in cells:
        if isinstance(cell, ImageryCell):
            store.finish(cell.digest, measure_imagery(cell, shelf), 0.1)
        elif isinstance(cell, ContainerCell):
            store.finish(cell.digest, measure_container(cell, shelf), 0.1)
    for cell, correct in zip(networks[:-1], (950, 700, 850)):
        measures = {"link_bytes": 768, "macs": 1000, "emulator_patches_per_s": 9.0, "epochs": 2}
        test = network(cell.imagery.codec, correct)["measures"]
        store.finish(cell.digest, {**measures, **test, "val": test["test"]}, 1.0)
    return config, folder


@pytest.fixture(scope="module")
def page(study: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole report."""
    return make_report("toy", cells_of(study[0]), "full", study[1], tmp_path_factory.mktemp("report") / "out")


@pytest.fixture(scope="module", autouse=True)
def small_pictures() -> Iterator[None]:
    """Fewer pixels, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bitswath.models.study.report.figures.style.DPI", 60)
        yield


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For speed, where figures do not matter; example patches are drawn."""
    monkeypatch.setattr("bitswath.models.study.report.write._pictures", lambda results: [])


def cells_of(config: Path) -> list[Cell]:
    return expand(load_study(config), "full")


class Links(HTMLParser):
    """What a page refers to, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.scripts = 0
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        self.scripts += tag == "script"
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_one_call_writes_page_figures_and_data(page: Path) -> None:
    names = {path.name for path in page.parent.iterdir()}
    figures = {"accuracy-bits", "accuracy-bytes", "confusion", "differences", "examples", "leak"}
    assert names == {"report.html", "study.json", "study.csv"} | {f"{f}.{e}" for f in figures for e in ("png", "svg")}
    for figure in figures:
        assert min(Image.open(page.parent / f"{figure}.png").size) > 60
        assert (page.parent / f"{figure}.svg").read_bytes().startswith(b"<?xml")


def test_the_page_stands_alone_and_says_what_is_missing(study: tuple[Path, Path], page: Path) -> None:
    cells, text = cells_of(study[0]), page.read_text()
    links = Links()
    links.feed(text)
    assert links.open == []
    assert links.scripts == 0
    assert all(source.startswith(("data:image/", "#missing")) for source in links.sources)
    assert sum(source.startswith("data:") for source in links.sources) == 6
    assert f"1 of {len(cells)} cells are missing" in text
    missing = text[text.index('id="missing"') :]
    assert re.findall(r"<li>(.*?)</li>", missing) == [f"{cells[-1].label}: not done yet"]
    assert "fidelity &#x27;full&#x27;, accuracies of 1,000 patches of the split &#x27;test&#x27;" in text
    assert "From synthetic, split val" in text
    assert "bitswath build" in text
    assert not re.search(r"\bnan\b|None\b", re.sub(r"data:[^\"]*", "", text))


@pytest.mark.usefixtures("without_figures")
def test_the_data_behind_it_are_the_rows_of_its_cells(study: tuple[Path, Path], tmp_path: Path) -> None:
    config, folder = study
    cells = cells_of(config)
    make_report("toy", cells[:3], "full", folder, tmp_path)
    assert not list(tmp_path.glob(".*"))
    rows = json.loads((tmp_path / "study.json").read_text())["rows"]
    assert [row["digest"] for row in rows] == [cell.digest for cell in cells[:3]]
    with (tmp_path / "study.csv").open(newline="") as file:
        flat = list(csv.DictReader(file))
    assert list(flat[0]) == list(COLUMNS)
    assert [row["label"] for row in flat] == [cell.label for cell in cells[:3]]


@pytest.mark.usefixtures("without_figures")
def test_names_that_no_digest_counts_are_those_of_the_cells_given(study: tuple[Path, Path], tmp_path: Path) -> None:
    config, folder = study
    before = next(cell for cell in cells_of(config) if isinstance(cell, TrainingCell))
    cell = before.model_copy(update={"network": "renamed", "origin": True})
    assert cell.digest == before.digest
    make_report("toy", [cell], "full", folder, tmp_path)
    (row,) = json.loads((tmp_path / "study.json").read_text())["rows"]
    assert (row["state"], row["network"], row["origin"], row["label"]) == ("done", "renamed", True, cell.label)
    assert row["cell"] == cell.model_dump(mode="json")
    assert "uniform:8 (to start from)" in (tmp_path / "report.html").read_text()


def test_networks_to_start_from_stand_last_but_for_leaks() -> None:
    leaky, origin = network("palette:1", 999, codebook="per_class"), network("uniform:8", 970, widths=None, origin=True)
    table = networks_table(results(leaky, origin, network("uniform:8", 960)))
    assert re.findall(r"<td>([^<]*)</td><td>vgg", table) == [
        "uniform:8",
        "uniform:8 (to start from)",
        "palette:1 PER CLASS (LEAKS)",
    ]


def test_bytes_that_differ_from_patch_to_patch_are_told_with_p99_and_most() -> None:
    rows = results(network("uniform:8", 970), lossy("webp:9", 900, 210.4, 190.0), frames(300, 950))
    heads, *body = (re.findall(r"<t[hd][^>]*>([^<]*)<", line) for line in networks_table(rows).split("<tr")[1:])
    found = {line[0]: dict(zip(heads, line)) for line in body}
    assert found["uniform:8 of WebP 9"]["file bytes (p99; max)"] == "210 (420; 631)"
    assert found["uniform:8 of WebP 9"]["shared head (p99; max)"] == "190 (9; 9)"
    assert found["transform:B=300"]["link bytes (p99; max)"] == "300 (300; 300)"
    assert found["uniform:8"]["link bytes (p99; max)"] == "12,288"
    assert "p99" not in networks_table(results(network("uniform:8", 970)))


def test_a_report_does_not_write_over_a_study(study: tuple[Path, Path]) -> None:
    with pytest.raises(StudyError, match="holds a study"):
        make_report("toy", cells_of(study[0]), "full", study[1], study[1])


def test_speeds_say_on_which_processor_where_there_were_several() -> None:
    first, second = (
        {**network(codec, 900), "emulator_patches_per_s": speed, "processor": name}
        for codec, speed, name in (("uniform:8", 4000.0, "Xeon"), ("uniform:4", 5000.0, "EPYC"))
    )
    assert ">4,000</td>" in networks_table(results(first))
    both = networks_table(results(first, second))
    assert ">4,000 A</td>" in both and ">5,000 B</td>" in both
    assert ">4,000 B</td>" in networks_table(results(second, {**first, "processor": "EPYC", "timed_on": "Xeon"}))
    page = report_page(results(first, second), [], {})
    assert "Speeds were measured on A: Xeon; B: EPYC." in page
    assert "Speeds were measured on Xeon." in report_page(results(first), [], {})


def test_cells_the_study_never_saw_are_missing_and_stay_unknown_to_it(study: tuple[Path, Path], tmp_path: Path) -> None:
    config, folder = study
    quick = expand(load_study(config), "quick")
    before = len(Store(folder).rows())
    text = make_report("toy", quick, "quick", folder, tmp_path).read_text()
    assert f"4 of {len(quick)} cells are missing" in text
    assert "None yet: they need trained networks." in text or "LEAK" in text
    assert len(Store(folder).rows()) == before


def test_the_same_study_gives_the_same_files_and_old_figures_go(
    study: tuple[Path, Path], page: Path, tmp_path: Path
) -> None:
    (tmp_path / "accuracy-hardware.png").write_bytes(b"of an earlier report")
    (tmp_path / "notes.txt").write_text("mine")
    make_report("toy", cells_of(study[0]), "full", study[1], tmp_path)
    (tmp_path / "notes.txt").unlink()
    first = {path.name: path.read_bytes() for path in page.parent.iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_no_study_is_an_error_and_makes_none(study: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study is there"):
        make_report("toy", cells_of(study[0]), "full", tmp_path / "none", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without_figures")
def test_the_command_reports_without_working_on_anything(study: tuple[Path, Path], tmp_path: Path) -> None:
    config, folder = study
    options = [str(config), "-o", str(folder), "--list", "--report", str(tmp_path / "out"), "--examples", "synthetic"]
    found = CliRunner().invoke(command, options)
    assert found.exit_code == 0, found.output
    assert "synthetic, not the study&#x27;s own data" in (tmp_path / "out" / "report.html").read_text()
    assert [row.state for row in Store(folder).rows()].count("waiting") == 1
