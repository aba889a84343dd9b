"""What lies in the backup folder, and whether it can be relied on before a migration."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.backup.helpers import Made, collect, make, settings_for
from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase, tell_statistics
from vagus_tui.backup import (
    BackupOptions,
    Kind,
    backup_outcome,
    latest_backup,
    list_backups,
    restore_test,
    verify_backup,
)
from vagus_tui.backup.manifest import Fingerprint
from vagus_tui.checks.base import Context, Outcome
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.database.impersonation import undone
from vagus_tui.events import NoteEvent, Status
from vagus_tui.format import age_text
from vagus_tui.journal.state import read_state
from vagus_tui.rollback.candidates import candidates
from vagus_tui.settings import Settings

Judge = Callable[[Settings], Awaitable[Outcome]]


@pytest.fixture
async def judge(connect: Connect) -> Judge:
    async def judged(settings: Settings) -> Outcome:
        database = Database(settings)
        conn = await connect(database.url)
        await tell_statistics(conn)
        return await backup_outcome(Context(database, conn, settings, await read_state(conn)))

    return judged


def age(path: Path, by: timedelta) -> None:
    """Make a backup older, proof and all."""
    from tests.backup.test_verification import reseal
    from vagus_tui.backup.verify import keep_proof

    manifest = json.loads((path / "manifest.json").read_text())
    reseal(path, started_at=(datetime.fromisoformat(manifest["started_at"]) - by).isoformat())
    keep_proof(path, verified=True, restored=True)


def test_an_absent_folder_holds_no_backups(tmp_path: Path) -> None:
    assert list_backups(Settings.model_validate({"backup_dir": tmp_path / "none"})) == []


def test_what_may_not_be_looked_into_is_not_taken_for_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.model_validate({"backup_dir": tmp_path})
    closed = tmp_path / "20260101"
    closed.mkdir()
    looked = Path.iterdir

    def refused(folder: Path) -> Iterator[Path]:
        if folder == closed:
            raise PermissionError(13, "Permission denied")
        return looked(folder)

    # Not by the rights of the folder: whoever runs the tests may be root.
    monkeypatch.setattr(Path, "iterdir", refused)
    (info,) = list_backups(settings)
    assert info.path == closed and info.problems and not info.usable
    closed = tmp_path
    (info,) = list_backups(settings)
    assert info.path == tmp_path and not info.usable


async def test_rubbish_is_passed_over_and_broken_backups_are_shown_with_their_problem(
    made: Made, settings: Settings
) -> None:
    day = made.path.parent
    (settings.backup_dir / "notes" / "101010-v1-abcdef.partial").mkdir(parents=True)
    (day / "101013-v1-abcdef").write_text("a file")
    (settings.backup_dir / "20990101").write_text("a file")
    (day / "holiday pictures").mkdir()
    (day / "readme.txt").write_text("x")
    (day / "101010-v1-abcdef.partial").mkdir()
    broken = day / "101011-v1-abcdef"
    broken.mkdir()
    (broken / "manifest.json").write_bytes(b"\x00{{{")
    short = day / "101012-v1-abcdef"
    shutil.copytree(made.path, short)
    (short / "csv" / "exercises.csv").write_text("x")
    found = {info.path.name: info for info in list_backups(settings)}
    assert found.keys() == {made.path.name, "101010-v1-abcdef.partial", broken.name, short.name}
    assert found[made.path.name].usable and not found[made.path.name].problems
    assert "never finished" in found["101010-v1-abcdef.partial"].problems[0]
    assert "not a readable manifest" in found[broken.name].problems[0]
    assert "csv/exercises.csv has 1 bytes" in found[short.name].problems[0]
    assert not any(info.usable for name, info in found.items() if name != made.path.name)
    latest = latest_backup(settings)
    assert latest is not None and latest.path == made.path


async def test_the_newest_that_can_be_relied_on_counts(made: Made, settings: Settings) -> None:
    day = made.path.parent
    for name, hours in (("000001-v1-aaaaaa", 2), ("000002-v1-aaaaaa", -1), ("000003-v1-aaaaaa", -2)):
        shutil.copytree(made.path, day / name)
        age(day / name, timedelta(hours=hours))
    (day / "000002-v1-aaaaaa" / "proof.json").unlink()
    (day / "000003-v1-aaaaaa" / "csv" / "exercises.csv").unlink()
    older, found = day / "000001-v1-aaaaaa", list_backups(settings)
    assert [info.path.name for info in found] == [
        "000003-v1-aaaaaa",
        "000002-v1-aaaaaa",
        made.path.name,
        "000001-v1-aaaaaa",
    ]
    latest = latest_backup(settings)
    assert latest is not None and latest.path == made.path and latest.manifest is not None
    mine, began = latest.manifest.fingerprint, latest.manifest.started_at
    fitting = latest_backup(settings, mine, lambda manifest: manifest.started_at < began)
    assert fitting is not None and fitting.path == older
    assert latest_backup(settings, mine.model_copy(update={"database_oid": 1})) is None


async def test_a_proof_of_another_manifest_is_none(made: Made, settings: Settings) -> None:
    manifest = json.loads((made.path / "manifest.json").read_text())
    manifest["operator"] = "somebody else"
    (made.path / "manifest.json").write_text(json.dumps(manifest))
    (info,) = list_backups(settings)
    assert info.verified is None and "changed after" in info.problems[0]


async def test_a_proof_that_was_changed_is_none(made: Made, settings: Settings) -> None:
    written = made.path / "proof.json"
    proof = json.loads(written.read_text())
    written.write_text(json.dumps({**proof, "restored_at": proof["verified_at"]}))
    assert list_backups(settings)[0].verified is None
    ran = await collect(verify_backup(made.path, Control()))
    notes = [event.message for event in ran.events if isinstance(event, NoteEvent)]
    assert ran.result.ok and any("proof.json was changed" in note for note in notes), notes
    assert list_backups(settings)[0].verified is not None and list_backups(settings)[0].restored is None
    written.write_text("[]")
    assert list_backups(settings)[0].verified is None
    # Earlier versions did not seal theirs.
    del proof["sha256"]
    written.write_text(json.dumps(proof))
    assert list_backups(settings)[0].verified is not None


def test_which_database_a_backup_is_of() -> None:
    """By what the server says of itself, else by the journal, else by the address; what comes first decides alone."""
    one = Fingerprint(system_identifier="7", database_oid=5, database="app", journal_id="j", label="a/app")

    def other(**values: object) -> Fingerprint:
        return one.model_copy(update=values)

    elsewhere = {"label": "b/app", "database": "renamed"}
    assert one.same_database(other(**elsewhere)) and one.same_database(other(journal_id="k", **elsewhere))
    for wrong in ({"system_identifier": "8"}, {"database_oid": 6}):
        assert not one.same_database(other(**wrong)) and not other(**wrong).same_database(one)
    # Where either server may not be asked.
    silent = other(system_identifier=None)
    for mine, theirs in ((silent, other), (one, lambda **values: other(system_identifier=None, **values))):
        assert mine.same_database(theirs(**elsewhere))
        for wrong in ({"journal_id": "k"}, {"database_oid": 6}):
            assert not mine.same_database(theirs(**wrong)), wrong
        # Where one of the two was made before there was a journal.
        assert mine.same_database(theirs(journal_id=None))
        for wrong in ({"label": "b/app"}, {"database_oid": 6}):
            assert not mine.same_database(theirs(journal_id=None, **wrong)), wrong
    # A server that was copied as a whole is told by what its journal lacks.
    assert one.vouches_for(one) and other(journal_id=None).vouches_for(one)
    assert not one.vouches_for(other(journal_id="k")) and not one.vouches_for(other(journal_id=None))
    assert not other(journal_id=None).vouches_for(other(database_oid=6))


async def test_without_a_backup_the_gate_fails(settings: Settings, judge: Judge) -> None:
    outcome = await judge(settings)
    assert outcome.status is Status.FAIL and "Make one" in outcome.message
    # To go without may be somebody's decision.
    assert outcome.overridable is None


async def test_a_fresh_backup_warns_until_it_was_restored_and_then_passes(
    settings: Settings, made_here: Made, judge: Judge
) -> None:
    outcome = await judge(settings)
    assert outcome.status is Status.WARN and "not restored as a test" in outcome.message
    assert (await collect(restore_test(made_here.path, settings, Control()))).result.ok
    outcome = await judge(settings)
    assert outcome.status is Status.PASS
    assert outcome.measured == "just made, verified, restored"


async def test_a_backup_of_another_database_does_not_count(
    made_here: Made,
    settings: Settings,
    make_database: MakeDatabase,
    clean_database: TestDatabase,
    tmp_path: Path,
    judge: Judge,
) -> None:
    other = settings_for(await make_database(), tmp_path)
    assert other.backup_dir == settings.backup_dir
    outcome = await judge(other)
    assert outcome.status is Status.FAIL and "only of others" in outcome.message
    # Nor one of a server that was copied as a whole, before or after the first backup gave its journal an id: the copy
    # lacks what later backups left in the first one's journal.
    for missing in ("backups", "notes where topic = 'database-id'"):
        async with clean_database.as_admin() as admin:
            await admin.execute(f"delete from vagus_migration.{missing}")
        outcome = await judge(settings)
        assert outcome.status is Status.FAIL and outcome.overridable is False
        assert "1 backup has this database's identifiers, but its journal knows nothing" in outcome.message
        async with clean_database.connect() as conn:
            [one] = await candidates(conn, Database(settings), settings)
        assert any("a server that is a copy of this one" in caution for caution in one.cautions)


async def test_an_old_backup_fails_once_something_was_written(
    settings: Settings, clean_database: TestDatabase, judge: Judge
) -> None:
    async with clean_database.connect() as conn:
        await conn.execute("update exercises set sets = sets where id in (select id from exercises limit 2)")
        # What was written before it is none of what was written since.
        async with asyncio.timeout(10):
            while await conn.fetchval("select n_tup_upd from pg_stat_user_tables where relname = 'exercises'") != 2:
                await tell_statistics(conn)
    made_here = await make(settings, BackupOptions(kinds=frozenset({Kind.TABLES})))
    age(made_here.path, timedelta(hours=24, minutes=30))
    outcome = await judge(settings)
    assert outcome.status is Status.WARN and "older than a day" in outcome.message
    async with clean_database.connect() as conn:
        await conn.execute("update exercises set sets = sets where id in (select id from exercises limit 3)")
    outcome = await judge(settings)
    # Before 15 a process of its own collects the counters, and tells them when it gets to it.
    for _ in range(100):
        if outcome.status is Status.FAIL:
            break
        await asyncio.sleep(0.1)
        outcome = await judge(settings)
    assert outcome.status is Status.FAIL
    assert "3 row changes since" in outcome.message and "Make a new one" in outcome.message
    # Counters that began anew say nothing of what came before.
    async with clean_database.as_admin() as admin:
        await admin.execute("select pg_stat_reset()")
    outcome = await judge(settings)
    assert outcome.status is Status.FAIL and "How much was written since is not known." in outcome.message


async def test_a_damaged_backup_does_not_count(made_here: Made, settings: Settings, judge: Judge) -> None:
    (made_here.path.parent / "235959-v1-abcdef.partial").mkdir()
    proof = made_here.path / "proof.json"
    proof.rename(settings.backup_dir / "proof")
    outcome = await judge(settings)
    assert outcome.status is Status.FAIL and "was never read back" in outcome.message
    (settings.backup_dir / "proof").rename(proof)
    (made_here.path / "csv" / "exercises.csv").unlink()
    outcome = await judge(settings)
    assert outcome.status is Status.FAIL and "csv/exercises.csv is missing" in outcome.message
    assert outcome.overridable is None


async def test_csv_alone_warns(settings: Settings, judge: Judge) -> None:
    await make(settings, BackupOptions(kinds=frozenset({Kind.CSV})))
    outcome = await judge(settings)
    assert outcome.status is Status.WARN and "CSV alone" in outcome.message


async def test_a_backup_on_another_machine_is_known_from_the_journal(
    made_here: Made, settings: Settings, clean_database: TestDatabase, judge: Judge
) -> None:
    shutil.rmtree(made_here.path)
    outcome = await judge(settings)
    assert outcome.status is Status.WARN and "not on this machine" in outcome.message
    # In somebody's own folder, which may not be looked into, it might lie here as well.
    async with clean_database.as_admin() as admin:
        await admin.execute("update vagus_migration.backups set path = '/' || repeat('x', 300)")
    assert (await judge(settings)).status is Status.WARN
    # As little as one that lies here does it count when it is old, was never read back, or is of another database.
    other = "manifest = jsonb_set(manifest, '{fingerprint,database_oid}', '1')"
    copied = "manifest = jsonb_set(manifest, '{fingerprint,journal_id}', '\"another\"')"
    for wrong in ("at = at - interval '25 hours'", "verified_at = null", other, copied):
        async with clean_database.as_admin() as admin, undone(admin):
            await admin.execute(f"update vagus_migration.backups set {wrong}")
            database = Database(settings)
            outcome = await backup_outcome(Context(database, admin, settings, await read_state(admin)))
        assert outcome.status is Status.FAIL and outcome.measured == "none", wrong


def test_ages_read_as_people_say_them() -> None:
    assert age_text(timedelta(seconds=-5)) == "0 min"
    assert age_text(timedelta(minutes=26)) == "26 min"
    assert age_text(timedelta(hours=3, minutes=5)) == "3 h 05 m"
    assert age_text(timedelta(days=4)) == "4 days"
