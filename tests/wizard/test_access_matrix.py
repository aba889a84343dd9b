"""The access matrix: empty, measured, walked with the arrows; what was lost or gained, cell by cell."""

from __future__ import annotations

from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, Walk, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.checks.access.matrix import access_matrix
from vagus_tui.screens.access_matrix import AccessMatrixScreen
from vagus_tui.widgets.access_grid import AccessGrid, brief


async def opened(pilot: Walk) -> AccessMatrixScreen:
    """The matrix, pushed over whatever is there."""
    screen = AccessMatrixScreen()
    await pilot.app.push_screen(screen)
    return screen


async def test_it_says_so_when_nothing_was_measured_and_measures(
    moved_database: TestDatabase, connect: Connect
) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=SMALL) as pilot:
        await opened(pilot)
        await until_text(pilot, "Access has not been measured yet", "a measures every user")
        await pilot.press("r")
        await until_text(pilot, "a sample · ✓ nobody lost or gained", "Owners", "real statements agree")
        await pilot.press("down", "right", "right")
        await until_text(pilot, "update workout_plans")
        await pilot.press("enter")
        await until_text(pilot, "v2 gives what v1 gave", "Users manage own plans")
        await pilot.press("s")
        await until_text(pilot, "set local role authenticated")
        await pilot.press("escape", "escape")
        await until_text(pilot, "nobody lost or gained")
    conn = await connect(moved_database.url)
    assert await access_matrix(conn) is not None


async def test_what_was_gained_and_lost_is_walked_to(moved_database: TestDatabase, connect: Connect) -> None:
    settings = settings_for(moved_database.url)
    conn = await connect(moved_database.url)
    await conn.execute('create policy "[/red] open" on exercises for select to authenticated using (true)')
    await conn.execute("drop policy exercise_logs_delete on exercise_logs")
    async with walking(settings, size=LARGE) as pilot:
        screen = await opened(pilot)
        await until_text(pilot, "not been measured")
        await pilot.press("a")
        await until_text(pilot, "everybody", "gained", "lost")
        await pilot.press("n")
        await until_text(pilot, "! gained · owner", "select exercises")
        await pilot.press("enter")
        await until_text(pilot, "“[/red] open” for select", "rows lost or gained", "day_id")
        await pilot.press("escape")
        await pilot.press("n")
        await until_text(pilot, "✗ lost · owner", "delete exercise_logs")
        # The outcomes of the checks are those of this measurement from now on.
        assert wizard(pilot).session.results["access-owners"].status.blocks
        grid = screen.query_one("#grid", AccessGrid)
        assert grid.place == ("exercise_logs", "delete")
        await pilot.press("end", "tab", "tab")
        await until(pilot, lambda: grid.column == grid.LAST)


def test_large_numbers_stay_in_their_field() -> None:
    counts = (0, 9_999, 10_000, 12_610, 126_000, 999_499, 1_900_000, 126_000_000)
    assert [brief(count) for count in counts] == ["0", "9,999", "10.0k", "12.6k", "126k", "999k", "1.9M", "126M"]


async def test_it_is_reached_from_verification_and_left_again(moved_database: TestDatabase) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("verification")
        await until(pilot, lambda: "access-as-applied" in wizard(pilot).session.results)
        await pilot.press("m")
        await until(pilot, lambda: isinstance(pilot.app.screen, AccessMatrixScreen))
        await until_text(pilot, "Access · v1 against v2")
        await pilot.press("escape")
        await until_text(pilot, "Every row arrived")
        assert "Verification" in screen_text(pilot)


async def test_what_cannot_be_measured_is_told_and_the_last_one_stays(
    moved_database: TestDatabase, connect: Connect
) -> None:
    settings = settings_for(moved_database.url)
    admin = await connect(moved_database.admin_url)
    async with walking(settings, size=SMALL) as pilot:
        await opened(pilot)
        await until_text(pilot, "not been measured")
        await pilot.press("r")
        await until_text(pilot, "nobody lost or gained")
        # A condition that fails for whoever asks.
        await admin.execute("create policy broken on workout_plans for select using (1 / (total_weeks * 0) > 0)")
        await pilot.press("r")
        await until_text(pilot, "That did not work", "division by zero")
        await pilot.press("escape")
        await until_text(pilot, "nobody lost or gained", "r measure again")
        await admin.execute("drop policy broken on workout_plans")
        await pilot.press("r", "x")
        await until_text(pilot, "nobody lost or gained", "r measure again")
