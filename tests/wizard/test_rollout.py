"""Rollout: commands to copy, phases with their criteria, and the guards of the clean-up."""

from __future__ import annotations

from tests.databases import TestDatabase
from tests.wizard.moved import migrated
from tests.wizard.walk import LARGE, SMALL, settings_for, until, until_text, walking, wizard
from vagus_tui.database.connection import Connection
from vagus_tui.events import Status
from vagus_tui.journal import store
from vagus_tui.runbook.model import Screen as Step


async def test_commands_are_copied(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url), size=LARGE) as pilot:
        wizard(pilot).action_go("rollout")
        await until_text(pilot, "Locked by 1 gate", "Get the code with v2 support")
        pilot.app.screen.query_one("#commands").focus()
        await pilot.press("down", "c")
        await until(pilot, lambda: "flutter pub get" in pilot.app.clipboard)


async def test_phases_are_signed_off(clean_database: TestDatabase, clean_conn: Connection) -> None:
    settings = settings_for(clean_database.url)
    await migrated(settings)
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("rollout")
        await until_text(pilot, "day 1: phase 1")
        await pilot.press("v")
        await until_text(pilot, "Phase 1: internal", "ends when", "begins when")
        await pilot.press("space")
        await until_text(pilot, "Phases 1 of 9")
        await until(pilot, lambda: wizard(pilot).session.standings[Step.ROLLOUT].status is Status.RUNNING)
    assert (await store.sign_offs(clean_conn))["rollout.internal.deploy"].ticked


async def test_the_clean_up_is_guarded(clean_database: TestDatabase, clean_conn: Connection) -> None:
    settings = settings_for(clean_database.url)
    await migrated(settings)
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("rollout")
        await until_text(pilot, "day 1")
        await pilot.press("v", "v")
        await until_text(pilot, "13 days to go", "v2 is in service", "Clean-up 1 of 5")
    await clean_conn.execute("update vagus_migration.runs set finished_at = finished_at - interval '15 days'")
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("rollout")
        await pilot.press("v", "v")
        await until_text(pilot, "Clean-up 2 of 5")
