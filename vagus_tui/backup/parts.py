"""The parts of a backup, each read from the one snapshot: digests, dumps, CSV, checksums."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from vagus_tui.backup import dump
from vagus_tui.backup.compress import compress_archive
from vagus_tui.backup.csv_files import export_csv
from vagus_tui.backup.digest import table_content
from vagus_tui.backup.folder import REMOVED, STOPPED, content_files, tree_bytes
from vagus_tui.backup.hashing import FileHash
from vagus_tui.backup.inventory import read_inventory
from vagus_tui.backup.job import CSV_SHARE, BackupJob, or_stopped
from vagus_tui.backup.manifest import ArchiveEntry, CsvEntry, FileEntry
from vagus_tui.backup.options import ArchiveFormat, Compression
from vagus_tui.backup.progress import Progress
from vagus_tui.backup.snapshot import Snapshot
from vagus_tui.backup.tables import BackupTable
from vagus_tui.database.connection import Connection, is_lost
from vagus_tui.errors import CancelledByOperatorError, account
from vagus_tui.events import Event, Phase
from vagus_tui.format import plural, size


async def digests(job: BackupJob, snapshot: Snapshot) -> AsyncIterator[Event]:
    """Count and digest every table in the snapshot, and read what hangs on it."""
    step = Progress("digest", Phase.BACKUP, "Count and digest every table", sum(table.bytes for table in job.tables))
    yield step.started()
    for table in job.tables:
        job.contents[table.key] = await or_stopped(table_content(snapshot.connection, table), job.control)
        if event := step.add(table.bytes):
            yield event
    # Sequences go on under a snapshot: each dump that follows has them where they are here, or further on, and no row
    # of the snapshot is beyond. The tables are held, so nothing else that hangs on them can change.
    job.inventory = await read_inventory(snapshot.connection, job.tables)
    rows = sum(job.contents[table.key].rows for table in job.tables if not table.partitioned)
    yield step.finished(message=plural(rows, "row"))


def _why(error: Exception) -> str:
    """What stopped a step, in a few words; whoever catches the error says the rest."""
    return "The connection to the database was lost." if is_lost(error) else account(error)


def _target(job: BackupJob, name: str) -> Path:
    return job.path / (name if job.options.format is ArchiveFormat.DIRECTORY else f"{name}.dump")


async def _dump(job: BackupJob, step: Progress, arguments: Sequence[str], target: Path) -> AsyncIterator[Event]:
    """Run one pg_dump and tell how far it is."""
    assert job.tools is not None
    yield step.started()
    try:
        async for size in dump.run_dump(job.tools, arguments, job.address, target, job.control):
            if event := step.at(size):
                yield event
    except Exception as error:
        yield step.failed(_why(error))
        raise
    yield step.finished()


def _progress(job: BackupJob, part: str, title: str, tables: Sequence[BackupTable]) -> Progress:
    """A dump's step: its size is estimated."""
    share = dump.TEXT_SHARE / 2 if job.packs else dump.COMPRESSED_SHARE
    return Progress(f"dump-{part}", Phase.BACKUP, title, int(share * sum(table.bytes for table in tables)))


async def _packed(job: BackupJob, target: Path, part: str) -> AsyncIterator[Event]:
    """Compress what pg_dump has written, where that was not its own part."""
    if not job.packs:
        return
    whole = await asyncio.to_thread(tree_bytes, target)
    step = Progress(f"compress-{part}", Phase.BACKUP, "Compress it", whole)
    yield step.started()
    try:
        async for more in compress_archive(target, job.options.jobs, job.control):
            if event := step.add(more):
                yield event
    except Exception as error:
        yield step.failed(_why(error))
        raise
    left = await asyncio.to_thread(tree_bytes, target)
    yield step.finished(whole, f"{size(whole)} into {size(left)}")


async def dump_tables(job: BackupJob, snapshot: Snapshot) -> AsyncIterator[Event]:
    """The workout tables, and beside them the definitions (types, functions) that they use."""
    assert job.tools is not None
    target = job.path / "definitions.dump"
    step = Progress("dump-definitions", Phase.BACKUP, "Dump the definitions", 0)
    arguments = dump.definitions_arguments(job.tools, snapshot.id, target, job.left_out)
    async for event in _dump(job, step, arguments, target):
        yield event
    job.archives.append(
        ArchiveEntry(name=target.name, content="definitions", format=ArchiveFormat.CUSTOM, compression=Compression.GZIP)
    )
    target = _target(job, "workout-tables")
    step = _progress(job, "tables", "Dump the workout tables", job.selected)
    packed = None if job.packs else job.compression
    arguments = dump.tables_arguments(job.tools, job.options, packed, snapshot.id, target, job.selected)
    async for event in _dump(job, step, arguments, target):
        yield event
    async for event in _packed(job, target, "tables"):
        yield event
    job.archives.append(_archive(job, target, "tables", job.selected))


async def dump_full(job: BackupJob, snapshot: Snapshot) -> AsyncIterator[Event]:
    """The guide's full dump."""
    assert job.tools is not None
    target = _target(job, "full")
    step = _progress(job, "full", "Dump the whole database", job.everything)
    packed = None if job.packs else job.compression
    arguments = dump.full_arguments(job.tools, job.options, packed, snapshot.id, target, job.left_out)
    async for event in _dump(job, step, arguments, target):
        yield event
    async for event in _packed(job, target, "full"):
        yield event
    job.archives.append(_archive(job, target, "full", job.everything))


def _archive(job: BackupJob, target: Path, content: str, tables: Sequence[BackupTable]) -> ArchiveEntry:
    return ArchiveEntry.model_validate(
        {
            "name": target.name,
            "content": content,
            "format": job.options.format,
            "compression": job.compression,
            "tables": tuple(table.key for table in tables),
        }
    )


async def export(job: BackupJob, snapshot: Snapshot) -> AsyncIterator[Event]:
    """The workout tables as CSV.

    Read by the connection that holds them: another one would stand in line behind whoever waits for us in order to
    change a table, and neither would ever get on.
    """
    await asyncio.to_thread((job.path / "csv").mkdir, 0o700)
    for table in job.workout:
        async for event in _export_one(job, snapshot.connection, table):
            yield event


async def _export_one(job: BackupJob, connection: Connection, table: BackupTable) -> AsyncIterator[Event]:
    name = f"csv/{table.name}.csv"
    step = Progress(f"csv-{table.name}", Phase.BACKUP, f"Export {table.name}", int(CSV_SHARE * table.bytes))
    yield step.started()
    size, checksum, rows = 0, "", 0
    try:
        async for written in export_csv(connection, table, job.path / name, job.control):
            size, checksum, rows = written
            if event := step.at(size):
                yield event
    except Exception as error:
        yield step.failed(_why(error))
        raise
    job.hashed[name] = FileEntry(name=name, bytes=size, sha256=checksum)
    columns = tuple(column.name for column in table.stored_columns)
    job.csv.append(CsvEntry(name=name, table=table.key, columns=columns, rows=rows))
    yield step.finished(size, plural(rows, "row"))


async def checksums(job: BackupJob) -> AsyncIterator[Event]:
    """Checksums of what pg_dump wrote; the CSV files were hashed on their way."""
    present = await asyncio.to_thread(content_files, job.path)
    new = {name: file for name, file in present.items() if name not in job.hashed}
    step = Progress("checksums", Phase.BACKUP, "Checksums", sum(file.stat().st_size for file in new.values()))
    yield step.started()
    for name, file in new.items():
        reading = FileHash(file)
        async for more in reading.read():
            if event := step.add(more):
                yield event
            if job.control.cancelled:
                raise CancelledByOperatorError(STOPPED, state=REMOVED)
        job.hashed[name] = FileEntry(name=name, bytes=reading.bytes, sha256=reading.sha256)
    yield step.finished()
