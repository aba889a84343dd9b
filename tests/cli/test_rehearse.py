"""`rehearse`: on the newest backup or a named one; JSON lines; its exit statuses."""

from __future__ import annotations

from pathlib import Path

from tests.cli.program import vagus
from tests.databases import TestDatabase


async def test_on_the_newest_backup(clean_database: TestDatabase, tmp_path: Path) -> None:
    url, folder = clean_database.url, str(tmp_path)
    nothing = await vagus("rehearse", "--json", url=url, VAGUS_BACKUP_DIR=folder)
    assert nothing.status == 1 and "no suitable backup" in nothing.result["message"]
    made = await vagus("backup", "--kind", "tables", "--json", url=url, VAGUS_BACKUP_DIR=folder)
    ran = await vagus("rehearse", "--json", url=url, VAGUS_BACKUP_DIR=folder)
    assert ran.status == 0
    assert ran.result["figures"]["path"] == made.result["figures"]["path"]
    assert ran.result["figures"]["complete"] is True and ran.result["figures"]["writes_blocked_seconds"] >= 0
    done = [line["id"] for line in ran.of("step") if line["phase"] == "rehearse" and line["state"] == "done"]
    assert done[0] == "rehearse-restore" and done[-1] == "rehearse-migrate-again"
    assert {"migrate-swap", "rollback-restore"} <= {line["id"] for line in ran.of("step")}
    shown = await vagus("rehearse", made.result["figures"]["path"], url=url, VAGUS_BACKUP_DIR=folder)
    assert shown.status == 0
    assert "writes wait, in all" in shown.out and "31:00" in shown.out and "Migrate again" in shown.out


async def test_stopped(clean_database: TestDatabase, tmp_path: Path) -> None:
    url, folder = clean_database.url, str(tmp_path)
    await vagus("backup", "--kind", "tables", "--json", url=url, VAGUS_BACKUP_DIR=folder)
    ran = await vagus("rehearse", "--json", url=url, VAGUS_BACKUP_DIR=folder, interrupt_at='"rehearse-migrate"')
    assert ran.status == 3
    assert "Stopped by the operator" in ran.result["message"]


async def test_no_backup_there(tmp_path: Path) -> None:
    ran = await vagus("rehearse", str(tmp_path), "--json")
    assert ran.status == 1 and "no finished backup" in ran.result["message"]
