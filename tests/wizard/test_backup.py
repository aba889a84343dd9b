"""Backup: take one, see what it holds, read it back, restore it as a test; and a damaged one is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.databases import TestDatabase
from tests.object_store import ObjectStore
from tests.wizard.moved import ended
from tests.wizard.walk import LARGE, SMALL, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.backup.listing import list_backups
from vagus_tui.events import Status
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.backup_words import rows_lines
from vagus_tui.screens.job_acts import job_log
from vagus_tui.widgets.rows import Rows


async def test_one_is_taken_and_can_be_relied_on(
    clean_database: TestDatabase, database: TestDatabase, tmp_path: Path
) -> None:
    settings = settings_for(clean_database.url, backup_dir=tmp_path)
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("backup")
        await until_text(pilot, "No backup yet")
        await pilot.press("b")
        await until_text(pilot, "Backed up and read back", "parts compared and equal", "Backup · done in", patience=60)
        # What has only begun has taken no time yet, and no rows.
        job = wizard(pilot).session.job
        begun = [line for line in job_log(job).splitlines() if " started " in line] if job is not None else []
        assert begun and not [line for line in begun if line.endswith((" s", " rows", " bytes"))]
        await pilot.press("enter")
        await until_text(pilot, "1 backup", "verified", "Next: t restores it")
        await until(pilot, lambda: wizard(pilot).session.standings[Step.BACKUP].word == "just now")
        # A second one is the one that comes next, and what comes next is one key away.
        await pilot.press("b")
        await until_text(pilot, "Backed up and read back", "t restore test", patience=60)
        await until(pilot, lambda: len(list_backups(settings)) == 2)
        newest = list_backups(settings)[0].path
        await until(pilot, lambda: pilot.app.screen.query_one("#backups", Rows).selected == str(newest))
        await pilot.press("t")
        await until_text(pilot, "Restored and compared", patience=60)
        await pilot.press("escape")
        await until_text(pilot, "restored", "Next: e rehearses")
        await until(pilot, lambda: wizard(pilot).session.standings[Step.BACKUP].status is Status.PASS)
    info, older = list_backups(settings)
    assert info.usable and info.restored and info.path == newest and not older.restored
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("backup")
        await until_text(pilot, "2 backups", "Back up now")
        # What there is has the keys, as soon as it was found.
        await until(pilot, lambda: pilot.app.focused is not None and pilot.app.focused.id == "backups")
        # One that was cut off is in no journal, and is of this database all the same.
        cut_off = newest.with_name(newest.name + ".partial")
        shutil.copytree(newest, cut_off)
        manifest = cut_off / "manifest.json"
        assert info.manifest is not None
        manifest.write_text(manifest.read_text().replace(info.manifest.id, "another"))
        await pilot.press("r")
        await until_text(pilot, "3 backups")
        assert "of other databases" not in screen_text(pilot)
        shutil.rmtree(cut_off)
    # Of another database in the same folder they are shown as what they are, and count for none.
    async with walking(settings_for(database.url, backup_dir=tmp_path), size=LARGE) as pilot:
        wizard(pilot).action_go("backup")
        await until_text(pilot, "0 backups · 2 of other databases", "– Of another database:", "▸–")


def test_counts_leave_the_names_of_tables_room() -> None:
    lines = [line.plain for line in rows_lines([("workout_sessions_v1", 18_941), ("workout_sessions", 1_600)])]
    assert lines == ["workout_sessions_v1 18,941", "workout_sessions     1,600"]


async def test_only_the_chosen_kinds_are_taken(clean_database: TestDatabase, tmp_path: Path) -> None:
    settings = settings_for(clean_database.url, backup_dir=tmp_path)
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("backup")
        await until_text(pilot, "No backup yet")
        pilot.app.screen.query_one("#kind-full").focus()
        await pilot.press("enter")
        pilot.app.screen.query_one("#kind-tables").focus()
        await pilot.press("enter", "b")
        await until_text(pilot, "Backed up and read back", patience=60)
    (info,) = list_backups(settings)
    assert [kind.value for kind in info.kinds] == ["csv"]


async def test_nothing_chosen_is_said(clean_database: TestDatabase, tmp_path: Path) -> None:
    async with walking(settings_for(clean_database.url, backup_dir=tmp_path)) as pilot:
        wizard(pilot).action_go("backup")
        await until_text(pilot, "No backup yet")
        for kind in ("tables", "csv", "full"):
            pilot.app.screen.query_one(f"#kind-{kind}").focus()
            await pilot.press("enter")
        await pilot.press("b")
        await until_text(pilot, "Tick at least one kind")


async def test_a_damaged_one_is_named(clean_database: TestDatabase, tmp_path: Path) -> None:
    settings = settings_for(clean_database.url, backup_dir=tmp_path)
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("backup")
        await until_text(pilot, "No backup yet")
        await pilot.press("b")
        await until_text(pilot, "Backed up and read back", patience=60)
        (info,) = list_backups(settings)
        victim = next(path for path in info.path.rglob("*.csv*") if path.stat().st_size > 100)
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 1
        victim.write_bytes(bytes(content))
        await pilot.press("enter")
        await until_text(pilot, "1 backup")
        await pilot.press("v")
        await until_text(pilot, "The backup is damaged", victim.name, patience=60)
        assert "Traceback" not in screen_text(pilot)


async def test_a_folder_that_cannot_be_written_is_explained(clean_database: TestDatabase, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    async with walking(settings_for(clean_database.url, backup_dir=blocked / "deep")) as pilot:
        wizard(pilot).action_go("backup")
        await until_text(pilot, "No backup yet")
        await pilot.press("b")
        await until(pilot, lambda: ended(pilot))
        await until_text(pilot, "Backup ended")
        await pilot.press("enter")
        await until_text(pilot, "No backup yet")


@pytest.mark.usefixtures("cloud_credentials")
async def test_one_is_copied_off_this_machine(clean_database: TestDatabase, tmp_path: Path, cloud: ObjectStore) -> None:
    cloud.bucket("wizard")
    settings = settings_for(
        clean_database.url,
        backup_dir=tmp_path,
        upload_url="s3://wizard/copies",
        upload_endpoint=cloud.endpoint,
    )
    async with walking(settings) as pilot:
        wizard(pilot).action_go("backup")
        await until_text(pilot, "No backup yet")
        await pilot.press("b")
        await until_text(pilot, "Backed up and read back", patience=60)
        await pilot.press("enter")
        await until_text(pilot, "1 backup", "Next: t restores it")
        await pilot.press("u")
        await until_text(pilot, "Copied and read back", "s3://wizard/copies/", patience=60)
        await pilot.press("enter")
        await until_text(pilot, "1 backup", "copied to")
    (info,) = list_backups(settings)
    assert info.uploaded is not None


async def test_one_that_ended_without_a_connection_is_not_said_to_run(tmp_path: Path) -> None:
    settings = settings_for("postgresql://me@127.0.0.1:1/x", backup_dir=tmp_path)
    async with walking(settings, connected=False) as pilot:
        await until_text(pilot, "No connection to 127.0.0.1:1")
        await pilot.press("4", "b")
        await until_text(pilot, "Backup ended", "No connection to")
        await until(pilot, lambda: wizard(pilot).session.standings[Step.BACKUP].status is Status.PENDING)
