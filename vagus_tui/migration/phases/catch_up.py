"""Catch up: rounds that bring captured changes over, each proved in its own transaction."""

from __future__ import annotations

import asyncio
import random
import time

from vagus_tui.database.connection import execute_all, fetch_named
from vagus_tui.errors import UndoneError
from vagus_tui.events import NoteEvent, Phase, StepEvent, StepState
from vagus_tui.format import plural
from vagus_tui.journal import store
from vagus_tui.journal.state import STAGING
from vagus_tui.migration import capture, catch_up
from vagus_tui.migration.difference import first_of
from vagus_tui.migration.proof import WRONG_ROWS
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.work import BUSY

SMALL_BACKLOG = 200
"""Changes that the cut-over can take along without anybody noticing."""

ROUND_ATTEMPTS = 5
MOST_ROUNDS = 50


async def backlog(run: MigrationRun) -> int:
    """How many notes of changes are waiting."""
    return int(await run.main.fetchval(f"select count(*) from {capture.CHANGE_LOG}"))


async def bring_over(run: MigrationRun) -> int:
    """One round of catching up, proved in the same transaction. Returns how many notes it took."""
    for _ in range(ROUND_ATTEMPTS - 1):
        try:
            return await _round(run)
        except BUSY:
            # A user who left took rows along that we were about to change. The notes are all still there.
            await asyncio.sleep(random.uniform(0.05, 0.2))
    return await _round(run)


async def _round(run: MigrationRun) -> int:
    if not await run.main.fetchval(f"select exists (select from {capture.CHANGE_LOG})"):
        # A hold may last for hours: tables made and dropped every second would fill the catalog for nothing.
        return 0
    async with run.main.transaction(isolation="repeatable_read"):
        await execute_all(run.main, catch_up.collect(run.made.mapping, STAGING))
        notes = int(await run.main.fetchval(f"select count(*) from {catch_up.TOUCHED}"))
        if notes:
            await execute_all(run.main, catch_up.apply(run.made.mapping, STAGING, run.made.kept_apart))
            await prove_delta(run)
    return notes


async def prove_delta(run: MigrationRun) -> None:
    """Compare what the round just brought over with v1.

    Raises:
        UndoneError: a row differs.
    """
    differing = catch_up.delta_differences(run.made.mapping, STAGING)
    rows = await fetch_named(run.main, {table: first_of(query, 1) for table, query in differing.items()})
    if rows:
        first = rows[0]
        raise UndoneError(
            f"Changes brought over do not agree with v1: {first['name']} {first['id']} {first['difference']}.",
            next_step=WRONG_ROWS,
        )


async def catch_up_until_little_is_left(run: MigrationRun) -> None:
    """Rounds, until what is left is small enough for the cut-over to take along."""
    await run.enter(Phase.CATCH_UP)
    began = time.perf_counter()
    [step] = run.made.plan.of(Phase.CATCH_UP)

    def tell(state: StepState, notes: int, started: float, message: str | None = None) -> StepEvent:
        event = step.event(state, since=started, rows=notes, message=message)
        run.emit(event)
        return event

    run.emit(step.event(StepState.STARTED))
    total, left = 0, await backlog(run)
    for _ in range(MOST_ROUNDS):
        await run.control.checkpoint()
        if left <= SMALL_BACKLOG:
            break
        started = time.perf_counter()
        notes = await run.control.or_cancelled(bring_over(run))
        total += notes
        before, left = left, await backlog(run)
        tell(StepState.PROGRESS, total, started, f"{plural(notes, 'change')} brought over, {left:,} waiting")
        if left >= before:
            run.emit(NoteEvent(level="warning", message=f"Writers are as fast as we: backlog {left:,}."))
        await run.rest(time.perf_counter() - started)
    total += await run.control.or_cancelled(bring_over(run))
    await store.record_step(run.main, run.id, tell(StepState.DONE, total, began))
