"""Rehearsal: explained, run, its timeline shown beside the guide's, its failure with what it would mean."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.backup.helpers import collect, make
from tests.databases import TestDatabase
from tests.wizard.moved import ended
from tests.wizard.walk import LARGE, SMALL, Walk, settings_for, until, until_text, walking, wizard
from vagus_tui.backup import BackupOptions, Kind
from vagus_tui.backup.listing import BackupInfo, list_backups
from vagus_tui.backup.rehearsal import rehearse
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.events import NoteEvent, ResultEvent, Status
from vagus_tui.journal.state import State
from vagus_tui.migration.runner import migrate
from vagus_tui.runbook.model import Job
from vagus_tui.screens.backup_words import backup_text
from vagus_tui.screens.guide_facts import job_entry
from vagus_tui.screens.rehearsal import RehearsalScreen, job_title
from vagus_tui.screens.timeline_facts import done_entries
from vagus_tui.session import job as session_job


async def backed_up(pilot: Walk) -> None:
    """A backup of the workout tables, and the cursor on it."""
    wizard(pilot).action_go("backup")
    await until_text(pilot, "No backup yet")
    for kind in ("csv", "full"):
        pilot.app.screen.query_one(f"#kind-{kind}").focus()
        await pilot.press("enter")
    await pilot.press("b")
    await until_text(pilot, "Backed up and read back", patience=60)
    await pilot.press("enter")
    await until_text(pilot, "1 backup", "Next: t restores it")


async def test_the_timeline_stands_beside_the_guides(clean_database: TestDatabase, tmp_path: Path) -> None:
    settings = settings_for(clean_database.url, backup_dir=tmp_path)
    async with walking(settings, size=SMALL) as pilot:
        await backed_up(pilot)
        await pilot.press("e")
        await until_text(pilot, "Rehearsal", "Migrate again", "rehearses on this backup")
        await pilot.press("r")
        await until_text(pilot, "Rehearsed to its end", patience=90)
        # Its own scroll holds the timeline, also in a small window.
        text = str(pilot.app.screen.query_one("#rehearsal-text").render())
        assert "writes wait, in all" in text and "31:00" in text
        await pilot.press("escape")
        await until_text(pilot, "rehearsed just now")
        # The journal's word is the evidence for the timeline and the guide.
        session = wizard(pilot).session
        await until(pilot, lambda: "timeline.rehearsal" in done_entries(session))
        assert job_entry(session, Job.REHEARSE, done_entries(session)).status is Status.PASS
        assert job_entry(session, Job.UPLOAD, done_entries(session)).status is Status.PENDING
        # Opened again, it shows what was measured.
        await pilot.press("e")
        await until_text(pilot, "none lost")
        # To its last word, however small the window is.
        stages = str(pilot.app.screen.query_one("#stages").render())
        assert "before" in stages.partition("none lost")[2].partition("Migrate again")[0]
    (info,) = list_backups(settings)
    assert not info.problems


async def test_a_failure_says_what_it_would_mean(clean_database: TestDatabase, tmp_path: Path) -> None:
    async with clean_database.planting() as admin:
        await admin.execute("update exercises set sets = -1 where id = (select min(id::text)::uuid from exercises)")
    async with walking(settings_for(clean_database.url, backup_dir=tmp_path), size=LARGE) as pilot:
        await backed_up(pilot)
        await pilot.press("e", "r")
        await until_text(pilot, "The rehearsal failed at", "refused before it begins", patience=60)
        await until(pilot, lambda: ended(pilot))
        await pilot.press("escape")
        await until_text(pilot, "it failed")


async def test_the_migration_shows_forecast_and_actual(clean_database: TestDatabase, tmp_path: Path) -> None:
    settings = settings_for(clean_database.url, backup_dir=tmp_path)
    backup = await make(settings, BackupOptions(kinds=frozenset({Kind.TABLES})))
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("migration")
        await until_text(pilot, "not rehearsed", "m starts")
        assert (await collect(rehearse(backup.path, settings, Control()))).result.ok
        await until_text(pilot, "forecast", "writes wait", "m starts", "Forecast")
        events = migrate(Database(settings), settings, Control(), hold=False)
        assert (await collect(events)).result.ok
        await until_text(pilot, "Forecast against actual", "cut over", "×", "writes waited", patience=60)


def _backup(path: Path, state: State = State.V1, *kinds: Kind) -> BackupInfo:
    now = datetime.now(UTC)
    return BackupInfo(path, state.value, now, 0, 0, kinds or (Kind.TABLES,), now, now, ())


async def test_what_it_warns_of_stands_below_its_outcome(tmp_path: Path) -> None:
    info = _backup(tmp_path)
    async with walking(settings_for(""), connected=False) as pilot:
        job = session_job.Job("rehearse", job_title(info), "", Control())
        job.take(NoteEvent(level="warning", message="It could not be written into the journal."))
        job.take(ResultEvent(ok=True, message="Rehearsed to its end.", exit_status=0))
        job.ended = job.started
        wizard(pilot).session.job = job
        pilot.app.push_screen(RehearsalScreen(info))
        await until_text(pilot, "Rehearsed to its end.", "It could not be written into the journal.")


def test_only_what_begins_with_v1_is_said_to_be_rehearsed(tmp_path: Path) -> None:
    assert "rehearses" in backup_text(_backup(tmp_path), "UTC").plain
    assert "rehearses" not in backup_text(_backup(tmp_path, State.MIGRATED), "UTC").plain
    assert "rehearses" not in backup_text(_backup(tmp_path, State.V1, Kind.CSV), "UTC").plain
