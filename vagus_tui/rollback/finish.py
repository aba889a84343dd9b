"""A rollback or clean-up that was stopped by force: the next one to come finishes what was committed, undoes the rest.

The one transaction of a rollback marks its run as done and writes down what is owed afterwards. So whatever was
killed, the journal says which it was: before the commit nothing happened but things of our own aside, after it only
checks of references and statistics are missing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database, is_lost
from vagus_tui.errors import (
    LOST_WORDS,
    ConnectionLostError,
    RefusedError,
    UndoneError,
    VagusError,
    account,
    server_words,
)
from vagus_tui.events import Event, NoteEvent, Phase, ResultEvent, StepState
from vagus_tui.jobs import Emit, streamed
from vagus_tui.journal import store
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.state import RESTORING
from vagus_tui.journal.store import Run
from vagus_tui.migration import maintenance
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.work import open_session, read_state_shortly, run_step, with_retries
from vagus_tui.rollback import ahead
from vagus_tui.rollback.unnoted import UNPREPARED
from vagus_tui.schema.helpers import dropped
from vagus_tui.settings import Settings

KINDS = ("rollback", "restore", "clean-up")


def owes_steps(run: Run | None) -> bool:
    """Whether a run was committed and then stopped before its last steps."""
    return run is not None and run.kind in KINDS and run.status == "done" and run.finished_at is None


def was_stopped(run: Run | None) -> bool:
    """Whether a run was stopped by force before it changed anything; meaningful while nobody holds the lock."""
    return run is not None and run.kind in KINDS and run.status == "running"


def owed_record(steps: Sequence[PlanStep]) -> dict[str, Any]:
    """The steps after the commit, for the run's catalog."""
    return {
        "owed": [
            {
                "id": step.id,
                "phase": step.phase.value,
                "title": step.title,
                "lock": step.lock,
                "statements": list(step.statements),
                "tables": list(step.tables),
            }
            for step in steps
        ]
    }


def owed_steps(run: Run) -> list[PlanStep]:
    """The steps that a run wrote down for after its commit."""
    return [
        PlanStep(
            item["id"],
            Phase(item["phase"]),
            item["title"],
            tuple(item["statements"]),
            lock=item["lock"],
            tables=tuple(item["tables"]),
        )
        for item in run.catalog.get("owed", [])
    ]


LOCK_TIMEOUT_MS, LOCK_ATTEMPTS = 500, 10


async def _settled(connection: Connection, step: PlanStep, run_id: UUID, emit: Emit) -> None:
    """One step; where it locks a table in use, shortly and tried again."""
    if not step.tables:
        await run_step(connection, step, run_id, emit)
        return
    await with_retries(
        lambda: run_step(connection, step, run_id, emit, lock_timeout_ms=LOCK_TIMEOUT_MS),
        connection,
        list(step.tables),
        attempts=LOCK_ATTEMPTS,
        control=None,
        emit=emit,
        doing=step.title.capitalize(),
        state="What was asked for is done; this last step is owed, and the next start does it.",
    )


_UNFIT = (asyncpg.ForeignKeyViolationError, asyncpg.CheckViolationError)
_NOT_THERE = (
    asyncpg.UndefinedObjectError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.DuplicateObjectError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.InsufficientPrivilegeError,
)
"""What somebody changed by hand, or a rollback could not bring back: that was said, and nothing waits for it."""


async def settle(
    connection: Connection,
    run_id: UUID,
    steps: Sequence[PlanStep],
    emit: Emit,
    *,
    figures: dict[str, Any] | None = None,
) -> list[str]:
    """Do the last steps, take the maintenance flag down and close the run; returns what could not be done.

    A reference whose rows do not fit stays unchecked: it refuses new rows that break it, and is named; so is what is
    not there to be checked or filled.
    """
    done = await store.steps_done(connection, run_id)
    left: list[str] = []
    for step in steps:
        if step.id in done:
            continue
        try:
            await _settled(connection, step, run_id, emit)
        except (*_UNFIT, *_NOT_THERE) as error:
            text = f"{step.title}: {server_words(error)}"
            left.append(text)
            emit(step.event(StepState.DONE, message="left unchecked"))
            rest = " New rows are checked; the old ones are yours to mend." if isinstance(error, _UNFIT) else ""
            emit(NoteEvent(level="warning", message=f"{text}.{rest}"))
    await maintenance.switch_flag(connection, enabled=False)
    values = {"figures": {**(figures or {}), "unchecked": left}} if left or figures else {}
    await store.update_run(connection, run_id, status="done", phase="settle", finished=True, **values)
    return left


async def clear_away(
    connection: Connection, run: Run | None, *, status: str, error: str | None, figures: dict[str, Any] | None = None
) -> None:
    """Undo what a rollback had made aside before its commit, and close its run. Safe to repeat."""
    await connection.execute(dropped(RESTORING))
    await connection.execute(UNPREPARED)
    await connection.execute(ahead.LASTING.dropped)
    await maintenance.switch_flag(connection, enabled=False)
    if run is not None:
        await store.update_run(connection, run.id, finished=True, status=status, error=error, figures=figures or {})


_CONFUSED = (asyncpg.InterfaceError, asyncpg.InternalClientError)

FAILURES = (asyncpg.PostgresError, *_CONFUSED, VagusError, OSError, TimeoutError)
"""What a rollback has to clean up after, a stop by the operator apart."""


@dataclass(frozen=True, slots=True)
class Words:
    """How a job speaks of its failures: what is so when it was undone, and what to do next.

    `committed` and `owed` are for a failure after the commit: what is so then, and what does the rest.
    """

    untouched: str
    refused: str
    slow: str
    committed: str = "It was committed: v1 is in place. Checks of references are owed."
    owed: str = "vagus-tui rollback --finish does what is owed."


@contextlib.asynccontextmanager
async def undone_on_failure(
    database: Database, connection: Connection, run_id: UUID, words: Words, control: Control
) -> AsyncIterator[None]:
    """Around a run's work up to and with its commit: whatever fails in it is cleared away after.

    Raises:
        VagusError: what failed, with what is so now and what to do next; a stop is passed on.
    """
    try:
        yield
    except (*FAILURES, asyncio.CancelledError) as error:
        stopped = isinstance(error, asyncio.CancelledError) or control.cancelled
        failure = await _after_failure(database, connection, run_id, error, words, stopped=stopped)
        if failure is error:
            raise
        raise failure from error


async def _after_failure(
    database: Database, connection: Connection, run_id: UUID, error: BaseException, words: Words, *, stopped: bool
) -> BaseException:
    """Clear away what a failed job had made, on a connection that is surely whole; returns what is to be raised.

    What was committed is left as it is: its last steps are owed then.
    """
    lost = connection.is_closed() or is_lost(error)
    # The driver's own confusion: the connection broke in the middle of something.
    lost = lost or isinstance(error, _CONFUSED)
    if lost:
        connection.terminate()
    # The server's details name the rows.
    text = f"The server said: {error}" if isinstance(error, asyncpg.PostgresError) else account(error)
    if isinstance(error, TimeoutError):
        text = str(error) or words.slow
    if lost:
        # Not what the driver says of itself: it goes into the journal and the report.
        text = LOST_WORDS
    committed, asked = False, False

    async def clear() -> None:
        nonlocal committed, asked
        async with open_session(database, "undo") as fresh:
            await fresh.execute("set lock_timeout = '5s'")
            run = next((run for run in reversed(await store.runs(fresh)) if run.id == run_id), None)
            committed, asked = run is not None and run.status == "done", True
            if not committed:
                await clear_away(fresh, run, status="cancelled" if stopped else "failed", error=text)

    cleared = True
    cleaning = asyncio.ensure_future(clear())
    try:
        await asyncio.shield(cleaning)
    except asyncio.CancelledError:
        await asyncio.wait([cleaning])
    except FAILURES:
        cleared = False
    left = "Nothing that users see was changed; what was made aside is cleared away by the next start."
    state = words.untouched if cleared else left
    next_step = "Connect and start again."
    if committed:
        state, next_step = words.committed, words.owed
    elif not asked:
        state = "Whether it was committed is not known: the server could not be asked. All of it was, or nothing."
        next_step = "Connect again; vagus-tui status says which."
    if lost:
        return ConnectionLostError(LOST_WORDS, state=state, next_step=next_step)
    if isinstance(error, VagusError):
        # What refused before anything was done says so itself.
        if not (isinstance(error, RefusedError) and error.state and cleared and not committed):
            error.state = state
        return error
    if isinstance(error, asyncio.CancelledError):
        return error
    return UndoneError(text, state=state, next_step=words.refused)


async def take_up(connection: Connection, emit: Emit, operator: str) -> str | None:
    """Finish or undo what a rollback or clean-up left behind; returns in a sentence which it was, None for neither.

    The caller holds the operator's lock, so nobody is at work on it; that `operator` did it goes on record.
    """
    run = await store.latest_run(connection, "migrate", *KINDS)
    if run is None:
        return None
    if owes_steps(run):
        await settle(connection, run.id, owed_steps(run), emit, figures=store.ended_by(operator))
        return (
            "The last steps of a finished rollback were done." if run.kind != "clean-up" else "Clean-up was finished."
        )
    if was_stopped(run):
        await clear_away(
            connection,
            run,
            status="interrupted",
            error="It was stopped by force before it changed anything.",
            figures=store.ended_by(operator),
        )
        what = "clean-up" if run.kind == "clean-up" else "rollback"
        return f"A {what} that was stopped before it changed anything was cleared away."
    return None


def finish(database: Database, settings: Settings) -> AsyncIterator[Event]:
    """Finish or undo an interrupted rollback, and say which it was."""

    async def job(emit: Emit) -> ResultEvent:
        async with open_session(database, "finish rollback") as connection:
            await take_lock(connection)
            said = await take_up(connection, emit, settings.operator)
            done = said or "Nothing was left to do."
            state = await read_state_shortly(connection, settings, emit=emit, state=done)
            return ResultEvent(
                ok=True,
                message=f"{done} {state.summary}",
                state=state.state.value,
                exit_status=0,
            )

    return streamed(job)
