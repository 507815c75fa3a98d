"""What is written to a study is there whole, once, whoever writes beside and whoever is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bitswath.errors import StudyError
from bitswath.models.nets.config import DataConfig
from bitswath.models.study.plan.cells import Imagery, ImageryCell
from bitswath.models.study.work.store import FILE, Store


def cell(codec: str = "uniform:1") -> ImageryCell:
    return ImageryCell(imagery=Imagery(data=DataConfig(name="synthetic"), codec=codec))


def test_a_finished_cell_says_what_where_and_when(tmp_path: Path) -> None:
    store = Store(tmp_path / "new")
    store.add([cell()])
    store.begin(cell().digest)
    store.finish(cell().digest, {"psnr_db": 20.5}, 1.25)
    row = Store(tmp_path / "new").row(cell().digest)
    assert row is not None
    assert (row.cell, row.state, row.attempts, row.measures, row.seconds) == (
        cell(),
        "done",
        1,
        {"psnr_db": 20.5},
        1.25,
    )
    assert row.ran_on is not None
    assert row.ran_on["versions"]["bitswath"]
    assert row.ran_on["processor"]
    assert row.finished is not None
    assert row.finished.endswith("+00:00")


def test_what_is_done_stays_as_it_is(tmp_path: Path) -> None:
    store, digest = Store(tmp_path), cell().digest
    store.add([cell()])
    store.finish(digest, {"a": 1}, 0.1)
    store.add([cell(), cell("uniform:2")])
    store.begin(digest)
    store.fail(digest, "too late", 0.1)
    with pytest.raises(StudyError, match="another process"):
        store.finish(digest, {"a": 2}, 0.1)
    row = store.row(digest)
    assert row is not None
    assert (row.state, row.measures, row.attempts) == ("done", {"a": 1}, 0)
    assert [row.state for row in store.rows()] == ["done", "waiting"]


def test_what_is_done_may_be_measured_again(tmp_path: Path) -> None:
    store, digest = Store(tmp_path), cell().digest
    store.add([cell()])
    with pytest.raises(StudyError, match="not done"):
        store.amend(digest, {"b": 3})
    store.finish(digest, {"a": 1, "b": 2}, 0.1)
    store.amend(digest, {"b": 3})
    row = store.row(digest)
    assert row is not None
    assert (row.state, row.measures) == ("done", {"a": 1, "b": 3})


def test_a_failure_is_one_line_and_forgotten_when_tried_again(tmp_path: Path) -> None:
    store, digest = Store(tmp_path), cell().digest
    store.add([cell()])
    store.begin(digest)
    store.fail(digest, "lost\n  the way", 0.1)
    failed = store.row(digest)
    assert failed is not None
    assert (failed.state, failed.error) == ("failed", "lost the way")
    store.begin(digest)
    again = store.row(digest)
    assert again is not None
    assert (again.state, again.error, again.attempts) == ("waiting", None, 2)


def test_no_number_that_json_lacks_is_stored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([cell()])
    with pytest.raises(ValueError, match="JSON"):
        store.finish(cell().digest, {"psnr_db": float("inf")}, 0.1)
    assert store.rows()[0].state == "waiting"


HOLDER = """
import sys, time
from pathlib import Path
from bitswath.models.study.work.store import Store
store = Store(Path(sys.argv[1]))
with store.claimed(sys.argv[2]) as mine:
    print(mine, flush=True)
    time.sleep(60)
"""


def test_a_cell_is_one_processs_until_that_is_killed(tmp_path: Path) -> None:
    store, digest = Store(tmp_path), cell().digest
    store.add([cell()])
    command = [sys.executable, "-c", HOLDER, str(tmp_path), digest]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with store.claimed(digest) as mine:
            assert not mine
        with store.claimed(cell("uniform:2").digest) as mine:
            assert mine
        holder.kill()
    with store.claimed(digest) as mine:
        assert mine


WRITER = """
import sys
from pathlib import Path
from bitswath.models.study.work.store import Store
store = Store(Path(sys.argv[1]))
for digest in sys.argv[2:]:
    store.begin(digest)
    store.finish(digest, {"by": "x" * 20000}, 0.0)
    print(digest, flush=True)
"""


def test_processes_write_side_by_side_and_a_killed_one_leaves_whole_rows(tmp_path: Path) -> None:
    store = Store(tmp_path)
    cells = [cell(f"uniform:{bits}") for bits in range(1, 9)]
    cells += [cell(f"companded:{bits}") for bits in range(1, 9)]
    store.add(cells)
    digests = [one.digest for one in cells]
    halves = [digests[0::2], digests[1::2]]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), *half], stdout=subprocess.PIPE, text=True)
        for half in halves
    ]
    assert writers[1].stdout is not None
    told = writers[1].stdout.readline().strip()
    os.kill(writers[1].pid, signal.SIGKILL)
    for writer in writers:
        writer.communicate(timeout=60)
    rows = {row.digest: row for row in store.rows()}
    assert all(rows[digest].state == "done" for digest in halves[0])
    assert rows[told].state == "done"
    for row in rows.values():
        assert row.measures == ({"by": "x" * 20000} if row.state == "done" else None)
    with sqlite3.connect(tmp_path / FILE) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)


def test_another_file_or_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database, but long enough to be taken for one" * 30)
    with pytest.raises(StudyError, match="not a database"):
        Store(tmp_path)
    (tmp_path / FILE).unlink()
    Store(tmp_path)
    with sqlite3.connect(tmp_path / FILE) as database:
        database.execute("pragma user_version = 99")
    with pytest.raises(StudyError, match="version 99"):
        Store(tmp_path)


def test_a_writer_waits_for_another(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("begin immediate")
    waiting = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
    time.sleep(1.0)
    assert waiting.poll() is None
    other.execute("commit")
    other.close()
    assert waiting.wait(30) == 0
    store.add([cell()])
