"""The backups that were made of this database, in the journal, and what tests found of them.

Every function takes a connection, makes the journal where it writes, and reads an absent journal as empty.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vagus_tui.database.connection import Connection
from vagus_tui.journal.schema import ensure_journal, journal_exists
from vagus_tui.journal.store import as_json, note


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """A backup that was made of this database.

    Attributes:
        verified_at, restored_at: when it was last read back, and restored as a test: what was so then.
        damage: what a later test found wrong with it; while there is any, neither of the two counts.
    """

    path: str
    manifest: Mapping[str, Any]
    verified_at: datetime | None
    restored_at: datetime | None
    operator: str
    at: datetime
    damage: str = ""

    @property
    def verified(self) -> bool:
        """Whether it counts as read back."""
        return self.verified_at is not None and not self.damage

    @property
    def restored(self) -> bool:
        """Whether it counts as restored."""
        return self.restored_at is not None and not self.damage


async def record_backup(
    connection: Connection, path: str, manifest: Mapping[str, Any], *, operator: str, verified: bool
) -> None:
    """Record a backup that was made, and whether it was read back."""
    await ensure_journal(connection)
    await connection.execute(
        "insert into vagus_migration.backups (path, manifest, verified_at, operator) "
        "values ($1, $2::jsonb, case when $3 then clock_timestamp() end, $4)",
        path,
        as_json(manifest),
        verified,
        operator,
    )


DAMAGE = "backup-damage"
DAMAGE_OF = (
    "select l.found from (select distinct on (n.body ->> 'by') n.id, n.body ->> 'found' as found "
    f"from vagus_migration.notes n where n.topic = '{DAMAGE}' and n.body ->> 'path' = b.path "
    "order by n.body ->> 'by', n.id desc) l where l.found <> '' order by l.id desc limit 1"
)
"""The newest of what tests found wrong with the backup `b` and no test of the same kind has taken back."""


async def record_damage(connection: Connection, path: str, found: str, *, by: str, operator: str) -> None:
    """Record what a test found wrong with a backup of this database, or with nothing that it is whole after all."""
    known = "select exists (select from vagus_migration.backups where path = $1)"
    if await journal_exists(connection) and await connection.fetchval(known, path):
        await note(connection, DAMAGE, {"path": path, "found": found[:2000], "by": by}, operator=operator)


async def backups(connection: Connection) -> list[BackupRecord]:
    """Every backup that was made of this database, newest first."""
    if not await journal_exists(connection):
        return []
    rows = await connection.fetch(
        "select b.path, b.manifest, b.verified_at, b.restored_at, b.operator, b.at, "
        f"coalesce(({DAMAGE_OF}), '') as damage from vagus_migration.backups b order by b.id desc"
    )
    return [BackupRecord(**{**dict(row), "manifest": json.loads(row["manifest"])}) for row in rows]
