"""Rolling back from a backup in the wizard: choosing, what it costs, the act; and the clean-up behind its gates."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Static

from tests.backup.helpers import collect, make
from tests.databases import TestDatabase
from tests.wizard.moved import ended, migrated
from tests.wizard.walk import LARGE, SMALL, Walk, settings_for, until, until_text, walking, wizard
from vagus_tui.backup import BackupOptions, Kind
from vagus_tui.backup.restore import restore_test
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.events import Status
from vagus_tui.journal import store
from vagus_tui.journal.state import State
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.cleanup import CleanUpScreen
from vagus_tui.screens.rollback_backup import FromBackupScreen
from vagus_tui.settings import Settings

OLD = "update vagus_migration.runs set finished_at = finished_at - interval '15 days' where kind = 'migrate'"


async def _backup(settings: Settings, *, restored: bool = False) -> Path:
    made = await make(settings, BackupOptions(kinds=frozenset({Kind.TABLES})))
    assert made.result.ok
    if restored:
        assert (await collect(restore_test(made.path, settings, Control()))).result.ok
    return made.path


async def test_chosen_from_a_list_and_done(
    clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path
) -> None:
    settings = settings_for(clean_database.url, backup_dir=tmp_path)
    path = await _backup(settings)
    await migrated(settings)
    await clean_conn.execute("delete from exercise_logs_v1")
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("rollback")
        await until_text(pilot, "Whether to go back")
        await pilot.press("f")
        await until_text(pilot, "1 backup of this database", path.name)
        await pilot.press("b")
        await until_text(pilot, "Leave it", "no rows would be missing")
        await pilot.press("tab", "enter")
        await until_text(pilot, "Rolled back: v1 is in place as the backup has it", patience=60)
        await until(pilot, lambda: wizard(pilot).session.state.state is State.ROLLED_BACK)  # type: ignore[union-attr]
        await until(pilot, lambda: ended(pilot) and isinstance(pilot.app.screen, FromBackupScreen))
        await pilot.press("escape")
        await until_text(pilot, "Afterwards")


async def test_reached_from_a_database_that_nothing_else_helps(
    clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path
) -> None:
    settings = settings_for(clean_database.url, backup_dir=tmp_path)
    await _backup(settings)
    await clean_conn.execute("drop table workout_plans cascade")
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("rollback")
        await until_text(pilot, "f goes back to a backup")
        await pilot.press("f")
        await until_text(pilot, "1 backup of this database", "gone")


def keys(pilot: Walk) -> set[str]:
    """The keys that the screen offers now, dimmed ones aside; those of whatever has the focus too."""
    offered = pilot.app.screen.active_bindings.items()
    return {key for key, (_, binding, enabled, _) in offered if binding.show and enabled}


async def test_clean_up_waits_for_its_gates(
    moved_database: TestDatabase, moved_conn: Connection, tmp_path: Path
) -> None:
    settings = settings_for(moved_database.url, backup_dir=tmp_path, project="vagus-dev")
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("rollback")
        await until_text(pilot, "Whether to go back")
        await pilot.press("c")
        await until_text(pilot, "gates hold it up", "The waiting period is over", patience=60)
        await pilot.press("c")
        await pilot.pause(0.1)
        assert wizard(pilot).session.job is None
        await pilot.press("n", "o")
        await until_text(pilot, "Override a check")
        await pilot.press(*"trial", "enter")
        # Measured anew, with the cursor still on the gate in hand.
        await until_text(pilot, "1 gate holds it up", "! overridden · The waiting", "Overridden: trial", patience=60)
        await _backup(settings, restored=True)
        # After the cut-over nothing waits for a backup, and how the newest one stands is in sight all the same.
        standings = wizard(pilot).session.standings
        await until(pilot, lambda: Step.BACKUP in standings and standings[Step.BACKUP].status is Status.PASS)
        await moved_conn.execute(OLD)
        # Archives go only where that was chosen, and then by name.
        await moved_conn.execute(
            "create schema workout_v2_archive_1; create table workout_v2_archive_1.plans as select 1 as id"
        )
        await pilot.press("r")
        await until_text(pilot, "nothing holds it up", "Kept: 1 archive of earlier rollbacks.", patience=60)
        await until_text(pilot, "a removes them too")
        await pilot.press("a")
        await until_text(pilot, "earlier rollbacks, in workout_v2_archive_1: 8.2 kB.", "a keeps them", patience=60)
        # It is in no backup, which is a gate of its own.
        await until_text(pilot, "1 gate holds it up", patience=60)
        await pilot.press("a")
        await until_text(pilot, "nothing holds it up", patience=60)
        await pilot.press("c")
        await until_text(pilot, "Type vagus-dev to go on", "no longer possible", "Kept: 1 archive")
        # Its key is not at hand here.
        assert "removes them" not in str(pilot.app.screen.query_one("#dialog-text", Static).render())
        await pilot.press(*"vagus-dev", "enter", "enter")
        await until_text(pilot, "Cleaned up: v1's tables are gone", "done in", patience=60)
        # What is over is offered nowhere, and what it waited for is not asked for again.
        await pilot.press("escape")
        await until(pilot, lambda: keys(pilot) >= {"f", "v"})
        assert not keys(pilot) & {"c", "b", "y", "o", "r", "d"}
        wizard(pilot).action_go("rollout")
        await pilot.press("v", "v")
        await until_text(pilot, "Clean-up 4 of 5", "cleaned up")
        assert "c" not in keys(pilot)
        wizard(pilot).action_go("backup")
        await until(pilot, lambda: {"b", "t"} <= keys(pilot))
        assert "e" not in keys(pilot)
        wizard(pilot).action_go("overview")
        await until(pilot, lambda: "G" in keys(pilot))
        assert "t" not in keys(pilot)
    assert await moved_conn.fetchval("select to_regclass('exercises_v1') is null")


async def test_clean_up_is_reached_from_rollout(moved_database: TestDatabase) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("rollout")
        await until_text(pilot, "Clean-up")
        await pilot.press("v", "v", "c")
        await until_text(pilot, "gates hold it up", patience=60)
        await pilot.press("escape")
        await until_text(pilot, "App update")


async def test_a_clean_up_that_broke_off_is_cleared_away_in_its_own_window(
    moved_database: TestDatabase, moved_conn: Connection
) -> None:
    await store.start_run(moved_conn, "clean-up", operator="Bob", environment="development", options={})
    async with walking(settings_for(moved_database.url), size=SMALL) as pilot:
        # It leads to no rollback.
        await until_text(pilot, "A clean-up was interrupted", "From here: clear clean-up away · check")
        await until_text(pilot, "Clear the clean-up away", "next: 7 Rollout")
        await pilot.press("x")
        await until_text(pilot, "x clears it away")
        assert isinstance(pilot.app.screen, CleanUpScreen)
        await pilot.press("x", "tab", "enter")
        await until_text(pilot, "A clean-up that was stopped before it changed anything was cleared away")
        # What it had left held the first gate up, which is measured again, and has the keys again.
        await until_text(pilot, "▸✓  v2 is in service, nothing was rolled back", patience=60)
