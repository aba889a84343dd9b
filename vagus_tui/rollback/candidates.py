"""The backups that one can roll back to, and what each would cost: rows in it against rows now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from vagus_tui.backup.identity import Identity, read_identity
from vagus_tui.backup.listing import BackupInfo, list_backups, read_backup
from vagus_tui.backup.manifest import DamagedBackupError
from vagus_tui.database.connection import Connection, Database
from vagus_tui.journal.state import RESTORING
from vagus_tui.rollback.backup_plan import chosen_part
from vagus_tui.rollback.blueprint import read_blueprints
from vagus_tui.rollback.in_place import SCHEMA
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import qualified
from vagus_tui.settings import Settings


@dataclass(frozen=True, slots=True)
class TableRows:
    """One v1 table: rows in the backup, and rows in use now (v2's where v2 is in place; None: the table is gone)."""

    base: str
    backup: int
    now: int | None

    @property
    def fewer(self) -> int:
        """How many rows fewer there would be; below zero, more would come back than are there."""
        return (self.now or 0) - self.backup


@dataclass(frozen=True, slots=True)
class Candidate:
    """One backup, as somebody who has to choose needs to see it.

    Args:
        age: how old its data is.
        source: what v1 would be restored from: tables, full or csv; "" when it cannot be used.
        problems: why it cannot be used; empty when it can.
        cautions: what speaks against it nevertheless.
    """

    info: BackupInfo
    age: timedelta
    source: str
    rows: tuple[TableRows, ...] = ()
    problems: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.info.path

    @property
    def usable(self) -> bool:
        """Whether a rollback to it can be started. What it is worth is proved then."""
        return not self.problems

    @property
    def fewer(self) -> int:
        """Rows in use now that the backup cannot have, at the least."""
        return sum(max(0, table.fewer) for table in self.rows)


async def rows_in_use(connection: Connection) -> dict[str, int | None]:
    """Rows per v1 table as users see them now: in v2 where it is in place, in whatever is left of v1 otherwise."""
    found: dict[str, int | None] = {}
    for base in v1.TABLES:
        found[base] = None
        for name in (base, f"{base}{v1.SUFFIX}"):
            relation = qualified(SCHEMA, name)
            if not await connection.fetchval("select to_regclass($1) is not null", relation):
                continue
            try:
                found[base] = int(await connection.fetchval(f"select count(*) from {relation}"))
            except asyncpg.PostgresError:
                continue
            break
    return found


def _judged(info: BackupInfo, now: dict[str, int | None], identity: Identity) -> Candidate:
    age = datetime.now(UTC) - info.created
    problems = list(info.problems)
    cautions: list[str] = []
    source = ""
    rows: tuple[TableRows, ...] = ()
    if info.manifest is not None and not problems:
        try:
            blueprints = read_blueprints(info.manifest, RESTORING)
            part = chosen_part(info.manifest, blueprints)
        except DamagedBackupError as error:
            problems.append(error.happened)
        else:
            source = "csv" if part is None else part.content
            rows = tuple(TableRows(table.base, table.entry.rows, now.get(table.base)) for table in blueprints.tables)
            if part is None:
                cautions.append("CSV alone: keys, policies and rights are made from the manifest.")
    if info.verified is None:
        cautions.append("It was never read back; that is done first.")
    # Without a manifest it is not known what it is of; why there is none is among the problems.
    if info.manifest is not None and not info.manifest.fingerprint.same_database(identity.fingerprint):
        cautions.append("It is of another database.")
    elif info.manifest is not None and identity.of_a_copy(info.manifest):
        cautions.append(
            "This database's journal knows nothing of it: it may be of a server that is a copy of this one, or of "
            "which this one is a copy."
        )
    return Candidate(info, age, source, rows, tuple(problems), tuple(cautions))


async def candidate(connection: Connection, database: Database, path: Path) -> Candidate:
    """One backup by its folder."""
    info = await asyncio.to_thread(read_backup, path)
    return _judged(info, await rows_in_use(connection), await read_identity(connection, database.label))


async def candidates(connection: Connection, database: Database, settings: Settings) -> list[Candidate]:
    """The backups of this database in the backup folder, newest first. Those of others are left out."""
    identity = await read_identity(connection, database.label)
    found = await asyncio.to_thread(list_backups, settings)
    own = [info for info in found if info.manifest and info.manifest.fingerprint.same_database(identity.fingerprint)]
    now = await rows_in_use(connection)
    return [_judged(info, now, identity) for info in own]
