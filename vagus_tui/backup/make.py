"""Making a backup: every part from one snapshot, verified before it gets its name (guide, "Backup Procedures")."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from vagus_tui.backup.address import database_address
from vagus_tui.backup.describe import write_manifest
from vagus_tui.backup.dump import TEXT_SHARE
from vagus_tui.backup.folder import (
    AGAIN,
    REMOVED,
    RESERVE_BYTES,
    STOPPED,
    BackupFolder,
    explained_disk_errors,
    free_bytes,
    local_now,
    remove_leftovers,
)
from vagus_tui.backup.gauge import BackupGauge, gauged
from vagus_tui.backup.identity import journal_id
from vagus_tui.backup.job import BackupJob, estimated_bytes, or_stopped
from vagus_tui.backup.manifest import Manifest
from vagus_tui.backup.options import ArchiveFormat, BackupOptions, Compression, Kind
from vagus_tui.backup.parts import checksums, digests, dump_full, dump_tables, export
from vagus_tui.backup.progress import Progress
from vagus_tui.backup.snapshot import Snapshot, exported_snapshot, hold
from vagus_tui.backup.tables import left_out, select_tables, workout_names
from vagus_tui.backup.verify import keep_proof, some, some_sentences, verify_contents
from vagus_tui.backup.weights import of_backup
from vagus_tui.checks.waiting import Patience
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.encoding import refuse_unless_utf8
from vagus_tui.database.tls import link_security
from vagus_tui.database.tools import MissingTools, tools_for
from vagus_tui.errors import (
    CancelledByOperatorError,
    ConnectionLostError,
    RefusedError,
    UndoneError,
    VagusError,
    account,
    server_words,
)
from vagus_tui.events import Event, NoteEvent, Phase, ResultEvent, StepEvent, StepState
from vagus_tui.format import plural, size
from vagus_tui.journal import backup_records
from vagus_tui.journal.state import DatabaseState, read_state
from vagus_tui.settings import Settings

_DUMPS = frozenset({Kind.TABLES, Kind.FULL})
_UNREAD = "The backup was written but could not be read back:"


async def make_backup(
    database: Database, settings: Settings, options: BackupOptions, control: Control
) -> AsyncGenerator[Event, None]:
    """Back up the database into a new folder of `settings.backup_dir`.

    The folder is called `*.partial` until all parts are written, read back and found whole; whatever stops it before
    removes it. The last event is a `ResultEvent` with the path, bytes and rows.

    Raises:
        RefusedError: it cannot begin: no fitting pg_dump, no space, no workout tables, a folder that cannot be made,
            a table that was rewritten in that moment.
        LockedError: the same, for a table that somebody holds; says who.
        CancelledByOperatorError, UndoneError: it was stopped or failed, and what was written was removed.
        ConnectionLostError: the database went away; what was written was removed.
    """
    gauge = BackupGauge()
    async with contextlib.aclosing(gauged(_make(database, settings, options, control, gauge), gauge)) as making:
        async for event in making:
            yield event


async def _make(
    database: Database, settings: Settings, options: BackupOptions, control: Control, gauge: BackupGauge
) -> AsyncGenerator[Event, None]:
    begun = time.perf_counter()
    job, notes = await _begin(database, settings, options, control)
    try:
        for note in notes:
            yield note
        with _failures_explained():
            async with exported_snapshot(database) as snapshot:
                async for event in _write(job, snapshot, gauge):
                    if isinstance(event, StepEvent) and event.state is StepState.DONE:
                        job.timings[event.id] = event.seconds or 0.0
                    yield event
                manifest = await write_manifest(job, snapshot)
            problems: list[str] = []
            try:
                async for event in verify_contents(job.path, manifest, control, problems):
                    yield event
            except RefusedError as error:
                raise UndoneError(f"{_UNREAD} {error.happened}", state=REMOVED, next_step=error.next_step) from None
            if problems:
                raise UndoneError(
                    f"{_UNREAD} {some_sentences(problems)}",
                    state=REMOVED,
                    next_step="Check the disk, then make the backup again.",
                )
            await asyncio.to_thread(keep_proof, job.path, verified=True)
            final = await asyncio.to_thread(job.folder.finish)
    finally:
        # After the rename there is nothing under the unfinished name.
        await asyncio.to_thread(job.folder.discard)
    async for event in _record(job, manifest, final):
        yield event
    yield ResultEvent(
        ok=True,
        message=f"Backed up and read back: {plural(manifest.rows, 'row')}.",
        state=job.state.state.value,
        next_step="Restore it as a test: a backup is what has been restored.",
        seconds=round(time.perf_counter() - begun, 3),
        figures={
            "path": str(final),
            "id": manifest.id,
            "bytes": manifest.bytes,
            "rows": manifest.rows,
            "files": len(manifest.files),
            "kinds": [kind.value for kind in manifest.kinds],
            "tables": {table.key: table.rows for table in manifest.tables},
        },
    )


async def _begin(
    database: Database, settings: Settings, options: BackupOptions, control: Control
) -> tuple[BackupJob, list[NoteEvent]]:
    """The job with its empty folder, and what the operator is told before it starts."""
    notes: list[NoteEvent] = []
    async with database.connection("backup", statement_timeout="0") as connection:
        await refuse_unless_utf8(connection)
        # A table that somebody holds against everybody would let it stand still without a word and without an end.
        async with Patience.with_(database, connection, settings.timezone) as patience:
            state = await patience.through(read_state(connection), lambda _: None)
        _refuse_without_tables(state, options)
        uses_tls = link_security(connection).encrypted
        tools = await tools_for(connection) if options.kinds & _DUMPS else None
        if isinstance(tools, MissingTools):
            raise RefusedError(
                tools.reason, next_step=f"Install {tools.package}, or make a CSV backup, which needs no pg_dump."
            )
        await journal_id(connection, operator=settings.operator)
    possible = Compression.ZSTD if tools is not None and tools.zstd else Compression.GZIP
    compression = options.compression or possible
    if compression is Compression.ZSTD and tools is not None and not tools.zstd:
        compression = Compression.GZIP
        notes.append(NoteEvent(message="This pg_dump was built without zstd: gzip is used.", level="warning"))
    for left in await asyncio.to_thread(remove_leftovers, settings.backup_dir):
        notes.append(NoteEvent(message=f"What a killed backup had left was removed: {left.name}."))
    folder = await asyncio.to_thread(
        BackupFolder.create, settings.backup_dir, state.state.value, local_now(settings.timezone)
    )
    job = BackupJob(
        database=database,
        settings=settings,
        options=options,
        control=control,
        state=state,
        tools=tools,
        address=database_address(database, purpose="pg_dump", tls=uses_tls),
        folder=folder,
        started=datetime.now(UTC),
        compression=compression,
    )
    return job, notes


@contextlib.contextmanager
def _failures_explained() -> Iterator[None]:
    """What ends a backup, told with what is left of it: nothing."""
    try:
        with explained_disk_errors():
            yield
    except asyncpg.PostgresError as error:
        raise UndoneError(
            f"The server refused: {server_words(error)}",
            state=REMOVED,
            next_step="Mend what it says, then make the backup again.",
        ) from None
    except ConnectionLostError as error:
        raise ConnectionLostError(error.happened, state=REMOVED, next_step=AGAIN) from None
    except CancelledByOperatorError:
        raise CancelledByOperatorError(STOPPED, state=REMOVED) from None


def _refuse_without_tables(state: DatabaseState, options: BackupOptions) -> None:
    if options.kinds == {Kind.FULL} or workout_names(state):
        return
    raise RefusedError(
        "There are no workout tables to back up.",
        next_step=" ".join(state.reasons) or "A full backup is still possible.",
    )


async def _write(job: BackupJob, snapshot: Snapshot, gauge: BackupGauge) -> AsyncIterator[Event]:
    """Write all parts from the snapshot."""
    kinds = job.options.kinds
    async for event in _choose(job, snapshot):
        yield event
    gauge.plan(of_backup(job))
    async for event in digests(job, snapshot):
        yield event
    if Kind.TABLES in kinds:
        async for event in dump_tables(job, snapshot):
            yield event
    if Kind.FULL in kinds:
        async for event in dump_full(job, snapshot):
            yield event
    if Kind.CSV in kinds:
        async for event in export(job, snapshot):
            yield event
    async for event in checksums(job):
        yield event


async def _choose(job: BackupJob, snapshot: Snapshot) -> AsyncIterator[Event]:
    """Which tables belong to it, held from here on, and whether the disk has room for them."""
    kinds = job.options.kinds
    step = Progress("snapshot", Phase.BACKUP, "One snapshot for every part", 0)
    yield step.started()
    try:
        async with Patience.with_(job.database, snapshot.connection, job.settings.timezone) as patience:
            selecting = patience.through(_select(job, snapshot.connection), lambda _: None)
            await or_stopped(selecting, job.control)
    except VagusError as error:
        yield step.failed(error.happened)
        raise
    yield step.finished(message=f"snapshot {snapshot.id}, {plural(len(job.tables), 'table')}")
    if Kind.FULL in kinds and (job.left_out.unreadable_schemas or job.left_out.unreadable_tables):
        unreadable = [*job.left_out.unreadable_schemas, *(".".join(key) for key in job.left_out.unreadable_tables)]
        yield NoteEvent(
            level="warning",
            message=f"The full dump leaves out what this user may not read: {some(unreadable)}.",
            detail={"left_out": unreadable},
        )
    step = Progress("space", Phase.BACKUP, "Room on the disk", 0)
    yield step.started()
    try:
        _refuse_without_space(job)
    except RefusedError as error:
        yield step.failed(error.happened)
        raise
    yield step.finished()
    for note in _how_to_pack(job):
        yield note


async def _select(job: BackupJob, connection: Connection) -> None:
    names = workout_names(job.state)
    job.selected = await select_tables(connection, names)
    job.left_out = await left_out(connection)
    if Kind.FULL in job.options.kinds:
        job.everything = await select_tables(connection, names, everything=True)
    await hold(connection, job.tables)


def _refuse_without_space(job: BackupJob) -> None:
    """Stop before anything is written when the disk cannot hold it."""
    needed = estimated_bytes(job.selected, job.everything, job.options) + RESERVE_BYTES
    free = free_bytes(job.path)
    if free is not None and free < needed:
        raise RefusedError(
            f"The backup needs about {size(needed)}; {job.settings.backup_dir} has {size(free)} free.",
            next_step="Free space or set VAGUS_BACKUP_DIR to a roomier place.",
        )


def _how_to_pack(job: BackupJob) -> Iterator[NoteEvent]:
    """Compress a dump after it was written, which is quicker, where the disk has room for it as it is."""
    options = job.options
    if job.compression is not Compression.GZIP or options.format is not ArchiveFormat.DIRECTORY:
        return
    dumped = (job.selected if Kind.TABLES in options.kinds else (), job.everything)
    largest = max(sum(table.bytes for table in tables) for tables in dumped)
    free = free_bytes(job.path)
    needed = estimated_bytes(job.selected, job.everything, options) + int(TEXT_SHARE * largest) + RESERVE_BYTES
    job.packs = free is None or free >= needed
    if not job.packs:
        yield NoteEvent(message="The disk has little room: pg_dump compresses by itself, which takes longer.")


async def _record(job: BackupJob, manifest: Manifest, final: Path) -> AsyncIterator[Event]:
    """Write the backup into the journal; a backup that cannot be recorded is still one."""
    step = Progress("record", Phase.VERIFY, "Record it in the journal", 0)
    yield step.started()
    try:
        async with job.database.connection("backup") as connection:
            await backup_records.record_backup(
                connection, str(final), json.loads(manifest.text()), operator=job.settings.operator, verified=True
            )
    except (VagusError, asyncpg.PostgresError, OSError) as error:
        yield step.failed("The journal could not be written.")
        yield NoteEvent(
            level="warning",
            message=f"The backup is whole, but the journal does not know of it. {account(error)}",
        )
        return
    yield step.finished()
