"""The timeline drawn: real dates, what is late and due, done by evidence or by hand, the run beside its rehearsal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.backup.forecast import TOPIC, Forecast
from vagus_tui.events import Phase, Status, StepEvent, StepState
from vagus_tui.journal import store
from vagus_tui.journal.progress import StepTimes
from vagus_tui.runbook.timeline import TIMELINE
from vagus_tui.screens.timeline import TimelineScreen
from vagus_tui.screens.timeline_rows import (
    VIEWS,
    WorkClock,
    courses,
    entry_lines,
    minute_plan,
    plan_rows,
    run_rows,
    run_span,
    span,
)
from vagus_tui.widgets.axis import Axis, Bar
from vagus_tui.widgets.gantt import Gantt
from vagus_tui.zones import zone

OSLO = zone("Europe/Oslo")


def test_a_bar_covers_its_time_and_never_vanishes() -> None:
    axis = Axis(0, 100, 10)
    assert axis.draw([Bar(20, 50, "#", "")]).plain == "  ###     "
    assert axis.draw([Bar(20, 20.1, "#", "")]).plain == "  #       "
    assert axis.draw([Bar(20, None, "#", "")], now=5, zero=95).plain == "│ #######▸"
    assert axis.draw([Bar(-50, -10, "#", ""), Bar(200, 300, "#", "")]).plain == " " * 10
    assert axis.labels([(0, "T−0"), (10, "hidden"), (90, "out of it"), (50, "half")]) == "T−0  half "


def test_dates_are_those_of_the_operators_calendar_over_a_change_of_the_clocks() -> None:
    planned = datetime(2026, 3, 30, 22, 0, tzinfo=OSLO)
    now = planned - timedelta(days=2)
    drawn = span(VIEWS[0], planned, now, OSLO)
    labels = {text for _, text in drawn.ticks}
    assert {"T−0", "23 Mar", "29 Mar", "06 Apr"} <= labels
    assert drawn.now == pytest.approx(-2 * 86400, abs=3600)
    rows = {row.key: row for row in plan_rows(VIEWS[0], planned, now, {"timeline.announce": now})}
    assert rows.keys() == {entry.id for entry in TIMELINE}
    assert rows["timeline.announce"].status is Status.PASS and rows["timeline.announce"].bars[1].fill == "◆"
    assert rows["timeline.staging"].status is Status.FAIL
    assert rows["timeline.acceptance-test"].status is Status.WARN
    assert rows["timeline.cut-over"].status is Status.PENDING


def test_the_days_are_counted_on_the_operators_clock_wherever_the_moment_was_read_from() -> None:
    """The database gives T-0 in UTC; a week before 22:00 is 22:00 all the same."""
    planned = datetime(2027, 3, 30, 20, 0, tzinfo=UTC)
    announce = next(entry for entry in TIMELINE if entry.id == "timeline.announce")
    now = planned - timedelta(days=30)
    assert entry_lines(announce, planned, now, {}, OSLO)[0].startswith("T−7 days is Tue 23 Mar 2027, 22:00: upcoming")
    copied = minute_plan(planned, {}, OSLO)
    assert copied[0] == "T−0: Tue 30 Mar 2027, 22:00 CEST"
    assert copied[1].startswith("Tue 23 Mar 2027, 22:00  T−7 days")
    # Labels stand where the rows of their day begin, an hour earlier by elapsed time before the change.
    axis = span(VIEWS[0], planned, now, OSLO)
    assert (-7 * 86400 + 3600, "23 Mar") in axis.ticks and (7 * 86400, "06 Apr") in axis.ticks
    [row] = [one for one in plan_rows(VIEWS[0], planned.astimezone(OSLO), now, {}) if one.key == announce.id]
    assert row.bars[0].start == -7 * 86400 + 3600
    midnight = datetime(2027, 3, 29, 22, 30, tzinfo=UTC)
    assert "23 Mar" in {text for at, text in span(VIEWS[0], midnight, now, OSLO).ticks if at < -6 * 86400}


def test_every_row_of_the_plan_is_in_some_view_and_the_minutes_hold_the_cut_over() -> None:
    shown = {row.key for view in VIEWS for row in plan_rows(view, None, datetime.now(UTC), {})}
    # What is done is done, whether or not there is a plan.
    marks = {row.key: row.status for row in plan_rows(VIEWS[0], None, datetime.now(UTC), {"timeline.announce": None})}
    assert marks["timeline.announce"] is Status.PASS and marks["timeline.staging"] is Status.PENDING
    assert shown == {entry.id for entry in TIMELINE}
    minutes = {row.key for row in plan_rows(VIEWS[2], None, datetime.now(UTC), {})}
    assert {"timeline.cut-over", "timeline.verify", "timeline.reopen", "timeline.release-app"} <= minutes


def test_the_run_is_drawn_beside_its_rehearsal() -> None:
    begun = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)
    built = StepEvent(id="b", phase=Phase.BUILD, title="", state=StepState.DONE)
    proving = StepEvent(id="p", phase=Phase.PROVE, title="", state=StepState.PROGRESS)
    steps = [
        StepTimes(built, begun, begun + timedelta(seconds=40)),
        StepTimes(proving, begun + timedelta(seconds=40), None),
    ]
    forecast = Forecast(
        rehearsed_at=begun, complete=True, backup="x", server_major=17, rows={}, phases={"build": 30.0, "prove": 10.0}
    )
    found = {one.phase: one for one in courses(steps, forecast, begun + timedelta(seconds=45))}
    assert found[Phase.BUILD].actual == (0, 40) and found[Phase.BUILD].forecast == (0, 30)
    assert found[Phase.PROVE].actual == (40, 45) and found[Phase.PROVE].forecast == (30, 40)
    assert found[Phase.PROVE].status is Status.RUNNING and found[Phase.SETTLE].status is Status.PENDING
    assert found[Phase.BUILD].words == "0:40, rehearsed 0:30"
    rows = run_rows(list(found.values()))
    assert sum(row.what == "  as rehearsed" for row in rows) == 2
    assert run_span(list(found.values()), 45.0).end > 45


def test_time_in_which_nobody_was_at_work_is_no_part_of_a_phase() -> None:
    """Killed after 5 s, taken up again an hour later, done 10 s after that: a build of 15 s."""
    begun = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)
    heard = begun + timedelta(seconds=5)
    again = begun + timedelta(hours=1)

    def step(name: str, phase: Phase, start: datetime, end: datetime | None) -> StepTimes:
        state = StepState.DONE if end else StepState.PROGRESS
        return StepTimes(StepEvent(id=name, phase=phase, title="", state=state), start, end, end or heard)

    killed = [step("a", Phase.BUILD, begun, begun + timedelta(seconds=4)), step("b", Phase.BUILD, begun, None)]
    broken = {one.phase: one for one in courses(killed, None, heard, broken=True)}
    assert broken[Phase.BUILD].status is Status.WARN and broken[Phase.BUILD].took == 5
    resumed = [killed[0], step("b", Phase.BUILD, again, again + timedelta(seconds=10))]
    resumed.append(step("c", Phase.PROVE, again + timedelta(seconds=10), again + timedelta(seconds=12)))
    now = again + timedelta(minutes=1)
    found = {one.phase: one for one in courses(resumed, None, now)}
    assert found[Phase.BUILD].took == 14 and found[Phase.BUILD].status is Status.PASS
    assert found[Phase.PROVE].actual == (14, 16)
    assert WorkClock(resumed, now).left_out == 3596


def test_a_hold_of_hours_leaves_room_for_the_rest() -> None:
    begun = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)

    def step(phase: Phase, start: float, end: float) -> StepTimes:
        event = StepEvent(id=phase.value, phase=phase, title="", state=StepState.DONE)
        return StepTimes(event, begun + timedelta(seconds=start), begun + timedelta(seconds=end))

    steps = [step(Phase.BUILD, 0, 60), step(Phase.HOLD, 60, 7260), step(Phase.CUT_OVER, 7260, 7261)]
    found = {one.phase: one for one in courses(steps, None, begun + timedelta(hours=3))}
    assert found[Phase.HOLD].actual == (60, 90) and found[Phase.HOLD].words == "2 h 0 m"
    assert found[Phase.CUT_OVER].actual == (90, 91) and found[Phase.CUT_OVER].words == "1 s"
    # What is proved once more after the hold stands behind it, as a proof of its own.
    before = [step(Phase.PROVE, 50, 60)]
    steps.insert(2, step(Phase.PROVE, 7260, 7262))
    steps[-1] = step(Phase.CUT_OVER, 7262, 7263)
    both = courses(steps, None, begun + timedelta(hours=3), before=before)
    rows = [(one.key, one.words) for one in both if one.took is not None]
    assert rows == [
        ("build", "1:00"),
        ("prove", "0:10"),
        ("hold", "2 h 0 m"),
        ("prove again", "2 s"),
        ("cut-over", "1 s"),
    ]


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_t_zero_is_set_rows_are_ticked_and_the_run_is_there(
    clean_database: TestDatabase, size: tuple[int, int]
) -> None:
    settings = settings_for(clean_database.url, timezone="Europe/Oslo")
    async with walking(settings, size=size) as pilot:
        await pilot.press("T")
        await until(pilot, lambda: isinstance(pilot.app.screen, TimelineScreen))
        await until_text(pilot, "T−0 is not set", "Announce the upgrade")
        planned = datetime.now(UTC) + timedelta(days=2)
        await wizard(pilot).session.plan_for(planned)
        await until(pilot, lambda: wizard(pilot).session.planned is not None)
        here = wizard(pilot).session.planned
        assert here == planned and here is not None and here.utcoffset() == planned.astimezone(OSLO).utcoffset()
        await until_text(pilot, "T−0 in", "late")
        gantt = pilot.app.screen.query_one(Gantt)
        assert gantt.items[0].status is Status.FAIL
        await pilot.press("space")
        await until(pilot, lambda: gantt.items[0].status is Status.PASS)
        await until_text(pilot, "late")
        await pilot.press("v", "v")
        await until_text(pilot, "Maintenance flag and write")
        await pilot.press("v")
        await until_text(pilot, "Cut over", "No rehearsal")
        await pilot.press("question_mark")
        await until_text(pilot, "to two weeks after it")


async def test_evidence_ticks_what_the_migration_did(moved_database: TestDatabase) -> None:
    settings = settings_for(moved_database.url)
    async with moved_database.connect() as conn:
        rehearsed = Forecast(
            rehearsed_at=datetime.now(UTC),
            complete=True,
            backup="20260301",
            server_major=17,
            rows={},
            phases={phase.value: 2.0 for phase in (Phase.PREPARE, Phase.BUILD, Phase.CUT_OVER)},
        )
        await store.note(conn, TOPIC, rehearsed.model_dump(mode="json"), operator="Ada")
    async with walking(settings, size=LARGE) as pilot:
        await wizard(pilot).session.plan_for(datetime.now(UTC) + timedelta(seconds=1))
        await until_text(pilot, "Rehearsed")
        await pilot.press("T")
        await until_text(pilot, "Hours", "Build v2 beside v1")
        gantt = pilot.app.screen.query_one(Gantt)
        done = {row.key for row in gantt.items if row.status is Status.PASS}
        assert {"timeline.build", "timeline.cut-over", "timeline.reopen"} <= done
        gantt.select("timeline.cut-over")
        await pilot.press("space")
        await pilot.pause()
        assert "timeline.cut-over" not in wizard(pilot).session.now.sign_offs
        await pilot.press("v", "v")
        await until_text(pilot, "as rehearsed", "Cut over")
        assert "No rehearsal" not in screen_text(pilot)
