"""Prerequisites: live rows, details, fixes and undoing them, overrides."""

from __future__ import annotations

import pytest

from tests.checks.support import looking_at
from tests.databases import TestDatabase
from tests.remedies.test_safety import spoil
from tests.wizard.walk import LARGE, SMALL, Walk, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.checks import waiting
from vagus_tui.checks.base import Group
from vagus_tui.checks.registry import checks_for
from vagus_tui.events import Status
from vagus_tui.remedies import remedy_by_id
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens import check_detail
from vagus_tui.screens.check_detail import CheckDetail
from vagus_tui.screens.fixes import FixScreen
from vagus_tui.screens.prerequisites import PrerequisitesScreen
from vagus_tui.screens.undo_list import UndoScreen
from vagus_tui.widgets.check_table import EXPECTED, CheckTable, expected_text, measured_text
from vagus_tui.widgets.long_lines import STEP
from vagus_tui.widgets.row_page import PageTable

CHECKS = (*checks_for(Group.PREREQUISITES), *checks_for(Group.DATA_QUALITY))


def table(pilot: Walk) -> CheckTable:
    """The table, wherever the walk is."""
    screen = next(one for one in pilot.app.screen_stack if isinstance(one, PrerequisitesScreen))
    return screen.table


def status_of(pilot: Walk, check_id: str) -> Status:
    """How a check stands on the screen."""
    return next(event.status for event in table(pilot).events if event.id == check_id)


async def enter(pilot: Walk) -> None:
    """Go to the screen and wait until all checks have run."""
    await pilot.press("2")
    await until_done(pilot)


async def until_done(pilot: Walk) -> None:
    """Wait until no check is pending or running."""
    await until(pilot, lambda: isinstance(pilot.app.screen, PrerequisitesScreen))
    session = wizard(pilot).session
    await until(pilot, lambda: len(session.outcomes(CHECKS)) == len(CHECKS) and not session.checking("prerequisites"))
    await until(
        pilot,
        lambda: all(event.status not in (Status.PENDING, Status.RUNNING) for event in table(pilot).events),
    )


def places(pilot: Walk) -> list[tuple[int, int]]:
    """Where the names of the first checks stand on the screen: line and column."""
    return [
        (number, line.index(check.title))
        for number, line in enumerate(screen_text(pilot).splitlines())
        for check in CHECKS[:5]
        if check.title in line
    ]


async def select(pilot: Walk, check_id: str) -> None:
    """Put the cursor on a check."""
    table(pilot).select(check_id)
    await pilot.pause()


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_every_check_runs_on_entry_and_the_rail_says_so(database: TestDatabase, size: tuple[int, int]) -> None:
    async with walking(settings_for(database.url), size=size) as pilot:
        await enter(pilot)
        total = len(CHECKS)
        assert pilot.app.focused is table(pilot)
        # A name that is cut tells nobody what was found.
        width = table(pilot).scrollable_content_region.width
        rows = [table(pilot).row(event, width, here=False, focused=False).plain for event in table(pilot).events]
        cut = [check.title for check, row in zip(CHECKS, rows, strict=True) if check.title not in row]
        assert not cut
        # So do what was measured and what is expected, which begins at the same place in every row.
        await until_done(pilot)
        rows = [table(pilot).row(event, width, here=False, focused=False).plain for event in table(pilot).events]
        at = table(pilot).header(width).plain.index("Expected")
        short = {
            event.id
            for event, row in zip(table(pilot).events, rows, strict=True)
            if not row[at:].startswith(expected_text(event)) or not row[:at].endswith(f"{measured_text(event)}  ")
        }
        assert not short, [row for row in rows if "…" in row]
        assert not [check.id for group in Group for check in checks_for(group) if len(check.expected) > EXPECTED]
        # When all have run the cursor goes to the first that fails, which may be far down.
        await until_text(pilot, f"{total} of {total}", "fail")
        first = next(event for event in table(pilot).events if event.status.blocks)
        await until(pilot, lambda: table(pilot).selected == first, patience=5)
        await pilot.press("home")
        await until_text(pilot, "Server version", "14 or later")
        await until(pilot, lambda: wizard(pilot).session.standings[Step.PREREQUISITES].status is Status.FAIL)


async def test_rows_never_move_when_they_turn(database: TestDatabase) -> None:
    async with walking(settings_for(database.url)) as pilot:
        await enter(pilot)
        await pilot.press("home")
        await until_text(pilot, "Server version")
        before = [event.id for event in table(pilot).events], places(pilot)
        await pilot.press("r")
        await until_done(pilot)
        await pilot.press("home")
        await until_text(pilot, "Server version")
        assert ([event.id for event in table(pilot).events], places(pilot)) == before


async def test_enter_shows_the_rows_and_escape_leads_back_to_the_same_row(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_detail, "PAGE_ROWS", 2)
    async with walking(settings_for(database.url)) as pilot:
        await enter(pilot)
        # What does something now comes before what does not; what finds no room is counted, and help has it.
        await select(pilot, "plans-null-owner")
        await until_text(pilot, "f fix  F fix all safe  o override  r run again", "? 5 more  ^p")
        await select(pilot, "server-version")
        await until_text(pilot, "F fix all safe  r run again  n next  s SQL", "? 3 more  ^p")
        await pilot.click("KeyFooter", offset=(screen_text(pilot).splitlines()[-1].index("3 more"), 0))
        await until_text(pilot, "M  ", "monitor: run again by itself")
        await pilot.press("escape")
        await select(pilot, "plans-null-owner")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, CheckDetail))
        await until_text(pilot, "Rows 1 to 2 of 3", "user_id", "NULL", "> next rows")
        await pilot.press("greater_than_sign")
        await until_text(pilot, "Rows 3 to 3 of 3", "< previous rows")
        await pilot.press("less_than_sign")
        await until_text(pilot, "Rows 1 to 2 of 3")
        # What does not fit is read sideways, in steps that lead somewhere.
        rows = pilot.app.screen.query_one("#rows", PageTable)
        await pilot.press("right", "right", "left")
        assert rows.scroll_x == STEP
        await pilot.press("end")
        assert rows.scroll_x == rows.max_scroll_x > STEP
        await pilot.press("home")
        await pilot.press("s")
        await until_text(pilot, "select", "copy")
        await pilot.press("c")
        assert "select" in pilot.app.clipboard.lower()
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, PrerequisitesScreen))
        assert table(pilot).selected_key == "plans-null-owner"
        # What the detail says that a key does, the key does there.
        await pilot.press("enter")
        await until_text(pilot, "f fixes it", "f fix", "o override")
        await pilot.press("f")
        await until(pilot, lambda: isinstance(pilot.app.screen, FixScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, PrerequisitesScreen))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, CheckDetail))
        await pilot.press("o")
        await until_text(pilot, "This one cannot be overridden")


async def test_a_fix_is_previewed_asked_applied_and_put_back(database: TestDatabase) -> None:
    async with walking(settings_for(database.url)) as pilot:
        await enter(pilot)
        await select(pilot, "plans-null-owner")
        assert status_of(pilot, "plans-null-owner") is Status.FAIL
        # From the detail, whose words say that f fixes it.
        await pilot.press("enter")
        await until_text(pilot, "Rows 1 to", "f fixes it", "f fix  ")
        await pilot.press("f")
        await until(pilot, lambda: isinstance(pilot.app.screen, FixScreen))
        await until_text(pilot, "Set aside", "Give to whoever trained by it")
        await pilot.press("end", "enter")
        await until_text(pilot, "Cancel", "Set aside")
        # The focus is on Cancel: Enter changes nothing.
        assert pilot.app.focused is not None and pilot.app.focused.id == "cancel"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, FixScreen))
        async with database.connect() as conn:
            nobody = await conn.fetchval("select count(*) from workout_plans where user_id is null")
            assert nobody > 0
            await pilot.press("enter")
            await until_text(pilot, "Cancel")
            await pilot.press("right", "enter")
            await until_done(pilot)
            # What the detail showed is no longer so.
            await until(pilot, lambda: isinstance(pilot.app.screen, PrerequisitesScreen))
            await until(pilot, lambda: status_of(pilot, "plans-null-owner") is Status.PASS)
            assert await conn.fetchval("select count(*) from workout_plans where user_id is null") == 0
            await pilot.press("u")
            # The selected fix in full, below a list that cuts it off at 80 columns.
            await until_text(
                pilot, "1 of 1 in place", "Plans without an owner: Set aside", "in place; enter puts it back"
            )
            await pilot.press("enter")
            await until_text(pilot, "Every row becomes what it was")
            await pilot.press("right", "enter")
            await until_text(pilot, "Put back 20", "by Ada", "0 of 1 in place")
            assert await conn.fetchval("select count(*) from workout_plans where user_id is null") == nobody


async def test_all_safe_fixes_after_one_question(database: TestDatabase) -> None:
    async with walking(settings_for(database.url), size=LARGE) as pilot:
        await enter(pilot)
        failing = len(wizard(pilot).session.blocking(CHECKS))
        await pilot.press("F")
        await until_text(pilot, "Fix all safe", "Cancel", "No row leaves")
        await pilot.press("right", "enter")
        await until(pilot, lambda: wizard(pilot).session.checking("prerequisites"))
        await until_done(pilot)
        assert len(wizard(pilot).session.blocking(CHECKS)) < failing


async def test_the_second_question_of_an_undo_says_how_many_others_there_are(clean_database: TestDatabase) -> None:
    """And where there are none, nothing is asked; what was put back cannot be put back again."""
    some = "select id from workout_plans order by id limit 3"
    async with clean_database.connect() as conn:
        await spoil(clean_database, f"update workout_plans set duration_weeks = 99 where id in ({some})")
        async with looking_at(clean_database) as context:
            await remedy_by_id("plans-weeks-clamp").apply(context)
        await spoil(clean_database, f"update workout_plans set duration_weeks = 12 where id in ({some[:-1]}1)")
        async with walking(settings_for(clean_database.url)) as pilot:
            pilot.app.push_screen(UndoScreen(lambda: None))
            await until_text(pilot, "1 of 1 in place", "enter put back")
            await pilot.press("enter")
            await until_text(pilot, "Put back 3 rows")
            await pilot.press("right", "enter")
            await until_text(pilot, "has another", "Undo later fixes", "Put back the other 2 rows")
            await pilot.press("right", "enter")
            await until_text(pilot, "1 in workout_plans", "2 more were put back before")
            await pilot.press("enter")
            await until_text(pilot, "Put back 1 row")
            await pilot.press("right", "enter")
            await until_text(pilot, "That did not work", "has another", "Nothing was changed", "esc close")
            await pilot.press("escape")
            await spoil(clean_database, f"update workout_plans set duration_weeks = 52 where id in ({some[:-1]}1)")
            await pilot.press("enter")
            await until_text(pilot, "Put back 1 row")
            await pilot.press("right", "enter")
            await until_text(pilot, "3 in workout_plans", "0 of 1 in place")
            (entered,) = (one for one in pilot.app.screen.active_bindings.values() if one.binding.action == "open")
            assert not entered.enabled
        assert await conn.fetchval("select count(*) from workout_plans where duration_weeks = 99") == 3


async def test_an_override_needs_a_reason_and_can_be_taken_back(database: TestDatabase) -> None:
    async with walking(settings_for(database.url, environment="production")) as pilot:
        await enter(pilot)
        await select(pilot, "tls")
        assert status_of(pilot, "tls") is Status.FAIL
        await pilot.press("o")
        await until_text(pilot, "Override a check")
        await pilot.press("enter")
        await until_text(pilot, "Please give a reason.")
        await pilot.press(*"lab [/b]", "enter")
        await until_text(pilot, "overridden")
        async with database.connect() as conn:
            row = await conn.fetchrow("select check_id, reason, operator from vagus_migration.overrides")
        assert row is not None and tuple(row) == ("tls", "lab [/b]", "Ada")
        assert not any(event.id == "tls" for event in wizard(pilot).session.blocking(CHECKS))
        await pilot.press("o")
        await until_text(pilot, "lab [/b]", "Take the override back")
        await pilot.press("right", "enter")
        await until(pilot, lambda: any(event.id == "tls" for event in wizard(pilot).session.blocking(CHECKS)))


async def test_what_would_lose_data_cannot_be_overridden(database: TestDatabase) -> None:
    async with walking(settings_for(database.url)) as pilot:
        await enter(pilot)
        await select(pilot, "orphaned-exercises")
        await pilot.press("o")
        await until_text(pilot, "cannot be overridden")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, PrerequisitesScreen))
        # A key that has nothing to do says so: what passes needs no override.
        await pilot.press("home", "o")
        told = "Override: not possible here now."
        await until(pilot, lambda: told in [note.message for note in pilot.app._notifications])


async def test_running_again_sees_what_has_changed(database: TestDatabase) -> None:
    async with walking(settings_for(database.url)) as pilot:
        await enter(pilot)
        assert status_of(pilot, "plans-null-owner") is Status.FAIL
        async with database.planting() as admin:
            await admin.execute(
                "update workout_plans set user_id = (select id from auth.users limit 1) where user_id is null"
            )
        await pilot.press("r")
        await until_done(pilot)
        assert status_of(pilot, "plans-null-owner") is Status.PASS


async def test_who_is_waited_for_is_said_and_what_a_lost_connection_cut_off_runs_again_once(
    clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "TELL_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 600.0)
    ended = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'vagus-tui checks'"
    settings = settings_for(clean_database.url)
    async with (
        clean_database.as_admin() as admin,
        clean_database.as_admin() as killer,
        walking(settings, size=LARGE) as pilot,
    ):
        session = wizard(pilot).session

        def said() -> str:
            return " ".join(note.message for note in pilot.app._notifications)

        # Half way: the checks before those of users have their outcomes by then.
        await admin.execute("begin; lock table auth.users in access exclusive mode; select 'held [/foo]'")
        wizard(pilot).action_go("prerequisites")
        pid = await admin.fetchval("select pg_backend_pid()")
        await until_text(pilot, "Waits for a lock on auth.users", f"PID {pid} (", "5, then b", "waits")
        measured = len([event for event in table(pilot).events if event.status is Status.PASS])
        assert 0 < measured < len(CHECKS)
        await killer.execute(ended)
        await until(pilot, lambda: "checks that a lost connection cut off run again." in said())
        # Cut off once more, it is left to the operator, who is told what is unfinished and what runs it.
        await until(pilot, lambda: session.waits)
        await killer.execute(ended)
        await until(pilot, lambda: not session.checking("prerequisites") and not session.waits)
        lost = [event for event in table(pilot).events if event.status is Status.ERROR]
        assert lost and len(lost) <= len(CHECKS) - measured
        table(pilot).select(lost[0].id)
        await until_text(pilot, "Not measured, expected under", "r runs them again.")
        assert {str(event.message) for event in lost} == {wizard(pilot).session.results[lost[0].id].message}
        assert "once more" in str(lost[0].message) and f"{len(lost)} checks" in str(lost[0].message)
        await admin.execute("rollback")
        await pilot.press("r")
        await until(pilot, lambda: not session.checking("prerequisites") and not session.blocking(CHECKS))
        pilot.app.clear_notifications()
        # With the lock gone by the time of the second try, all is measured without a key.
        await admin.execute("begin; lock table auth.users in access exclusive mode")
        await pilot.press("r")
        await until(pilot, lambda: session.waits)
        await killer.execute(ended)
        await admin.execute("rollback")
        await until(pilot, lambda: "cut off run again" in said())
        await until(pilot, lambda: not session.checking("prerequisites") and not session.blocking(CHECKS))
        assert not [event for event in table(pilot).events if event.status is Status.ERROR]
