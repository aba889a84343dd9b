"""The clean-up: nothing goes before every gate holds, what goes is in a restored backup, and the way back is said."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from tests.backup.helpers import collect, make
from tests.cli.program import vagus
from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import Ran, collected, migrated, rolled_back, settings_for, state_of
from tests.oracle import v1_rows
from tests.rollback.support import rolled_back_from
from vagus_tui.backup import BackupOptions, Kind
from vagus_tui.backup.restore import restore_test
from vagus_tui.cleanup import run as cleaning
from vagus_tui.cleanup.gates import holding
from vagus_tui.cleanup.run import clean_up
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.errors import ConnectionLostError
from vagus_tui.events import CheckEvent, Event, StepEvent
from vagus_tui.journal import decisions, store
from vagus_tui.journal.state import State
from vagus_tui.rollback.finish import undone_on_failure
from vagus_tui.sandbox.options import SandboxOptions

OLD = "update vagus_migration.runs set finished_at = finished_at - interval '15 days' where kind = 'migrate'"


async def kept(database: TestDatabase, folder: Path, kinds: frozenset[Kind] = frozenset({Kind.TABLES})) -> Path:
    """A backup, restored as a test."""
    settings = settings_for(database, backup_dir=folder)
    made = await make(settings, BackupOptions(kinds=kinds))
    tested = await collect(restore_test(made.path, settings, Control()))
    assert tested.result.ok, tested.problems
    return made.path


async def do_clean_up(
    database: TestDatabase,
    folder: Path,
    *,
    archives: bool = False,
    on_event: Callable[[Event, Control], Awaitable[None]] | None = None,
    **values: Any,
) -> Ran:
    """Clean up, and collect what was said."""
    settings, control = settings_for(database, backup_dir=folder, **values), Control()
    return await collected(clean_up(Database(settings), settings, control, archives=archives), control, on_event)


def failing(ran: Ran) -> dict[str, str | None]:
    """The gates that hold it up, and what they say."""
    return {e.id: e.message for e in ran.events if isinstance(e, CheckEvent) and e.status.blocks and not e.overridden}


@pytest.fixture
async def moved(make_database: MakeDatabase) -> TestDatabase:
    """A migrated database."""
    return await make_database(SandboxOptions(plans=20, clean=True), moved=True)


async def test_every_gate_must_hold(moved: TestDatabase, connect: Connect, tmp_path: Path) -> None:
    conn = await connect(moved.url)
    rows = await v1_rows(conn, "_v1")
    await conn.execute("create view late as select id from workout_plans_v1")
    ran = await do_clean_up(moved, tmp_path)
    assert not ran.result.ok and ran.result.exit_status == 1
    assert {"clean-up-waiting-period", "clean-up-nothing-hangs", "clean-up-final-backup"} <= failing(ran).keys()
    said = next(e for e in ran.events if isinstance(e, CheckEvent) and e.id == "clean-up-nothing-hangs" and e.message)
    assert "late" in str(said.message)
    await conn.execute("drop view late")
    await conn.execute(OLD)
    path = await kept(moved, tmp_path)
    await conn.execute("update exercises_v1 set notes = 'touched' where id = (select id from exercises_v1 limit 1)")
    ran = await do_clean_up(moved, tmp_path)
    # The backup no longer has the tables' rows, and the row proof sees that v1 and v2 have parted.
    assert "clean-up-final-backup" in failing(ran) and "other rows" in str([e.to_json() for e in ran.events])
    # A newer one has the rows, and only its test is missing: that is what is asked for, not another one.
    newer = await make(settings_for(moved, backup_dir=tmp_path), BackupOptions(kinds=frozenset({Kind.TABLES})))
    ran = await do_clean_up(moved, tmp_path)
    assert f"{newer.path.name} holds them and was not restored yet" in str(failing(ran)["clean-up-final-backup"])
    # Nor is one the way back whose files are not what they were, whatever its manifest says.
    assert (await collect(restore_test(newer.path, settings_for(moved, backup_dir=tmp_path), Control()))).result.ok
    largest = max((file for file in newer.path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    ran = await do_clean_up(moved, tmp_path)
    assert "other rows" in str(failing(ran)["clean-up-final-backup"])
    shutil.rmtree(newer.path)
    assert (await state_of(moved)).state is State.MIGRATED
    await conn.execute("delete from vagus_migration.runs where kind = 'clean-up'")
    shutil.rmtree(path)
    ran = await do_clean_up(moved, tmp_path)
    assert "clean-up-final-backup" in failing(ran)
    assert (await v1_rows(conn, "_v1")).keys() == rows.keys()


async def test_v1_goes_and_the_backup_leads_back(moved: TestDatabase, connect: Connect, tmp_path: Path) -> None:
    conn = await connect(moved.url)
    rows = await v1_rows(conn, "_v1")
    path = await kept(moved, tmp_path)
    await conn.execute(OLD)
    with pytest.MonkeyPatch.context() as patch:

        async def written(*given: Any) -> Any:
            found = await holding(*given)
            one = "select id, 'late' from workout_plans_v1 limit 1"
            await conn.execute(f"insert into exercises_v1 (plan_id, name) {one}")
            return found

        patch.setattr(cleaning, "holding", written)
        ran = await do_clean_up(moved, tmp_path)
    # Written after the last look at the backup: it is looked at once more when nobody can write.
    assert not ran.result.ok and "no longer holds v1: public.exercises_v1 has other rows" in ran.result.message
    assert "by hand. Find out who" in (ran.result.next_step or "")
    assert (await state_of(moved)).state is State.MIGRATED
    await conn.execute("delete from exercises_v1 where name = 'late'")
    await conn.execute("alter table exercises_v1 add column late text")
    ran = await do_clean_up(moved, tmp_path)
    assert "other columns" in str(failing(ran)["clean-up-final-backup"])
    await conn.execute("alter table exercises_v1 drop column late")
    ran = await do_clean_up(moved, tmp_path)
    assert ran.result.ok, (ran.result, failing(ran))
    assert ran.result.figures is not None and ran.result.figures["way_back"] == str(path)
    found = await state_of(moved)
    assert found.state is State.CLEANED and not found.interrupted and "only a backup leads back" in found.summary
    assert await conn.fetchval("select to_regclass('workout_plans_v1') is null")
    assert not await conn.fetchval("select exists(select from pg_trigger where tgname = 'vagus_capture')")
    assert await conn.fetchval("select count(*) from active_plans") > 0
    plan = await conn.fetchval("select user_id from workout_plans where status = 'active' limit 1")
    assert await conn.fetchval("select count_active_plans($1)", plan) > 0, "it reads the views under v1's names"
    runs = [run for run in await store.runs(conn) if run.kind == "clean-up"]
    assert runs[-1].status == "done" and runs[-1].figures["way_back"] == str(path)
    again = await do_clean_up(moved, tmp_path)
    assert not again.result.ok and again.result.exit_status == 1
    # What is damaged then is named, and what can be taken back is.
    await conn.execute("alter table workout_days rename to days; drop table exercise_logs cascade")
    found = await state_of(moved)
    assert found.state is State.UNKNOWN and "v1 was removed on" in found.reasons[0], found
    assert "exercise_logs was dropped" in found.reasons[-1] and "workout_days was renamed to days" in found.reasons[1]
    assert found.possible == ("backup", "rollback from a backup")
    await conn.execute(found.reasons[1].partition("takes it back: ")[2])
    assert (await state_of(moved)).reasons[1:] == ("Since then exercise_logs was dropped, or put out of sight.",)
    await rolled_back_from(moved, path)
    assert await v1_rows(conn) == rows
    assert (await state_of(moved)).state is State.ROLLED_BACK


async def test_archives_on_choice(make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True), moved=True)
    conn = await connect(database.url)
    await rolled_back(database)
    await migrated(database)
    await conn.execute(OLD)
    await kept(database, tmp_path)
    count = "select count(*) from pg_namespace where nspname like 'workout_v2_archive_%'"
    ran = await do_clean_up(database, tmp_path, archives=True)
    assert failing(ran).keys() == {"clean-up-archives-kept"}
    for more in ((), ("--archives",)):
        shown = await vagus("cleanup", *more, "--json", url=database.url, VAGUS_BACKUP_DIR=str(tmp_path))
        assert any("drop schema" in line["sql"] and "archive" in line["sql"] for line in shown.of("sql")) is bool(more)
        assert ("clean-up-archives-kept" in {line["id"] for line in shown.of("check")}) is bool(more)
    await kept(database, tmp_path, frozenset({Kind.FULL}))
    # The last that looks at v1 through the views made for it.
    await conn.execute("drop function count_active_plans")
    told = await vagus("cleanup", "--yes", "--archives", "--json", url=database.url, VAGUS_BACKUP_DIR=str(tmp_path))
    assert told.status == 0, told.result
    assert "tables and 1 archive of earlier rollbacks are gone" in told.result["message"]
    assert await conn.fetchval(count) == 0
    assert await conn.fetchval("select to_regnamespace('workout_v1_compat') is null")


async def test_a_user_in_the_way_is_named(moved: TestDatabase, connect: Connect, tmp_path: Path) -> None:
    conn = await connect(moved.url)
    await kept(moved, tmp_path)
    await conn.execute(OLD)
    reader = await connect(moved.url)
    transaction = reader.transaction()
    await transaction.start()
    # In the way of the look at what there is, then of the removal.
    await reader.execute("lock table exercise_logs_v1 in access exclusive mode")
    ran = await do_clean_up(moved, tmp_path, lock_attempts=1)
    assert not ran.result.ok and f"PID {reader.get_server_pid()}" in ran.result.message, ran.result
    await transaction.rollback()
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetchval("select count(*) from exercise_logs_v1")
    ran = await do_clean_up(moved, tmp_path, lock_attempts=2)
    assert not ran.result.ok and "PID" in ran.result.message
    assert (await state_of(moved)).state is State.MIGRATED
    await transaction.rollback()


async def test_stopped_after_the_commit(moved: TestDatabase, connect: Connect, tmp_path: Path) -> None:
    """What is owed is done by the next one to come."""
    conn = await connect(moved.url)
    await kept(moved, tmp_path)
    await conn.execute(OLD)

    async def cut(event: Event, _: Control) -> None:
        if isinstance(event, StepEvent) and event.id == "drop-v1" and event.state.value == "done":
            async with moved.as_admin() as admin:
                await admin.fetch(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and application_name like 'vagus-tui%'"
                )

    ran = await do_clean_up(moved, tmp_path, on_event=cut)
    assert ran.result.ok or "v1 is in place" not in str(ran.result)
    await conn.execute("update vagus_migration.runs set finished_at = null where kind = 'clean-up'")
    await conn.execute("delete from vagus_migration.steps where step like 'capture-%'")
    found = await state_of(moved)
    assert found.state is State.CLEANED and found.interrupted and found.possible[0] == "finish clean-up"
    # Shown without --yes, and done with it.
    shown = await vagus("cleanup", "--json", url=moved.url, VAGUS_BACKUP_DIR=str(tmp_path))
    assert shown.status == 2 and shown.result["state"] == "Nothing was changed." and len(shown.of("sql")) > 1
    assert "abandon --yes" in (await vagus("abandon", "--json", url=moved.url)).result["next_step"]
    status = await vagus("status", "--json", url=moved.url)
    assert "rollback --finish" in shown.result["next_step"] and "rollback --finish" in status.result["next_step"]
    assert (await state_of(moved)).interrupted
    done = await vagus("cleanup", "--yes", "--json", url=moved.url, VAGUS_BACKUP_DIR=str(tmp_path))
    assert done.status == 0 and "Clean-up was finished." in done.result["message"], done.result
    found = await state_of(moved)
    assert found.state is State.CLEANED and not found.interrupted
    assert not await conn.fetchval("select exists(select from pg_trigger where tgname = 'vagus_capture')")


async def test_on_the_command_line(moved: TestDatabase, connect: Connect, tmp_path: Path) -> None:
    conn: Connection = await connect(moved.url)
    more: dict[str, Any] = {"VAGUS_BACKUP_DIR": str(tmp_path), "VAGUS_PROJECT": "vagus live"}
    live = {**more, "VAGUS_ENVIRONMENT": "production"}
    # Only looked at, which asks for no name in production either.
    shown = await vagus("cleanup", "--json", url=moved.url, **live)
    assert shown.status == 1 and shown.result["ok"] is False and "--override CHECK=REASON" in shown.result["next_step"]
    assert any("drop table" in line["sql"] for line in shown.of("sql"))
    assert {line["id"]: line["status"] for line in shown.of("check")}["clean-up-final-backup"] == "fail"
    assert any("no longer possible" in line["message"] for line in shown.of("note"))
    await kept(moved, tmp_path)
    # What can be let pass is said with how, and what was about to begin on which database in whose name.
    held = await vagus("cleanup", "--yes", "--json", url=moved.url, **more)
    assert held.status == 1 and "--override CHECK=REASON: clean-up-waiting-period." in held.result["next_step"]
    assert held.of("note")[0]["message"].startswith("Clean-up of v1 on ")
    reason = ("--override", "clean-up-waiting-period=thrown away tomorrow")
    shown = await vagus("cleanup", *reason, "--json", url=moved.url, **more)
    assert shown.status == 2 and "hold" not in shown.result["message"] and shown.result["ok"] is False
    more_of_it = "--override 'clean-up-waiting-period=thrown away tomorrow'"
    assert shown.result["next_step"] == f"vagus-tui cleanup {more_of_it} --yes does it."
    assert not await decisions.overrides(conn)
    refused = await vagus("cleanup", "--yes", "--override", "clean-up-final-backup=trust me", "--json", url=moved.url)
    assert refused.status == 2 and "cannot be overridden" in refused.result["message"]
    typed = await vagus("cleanup", "--yes", "--confirm", "vagus live", "--json", url=moved.url, **live)
    assert typed.status == 1 and "clean-up-waiting-period" in typed.result["next_step"]
    untyped = await vagus("cleanup", "--yes", "--json", url=moved.url, **live)
    assert untyped.status == 2 and "typed out" in untyped.result["message"]
    assert untyped.result["next_step"] == "Add --confirm 'vagus live'."
    ran = await vagus("cleanup", "--yes", *reason, "--json", url=moved.url, **more)
    assert ran.status == 0, ran.result
    recorded = "Override recorded: clean-up-waiting-period, because: thrown away tomorrow"
    assert any((line["message"], line["level"]) == (recorded, "warning") for line in ran.of("note"))
    assert ran.result["state"] == "cleaned"
    again = await vagus("cleanup", "--json", url=moved.url, **more)
    assert again.status == 1 and "There is nothing to clean up" in again.result["message"] and not again.of("sql")
    assert (await decisions.overrides(conn))["clean-up-waiting-period"].reason == "thrown away tomorrow"


async def test_what_became_of_it_is_not_made_up(empty_database: TestDatabase, connect: Connect) -> None:
    """Where the connection broke and there is no other, it may have been committed or not."""
    conn = await connect(empty_database.url)
    gone = settings_for(empty_database).model_copy(update={"database_url": SecretStr("postgresql://x@127.0.0.1:1/x")})
    lost = asyncpg.ConnectionDoesNotExistError("gone")
    with pytest.raises(ConnectionLostError) as told:
        async with undone_on_failure(Database(gone), conn, uuid4(), cleaning.WORDS, Control()):
            raise lost
    assert "not known" in str(told.value.state) and "status says which" in str(told.value.next_step)
