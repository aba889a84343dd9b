"""Two wizards on one database: what one does, the other sees, and only one runs the migration."""

from __future__ import annotations

from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, Walk, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.control import Control
from vagus_tui.events import Phase, StepState
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.state import State
from vagus_tui.migration.dependent_gates import DEPENDENT_GATES
from vagus_tui.migration.runner import migrate
from vagus_tui.runbook.communications import WEEK_BEFORE
from vagus_tui.session.reading import POLL_SECONDS, WATCH_SECONDS


async def test_a_tick_in_one_appears_in_the_other_within_three_seconds(clean_database: TestDatabase) -> None:
    item = WEEK_BEFORE.items[0]
    async with (
        walking(settings_for(clean_database.url, operator="Ada")) as ada,
        walking(settings_for(clean_database.url, operator="Marie"), size=LARGE) as marie,
    ):
        await marie.press("3")
        await until_text(marie, item.title)
        await until(marie, lambda: "Ada" not in screen_text(marie))
        # Looked at every second and a half, a tick is there within three on a machine that has time for it.
        assert max(POLL_SECONDS, WATCH_SECONDS) <= 1.5
        await wizard(ada).session.sign(item.id, ticked=True, note="sent to 12,000")
        await until(marie, lambda: item.id in wizard(marie).session.now.sign_offs)
        await until_text(marie, "Ada")
        await wizard(marie).session.sign(item.id, ticked=False)
        await until(ada, lambda: not wizard(ada).session.now.sign_offs[item.id].ticked)
        # Both are on record, each in their own name.
        async with clean_database.connect() as conn:
            rows = await conn.fetch("select operator, ticked from vagus_migration.sign_offs order by id")
        assert [(row["operator"], row["ticked"]) for row in rows] == [("Ada", True), ("Marie", False)]


async def test_what_one_measures_stands_in_the_other_ones_lists(clean_database: TestDatabase) -> None:
    async with (
        walking(settings_for(clean_database.url, operator="Ada")) as ada,
        walking(settings_for(clean_database.url, operator="Marie"), size=LARGE) as marie,
    ):
        # From the first act on, checks are on record.
        await wizard(marie).session.sign("prerequisites.plan-read", ticked=True)
        await marie.press("G", "slash", *"server version", "enter")
        await until_text(marie, "not measured yet")
        await ada.press("2")
        await until(ada, lambda: "server-version" in wizard(ada).session.results)
        await until_text(marie, "pass, Ada")
        assert not wizard(marie).session.results


async def test_the_second_watches_the_first_run_and_cannot_start_one(clean_database: TestDatabase) -> None:
    async with (
        walking(settings_for(clean_database.url, operator="Ada")) as ada,
        walking(settings_for(clean_database.url, operator="Marie"), size=LARGE) as marie,
    ):
        session, other = wizard(ada).session, wizard(marie).session
        assert session.database is not None
        await marie.press("5")
        database, settings = session.database, session.settings
        job = session.start_job("migration", lambda control: migrate(database, settings, control, hold=True))
        await until(ada, lambda: "hold" in job.steps, patience=60)
        await until_text(marie, "Ada on", "you watch")
        await until(marie, lambda: other.watched is not None and "hold" in other.watched.steps, patience=60)
        watched = other.watched
        assert watched is not None and watched.current is not None and watched.current.phase is Phase.HOLD
        builds = [step for step in watched.steps.values() if step.phase is Phase.BUILD]
        assert builds and all(step.state is StepState.DONE for step in builds)
        assert sum(step.rows or 0 for step in builds) > 0
        await until_text(marie, "build", "prove", "they decide")
        # What she has not checked herself hides nothing of it, and her gates take no locks that it would wait for.
        assert "Locked by" not in screen_text(marie)
        kept = {gate.id: gate for gate in other.own_gates}
        await other.refresh_gates()
        again = {gate.id: gate for gate in other.own_gates}
        assert again.keys() == kept.keys() > {check.id for check in DEPENDENT_GATES}
        assert all(again[check.id] == kept[check.id] for check in DEPENDENT_GATES)
        async with clean_database.connect() as conn:
            assert not await conn.fetchval("select to_regnamespace('workout_v2_trial') is not null")
        # Neither key nor command starts a second one, nor takes this one away.
        assert not _keys(marie) & {"migrate", "resume", "abandon", "cut_over", "stop"}
        theirs = [event async for event in migrate(database, other.settings, Control(), hold=False)]
        assert not getattr(theirs[-1], "ok", True)
        assert "Another operator is at work" in str(getattr(theirs[-1], "message", ""))
        assert job.running
        job.control.go()
        await until(ada, lambda: not job.running, patience=60)
        assert job.ok
        await until(marie, lambda: other.watched is None and other.state is not None, patience=30)
        await until(marie, lambda: other.state is not None and other.state.state is State.MIGRATED)
        # The same goes for the way back.
        await marie.press("8", "v")
        await until(marie, lambda: {"roll_back", "compare"} <= _keys(marie))
        async with clean_database.connect() as conn:
            await take_lock(conn)
            await until(marie, lambda: not {"roll_back", "compare"} & _keys(marie))


def _keys(pilot: Walk) -> set[str]:
    """The actions that keys do now."""
    return {binding.action for _, binding, enabled, _ in pilot.app.screen.active_bindings.values() if enabled}
