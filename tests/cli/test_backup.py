"""`backup`: make, list, verify; a damaged one is refused."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import vagus
from tests.databases import TestDatabase
from tests.object_store import KEYS, ObjectStore
from vagus_tui.format import moment


async def test_made_listed_and_verified(clean_database: TestDatabase, tmp_path: Path) -> None:
    url, folder = clean_database.url, str(tmp_path)
    made = await vagus("backup", "--json", url=url, VAGUS_BACKUP_DIR=folder)
    assert made.status == 0
    path = made.result["figures"]["path"]
    assert made.result["message"].endswith(f", in {path}.")
    # What is about no bytes has no amount of them, not none.
    ended = {step["id"]: step for step in made.of("step") if step["state"] == "done"}
    assert "rows" not in ended["record"] and ended["digest"]["rows"] > 0
    listed = await vagus("backup", "--list", "--json", VAGUS_BACKUP_DIR=folder)
    (line,) = listed.of("backup")
    assert (line["path"], line["usable"]) == (path, True)
    assert sorted(line["kinds"]) == ["csv", "full", "tables"]
    verified = await vagus("backup", "--verify", path, "--json", VAGUS_BACKUP_DIR=folder)
    assert verified.status == 0
    assert {check["status"] for check in verified.of("check")} <= {"pass", "warn", "skip"}
    shown = await vagus("backup", "--list", VAGUS_BACKUP_DIR=folder, VAGUS_TIMEZONE="Asia/Kolkata")
    # In a file or a pipe a path is never broken over two lines, and times are in the operator's zone.
    assert "✓ usable" in shown.out and path in shown.out
    assert moment(datetime.fromisoformat(line["created"]), "Asia/Kolkata") in shown.out


async def test_restored_as_a_test(clean_database: TestDatabase, empty_database: TestDatabase, tmp_path: Path) -> None:
    url, folder = clean_database.url, str(tmp_path)
    kind = ("backup", "--kind", "csv", "--format", "custom", "--json")
    made = await vagus(*kind, url=url, VAGUS_BACKUP_DIR=folder)
    # A newer one of another database, in the same folder, is not what is meant.
    other = await vagus(*kind, url=empty_database.url, VAGUS_BACKUP_DIR=folder)
    done = await vagus("backup", "--restore-test", "--json", url=url, VAGUS_BACKUP_DIR=folder)
    assert done.status == 0
    path = made.result["figures"]["path"]
    assert done.result["figures"]["path"] == done.of("note")[0]["detail"]["path"] == path
    assert {check["status"] for check in done.of("check")} == {"pass"}
    listed = {
        line["path"]: line for line in (await vagus("backup", "--list", "--json", VAGUS_BACKUP_DIR=folder)).of("backup")
    }
    assert listed[path]["restored"] is not None and "restored" not in listed[other.result["figures"]["path"]]


async def test_a_damaged_one(clean_database: TestDatabase, tmp_path: Path) -> None:
    made = await vagus("backup", "--kind", "csv", "--json", url=clean_database.url, VAGUS_BACKUP_DIR=str(tmp_path))
    assert made.status == 0 and made.result["figures"]["kinds"] == ["csv"]
    folder = Path(made.result["figures"]["path"])
    victim = max(folder.rglob("*.csv*"), key=lambda path: path.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-10])
    ran = await vagus("backup", "--verify", str(folder), "--json")
    assert ran.status == 1
    assert victim.name in ran.result["message"]
    listed = await vagus("backup", "--list", VAGUS_BACKUP_DIR=str(tmp_path))
    first = listed.out.splitlines()[0]
    assert first.startswith("! not usable") and first.endswith("damaged")


@pytest.mark.usefixtures("cloud_credentials")
async def test_uploaded_and_listed(clean_database: TestDatabase, tmp_path: Path, cloud: ObjectStore) -> None:
    cloud.bucket("uploaded")
    target: dict[str, Any] = {
        "VAGUS_BACKUP_DIR": str(tmp_path),
        "VAGUS_UPLOAD_URL": "s3://uploaded/copies",
        "VAGUS_UPLOAD_ENDPOINT": cloud.endpoint,
    }
    nothing = await vagus("backup", "--upload", "--json", url=clean_database.url, **target)
    assert nothing.status == 1 and "no whole backup of this database" in nothing.result["message"]
    made = await vagus("backup", "--kind", "csv", "--json", url=clean_database.url, **target)
    done = await vagus("backup", "--upload", "--json", url=clean_database.url, **target)
    assert done.status == 0 and done.result["figures"]["path"] == made.result["figures"]["path"]
    assert {check["status"] for check in done.of("check")} == {"pass"}
    again = await vagus("backup", "--upload", made.result["figures"]["path"], "--json", **target)
    assert again.status == 0 and again.result["figures"]["sent_bytes"] == 0
    here, there = (await vagus("backup", "--list", "--json", **target)).of("backup")
    assert (here["uploaded"] is not None, there["remote"], there["usable"]) == (True, True, True)
    assert there["path"].startswith("s3://uploaded/copies/")
    shown = await vagus("backup", "--list", **target)
    assert "✓ copy" in shown.out and "s3://uploaded" in shown.out
    for ran in (nothing, done, again, shown):
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in ran.out + ran.err
    wrong = await vagus("backup", "--upload", "--json", **{**target, "VAGUS_UPLOAD_URL": "s3://nowhere"})
    assert wrong.status == 1 and "no bucket" in wrong.result["message"]


async def test_without_a_target(tmp_path: Path) -> None:
    ran = await vagus("backup", "--upload", str(tmp_path), "--json")
    assert ran.status == 1 and "no finished backup" in ran.result["message"]


async def test_no_backup_at_all(tmp_path: Path) -> None:
    ran = await vagus("backup", "--verify", str(tmp_path / "nowhere"), "--json")
    assert (ran.status, ran.result["message"]) == (1, f"There is no {tmp_path / 'nowhere'}.")
    nowhere = str(tmp_path / "nowhere")
    listed = await vagus("backup", "--list", "--json", VAGUS_BACKUP_DIR=nowhere, VAGUS_UPLOAD_URL="s3://")
    (note,) = listed.of("note")
    assert note["level"] == "warning" and note["message"].startswith("The upload target cannot be read: VAGUS_UPLOAD")
    assert listed.status == 0 and not listed.of("backup")


async def test_one_act_at_a_time() -> None:
    ran = await vagus("backup", "--list", "--kind", "csv", "--json")
    assert ran.status == 2
    assert "exclude each other" in ran.result["message"]
