"""The stages of a rehearsal: what each is called, what its failure means for the real run, and what they measure."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from vagus_tui.backup.copy import NotHereError, RestoredCopy, local_server_ended
from vagus_tui.backup.folder import AS_IT_WAS
from vagus_tui.backup.manifest import ArchiveEntry, Manifest
from vagus_tui.backup.process import ToolFailedError
from vagus_tui.database.connection import is_lost
from vagus_tui.errors import LOST_WORDS, ConnectionFailedError, RefusedError, VagusError, account
from vagus_tui.events import Phase, StepEvent, StepState
from vagus_tui.journal.state import State, state_words

BEGINNINGS = frozenset({State.V1.value, State.V1_RENAMED.value, State.ROLLED_BACK.value})
"""States of a backup from which a migration can begin."""

ON_A_COPY = frozenset(
    {
        "server-version",
        "encoding",
        "v1-shape",
        "rights",
        "migration-lock",
        "long-transactions",
        "timeouts",
        "default-privileges",
        "table-sizes",
        "server-space",
    }
)
"""Prerequisites that say something on a copy; the others are about the real server, its link or this machine."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its id and what the operator calls it."""

    id: str
    title: str


STAGES = (
    Stage("restore", "Restore the backup"),
    Stage("prerequisites", "Prerequisites of a copy"),
    Stage("data-quality", "Data quality"),
    Stage("migrate", "Migrate and prove"),
    Stage("verification", "Verification"),
    Stage("access", "Access"),
    Stage("self-test", "The checks themselves"),
    Stage("writes", "Users write on v2"),
    Stage("rollback", "Roll back with their writes"),
    Stage("compare", "Look for every write"),
    Stage("migrate-again", "Migrate again"),
)

MEANING = {
    "restore": "The backup cannot be relied on: make a new one before anything else.",
    "prerequisites": "The migration would be held up in production too: mend what fails, or override it by name.",
    "data-quality": "In production the migration would be refused before it begins. Fix the rows on Prerequisites, "
    "back up, rehearse again.",
    "migrate": "In production the run would have ended in the same way. Do not start it before this is understood.",
    "verification": "In production v2 would be in use with this wrong. Do not migrate before it is understood.",
    "access": "In production users would see too much or too little. Do not migrate before it is understood.",
    "self-test": "A check that does not see its fault proves nothing in production either. Do not rely on it before "
    "this is understood.",
    "writes": "In production users could not write after the cut-over. Do not migrate before it is understood.",
    "rollback": "In production the quick way back would be refused, and v2 would stay in use: only a backup would "
    "lead back. Do not migrate before it is understood.",
    "compare": "In production a rollback would lose what users wrote. Do not migrate before it is understood.",
    "migrate-again": "In production a second attempt after a rollback would fail. The first one, and the way back, "
    "went through.",
}
"""What the failure of each stage would mean for the real run."""


REMOVED = "The local copy was removed; the backup and the real database are as they were."
"""What state the end of a rehearsal leaves."""


class StageFailedError(VagusError):
    """A stage of the rehearsal failed; the real database was not touched."""

    exit_status = 1

    def __init__(self, stage: Stage, happened: str, *, meaning: str = "") -> None:
        super().__init__(happened, state=meaning or MEANING[stage.id])
        self.stage = stage


def failure_of(stage: Stage, error: Exception) -> StageFailedError | None:
    """What ended a stage, as its failure; None where it is a defect of ours.

    That the local server was ended, whatever was under way, means nothing for the real one.
    """
    lost = isinstance(error, StageFailedError) and error.happened.startswith(LOST_WORDS)
    if lost or is_lost(error) or isinstance(error, ConnectionFailedError):
        error = local_server_ended()
    if isinstance(error, StageFailedError):
        return error
    if not isinstance(error, VagusError | asyncpg.PostgresError | OSError):
        return None
    here = isinstance(error, NotHereError | ToolFailedError)
    return StageFailedError(stage, account(error), meaning=AS_IT_WAS if here else "")


def stage_event(stage: Stage, state: StepState, seconds: float | None = None, message: str | None = None) -> StepEvent:
    """An event about a stage as a whole."""
    return StepEvent(
        id=f"rehearse-{stage.id}",
        phase=Phase.REHEARSE,
        title=stage.title,
        state=state,
        seconds=None if seconds is None else round(seconds, 3),
        message=message,
    )


def suitable_archive(manifest: Manifest) -> ArchiveEntry:
    """The archive to rehearse on: everything if it is there, else the workout tables.

    Raises:
        RefusedError: there is none, or the backup is of a database that no migration can begin from.
    """
    if manifest.state not in BEGINNINGS:
        raise RefusedError(
            f"This backup is of a database in state “{state_words(manifest.state)}”; a rehearsal begins with v1.",
            next_step="Choose a backup that was made before the migration.",
        )
    archives = {archive.content: archive for archive in manifest.archives}
    found = archives.get("full") or archives.get("tables")
    if found is None:
        raise RefusedError(
            "This backup holds CSV files alone, without keys, policies and grants: nothing can be rehearsed on it.",
            next_step="Make one of the workout tables or of everything, then rehearse on that.",
        )
    return found


async def analyzed(copy: RestoredCopy, archive: ArchiveEntry, database: str) -> int:
    """Give the copy what a real database has and a restored one lacks, statistics; returns its workout tables' rows."""
    admin = await copy.admin(database)
    try:
        await admin.execute("analyze")
    finally:
        await admin.close()
    tables = (copy.manifest.table(key) for key in archive.tables)
    return sum(table.rows for table in tables if table is not None and table.workout)


async def as_in_production(copy: RestoredCopy) -> None:
    """Make the copy write as durably as a real server does, so that its times can be compared."""
    admin = await copy.admin("postgres")
    try:
        for setting in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum"):
            await admin.execute(f"alter system set {setting} = on")
        await admin.execute("select pg_reload_conf()")
    finally:
        await admin.close()


@dataclass(frozen=True, slots=True)
class Space:
    """Bytes: what the copy's files take, and how much log was ever written."""

    disk: int
    log: int


async def space_used(copy: RestoredCopy, database: str) -> Space:
    """What the copy takes on disk right now."""
    admin = await copy.admin(database)
    try:
        row = await admin.fetchrow(
            "select pg_database_size(current_database()) as disk, "
            "pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint as log"
        )
        assert row is not None
        return Space(row["disk"], row["log"])
    finally:
        await admin.close()
