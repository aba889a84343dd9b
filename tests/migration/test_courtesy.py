"""While the app is in use one connection works; when it is quiet, as many as there are."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.conftest import MakeDatabase
from tests.migration.support import Ran, do_migrate
from vagus_tui.control import Control
from vagus_tui.events import Event, NoteEvent, Phase, ProgressEvent, StepEvent, StepState
from vagus_tui.migration import courtesy, watch
from vagus_tui.migration.courtesy import Courtesy
from vagus_tui.migration.scheduler import run_graph
from vagus_tui.migration.steps import PlanStep
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.traffic import Traffic


def _changes(readings: list[tuple[float, int]]) -> list[tuple[float, bool]]:
    looking = Courtesy(["public.workout_plans"])
    return [(now, looking.yielding) for now, uses in readings if looking.seen(now, uses)]


def test_busy_for_three_seconds_and_quiet_for_ten() -> None:
    busy = [(now / 2, now * 50) for now in range(40)]
    assert _changes(busy) == [(3.0, True)]
    stops = [(20 + now / 2, 1950) for now in range(40)]
    changes = _changes(busy + stops)
    assert [yielding for _, yielding in changes] == [True, False]
    assert 27 <= changes[1][0] <= 31


def test_a_few_uses_are_no_app_at_work() -> None:
    assert _changes([(float(now), now * 45) for now in range(60)]) == []
    # What is looked up at once, now and then, however much it is.
    assert _changes([(now / 2, 5_000 * (now // 8)) for now in range(120)]) == []


def test_between_the_two_limits_it_stays_as_it_was() -> None:
    slower = [(20.0 + now, 2000 + 30 * now) for now in range(60)]
    assert _changes([(float(now), now * 100) for now in range(20)] + slower) == [(4.0, True)]
    assert _changes(slower) == []


def test_counts_that_were_set_back_are_no_use() -> None:
    assert _changes([(0.0, 100_000), (1.0, 100_001), (2.0, 5), (3.0, 6), (4.0, 7)]) == []


async def test_no_more_than_may_be_under_way() -> None:
    steps = [PlanStep(f"s{number}", Phase.BUILD, "s", ("select 1",)) for number in range(12)]
    under_way, limit, beside = 0, 3, []

    async def run(lane: int, step: PlanStep) -> None:
        nonlocal under_way, limit
        beside.append((limit, under_way))
        under_way += 1
        await asyncio.sleep(0.01)
        under_way -= 1
        if step.id == "s5":
            limit = 1

    done: set[str] = set()
    await run_graph(steps, done, 4, run, lambda: limit)
    assert len(done) == 12
    assert max(others for allowed, others in beside if allowed == 3) == 2
    alone = [others for allowed, others in beside if allowed == 1]
    # What was handed out in the same moment may still be under way beside the first.
    assert len(alone) >= 4 and set(alone[2:]) == {0}


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """No closer than sessions report what they did: about once a second."""
    monkeypatch.setattr(watch, "INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(courtesy, "BUSY_SECONDS", 1.1)
    monkeypatch.setattr(courtesy, "QUIET_SECONDS", 3.0)


async def _build_under_traffic(make_database: MakeDatabase, *, longest: float, **values: object) -> Ran:
    """Build under traffic until the run gives way to it, or for so many seconds: a lock holds up one of its steps."""
    database = await make_database(SandboxOptions(plans=300, clean=True))
    traffic = Traffic(database.authenticator_url, rate=60, connections=3, write_share=0.5)
    enough = asyncio.Event()

    async def hold_up() -> None:
        async with database.as_admin() as admin, admin.transaction():
            await admin.execute("lock table workout_v2.workout_weeks in access exclusive mode")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), longest)
            await traffic.stop()

    holding: list[asyncio.Task[None]] = []

    async def on_event(event: Event, control: Control) -> None:
        if isinstance(event, StepEvent) and event.id == "prepare-staging" and event.state is StepState.DONE:
            holding.append(asyncio.create_task(hold_up()))
        if isinstance(event, NoteEvent) and "in use" in event.message:
            enough.set()
        if isinstance(event, StepEvent) and event.id == "hold":
            control.cancel()

    async with traffic:
        ran = await do_migrate(database, hold=True, on_event=on_event, **values)
        await asyncio.gather(*holding)
    return ran


@pytest.mark.usefixtures("quick_looks")
async def test_it_gives_way_to_the_app_and_comes_back(make_database: MakeDatabase) -> None:
    ran = await _build_under_traffic(make_database, longest=20)
    notes = [event.message for event in ran.events if isinstance(event, NoteEvent)]
    assert any("The app is in use" in note and "one connection works" in note for note in notes), notes
    given_way, running, beside, late = False, set[str](), 0, 0
    for event in ran.events:
        if isinstance(event, NoteEvent) and "The app is in use" in event.message:
            given_way = True
        if isinstance(event, NoteEvent) and "The app is quiet" in event.message:
            given_way = False
        if not isinstance(event, StepEvent) or event.phase is not Phase.BUILD:
            continue
        if event.state is StepState.STARTED:
            late += bool(given_way and running)
            running.add(event.id)
            beside += len(running) > 1
        elif event.state is StepState.DONE:
            running.discard(event.id)
    assert beside, "before and after, they work side by side"
    assert late <= 1, "no more than what was handed out just then"
    told = [event.yielding for event in ran.events if isinstance(event, ProgressEvent)]
    assert True in told and told[0] is False


@pytest.mark.usefixtures("quick_looks")
async def test_told_not_to_it_does_not(make_database: MakeDatabase) -> None:
    ran = await _build_under_traffic(make_database, longest=3.5, yield_to_app=False)
    assert not any(isinstance(event, NoteEvent) and "in use" in event.message for event in ran.events)
    told = [event.yielding for event in ran.events if isinstance(event, ProgressEvent)]
    assert set(told) == {False}
    assert "hold" in {event.id for event in ran.events if isinstance(event, StepEvent)}, "it got to its end"
