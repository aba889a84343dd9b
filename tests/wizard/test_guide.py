"""The whole guide on one list: nothing missing, ticked by people and by evidence, with a way to each screen."""

from __future__ import annotations

import pytest

from tests.databases import TestDatabase
from tests.wizard.moved import migrated
from tests.wizard.walk import LARGE, SMALL, settings_for, until, until_text, walking, wizard
from vagus_tui.events import Status
from vagus_tui.runbook.checklists import ITEMS
from vagus_tui.runbook.guide_map import GUIDE_MAP
from vagus_tui.runbook.model import Fulfilment
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.guide_facts import guide_lines
from vagus_tui.screens.guide_view import GuideList, GuideScreen


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_every_entry_and_every_item_is_on_the_list(clean_database: TestDatabase, size: tuple[int, int]) -> None:
    async with walking(settings_for(clean_database.url), size=size) as pilot:
        await pilot.press("G")
        await until(pilot, lambda: isinstance(pilot.app.screen, GuideScreen))
        entries = pilot.app.screen.query_one(GuideList)
        await until(pilot, lambda: entries.items)
        lines = entries.items
        assert [line.id for line in lines][: len(GUIDE_MAP)] == [entry.id for entry in GUIDE_MAP]
        shown = {item.id for line in lines for item in line.items}
        assert shown == {item.id for item in ITEMS}
        signed = {item.id for item in ITEMS if item.fulfilment is Fulfilment.SIGN_OFF}
        assert signed <= {item.id for line in lines for item in line.items if line.signable is not None}
        await until_text(pilot, "What's Being Migrated", "of ", "done")


async def test_people_tick_what_no_other_screen_lists(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url, operator="Marie")) as pilot:
        await pilot.press("G")
        await until(pilot, lambda: isinstance(pilot.app.screen, GuideScreen))
        entries = pilot.app.screen.query_one(GuideList)
        await pilot.press("slash", *"emergency hotline", "enter")
        await until(pilot, lambda: [line.id for line in entries.items] == ["guide.contacts.4"])
        await pilot.press("space")
        await until(pilot, lambda: entries.items[0].entry.status is Status.PASS)
        await until_text(pilot, "Marie")
        signed = wizard(pilot).session.now.sign_offs
        assert signed["prerequisites.emergency-number"].operator == "Marie"
        await pilot.press("o")
        await until(pilot, lambda: not entries.items)
        await pilot.press("o", "slash")
        for _ in range(20):
            await pilot.press("backspace")
        await pilot.press(*"announcement", "enter")
        await until(pilot, lambda: entries.items and entries.items[0].screen is Step.COMMUNICATIONS)
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.current_mode == Step.COMMUNICATIONS.value)


async def test_evidence_stands_for_itself(clean_database: TestDatabase) -> None:
    settings = settings_for(clean_database.url)
    async with walking(settings) as pilot:
        before = {line.id: line.entry.status for line in guide_lines(wizard(pilot).session)}
    await migrated(settings)
    async with walking(settings) as pilot:
        after = {line.id: line.entry.status for line in guide_lines(wizard(pilot).session)}
    turned = {name for name in after if after[name] is Status.PASS and before[name] is not Status.PASS}
    assert {"guide.field-mapping-plans.1", "guide.transformation.1", "guide.timeline.6"} <= turned
    assert after["guide.contacts.1"] is Status.SKIP
