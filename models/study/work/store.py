"""What came of each cell: one SQLite file, a row for each digest.

Every write is one transaction, so that a row is there whole or not at all, whoever is killed when; several processes
may write. A cell is worked on under a lock file that its process holds and that is free again when the process ends,
so no two work on the same one, and what is done is never done again.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from bitswath.basics.cache import locked
from bitswath.basics.machine import machine, versions
from bitswath.errors import BackendTimeoutError, StudyError
from bitswath.models.study.plan.cells import Cell, cell_from_json

__all__ = ["FILE", "Row", "Store"]

FILE = "study.sqlite"
SCHEMA_VERSION = 1
BUSY_S = 60.0
"""How long a transaction waits for another's."""

State = Literal["waiting", "done", "failed"]

_TABLE = """
create table if not exists cells (
    digest text primary key,
    kind text not null,
    cell text not null,
    state text not null default 'waiting' check (state in ('waiting', 'done', 'failed')),
    attempts integer not null default 0,
    measures text,
    error text,
    seconds real,
    finished text,
    ran_on text,
    check ((state = 'done') = (measures is not null)),
    check ((state = 'failed') = (error is not null))
)
"""


@dataclass(frozen=True)
class Row:
    """A cell and what came of it. `measures`: plain JSON when done; `error`: one line when failed; `attempts`: how
    often work on it began; `ran_on`: software, machine; `finished`: UTC, ISO 8601."""

    digest: str
    cell: Cell
    state: State
    attempts: int
    measures: dict[str, Any] | None
    error: str | None
    seconds: float | None
    finished: str | None
    ran_on: dict[str, Any] | None


@dataclass(frozen=True)
class Store:
    """The results of the study in `folder`, which is made if need be. Raises `StudyError` where it is no study's."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "locks").mkdir(parents=True, exist_ok=True)
        with self._transaction() as database:
            version = database.execute("pragma user_version").fetchone()[0]
            if version not in (0, SCHEMA_VERSION):
                raise StudyError(f"{self.path}: of version {version}, this bitswath reads {SCHEMA_VERSION}; update it")
            database.execute(_TABLE)
            database.execute(f"pragma user_version = {SCHEMA_VERSION}")

    @property
    def path(self) -> Path:
        return self.folder / FILE

    def add(self, cells: Iterable[Cell]) -> None:
        """Cells to work on; those that are there stay as they are."""
        rows = [(cell.digest, cell.kind, cell.model_dump_json()) for cell in cells]
        with self._transaction() as database:
            database.executemany("insert or ignore into cells (digest, kind, cell) values (?, ?, ?)", rows)

    def take(self, rows: Iterable[Row]) -> int:
        """Results of another study, of cells that are not done here; how many were taken."""
        values = [
            (
                *(row.digest, row.cell.kind, row.cell.model_dump_json(), row.state, row.attempts),
                json.dumps(row.measures, sort_keys=True, allow_nan=False),
                *(row.seconds, row.finished, json.dumps(row.ran_on, sort_keys=True)),
            )
            for row in rows
            if row.state == "done"
        ]
        with self._transaction() as database:
            before = database.total_changes
            database.executemany(_TAKE, values)
            return database.total_changes - before

    def rows(self, digests: Iterable[str] | None = None) -> list[Row]:
        """All rows in the order in which they were added, or those of these digests in their order."""
        with self._transaction() as database:
            found = [_row(values) for values in database.execute(f"select {_COLUMNS} from cells order by rowid")]
        if digests is None:
            return found
        by_digest = {row.digest: row for row in found}
        return [by_digest[digest] for digest in digests if digest in by_digest]

    def row(self, digest: str) -> Row | None:
        with self._transaction() as database:
            values = database.execute(f"select {_COLUMNS} from cells where digest = ?", (digest,)).fetchone()
        return _row(values) if values else None

    @contextlib.contextmanager
    def claimed(self, digest: str) -> Iterator[bool]:
        """Whether the cell is this process's to work on: False while another has it."""
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked(self._lock(digest), 0))
            except BackendTimeoutError:
                yield False
                return
            yield True

    def begin(self, digest: str) -> None:
        """Count an attempt; what an earlier one failed with is forgotten."""
        with self._transaction() as database:
            database.execute(
                "update cells set attempts = attempts + 1, state = 'waiting', error = null where digest = ?"
                " and state != 'done'",
                (digest,),
            )

    def finish(self, digest: str, measures: dict[str, Any], seconds: float) -> None:
        """Write what was measured. Raises `StudyError` if the cell is unknown or done already."""
        text = json.dumps(measures, sort_keys=True, allow_nan=False)
        if not self._end(digest, "done", text, None, seconds):
            raise StudyError(f"{self.path}: cell {digest[:12]} is not waiting; another process wrote it")

    def amend(self, digest: str, measures: dict[str, Any]) -> None:
        """Measures of a cell that is done, measured again. Raises `StudyError` for one that is not."""
        with self._transaction() as database:
            found = database.execute(
                "select measures from cells where digest = ? and state = 'done'", (digest,)
            ).fetchone()
            if found is None:
                raise StudyError(f"{self.path}: cell {digest[:12]} is not done, so nothing of it can be measured again")
            text = json.dumps(json.loads(found[0]) | measures, sort_keys=True, allow_nan=False)
            database.execute("update cells set measures = ? where digest = ?", (text, digest))

    def fail(self, digest: str, error: str, seconds: float) -> None:
        """Write why there is no result, unless there is one; the next run tries again."""
        self._end(digest, "failed", None, " ".join(error.split()) or "unknown error", seconds)

    def _end(self, digest: str, state: State, measures: str | None, error: str | None, seconds: float) -> bool:
        ran_on = json.dumps({**machine(), "versions": versions("numpy")}, sort_keys=True)
        finished = datetime.now(timezone.utc).isoformat(timespec="seconds")
        with self._transaction() as database:
            changed = database.execute(
                "update cells set state = ?, measures = ?, error = ?, seconds = ?, finished = ?, ran_on = ?"
                " where digest = ? and state != 'done'",
                (state, measures, error, round(seconds, 3), finished, ran_on, digest),
            ).rowcount
        return changed == 1

    def _lock(self, digest: str) -> Path:
        return self.folder / "locks" / f"{digest[:32]}.lock"

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the write lock from its start; a connection of its own, so that it outlives no
        fork."""
        try:
            database = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
            try:
                database.execute("pragma synchronous = full")
                database.execute("begin immediate")
                try:
                    yield database
                except BaseException:
                    database.execute("rollback")
                    raise
                database.execute("commit")
            finally:
                database.close()
        except sqlite3.Error as error:
            raise StudyError(f"{self.path}: {error}; is it a study's file, on a disk with room?") from error


_TAKE = """
insert into cells (digest, kind, cell, state, attempts, measures, seconds, finished, ran_on)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict (digest) do update set state = excluded.state, attempts = excluded.attempts, measures = excluded.measures,
    error = null, seconds = excluded.seconds, finished = excluded.finished, ran_on = excluded.ran_on
where state != 'done'
"""
_COLUMNS = "digest, cell, state, attempts, measures, error, seconds, finished, ran_on"


def _row(values: tuple[Any, ...]) -> Row:
    digest, cell, state, attempts, measures, error, seconds, finished, ran_on = values
    return Row(
        digest,
        cell_from_json(cell),
        state,
        attempts,
        json.loads(measures) if measures else None,
        error,
        seconds,
        finished,
        json.loads(ran_on) if ran_on else None,
    )
