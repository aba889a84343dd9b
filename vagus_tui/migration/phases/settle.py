"""Settle: what is owed after the commit, read from what the cut-over wrote down, whoever does it and whenever."""

from __future__ import annotations

from datetime import UTC, datetime

from vagus_tui.database.connection import Connection
from vagus_tui.events import Phase
from vagus_tui.jobs import Emit
from vagus_tui.journal import store
from vagus_tui.journal.store import Run
from vagus_tui.migration import maintenance
from vagus_tui.migration.cut_over import settle_steps
from vagus_tui.migration.undo import read_record
from vagus_tui.migration.work import run_step
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
    done = await store.steps_done(connection, run.id)
    for step in settle_steps(survey, ddl):
        if step.id not in done:
            await run_step(connection, step, run.id, emit)
    await maintenance.lower_flag_of_run(connection)
    await store.update_run(connection, run.id, status="done", finished_at=datetime.now(UTC))
