"""The quick rollback (the guide's option B, made safe): one short transaction, nothing dropped, later writes kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg

from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.errors import RefusedError, UndoneError, VagusError
from vagus_tui.events import Event, NoteEvent, Phase, ResultEvent, StepEvent, StepState
from vagus_tui.jobs import Emit, streamed
from vagus_tui.journal import store
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.progress import published
from vagus_tui.journal.state import DatabaseState, State, read_state
from vagus_tui.migration import maintenance
from vagus_tui.migration.plan import SESSION_SETTINGS
from vagus_tui.migration.steps import Plan, PlanStep, stop_unless_zero
from vagus_tui.migration.survey import Survey
from vagus_tui.migration.undo import read_record
from vagus_tui.migration.work import open_session, run_step, with_retries
from vagus_tui.rollback.archive import archive_name
from vagus_tui.rollback.carry_back import CarryBack
from vagus_tui.rollback.kept import Kept, read_kept
from vagus_tui.rollback.swap_back import (
    archive_statements,
    lock_statement,
    restore_statements,
    settle_back_statements,
    v2_tables,
)
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.mapping import MappingOptions
from vagus_tui.settings import Settings

LIMIT_SECONDS = 60.0
"""How long the transaction may hold its locks before it is taken back."""

MESSAGE = "Workout features are being restored. This takes a moment; your data is safe."


@dataclass(frozen=True, slots=True)
class Carried:
    """What is carried back into one v1 table, or would be."""

    table: str
    new: int
    changed: int
    deleted: int
    not_expressible: int
    kept_values: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rollback would do now: rows carried back per table, and what stays in the archive alone."""

    carried: tuple[Carried, ...]
    only_in_v2: dict[str, int]

    @property
    def total(self) -> int:
        """Rows written since the cut-over that would be carried back."""
        return sum(item.new + item.changed for item in self.carried)

    @property
    def deletions(self) -> int:
        """Rows deleted since the cut-over, which come back unless chosen otherwise."""
        return sum(item.deleted for item in self.carried)


async def migrated_run(connection: Connection, state: DatabaseState) -> tuple[store.Run, Survey]:
    """The run that brought v2, and what it wrote down for the way back.

    Raises:
        RefusedError: v2 is not in place, or nothing was written down.
    """
    if state.state is not State.MIGRATED:
        raise RefusedError(
            f"There is nothing to roll back: {state.summary}", next_step="vagus-tui status says what can be done."
        )
    for run in reversed(await store.runs(connection)):
        if run.kind == "migrate" and "survey" in run.catalog:
            return run, read_record(run.catalog)
    raise RefusedError(
        "No record says how v1 looked before the migration, so its names cannot be put back by us.",
        next_step="If another tool migrated this database, roll back with that tool, or from a backup.",
    )


def _steps(
    survey: Survey, run: store.Run, archive: str, kept: Kept, *, deletions: bool
) -> tuple[list[PlanStep], CarryBack]:
    carry = CarryBack(survey, MappingOptions(repeat_exercises=bool(run.options.get("repeat_exercises"))), kept)
    held = "ACCESS EXCLUSIVE on v2's and v1's tables until the transaction ends; writes wait"
    undo = "automatic: the transaction fails as a whole"

    def step(name: str, title: str, statements: list[str], printed: tuple[str, ...] = ()) -> PlanStep:
        return PlanStep(name, Phase.ROLLBACK, title, tuple(statements), lock=held, undo=undo, printed=printed)

    proofs = {base: carry.proof(base) for base in v1.TABLES}
    stops = tuple(stop_unless_zero(query, f"rows of {base} did not arrive in v1") for base, query in proofs.items())

    steps = [
        step("lock", "lock v2 and v1", [lock_statement(survey)]),
        step("collect", "find what was written since the cut-over", carry.collect()),
        step("carry-back", "carry it back into v1", carry.apply(deletions=deletions)),
        step("prove", "prove v1 against v2", list(proofs.values()), stops),
        step("archive", f"move v2 into {archive}", archive_statements(survey, archive)),
        step("restore", "v1's names, references, views, publications", restore_statements(survey)),
    ]
    return steps, carry


async def plan_rollback(connection: Connection, settings: Settings, state: DatabaseState) -> Plan:
    """The plan of the quick rollback.

    Raises:
        RefusedError: there is nothing to roll back.
    """
    run, survey = await migrated_run(connection, state)
    steps, _ = _steps(
        survey, run, archive_name(datetime.now(UTC)), await read_kept(connection, survey), deletions=False
    )
    settle = settle_back_statements(survey)
    if settle:
        steps.append(
            PlanStep(
                "settle",
                Phase.SETTLE,
                "check references that were made again",
                tuple(settle),
                lock="SHARE UPDATE EXCLUSIVE: reads and writes go on",
                undo="none needed",
            )
        )
    return Plan(
        tuple(steps),
        ("Rows deleted in v2 after the cut-over are kept in v1 unless you choose otherwise.",),
        SESSION_SETTINGS,
    )


async def preview(connection: Connection, state: DatabaseState) -> Preview:
    """What a rollback would carry back now. Reads only: its transaction is rolled back.

    Raises:
        RefusedError: there is nothing to roll back.
    """
    run, survey = await migrated_run(connection, state)
    _, carry = _steps(
        survey, run, archive_name(datetime.now(UTC)), await read_kept(connection, survey), deletions=False
    )
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        for statement in carry.collect():
            await connection.execute(statement)
        return await _counts(connection, survey, carry)
    finally:
        await transaction.rollback()


async def _counts(connection: Connection, survey: Survey, carry: CarryBack) -> Preview:
    carried = []
    for base in v1.TABLES:
        row = await connection.fetchrow(carry.counts(base))
        assert row is not None
        carried.append(Carried(base, **dict(row)))
    only: dict[str, int] = {}
    for table in (v2.WEEKS, v2.DAYS, v2.GROUPS):
        count = await connection.fetchval(
            "select count(*) from pg_temp.vagus_changed c join "
            f"{qualified(survey.shape.schema, table)} t on t.id::text = c.id where c.table_name = $1",
            table,
        )
        if count:
            only[table] = count
    return Preview(tuple(carried), only)


class _Rollback:
    """One quick rollback. Create it, then `await run(emit)`."""

    def __init__(self, database: Database, settings: Settings, control: Control, *, deletions: bool) -> None:
        self.database = database
        self.settings = settings
        self.control = control
        self.deletions = deletions

    async def run(self, emit: Emit) -> ResultEvent:
        started = time.perf_counter()
        async with open_session(self.database, "roll back") as connection:
            await take_lock(connection)
            state = await read_state(connection)
            migrated, survey = await migrated_run(connection, state)
            run_id = await store.start_run(
                connection,
                "rollback",
                operator=self.settings.operator,
                environment=self.settings.environment.value,
                options={"deletions": self.deletions, "of": migrated.id},
            )
            archive = archive_name(datetime.now(UTC))
            steps, carry = _steps(
                survey, migrated, archive, await read_kept(connection, survey), deletions=self.deletions
            )
            figures: dict[str, Any] = {"archive": archive}
            try:
                await maintenance.switch_flag(connection, enabled=True, message=MESSAGE)

                async def attempt() -> None:
                    figures.update(await self._transaction(connection, run_id, survey, steps, carry, emit))

                await with_retries(
                    attempt,
                    connection,
                    [qualified(survey.shape.schema, table) for table in v2_tables(survey)],
                    attempts=self.settings.lock_attempts,
                    control=self.control,
                    emit=emit,
                    doing="The rollback",
                    state="Nothing was changed: v2 is in place.",
                )
            except (asyncpg.PostgresError, VagusError, TimeoutError, asyncio.CancelledError) as error:
                await self._record_failure(connection, run_id, error)
                if isinstance(error, asyncpg.PostgresError):
                    raise UndoneError(
                        f"The server said: {error}",
                        state="The rollback was undone as a whole: v2 is in place and in use.",
                        next_step="See the rows it names; they may hold something that v1's constraints refuse.",
                    ) from error
                if isinstance(error, TimeoutError):
                    raise UndoneError(
                        f"The rollback took longer than {LIMIT_SECONDS:.0f} s and was taken back.",
                        state="v2 is in place and in use.",
                        next_step="Try again when fewer changes wait, or roll back from a backup.",
                    ) from error
                raise
            await self._settle(connection, run_id, survey, emit)
            await maintenance.switch_flag(connection, enabled=False)
            await store.update_run(
                connection, run_id, status="done", phase="settle", finished_at=datetime.now(UTC), figures=figures
            )
            return ResultEvent(
                ok=True,
                message=f"Rolled back: v1 is in place as before; v2 is kept in {archive}.",
                state=State.ROLLED_BACK.value,
                exit_status=0,
                seconds=time.perf_counter() - started,
                figures=figures,
            )

    async def _transaction(
        self,
        connection: Connection,
        run_id: UUID,
        survey: Survey,
        steps: list[PlanStep],
        carry: CarryBack,
        emit: Emit,
    ) -> dict[str, Any]:
        """The one transaction: carry back, prove, swap. Returns the figures for the report."""
        events: list[StepEvent] = []
        figures: dict[str, Any] = {}
        locked = time.perf_counter()
        async with connection.transaction(), asyncio.timeout(LIMIT_SECONDS):
            await connection.execute(f"set local lock_timeout = {self.settings.lock_timeout_ms}")
            for step in steps:
                started = time.perf_counter()
                emit(StepEvent(id=step.id, phase=step.phase, title=step.title, state=StepState.STARTED))
                if step.id == "prove":
                    await self._prove(connection, carry)
                else:
                    if step.id == "carry-back":
                        found = await _counts(connection, survey, carry)
                        figures = _figures(found, deletions=self.deletions)
                    for statement in step.statements:
                        await connection.execute(statement)
                if step.id == "lock":
                    locked = time.perf_counter()
                done = StepEvent(
                    id=step.id,
                    phase=step.phase,
                    title=step.title,
                    state=StepState.DONE,
                    seconds=time.perf_counter() - started,
                )
                events.append(done)
                emit(done)
            for event in events:
                await store.record_step(connection, run_id, event)
            # Committed together with the swap, so that whoever looks next sees what happened.
            await store.update_run(connection, run_id, status="done", figures=figures)
            await connection.execute("notify pgrst, 'reload schema'")
        figures["writes_waited_seconds"] = round(time.perf_counter() - locked, 3)
        if figures["not_expressible"]:
            emit(
                NoteEvent(
                    level="warning",
                    message=f"{figures['not_expressible']:,} new rows have no place in v1; they are in the archive.",
                )
            )
        if figures["kept_values"]:
            emit(
                NoteEvent(
                    level="warning",
                    message=f"{figures['kept_values']:,} changed values do not fit v1's columns or checks: "
                    "v1 keeps its own, the new ones are in the archive.",
                )
            )
        return figures

    async def _prove(self, connection: Connection, carry: CarryBack) -> None:
        for base in v1.TABLES:
            wrong = await connection.fetchval(carry.proof(base))
            if wrong:
                raise UndoneError(
                    f"{wrong:,} rows of {base} did not arrive in v1 as v2 has them.",
                    state="The rollback was undone as a whole: v2 is in place and in use.",
                    next_step="Keep the report; roll back from a backup if you must.",
                )

    async def _record_failure(self, connection: Connection, run_id: UUID, error: BaseException) -> None:
        if connection.is_closed():
            return
        await maintenance.switch_flag(connection, enabled=False)
        text = error.happened if isinstance(error, VagusError) else error.__class__.__name__
        status = "cancelled" if isinstance(error, asyncio.CancelledError) or self.control.cancelled else "failed"
        await store.update_run(connection, run_id, status=status, error=text, finished_at=datetime.now(UTC))

    async def _settle(self, connection: Connection, run_id: UUID, survey: Survey, emit: Emit) -> None:
        for number, statement in enumerate(settle_back_statements(survey), start=1):
            step = PlanStep(f"settle-{number}", Phase.SETTLE, "check references that were made again", (statement,))
            await run_step(connection, step, run_id, emit)


def _figures(found: Preview, *, deletions: bool) -> dict[str, Any]:
    return {
        "carried_back": {item.table: {"new": item.new, "changed": item.changed} for item in found.carried},
        "deleted_in_v2": {item.table: item.deleted for item in found.carried if item.deleted},
        "deletions": "applied" if deletions else "kept in v1",
        "not_expressible": sum(item.not_expressible for item in found.carried),
        "kept_values": sum(item.kept_values for item in found.carried),
        "only_in_archive": found.only_in_v2,
    }


def roll_back(
    database: Database, settings: Settings, control: Control, *, apply_deletions: bool = False
) -> AsyncIterator[Event]:
    """Roll back quickly: v1 in place as before, with what was written since; v2 archived.

    Args:
        apply_deletions: also delete from v1 what was deleted in v2 after the cut-over (default: keep it).
    """
    return streamed(published(database, _Rollback(database, settings, control, deletions=apply_deletions).run))
