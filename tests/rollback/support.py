"""Going back in tests: a user who trains, a backup made, a database destroyed, v1 compared with what was backed up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.backup.helpers import make
from tests.databases import TestDatabase
from tests.migration.support import OnEvent, Ran, collected, settings_for
from vagus_tui.backup import BackupOptions, Kind
from vagus_tui.backup.digest import content
from vagus_tui.backup.manifest import Manifest, read_manifest
from vagus_tui.backup.snapshot import SESSION
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.rollback.from_backup import roll_back_from

TABLES = frozenset({Kind.TABLES})


async def backed_up(database: TestDatabase, folder: Path, kinds: frozenset[Kind] = TABLES) -> Path:
    """Make a backup; it must succeed."""
    made = await make(settings_for(database, backup_dir=folder / "backups"), BackupOptions(kinds=kinds))
    assert made.result.ok, made.result
    return made.path


async def do_roll_back_from(
    database: TestDatabase, path: Path, *, on_event: OnEvent | None = None, other_database: bool = False
) -> Ran:
    """Roll back from a backup, and collect what was said."""
    settings, control = settings_for(database), Control()
    stream = roll_back_from(Database(settings), settings, control, path, other_database=other_database)
    return await collected(stream, control, on_event)


async def rolled_back_from(database: TestDatabase, path: Path, **values: Any) -> Ran:
    """Roll back from a backup; it must succeed."""
    ran = await do_roll_back_from(database, path, **values)
    assert ran.result.ok, ran.result
    return ran


async def digests_differ(conn: Connection, path: Path, names: dict[str, str] | None = None) -> list[str]:
    """The v1 tables whose rows are not those of the backup's manifest.

    Args:
        names: the tables' names in the backup by their names now, where they differ.
    """
    manifest: Manifest = read_manifest(path)
    wrong = []
    async with conn.transaction(readonly=True):
        await conn.execute(SESSION)
        for now in ("workout_plans", "exercises", "workout_sessions", "exercise_logs"):
            entry = manifest.table(f"public.{(names or {}).get(now, now)}")
            assert entry is not None
            found = await content(conn, "public", now, entry.as_table().columns, like=entry.digest)
            if (found.rows, found.digest) != (entry.rows, entry.digest):
                wrong.append(now)
    return wrong


async def athlete(conn: Connection) -> Any:
    """A user who has a plan with exercises and sessions with logs of it: user, plan, exercise, session, log."""
    row = await conn.fetchrow(
        "select p.user_id as user, p.id as plan, e.id as exercise, s.id as session, l.id as log "
        "from workout_plans p join exercises e on e.plan_id = p.id "
        "join exercise_logs l on l.exercise_id = e.id join workout_sessions s on s.id = l.session_id "
        "where s.user_id = p.user_id and s.plan_id = p.id and p.is_active and p.duration_weeks > 2 "
        "order by p.id, e.id, s.id, l.id limit 1"
    )
    assert row is not None
    return row
