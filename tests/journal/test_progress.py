"""A run's progress is in the journal while it runs, and writing it never fails the run."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.wizard.walk import settings_for
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.events import NoteEvent, Phase, ResultEvent, StepEvent, StepState
from vagus_tui.jobs import Emit
from vagus_tui.journal import progress, store
from vagus_tui.journal.progress import StepTimes, read_progress
from vagus_tui.migration.runner import migrate


async def test_others_can_follow_a_run_step_by_step(clean_database: TestDatabase, connect: Connect) -> None:
    settings = settings_for(clean_database.url)
    control = Control()
    seen: dict[str, StepEvent] = {}
    watcher = await connect(clean_database.url)
    last = run = None
    async for event in migrate(Database(settings), settings, control, hold=True):
        last = event
        if isinstance(event, StepEvent):
            seen[event.id] = event
        if isinstance(event, StepEvent) and event.phase is Phase.HOLD and not control.decided:
            run = await store.latest_run(watcher, "migrate")
            assert run is not None
            steps: dict[str, StepTimes] = {}
            for _ in range(400):
                steps = {step.event.id: step for step in await read_progress(watcher, run.id)}
                if "hold" in steps:
                    break
                await asyncio.sleep(0.05)
            assert steps.keys() == seen.keys()
            builds = [step for step in steps.values() if step.event.phase is Phase.BUILD]
            assert builds and all(step.event.state is StepState.DONE and step.ended_at for step in builds)
            assert sum(step.event.rows or 0 for step in builds) > 0
            for step in builds:
                assert step.ended_at is not None
                took = (step.ended_at - step.started_at).total_seconds()
                assert abs(took - (step.event.seconds or 0.0)) < 0.5
            assert steps["hold"].ended_at is None
            control.go()
    assert isinstance(last, ResultEvent) and last.ok
    assert run is not None
    final = await read_progress(watcher, run.id)
    assert {step.event.phase for step in final} == {step.phase for step in seen.values()}
    assert all(step.event.state is StepState.DONE for step in final)


async def test_an_older_run_that_is_still_open_is_not_taken_for_this_one(
    clean_database: TestDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a rollback from a backup begins after a migration that broke off."""
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.02)
    conn = await connect(clean_database.url)
    older = await store.start_run(conn, "migrate", operator="ada", environment="staging", options={})
    begun = [older]

    async def work(emit: Emit) -> ResultEvent:
        emit(NoteEvent(message="Looking at what is in place"))
        for _ in range(200):
            if await progress.latest_word(conn, older):
                break
            await asyncio.sleep(0.02)
        begun.append(await store.start_run(conn, "restore", operator="ada", environment="staging", options={}))
        emit(StepEvent(id="verify-files", phase=Phase.VERIFY, title="Read every file", state=StepState.STARTED))
        await asyncio.sleep(0.1)
        # It fails before it has taken the older one back.
        emit(StepEvent(id="verify-files", phase=Phase.VERIFY, title="Read every file", state=StepState.FAILED))
        await store.update_run(conn, begun[1], status="failed", finished=True)
        return ResultEvent(ok=False, message="The backup is damaged.")

    await progress.published(Database(settings_for(clean_database.url)), work)(lambda _: None)
    assert await read_progress(conn, older) == []
    (step,) = await read_progress(conn, begun[1])
    assert (step.event.id, step.event.state) == ("verify-files", StepState.FAILED)


async def test_a_run_goes_on_when_its_progress_cannot_be_written(clean_database: TestDatabase) -> None:
    settings = settings_for(clean_database.url)
    async with clean_database.as_admin() as admin:
        await admin.execute(
            "create schema vagus_migration authorization postgres; "
            "create table vagus_migration.progress (step text); alter table vagus_migration.progress owner to postgres"
        )
    last = None
    async for event in migrate(Database(settings), settings, Control(), hold=False):
        last = event
    assert isinstance(last, ResultEvent) and last.ok
