"""The whole guide on one list: nothing missing, ticked by people and by evidence, with a way to each screen."""

from __future__ import annotations

import pytest
from textual.widget import Widget
from textual.widgets import OptionList

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
from vagus_tui.screens.rollback_backup import FromBackupScreen
from vagus_tui.widgets.rows import Rows
from vagus_tui.widgets.section_list import SectionList


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
        await until(pilot, lambda: entries.items and entries.items[0].spot.window is Step.COMMUNICATIONS)
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


async def test_enter_leads_to_the_very_place(moved_database: TestDatabase) -> None:
    """One of each kind of place; that every entry has a place that exists is the matter of the map's own tests."""
    settings = settings_for(moved_database.url)
    async with walking(settings) as pilot:
        app = wizard(pilot)
        lines = {line.id: line for line in guide_lines(app.session)}

        def here(selector: str) -> Widget:
            return app.screen.query_one(selector)

        def highlighted(selector: str) -> str | None:
            option = here(selector)
            assert isinstance(option, OptionList)
            return option.highlighted_option.id if option.highlighted_option is not None else None

        async def leads(entry: str, selector: str, ref: str) -> None:
            await app.go_to(lines[entry].spot)

            def there() -> bool:
                if not app.screen.query(selector) or app.screen.focused is not here(selector):
                    return False
                widget = here(selector)
                found = highlighted(selector) if isinstance(widget, OptionList) else None
                if isinstance(widget, Rows):
                    found = widget.selected
                elif isinstance(widget, SectionList):
                    found = widget.selected_key
                return (found or "").startswith(ref)

            await until(pilot, there)

        await leads("guide.troubleshooting-steps.9", "#issues", "issue.slow")
        await leads("guide.troubleshooting-steps.13", "#issues", "issue.notifications")
        await leads("guide.environment.3", "#checks", "table-sizes")
        await leads("guide.communication-day.2", "#messages", "communications.banner-day")
        await leads("guide.integrity.4", "#checks", "orphaned-days")
        await leads("guide.manual-client.5", "#manual-list", "verification.client.complete")
        await leads("guide.acceptance-users.3", "#testers", "testers.history/")
        await leads("guide.app-update.4", "#commands", "app.test")
        await leads("guide.rollout-beta.2", "#phases-list", "rollout.beta.monitor")
        await leads("guide.rollback-critical.3", "#questions", "advice.app-crashes")
        await leads("guide.post-rollback.7", "#after-list", "rollback.again.staging")
        await leads("guide.backup-csv.2", "#kind-csv", "")
        await leads("guide.risks.3", "#leaves", "risk.row-level-security")
        await pilot.press("escape")
        await leads("guide.timeline.9", "#gantt", "timeline.release-app")
        await pilot.press("escape")
        await app.go_to(lines["guide.rollback-backup.3"].spot)
        await until(pilot, lambda: isinstance(app.screen, FromBackupScreen))


async def test_before_the_migration_it_leads_into_the_plan(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        app = wizard(pilot)
        await until(pilot, lambda: app.session.state is not None)
        await pilot.press("G")
        await until(pilot, lambda: isinstance(app.screen, GuideScreen))
        entries = app.screen.query_one(GuideList)
        entries.select("guide.field-mapping-exercises.2")
        await pilot.press("enter")
        await until(pilot, lambda: app.current_mode == Step.MIGRATION.value and bool(app.screen.query("#plan")))
        plan = app.screen.query_one("#plan", Rows)
        await until(pilot, lambda: "exercises" in (plan.selected or ""))
        # The list is found again where it was left; what only people know is signed off on it.
        await pilot.press("G")
        await until(pilot, lambda: isinstance(app.screen, GuideScreen))
        entries = app.screen.query_one(GuideList)
        assert entries.selected_key == "guide.field-mapping-exercises.2"
        entries.select("guide.technical.6")
        await pilot.press("enter")
        assert isinstance(app.screen, GuideScreen)
