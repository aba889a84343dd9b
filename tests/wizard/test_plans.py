"""Plans in the wizard: found among many, seen on both sides, and as their user sees them."""

from __future__ import annotations

import pytest

from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, screen_text, settings_for, until, until_text, walking
from vagus_tui.checks import waiting
from vagus_tui.screens.plan_preview import PlanPreviewScreen
from vagus_tui.screens.plans import PlansScreen
from vagus_tui.screens.user_view import UserViewScreen
from vagus_tui.widgets.plan_lists import PlanList, TreeList, V1List


async def test_whose_lock_a_window_waits_for_is_said_in_it(
    clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "TELL_AFTER_SECONDS", 0.1)
    async with clean_database.as_admin() as admin, walking(settings_for(clean_database.url)) as pilot:
        await until_text(pilot, "Next: Prerequisites")
        await admin.execute("begin; lock table auth.users in access exclusive mode; select 'held [/foo]'")
        pid = await admin.fetchval("select pg_backend_pid()")
        await pilot.press("P")
        # That it is not there yet is said of whatever takes a while, for a lock or a long line.
        await until_text(pilot, "Waits for a lock on auth.users", f"PID {pid} (", "◐ reading")
        assert isinstance(pilot.app.screen, PlansScreen)
        await admin.execute("rollback")
        await until(pilot, lambda: pilot.app.screen.query_one(PlanList).items)
        await until(pilot, lambda: not any(words in screen_text(pilot) for words in ("Waits for", "◐ reading")))


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_plan_is_found_and_seen_on_both_sides(database: TestDatabase, size: tuple[int, int]) -> None:
    async with walking(settings_for(database.url), size=size) as pilot:
        await pilot.press("P")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlansScreen))
        await pilot.press("slash", *"drop table", "enter")
        await until(pilot, lambda: len(pilot.app.screen.query_one(PlanList).items) == 1)
        await until_text(pilot, "[/red] \"x'; DROP")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlanPreviewScreen))
        await until_text(pilot, "v2: as it will be", "not moved yet", "Why:", "In v2: week 1")
        sides = pilot.app.screen
        tree, flat = sides.query_one(TreeList), sides.query_one(V1List)
        assert tree.selected is not None and flat.selected_key == tree.selected.id
        if size is SMALL:
            assert not flat.display
        await pilot.press("v")
        await until(pilot, lambda: flat.has_focus and flat.display)
        before = flat.selected_key
        await pilot.press("down")
        await until(pilot, lambda: flat.selected_key != before and tree.selected_key == f"exercise:{flat.selected_key}")
        await until_text(pilot, "v1: flat list")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, PlansScreen))


async def test_plans_are_sorted_narrowed_and_paged(database: TestDatabase) -> None:
    async with walking(settings_for(database.url)) as pilot:
        await pilot.press("P")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlansScreen))
        plans = pilot.app.screen.query_one(PlanList)
        await until(pilot, lambda: len(plans.items) == 40)
        await pilot.press("s")
        await until_text(pilot, "most exercises first")
        assert plans.items[0].exercises == max(plan.exercises for plan in plans.items)
        await pilot.press("o")
        await until_text(pilot, "Which plans", "no exercises", "enter pick")
        await pilot.press("down", "enter")
        await until_text(pilot, "only with no exercises")
        assert all(plan.exercises == 0 for plan in plans.items)


async def test_after_the_migration_the_same_screen_reads_v2(moved_database: TestDatabase) -> None:
    async with walking(settings_for(moved_database.url), size=LARGE) as pilot:
        await pilot.press("P")
        await until(pilot, lambda: isinstance(pilot.app.screen, PlansScreen))
        await until(pilot, lambda: pilot.app.screen.query_one(PlanList).items)
        await pilot.press("enter")
        await until_text(pilot, "in v2, as it stands", "v2: as it stands", "v1: flat list")
        await pilot.press("u")
        await until(pilot, lambda: isinstance(pilot.app.screen, UserViewScreen))
        await until_text(pilot, "v2 now", "sees what the rules give")
        assert "differs" not in screen_text(pilot)
        await pilot.press("question_mark")
        await until_text(pilot, "acts as this user for a moment", "look again")
