"""The restore test: green on what was backed up, red when rows or anything that hangs on them differ."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import asyncpg
import psutil  # type: ignore[import-untyped]
import pytest
from pydantic import SecretStr

from tests.backup.helpers import Made, collect, make, settings_for
from tests.backup.test_verification import largest, reseal
from tests.conftest import SMALL, Connect, MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.backup import ArchiveFormat, BackupOptions, Kind, list_backups, make_backup, restore_test, verify_backup
from vagus_tui.backup import gauge as gauges
from vagus_tui.backup import restore as restoring
from vagus_tui.backup.copy import NotHereError, RestoredCopy, local_server_explained, restoring_tools
from vagus_tui.backup.csv_files import import_csv
from vagus_tui.backup.digest import table_content
from vagus_tui.backup.gauge import BackupGauge, Bound, Planned
from vagus_tui.backup.inventory import read_inventory
from vagus_tui.backup.manifest import Manifest, read_manifest, read_proof
from vagus_tui.backup.options import Compression
from vagus_tui.backup.rehearsal import rehearse
from vagus_tui.backup.snapshot import SESSION
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.definitions import Inventory
from vagus_tui.database.tools import bundled_tools
from vagus_tui.errors import CancelledByOperatorError, RefusedError
from vagus_tui.events import CheckEvent, NoteEvent, Phase, ProgressEvent, Status, StepEvent, StepState
from vagus_tui.journal import backup_records
from vagus_tui.migration.runner import migrate
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.settings import Settings

HANGING = """
create type public.mood as enum ('low', 'high');
create function public.touch() returns trigger language plpgsql as $$ begin return new; end $$;
alter table public.workout_plans add column felt public.mood default 'low';
alter table public.workout_plans add column shout text generated always as (upper(name)) stored;
create trigger touched before update on public.workout_plans for each row execute function public.touch();
create table public.gyms (id int primary key, name text not null);
insert into public.gyms values (1, 'north');
create table public.plan_notes (
    id bigserial primary key, gym int references public.gyms, body text collate "C",
    plan_id uuid references public.workout_plans on delete cascade, weight float8, raw bytea, tags text[]);
insert into public.plan_notes (gym, plan_id, body, weight, raw, tags)
    select 1, id, E'a "quoted"\\n\\\\. \\u202e\\u001b[31m line', 0.1 + 0.2, '\\x00ff', array['x', null, '']
    from public.workout_plans;
grant select (body) on public.plan_notes to anon;
alter table public.plan_notes replica identity full;
create schema pgmq_public;
create table pgmq_public."Queues" (name text, part int, note text, primary key (part, name));
insert into pgmq_public."Queues" values ('later', 1, 'x'), ('never', 2, 'x');
alter table public.plan_notes add coach uuid references auth.users, add queue_part int, add queue text,
    add foreign key (queue, queue_part) references pgmq_public."Queues" (name, part);
update public.plan_notes set queue = 'later', queue_part = 1 where id % 2 = 0;
create materialized view public.totals as select count(*) as n from public.workout_plans;
"""
"""All that may hang on the tables; the last of it in one of Supabase's own schemas, which no backup holds."""


NOWHERE = SecretStr("postgresql://nobody@127.0.0.1:9/x")


async def restore(path: Path, settings: Settings) -> Made:
    return await collect(restore_test(path, settings, Control()))


@pytest.mark.parametrize("form", list(ArchiveFormat))
async def test_everything_comes_back(
    settings: Settings, clean_database: TestDatabase, form: ArchiveFormat, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauge, bundled = BackupGauge(), bundled_tools()
    assert bundled is not None
    monkeypatch.setenv("PATH", str(bundled.pg_dump.parent), prepend=os.pathsep)
    monkeypatch.setattr(restoring, "BackupGauge", lambda: gauge)
    monkeypatch.setattr(gauges, "TICK_SECONDS", 0.05)
    async with clean_database.connect() as conn:
        await conn.execute(HANGING)
    await clean_database.execute_as_admin(
        'create role "night shift"; grant select on plan_notes to "night shift";'
        # Of what the local server does not know beside the tables.
        "update pg_attribute set attoptions = '{pg_attver=1}' where attrelid = 'totals'::regclass and attname = 'n'"
    )
    made = await make(settings, BackupOptions(format=form))
    await clean_database.execute_as_admin('drop owned by "night shift"; drop role "night shift"')
    done = await restore(made.path, settings)
    assert done.result.ok, done.problems
    assert any("outside the compared tables" in event.message for event in done.events if isinstance(event, NoteEvent))
    assert {"restore-tables-public.plan_notes", "restore-full-public.gyms", "restore-csv-public.exercise_logs"} <= set(
        done.checks
    )
    assert all(event.status is Status.PASS for event in done.checks.values()), done.problems
    assert list_backups(settings)[0].restored is not None
    # How far it is as a whole, every step and every comparison.
    shares = [event.share for event in done.events if isinstance(event, ProgressEvent)]
    assert len(shares) > 5 and shares == sorted(shares) and shares[0] < 0.5
    assert gauge.steps.keys() == {step.id for step in done.steps} | done.checks.keys()
    assert gauge.share == 1.0 and gauge.seconds_left == 0.0
    async with clean_database.connect() as conn:
        assert (await backup_records.backups(conn))[0].restored_at is not None


async def test_what_only_a_newer_server_knows_is_no_damage(
    settings: Settings, clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As servers since November 2026 mark their columns, dumped by a program that takes it for an option of people's:
    # the embedded server's own, and not one of this machine's that may know better.
    bundled = bundled_tools()
    assert bundled is not None
    monkeypatch.setenv("PATH", str(bundled.pg_dump.parent), prepend=os.pathsep)
    await clean_database.execute_as_admin(
        "update pg_attribute set attoptions = '{pg_attver=22388520}' where attname = 'name' and attrelid in "
        "('workout_plans'::regclass, 'exercises'::regclass)"
    )
    made = await make(settings, BackupOptions(kinds=frozenset({Kind.TABLES, Kind.FULL})))
    done = await restore(made.path, settings)
    assert not done.result.ok and "says nothing about the backup" in done.result.message
    assert "A pg_dump of the server's own release" in done.result.message
    assert {done.checks[f"restore-{content}"].status for content in ("tables", "full")} == {Status.ERROR}
    assert list_backups(settings)[0].usable


async def test_columns_that_are_compressed_otherwise_are_no_damage(
    settings: Settings, clean_database: TestDatabase
) -> None:
    # As where the server is built with lz4, which the local one is not.
    await clean_database.execute_as_admin(
        "update pg_attribute set attcompression = 'l' where attname = 'notes' and attrelid = 'exercises'::regclass"
    )
    made = await make(settings, BackupOptions(kinds=frozenset({Kind.TABLES, Kind.FULL})))
    done = await restore(made.path, settings)
    assert not done.result.ok and "says nothing about the backup" in done.result.message
    assert "set compression default" in (done.checks["restore-tables"].message or "")
    failing = {name: event.status for name, event in done.checks.items() if event.status.blocks}
    assert failing and set(failing.values()) == {Status.ERROR}, failing
    assert list_backups(settings)[0].usable


async def busily_made(database: TestDatabase, settings: Settings) -> Made:
    """A backup during which users go on: ids are given out between its parts."""
    events = []
    async with database.connect() as conn:
        async for event in make_backup(Database(settings), settings, BackupOptions(), Control()):
            events.append(event)
            if isinstance(event, StepEvent) and event.state is StepState.DONE:
                await conn.execute("insert into vagus_migration.notes (topic, body, operator) values ('x', '1', 'x')")
                if database.options.bigint_ids:
                    await conn.execute(
                        "insert into workout_plans (user_id, name) select id, 'new' from auth.users limit 1"
                    )
    return Made(events)


@pytest.mark.parametrize(
    "options",
    [
        SandboxOptions(plans=15, renamed=True),
        SandboxOptions(plans=5, clean=True, bigint_ids=True, notification_preferences="jsonb"),
        SandboxOptions(empty=True, default_privileges=False),
    ],
    ids=["faulty-renamed", "bigint", "empty"],
)
async def test_every_kind_of_v1_comes_back(
    make_database: MakeDatabase, tmp_path: Path, options: SandboxOptions
) -> None:
    database = await make_database(options)
    settings = settings_for(database, tmp_path)
    made = await busily_made(database, settings)
    if options.renamed:
        # As an earlier version of this program digested its tables.
        async with database.connect() as conn, conn.transaction():
            await conn.execute(SESSION)
            entries = [entry.model_dump() for entry in read_manifest(made.path).tables]
            for entry, told in zip(read_manifest(made.path).tables, entries, strict=True):
                if entry.workout:
                    told["digest"] = (await table_content(conn, entry.as_table(), like="h1:")).digest
        reseal(made.path, format_version=1, tables=entries)
    done = await restore(made.path, settings)
    assert done.result.ok, done.problems


@pytest.mark.parametrize("bigint", [False, True], ids=["uuid", "bigint"])
async def test_a_migrated_database_comes_back(make_database: MakeDatabase, tmp_path: Path, bigint: bool) -> None:
    """v2's policies call functions that are bound to its tables, and both generations are in one backup."""
    database = await make_database(
        SandboxOptions(plans=5 if bigint else SMALL, clean=True, bigint_ids=bigint), moved=not bigint
    )
    settings = settings_for(database, tmp_path)
    if bigint:
        migrated = await collect(migrate(Database(settings), settings, Control(), hold=False))
        assert migrated.result.ok
    made = await make(settings)
    assert made.path.name.split("-")[1] == "migrated"
    done = await restore(made.path, settings)
    assert done.result.ok, done.problems
    assert {"restore-tables-public.workout_weeks", "restore-tables-public.workout_plans_v1"} <= done.checks.keys()


async def test_csv_alone_is_restored_and_compared(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that can be kept nowhere, which is said."""
    made = await make(settings, BackupOptions(kinds=frozenset({Kind.CSV})))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("vagus_tui.backup.verify.write_proof", full)
    done = await restore(made.path, settings.model_copy(update={"database_url": NOWHERE}))
    assert done.result.ok
    assert all(id.startswith("restore-csv-") for id in done.checks)
    proof, journal = [event.message for event in done.events if isinstance(event, NoteEvent)]
    assert proof == "The proof could not be kept: No space left on device."
    assert journal.startswith("The journal could not be told that the backup was restored.")


def tables(path: Path) -> Any:
    return json.loads((path / "manifest.json").read_text())["tables"]


async def test_a_row_that_differs_turns_its_table_red(made: Made, settings: Settings) -> None:
    """So do one row too few and a table that is not in the archive."""
    entries, archives = tables(made.path), json.loads((made.path / "manifest.json").read_text())["archives"]
    for entry in entries:
        if entry["name"] == "exercises":
            entry["digest"] = entry["digest"][:-1] + ("0" if entry["digest"][-1] != "0" else "1")
        if entry["name"] == "workout_sessions":
            entry["rows"] += 1
    entries.append({**entries[0], "name": "gone", "workout": False})
    for archive in archives:
        if archive["content"] == "tables":
            archive["tables"].append("public.gone")
    reseal(made.path, tables=entries, archives=archives)
    before = list_backups(settings)[0].restored
    # And the journal cannot be told.
    done = await restore(made.path, settings.model_copy(update={"database_url": NOWHERE}))
    assert not done.result.ok and done.result.exit_status == 1 and done.result.figures is not None
    red = {id: event.message for id, event in done.checks.items() if event.status is Status.FAIL}
    parts = [
        f"restore-{part}-public.{name}" for part in ("tables", "csv") for name in ("exercises", "workout_sessions")
    ]
    assert red.keys() == {*parts, "restore-tables-public.gone"}
    assert all("digest differs" in (red[part] or "") for part in parts if part.endswith("exercises"))
    assert all("320 rows came back instead of 321" in (red[part] or "") for part in parts if part.endswith("sessions"))
    assert 'It was not restored: relation "public.gone" does not exist' in (red["restore-tables-public.gone"] or "")
    assert (done.result.figures["compared"], len(done.result.figures["failed"])) == (len(done.checks), len(red))
    assert "The restored copy is not what was backed up" in done.result.message
    (note,) = [event.message for event in done.events if isinstance(event, NoteEvent)]
    assert note.startswith("The journal could not be told what was found of the backup.")
    assert list_backups(settings)[0].restored == before


async def test_a_changed_value_in_a_csv_turns_it_red(
    made: Made, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made.path / "csv" / "exercises.csv"
    lines = path.read_bytes().split(b"\n")
    lines[1] = re.sub(rb'"(\d)"', lambda found: b'"%d"' % (int(found[1]) ^ 1), lines[1], count=1)
    path.write_bytes(b"\n".join(lines))
    path = made.path / "csv" / "workout_sessions.csv"
    path.write_bytes(path.read_bytes().replace(b"-", b"~", 1))
    reseal(made.path)
    (made.path / "csv" / "workout_plans.csv").unlink()
    reading = import_csv

    async def refused(conn: Connection, path: Path, *given: Any) -> int:
        if path.stem == "exercise_logs":
            # As where it is somebody else's, which says nothing of what is in it.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return await reading(conn, path, *given)

    monkeypatch.setattr(restoring, "import_csv", refused)
    done = await restore(made.path, settings)
    assert done.checks["restore-csv-public.exercise_logs"].status is Status.ERROR
    told = {name: done.checks[f"restore-csv-public.{name}"] for name in ("workout_plans", "workout_sessions")}
    assert {event.status for event in told.values()} == {Status.FAIL}
    assert "It cannot be read. The system refused: No such file" in (told["workout_plans"].message or "")
    assert "workout_sessions.csv cannot be read into" in (told["workout_sessions"].message or "")
    assert done.checks["restore-csv-public.exercises"].status is Status.FAIL
    assert done.checks["restore-tables-public.exercises"].status is Status.PASS


async def test_what_hangs_on_a_table_counts_too(
    made: Made, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = {
        "policies": "Users manage own plans",
        "keys": "workout_plans_pkey",
        "grants": "authenticated",
        "row security": "flags",
    }
    manifest = json.loads((made.path / "manifest.json").read_text())
    for kind, name in hanging.items():
        known = manifest["inventory"]["public.workout_plans"][kind]
        known[name + " of old"] = known.pop(name)
    sequence = "bigint increment 1 last"
    manifest["inventory"]["public.workout_plans"]["sequences"] = {"ids": f"{sequence} 5"}
    reseal(made.path, inventory=manifest["inventory"])

    async def further_back(*given: Any) -> Inventory:
        found = await read_inventory(*given)
        found["public.workout_plans"]["sequences"] = {"ids": f"{sequence} 4"}
        return found

    monkeypatch.setattr(restoring, "read_inventory", further_back)
    done = await restore(made.path, settings)
    failed = done.checks["restore-tables-public.workout_plans"]
    assert failed.status is Status.FAIL
    assert "sequences: ids stands at 4, which gives numbers a second time." in (failed.message or "")
    for kind, name in hanging.items():
        assert f"{kind}: {name} of old is missing" in (failed.message or "")
        assert f"{kind}: {name} was not there before" in (failed.message or "")


async def test_a_broken_archive_is_red_and_the_rest_is_still_compared(made: Made, settings: Settings) -> None:
    path = largest(made.path / "workout-tables")
    path.write_bytes(path.read_bytes()[:-200])
    done = await restore(made.path, settings)
    assert not done.result.ok
    assert done.checks["restore-tables"].status is Status.FAIL
    assert done.checks["restore-csv-public.exercises"].status is Status.PASS
    assert "do not rely on this one" in (done.result.next_step or "")


async def test_a_machine_that_cannot_read_it_says_nothing_about_the_backup(
    made: Made, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may be told to throw a good backup away because this machine's programs know no zstd."""
    manifest = json.loads((made.path / "manifest.json").read_text())
    archives = [{**entry, "compression": "zstd"} for entry in manifest["archives"]]
    reseal(made.path, archives=archives)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("vagus_tui.database.tools._SYSTEM_FOLDERS", ())
    done = await restore(made.path, settings)
    assert not done.result.ok and "says nothing about the backup" in done.result.message
    assert (done.result.next_step or "").startswith("Restore it on another server")
    assert done.checks["restore-tables"].status is Status.ERROR
    with pytest.raises(RefusedError, match="cannot be read here"):
        await collect(verify_backup(made.path, Control()))
    refused = await collect(rehearse(made.path, settings, Control()))
    assert refused.result.exit_status == 1 and "Install" in (refused.result.next_step or "")
    assert not refused.steps
    proof = read_proof(made.path)
    assert proof is None or not proof.damage


@pytest.mark.parametrize("ends", ["disk", "server"])
async def test_a_local_server_at_its_end_says_nothing_about_the_backup(
    settings: Settings, clean_database: TestDatabase, ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = bundled_tools()
    assert bundled is not None
    full = tmp_path / "pg_restore"
    words = 'pg_restore: error: could not extend file "base/5/6": No space left on device'
    closed = 'pg_restore: error: could not open input file "1.dat.gz": Permission denied'
    full.write_text(
        f"#!/bin/sh\ncase \"$*\" in *--section=data*full) echo '{words}' >&2; exit 1;; "
        f"*--section=data*) echo '{closed}' >&2; exit 1;; esac\n"
        f'exec "{bundled.pg_restore}" "$@"\n'
    )
    full.chmod(0o755)
    started: list[RestoredCopy] = []
    start = RestoredCopy.start

    async def starting(path: Path, manifest: Manifest) -> RestoredCopy:
        started.append(await start(path, manifest))
        return started[-1]

    monkeypatch.setattr(RestoredCopy, "start", starting)
    if ends == "disk":
        monkeypatch.setattr(
            "vagus_tui.backup.copy.bundled_tools", lambda: dataclasses.replace(bundled, pg_restore=full)
        )
    made = await make(settings, BackupOptions(kinds=frozenset({Kind.TABLES, Kind.FULL})))
    events = []
    async for event in restore_test(made.path, settings, Control()):
        events.append(event)
        if ends == "server" and isinstance(event, CheckEvent) and len(started) == 1:
            conn = await started[0].admin("postgres")
            os.kill(psutil.Process(conn.get_server_pid()).ppid(), signal.SIGQUIT)
            conn.terminate()
            started.append(started[0])
    result = Made(events).result
    assert not result.ok and "says nothing about the backup" in result.message, result
    for told in ("No space left", "Permission denied") if ends == "disk" else ("was ended",):
        assert told in result.message
    assert list_backups(settings)[0].usable
    async with clean_database.connect() as conn:
        assert not (await backup_records.backups(conn))[0].damage


async def test_what_a_copy_needs_is_there_before_it_is_begun(made_once: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that reads the archives, the bundled one where it does; and room, which the rows alone do not say."""
    manifest, bundled = read_manifest(made_once.path), bundled_tools()
    assert bundled is not None
    newest = dataclasses.replace(bundled, version=(99, 0))
    monkeypatch.setattr("vagus_tui.backup.copy.reading_tools", lambda *_: newest)
    archives = tuple(one.model_copy(update={"compression": Compression.ZSTD}) for one in manifest.archives)
    assert restoring_tools(manifest.model_copy(update={"tools_major": bundled.major})) == bundled
    assert restoring_tools(manifest.model_copy(update={"tools_major": bundled.major + 1})) == newest
    assert restoring_tools(manifest.model_copy(update={"archives": archives})) == newest
    monkeypatch.setattr("vagus_tui.backup.copy.free_bytes", lambda _: 200 << 20)
    with pytest.raises(RefusedError, match="Restoring the backup takes about") as told:
        await RestoredCopy.start(made_once.path, manifest)
    assert "TMPDIR" in told.value.next_step


async def test_what_the_local_server_cannot_stand_in_for_is_no_damage(
    made_once: Made, clean_database: TestDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where rows refer to a user by something else than the id, which is all that the stand-in makes up."""

    async def admin(copy: RestoredCopy, database: str) -> Connection:
        return await connect(clean_database.admin_url)

    monkeypatch.setattr(RestoredCopy, "admin", admin)
    key = {"schema_name": "public", "name": "workout_plans", "columns": ["name"]}
    users = {"to_schema": "auth", "to_name": "users", "to_columns": ["email"]}
    told = {**read_manifest(made_once.path).model_dump(mode="json"), "outside_keys": [{**key, **users}]}
    manifest = Manifest.model_validate(told)
    copy = RestoredCopy(made_once.path, manifest, None)  # type: ignore[arg-type]
    tables = next(archive for archive in manifest.archives if archive.tables)
    with pytest.raises(NotHereError, match=r"cannot be filled in here: null value in column .id. .*constraint\."):
        await copy._fill_outside(tables, "restored")


def test_a_defect_is_not_taken_for_the_end_of_the_local_server() -> None:
    with pytest.raises(asyncpg.InterfaceError), local_server_explained():
        raise asyncpg.InterfaceError("another operation is in progress")
    with pytest.raises(NotHereError, match="was ended"), local_server_explained():
        raise asyncpg.InterfaceError("connection is closed")


def test_a_sequence_may_come_back_further_on_and_never_further_back() -> None:
    def at(position: object) -> dict[str, dict[str, str]]:
        return {"sequences": {"ids": f"bigint increment 1 last {position}"}}

    for before, after in ((5, 5), (5, 6), ("none", "none"), ("none", 1)):
        assert restoring._sequence_problems(at(before), at(after)) == []
    for before, after in ((5, 4), (1, "none")):
        [said] = restoring._sequence_problems(at(before), at(after))
        assert said.startswith("sequences: ids stands at ") and "a second time" in said
    assert restoring.without_positions(at(5)) == restoring.without_positions(at("none")) != at(5)
    # One that is gone is told as any other object is.
    assert restoring._sequence_problems(at(5), {}) == []


async def test_a_backup_of_nothing_proves_nothing(made: Made, settings: Settings) -> None:
    reseal(made.path, archives=[], csv=[])
    done = await restore(made.path, settings)
    assert not done.result.ok and "nothing that can be restored" in done.result.message
    assert list_backups(settings)[0].restored is None


def test_what_says_nothing_of_itself_goes_on_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("vagus_tui.backup.gauge.time.monotonic", lambda: clock[-1])
    gauge = BackupGauge()
    gauge.plan([Planned(name, Phase.VERIFY, Bound.HERE, weight) for name, weight in {"a": 1.0, "b": 3.0}.items()])

    def say(step: str, state: StepState, **values: Any) -> None:
        gauge.take(StepEvent(id=step, phase=Phase.VERIFY, title=step, state=state, **values))

    say("a", StepState.DONE, seconds=2.0)
    say("b", StepState.STARTED)
    found = []
    for seconds in (1.0, 3.0, 5.0, 60.0):
        clock.append(seconds)
        gauge.tick()
        found.append(gauge.steps["b"].share)
    assert found == sorted(set(found)) and 0.3 < found[1] < 0.6 and found[-1] <= 0.99
    # Once it does say something, the clock is not asked any more.
    say("b", StepState.PROGRESS, rows=995, total=1000)
    gauge.tick()
    assert gauge.steps["b"].share == 0.99 and gauge.share < 1


async def test_stopping_it_leaves_no_server(made: Made, settings: Settings) -> None:
    control = Control()
    with pytest.raises(CancelledByOperatorError, match="local copy was removed"):
        async for event in restore_test(made.path, settings, control):
            if isinstance(event, StepEvent) and event.id == "restore-tables-data":
                control.cancel()
