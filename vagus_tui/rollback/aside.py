"""v1 made again aside in the real database, where nobody else can see it: tables, rows, keys, and the proof."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import asyncpg

from vagus_tui.backup.copy import RestoredCopy, local_server_ended, local_server_explained
from vagus_tui.backup.csv_files import import_csv
from vagus_tui.backup.digest import content
from vagus_tui.backup.manifest import ArchiveEntry, Manifest
from vagus_tui.control import Control
from vagus_tui.database.connection import LOST, Connection, execute_all
from vagus_tui.database.search_path import CATALOG_PATH
from vagus_tui.errors import UndoneError, server_words
from vagus_tui.events import NoteEvent, StepState
from vagus_tui.format import plural
from vagus_tui.jobs import Emit
from vagus_tui.journal import store
from vagus_tui.journal.state import RESTORING
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.work import with_short_locks
from vagus_tui.rollback.blueprint import Blueprints
from vagus_tui.rollback.replace import CHECK, Replacement
from vagus_tui.rollback.stream import steady, stream_rows
from vagus_tui.settings import Settings

TOLD_SECONDS = 0.25
UNTOUCHED = "Everything is as it was; what was made aside is gone."


@dataclass
class Aside:
    """The making of v1 aside.

    Args:
        part: the archive that the local copy was restored from; None where only CSV holds v1.
        unchecked: the references whose rows did not fit, by name.
    """

    connection: Connection
    settings: Settings
    control: Control
    emit: Emit
    run_id: UUID
    path: Path
    manifest: Manifest
    blueprints: Blueprints
    part: ArchiveEntry | None
    unchecked: list[str] = field(default_factory=list)

    async def make(self, made: Replacement, copy: RestoredCopy) -> None:
        """Do every step up to the proof."""
        for step in made.build_steps():
            await self.control.checkpoint()
            await store.update_run(self.connection, self.run_id, phase=step.phase.value)
            if step.id.startswith("restore-load-"):
                await self._step(step, self._load(step, copy))
            elif step.id.startswith("restore-prove-"):
                await self._step(step, self._prove(step))
            elif step.id.startswith(CHECK):
                await self._check(step)
            elif step.id.startswith("restore-key-"):
                await self._outside(step)
            else:
                await self._step(step, self._execute(step))

    async def _check(self, step: PlanStep) -> None:
        """A look at the rows of a reference that leads outside; rows that do not fit come back nevertheless."""
        try:
            await self._step(step, self._execute(step))
        except asyncpg.ForeignKeyViolationError as error:
            name = step.id.removeprefix(CHECK)
            self.unchecked.append(name)
            why = f"{name} stays unchecked: {server_words(error)}"
            left = step.event(StepState.DONE, message=why)
            await store.record_step(self.connection, self.run_id, left)
            self.emit(left)
            advice = "The rows come back nevertheless; delete them, then validate the constraint."
            self.emit(NoteEvent(level="warning", message=f"{why}. {advice}"))

    async def _step(self, step: PlanStep, work: Awaitable[int | None]) -> None:
        started = time.perf_counter()
        self.emit(step.event(StepState.STARTED))
        rows = await work
        done = step.event(StepState.DONE, since=started, rows=rows)
        await store.record_step(self.connection, self.run_id, done)
        self.emit(done)

    async def _execute(self, step: PlanStep) -> int | None:
        async with self.connection.transaction():
            await self.connection.execute(CATALOG_PATH)
            await execute_all(self.connection, step.statements)
        return step.rows

    async def _outside(self, step: PlanStep) -> None:
        """A reference to a table that is in use: a short lock, tried again."""
        await self._step(
            step,
            with_short_locks(
                self.connection,
                self.settings,
                list(step.tables),
                step.statements,
                emit=self.emit,
                doing=f"Adding {step.title}",
                state=UNTOUCHED,
                control=self.control,
            ),
        )

    async def _load(self, step: PlanStep, copy: RestoredCopy) -> int:
        table = next(one for one in self.blueprints.tables if one.base == step.table)
        async with self.connection.transaction():
            await steady(self.connection)
            if self.part is None:
                entry = next(one for one in self.manifest.csv if one.table == table.entry.key)
                return await import_csv(self.connection, self.path / entry.name, RESTORING, table.name, entry.columns)
            with local_server_explained(UNTOUCHED):
                source = await copy.admin(f"restored_{self.part.content}")
            try:
                async with source.transaction(isolation="repeatable_read", readonly=True):
                    await steady(source)
                    return await stream_rows(
                        source,
                        (table.home, table.name),
                        self.connection,
                        (RESTORING, table.name),
                        table.columns,
                        self._telling(step),
                    )
            except LOST as error:
                if source.is_closed() and not self.connection.is_closed():
                    raise local_server_ended(UNTOUCHED) from error
                raise
            finally:
                await source.close()

    def _telling(self, step: PlanStep) -> Callable[[int], None]:
        """Say how many rows have gone by, a few times a second."""
        said = time.monotonic()

        def told(rows: int) -> None:
            nonlocal said
            if time.monotonic() - said >= TOLD_SECONDS:
                said = time.monotonic()
                self.emit(step.event(StepState.PROGRESS, rows=rows))

        return told

    async def _prove(self, step: PlanStep) -> int:
        table = next(one for one in self.blueprints.tables if one.base == step.table)
        async with self.connection.transaction(readonly=True):
            await steady(self.connection)
            columns, like = table.entry.as_table().columns, table.entry.digest
            found = await content(self.connection, RESTORING, table.name, columns, like=like)
        if (found.rows, found.digest) != (table.entry.rows, table.entry.digest):
            raise UndoneError(
                f"{table.name} did not arrive as the manifest has it: {plural(found.rows, 'row')} instead of "
                f"{table.entry.rows:,}, or others.",
                state=UNTOUCHED,
                next_step="Keep the report, verify the backup, and try again.",
            )
        return found.rows
