"""Communications: ticks with who and when, texts with the planned date, notes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.errors import RefusedError
from vagus_tui.events import Status
from vagus_tui.migration import announcement, maintenance
from vagus_tui.runbook.book import DEFAULT_BOOK
from vagus_tui.runbook.messages import editable
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.communications import CommunicationsScreen


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_an_item_is_signed_off_and_taken_back(clean_database: TestDatabase, size: tuple[int, int]) -> None:
    async with walking(settings_for(clean_database.url), size=size) as pilot:
        await pilot.press("3")
        await until_text(pilot, "7 days before", "Send the announcement", "0 of 10")
        await pilot.press("space")
        await until_text(pilot, "1 of 10 sent", "Ada")
        async with clean_database.as_admin() as admin:
            await admin.execute("begin; lock table vagus_migration.sign_offs in share mode")
            await pilot.press("space")
            # A key was heard, however long it takes until what it did is read back.
            await until_text(pilot, "◐ writing", "1 of 10 sent")
            await admin.execute("rollback")
        await until_text(pilot, "0 of 10 sent")
        await until(pilot, lambda: "writing" not in screen_text(pilot))
    async with clean_database.connect() as conn:
        rows = await conn.fetch("select item, ticked, operator from vagus_migration.sign_offs order by id")
    assert [(row["ticked"], row["operator"]) for row in rows] == [(True, "Ada"), (False, "Ada")]


async def test_a_note_is_kept_with_a_tick(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url, operator="Alexandra Schmidt")) as pilot:
        await pilot.press("3")
        await until_text(pilot, "Send the announcement")
        await pilot.press("j", "j", "e")
        await until_text(pilot, "A note")
        await pilot.press(*"sent [/red] to all", "enter")
        # A long name leaves room for the day.
        await until_text(pilot, "1 of 10 sent", f"Alexandra S… {datetime.now(UTC):%m-%d}")
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
        # Help says more of a key than the footer has room for.
        await pilot.press("question_mark")
        await until_text(pilot, "copy text: copy the selected item's text to the clipboard")


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


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """An editor that runs a shell command on the file, which it finds as $1."""
    script = tmp_path / "editor"

    def doing(command: str) -> None:
        script.write_text(f"#!/bin/sh\n{command}\n")
        script.chmod(0o755)

    monkeypatch.setenv("VISUAL", str(script))
    return doing


async def test_a_text_is_rewritten_for_everybody_and_put_back(
    clean_database: TestDatabase, editor: Callable[[str], None]
) -> None:
    editor("printf 'Subject: News of $project\\n\\nOn $date it happens [/b].\\n' > \"$1\"")
    planned = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT22:00+00:00")
    settings = settings_for(clean_database.url, planned_at=planned)
    async with walking(settings, size=LARGE) as here, walking(settings, size=LARGE) as there:
        await here.press("3")
        await there.press("3")
        await until_text(here, "Send the announcement")
        await here.press("E")
        await until_text(here, "News of VAGUS", "it happens [/b].", "rewritten")
        await until_text(there, "News of VAGUS", patience=20)
        await here.press("c")
        assert here.app.clipboard.startswith("Subject: News of VAGUS\n\nOn ")
        text = DEFAULT_BOOK.message("message.announce-email")
        editor(f"cat > \"$1\" <<'END'\n{editable(text)}END")
        await here.press("E")
        await until(here, lambda: not wizard(here).session.now.texts["message.announce-email"])


async def test_a_text_that_cannot_be_used_is_not_lost(
    clean_database: TestDatabase, editor: Callable[[str], None]
) -> None:
    # The first time a field is misspelt; the editor opens again with what was written.
    editor('grep -q dtae "$1" && sed -i s/dtae/date/ "$1" || printf \'Subject: On $dtae\\n\\nBody\' > "$1"')
    async with walking(settings_for(clean_database.url), size=LARGE) as pilot:
        await pilot.press("3")
        await until_text(pilot, "Send the announcement")
        await pilot.press("E")
        await until_text(pilot, "$dtae is no field", "Edit it again")
        await pilot.press("right", "enter")
        await until(pilot, lambda: wizard(pilot).session.now.texts)
        assert wizard(pilot).session.now.texts["message.announce-email"]["subject"] == "On $date"


async def test_an_editor_that_fails_changes_nothing(
    clean_database: TestDatabase, editor: Callable[[str], None]
) -> None:
    editor("printf 'Subject: Lost\\n\\nLost' > \"$1\"; exit 3")
    async with walking(settings_for(clean_database.url), size=LARGE) as pilot:
        await pilot.press("3")
        await until_text(pilot, "Send the announcement")
        await pilot.press("E")
        await until_text(pilot, "ended with status 3", "as it was")
        assert not wizard(pilot).session.now.texts


async def test_a_banner_and_the_maintenance_page_reach_the_app(clean_database: TestDatabase) -> None:
    planned = datetime.now(UTC).replace(microsecond=0) + timedelta(days=6)
    async with walking(settings_for(clean_database.url, planned_at=planned.isoformat()), size=SMALL) as pilot:
        await pilot.press("3")
        await until_text(pilot, "Show the in-app banner")
        await pilot.press("down")
        # The key for what the app shows has its place also in a small window.
        await until_text(pilot, "w to the app")
        await pilot.press("w")
        await until_text(pilot, "maintenance row?", "Write it")
        await pilot.press("right", "enter")
        await until_text(pilot, "In the app's maintenance row")
        async with clean_database.connect() as conn:
            row = await conn.fetchrow("select * from system_maintenance")
            assert row is not None and not row["enabled"]
            assert row["started_at"] == planned and "are upgraded on" in row["message"]
            assert await announcement.maintenance_page(conn) == announcement.DEFAULT_PAGE
        await pilot.press("w")
        await until_text(pilot, "out of the app's", "Take it out")
        await pilot.press("right", "enter")
        await until(pilot, lambda: "In the app's maintenance row" not in screen_text(pilot))
        async with clean_database.connect() as conn:
            assert await conn.fetchval("select message from system_maintenance") is None
        await pilot.press(*["down"] * 4, "w")
        await until_text(pilot, "Keep this as the maintenance page")
        await pilot.press("right", "enter")

        await until_text(pilot, "The cut-over shows this")
    async with clean_database.connect() as conn:
        assert "what you saved is safe" in await announcement.maintenance_page(conn)


async def test_a_banner_does_not_replace_what_users_see_during_maintenance(clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        await maintenance.switch_flag(conn, enabled=True, message="Closed")
        with pytest.raises(RefusedError, match="Maintenance is on"):
            await announcement.announce(conn, announcement.Announcement("Hello", None, None), operator="ada")
        await maintenance.switch_flag(conn, enabled=False)
        await announcement.announce(conn, announcement.Announcement("Hello", None, None), operator="ada")
        found = await announcement.read_announcement(conn)
        assert found is not None and found.message == "Hello"
        await announcement.withdraw(conn, operator="ada")
        assert await announcement.read_announcement(conn) is None
        assert await conn.fetchval("select count(*) from system_maintenance") == 1


async def test_a_text_is_written_to_a_file_named_after_it(
    clean_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with walking(settings_for(clean_database.url), size=LARGE) as pilot:
        await pilot.press("3")
        await until_text(pilot, "Send the announcement")
        await pilot.press("m")
        await until_text(pilot, "to a file")
        await pilot.press("f")
        await until_text(pilot, "send-the-announcement-e-mail-to-all-users.txt")
        await pilot.press("enter")
        written = tmp_path / "send-the-announcement-e-mail-to-all-users.txt"
        await until(pilot, written.exists)
    assert "Subject: " in written.read_text(encoding="utf-8")
