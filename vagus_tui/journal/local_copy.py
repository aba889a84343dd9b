"""A copy of the journal on the operator's machine: what was done stays known when the database is lost or restored.

One file of JSON lines per database, appended to and never rewritten, readable by its owner alone. Quarantine's rows
are not in it, since they hold users' data. Where the database has forgotten entries (a restore of an earlier
backup), they are put back as recovered notes: told in the report, and never taken for the state of things.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vagus_tui.database.connection import Connection, fetch_named
from vagus_tui.errors import VagusError
from vagus_tui.journal import store
from vagus_tui.journal.schema import journal_exists

RECOVERED = "recovered"
"""The topic of notes that hold an entry which only a local copy still had."""

USUAL_PORT = 5432

_TABLES = {
    # Per table: what tells one entry from another, and how the entry is written. Ids are given anew after a restore.
    "runs": ("t.id::text", "to_jsonb(t)"),
    "steps": ("md5(to_jsonb(t)::text)", "to_jsonb(t)"),
    "checks": ("md5((to_jsonb(t) - 'id')::text)", "to_jsonb(t) - 'id'"),
    "sign_offs": ("md5((to_jsonb(t) - 'id')::text)", "to_jsonb(t) - 'id'"),
    "overrides": ("md5(t.check_id || t.at::text)", "to_jsonb(t) - 'id'"),
    "backups": ("md5(t.path || t.at::text)", "to_jsonb(t) - 'id'"),
    "notes": ("md5((to_jsonb(t) - 'id')::text)", "to_jsonb(t) - 'id'"),
}

_PROGRESS = """
select pg_catalog.concat_ws('/',
  (select md5(coalesce(string_agg(r::text, ',' order by id), '')) from vagus_migration.runs r),
  (select count(*) || ' ' || max(at) from vagus_migration.steps),
  (select max(id) from vagus_migration.checks), (select max(id) from vagus_migration.sign_offs),
  (select max(id) || ' ' || count(*) filter (where withdrawn) from vagus_migration.overrides),
  (select max(id) || ' ' || count(verified_at) || ' ' || count(restored_at) from vagus_migration.backups),
  (select max(id) from vagus_migration.notes))
"""
"""Changes whenever there is something new to copy."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the copy: the journal's table, what tells it from others there, and the row as JSON."""

    table: str
    key: str
    row: dict[str, Any]


async def file_name(connection: Connection, label: str) -> str:
    """The file of this database: its label for people, and what tells its server from others of the same label.

    Servers that were cloned from the same files share their identifier; on one machine they differ by port.
    """
    found = await connection.fetchrow(
        "select inet_server_port() as port, has_function_privilege('pg_catalog.pg_control_system()', 'execute') as told"
    )
    assert found is not None
    port, system = found["port"], ""
    if found["told"]:
        system = str(await connection.fetchval("select system_identifier from pg_catalog.pg_control_system()"))
    slug = re.sub(r"[^A-Za-z0-9.-]+", "_", label)[:60].strip("._") or "database"
    told = f"{system}|{label}" if port in (None, USUAL_PORT) else f"{system}|{label}:{port}"
    return f"{slug}_{hashlib.sha256(told.encode()).hexdigest()[:12]}.jsonl"


@dataclass
class LocalCopy:
    """The copy of one database's journal. Blocks for a moment when it reads or writes its file.

    Attributes:
        problem: why the file could not be written the last time; empty when it could.
    """

    path: Path
    problem: str = ""
    _versions: dict[tuple[str, str], str] | None = None
    _progress: str | None = field(default=None)

    async def sync(self, connection: Connection) -> int:
        """Append what the journal has and the copy does not; returns how many entries that were.

        What cannot be written is kept as `problem` and tried again the next time: the journal itself is in the
        database, and a full disk here must not stop a run there.
        """
        if not await journal_exists(connection):
            return 0
        progress = await connection.fetchval(_PROGRESS)
        if progress == self._progress:
            return 0
        try:
            known = self._known()
            fresh = [
                entry async for entry in _rows(connection) if known.get((entry.table, entry.key)) != _version(entry)
            ]
            self._append(fresh)
        except OSError as error:
            self.problem = f"{self.path}: {error.strerror or type(error).__name__}"
            return 0
        self.problem, self._progress = "", progress
        return len(fresh)

    async def missing(self, connection: Connection) -> list[Entry]:
        """Entries that the copy has and the database no longer does, oldest first.

        Raises:
            VagusError: the copy cannot be read.
        """
        try:
            entries = {(entry.table, entry.key): entry for entry in self._entries()}
        except OSError as error:
            raise VagusError(
                f"The local copy of the journal cannot be read: {error.strerror}.", next_step=f"See {self.path}."
            ) from error
        if not entries:
            return []
        present: set[tuple[str, str]] = set()
        if await journal_exists(connection):
            keys = {table: f"select {key} as key from vagus_migration.{table} t" for table, (key, _) in _TABLES.items()}
            present.update((row["name"], row["key"]) for row in await fetch_named(connection, keys))
            found = await connection.fetch(
                "select body ->> 'table' as table, body ->> 'key' as key from vagus_migration.notes where topic = $1",
                RECOVERED,
            )
            present.update((row["table"], row["key"]) for row in found)
        return [
            entry
            for place, entry in entries.items()
            if place not in present and not (entry.table == "notes" and entry.row.get("topic") == RECOVERED)
        ]

    async def put_back(self, connection: Connection, operator: str) -> int:
        """Put what the database has forgotten back into its journal, as recovered notes; returns how many.

        Raises:
            VagusError: the copy cannot be read.
        """
        entries = await self.missing(connection)
        async with connection.transaction():
            for entry in entries:
                body = {"table": entry.table, "key": entry.key, "row": entry.row}
                await store.note(connection, RECOVERED, body, operator=operator)
        return len(entries)

    def _known(self) -> dict[tuple[str, str], str]:
        if self._versions is None:
            self._versions = {(entry.table, entry.key): _version(entry) for entry in self._entries()}
        return self._versions

    def _entries(self) -> Iterator[Entry]:
        """Every entry of the file; a line that a crash cut off is passed over."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    body = json.loads(line)
                    if body["table"] in _TABLES:
                        yield Entry(body["table"], body["key"], body["row"])
                except (ValueError, KeyError, TypeError):
                    continue

    def _append(self, entries: list[Entry]) -> None:
        if not entries:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            if self.path.stat().st_size and not self._ends_whole():
                file.write("\n")
            for entry in entries:
                line = {"table": entry.table, "key": entry.key, "row": entry.row}
                file.write(json.dumps(line, ensure_ascii=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        known = self._known()
        known.update({(entry.table, entry.key): _version(entry) for entry in entries})

    def _ends_whole(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


async def _rows(connection: Connection) -> Any:
    """Every entry of the journal, a batch at a time."""
    query = "\nunion all\n".join(
        f"select '{table}' as name, {key} as key, ({row})::text as row from vagus_migration.{table} t"
        for table, (key, row) in _TABLES.items()
    )
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        async for found in connection.cursor(query, prefetch=500):
            yield Entry(found["name"], found["key"], json.loads(found["row"]))


def _version(entry: Entry) -> str:
    return hashlib.sha256(json.dumps(entry.row, sort_keys=True).encode()).hexdigest()[:16]


async def local_copy(connection: Connection, label: str, folder: Path | None) -> LocalCopy | None:
    """The copy for this database, or None where none is wanted (a sandbox that is thrown away)."""
    if folder is None:
        return None
    return LocalCopy(folder / await file_name(connection, label))
