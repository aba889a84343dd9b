"""Cut over: the swap in one short transaction, in as many attempts as it takes without making anybody queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext

import asyncpg

from vagus_tui.database.connection import execute_all
from vagus_tui.errors import ConnectionFailedError, VagusError, sentences
from vagus_tui.events import NoteEvent, Phase, StepEvent, StepState
from vagus_tui.journal import store
from vagus_tui.migration import maintenance, staged, vigil
from vagus_tui.migration.announcement import maintenance_page
from vagus_tui.migration.cut_over import ANSWERS, watched_relations
from vagus_tui.migration.drift import drift, in_words, signature
from vagus_tui.migration.phases.catch_up import bring_over, prove_delta
from vagus_tui.migration.phases.in_spite import MEND, cause, holds_in_spite, in_full, in_short, mending
from vagus_tui.migration.phases.prove import note_again, prove_everything
from vagus_tui.migration.plan import compose
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.slow_line import share_of_the_line
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.taken_over import added
from vagus_tui.migration.undo import undo_record
from vagus_tui.migration.work import BUSY, UNFIT, ChangedError, impatient, with_retries

PROOF_GOOD_FOR_SECONDS = 10.0
"""A proof older than this is made again right before the swap: staging can have been changed by hand since."""

LIMIT_SECONDS = 3.0
"""Writes never wait longer than this: the attempt is given up and tried again."""


TRIED = "not-cut-over"
"""The step that the journal holds where a cut-over was tried in vain."""


TAKEN_OVER = "taken-over"
"""The step that the journal holds where settings of v1 were taken over that had changed since the plan was made."""


AGAIN = (*BUSY, ChangedError, TimeoutError, asyncpg.QueryCanceledError)
"""After these a cut-over is tried again by itself."""


class NotCutOverError(VagusError):
    """Everything is built and proved, but the locks were not to be had, v1 is not what it was planned for, or the
    server refused a statement."""

    exit_status = 4


async def cut_over(run: MigrationRun) -> None:
    """Swap v1 for v2.

    Raises:
        NotCutOverError: somebody stayed in the way, v1 or what was built is another one than it was, a row was
            written that v2 refuses, or the server refused something else; v1 is in use and v2 still caught up with.
        UndoneError: the proof that was made again found rows that differ.
    """
    await run.enter(Phase.CUT_OVER)
    await run.lanes.close()
    await store.update_run(run.main, run.id, catalog=undo_record(run.made.survey))

    async def attempt() -> tuple[list[StepEvent], float]:
        if run.control.paused:
            # An earlier attempt has told users to wait: not for as long as the operator thinks it over.
            await maintenance.lower_flag_of_run(run.main)
        await run.control.checkpoint()
        async with _holding_on(run):
            try:
                return await _attempt(run)
            except TimeoutError as error:
                if run.main.is_closed():
                    raise
                line = await share_of_the_line(run.main, ANSWERS, LIMIT_SECONDS)
                raise TimeoutError(f"it took too long and was taken back{line}") from error

    try:
        async with impatient(run.main, run.settings):
            done, seconds = await with_retries(
                attempt,
                run.main,
                watched_relations(run.made.survey, run.made.ddl),
                attempts=run.settings.lock_attempts,
                control=None,
                emit=run.emit,
                doing="The cut-over",
                state="v1 is in place and in use; v2 is built, proved and kept caught up.",
                next_step="Wait for them or cancel them, then run migrate again: it goes on from here.",
                again_after=AGAIN,
                failing=NotCutOverError,
            )
    except NotCutOverError as error:
        await maintenance.lower_flag_of_run(run.main)
        # Taken back as a whole, it left no step behind; that it was tried belongs to the story all the same.
        await store.record_step(run.main, run.id, _tried(error))
        raise
    run.figures["writes_waited_seconds"] = round(seconds, 3)
    for event in done:
        run.emit(event)
    await store.update_run(run.main, run.id, figures=run.figures)


async def _attempt(run: MigrationRun) -> tuple[list[StepEvent], float]:
    """One attempt, from what users have written since to the commit: the steps done, and how long writes waited."""
    await note_again(run)
    with _fitting():
        await bring_over(run)
        if run.proof_age > PROOF_GOOD_FOR_SECONDS or not await _all_noted(run):
            # Outside of every lock, and without keeping the app in maintenance meanwhile.
            await maintenance.lower_flag_of_run(run.main)
            await prove_everything(run)
            await run.lanes.close()
            await bring_over(run)
    known = await signature(run.main, run.made.survey.shape)
    await _compare(run)
    return await _swap(run, known)


@asynccontextmanager
async def _holding_on(run: MigrationRun) -> AsyncIterator[None]:
    """Keep what was built in spite of what the server refuses: it can be tried again once that is mended.

    Raises:
        NotCutOverError: the server refused something that another attempt does not mend by itself.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        if isinstance(error, AGAIN) or not holds_in_spite(run, error):
            raise
        raise NotCutOverError(
            sentences(f"The server refused a statement of the cut-over: {in_full(error)}", await cause(run)),
            state="All of it was taken back: v1 is in place and in use; v2 is built, proved and kept caught up.",
            next_step="Mend what it names, then run migrate again: it goes on from here. Or clean up.",
        ) from error
    except ConnectionFailedError as error:
        raise NotCutOverError(
            f"The proof before the cut-over could not be made: {error.happened}",
            state="v1 is in place and in use; v2 is built, proved and kept caught up.",
            next_step=f"{mending(error)} It goes on from here. Or clean up.",
        ) from error


@contextmanager
def _fitting() -> Iterator[None]:
    """Bring over what users wrote.

    Raises:
        NotCutOverError: v2 refuses some of it.
    """
    try:
        yield
    except UNFIT as error:
        raise NotCutOverError(
            f"v2 refuses what was written to v1: {in_short(error)}.",
            state="v1 is in place and in use; v2 is built and proved but for that.",
            next_step=f"To go on, {MEND}",
        ) from error


def _tried(error: NotCutOverError) -> StepEvent:
    message = str(error.args[0]) if error.args else "It was taken back."
    return StepEvent(id=TRIED, phase=Phase.CUT_OVER, title="cut over", state=StepState.FAILED, message=message)


def _as_now(message: str) -> StepEvent:
    title = "settings and comments as v1 has them by now"
    return StepEvent(id=TAKEN_OVER, phase=Phase.CUT_OVER, title=title, state=StepState.STARTED, message=message)


async def _compare(run: MigrationRun, *, locked: bool = False) -> None:
    """Compare v1's catalog with the one that the plan was made for, and take over what needs no other plan.

    Args:
        locked: everybody waits; what there is to take over is left for another attempt.

    Raises:
        NotCutOverError: a table, what points at one, or rights on one are no longer what they were; or what was built.
        ChangedError: there is something to take over.
    """
    found = await drift(run.main, run.made.survey, run.made.ddl)
    if found.against:
        raise NotCutOverError(
            f"v1 has changed since the plan was made: {in_words(found.against)}.",
            state="v1 is in place and in use; v2 is built, but not for this v1.",
            next_step="Take that back, or stop and run migrate again: it plans and builds anew, with what is new.",
        )
    await _compare_staged(run)
    if found.survey is None:
        return
    if locked:
        raise ChangedError(found.harmless)
    made = compose(found.survey, run.settings)
    statements = added(made.plan, run.made.plan)
    async with run.main.transaction():
        await execute_all(run.main, statements)
        now = await staged.words(run.main)
        await store.update_run(run.main, run.id, catalog={**undo_record(found.survey), staged.KEPT_AS: now})
        await store.record_step(run.main, run.id, _as_now(found.harmless))
    run.made, run.staged = made, now
    run.emit(NoteEvent(message=found.harmless, detail={"sql": statements}))


async def _compare_staged(run: MigrationRun) -> None:
    """Compare what was built beside v1 with what the build left.

    Raises:
        NotCutOverError: somebody has altered it; what would go into v2 is not what the plan says.
    """
    if changes := await staged.altered(run.main, run.staged):
        raise NotCutOverError(
            staged.altered_by_hand(changes),
            state="v1 is in place and in use; nothing of it was cut over.",
            next_step=f"To go on, {staged.TAKE_BACK}",
        )


async def _swap(run: MigrationRun, known: str) -> tuple[list[StepEvent], float]:
    """The one transaction. From its first lock on writers may be waiting for it.

    Returns its steps, and for how many seconds writes waited.

    Args:
        known: v1's signature when it was last compared with the plan.
    """
    events: list[StepEvent] = []
    await maintenance.raise_flag_for(run.main, run.id, await maintenance_page(run.main))
    async with run.main.transaction():
        # A client that stands still or has vanished must not keep v1 locked: the server takes it all back by itself.
        limits = {
            "lock_timeout": run.settings.lock_timeout_ms,
            "idle_in_transaction_session_timeout": int(LIMIT_SECONDS * 1000),
        }
        await execute_all(run.main, (f"set local {name} = {limit}" for name, limit in limits.items()))
        locking = time.perf_counter()
        for step in run.made.plan.of(Phase.CUT_OVER):
            started = time.perf_counter()
            run.emit(step.event(StepState.STARTED))
            try:
                async with asyncio.timeout(max(LIMIT_SECONDS - (started - locking), 0.01)):
                    await _swap_step(run, step)
                    # From the lock on nobody can change v1's tables, or what hangs on them.
                    if step.id == "lock" and not await _all_noted(run):
                        raise ChangedError("not every change of v1 was noted since the proof, so it is made again")
                    if step.id == "lock" and known != await signature(run.main, run.made.survey.shape):
                        await _compare(run, locked=True)
                    elif step.id == "lock":
                        await _compare_staged(run)
            except BaseException:
                run.emit(step.event(StepState.FAILED, message="taken back as a whole"))
                raise
            events.append(step.event(StepState.DONE, since=started))
        await store.record_step(run.main, run.id, *events)
        await store.update_run(run.main, run.id, phase=Phase.SETTLE.value, status="running")
    return events, time.perf_counter() - locking


async def _all_noted(run: MigrationRun) -> bool:
    """Whether every change to v1 since the last proof was noted, and can be brought over and proved by itself."""
    return run.noted is not None and run.noted == await vigil.mark(run.main, run.made.survey.shape)


async def _lock(run: MigrationRun, step: PlanStep) -> None:
    """Take every lock within the time that one of them may take: those had already make others wait meanwhile.

    Raises:
        LockNotAvailableError: somebody is in the way.
    """
    limit = f"set local statement_timeout = {run.settings.lock_timeout_ms}"
    try:
        await execute_all(run.main, [limit, *step.statements, "set local statement_timeout = 0"])
    except asyncpg.QueryCanceledError as error:
        raise asyncpg.LockNotAvailableError("the locks together took too long") from error


async def _swap_step(run: MigrationRun, step: PlanStep) -> None:
    if step.id == "lock":
        await _lock(run, step)
        return
    if step.id == "prove-delta":
        await prove_delta(run)
        return
    with _fitting() if step.id == "delta" else nullcontext():
        await execute_all(run.main, step.statements)
