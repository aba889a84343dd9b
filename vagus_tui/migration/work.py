"""How steps are run: in one transaction each, with short locks that are tried again, recorded where they happened."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal, TypeVar
from uuid import UUID

import asyncpg

from vagus_tui.control import Control
from vagus_tui.database import search_path
from vagus_tui.database.connection import Connection, Database, execute_all
from vagus_tui.errors import CancelledByOperatorError, RefusedError, VagusError
from vagus_tui.events import NoteEvent, StepState
from vagus_tui.format import first_upper
from vagus_tui.jobs import Emit
from vagus_tui.journal import store
from vagus_tui.journal.state import DatabaseState, read_state
from vagus_tui.migration.blockers import blockers, describe
from vagus_tui.migration.capture import OWN
from vagus_tui.migration.steps import PlanStep
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import qualified
from vagus_tui.settings import Settings

T = TypeVar("T")

BUSY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""Somebody is in the way, or changed what we were about to (a user who leaves); trying again may help."""

UNFIT = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)
"""v2 refuses what was written to v1; trying again helps once somebody has mended that."""


_MEMORY = """
select set_config('work_mem', greatest(16, least(128, mb / 16))::text || 'MB', false),
  set_config('maintenance_work_mem', greatest(64, least(512, mb / 4))::text || 'MB', false)
from (select pg_size_bytes(current_setting('effective_cache_size')) / 1048576 / $1::integer as mb) share
"""
"""A session's share of what the server counts on: a sixteenth for a join or sort, a quarter for checking references."""


@asynccontextmanager
async def open_session(database: Database, purpose: str, **also: str) -> AsyncIterator[Connection]:
    """A connection fit for our SQL: no timeouts but its own, UTC, and memory for big joins and sorts.

    The memory is a share of what the server says it can count on (`effective_cache_size`, which Supabase sets by the
    size of the machine): a small server must not be driven out of memory.

    Sessions work side by side already: helpers of an index build would only take turns with them. A client that has
    vanished without a word is found out by the server within half a minute, not within hours: until then its snapshot
    and the operator's lock stay.

    Args:
        also: further settings for the session.
    """
    async with database.connection(
        purpose,
        statement_timeout="0",
        lock_timeout="0",
        idle_in_transaction_session_timeout="0",
        timezone="UTC",
        search_path=search_path.OWN,
        tcp_keepalives_idle="15",
        tcp_keepalives_interval="5",
        tcp_keepalives_count="3",
        max_parallel_maintenance_workers="0",
        jit="off",
        **{OWN: "on"},
        **also,
    ) as connection:
        await connection.fetchrow(_MEMORY, database.settings.parallel_connections)
        yield connection


async def run_step(
    connection: Connection,
    step: PlanStep,
    run_id: UUID,
    emit: Emit,
    *,
    isolation: Literal["read_committed", "repeatable_read"] = "read_committed",
    snapshot: str | None = None,
    lock_timeout_ms: int | None = None,
    assured: Callable[[Connection], Awaitable[None]] | None = None,
) -> None:
    """Run one step in one transaction; that it is done is recorded in that same transaction.

    Two answers are waited for, whatever the step does: over a long line most of a small build is waiting for answers.

    Args:
        assured: raises, before the transaction ends, if what was read in it does not hold.
    """
    started = time.perf_counter()
    emit(step.event(StepState.STARTED))
    script = [f"begin isolation level {isolation.replace('_', ' ')}"]
    if snapshot is not None:
        script.append(f"set transaction snapshot '{snapshot}'")
    if lock_timeout_ms is not None:
        script.append(f"set local lock_timeout = {int(lock_timeout_ms)}")
    try:
        rows, tag = step.rows, await execute_all(connection, (*script, *step.statements))
        if step.table and tag.startswith("INSERT"):
            rows = int(tag.rsplit(" ", 1)[1])
        if assured is not None:
            await assured(connection)
        done = step.event(StepState.DONE, since=started, rows=rows, total=rows)
        await execute_all(connection, (store.recording(run_id, done), "commit"))
    except BaseException:
        # Whether it has begun is known to the server alone where its answer was not waited for.
        if not connection.is_closed():
            await connection.execute("rollback")
        raise
    emit(done)


SLOW_ATTEMPTS = 3
"""An attempt that took too long made everybody wait for nothing. Where that happens again and again, nobody is in the
way who will go: more attempts would only keep users waiting."""


class ChangedError(Exception):
    """What was looked at was changed by somebody before it was locked; another attempt looks again. Says what."""


async def with_retries(
    attempt: Callable[[], Awaitable[T]],
    watch: Connection,
    relations: list[str],
    *,
    attempts: int,
    control: Control | None,
    emit: Emit,
    doing: str,
    state: str,
    next_step: str = "Wait for them, or cancel them, then start again.",
    again_after: tuple[type[Exception], ...] = BUSY,
    failing: type[VagusError] = RefusedError,
) -> T:
    """Try something that needs short locks, again with jittered back-off while somebody is in the way; what it gives.

    Args:
        watch: a connection to ask who is in the way.
        relations: quoted names of the tables that must be locked.
        state, next_step: what state things are in if it never succeeds, and what to do then, for the error.
        again_after: what is worth another attempt; other than `BUSY`, an attempt that took too long. What a
            `TimeoutError` says is told.

    Raises:
        RefusedError: somebody stayed in the way; names them. Or, if given, an error of the type `failing`.
    """
    took_too_long = 0
    for number in range(1, attempts + 1):
        if control is not None:
            await control.checkpoint()
        try:
            return await attempt()
        except again_after as error:
            found = await blockers(watch, relations)
            busy = isinstance(error, BUSY)
            took_too_long += not busy and not isinstance(error, ChangedError)
            slow = str(error) if isinstance(error, (ChangedError, TimeoutError)) else ""
            why = f"in the way: {describe(found)}" if busy else slow or "it took too long and was taken back"
            emit(
                NoteEvent(
                    level="warning",
                    message=f"{doing}: attempt {number} of {attempts}, {why}",
                    detail={"blockers": [blocker.to_dict() for blocker in found], "attempt": number},
                )
            )
            if number == attempts or took_too_long == SLOW_ATTEMPTS:
                did_not = "did not get its locks" if busy else "did not get through"
                raise failing(
                    f"{doing} {did_not} in {number} attempts. {first_upper(why)}.",
                    state=state,
                    next_step=next_step,
                ) from None
            # Jitter, so that two who wait for each other do not keep in step.
            await asyncio.sleep(min(0.1 * 2**number, 3.0) * random.uniform(0.5, 1.0))
    raise AssertionError("there is always a last attempt")


@asynccontextmanager
async def impatient(connection: Connection, settings: Settings) -> AsyncIterator[None]:
    """As long as the block lasts, wait for no lock longer than for one of the cut-over's."""
    await connection.execute(f"set lock_timeout = {settings.lock_timeout_ms}")
    try:
        yield
    finally:
        # In a transaction that has failed, its end takes the setting back.
        if not connection.is_closed() and not connection.is_in_transaction():
            await connection.execute("set lock_timeout = 0")


async def with_short_looks(
    connection: Connection,
    settings: Settings,
    relations: list[str],
    look: Callable[[], Awaitable[T]],
    *,
    emit: Emit,
    doing: str,
    state: str,
    control: Control | None = None,
) -> T:
    """Look at the catalog, which waits for whoever has a table for themselves: shortly, and tried again.

    Args: as with `with_retries`; `look` is a look that changes nothing.

    Raises:
        RefusedError: somebody stayed in the way; names them.
        CancelledByOperatorError: a stop was asked for.
    """

    async def attempt() -> T:
        async with impatient(connection, settings):
            return await look()

    try:
        return await with_retries(
            attempt,
            connection,
            relations,
            attempts=settings.lock_attempts,
            control=control,
            emit=emit,
            doing=doing,
            state=state,
        )
    except CancelledByOperatorError as error:
        # A stop's own words are a migration's.
        error.state = state
        raise


async def read_state_shortly(
    connection: Connection, settings: Settings, *, emit: Emit, state: str, control: Control | None = None
) -> DatabaseState:
    """Where the database stands, looked at as `with_short_looks` does.

    Raises:
        RefusedError: somebody has one of v1's tables for themselves, and stayed; names them.
    """
    return await with_short_looks(
        connection,
        settings,
        [qualified("public", name) for base in v1.TABLES for name in (base, f"{base}{v1.SUFFIX}")],
        partial(read_state, connection),
        emit=emit,
        doing="Looking at the database",
        state=state,
        control=control,
    )


async def with_short_locks(
    connection: Connection,
    settings: Settings,
    relations: list[str],
    statements: Iterable[str],
    *,
    emit: Emit,
    doing: str,
    state: str,
    control: Control | None = None,
) -> None:
    """Run statements in one transaction that waits for its locks no longer than is allowed, and is tried again.

    Args: as with `with_retries`.

    Raises:
        RefusedError: somebody stayed in the way; names them.
    """
    script = [f"set local lock_timeout = {settings.lock_timeout_ms}", *statements]

    async def attempt() -> None:
        async with connection.transaction():
            await execute_all(connection, script)

    await with_retries(
        attempt,
        connection,
        relations,
        attempts=settings.lock_attempts,
        control=control,
        emit=emit,
        doing=doing,
        state=state,
    )
