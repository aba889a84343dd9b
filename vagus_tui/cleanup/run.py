"""The clean-up: v1's kept tables dropped in one transaction behind its gates; then what only a rollback needed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from vagus_tui.backup.listing import BackupInfo
from vagus_tui.checks.base import Context
from vagus_tui.checks.overrides import way_past
from vagus_tui.cleanup.gates import AGAIN, differing_now, gates, holding, refusal
from vagus_tui.cleanup.kept import Remains, read_remains
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database, execute_all
from vagus_tui.database.dependent_reader import COMPAT, KEPT
from vagus_tui.errors import RefusedError
from vagus_tui.events import CheckEvent, Event, NoteEvent, Phase, ResultEvent, Status, StepState
from vagus_tui.format import plural
from vagus_tui.jobs import Emit, streamed
from vagus_tui.journal import store
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.progress import published
from vagus_tui.journal.state import DatabaseState, State, read_state
from vagus_tui.migration import capture, kept_v1, noting_kept
from vagus_tui.migration.plan import SESSION_SETTINGS
from vagus_tui.migration.steps import Plan, PlanStep
from vagus_tui.migration.work import open_session, with_retries
from vagus_tui.rollback import finish, kept_rows
from vagus_tui.rollback.looks import looked
from vagus_tui.schema import v2
from vagus_tui.schema.helpers import dropped, dropped_if_unused
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.settings import Settings

T = TypeVar("T")

DROP = "drop-v1"
IRREVERSIBLE = "After this the quick rollback is no longer possible: only a backup leads back to v1."

_UNTOUCHED = "Nothing was removed: v1's tables are there, and a rollback is possible."
WORDS = finish.Words(
    untouched=_UNTOUCHED,
    refused="See what it names; nothing may hang on v1's tables any more.",
    slow="It took too long and was taken back.",
    committed="It was committed: v1's tables are gone. Tidying up after it is owed.",
    owed="vagus-tui cleanup --yes does what is owed.",
)


def drop_step(remains: Remains) -> PlanStep:
    """The one transaction that removes v1. No CASCADE: what still hangs on the tables stops it.

    Its first statement keeps writers off, so that the rows can be compared with the backup once more.
    """
    names = ", ".join(table.relation for table in remains.v1)
    return PlanStep(
        DROP,
        Phase.CLEAN_UP,
        "remove v1's kept tables",
        # v1's own materialized views hold nothing that cannot be worked out, and read only these tables.
        (f"lock table {names} in share row exclusive mode", dropped(KEPT), f"drop table {names}"),
        lock="ACCESS EXCLUSIVE on v1's kept tables and on what they refer to (auth.users), for an instant",
        undo="automatic until it is committed; then only a backup",
        tables=tuple(table.relation for table in remains.v1),
    )


def later_steps(remains: Remains, *, archives: bool) -> list[PlanStep]:
    """What nobody needs once v1 is gone: capture on v2, its notes, the old archives where that was chosen."""
    steps = [
        PlanStep(
            f"capture-off-{table}",
            Phase.CLEAN_UP,
            f"stop noting changes of {table}",
            tuple(capture.remove_triggers(qualified("public", table))),
            lock=f"ACCESS EXCLUSIVE on {table}, for an instant, tried again while somebody is in the way",
            undo="none needed",
            tables=(qualified("public", table),),
        )
        for table in (*v2.TABLES, v2.PREFERENCES)
    ]
    steps.append(
        PlanStep(
            "capture-notes",
            Phase.CLEAN_UP,
            "empty the notes of changes",
            (capture.V2_LOG, f"truncate {capture.V2_CHANGES}", kept_v1.forget(), kept_rows.forgotten()),
            undo="none needed",
        )
    )
    steps.append(
        PlanStep(
            "compat",
            Phase.CLEAN_UP,
            "remove the views under v1's names, if none is used",
            (dropped_if_unused(COMPAT),),
            undo="none",
        )
    )
    if archives:
        steps += [
            PlanStep(
                f"drop-{name}",
                Phase.CLEAN_UP,
                f"remove the archive {name}",
                (f"drop schema {quote(name)} cascade",),
                lock="none on tables in use",
                undo="only a full backup",
            )
            for name in remains.archives
        ]
    return steps


def plan_clean_up(remains: Remains, *, archives: bool = False) -> Plan:
    """The plan, to be read before it is run."""
    notes = [IRREVERSIBLE]
    if remains.archives and not archives:
        notes.append(
            f"{plural(len(remains.archives), 'archive')} of earlier rollbacks left, which can be removed as well"
        )
    if remains.survey is not None and remains.survey.functions_in_the_way:
        kept = ", ".join(rename.new for rename in remains.survey.functions_in_the_way)
        notes.append(f"v1's own functions stay, for you to drop: {kept}")
    steps = (drop_step(remains), *later_steps(remains, archives=archives))
    return Plan(steps, tuple(notes), SESSION_SETTINGS)


def refuse_unless_possible(state: DatabaseState, remains: Remains) -> None:
    """Refuse where there is nothing to clean up.

    Raises:
        RefusedError: v2 is not in place, or v1's tables are gone already.
    """
    if state.state is not State.MIGRATED or not remains.v1:
        raise RefusedError(
            f"There is nothing to clean up: {state.summary}", next_step="vagus-tui status says what can be done."
        )


class _CleanUp:
    """One clean-up. Create it, then `await run(emit)`."""

    def __init__(self, database: Database, settings: Settings, control: Control, *, archives: bool) -> None:
        self.database = database
        self.settings = settings
        self.control = control
        self.archives = archives

    async def run(self, emit: Emit) -> ResultEvent:
        started = time.perf_counter()
        async with open_session(self.database, "clean up v1") as connection:
            await take_lock(connection)
            said = await finish.take_up(connection, emit, self.settings.operator)
            state = await self._looked(connection, partial(read_state, connection), emit)
            if said and state.state is State.CLEANED:
                return ResultEvent(ok=True, message=f"{said} {state.summary}", state=state.state.value, exit_status=0)
            remains = await self._looked(connection, partial(read_remains, connection), emit)
            refuse_unless_possible(state, remains)
            # Measured again by the one who holds the lock: what was shown before may be hours old.
            backup = await self._gates(connection, state, remains, emit)
            kept = str(backup.path)
            run_id = await store.start_run(
                connection,
                "clean-up",
                operator=self.settings.operator,
                environment=self.settings.environment.value,
                options={"archives": self.archives, "backup": kept, "database": self.database.label},
            )
            figures: dict[str, Any] = {
                "removed": {table.key: table.rows for table in remains.v1},
                "bytes": remains.bytes,
                "archives": list(remains.archives) if self.archives else [],
                "way_back": kept,
            }
            step, later = drop_step(remains), later_steps(remains, archives=self.archives)
            async with finish.undone_on_failure(self.database, connection, run_id, WORDS, self.control):
                await self._drop(connection, run_id, step, later, figures, emit, backup, remains)
            await finish.settle(connection, run_id, later, emit, figures=figures)
            count = len(figures["archives"])
            too = f" and {plural(count, 'archive')} of earlier rollbacks" if count else ""
            return ResultEvent(
                ok=True,
                message=f"Cleaned up: v1's tables{too} are gone; {kept} is the way back.",
                state=State.CLEANED.value,
                exit_status=0,
                seconds=time.perf_counter() - started,
                figures=figures,
            )

    async def _looked(self, connection: Connection, look: Callable[[], Awaitable[T]], emit: Emit) -> T:
        return await looked(
            connection,
            self.settings,
            self.control,
            look,
            emit=emit,
            doing="Looking at what there is",
            state=_UNTOUCHED,
        )

    async def _gates(self, connection: Connection, state: DatabaseState, remains: Remains, emit: Emit) -> BackupInfo:
        """Measure the gates; returns the backup that is the way back from now on.

        Raises:
            RefusedError: one holds it up.
        """
        context = Context(self.database, connection, self.settings, state)
        outcomes: list[CheckEvent] = []
        async for event in gates(context, archives=self.archives):
            emit(event)
            if event.status not in (Status.PENDING, Status.RUNNING):
                outcomes.append(event)
        await store.record_checks(connection, outcomes, operator=self.settings.operator)
        if (held := refusal(outcomes)) is not None:
            raise RefusedError(held, state=_UNTOUCHED, next_step=way_past(outcomes))
        info, why = await holding(context, remains.v1)
        if info is None:
            raise RefusedError(why, state=_UNTOUCHED, next_step="Make a backup and restore it as a test.")
        return info

    async def _drop(
        self,
        connection: Connection,
        run_id: Any,
        step: PlanStep,
        later: list[PlanStep],
        figures: dict[str, Any],
        emit: Emit,
        backup: BackupInfo,
        remains: Remains,
    ) -> None:
        assert backup.manifest is not None
        manifest = backup.manifest

        async def attempt() -> None:
            started = time.perf_counter()
            emit(step.event(StepState.STARTED))
            async with connection.transaction():
                await connection.execute(f"set local lock_timeout = {self.settings.lock_timeout_ms}")
                held, *drops = step.statements
                await connection.execute(held)
                # The checks since the backup was looked at take a while: what was written meanwhile is nowhere else.
                if wrong := await differing_now(connection, manifest, remains.v1):
                    raise RefusedError(
                        f"{backup.path.name} no longer holds v1: {'; '.join(wrong[:4])}.",
                        state=_UNTOUCHED,
                        next_step=f"{await noting_kept.why_changed(connection)} {AGAIN}",
                    )
                await execute_all(connection, drops)
                done = step.event(StepState.DONE, since=started)
                await store.record_step(connection, run_id, done)
                await store.update_run(
                    connection, run_id, status="done", figures=figures, catalog=finish.owed_record(later)
                )
            emit(done)

        await with_retries(
            attempt,
            connection,
            [*step.tables, "auth.users"],
            attempts=self.settings.lock_attempts,
            control=self.control,
            emit=emit,
            doing="Removing v1's tables",
            state=_UNTOUCHED,
        )
        emit(NoteEvent(message=IRREVERSIBLE))


def clean_up(
    database: Database, settings: Settings, control: Control, *, archives: bool = False
) -> AsyncIterator[Event]:
    """Remove v1's kept tables behind the gates, and the archives of earlier rollbacks where that is chosen."""
    return streamed(published(database, _CleanUp(database, settings, control, archives=archives).run))
