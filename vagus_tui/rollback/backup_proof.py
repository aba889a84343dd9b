"""The proof that a backup is good, before a rollback relies on it: every byte is read, and it is restored elsewhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

from vagus_tui.backup.copy import NotHereError, RestoredCopy
from vagus_tui.backup.damage import tell_journal
from vagus_tui.backup.manifest import ArchiveEntry, DamagedBackupError, Manifest
from vagus_tui.backup.restore import compare_archive, compare_csv, first_words
from vagus_tui.backup.verify import RESTORE_TEST, VERIFICATION, keep_damage, some_sentences, verify_contents
from vagus_tui.control import Control
from vagus_tui.events import CheckEvent, Event, NoteEvent, Status
from vagus_tui.jobs import Emit
from vagus_tui.journal.state import RESTORING
from vagus_tui.rollback.aside import UNTOUCHED
from vagus_tui.rollback.in_place import FromCopy, read_copy
from vagus_tui.schema.v1 import V1Shape
from vagus_tui.settings import Settings


class BackupProof:
    """One backup that is to be proved. Damage that is found is kept beside it and in the journal.

    Args:
        part: the archive that v1 is restored from; None where only CSV holds it.
        shape: v1's, as the backup has it.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        part: ArchiveEntry | None,
        shape: V1Shape,
        settings: Settings,
        control: Control,
        emit: Emit,
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.part = part
        self.shape = shape
        self.settings = settings
        self.control = control
        self._emit = emit

    async def read_back(self) -> None:
        """Read every byte of it.

        Raises:
            DamagedBackupError: it is not as it was made.
        """
        problems: list[str] = []
        async for event in verify_contents(self.path, self.manifest, self.control, problems):
            self._emit(event)
        if problems:
            await self._keep_damage(some_sentences(problems), by=VERIFICATION)
            raise DamagedBackupError(
                f"The backup is damaged: {some_sentences(problems)}",
                next_step="Use another backup; do not rely on this one.",
            )

    async def restored(self, copy: RestoredCopy) -> FromCopy:
        """Restore it into a local copy and compare; returns what only the copy knows.

        Raises:
            DamagedBackupError: what came back is not what was backed up.
            NotHereError: it cannot be restored on this machine, which says nothing about the backup.
        """
        failed: dict[Status, list[str]] = {Status.FAIL: [], Status.ERROR: []}
        try:
            if self.part is None:
                async for event in compare_csv(copy, self.control):
                    self._judge(event, failed)
            else:
                database = f"restored_{self.part.content}"
                async for event in copy.restore(self.part, database, self.control):
                    self._emit(event)
                async for event in compare_archive(copy, self.part, database, self.control):
                    self._judge(event, failed)
        except NotHereError as error:
            failed[Status.ERROR].append(error.happened)
        if wrong := failed[Status.FAIL]:
            await self._keep_damage(some_sentences(wrong), by=RESTORE_TEST)
            raise DamagedBackupError(
                f"The restored copy is not what was backed up: {some_sentences(wrong)}",
                next_step="Use another backup; do not rely on this one.",
            )
        if failed[Status.ERROR]:
            raise NotHereError(
                "It could not be restored on this machine, which says nothing about the backup: "
                f"{some_sentences(failed[Status.ERROR])}",
                state=UNTOUCHED,
                next_step="Start it from a machine with more room, or with all that the backup makes use of.",
            )
        if self.part is None:
            self._emit(
                NoteEvent(
                    level="warning",
                    message="This backup is CSV alone: keys, indexes, policies and rights are made from its manifest; "
                    "comments, and views or publications that are gone, are not in it.",
                )
            )
            return FromCopy()
        admin = await copy.admin(f"restored_{self.part.content}")
        try:
            return await read_copy(admin, self.shape, RESTORING)
        finally:
            await admin.close()

    def _judge(self, event: Event, failed: dict[Status, list[str]]) -> None:
        self._emit(event)
        if isinstance(event, CheckEvent) and event.status.blocks:
            failed[event.status].append(first_words(event))

    async def _keep_damage(self, found: str, *, by: str) -> None:
        await asyncio.to_thread(keep_damage, self.path, found, by=by)
        if told := await tell_journal(self.settings, self.path, found, by=by):
            self._emit(NoteEvent(level="warning", message=told))
