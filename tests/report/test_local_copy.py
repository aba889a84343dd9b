"""The copy of the journal on the operator's machine: complete, safe after a crash, and put back after a restore."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import migrated
from tests.report.test_story import report_of
from vagus_tui.database.connection import Connection
from vagus_tui.errors import VagusError
from vagus_tui.events import CheckEvent, Phase, Status, StepEvent, StepState
from vagus_tui.journal import backup_records, decisions, store
from vagus_tui.journal.local_copy import LocalCopy, file_name, local_copy
from vagus_tui.journal.state import State, read_state
from vagus_tui.sandbox.options import SandboxOptions

HOSTILE = 'a "quote", a\nline, \u202e and ‮'


async def test_everything_but_users_data_is_copied_once(
    clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path
) -> None:
    copy = LocalCopy(tmp_path / "deep" / "deeper" / "copy.jsonl")
    assert await copy.sync(clean_conn) == 0 and not copy.path.exists()
    await migrated(clean_database)
    await decisions.sign(clean_conn, "communications.reminder-email", ticked=True, operator="ada", note=HOSTILE)
    await decisions.override(clean_conn, "tls", "because", operator="ada")
    first = await copy.sync(clean_conn)
    assert first > 50 and await copy.sync(clean_conn) == 0
    assert await LocalCopy(copy.path).sync(clean_conn) == 0
    assert copy.path.stat().st_mode & 0o077 == copy.path.parent.stat().st_mode & 0o077 == 0
    await decisions.withdraw_override(clean_conn, "tls", operator="ada")
    assert await copy.sync(clean_conn) == 2
    lines = [json.loads(line) for line in copy.path.read_text().splitlines()]
    assert {line["table"] for line in lines} == {"runs", "steps", "sign_offs", "overrides", "notes"}
    assert any(line["row"].get("note") == HOSTILE for line in lines)
    assert await copy.missing(clean_conn) == []


async def test_whatever_happens_to_the_journal_is_news(
    empty_database: TestDatabase, connect: Connect, tmp_path: Path
) -> None:
    conn = await connect(empty_database.url)
    copy = LocalCopy(tmp_path / "copy.jsonl")
    run = await store.start_run(conn, "migrate", operator="ada", environment="staging", options={})
    assert await copy.sync(conn) == 1
    step = StepEvent(id="build", phase=Phase.BUILD, title="x", state=StepState.DONE)
    check = CheckEvent(id="tls", group="prerequisites", title="x", status=Status.PASS)
    appended = (
        # The same once more is another entry, since it happened at another time.
        lambda: store.record_step(conn, run, step),
        lambda: store.record_checks(conn, [check], operator="ada"),
        lambda: decisions.sign(conn, "item", ticked=True, operator="ada"),
        lambda: decisions.override(conn, "tls", "because", operator="ada"),
        lambda: backup_records.record_backup(conn, "/b", {}, operator="ada", verified=False),
        lambda: store.note(conn, "one", 1, operator="ada"),
    )
    backups = "update vagus_migration.backups set"
    for happens in (
        *appended,
        *appended,
        lambda: store.update_run(conn, run, phase="build"),
        lambda: store.update_run(conn, run, figures={"rows": 1}),
        lambda: conn.execute("update vagus_migration.overrides set withdrawn = true where id = 2"),
        lambda: conn.execute(f"{backups} verified_at = now() where id = 2"),
        lambda: conn.execute(f"{backups} restored_at = now() where id = 2"),
    ):
        await happens()
        assert await copy.sync(conn) == 1
        assert await copy.sync(conn) == 0
    # Another program's copy of it holds as much, and knows the latest of what was changed.
    assert await LocalCopy(copy.path).sync(conn) == 0 and await copy.missing(conn) == []
    # What somebody's editor or disk left in it is passed over, and what is no file is said.
    with copy.path.open("ab") as file:
        file.write(b'\xff\xfe {"table": "notes"}\n[]\n"x"\n{"table": "passwords", "key": "x", "row": {}}\n')
    assert await LocalCopy(copy.path).sync(conn) == 0 and await LocalCopy(copy.path).missing(conn) == []
    with pytest.raises(VagusError, match="local copy of the journal cannot be read: Is a directory") as refused:
        await LocalCopy(tmp_path).missing(conn)
    assert str(tmp_path) in refused.value.next_step
    await conn.execute("drop schema vagus_migration cascade")
    told = {entry.table: entry.row for entry in await copy.missing(conn)}
    assert (told["runs"]["phase"], told["runs"]["figures"]) == ("build", {"rows": 1})
    assert told["backups"]["restored_at"] and told["overrides"]["withdrawn"]


async def test_a_line_that_a_crash_cut_off_is_written_again(clean_conn: Connection, tmp_path: Path) -> None:
    path = tmp_path / "copy.jsonl"
    await store.note(clean_conn, "one", 1, operator="ada")
    await LocalCopy(path).sync(clean_conn)
    await store.note(clean_conn, "two", 2, operator="ada")
    await LocalCopy(path).sync(clean_conn)
    path.write_bytes(path.read_bytes()[:-10])
    assert await LocalCopy(path).sync(clean_conn) == 1
    topics = set()
    for line in path.read_text().splitlines():
        try:
            topics.add(json.loads(line)["row"]["topic"])
        except ValueError:
            continue
    assert topics == {"one", "two"}


async def test_what_a_restored_database_forgot_is_put_back(make_database: MakeDatabase, tmp_path: Path) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    copy = LocalCopy(tmp_path / "copy.jsonl")
    async with database.connect() as conn:
        await decisions.sign(conn, "communications.reminder-email", ticked=True, operator="ada")
        await decisions.override(conn, "tls", "because", operator="ada")
        await copy.sync(conn)
        # As after a restore of a backup that was made before any of this.
        await conn.execute("drop schema vagus_migration cascade")
        await store.note(conn, "new", 1, operator="grace")
        assert {entry.table for entry in await copy.missing(conn)} == {"sign_offs", "overrides"}
        assert await copy.put_back(conn, "grace") == 2
        assert await copy.put_back(conn, "grace") == 0
        assert await copy.missing(conn) == []
        # They are told, and count for nothing: nobody has overridden anything in this database.
        assert await decisions.overrides(conn) == {} and await decisions.sign_offs(conn) == {}
        told = [line.what for line in (await report_of(conn, database.url)).story]
        assert "Overrode tls: because (known from a local copy)" in told
        assert "Signed off: Send the reminder e-mail (known from a local copy)" in told
        assert (await read_state(conn)).state is State.V1
        # What was put back is known as what it was, should it be forgotten once more.
        await copy.sync(conn)
        await conn.execute("drop schema vagus_migration cascade")
        entries = await LocalCopy(copy.path).missing(conn)
        assert [(entry.table, entry.row.get("topic")) for entry in entries] == [
            ("sign_offs", None),
            ("overrides", None),
            ("notes", "new"),
        ]


async def test_a_full_disk_stops_nothing(clean_conn: Connection, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    copy = LocalCopy(tmp_path / "file" / "copy.jsonl")
    await store.note(clean_conn, "one", 1, operator="ada")
    assert await copy.sync(clean_conn) == 0
    assert str(copy.path) in copy.problem
    # It is tried again, whether or not there is anything new.
    (tmp_path / "file").unlink()
    assert await copy.sync(clean_conn) == 1 and copy.problem == ""


async def test_names_are_safe_and_databases_apart(database: TestDatabase, conn: Connection, tmp_path: Path) -> None:
    one = await file_name(conn, "../../etc/passwd \x1b[31m")
    assert "/" not in one and "\x1b" not in one and one.endswith(".jsonl")
    assert one != await file_name(conn, "etc_passwd_31m")
    # Cloned servers have one identifier: on one machine their ports tell them apart.
    system = await conn.fetchval("select system_identifier from pg_control_system()")
    port = await conn.fetchval("select inet_server_port()")
    told = f"{system}|db" if port in (None, 5432) else f"{system}|db:{port}"
    assert await file_name(conn, "db") == f"db_{hashlib.sha256(told.encode()).hexdigest()[:12]}.jsonl"
    assert await local_copy(conn, "x", None) is None
    found = await local_copy(conn, "host/db", tmp_path)
    assert found is not None and found.path.parent == tmp_path and found.path.name.startswith("host_db_")
