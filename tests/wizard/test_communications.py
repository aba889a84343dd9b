"""Communications: ticks with who and when, texts with the planned date, notes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, settings_for, until, until_text, walking, wizard
from vagus_tui.events import Status
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.communications import CommunicationsScreen


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_an_item_is_signed_off_and_taken_back(clean_database: TestDatabase, size: tuple[int, int]) -> None:
    async with walking(settings_for(clean_database.url), size=size) as pilot:
        await pilot.press("3")
        await until_text(pilot, "7 days before", "Send the announcement", "0 of 10")
        await pilot.press("space")
        await until_text(pilot, "1 of 10 sent", "Ada")
        await pilot.press("space")
        await until_text(pilot, "0 of 10 sent")
    async with clean_database.connect() as conn:
        rows = await conn.fetch("select item, ticked, operator from vagus_migration.sign_offs order by id")
    assert [(row["ticked"], row["operator"]) for row in rows] == [(True, "Ada"), (False, "Ada")]


async def test_a_note_is_kept_with_a_tick(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        await pilot.press("3")
        await until_text(pilot, "Send the announcement")
        await pilot.press("e")
        await until_text(pilot, "A note")
        await pilot.press(*"sent [/red] to all", "enter")
        await until_text(pilot, "1 of 10 sent")
    async with clean_database.connect() as conn:
        assert await conn.fetchval("select note from vagus_migration.sign_offs") == "sent [/red] to all"


async def test_texts_follow_the_planned_date_and_can_be_copied(clean_database: TestDatabase) -> None:
    planned = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT22:00+00:00")
    async with walking(settings_for(clean_database.url, planned_at=planned), size=LARGE) as pilot:
        await pilot.press("3")
        await until_text(pilot, "T−0", "22:00")
        await pilot.press("c")
        await until(pilot, lambda: "22:00" in pilot.app.clipboard)
        assert "[date]" not in pilot.app.clipboard
        await pilot.press("m")
        await until_text(pilot, "Subject:", "back")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, CommunicationsScreen))


async def test_what_is_late_says_so(clean_database: TestDatabase) -> None:
    planned = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    async with walking(settings_for(clean_database.url, planned_at=planned), size=LARGE) as pilot:
        await pilot.press("3")
        await until_text(pilot, "late ")


async def test_a_tick_made_elsewhere_shows(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as here, walking(settings_for(clean_database.url)) as there:
        for pilot in (here, there):
            await pilot.press("3")
        await there.press("space")
        session = wizard(here).session
        await until(here, lambda: any(sign.ticked for sign in session.now.sign_offs.values()), patience=4)


async def test_the_rail_tells_how_many_are_sent(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        await pilot.press("3")
        await until_text(pilot, "Send the announcement")
        await pilot.press("space")
        standings = wizard(pilot).session.standings
        await until(pilot, lambda: standings[Step.COMMUNICATIONS].word == "1 of 10")
        assert standings[Step.COMMUNICATIONS].status is Status.PENDING
