"""Verification finds and names a flipped bit, a cut-off, a missing and an extra file, and rows that do not add up."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.backup.helpers import Made, collect, make
from tests.databases import TestDatabase
from vagus_tui.backup import ArchiveFormat, BackupOptions, Kind, list_backups, restore_test, verify_backup
from vagus_tui.backup.manifest import DamagedBackupError, read_manifest, read_proof
from vagus_tui.backup.verify import keep_damage, keep_proof
from vagus_tui.control import Control
from vagus_tui.database.tools import bundled_tools
from vagus_tui.errors import CancelledByOperatorError, RefusedError, UndoneError
from vagus_tui.events import NoteEvent, StepEvent, StepState
from vagus_tui.journal import backup_records, store
from vagus_tui.settings import Settings


async def verify(path: Path) -> Made:
    return await collect(verify_backup(path, Control()))


def flip(path: Path, at: float) -> None:
    data = bytearray(path.read_bytes())
    data[int((len(data) - 1) * at)] ^= 0x10
    path.write_bytes(data)


def largest(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def reseal(path: Path, **changes: object) -> None:
    """Rewrite the manifest so that it agrees with the files as they are now: what is left to find is inside them."""
    manifest = json.loads((path / "manifest.json").read_text())
    for entry in manifest["files"]:
        data = (path / entry["name"]).read_bytes()
        entry["bytes"], entry["sha256"] = len(data), hashlib.sha256(data).hexdigest()
    manifest.update(changes)
    text = json.dumps(manifest)
    (path / "manifest.json").write_text(text)
    lines = [f"{hashlib.sha256(text.encode()).hexdigest()}  manifest.json"]
    lines += [f"{entry['sha256']}  {entry['name']}" for entry in manifest["files"]]
    (path / "SHA256SUMS").write_text("\n".join(lines) + "\n")


async def test_a_good_backup_passes_as_often_as_it_is_verified(made: Made) -> None:
    for _ in range(2):
        done = await verify(made.path)
        assert done.result.ok and done.result.exit_status == 0 and done.result.next_step is None
        assert not done.problems and all(not event.overridable for event in done.checks.values())
    assert {"backup-files", "backup-archive-tables", "backup-archive-definitions"} <= done.checks.keys()


@pytest.mark.parametrize("at", [0.0, 0.3, 0.7, 1.0])
async def test_a_flipped_bit_in_any_file_is_found_and_the_file_named(made: Made, at: float) -> None:
    files = [path for path in made.path.rglob("*") if path.is_file() and path.name != "proof.json"]
    for path in files:
        original = path.read_bytes()
        flip(path, at)
        name = path.relative_to(made.path).as_posix()
        try:
            done = await verify(made.path)
        except DamagedBackupError as error:
            # A manifest that cannot be read is nothing to compare with.
            assert name == "manifest.json" and "manifest.json" in str(error)
        else:
            assert not done.result.ok and done.result.exit_status == 1, name
            assert name in done.problems
        path.write_bytes(original)
    assert (await verify(made.path)).result.ok


async def test_a_cut_off_file_is_found_and_named(made: Made) -> None:
    path = largest(made.path / "workout-tables")
    path.write_bytes(path.read_bytes()[:-100])
    done = await verify(made.path)
    assert not done.result.ok
    assert f"workout-tables/{path.name} has" in done.problems and "instead of" in done.problems


async def test_what_was_found_stands_until_the_same_test_finds_it_whole(
    made: Made, settings: Settings, clean_database: TestDatabase
) -> None:
    assert (await collect(restore_test(made.path, settings, Control()))).result.ok
    assert list_backups(settings)[0].usable

    async def recorded() -> backup_records.BackupRecord:
        async with clean_database.connect() as connection:
            return (await backup_records.backups(connection))[0]

    assert (await recorded()).restored
    path = largest(made.path / "workout-tables")
    flip(path, 0.5)
    # Neither its name nor its size tells.
    assert list_backups(settings)[0].usable
    # A backup that this database has not made is none of its journal's business.
    shutil.copytree(made.path, other := made.path.with_name("copied"))
    flip(largest(other / "csv"), 0.5)
    assert not (await collect(verify_backup(other, Control(), settings))).result.ok
    async with clean_database.connect() as connection:
        assert await store.latest_note(connection, backup_records.DAMAGE) is None
    shutil.rmtree(other)
    for test, name in (
        (restore_test(made.path, settings, Control()), "restore test"),
        (verify_backup(made.path, Control(), settings), "verification"),
    ):
        assert not (await collect(test)).result.ok
        (info,) = list_backups(settings)
        assert not info.usable and f"A {name} found" in info.problems[-1] and path.name in info.problems[-1]
        # That it was restored stays on record, and counts no longer.
        record = await recorded()
        assert record.restored_at is not None and not record.restored and not record.verified
        assert path.name in record.damage
    flip(path, 0.5)
    # What the one has found the other does not take back.
    assert (await collect(verify_backup(made.path, Control(), settings))).result.ok
    (info,) = list_backups(settings)
    assert not info.usable and len(info.problems) == 1 and "A restore test found" in info.problems[0]
    assert (await recorded()).damage
    assert (await collect(restore_test(made.path, settings, Control()))).result.ok
    assert list_backups(settings)[0].usable and (await recorded()).restored


def test_a_finding_is_taken_back_by_the_test_that_found_it_alone(made_once: Made, tmp_path: Path) -> None:
    shutil.copytree(made_once.path, path := tmp_path / "backup")

    def damage() -> dict[str, str]:
        proof = read_proof(path)
        assert proof is not None
        return proof.damage

    keep_damage(path, "one thing", by="restore test")
    keep_damage(path, "another", by="verification")
    assert damage() == {"restore test": "one thing", "verification": "another"}
    keep_proof(path, uploaded="s3://bucket")
    keep_proof(path, restored=True)
    assert damage() == {"verification": "another"}
    keep_proof(path, verified=True)
    assert damage() == {}
    # As earlier versions kept it: one at a time, and without a seal.
    said = {"manifest_sha256": "0" * 64, "damage": "a thing", "damaged_by": "restore test"}
    (path / "proof.json").write_text(json.dumps(said))
    assert damage() == {"restore test": "a thing"}
    (path / "proof.json").write_text(json.dumps({**said, "damage": "", "damaged_by": ""}))
    assert damage() == {}


@pytest.mark.parametrize("reading", ["hashing._piece", "csv_files.CsvCheck._piece"])
async def test_a_disk_that_does_not_give_a_file_back_is_damage(
    made: Made, settings: Settings, reading: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(f"vagus_tui.backup.{reading}", refused)
    # And neither can the journal be told.
    nowhere = settings.model_copy(update={"database_url": SecretStr("postgresql://nobody@127.0.0.1:9/x")})
    done = await collect(verify_backup(made.path, Control(), nowhere))
    assert not done.result.ok and "csv/exercises.csv cannot be read: Input/output error." in done.problems
    assert "do not rely on this one" in (done.result.next_step or "")
    notes = [event.message for event in done.events if isinstance(event, NoteEvent)]
    assert len(notes) == 1 and notes[0].startswith("The journal could not be told what was found of the backup.")
    assert not list_backups(settings)[0].usable


_KILLED = {"was ended from outside .SIGKILL": "KILL", "crashed .SIGSEGV": "SEGV"}


@pytest.mark.parametrize("said", [*_KILLED, "could not be started", "Permission denied"])
async def test_what_ails_this_machine_is_no_damage(
    made: Made,
    settings: Settings,
    clean_database: TestDatabase,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    bundled = bundled_tools()
    assert bundled is not None
    program = tmp_path / "pg_restore"
    program.write_text(f"#!/bin/sh\nkill -{_KILLED.get(said, 'KILL')} $$\n")
    program.chmod(0o755 if said in _KILLED else 0o644)
    if "Permission" in said:
        monkeypatch.setattr("vagus_tui.backup.hashing._piece", refused)
    else:
        tools = dataclasses.replace(bundled, pg_restore=program)
        monkeypatch.setattr("vagus_tui.backup.verify.reading_tools", lambda *_: tools)
    with pytest.raises(RefusedError, match=said) as caught:
        await collect(verify_backup(made.path, Control(), settings))
    assert caught.value.state == "The backup is as it was, and so is what is known of it."
    assert list_backups(settings)[0].usable
    async with clean_database.connect() as connection:
        assert not (await backup_records.backups(connection))[0].damage
    if "crashed" in said:
        # What was changed since may be what it stumbles over.
        flip(file := largest(made.path / "workout-tables"), 0.5)
        done = await collect(verify_backup(made.path, Control(), settings))
        assert not done.result.ok and file.name in done.problems and "pg_restore crashed (SIGSEGV)." in done.problems
    if "ended" in said:
        # One that is being made is gone then, and that is what is said.
        with pytest.raises(UndoneError, match="written but could not be read back: pg_restore was ended") as undone:
            await make(settings, BackupOptions(kinds=frozenset({Kind.TABLES})))
        assert "was removed" in undone.value.state and len(list_backups(settings)) == 1


async def test_a_missing_and_an_extra_file_are_found_and_named(made: Made) -> None:
    (made.path / "csv" / "exercises.csv").unlink()
    (made.path / "csv" / "other.csv").write_text("id\n")
    done = await verify(made.path)
    assert not done.result.ok
    assert "csv/exercises.csv is missing." in done.problems
    assert "csv/other.csv does not belong to the backup." in done.problems


async def test_a_link_in_place_of_a_file_is_no_file(made: Made, tmp_path: Path) -> None:
    path = made.path / "csv" / "exercises.csv"
    shutil.move(path, tmp_path / "elsewhere.csv")
    path.symlink_to(tmp_path / "elsewhere.csv")
    done = await verify(made.path)
    assert "csv/exercises.csv is not a plain file." in done.problems
    path.unlink()
    os.mkfifo(path)
    async with asyncio.timeout(20):
        done = await verify(made.path)
    assert "csv/exercises.csv is not a plain file." in done.problems


@pytest.mark.parametrize("form", list(ArchiveFormat))
async def test_an_archive_that_ends_early_is_found_by_reading_it(settings: Settings, form: ArchiveFormat) -> None:
    """The checksums agree, as they would had the disk been full from the start: only reading shows it."""
    made = await make(settings, BackupOptions(kinds=frozenset({Kind.TABLES}), format=form))
    path = made.path / "workout-tables.dump" if form is ArchiveFormat.CUSTOM else largest(made.path / "workout-tables")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reseal(made.path)
    done = await verify(made.path)
    assert not done.result.ok
    assert done.checks["backup-files"].status.value == "pass"
    assert "workout-tables" in done.problems


async def test_rows_that_do_not_add_up_are_found(made: Made) -> None:
    manifest = json.loads((made.path / "manifest.json").read_text())
    for table in manifest["tables"]:
        if table["name"] == "exercises":
            table["rows"] += 1
    for table in manifest["csv"]:
        if table["table"] == "public.exercises":
            table["rows"] += 1
            table["columns"] = table["columns"][1:]
    gone = {**manifest["tables"][0], "name": "gone"}
    for archive in manifest["archives"]:
        if archive["content"] == "tables":
            archive["tables"].append("public.gone")
    reseal(made.path, tables=[*manifest["tables"], gone], csv=manifest["csv"], archives=manifest["archives"])
    done = await verify(made.path)
    assert "rows of public.exercises" in done.problems
    assert "holds no rows of public.gone" in done.problems
    assert "exercises.csv holds" in done.problems and "exercises.csv has other columns" in done.problems


async def test_a_csv_row_that_lost_a_column_is_found(made: Made) -> None:
    path = made.path / "csv" / "exercises.csv"
    lines = path.read_bytes().split(b"\n")
    lines[3] = lines[3].partition(b",")[2]
    path.write_bytes(b"\n".join(lines))
    reseal(made.path)
    done = await verify(made.path)
    assert "exercises.csv has a damaged row near 3" in done.problems


async def test_an_unfinished_folder_is_never_a_good_backup(made: Made) -> None:
    partial = made.path.with_name(made.path.name + ".partial")
    made.path.rename(partial)
    done = await verify(partial)
    assert not done.result.ok and "never finished" in done.result.message


async def test_a_manifest_that_leads_outside_is_refused(made: Made) -> None:
    manifest = json.loads((made.path / "manifest.json").read_text())
    for name in ("../../../etc/passwd", "csv/../../x", "/etc/passwd", "csv\\..\\x", "x\0", ""):
        manifest["files"][0]["name"] = name
        (made.path / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(DamagedBackupError, match="not a readable manifest"):
            await verify(made.path)


async def test_a_later_format_is_said_so(made: Made) -> None:
    manifest = json.loads((made.path / "manifest.json").read_text())
    manifest["format_version"] = 99
    (made.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedBackupError, match="later version"):
        read_manifest(made.path)


async def test_a_folder_without_manifest_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(DamagedBackupError, match="no finished backup"):
        await verify(tmp_path)


async def test_verifying_can_be_stopped(made: Made) -> None:
    control = Control()
    control.cancel()
    with pytest.raises(CancelledByOperatorError):
        await collect(verify_backup(made.path, control))


async def test_a_damaged_backup_keeps_no_fresh_proof(made: Made, settings: Settings) -> None:
    before = list_backups(settings)[0].verified
    flip(largest(made.path / "csv"), 0.5)
    await verify(made.path)
    assert list_backups(settings)[0].verified == before


async def test_progress_of_a_verification_adds_up(made: Made) -> None:
    done = await verify(made.path)
    total = next(
        event
        for event in done.events
        if isinstance(event, StepEvent) and event.id == "verify-files" and event.state is StepState.DONE
    )
    assert total.rows == read_manifest(made.path).bytes
