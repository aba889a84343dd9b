"""Running the comparison of all of v2 with v1 as it was kept: tables side by side, on as many connections as there are.

Nobody waits for it, but the rollback does, and whoever asks for one is in a hurry: so the app is not given way to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from uuid import UUID

import asyncpg

from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.errors import VagusError
from vagus_tui.events import NoteEvent
from vagus_tui.jobs import Emit
from vagus_tui.migration.scheduler import run_graph
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.work import open_session, run_step, with_retries


@asynccontextmanager
async def _lanes(database: Database, main: Connection, wanted: int, emit: Emit) -> AsyncIterator[list[Connection]]:
    """The connections it runs on: ours, and as many more as the server lets us have."""
    async with AsyncExitStack() as stack:
        lanes = [main]
        try:
            while len(lanes) < wanted:
                session = open_session(database, f"roll back {len(lanes) + 1}")
                lanes.append(await stack.enter_async_context(session))
        except (asyncpg.PostgresError, VagusError, OSError, TimeoutError) as error:
            text = error.happened if isinstance(error, VagusError) else str(error)
            emit(NoteEvent(message=f"Comparing on {len(lanes)} of {wanted} connections, which takes longer: {text}"))
        yield lanes


async def compare(
    database: Database,
    main: Connection,
    steps: Sequence[PlanStep],
    relations: list[str],
    run_id: UUID,
    control: Control,
    emit: Emit,
) -> None:
    """Run the steps of a comparison, those side by side that do not need one another.

    Args:
        relations: quoted names of the tables that are read, to know who is in the way.

    Raises:
        RefusedError: somebody has one of the tables for themselves, and stayed; names them.
        CancelledByOperatorError: a stop was asked for; what was under way is cancelled in the server.
        Whatever the first failing step raises.
    """
    await control.checkpoint()
    settings = database.settings
    async with _lanes(database, main, settings.parallel_connections, emit) as lanes:

        async def one(lane: int, step: PlanStep) -> None:
            await with_retries(
                partial(run_step, lanes[lane], step, run_id, emit, lock_timeout_ms=settings.lock_timeout_ms),
                lanes[lane],
                relations,
                attempts=settings.lock_attempts,
                control=control,
                emit=emit,
                doing="Comparing v2 with v1 as it was kept",
                state="Nothing of v2 was changed: it is in place.",
            )

        await control.or_cancelled(run_graph(steps, set(), len(lanes), one, lambda: len(lanes)))
