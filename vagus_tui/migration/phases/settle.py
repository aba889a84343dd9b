"""Settle: what is owed after the commit, read from what the cut-over wrote down, whoever does it and whenever."""

from __future__ import annotations

import asyncpg

from vagus_tui.database.connection import Connection
from vagus_tui.errors import server_words
from vagus_tui.events import NoteEvent, Phase, StepState
from vagus_tui.jobs import Emit
from vagus_tui.journal import store
from vagus_tui.journal.store import Run
from vagus_tui.migration import maintenance
from vagus_tui.migration.cut_over import settle_steps
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.undo import read_record
from vagus_tui.migration.work import run_step
from vagus_tui.rollback import take_up
from vagus_tui.schema.ddl import V2Ddl


def owes_settling(run: Run) -> bool:
    """Whether a run is past its cut-over, with steps still to do."""
    return run.kind == "migrate" and run.phase == Phase.SETTLE.value and run.status == "running"


async def settle(connection: Connection, emit: Emit) -> None:
    """Do what the latest migration still owes. v2 is in place: a failure here is told, not undone."""
    run = await store.latest_run(connection, "migrate")
    assert run is not None
    survey = read_record(run.catalog)
    ddl = V2Ddl(survey.shape.schema, survey.shape, survey.taken, preferences=survey.preferences != "jsonb")
    # v2 is in place and proved: nothing that is still owed is a reason to keep users out.
    await maintenance.lower_flag_of_run(connection)
    done = await store.steps_done(connection, run.id)
    for step in settle_steps(survey, ddl):
        if step.id in done:
            continue
        if step.id == take_up.STEP:
            await _take_up(connection, step, run, survey.archive, emit)
        else:
            await run_step(connection, step, run.id, emit)
    await store.update_run(connection, run.id, status="done", finished=True)


async def _take_up(connection: Connection, step: PlanStep, run: Run, archive: str, emit: Emit) -> None:
    """Take up what an archive alone has kept, and say what came of it. The migration does not hang on it."""
    try:
        await run_step(connection, step, run.id, emit)
    except asyncpg.PostgresError as error:
        if connection.is_closed():
            raise
        why = f"nothing was taken up from {archive}: {server_words(error)}"
        left = step.event(StepState.DONE, message=why)
        await store.record_step(connection, run.id, left)
        emit(left)
        emit(NoteEvent(level="warning", message=f"{why}. The archive still has it all."))
        return
    found = await take_up.read_taken_up(connection, archive)
    for taken, words in ((True, "Taken up"), (False, "Left in the archive")):
        lines = [item.words for item in found if item.taken is taken]
        if lines:
            level = "info" if taken else "warning"
            emit(NoteEvent(level=level, message=f"{words} ({archive}): {'; '.join(lines)}."))
    figures = {"taken_up": [{"table": f.table, "what": f.what, "rows": f.rows, "taken": f.taken} for f in found]}
    await store.update_run(connection, run.id, figures={"archive": archive, **figures})
