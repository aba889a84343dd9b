"""Progress that is true: never falls, never passes the whole, ends at it, and moves within long statements."""

from __future__ import annotations

import itertools
from typing import Any

from tests.conftest import Connect, MakeDatabase
from tests.migration.support import collected, do_migrate, settings_for
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.events import Event, Phase, ProgressEvent, StepEvent, StepState
from vagus_tui.migration import watch
from vagus_tui.migration.gauge import Gauge, by_size, by_time
from vagus_tui.migration.runner import migrate
from vagus_tui.migration.steps import PlanStep
from vagus_tui.sandbox.options import SandboxOptions


def test_what_is_estimated_never_arrives() -> None:
    for estimate in (by_time, lambda done, whole: by_size(done / whole)):
        course = [estimate(done, 10.0) for done in range(1, 200)]
        assert all(before < after < 1 for before, after in itertools.pairwise(course))


def _step(name: str, phase: Phase = Phase.BUILD, **values: Any) -> PlanStep:
    return PlanStep(name, phase, name, ("select 1",), **values)


def _event(name: str, state: StepState, phase: Phase = Phase.BUILD, **values: Any) -> StepEvent:
    return StepEvent(id=name, phase=phase, title=name, state=state, **values)


def test_an_earlier_attempt_counts_but_not_as_speed() -> None:
    steps = [_step(f"build-{n}", rows=1_000_000, table="exercise_logs", unit="exercise_logs") for n in range(4)]
    gauge = Gauge(steps, done=["build-0", "build-1"])
    assert gauge.share == 0.5 and gauge.seconds_left is None
    gauge.take(_event("build-2", StepState.STARTED, total=1_000_000))
    gauge.take(_event("build-2", StepState.DONE, seconds=10.0))
    gauge.tick(10.0)
    assert round(gauge.share, 6) == 0.75
    left = gauge.seconds_left
    assert left is not None and 9.9 < left < 10.1
    assert gauge.rows() == (3_000_000, 4_000_000)
    gauge.take(_event("build-3", StepState.STARTED))
    gauge.measured("build-3", 7.0)
    assert gauge.share < 1
    gauge.take(_event("build-3", StepState.FAILED))
    assert gauge.share < 1, "what failed is not done, and what was shown is not taken back"
    gauge.take(_event("build-3", StepState.STARTED))
    gauge.take(_event("build-3", StepState.DONE, seconds=1.0))
    assert gauge.share == 1


def test_a_proof_that_is_made_again_is_a_whole_of_its_own() -> None:
    proving = [_step(f"prove-{n}", Phase.PROVE, rows=1_000_000, table="exercise_logs") for n in range(2)]
    gauge = Gauge([_step("build-logs", rows=1_000_000, table="exercise_logs"), *proving])
    for name, phase in (("build-logs", Phase.BUILD), ("prove-0", Phase.PROVE), ("prove-1", Phase.PROVE)):
        gauge.take(_event(name, StepState.STARTED, phase))
        gauge.take(_event(name, StepState.DONE, phase, seconds=5.0))
    assert gauge.share == 1
    gauge.take(_event("prove-0", StepState.STARTED, Phase.PROVE))
    assert (gauge.share, gauge.phase_share, gauge.rows()) == (0, 0, (0, 2_000_000))
    gauge.take(_event("prove-0", StepState.DONE, Phase.PROVE, seconds=4.0))
    gauge.tick(4.0)
    assert gauge.share == 0.5 and gauge.rows() == (1_000_000, 2_000_000)
    left = gauge.seconds_left
    assert left is not None and 3.9 < left < 4.1
    gauge.take(_event("prove-1", StepState.STARTED, Phase.PROVE))
    gauge.take(_event("prove-1", StepState.DONE, Phase.PROVE, seconds=4.0))
    assert gauge.share == 1


SLOW_ROWS = """
create function slowly(text) returns boolean language plpgsql as $$ begin perform pg_sleep(0.002); return true; end $$;
create domain slow as text check (slowly(value));
alter table workout_plans add column pace slow;
"""
"""Every plan takes its time to be put in, on whatever machine: long enough to be looked at meanwhile."""


async def test_a_run_says_how_far_it_is(make_database: MakeDatabase, connect: Connect, monkeypatch: Any) -> None:
    monkeypatch.setattr(watch, "INTERVAL_SECONDS", 0.02)
    monkeypatch.setattr(watch, "LEAST_INTERVAL_SECONDS", 0.0)
    database = await make_database(SandboxOptions(plans=400, clean=True))
    await (await connect(database.url)).execute(SLOW_ROWS)
    ran = await do_migrate(database)
    assert ran.result.ok, ran.result
    course = [event for event in ran.events if isinstance(event, ProgressEvent)]
    shares = [event.share for event in course]
    assert shares == sorted(shares) and shares[-1] == 1.0 and min(shares) < 0.2
    assert len({share for share in shares if 0.1 < share < 0.9}) > 5
    for event in course:
        assert 0 <= event.phase_share <= 1 and event.rows <= event.total
        assert event.seconds_left is None or event.seconds_left >= 0
    built = [event for event in course if event.phase is Phase.BUILD]
    assert built[-1].rows == built[-1].total
    last = [event for event in ran.events if isinstance(event, StepEvent)][-1]
    assert last.phase is Phase.SETTLE and ran.events.index(course[-1]) > ran.events.index(last)
    within = [e for e in ran.events if isinstance(e, StepEvent) and e.state is StepState.PROGRESS and e.total]
    assert any(event.id.startswith("build-") and 0 < (event.rows or 0) < (event.total or 0) for event in within)
    assert all((event.rows or 0) <= (event.total or 0) for event in within)
    finished: set[str] = set()
    for step in ran.events:
        if isinstance(step, StepEvent) and step.phase is Phase.BUILD:
            assert step.state is not StepState.PROGRESS or step.id not in finished
            if step.state is StepState.DONE:
                finished.add(step.id)


async def test_a_watcher_that_cannot_look_harms_nobody(make_database: MakeDatabase, monkeypatch: Any) -> None:
    """It is judged by time then."""
    monkeypatch.setattr(watch, "INTERVAL_SECONDS", 0.02)
    database = await make_database(SandboxOptions(plans=60, clean=True))

    async def end(event: Event, control: Control) -> None:
        if isinstance(event, StepEvent) and event.phase is Phase.BUILD:
            async with database.as_admin() as admin:
                await admin.fetch(
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'vagus-tui watch'"
                )

    settings, control = settings_for(database), Control()
    ran = await collected(migrate(Database(settings), settings, control, hold=False), control, end)
    assert ran.result.ok, ran.result
    assert [event.share for event in ran.events if isinstance(event, ProgressEvent)][-1] == 1.0
