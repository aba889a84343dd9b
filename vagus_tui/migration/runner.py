"""The migration: prepare, build aside, catch up, prove, hold, cut over, settle. One run, resumable all the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg

from vagus_tui.control import Control
from vagus_tui.database.connection import Database, is_lost
from vagus_tui.errors import CancelledByOperatorError, VagusError, sentences
from vagus_tui.events import Event, NoteEvent, ResultEvent
from vagus_tui.jobs import Emit, failure, streamed
from vagus_tui.journal import store
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.progress import published
from vagus_tui.journal.schema import ensure_journal
from vagus_tui.journal.state import State
from vagus_tui.migration.phases.begin import begin, say_taken_up
from vagus_tui.migration.phases.build import build, prepare
from vagus_tui.migration.phases.catch_up import catch_up_until_little_is_left
from vagus_tui.migration.phases.cut_over import NotCutOverError, cut_over
from vagus_tui.migration.phases.end import failed, give_up
from vagus_tui.migration.phases.hold import hold as hold_until_decided
from vagus_tui.migration.phases.prove import prove
from vagus_tui.migration.phases.settle import owes_settling, settle
from vagus_tui.migration.run import Lanes, MigrationRun
from vagus_tui.migration.watch import watched
from vagus_tui.migration.work import open_session, read_state_shortly
from vagus_tui.rollback.finish import take_up
from vagus_tui.settings import Settings


async def run_migration(
    database: Database, settings: Settings, control: Control, emit: Emit, *, hold: bool
) -> ResultEvent:
    """Run or resume to the end, or undo.

    Raises:
        RefusedError: another operator is at work, or there is nothing to migrate.
    """
    async with open_session(database, "migrate") as main:
        await take_lock(main)
        await ensure_journal(main)
        if said := await take_up(main, emit, settings.operator):
            emit(NoteEvent(message=said))
        state = await read_state_shortly(main, settings, emit=emit, state="Nothing was changed.", control=control)
        if state.state is State.MIGRATED and state.run is not None and owes_settling(state.run):
            done = await store.steps_done(main, state.run.id)
            await say_taken_up(main, settings, state.run, {step: step for step in done})
            await settle(main, emit)
            return ResultEvent(
                ok=True,
                message="Finished: v2 was in place already; what the interrupted run owed is done.",
                state=State.MIGRATED.value,
                exit_status=0,
            )
        opened = await begin(main, settings, state, emit)
        lanes = Lanes(database, settings.parallel_connections)
        run = MigrationRun(
            database,
            settings,
            control,
            emit,
            main,
            lanes,
            made=opened.made,
            id=opened.id,
            done=opened.done,
            staged=opened.staged,
        )
        try:
            async with watched(run, hold=hold):
                return await _to_the_end(run, hold)
        except asyncio.CancelledError:
            await give_up(run, "cancelled", None)
            raise
        except CancelledByOperatorError as error:
            await give_up(run, "cancelled", error)
            raise
        except NotCutOverError as error:
            # Built, proved and still caught up with: throwing that away would only cost a second build.
            await store.update_run(run.main, run.id, status="ready", error=str(error))
            return failure(error, state=State.READY.value)
        except Exception as error:
            if isinstance(error, asyncpg.PostgresError | VagusError) or is_lost(error):
                raise await failed(run, error) from error
            raise
        finally:
            await lanes.close()


async def _to_the_end(run: MigrationRun, holding: bool) -> ResultEvent:
    await prepare(run)
    await build(run)
    await catch_up_until_little_is_left(run)
    await prove(run)
    # A decision that was there before the hold is nobody's who watches it.
    watched = holding and not run.control.decided
    while True:
        if holding:
            await hold_until_decided(run)
        try:
            await cut_over(run)
            break
        except NotCutOverError as error:
            if not watched:
                raise
            # The operator sees who was in the way and decides again.
            run.control.take_back()
            run.emit(NoteEvent(level="warning", message=sentences(error.happened, error.state, "Holding again.")))
    await settle(run.main, run.emit)
    return ResultEvent(
        ok=True,
        message="Migrated: v2 is in place, v1 is kept as *_v1.",
        state=State.MIGRATED.value,
        seconds=time.perf_counter() - run.started,
        exit_status=0,
        figures={"rows": run.rows, **run.figures},
    )


def migrate(database: Database, settings: Settings, control: Control, *, hold: bool) -> AsyncIterator[Event]:
    """Run, or resume, the migration. With `hold` it waits, proved and caught up, for `control.go()`.

    The stream ends with a ResultEvent. Stopping before the cut-over leaves v1 exactly as it was.
    """
    return streamed(published(database, lambda emit: run_migration(database, settings, control, emit, hold=hold)))
