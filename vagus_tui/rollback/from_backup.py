"""The rollback from a backup (the guide's option A, made safe).

Every byte of the backup is verified; it is restored into a local PostgreSQL and compared with its manifest; then v1
is made again aside in the real database, proved against the manifest, and put in place in one short transaction. What
stood there is set aside, not dropped. Whatever fails on the way leaves everything as it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from vagus_tui.backup.copy import RestoredCopy
from vagus_tui.backup.gauge import BackupGauge, telling
from vagus_tui.backup.identity import read_fingerprint
from vagus_tui.backup.inventory import differences, read_inventory
from vagus_tui.backup.manifest import read_manifest
from vagus_tui.backup.restore import server_step, without_positions
from vagus_tui.backup.verify import some, some_sentences
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database, execute_all
from vagus_tui.database.encoding import refuse_unless_utf8
from vagus_tui.database.search_path import CATALOG_PATH, OWN_PATH
from vagus_tui.errors import RefusedError, UndoneError, account
from vagus_tui.events import Event, NoteEvent, Phase, ResultEvent, StepEvent, StepState
from vagus_tui.format import plural
from vagus_tui.jobs import Emit, streamed
from vagus_tui.journal import store
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.progress import published
from vagus_tui.journal.state import RESTORING, State, read_state
from vagus_tui.migration import maintenance
from vagus_tui.migration.abandon import take_back
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.work import open_session, with_retries
from vagus_tui.rollback import finish
from vagus_tui.rollback.archive import archive_name, bound_note, bound_to
from vagus_tui.rollback.aside import UNTOUCHED, Aside
from vagus_tui.rollback.backup_plan import chosen_part, compose
from vagus_tui.rollback.backup_proof import BackupProof
from vagus_tui.rollback.blueprint import read_blueprints
from vagus_tui.rollback.in_place import FromCopy
from vagus_tui.rollback.looks import looked
from vagus_tui.rollback.replace import Replacement
from vagus_tui.rollback.weights import of_rollback
from vagus_tui.settings import Settings

LIMIT_SECONDS = 30.0
"""How long the swap may hold its locks before it is taken back."""

MESSAGE = "Workout features are being restored from a backup. Your data is safe."

WORDS = finish.Words(
    untouched=UNTOUCHED,
    refused="Mend what it names, then start again, or use another backup.",
    slow=f"Putting v1 in place took longer than {LIMIT_SECONDS:.0f} s and was taken back.",
)

NOT_COMPARED = "One of the tables in use cannot be compared with the backup; the archive gets it as it is."


T = TypeVar("T")


class _FromBackup:
    """One rollback from a backup. Create it, then `await run(emit)`."""

    def __init__(
        self, database: Database, settings: Settings, control: Control, path: Path, *, other_database: bool
    ) -> None:
        self.database = database
        self.settings = settings
        self.control = control
        self.path = path
        self.other_database = other_database
        self._emit: Emit = lambda _: None
        self.run_id = UUID(int=0)
        self.figures: dict[str, Any] = {}

    async def run(self, emit: Emit) -> ResultEvent:
        """Do it.

        Raises:
            DamagedBackupError, RefusedError: nothing was changed. UndoneError: all was undone.
        """
        gauge = BackupGauge()
        async with telling(gauge, emit) as told:
            self._emit = told
            return await self._run(gauge)

    async def _run(self, gauge: BackupGauge) -> ResultEvent:
        started = time.perf_counter()
        self.manifest = await asyncio.to_thread(read_manifest, self.path)
        self.blueprints = read_blueprints(self.manifest, RESTORING)
        self.part = chosen_part(self.manifest, self.blueprints)
        async with open_session(self.database, "roll back from backup") as connection:
            await take_lock(connection)
            if said := await finish.take_up(connection, self._emit, self.settings.operator):
                self._emit(NoteEvent(message=said))
            await self._refuse(connection)
            # As far as it is known before the backup was restored.
            likely = await self._composed(connection, FromCopy(), archive_name(datetime.now(UTC)))
            gauge.plan(of_rollback(self.part, likely))
            if (begun := gauge.event(0.0)) is not None:
                self._emit(begun)
            self.run_id = await store.start_run(
                connection,
                "restore",
                operator=self.settings.operator,
                environment=self.settings.environment.value,
                options={
                    "path": str(self.path),
                    "backup": self.manifest.id,
                    "made": self.manifest.started_at,
                    "database": self.database.label,
                },
            )
            async with finish.undone_on_failure(self.database, connection, self.run_id, WORDS, self.control):
                steps = await self._work(connection)
            if bound := await bound_to(connection, self.figures["archive"]):
                self.figures["bound_to_archive"] = bound
                self._emit(bound_note(bound))
            left = await finish.settle(connection, self.run_id, steps, self._emit, figures=self.figures)
            rows = sum(table.entry.rows for table in self.blueprints.tables)
            only_there = sum(counts["only_now"] for counts in self.figures["apart"].values())
            more = f", with {plural(only_there, 'row')} that the backup has not" if only_there else ""
            return ResultEvent(
                ok=True,
                message=f"Rolled back: v1 is in place as the backup has it, {plural(rows, 'row')}; what stood there is "
                f"in {self.figures['archive']}{more}."
                + (f" {plural(len(left), 'reference is', 'references are')} left unchecked." if left else ""),
                state=State.ROLLED_BACK.value,
                exit_status=0,
                seconds=time.perf_counter() - started,
                figures={**self.figures, "unchecked": left},
            )

    async def _refuse(self, connection: Connection) -> None:
        """What can be known before anything is done."""
        await refuse_unless_utf8(connection)
        fingerprint = await read_fingerprint(connection, self.database.label)
        if not self.manifest.fingerprint.same_database(fingerprint) and not self.other_database:
            raise RefusedError(
                f"This backup is of another database: {self.manifest.fingerprint.label or 'unknown'}.",
                next_step="Choose a backup of this one; --other-database takes it nevertheless.",
            )
        known = {row[0] for row in await connection.fetch("select rolname::text from pg_roles")}
        if missing := sorted(self.blueprints.roles - known):
            raise RefusedError(
                f"The backup gives rights to roles that are not here: {some(missing)}.",
                next_step="Create them (create role … nologin), then start again.",
            )

    async def _work(self, connection: Connection) -> list[PlanStep]:
        """Everything up to the commit; returns the steps that are owed after it."""
        proof = BackupProof(
            self.path, self.manifest, self.part, self.blueprints.shape, self.settings, self.control, self._emit
        )
        await proof.read_back()
        started = time.perf_counter()
        self._emit(server_step(StepState.STARTED))
        copy = await RestoredCopy.start(self.path, self.manifest)
        try:
            self._emit(server_step(StepState.DONE, time.perf_counter() - started))
            known = await proof.restored(copy)
            await self._undo_open_run(connection)
            archive = archive_name(datetime.now(UTC))
            made = await self._composed(connection, known, archive)
            self.figures["archive"] = archive
            await maintenance.switch_flag(connection, enabled=True, message=MESSAGE)
            aside = Aside(
                connection,
                self.settings,
                self.control,
                self._emit,
                self.run_id,
                self.path,
                self.manifest,
                self.blueprints,
                self.part,
            )
            await aside.make(made, copy)
            if aside.unchecked:
                self.figures["unchecked_keys"] = aside.unchecked
        finally:
            await copy.stop()
        await self._compare_with_now(connection, made)
        await self._swapped(connection, made)
        return made.settle_steps()

    async def _composed(self, connection: Connection, copy: FromCopy, archive: str) -> Replacement:
        return await self._looked(connection, partial(compose, connection, self.blueprints, copy, archive))

    async def _looked(self, connection: Connection, look: Callable[[], Awaitable[T]]) -> T:
        return await looked(
            connection,
            self.settings,
            self.control,
            look,
            emit=self._emit,
            doing="Looking at what is in place",
            state=UNTOUCHED,
        )

    async def _undo_open_run(self, connection: Connection) -> None:
        """A migration that is open, or was interrupted, is taken back: v1 is about to be replaced under it."""
        state = await self._looked(connection, partial(read_state, connection))
        if state.state in (State.BUILDING, State.READY) and state.shape is not None:
            await take_back(connection, state.shape, self.settings, self._emit)
            if state.run is not None and state.run.kind == "migrate":
                await store.update_run(connection, state.run.id, status="abandoned", finished=True, phase="clean-up")

    async def _compare_with_now(self, connection: Connection, made: Replacement) -> None:
        step, started = made.compare_step(), time.perf_counter()
        self._emit(step.event(StepState.STARTED))
        apart: dict[str, dict[str, int]] = {}
        for statement in step.statements:
            try:
                base, *counts = (await connection.fetch(statement))[0]
            except asyncpg.PostgresError as error:
                # Damaged beyond counting: without an id column there is nothing to tell rows apart by.
                self._emit(NoteEvent(level="warning", message=f"{NOT_COMPARED} {account(error)}"))
            else:
                apart[base] = dict(zip(("only_now", "only_in_backup"), counts, strict=True))
        self._emit(step.event(StepState.DONE, since=started))
        self.figures["rows"] = {table.base: table.entry.rows for table in self.blueprints.tables}
        self.figures["apart"] = apart
        left = sum(counts["only_now"] for counts in apart.values())
        if left:
            self._emit(
                NoteEvent(
                    level="warning",
                    message=f"{plural(left, 'row is', 'rows are')} not in the backup: the archive has them.",
                )
            )

    # ── the swap ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _swapped(self, connection: Connection, made: Replacement) -> None:
        granted: dict[str, list[str]] = {}
        for row in await connection.fetch(_GRANTED, RESTORING):
            granted.setdefault(row["name"], []).append(row["role"])
        steps = made.swap_steps(granted)
        await store.update_run(connection, self.run_id, phase=Phase.ROLLBACK.value)

        async def attempt() -> None:
            await self._transaction(connection, made, steps)

        await with_retries(
            attempt,
            connection,
            made.locked(),
            attempts=self.settings.lock_attempts,
            control=self.control,
            emit=self._emit,
            doing="Putting v1 in place",
            state=UNTOUCHED,
        )

    async def _transaction(self, connection: Connection, made: Replacement, steps: list[PlanStep]) -> None:
        events: list[StepEvent] = []
        locked = time.perf_counter()
        async with connection.transaction(), asyncio.timeout(LIMIT_SECONDS):
            await connection.execute(f"set local lock_timeout = {self.settings.lock_timeout_ms}")
            for step in steps:
                started = time.perf_counter()
                self._emit(step.event(StepState.STARTED))
                await execute_all(connection, step.statements)
                if step.id == "place":
                    await self._prove_inventory(connection)
                done = step.event(StepState.DONE, since=started)
                events.append(done)
                self._emit(done)
                if step.id == "lock":
                    locked = time.perf_counter()
            await connection.execute(OWN_PATH)
            await store.record_step(connection, self.run_id, *events)
            # Committed together with the swap, so that whoever looks next sees what happened and what is owed.
            await store.update_run(
                connection,
                self.run_id,
                status="done",
                phase=Phase.SETTLE.value,
                figures=self.figures,
                catalog=finish.owed_record(made.settle_steps()),
            )
            await connection.execute("notify pgrst, 'reload schema'")
        self.figures["writes_waited_seconds"] = round(time.perf_counter() - locked, 3)

    async def _prove_inventory(self, connection: Connection) -> None:
        """What hangs on the placed tables must be what the manifest says, to the word."""
        await connection.execute(CATALOG_PATH)
        tables = self.blueprints.tables
        found = await read_inventory(connection, [table.entry.as_table() for table in tables])
        same = connection.get_server_version().major == self.manifest.server_major
        unchecked = set(self.figures.get("unchecked_keys", []))
        problems = [
            f"{table.name}: {difference}"
            for table in tables
            for difference in differences(
                without_positions(table.expected()),
                without_positions(
                    {kind: names for kind, names in found[table.entry.key].items() if kind != "sequences"}
                ),
                same_major=same,
            )
            if not difference.worded and not (difference.kind == "keys" and difference.name in unchecked)
        ]
        if problems:
            raise UndoneError(
                f"The restored tables are not as the manifest has them: {some_sentences(problems)}",
                state=UNTOUCHED,
                next_step="Keep the report; use another backup, or restore by hand.",
            )


_GRANTED = """
select distinct c.relname::text as name, coalesce(r.rolname::text, 'public') as role
from pg_class c join pg_namespace n on n.oid = c.relnamespace
cross join lateral aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee
where n.nspname = $1 and c.relkind in ('r', 'p')
"""


def roll_back_from(
    database: Database, settings: Settings, control: Control, path: Path, *, other_database: bool = False
) -> AsyncIterator[Event]:
    """Roll back from a backup: v1 as the backup has it; what stands in its place now is set aside.

    Args:
        path: the backup's folder.
        other_database: take a backup of another database too, such as of a project that was lost.
    """
    job = _FromBackup(database, settings, control, path, other_database=other_database)
    return streamed(published(database, job.run))
