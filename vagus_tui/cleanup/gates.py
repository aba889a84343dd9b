"""The gates before a clean-up: waiting period, verification, a final backup that has been restored, nothing hanging on.

The guide deletes v1 at T+7 days, on the last day of the app's rollout; the wizard waits a week longer, and insists
that what replaces the tables as the way back has been proved ("Complete Migration Timeline").
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from enum import StrEnum

from vagus_tui.backup.digest import content
from vagus_tui.backup.identity import read_fingerprint
from vagus_tui.backup.listing import BackupInfo, list_backups
from vagus_tui.backup.manifest import Manifest
from vagus_tui.backup.snapshot import SESSION
from vagus_tui.checks import overrides
from vagus_tui.checks.base import Check, Context, Group, Outcome, run_checks
from vagus_tui.checks.overrides import overridden, record_overrides
from vagus_tui.checks.registry import checks_for
from vagus_tui.cleanup.kept import KeptTable, hanging_on, read_remains
from vagus_tui.database.connection import Connection
from vagus_tui.database.impersonation import undone
from vagus_tui.events import CheckEvent, Status
from vagus_tui.format import age_text, old, plural
from vagus_tui.journal import decisions
from vagus_tui.journal.state import State
from vagus_tui.runbook.timeline import CLEAN_UP_EARLIEST

GATES = "clean-up"
"""The group that these gates carry in their events."""

SHOWN = 20


class GateId(StrEnum):
    """The gates of a clean-up, beside every check of the verification."""

    STATE = "clean-up-state"
    WAITED = "clean-up-waiting-period"
    BACKUP = "clean-up-final-backup"
    FREE = "clean-up-nothing-hangs"
    ARCHIVES = "clean-up-archives-kept"


async def _state(context: Context) -> Outcome:
    state = context.state
    whole = state.state is State.MIGRATED and not state.interrupted
    return Outcome(Status.PASS if whole else Status.FAIL, state.state.words, " ".join((state.summary, *state.reasons)))


async def _waited(context: Context) -> Outcome:
    remains = await read_remains(context.connection)
    period = context.settings.book.thresholds.clean_up_earliest
    needed = plural(period.days, "day")
    if remains.cut_over_at is None:
        return Outcome(Status.FAIL, "unknown", "The journal does not say when v2 went into service.", expected=needed)
    waited = datetime.now(UTC) - remains.cut_over_at
    done = waited >= period
    earliest = remains.cut_over_at + period
    return Outcome(
        Status.PASS if done else Status.FAIL,
        age_text(waited),
        "v2 has been in service long enough." if done else f"The earliest day is {earliest:%Y-%m-%d}.",
        expected=needed,
    )


async def _free(context: Context) -> Outcome:
    remains = await read_remains(context.connection)
    found = await hanging_on(context.connection, remains.v1)
    if not found:
        return Outcome(Status.PASS, "nothing", "Nothing else in the database reads v1's kept tables.")
    return Outcome(
        Status.FAIL,
        len(found),
        "These still hang on v1's kept tables; bind them to v2 or drop them first:",
        rows=len(found),
        detail=tuple(found[:SHOWN]),
    )


AGAIN = "Make one now, and restore it as a test."


async def own_backups(context: Context) -> list[BackupInfo]:
    """The backups of this database that were verified and are whole, newest first."""
    found = await asyncio.to_thread(list_backups, context.settings)
    fingerprint = await read_fingerprint(context.connection, context.database.label)
    return [
        info
        for info in found
        if info.usable and info.manifest is not None and info.manifest.fingerprint.same_database(fingerprint)
    ]


async def differing(connection: Connection, manifest: Manifest, tables: Iterable[KeptTable]) -> list[str]:
    """The tables whose rows a backup has not, or has otherwise."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await differing_now(connection, manifest, tables)


_COLUMNS = """
select array(select attname::text from pg_attribute
  where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '')
"""


async def differing_now(connection: Connection, manifest: Manifest, tables: Iterable[KeptTable]) -> list[str]:
    """The same within a transaction of the caller's, whose settings stay as they are."""
    wrong = []
    async with undone(connection):
        await connection.execute(SESSION)
        for table in tables:
            entry = manifest.table(table.key)
            if entry is None:
                wrong.append(f"{table.key} is not in it")
                continue
            stored = {column.name for column in entry.as_table().stored_columns}
            if set(await connection.fetchval(_COLUMNS, table.relation)) != stored:
                wrong.append(f"{table.key} has other columns in it")
                continue
            columns = entry.as_table().columns
            found = await content(connection, table.schema, table.name, columns, like=entry.digest)
            if (found.rows, found.digest) != (entry.rows, entry.digest):
                wrong.append(f"{table.key} has other rows in it")
    return wrong


async def holding(context: Context, tables: Iterable[KeptTable]) -> tuple[BackupInfo | None, str]:
    """The newest restored backup that holds exactly the rows of these tables; or why there is none, and what to do."""
    wanted = list(tables)
    reasons = []
    for info in await own_backups(context):
        assert info.manifest is not None
        wrong = await differing(context.connection, info.manifest, wanted)
        if not wrong and info.restored is not None:
            return info, ""
        reasons.append(
            f"{info.path.name}: {'; '.join(wrong[:4])}. {AGAIN}"
            if wrong
            else f"{info.path.name} holds them and was not restored yet. Restore it as a test."
        )
    # The newest one that needs the least is what to go on with.
    held = (reason for reason in reasons if not reason.endswith(AGAIN))
    none = f"There is no whole backup of this database in {context.settings.backup_dir}. {AGAIN}"
    return None, next(held, reasons[0] if reasons else none)


async def _final_backup(context: Context) -> Outcome:
    remains = await read_remains(context.connection)
    info, why = await holding(context, remains.v1)
    if info is None:
        return Outcome(Status.FAIL, "none", why)
    age = datetime.now(UTC) - info.created
    return Outcome(Status.PASS, f"{old(age)}, restored", f"{info.path}\nEvery row of v1's kept tables is in it.")


async def _archives(context: Context) -> Outcome:
    remains = await read_remains(context.connection)
    tables = [table for archive in remains.archives.values() for table in archive]
    if not remains.archives:
        return Outcome(Status.SKIP, "no archives", "There is nothing to keep.")
    hanging = await hanging_on(context.connection, tables)
    if hanging:
        return Outcome(Status.FAIL, len(hanging), "These hang on archived tables:", detail=tuple(hanging[:SHOWN]))
    info, why = await holding(context, tables)
    if info is None:
        return Outcome(Status.FAIL, "not kept", f"{why} A full backup, restored as a test, holds the archives too.")
    return Outcome(Status.PASS, f"{len(remains.archives)} kept", str(info.path))


OWN_GATES: tuple[Check, ...] = (
    Check(
        id=GateId.STATE,
        group=Group.VERIFICATION,
        title="v2 is in service, nothing was rolled back",
        why="After a rollback, v1's tables are the live data.",
        expected="migrated",
        probe=_state,
        overridable=False,
        guide="Complete Migration Timeline",
    ),
    Check(
        id=GateId.WAITED,
        group=Group.VERIFICATION,
        title="The waiting period is over",
        why="A mistake that shows late is mended by a quick rollback as long as v1's tables are there.",
        expected=f"{CLEAN_UP_EARLIEST.days} days",
        probe=_waited,
        guide="Complete Migration Timeline",
    ),
    Check(
        id=GateId.FREE,
        group=Group.VERIFICATION,
        title="Nothing hangs on v1's kept tables",
        why="A view or key that still reads them would stop the removal, or go with it.",
        expected="nothing",
        probe=_free,
        overridable=False,
    ),
    Check(
        id=GateId.BACKUP,
        group=Group.VERIFICATION,
        title="A final backup of v1, verified and restored",
        why="It replaces the tables as the way back. Its rows are compared with the tables now.",
        expected="the same rows",
        probe=_final_backup,
        overridable=False,
        guide="Backup Verification",
    ),
)

ARCHIVES_GATE = Check(
    id=GateId.ARCHIVES,
    group=Group.VERIFICATION,
    title="The archives are in a full backup",
    why="They hold what users wrote to v2 before a rollback, some of it nowhere else.",
    expected="every archive",
    probe=_archives,
)


def gate_checks(*, archives: bool = False) -> tuple[Check, ...]:
    """Every gate of a clean-up, in the order in which they are shown."""
    more = (ARCHIVES_GATE,) if archives else ()
    return (*OWN_GATES, *more, *checks_for(Group.VERIFICATION))


async def gates(context: Context, *, archives: bool = False) -> AsyncIterator[CheckEvent]:
    """Measure every gate: first all as pending, then each with its outcome and the override in force, if any."""
    allowed = await decisions.overrides(context.connection)
    async for event in run_checks(gate_checks(archives=archives), context):
        event = overridden(event, allowed)
        yield dataclasses.replace(event, group=GATES) if event.id in set(GateId) else event


def refusal(outcomes: Iterable[CheckEvent]) -> str | None:
    """Why the clean-up may not start, in one sentence; None when nothing is in the way."""
    return overrides.refusal(outcomes, "a clean-up")


async def override_gates(
    connection: Connection, reasons: Mapping[str, str], *, operator: str, archives: bool = False
) -> None:
    """Record overrides by name, all or none.

    Raises:
        ConfigurationError: a name is no gate, the gate cannot be overridden, or a reason is empty; nothing is recorded.
    """
    await record_overrides(connection, gate_checks(archives=archives), reasons, operator=operator)
