"""The runbook one key away: searched, copied, and with the operator's own file over it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.databases import TestDatabase
from tests.wizard.walk import SMALL, settings_for, until, until_text, walking, wizard
from vagus_tui.checks.base import Context
from vagus_tui.cleanup.gates import OWN_GATES, GateId
from vagus_tui.database.connection import Database
from vagus_tui.events import Status
from vagus_tui.journal.state import read_state
from vagus_tui.runbook.book import DEFAULT_BOOK
from vagus_tui.runbook.communications import WEEK_BEFORE
from vagus_tui.screens.communications import CommunicationsScreen
from vagus_tui.screens.handbook import HandbookScreen, LeafList, leaves


def test_every_contact_question_and_risk_is_found_by_its_own_words() -> None:
    found = leaves(DEFAULT_BOOK)
    ids = {leaf.id for leaf in found}
    for part in (DEFAULT_BOOK.contacts, DEFAULT_BOOK.questions, DEFAULT_BOOK.risks):
        assert {entry.id for entry in part} <= ids
    assert len(ids) == len(found)
    assert all(leaf.has(leaf.title) and leaf.has(leaf.text.upper()) for leaf in found)
    assert [leaf.id for leaf in found if leaf.has("recalled stores app")]


async def test_it_opens_anywhere_and_shows_the_operators_own(clean_database: TestDatabase, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        '[contacts.nils]\nrole = "[/b] Nils \\u001B[31m\\u202E"\naddress = "nils@vagus.example"\nwhen = "Always."\n'
        '[people]\nproject = "Vigor"\n',
        encoding="utf-8",
    )
    async with walking(settings_for(clean_database.url, runbook=file), size=SMALL) as pilot:
        await pilot.press("3")
        await pilot.press("i")
        await until(pilot, lambda: isinstance(pilot.app.screen, HandbookScreen))
        await until_text(pilot, "Migration lead", "dba@vagushealth.com", "mine.toml")
        # The key that leads into the field does no harm in it.
        await pilot.press("slash", *"nils always", "enter")
        await until_text(pilot, "[/b] Nils ␛[31m", "nils@vagus.example")
        entries = pilot.app.screen.query_one(LeafList)
        assert [leaf.id for leaf in entries.items] == ["contact.nils"]
        await pilot.press("c")
        assert pilot.app.clipboard == "nils@vagus.example"
        await pilot.press("slash", *" nothing at all")
        await until_text(pilot, "Nothing of the runbook")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, HandbookScreen))
        await wizard(pilot).session.plan_for(datetime.now(UTC) + timedelta(days=3))
        screen = pilot.app.screen
        assert isinstance(screen, CommunicationsScreen)
        await until(pilot, lambda: "Vigor workouts" in str(screen.rendered(WEEK_BEFORE.items[0])))


async def test_the_waiting_period_is_the_operators_own(moved_database: TestDatabase, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[thresholds]\nclean_up_earliest = "3 weeks"\n', encoding="utf-8")
    settings = settings_for(moved_database.url, runbook=file)
    database = Database(settings)
    async with database.connection("test") as connection:
        context = Context(database, connection, settings, await read_state(connection))
        [gate] = [check for check in OWN_GATES if check.id == GateId.WAITED]
        outcome = await gate.probe(context)
    assert outcome.expected == "21 days" and outcome.status is Status.FAIL
