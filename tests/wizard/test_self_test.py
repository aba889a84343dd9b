"""The checks tested from the wizard: asked first, every fault seen live, the result kept and shown in Verification."""

from __future__ import annotations

from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, settings_for, until, until_text, walking, wizard
from vagus_tui.checks.verification import catalog, rows
from vagus_tui.screens.self_test import SelfTestScreen


async def test_faults_are_planted_after_asking_and_seen(moved_database: TestDatabase) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=SMALL) as pilot:
        # A few checks: all of them are tried in the tests of the checks.
        await pilot.app.push_screen(SelfTestScreen((*rows.CHECKS, *catalog.CHECKS)))
        await until_text(pilot, "never tested here", "one of the plans is missing")
        await pilot.press("t")
        await until_text(pilot, "Test the checks?")
        await pilot.press("tab", "enter")
        await until_text(pilot, "faults seen", "seen: 39")
        await pilot.press("s")
        await until_text(pilot, "must fail now", "rollback;")
        await pilot.press("escape", "escape")
        wizard(pilot).action_go("verification")
        await until_text(pilot, "Tested just now: ", "faults seen · Ada")
        # Whoever comes back sees what each came to.
        await pilot.app.push_screen(SelfTestScreen((*rows.CHECKS, *catalog.CHECKS)))
        await until_text(pilot, "✓ one of the plans is missing", "seen")


async def test_in_production_the_name_is_typed(moved_database: TestDatabase) -> None:
    async with walking(settings_for(moved_database.url, environment="production"), size=LARGE) as pilot:
        wizard(pilot).action_go("verification")
        await until(pilot, lambda: "access-as-applied" in wizard(pilot).session.results)
        await until_text(pilot, "were never tested here")
        await pilot.press("t")
        await until_text(pilot, "The checks tested")
        await pilot.press("t")
        await until_text(pilot, "Test the checks on production?", "Type ")
        await pilot.press("escape")
        await until_text(pilot, "never tested here")
