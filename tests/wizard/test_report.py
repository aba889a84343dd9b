"""Report: the journal as it was written, read on screen and written to a file."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Input, OptionList

from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, Walk, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.database.connection import Connection
from vagus_tui.journal import decisions, store
from vagus_tui.journal.acceptance import Verdict, record
from vagus_tui.screens.report import COLUMNS, ReportScreen

HOSTILE = "[/bold] [red]x\x1b[31m"


def open_section(pilot: Walk, key: str) -> None:
    """Put the cursor of the sections on one of them."""
    sections = pilot.app.screen.query_one("#sections", OptionList)
    sections.highlighted = sections.get_option_index(key)


async def test_nothing_yet(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        wizard(pilot).action_go("report")
        await until_text(pilot, "0  What happened", "Nothing has been run")


async def test_runs_steps_and_overrides(moved_database: TestDatabase, moved_conn: Connection) -> None:
    settings = settings_for(moved_database.url)
    await decisions.override(moved_conn, "tls", HOSTILE, operator="ada")
    step = "verification.script.log-in"
    await record(moved_conn, "7", step, Verdict.FAIL, profile="testers.history", note=HOSTILE, operator="ada")
    await store.note(moved_conn, "planned_at", "2026-12-01T22:00:00+01:00", operator="ada")
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("report")
        await until_text(pilot, "1  Runs", "1  Overrides", "migrate", "done")
        await until_text(pilot, "Began the migration on", "Cut over, writes waited")
        # Every section can be opened.
        screen = pilot.app.screen
        assert isinstance(screen, ReportScreen) and screen.report is not None
        assert {section.key for section in screen.report.sections} == COLUMNS.keys()
        open_section(pilot, "acceptance")
        await until_text(pilot, "Log in to the app", "fail")
        open_section(pilot, "steps")
        await until_text(pilot, "settle-analyze")
        open_section(pilot, "overrides")
        await until_text(pilot, "tls", "[/bold] [red]x")
        assert "\x1b" not in screen_text(pilot)
        # What the journal keeps as JSON is told as in the written report: the program's own in words.
        open_section(pilot, "notes")
        await until_text(
            pilot,
            "Set T−0 to 2026-12-01 22:00",
            "acceptance.verification",
            "body      2026-12-01T22:00",
            "note      Set T−0 to",
        )
        open_section(pilot, "runs")
        await until_text(pilot, "proved_rows:")
        assert '{"' not in screen_text(pilot)
        await pilot.press("t")
        await until_text(pilot, "Workout v1 → v2: what was done")


async def test_what_the_database_forgot_is_put_back(
    clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path
) -> None:
    settings = settings_for(clean_database.url, journal_dir=tmp_path)
    await decisions.override(clean_conn, "tls", "a tunnel", operator="ada")
    async with walking(settings, size=LARGE) as pilot:
        await until(pilot, lambda: any("a tunnel" in copy.read_text() for copy in tmp_path.glob("*.jsonl")))
    await clean_conn.execute("drop schema vagus_migration cascade")
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("report")
        await until_text(pilot, "1 entry only in the local copy")
        await pilot.press("p")
        await until_text(pilot, "Put the entries back?")
        await pilot.press("right", "enter")
        await until_text(pilot, "Overrode tls: a tunnel (known")


async def test_it_is_written_to_a_file(moved_database: TestDatabase, tmp_path: Path) -> None:
    settings = settings_for(moved_database.url, backup_dir=tmp_path / "kept")
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("report")
        await until_text(pilot, "1  Runs")
        await pilot.press("w")
        await until_text(pilot, "Write the report")
        await pilot.press("enter")
        await until(pilot, lambda: list((tmp_path / "kept").glob("vagus_report_*.html")))
        (page,) = (tmp_path / "kept").glob("vagus_report_*.html")
        made = f"Written to {page}. Its folder {page.parent} was not there and was made."
        await until(pilot, lambda: made in [note.message for note in pilot.app._notifications])
        # What cannot be a file, or is one already, is said where it was typed.
        await pilot.press("w")
        await until_text(pilot, "Write the report")
        for typed, words in (
            ("~nobody-of-that-name/report.html", "it begins with the home folder of a user"),
            ("n" * 300, "That cannot be a file: File name too long."),
            (str(tmp_path), "That is a folder"),
            (str(page), "That is there already"),
        ):
            pilot.app.screen.query_one("#answer", Input).value = typed
            await pilot.press("enter")
            await until_text(pilot, words)
        await pilot.press("escape")
    assert 'id="runs">Runs</h2>' in page.read_text()


async def test_a_place_that_cannot_be_written_is_explained(clean_database: TestDatabase, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    async with walking(settings_for(clean_database.url, backup_dir=blocked / "deep"), size=LARGE) as pilot:
        wizard(pilot).action_go("report")
        await until_text(pilot, "Nothing has been run")
        await pilot.press("w")
        await until_text(pilot, "Write the report")
        await pilot.press("enter")
        await until_text(pilot, "could not be written", "Name another file")
