"""Paused, it does nothing; throttled, it rests; and the app, at work all the while, notices neither."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import do_migrate, settings_for, state_of
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.errors import VagusError
from vagus_tui.events import Event, NoteEvent, Phase, StepEvent, StepState
from vagus_tui.journal.state import State
from vagus_tui.migration.runner import run_migration
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.traffic import Traffic

AT_WORK = """
select count(*) from pg_stat_activity where datname = current_database() and state <> 'idle'
and (application_name like 'vagus-tui build%' or application_name = 'vagus-tui migrate')
"""


async def _until_requests(traffic: Traffic, more: int) -> None:
    wanted = traffic.all.requests + more
    for _ in range(6_000):
        if traffic.all.requests >= wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the app stands still")


async def _at_work(database: TestDatabase) -> int:
    async with database.as_admin() as admin:
        return int(await admin.fetchval(AT_WORK))


@pytest.mark.parametrize("step", ["build-exercises", "align", "catch-up"])
async def test_paused(step: str, make_database: MakeDatabase) -> None:
    database = await make_database(SandboxOptions(plans=60, clean=True))
    traffic = Traffic(database.authenticator_url, rate=80, connections=3, write_share=0.6, record_writes=True)
    started: list[str] = []
    checked: list[asyncio.Task[None]] = []

    async def look(control: Control) -> None:
        # What is under way ends first.
        for _ in range(2_000):
            if not await _at_work(database):
                break
            await asyncio.sleep(0.01)
        begun = len(started)
        for _ in range(5):
            await _until_requests(traffic, 4)
            assert await _at_work(database) == 0
        assert len(started) == begun, started[begun:]
        control.resume()

    async def on_event(event: Event, control: Control) -> None:
        if not isinstance(event, StepEvent):
            return
        if event.state is StepState.STARTED:
            started.append(event.id)
        if event.id == step and not checked:
            control.pause()
            checked.append(asyncio.create_task(look(control)))
        if event.id == "hold" and event.state is StepState.PROGRESS:
            control.cancel()

    async with traffic:
        await _until_requests(traffic, 5)
        ran = await do_migrate(database, hold=True, on_event=on_event)
        await asyncio.gather(*checked)
    assert ran.result.exit_status == 3 and "Stopped by the operator" in ran.result.message
    assert "hold" in started
    assert traffic.all.failed == 0, list(traffic.last_errors)
    assert traffic.committed
    assert (await state_of(database)).state is State.V1


async def test_paused_and_then_stopped(make_database: MakeDatabase) -> None:
    """A stop wakes what waits."""
    database = await make_database(SandboxOptions(plans=12, clean=True))

    async def on_event(event: Event, control: Control) -> None:
        if isinstance(event, StepEvent) and event.id == "build-exercises" and event.state is StepState.STARTED:
            control.pause()
            asyncio.get_running_loop().call_later(0.2, control.cancel)

    ran = await do_migrate(database, on_event=on_event)
    assert ran.result.exit_status == 3
    assert (await state_of(database)).state is State.V1


async def test_throttled_it_rests_as_long_as_it_worked(make_database: MakeDatabase) -> None:
    database = await make_database(SandboxOptions(plans=40, clean=True))
    settings = settings_for(database, parallel_connections=1)
    control = Control()
    control.throttle = 0.5
    ended: tuple[float, float] | None = None
    rests: list[tuple[float, float]] = []
    proving = 0

    def emit(event: Event) -> None:
        nonlocal ended, proving
        if isinstance(event, NoteEvent):
            ended = None
        if isinstance(event, StepEvent) and event.phase is Phase.HOLD:
            control.cancel()
        if not isinstance(event, StepEvent) or event.phase not in (Phase.BUILD, Phase.PROVE):
            return
        proving += event.phase is Phase.PROVE
        now = time.perf_counter()
        if event.state is StepState.STARTED and ended is not None:
            rests.append((now - ended[0], ended[1]))
        ended = (now, event.seconds or 0.0) if event.state is StepState.DONE else None

    with pytest.raises(VagusError, match="Stopped"):
        await run_migration(Database(settings), settings, control, emit, hold=True)
    assert len(rests) > 20 and proving > 10
    assert all(rested >= worked * 0.8 for rested, worked in rests)
