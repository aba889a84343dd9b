"""How a run ends before its time: undone where that is possible, left for a resume where it is not."""

from __future__ import annotations

import asyncio

import asyncpg

from vagus_tui.database.connection import is_lost
from vagus_tui.errors import (
    LOST_WORDS,
    ConnectionLostError,
    RefusedError,
    UndoneError,
    VagusError,
    account,
    sentences,
)
from vagus_tui.journal import store
from vagus_tui.journal.state import State, read_state
from vagus_tui.migration import maintenance
from vagus_tui.migration.abandon import TAKES_AWAY, take_back
from vagus_tui.migration.phases.in_spite import cause, in_full, mending, passes
from vagus_tui.migration.phases.objections import objections
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.work import UNFIT, open_session, read_state_shortly

LOOK_SECONDS = 10.0

READ_ONLY = "The database takes no writes (default_transaction_read_only; Supabase sets it when the disk is full)."

NOT_SWAPPED = (State.BUILDING, State.READY, State.V1, State.V1_RENAMED, State.ROLLED_BACK)


class NotUndoneError(VagusError):
    """It was stopped, and what it had made could not be taken away: somebody is in the way, or the server is gone."""


async def give_up(run: MigrationRun, status: str, error: VagusError | None) -> None:
    """Undo the run after a stop: v1 as it was, staging gone. A second cancel waits for it.

    Raises:
        NotUndoneError: v1 is untouched, but what was made beside it is still there.
    """
    undone = asyncio.ensure_future(_undo(run, status, None if error is None else error.happened))
    try:
        await asyncio.shield(undone)
    except asyncio.CancelledError:
        await undone
        raise
    except Exception as trouble:
        raise NotUndoneError(
            sentences(
                error.happened if error else "It was stopped.", f"Undoing it did not succeed: {account(trouble)}"
            ),
            state="v1 is in place and in use; what was built beside it, and our triggers, are still there.",
            next_step="vagus-tui status shows it: start migrate again to go on, or clean up in the wizard.",
        ) from trouble


async def _undo(run: MigrationRun, status: str, message: str | None) -> None:
    await run.lanes.close()
    async with open_session(run.database, "undo", **TAKES_AWAY) as connection:
        state = await read_state_shortly(connection, run.settings, emit=run.emit, state="v1 is untouched and in use.")
        # Where somebody took a table of v1 away no state is known; what the run did itself is on record.
        astray = state.state is State.UNKNOWN and "swap" not in await store.steps_done(connection, run.id)
        if state.state not in NOT_SWAPPED and not astray:
            return
        await take_back(connection, state.shape or run.made.survey.shape, run.settings, run.emit)
        await store.update_run(connection, run.id, status=status, error=message, finished=True)


async def failed(run: MigrationRun, error: Exception) -> VagusError:
    """What a failure means: undone where the database can still be reached, left for a resume where not."""
    if is_lost(error) or run.main.is_closed():
        return await _lost(run)
    message = error.happened if isinstance(error, VagusError) else f"The server said: {_words(error)}"
    if await _swapped(run):
        return VagusError(
            message,
            state="v2 is in place; a step after the cut-over failed.",
            next_step="Run migrate again to finish what is owed, or roll back.",
        )
    if passes(error) and "prepare-staging" in run.done:
        return await _left(run, message, mending(error))
    if not isinstance(error, VagusError):
        message = sentences(message, await cause(run), await objections(run) if isinstance(error, UNFIT) else "")
    await give_up(run, "failed", VagusError(message))
    state = "Everything was undone; v1 is untouched."
    if isinstance(error, RefusedError):
        return RefusedError(message, state=state, next_step=error.next_step)
    next_step = error.next_step if isinstance(error, VagusError) else _next_step(error)
    return UndoneError(message, state=state, next_step=next_step)


async def _left(run: MigrationRun, message: str, next_step: str) -> VagusError:
    """Leave a run to be taken up: what it has built stays, and what users write goes on being noted."""
    await run.lanes.close()
    await maintenance.lower_flag_of_run(run.main)
    await store.update_run(run.main, run.id, error=message)
    return VagusError(
        message,
        state="v1 is in place and in use; what was built so far stays beside it, and changes are noted.",
        next_step=f"{next_step} It goes on from where it stood. Or clean up.",
    )


async def _swapped(run: MigrationRun) -> bool:
    """Whether the cut-over is committed: by its record, since somebody may have taken a table of v2 away by now."""
    try:
        return "swap" in await store.steps_done(run.main, run.id)
    except asyncpg.UndefinedTableError:
        # The record itself is gone.
        return (await read_state(run.main)).state is State.MIGRATED


def _next_step(error: Exception) -> str:
    """What to do about what the server said."""
    if isinstance(error, asyncpg.DiskFullError):
        return "Make room on the server's disk (the prerequisites estimate how much it takes), then try again."
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return f"{READ_ONLY} Then try again."
    if isinstance(error, UNFIT):
        return "See the data-quality checks, then try again."
    return "Run the prerequisites and the data-quality checks, then try again."


def _words(error: Exception) -> str:
    return in_full(error) if isinstance(error, asyncpg.PostgresError) else str(error)


async def _lost(run: MigrationRun) -> ConnectionLostError:
    """Look once more what is the case, on a new connection, and leave no flag behind that tells users to wait."""
    state = "Until the cut-over v1 is untouched; the cut-over happens whole or not at all."
    try:
        await run.lanes.close()
        async with asyncio.timeout(LOOK_SECONDS), open_session(run.database, "after a loss") as connection:
            found = await read_state(connection)
            if found.state in NOT_SWAPPED:
                await maintenance.lower_flag_of_run(connection)
            state = found.summary
    except (VagusError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        state += " The maintenance flag may still be on; vagus-tui status says so, vagus-tui maintenance off ends it."
    return ConnectionLostError(
        LOST_WORDS,
        state=state,
        next_step="Start again: the run resumes where it stood, or can be cleaned up.",
    )
