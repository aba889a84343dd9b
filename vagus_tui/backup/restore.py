"""The restore test: a backup is what has been restored (guide, "Backup Verification", step 3).

Restored into a local embedded PostgreSQL, every table is counted and digested again, and what hangs on it (keys,
indexes, policies, row security, grants, triggers, sequences) is compared with the manifest's inventory.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import asyncpg

from vagus_tui.backup.copy import NotHereError, RestoredCopy, local_server_explained
from vagus_tui.backup.csv_files import import_csv
from vagus_tui.backup.damage import tell_journal
from vagus_tui.backup.digest import content, table_content
from vagus_tui.backup.folder import STOPPED
from vagus_tui.backup.gauge import BackupGauge, gauged
from vagus_tui.backup.inventory import Difference, differences, read_inventory
from vagus_tui.backup.manifest import ArchiveEntry, CsvEntry, DamagedBackupError, Manifest, TableEntry, read_manifest
from vagus_tui.backup.snapshot import SESSION
from vagus_tui.backup.tables import TableColumn
from vagus_tui.backup.verify import GROUP, OURS, RESTORE_TEST, clears_damage, keep_damage, keep_proof, some_sentences
from vagus_tui.backup.weights import of_restore_test
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database, is_lost
from vagus_tui.database.definitions import Inventory
from vagus_tui.database.identifiers import qualified, quote
from vagus_tui.errors import CancelledByOperatorError, VagusError, account, server_words
from vagus_tui.events import CheckEvent, Event, NoteEvent, Phase, ResultEvent, Status, StepEvent, StepState
from vagus_tui.format import plural
from vagus_tui.journal.schema import journal_exists
from vagus_tui.settings import Settings

_CSV_DATABASE = "restored_csv"
_KEPT_DIFFERENCES = 50
_NOT_HERE = (NotHereError, asyncpg.DiskFullError, asyncpg.OutOfMemoryError, asyncpg.FeatureNotSupportedError)
"""What says that the local PostgreSQL cannot do it, rather than that the backup is not what it should be."""


async def restore_test(path: Path, settings: Settings, control: Control) -> AsyncGenerator[Event, None]:
    """Restore a backup into a local embedded PostgreSQL and compare it with its manifest.

    Yields steps, a check per table and archive, and last a `ResultEvent` whose `ok` says whether everything came
    back. The result is kept beside the manifest and, where the settings name the database, in its journal.

    Raises:
        DamagedBackupError: there is no manifest to compare with.
        RefusedError: too little space for the copy. SandboxError: the embedded PostgreSQL did not start.
        CancelledByOperatorError: a stop was asked for; the copy is gone.
    """
    gauge = BackupGauge()
    async with contextlib.aclosing(gauged(_test(path, settings, control, gauge), gauge)) as testing:
        async for event in testing:
            yield event


async def _test(path: Path, settings: Settings, control: Control, gauge: BackupGauge) -> AsyncGenerator[Event, None]:
    started = time.perf_counter()
    manifest = await asyncio.to_thread(read_manifest, path)
    gauge.plan(of_restore_test(manifest))
    begun = time.perf_counter()
    yield server_step(StepState.STARTED)
    copy = await RestoredCopy.start(path, manifest)
    failed: list[str] = []
    not_here: list[str] = []
    compared = 0
    try:
        yield server_step(StepState.DONE, time.perf_counter() - begun)
        async for event in _restore_all(copy, control):
            if isinstance(event, CheckEvent) and event.status is not Status.RUNNING:
                compared += 1
                if event.status.blocks:
                    (not_here if event.status is Status.ERROR else failed).append(first_words(event))
            yield event
    except NotHereError as error:
        not_here.append(error.happened)
    except CancelledByOperatorError:
        raise CancelledByOperatorError(STOPPED, state="The local copy was removed; the backup is as it was.") from None
    finally:
        await copy.stop()
    if copy.complaints:
        yield NoteEvent(
            level="info",
            message=f"{len(copy.complaints)} statements outside the compared tables did not run here: "
            f"{some_sentences(copy.complaints)}",
            detail={"said": copy.complaints[:_KEPT_DIFFERENCES]},
        )
    ok = not failed and not not_here and compared > 0
    if ok:
        async for event in keep_restored(path, settings):
            yield event
    elif failed:
        async for event in keep_found(path, settings, some_sentences(failed)):
            yield event
    yield ResultEvent(
        ok=ok,
        message=f"Restored and compared: {compared} tables and files as in the manifest."
        if ok
        else f"The restored copy is not what was backed up: {some_sentences(failed)}"
        if failed
        else "It could not be restored on this machine, which says nothing about the backup: "
        f"{some_sentences(not_here)}"
        if not_here
        else "The backup holds nothing that can be restored.",
        next_step=None
        if ok
        else "Restore it on another server; vagus-tui backup --verify reads it back here."
        if not_here and not failed
        else "Make a new backup; do not rely on this one.",
        exit_status=0 if ok else 1,
        seconds=round(time.perf_counter() - started, 3),
        figures={"path": str(path), "rows": manifest.rows, "compared": compared, "failed": failed[:_KEPT_DIFFERENCES]},
    )


def server_step(state: StepState, seconds: float = 0.0) -> StepEvent:
    """The word that the local server is being started, or is there."""
    title = "Start a local PostgreSQL"
    return StepEvent(id="restore-server", phase=Phase.VERIFY, title=title, state=state, seconds=round(seconds, 3))


def first_words(event: CheckEvent) -> str:
    """What a comparison found, in one line."""
    return f"{event.title}: {(event.message or 'failed').partition(chr(10))[0]}"


async def _restore_all(copy: RestoredCopy, control: Control) -> AsyncIterator[Event]:
    """Restore and compare every archive that holds rows, and every CSV file."""
    for archive in copy.manifest.archives:
        if archive.content == "definitions":
            continue
        database = f"restored_{archive.content}"
        try:
            async for event in copy.restore(archive, database, control):
                yield event
        except (DamagedBackupError, NotHereError, asyncpg.PostgresError) as error:
            yield CheckEvent(
                id=f"restore-{archive.content}",
                group=GROUP,
                title=archive.name,
                status=Status.ERROR if isinstance(error, _NOT_HERE) else Status.FAIL,
                measured="not restored",
                expected="restored",
                overridable=False,
                message=account(error),
            )
            continue
        async for event in compare_archive(copy, archive, database, control):
            yield event
    if copy.manifest.csv:
        async for event in compare_csv(copy, control):
            yield event


def _check(id: str, title: str, expected: str) -> CheckEvent:
    return CheckEvent(id=id, group=GROUP, title=title, status=Status.RUNNING, expected=expected, overridable=False)


async def compare_archive(
    copy: RestoredCopy, archive: ArchiveEntry, database: str, control: Control
) -> AsyncIterator[Event]:
    """Compare every restored table with the manifest: a check each, once as running and once with its outcome."""
    with local_server_explained():
        connection = await copy.admin(database)
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await connection.execute(SESSION)
                same_major = connection.get_server_version().major == copy.manifest.server_major
                tables = [entry for key in archive.tables if (entry := copy.manifest.table(key))]
                found = await read_inventory(connection, [entry.as_table() for entry in tables])
                for entry in tables:
                    if control.cancelled:
                        raise CancelledByOperatorError(STOPPED)
                    yield _check(f"restore-{archive.content}-{entry.key}", entry.key, plural(entry.rows, "row"))
                    yield await _compare_table(connection, copy.manifest, archive, entry, found, same_major)
        finally:
            await connection.close()


async def _compare_table(
    connection: Connection,
    manifest: Manifest,
    archive: ArchiveEntry,
    entry: TableEntry,
    found: Inventory,
    same_major: bool,
) -> CheckEvent:
    started = time.perf_counter()
    id, expected = f"restore-{archive.content}-{entry.key}", plural(entry.rows, "row")
    try:
        async with connection.transaction():
            now = await table_content(connection, entry.as_table(), like=entry.digest)
    except asyncpg.PostgresError as error:
        if is_lost(error):
            raise
        elsewhere = isinstance(error, _NOT_HERE)
        said = server_words(error)
        return CheckEvent(
            id=id,
            group=GROUP,
            title=entry.key,
            status=Status.ERROR if elsewhere else Status.FAIL,
            measured="not there",
            expected=expected,
            overridable=False,
            message=f"It cannot be compared here: {said}" if elsewhere else f"It was not restored: {said}",
        )
    problems = []
    if now.rows != entry.rows:
        problems.append(f"{plural(now.rows, 'row')} came back instead of {entry.rows:,}.")
    if now.digest != entry.digest:
        problems.append("The rows are not those that were backed up: their digest differs.")
    hanging = list(
        differences(
            without_positions(manifest.inventory.get(entry.key, {})),
            without_positions(found.get(entry.key, {})),
            same_major=same_major,
        )
    )
    problems += [str(difference) for difference in hanging if not difference.worded]
    problems += _sequence_problems(manifest.inventory.get(entry.key, {}), found.get(entry.key, {}))
    worded = [difference for difference in hanging if difference.worded]
    objects = sum(len(names) for kind, names in found.get(entry.key, {}).items() if kind != "columns")
    return CheckEvent(
        id=id,
        group=GROUP,
        title=entry.key,
        status=Status.FAIL if problems else Status.WARN if worded else Status.PASS,
        measured=f"{plural(now.rows, 'row')}, {plural(objects, 'object')}",
        expected=expected,
        overridable=False,
        seconds=round(time.perf_counter() - started, 3),
        rows=len(problems) or None,
        message="\n".join(problems[:_KEPT_DIFFERENCES] or _wording(worded)) or None,
    )


def _wording(worded: list[Difference]) -> list[str]:
    return [
        f"{difference.kind}: this server's version words {difference.name} otherwise; it means the same."
        for difference in worded
    ]


_POSITION = re.compile(r" last (\d+|none)\Z")


def without_positions(inventory: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The inventory without how far sequences have come, which no snapshot holds still."""
    if "sequences" not in inventory:
        return inventory
    sequences = {name: _POSITION.sub("", body) for name, body in inventory["sequences"].items()}
    return {**inventory, "sequences": sequences}


def _position(body: str) -> int:
    match = _POSITION.search(body)
    return int(match[1]) if match and match[1] != "none" else 0


def _sequence_problems(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> list[str]:
    """A sequence may come back further on than the manifest has it, never further back."""
    now = after.get("sequences", {})
    return [
        f"sequences: {name} stands at {_position(now[name]):,}, which gives numbers a second time."
        for name, body in before.get("sequences", {}).items()
        if name in now and _position(now[name]) < _position(body)
    ]


async def compare_csv(copy: RestoredCopy, control: Control) -> AsyncIterator[Event]:
    """Read every CSV file into a table and digest it: what people get to read is what was there."""
    with local_server_explained():
        await copy.create_database(_CSV_DATABASE)
        connection = await copy.admin(_CSV_DATABASE)
        try:
            for entry in copy.manifest.csv:
                if control.cancelled:
                    raise CancelledByOperatorError(STOPPED)
                table = copy.manifest.table(entry.table)
                if table is None:
                    continue
                yield _check(f"restore-csv-{entry.table}", entry.name, plural(table.rows, "row"))
                yield await _compare_one_csv(connection, copy.path, entry, table)
        finally:
            await connection.close()


def _csv_type(column: TableColumn) -> str:
    """The type to read a column's CSV into: its own where every database has it.

    Types of the project's own are digested as text, so a column of text serves for them; so do names of objects that
    this database has not. Text would not do for a built-in such as char(n), whose padding is no part of its value.
    """
    return column.type if column.base_type and not column.base_type.startswith(("reg", "_reg")) else "text"


async def _compare_one_csv(connection: Connection, path: Path, entry: CsvEntry, table: TableEntry) -> CheckEvent:
    started = time.perf_counter()
    problems = []
    rows, elsewhere = 0, False
    columns = [column.as_column() for column in table.columns if column.name in entry.columns]
    definition = ", ".join(f"{quote(column.name)} {_csv_type(column)}" for column in columns)
    try:
        async with connection.transaction():
            await connection.execute(SESSION)
            await connection.execute(f"create table {qualified('public', table.name)} ({definition})")
            rows = await import_csv(connection, path / entry.name, "public", table.name, entry.columns)
            now = await content(connection, "public", table.name, columns, like=table.digest)
            if now.rows != table.rows:
                problems.append(f"{plural(now.rows, 'row')} came back instead of {table.rows:,}.")
            if now.digest != table.digest:
                problems.append("The rows are not those that were backed up: their digest differs.")
    except VagusError as error:
        problems.append(error.happened)
    except (asyncpg.PostgresError, OSError) as error:
        if is_lost(error):
            raise
        elsewhere = isinstance(error, _NOT_HERE) or (isinstance(error, OSError) and error.errno in OURS)
        problems.append(f"It cannot be read. {account(error)}")
    return CheckEvent(
        id=f"restore-csv-{entry.table}",
        group=GROUP,
        title=entry.name,
        status=Status.ERROR if elsewhere else Status.FAIL if problems else Status.PASS,
        measured=plural(rows, "row"),
        expected=plural(table.rows, "row"),
        overridable=False,
        seconds=round(time.perf_counter() - started, 3),
        rows=len(problems) or None,
        message="\n".join(problems) or None,
    )


async def mark_restored(connection: Connection, path: Path) -> bool:
    """Note in the journal that a backup was restored as a test; False when the journal does not know it."""
    if not await journal_exists(connection):
        return False
    status = await connection.execute(
        "update vagus_migration.backups set restored_at = clock_timestamp() where path = $1", str(path)
    )
    return not status.endswith(" 0")


async def keep_found(path: Path, settings: Settings, found: str) -> AsyncIterator[NoteEvent]:
    """Keep beside the manifest and in the journal what a restored copy shows to be wrong; yields what did not work."""
    await asyncio.to_thread(keep_damage, path, found, by=RESTORE_TEST)
    if told := await tell_journal(settings, path, found, by=RESTORE_TEST):
        yield NoteEvent(level="warning", message=told)


async def keep_restored(path: Path, settings: Settings) -> AsyncIterator[NoteEvent]:
    """Keep beside the manifest and in the journal that all of a backup was restored; yields what did not work."""
    if await asyncio.to_thread(clears_damage, path, RESTORE_TEST):
        await tell_journal(settings, path, "", by=RESTORE_TEST)
    try:
        await asyncio.to_thread(keep_proof, path, restored=True)
    except OSError as error:
        yield NoteEvent(level="warning", message=f"The proof could not be kept: {error.strerror or 'no access'}.")
    if settings.database_url is None:
        return
    try:
        async with Database(settings).connection("restore test") as connection:
            await mark_restored(connection, path)
    except (VagusError, asyncpg.PostgresError) as error:
        yield NoteEvent(
            level="warning", message=f"The journal could not be told that the backup was restored. {account(error)}"
        )
