"""The gate before a migration: is there a verified backup of this database, and how much has changed since."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from vagus_tui.backup.came_back import not_restored_yet
from vagus_tui.backup.identity import Identity, read_identity
from vagus_tui.backup.listing import BackupInfo, list_backups
from vagus_tui.backup.manifest import Fingerprint, Manifest
from vagus_tui.backup.options import Kind
from vagus_tui.backup.tables import select_tables, workout_names
from vagus_tui.checks.base import Context, Outcome
from vagus_tui.events import Status
from vagus_tui.format import old
from vagus_tui.journal import backup_records

OLDEST = timedelta(hours=24)


async def writes_since(context: Context, manifest: Manifest) -> int | None:
    """Rows written to the backed-up workout tables since the backup, by the server's own counters.

    None where that cannot be known: tables were renamed, or the server's statistics began anew.
    """
    known = {table.key: table.writes for table in manifest.tables}
    writes = 0
    for table in await select_tables(context.connection, workout_names(context.state)):
        before = known.get(table.key)
        if before is None or table.writes < before:
            return None
        writes += table.writes - before
    return writes


async def backup_outcome(context: Context) -> Outcome:
    """Whether a backup can be relied on: verified, of this database, whole, at most a day old.

    It fails without one. It warns when the backup was never restored as a test, holds CSV alone, lies on another
    machine, or is older than a day though nothing was written since.
    """
    found = await asyncio.to_thread(list_backups, context.settings)
    identity = await read_identity(context.connection, context.database.label)
    own = [info for info in found if info.manifest and identity.vouches_for(info.manifest)]
    usable = next((info for info in own if info.usable), None)
    if usable is not None:
        return await _judged(context, usable)
    if (elsewhere := await _elsewhere(context, identity.fingerprint)) is not None:
        return elsewhere
    # Going without a backup may be somebody's decision; taking another database's for one never is.
    others_only = bool(found) and not own
    return Outcome(
        Status.FAIL, "none", _why_none(context, found, own, identity), overridable=False if others_only else None
    )


def _why_none(context: Context, found: list[BackupInfo], own: list[BackupInfo], identity: Identity) -> str:
    where = context.settings.backup_dir
    if own and own[0].problems:
        return f"The newest backup of this database is damaged: {own[0].problems[0]} Make a new one."
    if own:
        return "The newest backup of this database was never read back. Verify it, or make a new one."
    if copies := sum(1 for info in found if info.manifest and identity.of_a_copy(info.manifest)):
        of_it = "1 backup has" if copies == 1 else f"{copies:,} backups have"
        return (
            f"In {where}, {of_it} this database's identifiers, but its journal knows nothing of making them: one of "
            "the two is a copy of the other's server, with other rows by now. Make one of this database."
        )
    if found:
        return f"{where} holds no backup of this database, only of others, which cannot stand in for one. Make one."
    return f"There is no backup in {where}. Make one."


async def _judged(context: Context, info: BackupInfo) -> Outcome:
    assert info.manifest is not None
    age = datetime.now(UTC) - info.created
    writes = await writes_since(context, info.manifest)
    since = (
        "How much was written since is not known."
        if writes is None
        else f"{writes:,} row changes since."
        if writes
        else "Nothing was written since."
    )
    measured = f"{old(age)}, verified" + (", restored" if info.restored else "")
    message = f"{info.path}\n{since}"
    if age > OLDEST and writes != 0:
        return Outcome(Status.FAIL, measured, f"{message}\nIt is older than a day. Make a new one.")
    hints = []
    if age > OLDEST:
        hints.append("It is older than a day.")
    if not info.restored:
        hints.append(not_restored_yet(info))
    if set(info.kinds) == {Kind.CSV}:
        hints.append("It is CSV alone: keys, indexes, policies and grants are not in it.")
    return Outcome(Status.WARN if hints else Status.PASS, measured, "\n".join((message, *hints)))


async def _elsewhere(context: Context, fingerprint: Fingerprint) -> Outcome | None:
    """A fresh verified backup that the journal knows of and that does not lie here."""
    for record in await backup_records.backups(context.connection):
        if not record.verified:
            continue
        age = datetime.now(UTC) - record.at
        if age > OLDEST:
            return None
        if await asyncio.to_thread(_lies_here, record.path):
            # And was found wanting.
            return None
        try:
            recorded = Fingerprint.model_validate(record.manifest.get("fingerprint"))
        except ValidationError:
            continue
        if not recorded.vouches_for(fingerprint):
            continue
        return Outcome(
            Status.WARN,
            f"{old(age)}, elsewhere",
            f"{record.operator} made a verified backup at {record.path}, which is not on this machine, or not to be "
            "seen by you.",
        )
    return None


def _lies_here(path: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(path).exists()
    return False
