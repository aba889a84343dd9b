"""What a rehearsal proves of its backup: the archive that it restored came back row by row, as in a restore test.

A backup counts as restored once all of it was. Where it holds more than that archive, the rest waits for the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from vagus_tui.backup.copy import NotHereError, RestoredCopy
from vagus_tui.backup.folder import AS_IT_WAS
from vagus_tui.backup.listing import BackupInfo
from vagus_tui.backup.manifest import ArchiveEntry, DamagedBackupError, Manifest
from vagus_tui.backup.options import Kind
from vagus_tui.backup.restore import compare_archive, first_words, keep_found, keep_restored
from vagus_tui.backup.verify import keep_proof, some_sentences
from vagus_tui.control import Control
from vagus_tui.events import CheckEvent, Event, NoteEvent, Status
from vagus_tui.settings import Settings

_PARTS = {Kind.FULL: "the full dump", Kind.TABLES: "the dump of the workout tables", Kind.CSV: "CSV files"}


async def restored_and_compared(
    copy: RestoredCopy, archive: ArchiveEntry, database: str, settings: Settings, control: Control
) -> AsyncIterator[Event]:
    """Restore an archive into a new database, compare it with the manifest, and keep what was found beside it.

    Raises:
        DamagedBackupError: it cannot be restored, or the workout tables are not what was backed up.
        NotHereError: this machine or its PostgreSQL cannot do it.
        CancelledByOperatorError: a stop was asked for.
    """
    try:
        async for event in copy.restore(archive, database, control):
            yield event
        async for note in _compare(copy, archive, database, settings, control):
            yield note
    except DamagedBackupError as error:
        # Nobody shall rely on it any more.
        async for note in keep_found(copy.path, settings, error.happened):
            yield note
        raise


async def _compare(
    copy: RestoredCopy, archive: ArchiveEntry, database: str, settings: Settings, control: Control
) -> AsyncIterator[NoteEvent]:
    workout = {table.key for table in copy.manifest.tables if table.workout}
    lacking: list[CheckEvent] = []
    async for event in compare_archive(copy, archive, database, control):
        if isinstance(event, CheckEvent) and event.status.blocks:
            lacking.append(event)
    ours = [event for event in lacking if event.title in workout]
    if wrong := [first_words(event) for event in ours if event.status is Status.FAIL]:
        raise DamagedBackupError(f"What came back is not what was backed up: {some_sentences(wrong)}")
    if ours:
        raise NotHereError(
            some_sentences([first_words(event) for event in ours]),
            state=AS_IT_WAS,
        )
    if lacking:
        yield NoteEvent(
            level="warning",
            message="Beside the workout tables, not all came back as in the manifest: "
            f"{some_sentences([first_words(event) for event in lacking])}",
        )
        return
    if archive.content in _whole(copy.manifest):
        async for note in keep_restored(copy.path, settings):
            yield note
        return
    try:
        await asyncio.to_thread(keep_proof, copy.path, came_back=archive.content)
    except OSError as error:
        yield NoteEvent(level="warning", message=f"The proof could not be kept: {error.strerror or 'no access'}.")


def _whole(manifest: Manifest) -> set[str]:
    """The archive that holds all rows there are in the backup, if one does."""
    with_rows: set[str] = {archive.content for archive in manifest.archives if archive.content != "definitions"}
    return with_rows if len(with_rows) == 1 and not manifest.csv else set()


def not_restored_yet(info: BackupInfo) -> str:
    """What of a backup was not restored as a test, in a sentence."""
    if not info.came_back:
        return "It was not restored as a test yet."
    rest = " and ".join(_PARTS[kind] for kind in info.kinds if kind != info.came_back)
    return f"A rehearsal restored {_PARTS[Kind(info.came_back)]} and compared it; not restored as a test yet: {rest}."
