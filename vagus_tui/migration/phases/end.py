"""How a run ends before its time: undone where that is possible, left for a resume where it is not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from vagus_tui.errors import ConnectionLostError, RefusedError, UndoneError, VagusError
from vagus_tui.journal import store
from vagus_tui.journal.state import State, read_state
from vagus_tui.migration.abandon import take_back
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.work import open_session

NOT_SWAPPED = (State.BUILDING, State.READY, State.V1, State.V1_RENAMED, State.ROLLED_BACK)


async def give_up(run: MigrationRun, status: str, error: VagusError | None) -> None:
    """Undo the run after a stop: v1 as it was, staging gone. A second cancel waits for it."""
    undone = asyncio.ensure_future(_undo(run, status, None if error is None else error.happened))
    try:
        await asyncio.shield(undone)
    except asyncio.CancelledError:
        await undone
        raise


async def _undo(run: MigrationRun, status: str, message: str | None) -> None:
    await run.lanes.close()
    async with open_session(run.database, "undo") as connection:
        state = await read_state(connection)
        if state.state not in NOT_SWAPPED:
            return
        assert state.shape is not None
        await take_back(connection, state.shape, run.settings, run.emit)
        await store.update_run(connection, run.id, status=status, error=message, finished_at=datetime.now(UTC))


async def failed(run: MigrationRun, error: Exception) -> VagusError:
    """What a failure means: undone where the database can still be reached, left for a resume where not."""
    if isinstance(error, ConnectionLostError) or run.main.is_closed():
        return ConnectionLostError(
            "The connection to the database was lost.",
            state="Until the cut-over v1 is untouched; the cut-over happens whole or not at all.",
            next_step="Start again: the run resumes where it stood, or can be cleaned up.",
        )
    message = error.happened if isinstance(error, VagusError) else f"The server said: {error}"
    after = await read_state(run.main)
    if after.state is State.MIGRATED:
        return VagusError(
            message,
            state="v2 is in place; a step after the cut-over failed.",
            next_step="Run migrate again to finish what is owed, or roll back.",
        )
    await give_up(run, "failed", VagusError(message))
    state = "Everything was undone; v1 is untouched."
    if isinstance(error, RefusedError):
        return RefusedError(message, state=state, next_step=error.next_step)
    next_step = error.next_step if isinstance(error, VagusError) else "See the data-quality checks, then try again."
    return UndoneError(message, state=state, next_step=next_step)
