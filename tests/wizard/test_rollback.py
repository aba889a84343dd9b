"""Rollback: the advisor's questions, what would be carried back, the act itself, and what comes after it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from textual.containers import VerticalScroll

from tests.databases import TestDatabase
from tests.wizard.moved import migrated
from tests.wizard.walk import LARGE, SMALL, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.database.connection import Connection
from vagus_tui.events import CheckEvent, Event, Status
from vagus_tui.journal import decisions, store
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.state import State
from vagus_tui.rollback.advice import Recommendation, advise
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.runbook.rollback_advice import CRITERIA, Weight
from vagus_tui.session.knowledge import Topic
from vagus_tui.session.way_on import next_screen

NO_TO_ALL = {criterion.id: False for criterion in CRITERIA}


def _result(check: str, status: Status, overridden: str | None = None) -> CheckEvent:
    return CheckEvent(id=check, group="verification", title=check, status=status, measured=1, overridden=overridden)


def _passing(*criteria: str) -> dict[str, CheckEvent]:
    return {
        check: _result(check, Status.PASS)
        for criterion in CRITERIA
        if criterion.id in criteria
        for check in criterion.checks
    }


def test_nothing_is_recommended_while_critical_answers_are_missing() -> None:
    assert advise({}, {}).recommendation is Recommendation.FIND_OUT


def test_all_no_means_stay() -> None:
    assert advise({}, NO_TO_ALL).recommendation is Recommendation.STAY


@pytest.mark.parametrize("criterion", [one.id for one in CRITERIA if one.weight is Weight.CRITICAL])
def test_one_critical_yes_is_enough(criterion: str) -> None:
    advice = advise({}, {**NO_TO_ALL, criterion: True})
    assert advice.recommendation is Recommendation.ROLL_BACK
    assert len(advice.reasons) == 1


@pytest.mark.parametrize("criterion", [one.id for one in CRITERIA if one.weight is Weight.FIX_FORWARD])
def test_a_minor_yes_is_fixed_forward(criterion: str) -> None:
    assert advise({}, {**NO_TO_ALL, criterion: True}).recommendation is Recommendation.FIX_FORWARD


def test_a_measurement_counts_before_an_answer() -> None:
    results = {"row-proof": _result("row-proof", Status.FAIL)}
    assert advise(results, NO_TO_ALL).recommendation is Recommendation.ROLL_BACK
    passing = _passing("advice.data-loss")
    assert advise(passing, {**NO_TO_ALL, "advice.data-loss": True}).recommendation is Recommendation.STAY


def test_checks_that_had_nothing_to_look_at_answer_nothing() -> None:
    answered = {name: yes for name, yes in NO_TO_ALL.items() if name != "advice.data-loss"}
    results = {check: _result(check, Status.SKIP) for check in _passing("advice.data-loss")}
    assert advise(results, answered).recommendation is Recommendation.FIND_OUT
    # Nobody of one kind is no reason to doubt what the others show.
    access = _passing("advice.wrong-access") | {"access-coaches": _result("access-coaches", Status.SKIP)}
    assert advise(access, {**NO_TO_ALL, "advice.wrong-access": True}).recommendation is Recommendation.STAY


@pytest.mark.parametrize("check", ["rls-enforced", "access-others", "access-owners"])
def test_whoever_sees_too_much_is_a_reason_to_go_back(check: str) -> None:
    results = _passing("advice.wrong-access") | {check: _result(check, Status.FAIL)}
    assert advise(results, NO_TO_ALL).recommendation is Recommendation.ROLL_BACK


def test_an_overridden_failure_is_still_a_yes() -> None:
    results = {"row-proof": _result("row-proof", Status.FAIL, overridden="known")}
    assert advise(results, NO_TO_ALL).recommendation is Recommendation.ROLL_BACK


def test_a_check_that_could_not_run_answers_nothing() -> None:
    results = _passing("advice.data-loss") | {"row-proof": _result("row-proof", Status.ERROR)}
    answered = {name: yes for name, yes in NO_TO_ALL.items() if name != "advice.data-loss"}
    assert advise(results, answered).recommendation is Recommendation.FIND_OUT


async def test_before_the_migration_it_is_locked(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        wizard(pilot).action_go("rollback")
        await until_text(pilot, "Locked by 1 gate")


async def test_questions_are_answered_and_kept(moved_database: TestDatabase, moved_conn: Connection) -> None:
    settings = settings_for(moved_database.url)
    # Said of an attempt before this one.
    await decisions.sign(moved_conn, "advice.app-crashes", ticked=True, operator="Bob")
    await moved_conn.execute("update vagus_migration.sign_offs set at = at - interval '1 day'")
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("rollback")
        await until_text(pilot, "Undecided: find out first")
        await pilot.press("r")
        await until_text(pilot, "5 checks pass")
        await pilot.press("down", "down", "y")
        await until_text(pilot, "Roll back now", "Stop the staged release", "rows written since the cut-over")
        assert wizard(pilot).session.standings[Step.ROLLBACK].status is Status.FAIL
        await pilot.press("o", "down", "o")
        await until_text(pilot, "Stay")
    signed = await decisions.sign_offs(moved_conn)
    assert signed["advice.app-crashes"].ticked is False


async def test_later_writes_are_shown_and_carried_back(moved_database: TestDatabase, moved_conn: Connection) -> None:
    settings = settings_for(moved_database.url)
    await moved_conn.execute(
        "update workout_plans set name = 'written later' where id = (select min(id::text)::uuid from workout_plans)"
    )
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("rollback")
        # In the smallest terminal too there is room for the questions, beside the cost.
        await until_text(pilot, "Whether to go back", "plans, exercises or history", "Going back carries 1 row;", "  ?")
        # What was changed by hand past help is said in place of what would be done; the rest is put back.
        await moved_conn.execute(
            "drop index idx_exercises_plan_id_v1; alter table exercise_logs_v1 rename column notes to remarks"
        )
        await pilot.press("v")
        await until_text(pilot, "column notes of exercise_logs_v1 is gone", "Put it right: rename it back")
        await until_text(pilot, "not possible as things are")
        assert "undecided" not in screen_text(pilot)
        await pilot.press("b")
        await moved_conn.execute("alter table exercise_logs_v1 rename column remarks to notes")
        await pilot.press("v", "v", "v")
        await until_text(
            pilot, "1 row written since the cut-over", "and put back: index", "Counted from what was noted"
        )
        await until_text(pilot, "1 row to carry back")
        assert wizard(pilot).session.job is None
        # What was not noted is seen only where every row is compared, and that can be asked for.
        await pilot.press("p")
        await until_text(pilot, "differs but by a noted write")
        notes = await moved_conn.fetch("delete from vagus_migration.v2_changes returning table_name, row_id")
        await pilot.press("p")
        await until_text(pilot, "1 row differs", "ask what to do about them", "Nothing was noted")
        await moved_conn.executemany("insert into vagus_migration.v2_changes values ($1, $2)", [(*n,) for n in notes])
        # However far down one had read, how it ended is in view.
        pilot.app.screen.query_one("#quick-text-scroll", VerticalScroll).scroll_end(animate=False)
        await pilot.press("b")
        await until_text(pilot, "Stay on v2")
        await pilot.press("tab", "enter")
        await until_text(pilot, "Rolled back: v1 is in place", "v: what follows")
        await until(pilot, lambda: wizard(pilot).session.standings[Step.ROLLBACK].status is Status.WARN)
        assert next_screen(wizard(pilot).session) is Step.ROLLBACK
        await pilot.press("v")
        await until_text(pilot, "Send the rollback notice")
        assert "v: what follows" not in screen_text(pilot)
        await pilot.press("t")
        await until(pilot, lambda: "back to the earlier version" in wizard(pilot).clipboard)
        await pilot.press("down", "t")
        await until(pilot, lambda: "workout_plans: 0 new, 1 changed" in wizard(pilot).clipboard)
        assert await moved_conn.fetchval("select count(*) from workout_plans where name = 'written later'") == 1
        assert await moved_conn.fetchval("select to_regclass('idx_exercises_plan_id') is not null")
        # Whoever comes anew finds what follows at once.
        async with walking(settings) as other:
            wizard(other).action_go("rollback")
            await until_text(other, "Send the rollback notice")
        # Once there is a v2 again, whether to go back from it, and nothing of how the last way back ended.
        wizard(pilot).action_go("overview")
        await migrated(settings)
        await until(pilot, lambda: (state := wizard(pilot).session.state) is not None and state.state is State.MIGRATED)
        wizard(pilot).action_go("rollback")
        await until_text(pilot, "Does the app crash", "undecided")
        assert "Rolled back" not in screen_text(pilot)


async def test_the_harmless_answer_comes_first(moved_database: TestDatabase, moved_conn: Connection) -> None:
    settings = settings_for(moved_database.url, environment="production", project="vagus-prod")
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("rollback")
        await pilot.press("v")
        await until_text(pilot, "Nothing was noted since")
        await pilot.press("b")
        # The text begins at its beginning, beside what is asked for, and says that there is more of it.
        await until_text(pilot, "Type vagus-prod to go on", "page down more")
        body = pilot.app.screen.query_one("#dialog-body", VerticalScroll)
        assert body.max_scroll_y > body.scroll_y == 0
        await pilot.press("enter", "escape")
        await pilot.pause(0.2)
        assert wizard(pilot).session.job is None
    assert await moved_conn.fetchval("select to_regclass('public.workout_weeks')") is not None


async def test_one_that_runs_elsewhere_keeps_its_mark(
    moved_database: TestDatabase, moved_conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The screen's own mark and that of a rollback elsewhere took turns, each calling the other up, without an end."""
    await store.start_run(moved_conn, "rollback", operator="Bob", environment="development", options={})
    await take_lock(moved_conn)
    async with walking(settings_for(moved_database.url), size=SMALL) as pilot:
        session, told = wizard(pilot).session, 0
        await pilot.press("8")
        await until_text(pilot, "Bob: rollback", "Does the app crash")
        await until(pilot, lambda: session.standings[Step.ROLLBACK].status is Status.RUNNING)
        tell = session._listener

        def counted(topics: frozenset[Topic], events: Sequence[Event]) -> None:
            nonlocal told
            told += Topic.STANDING in topics
            tell(topics, events)

        monkeypatch.setattr(session, "_listener", counted)
        await pilot.pause(0.6)
        assert told < 3
        assert session.standings[Step.ROLLBACK].status is Status.RUNNING
    await moved_conn.execute("select pg_advisory_unlock_all()")


async def test_an_interrupted_one_is_finished_or_cleared_away(
    moved_database: TestDatabase, moved_conn: Connection
) -> None:
    settings = settings_for(moved_database.url)
    begun = await store.start_run(moved_conn, "rollback", operator="Bob", environment="development", options={})
    async with walking(settings, size=SMALL) as pilot:
        await until_text(pilot, "A rollback was interrupted, before it changed", "Clear the rollback away")
        await pilot.press("tab", "enter")
        # Where it is at home, which is where the next act is: the same key does the same there, and it is told there.
        await until_text(pilot, "Clear the rollback away", "is dropped")
        assert pilot.app.current_mode == "rollback"
        await pilot.press("escape")
        await until_text(pilot, "x clears it away", "interrupted")
        await pilot.press("x", "tab", "enter")
        await until_text(pilot, "was cleared away", "v2 is in place")
        await until(pilot, lambda: (state := wizard(pilot).session.state) is not None and not state.interrupted)
        runs = {run.id: run.status for run in await store.runs(moved_conn)}
        assert runs[begun] == "interrupted"
        # As after the commit of one, with its last steps owed.
        owing = await store.start_run(moved_conn, "rollback", operator="Bob", environment="development", options={})
        await store.update_run(moved_conn, owing, status="done")
        wizard(pilot).session.wake()
        await until_text(pilot, "its last steps are owed", "u does what is left")
        wizard(pilot).action_go("overview")
        await until_text(pilot, "Finish the rollback", "next: 8 Rollback")
        await pilot.press("u")
        await until_text(pilot, "Nothing that users see changes")
        await pilot.press("tab", "enter")
        await until_text(pilot, "The last steps of a finished rollback were done")
