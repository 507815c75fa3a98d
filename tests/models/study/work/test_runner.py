"""A study ends with every cell done or its failure written down, and nothing is done twice, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from bitswath.models.study.plan.cells import Cell, Start, TrainingCell
from bitswath.models.study.work import process
from bitswath.models.study.work.process import Event, Task, run_task
from bitswath.models.study.work.runner import LocalEngine, Settings, run_study
from bitswath.models.study.work.store import FILE, Store
from tests.models.study.tasks import LONGER, SMALL, small_study, start, wait_until_gone


def done_in(store: Store) -> list[str]:
    return [row.digest for row in store.rows() if row.state == "done"]


def wait_for_results(output: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not (output / FILE).exists() or len(done_in(Store(output))) < count:
        assert time.monotonic() < deadline, "no results after a minute"
        time.sleep(0.05)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_study_goes_on_where_it_was(tmp_path: Path, sign: signal.Signals) -> None:
    config, cells = small_study(tmp_path, LONGER)
    output = tmp_path / "out"
    broken = start(config, output)
    wait_for_results(output, 2)
    os.kill(broken.pid, sign)
    _, errors = broken.communicate(timeout=120)
    assert broken.returncode == (-sign if sign == signal.SIGKILL else 130), errors
    assert wait_until_gone(output) == []
    store = Store(output)
    before = {row.digest: row.finished for row in store.rows() if row.state == "done"}
    assert 2 <= len(before) < len(cells)
    resumed = start(config, output)
    text, errors = resumed.communicate(timeout=180)
    assert resumed.returncode == 0, errors
    assert f"{len(cells)} cells, {len(before)} of them done" in text
    rows = store.rows()
    assert {row.state for row in rows} == {"done"}
    assert all(row.attempts == 1 and row.finished == before[row.digest] for row in rows if row.digest in before)
    assert all(row.attempts <= 2 for row in rows)


def test_two_studies_on_one_folder_share_the_work(tmp_path: Path) -> None:
    config, cells = small_study(tmp_path)
    output = tmp_path / "out"
    both = [start(config, output) for _ in range(2)]
    for one in both:
        _, errors = one.communicate(timeout=90)
        assert one.returncode == 0, errors
    rows = Store(output).rows()
    assert {row.digest for row in rows} == {cell.digest for cell in cells}
    assert [(row.state, row.attempts) for row in rows] == [("done", 1)] * len(cells)


def test_an_extended_study_works_on_what_is_new_only(tmp_path: Path) -> None:
    store = Store(tmp_path / "out")
    _, first = small_study(tmp_path)
    run_study(first, store, LocalEngine(2), Settings())
    before = {row.digest: row.finished for row in store.rows()}
    _, more = small_study(tmp_path, SMALL.replace("png, tiff:deflate", "png, bmp, tiff:deflate"))
    events: list[Event] = []
    run_study(more, store, LocalEngine(2), Settings(), events.append)
    new = {cell.digest for cell in more} - set(before)
    assert len(new) == 8
    assert {event["digest"] for event in events} == new
    rows = store.rows()
    assert all(row.attempts == 1 for row in rows)
    assert all(row.finished == before[row.digest] for row in rows if row.digest in before)


def test_a_cell_that_fails_is_written_down_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    text = SMALL.replace("size: 16}", "size: 16, bands: 5}")
    config, _ = small_study(tmp_path, text)
    output = tmp_path / "out"
    done = start(config, output)
    out, errors = done.communicate(timeout=60)
    assert done.returncode == 1, errors
    rows = Store(output).rows()
    failed = [row for row in rows if row.state == "failed"]
    assert {row.cell.container for row in failed if row.cell.kind == "container"} == {"png"}
    assert len(failed) == 8
    assert all("5" in str(row.error) for row in failed)
    assert "8 failed" in out
    table = json.loads((output / "study.json").read_text())["rows"]
    assert sum(row["error"] is not None for row in table) == 8


BEHAVIOURS = {
    "killed": "killed by SIGKILL",
    "raises": "ZeroDivisionError: nobody foresaw this",
    "silent": "nothing heard for 6 s",
    "endless": "took longer than 2 s",
}


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_worker_that_goes_wrong_takes_one_cell_with_it(
    tmp_path: Path, behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_MODULE", "tests.models.study.misbehaving")
    _, cells = small_study(tmp_path)
    store = Store(tmp_path / "out")
    store.add(cells)
    (store.folder / "behaviour").write_text(behaviour)
    digests = tuple(cell.digest for cell in cells[:3])
    silence, longest = (6.0, None) if behaviour == "silent" else (60.0, 2.0)
    ends = run_task(Task(str(store.folder), digests, silence_s=silence, longest_s=longest))
    assert list(ends.values()) == ["failed", "done", "done"]
    first = store.row(digests[0])
    assert first is not None
    assert BEHAVIOURS[behaviour] in str(first.error)


def test_a_worker_that_never_begins_fails_every_cell_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_MODULE", "tests.models.study.misbehaving")
    _, cells = small_study(tmp_path)
    store = Store(tmp_path / "out")
    store.add(cells)
    (store.folder / "behaviour").write_text("at once")
    ends = run_task(Task(str(store.folder), tuple(cell.digest for cell in cells[:2])))
    assert set(ends.values()) == {"failed"}
    assert "gone before it began" in str(store.rows()[0].error)


def test_what_starts_from_a_failed_cell_fails_with_that_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_MODULE", "tests.models.study.misbehaving")
    _, measured = small_study(tmp_path)
    root = TrainingCell(imagery=measured[0].imagery)
    cells: list[Cell] = [root, root.model_copy(update={"start": Start(cell=root.digest)})]
    store = Store(tmp_path / "out")
    (store.folder / "behaviour").write_text("raises")
    run_study(cells, store, LocalEngine(2), Settings())
    assert [row.state for row in store.rows()] == ["failed", "failed"]
    assert "starts from" in str(store.rows()[1].error)
    run_study(cells, store, LocalEngine(2), Settings())
    assert [row.state for row in store.rows()] == ["done", "done"]


def test_listing_works_on_nothing(tmp_path: Path) -> None:
    config, cells = small_study(tmp_path)
    listed = start(config, tmp_path / "out", "--list")
    text, errors = listed.communicate(timeout=120)
    assert listed.returncode == 0, errors
    assert not (tmp_path / "out").exists()
    assert text.count("new") == len(cells)
    assert "8 imagery, 16 container" in text


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [("name: small\n", 1, "codecs"), (SMALL.replace("synthetic", "nowhere"), 1, "no data set 'nowhere'")],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path: Path, text: str, code: int, says: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    tried = start(tmp_path / "wrong.yaml", tmp_path / "out")
    out, errors = tried.communicate(timeout=60)
    assert tried.returncode == code
    assert (out + errors).count(says) == 1
    assert "Traceback" not in out + errors
