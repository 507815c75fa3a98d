"""Rows say what was measured, hardware comes from a build's report, and energy is nothing without a meter."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from bitswath.builds.report import REPORT, Counts, LinkReport, Report
from bitswath.bundle.zoo import zoo_path
from bitswath.errors import BundleError, StudyError
from bitswath.models.nets.config import DataConfig, WidthsConfig
from bitswath.models.study.plan.cells import Imagery, ImageryCell, Start, TrainingCell
from bitswath.models.study.show import Show, cost, results_table
from bitswath.models.study.table import COLUMNS, ENERGY, export, hardware, read_rows
from bitswath.models.study.work.runner import standing
from bitswath.models.study.work.store import Store

IMAGERY = Imagery(data=DataConfig(name="synthetic"), codec="companded:2:ordered")
NETWORK = TrainingCell(imagery=IMAGERY, network="vgg", widths=WidthsConfig(weights=2, activations=3))
MEASURES: dict[str, Any] = {
    "bundle": "bundles/x.bsw",
    "link_bytes": 1536,
    "macs": 1000,
    "emulator_patches_per_s": 5.5,
    "val": {"accuracy": 0.9, "interval": [0.8, 0.95], "correct": 90, "patches": 100},
}


def built(bundle: Path, board: str, frames_per_s: float) -> None:
    link = LinkReport(width=8, frame_bytes=10)
    report = Report(
        name="x", board=board, part="xc7z020", clock_hz=1e8, frames_per_s=frames_per_s, initiation_interval=10.0,
        latency_cycles=20, checked_frames=2, limiting=None, input=link, output=link,
        resources=Counts(lut=1234, bram36=5.5, dsp=7), resources_from="whole design", parts=Counts(),
        available=Counts(lut=53200), stages=(), queues=(),
    )  # fmt: skip
    folder = bundle / "hw" / board
    folder.mkdir(parents=True)
    (folder / REPORT).write_text(report.model_dump_json())


def digest_of_network(bundle: Path) -> str:
    return hashlib.sha256((bundle / "network.safetensors").read_bytes()).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.add([ImageryCell(imagery=IMAGERY), NETWORK])
    made.finish(ImageryCell(imagery=IMAGERY).digest, {"psnr_db": None, "ssim": 1.0, "link_bytes": 1536}, 0.5)
    made.finish(NETWORK.digest, MEASURES, 60.0)
    return made


def rows(store: Store) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(export(store)[0].read_text())["rows"]
    return found


def test_rows_say_what_the_cell_is_and_what_was_measured(store: Store) -> None:
    measured, trained = rows(store)
    assert (measured["kind"], measured["codec_kind"], measured["bits"], measured["dither"]) == (
        "imagery", "companded", 2, "ordered",
    )  # fmt: skip
    assert (measured["ssim"], measured["psnr_db"], measured["leaks"]) == (1.0, None, False)
    assert (trained["weights"], trained["activations"], trained["link_bytes"]) == (2, 3, 1536)
    assert (trained["val_accuracy"], trained["val_low"], trained["val_patches"]) == (0.9, 0.8, 100)
    assert trained["test_accuracy"] is None
    assert trained["cell"] == NETWORK.model_dump(mode="json")


def test_csv_has_a_row_a_cell_under_the_same_names(store: Store) -> None:
    with export(store)[1].open(newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == list(COLUMNS)
    for text, row in zip(found, rows(store)):
        assert {name: "" if row[name] is None else str(row[name]) for name in COLUMNS} == text


def test_a_build_shows_up_when_it_is_made(store: Store, tmp_path: Path) -> None:
    assert rows(store)[1]["lut"] is None
    built(tmp_path / "bundles/x.bsw", "Pynq-Z2", 1000.0)
    built(tmp_path / "bundles/x.bsw", "ZCU104", 4000.0)
    row = rows(store)[1]
    assert (row["board"], row["hw_patches_per_s"], row["lut"], row["bram36"], row["dsp"]) == (
        "ZCU104", 4000.0, 1234, 5.5, 7,
    )  # fmt: skip
    assert [build["board"] for build in row["hardware"]] == ["Pynq-Z2", "ZCU104"]
    assert row["energy_j"] is None


def test_energy_is_what_the_benchmark_on_the_board_wrote(store: Store, tmp_path: Path) -> None:
    shutil.copytree(zoo_path("synthetic-u4-w4a4"), tmp_path / "bundles/x.bsw")
    built(tmp_path / "bundles/x.bsw", "Pynq-Z2", 1000.0)
    energy = tmp_path / "bundles/x.bsw/hw/Pynq-Z2" / ENERGY
    facts: dict[str, Any] = {
        "bundle": {"digest": digest_of_network(tmp_path / "bundles/x.bsw")},
        "backend": {"board": "Pynq-Z2"},
        "energy": {"net_j": {"mean": 0.002, "low": 0.001, "high": 0.003}},
    }
    energy.write_text(json.dumps(facts))
    row = rows(store)[1]
    assert (row["energy_j"], row["energy_low_j"], row["energy_high_j"]) == (0.002, 0.001, 0.003)
    energy.write_text(json.dumps(facts | {"energy": None}))
    assert rows(store)[1]["energy_j"] is None
    others = [json.dumps(facts | other) for other in ({"backend": {"board": "ZCU104"}}, {"bundle": {"digest": "0"}})]
    for wrong in ("", "[]", "{}", *others):
        energy.write_text(wrong)
        with pytest.raises(BundleError, match=r"energy\.json"):
            hardware(tmp_path / "bundles/x.bsw")


def test_a_damaged_report_is_said_and_does_not_end_the_table(store: Store, tmp_path: Path) -> None:
    built(tmp_path / "bundles/x.bsw", "Pynq-Z2", 1000.0)
    (tmp_path / "bundles/x.bsw/hw/Pynq-Z2" / REPORT).write_text("{}")
    with pytest.raises(BundleError):
        hardware(tmp_path / "bundles/x.bsw")
    row = rows(store)[1]
    assert row["lut"] is None
    assert "error" in row["hardware"][0]


def test_results_written_elsewhere_stand_for_cells_that_are_not_done(store: Store, tmp_path: Path) -> None:
    built(tmp_path / "bundles/x.bsw", "Pynq-Z2", 1000.0)
    written = export(store)[0]
    other = Store(tmp_path / "other")
    other.add([NETWORK])
    other.fail(NETWORK.digest, "no memory", 1.0)
    assert other.take(read_rows(written)) == 2
    assert [(row.digest, row.state, row.error, row.finished) for row in other.rows([NETWORK.digest])] == [
        (row.digest, "done", None, row.finished) for row in store.rows([NETWORK.digest])
    ]
    taken = rows(other)
    assert {row["label"] for row in taken} == {row["label"] for row in rows(store)}
    assert next(row for row in taken if row["kind"] == "training")["lut"] == 1234
    assert other.take(read_rows(export(other)[0])) == 0
    told = [json.dumps(row, sort_keys=True) for row in taken if row["kind"] == "training"]
    assert told == [json.dumps(row, sort_keys=True) for row in rows(store) if row["kind"] == "training"]


def test_results_that_are_none_are_refused(store: Store, tmp_path: Path) -> None:
    written = export(store)[0]
    whole = json.loads(written.read_text())
    whole["rows"][1]["cell"]["schedule"]["epochs"] += 1
    written.write_text(json.dumps(whole))
    with pytest.raises(StudyError, match=r"study\.json: row 1: .*digest"):
        read_rows(written)
    whole["rows"][1]["cell"]["schedule"]["epochs"] -= 1
    bare = [json.dumps({"rows": [whole["rows"][0] | {"measures": measures}]}) for measures in (None, {}, [1], 5)]
    for text in ("", "{}", "[]", '{"rows": [{}]}', '{"rows": [1]}', '{"rows": 5}', *bare):
        written.write_text(text)
        with pytest.raises(StudyError, match=r"study\.json"):
            read_rows(written)


def test_what_a_network_left_to_train_starts_from_is_not_taken(store: Store) -> None:
    origin = NETWORK.model_copy(update={"origin": True})
    taught = NETWORK.model_copy(update={"widths": WidthsConfig(), "start": Start(cell=origin.digest)})
    rows = store.rows()
    assert [row.digest for row in standing(rows, [origin, taught], set())] == [ImageryCell(imagery=IMAGERY).digest]
    assert standing(rows, [origin, taught], {taught.digest}) == rows
    assert standing(rows, [origin, taught], {origin.digest}) == rows
    assert standing(rows, [origin], set()) == rows


def test_the_time_left_goes_by_the_work_done(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    now = [0.0]
    monkeypatch.setattr("bitswath.models.study.show.time.monotonic", lambda: now[0])
    short = NETWORK.model_copy(update={"schedule": NETWORK.schedule.model_copy(update={"epochs": 1})})
    with Show([short, NETWORK], Console(quiet=True)) as show:
        assert show.left_s is None
        now[0] = 10.0
        show({"digest": short.digest, "event": "done"})
        show({"digest": NETWORK.digest, "event": "progress", "share": 0.5})
        now[0] = 20.0
        done = cost(short) + cost(NETWORK) / 2
        assert show.left_s == pytest.approx(20.0 * (cost(NETWORK) / 2) / done)
        show({"digest": NETWORK.digest, "event": "failed", "note": "x"})
        assert show.left_s == 0.0
        assert show.counts == {"done": 1, "failed": 1}


def test_a_network_that_is_not_quantized_is_listed_without_a_speed(store: Store) -> None:
    unquantized = NETWORK.model_copy(update={"widths": None})
    store.add([unquantized])
    store.finish(unquantized.digest, {key: MEASURES[key] for key in ("link_bytes", "val")}, 60.0)
    table = results_table(store.rows())
    assert [list(column.cells)[1:] for column in table.columns][-1] == [Text("")]
    assert rows(store)[2]["weights"] is None
