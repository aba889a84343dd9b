"""Every prerequisite but those about what else goes on: how it passes, and how it speaks up."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.checks.support import looking_at, measured, outcome, settings_for
from tests.checks.tls_proxy import CA
from tests.conftest import SMALL, MakeDatabase
from tests.databases import TestDatabase
from tests.google_store import GoogleStore
from tests.object_store import ObjectStore
from vagus_tui.backup import BackupOptions, Kind, make_backup
from vagus_tui.checks.base import Group, offending_rows, run_checks
from vagus_tui.checks.prerequisites import rights, space
from vagus_tui.checks.prerequisites import server as server_checks
from vagus_tui.checks.prerequisites.tools import cli_program
from vagus_tui.checks.registry import check_by_id, checks_for, default_group
from vagus_tui.control import Control
from vagus_tui.database import tools as client_tools
from vagus_tui.database.connection import Database
from vagus_tui.database.encoding import refuse_unless_utf8, wrong_encoding
from vagus_tui.errors import RefusedError
from vagus_tui.events import Status
from vagus_tui.journal.state import DatabaseState, State, read_state
from vagus_tui.migration.abandon import abandon
from vagus_tui.runbook.check_ids import PREREQUISITES
from vagus_tui.sandbox.options import SandboxOptions


async def test_a_sound_database_is_ready(clean_database: TestDatabase, tmp_path: Path) -> None:
    async with looking_at(clean_database, backup_dir=tmp_path) as context:
        events = [event async for event in run_checks(checks_for(Group.PREREQUISITES), context)]
        done = {event.id: event for event in events if event.status not in (Status.PENDING, Status.RUNNING)}
        for check in checks_for(Group.PREREQUISITES):
            await offending_rows(check, context)
            if check.sql is not None and check.id not in ("connection-kind", "rights"):
                await context.connection.prepare(check.sql(context).replace("$1", "'{}'"))
    assert set(done) == PREREQUISITES
    assert {event.id: event.message for event in done.values() if event.status.blocks} == {}
    assert {event.id for event in done.values() if event.status is Status.WARN} <= {"supabase-cli"}


def test_the_group_fits_the_state() -> None:
    assert default_group(DatabaseState(State.UNKNOWN)) is Group.PREREQUISITES
    assert default_group(DatabaseState(State.V1)) is Group.DATA_QUALITY
    assert default_group(DatabaseState(State.MIGRATED)) is Group.VERIFICATION


async def test_server_version(clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await measured("server-version", clean_database)).status is Status.PASS
    async with clean_database.connect() as conn:
        major = conn.get_server_version().major
    monkeypatch.setattr(server_checks, "OLDEST_MAJOR", major)
    monkeypatch.setattr(server_checks, "NEWEST_MAJOR", major)
    assert (await measured("server-version", clean_database)).status is Status.PASS
    monkeypatch.setattr(server_checks, "NEWEST_MAJOR", major - 1)
    assert (await measured("server-version", clean_database)).status is Status.WARN
    monkeypatch.setattr(server_checks, "OLDEST_MAJOR", 99)
    assert (await measured("server-version", clean_database)).status is Status.FAIL


async def test_encoding(empty_database: TestDatabase, tmp_path: Path) -> None:
    """Supabase's is UTF8; of another neither a backup nor a migration is begun."""
    assert (await measured("encoding", empty_database)).status is Status.PASS
    assert "SQL_ASCII, which does not say how its texts are spelled" in wrong_encoding("SQL_ASCII")
    name = f"{empty_database.name}_latin"
    async with empty_database.as_admin() as admin:
        locale = "locale 'C'" if admin.get_server_version().major < 15 else "locale_provider libc locale 'C'"
        await admin.execute(f"create database {name} owner postgres template template0 encoding 'LATIN1' {locale}")
        try:
            async with looking_at(empty_database.server.url(database=name), backup_dir=tmp_path) as context:
                found = await outcome("encoding", context)
                assert (found.status, found.measured, found.overridable) == (Status.FAIL, "LATIN1", False), found
                with pytest.raises(RefusedError, match="kept in LATIN1, which cannot hold every character"):
                    await refuse_unless_utf8(context.connection)
                full = BackupOptions(kinds=frozenset({Kind.FULL}))
                with pytest.raises(RefusedError, match="kept in LATIN1"):
                    await anext(make_backup(context.database, context.settings, full, Control()))
            assert list(tmp_path.iterdir()) == []
        finally:
            await admin.execute(f"drop database {name}")


async def test_rights(clean_database: TestDatabase) -> None:
    assert (await measured("rights", clean_database)).status is Status.PASS
    async with clean_database.as_admin() as admin:
        await admin.execute("alter table exercises owner to supabase_admin")
    event = await measured("rights", clean_database)
    assert event.status is Status.FAIL
    assert "public.exercises (owned by supabase_admin)" in (event.message or "")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("revoke create on schema public from postgres, public; alter schema public owner to supabase_admin", "tables"),
        ("alter table workout_plans enable row level security; alter table workout_plans force row level security", ""),
        ("revoke references on auth.users from postgres cascade", "tied to auth.users"),
        ("drop schema auth cascade", "no table auth.users"),
        (
            "do $$ begin execute format('revoke temporary on database %I from public, postgres', current_database());"
            "execute format('alter database %I owner to supabase_admin', current_database());"
            "execute format('grant create on database %I to postgres', current_database()); end $$",
            "grant temporary on database",
        ),
        (
            "do $$ begin execute format('alter database %I owner to supabase_admin', current_database()); end $$",
            "grant create on database",
        ),
        ("create schema vagus_migration", "grant usage, create on schema vagus_migration"),
        (
            "do $$ begin execute format('alter database %I set session_replication_role = replica', "
            "current_database()); end $$",
            "references and triggers do nothing",
        ),
        ("drop function auth.uid() cascade", "no function auth.uid()"),
        (
            "do $$ begin execute format('alter database %I set default_transaction_read_only = on', "
            "current_database()); end $$",
            "default_transaction_read_only is on",
        ),
    ],
)
async def test_each_missing_right_is_named(statement: str, said: str, clean_database: TestDatabase) -> None:
    async with clean_database.as_admin() as admin:
        await admin.execute(statement)
    event = await measured("rights", clean_database)
    # postgres passes row level security by, even where it is forced.
    assert event.status is (Status.FAIL if said else Status.PASS)
    assert said in (event.message or "")


async def test_a_schema_that_may_not_be_entered_is_named_like_any_right(clean_database: TestDatabase) -> None:
    async with clean_database.as_admin() as admin:
        await admin.execute("revoke usage on schema auth from anon")
    async with looking_at(clean_database) as context:
        await context.connection.execute("set role anon")
        event = await outcome("rights", context)
    assert event.status is Status.FAIL
    assert 'grant usage on schema auth to "anon"' in (event.message or "")


async def test_a_role_is_told_what_it_lacks_by_what_gives_it(clean_database: TestDatabase) -> None:
    role = f"{clean_database.name}_role"
    async with clean_database.as_admin() as admin, looking_at(clean_database) as context:
        # Before 15 everybody may make tables.
        await admin.execute(f"revoke create on schema public from public; create role {role}; grant {role} to postgres")
        try:
            await context.connection.execute(f"set role {role}")
            said = (await outcome("rights", context)).message or ""
            assert 'hides rows of "public"."exercise_logs"' in said and f'"{role}" needs BYPASSRLS' in said
            given = re.findall(r"grant [^;]+;", said)
            what = ["create on schema", "create on database", "authenticated", "usage on schema auth"]
            assert [re.sub(' "[^"]+"| to .*', "", one[6:]).replace(" public", "") for one in given] == [
                *what,
                "select on auth.users",
                "references on auth.users",
            ]
            owned = re.findall(r"(public\.\w+) \(owned by postgres\): log in as its owner", said)
            assert len(owned) == 4
            await admin.execute(" ".join(given + [f"alter table {name} owner to {role};" for name in owned]))
            await admin.execute(f"alter role {role} bypassrls")
            event = await outcome("rights", context)
            assert (event.status, event.measured) == (Status.WARN, "enough"), event.message
            assert "(pg_monitor), and " in (event.message or "") and "(pg_signal_backend)" in (event.message or "")
        finally:
            await admin.execute(f"reassign owned by {role} to postgres; drop owned by {role}; drop role {role}")


async def test_a_replica_and_a_server_without_the_apps_roles(clean_database: TestDatabase) -> None:
    async with looking_at(clean_database) as context:
        row = dict(await context.connection.fetchrow(rights._sql(context), ["exercises"]) or {})
    assert rights._lacking(row, '"db"') == []
    [said] = rights._lacking({**row, "standby": True, "read_only": True}, '"db"')
    assert "read replica" in said
    [said] = rights._lacking({**row, "api_roles": ["service_role"], "may_set_role": False}, '"db"')
    assert said.endswith("are missing: anon, authenticated.")


async def test_pg_dump(tls_url: str, clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    event = await measured("pg-dump", clean_database)
    assert event.status is Status.PASS, event.message
    # What the local server cannot restore is said before a backup is made, not while it is restored.
    lz4 = "update pg_attribute set attcompression = '{}' where attname = 'notes' and attrelid = 'exercises'::regclass"
    await clean_database.execute_as_admin(lz4.format("l"))
    event = await measured("pg-dump", clean_database)
    assert (event.status, event.measured) == (Status.WARN, "1 with lz4")
    assert "public.exercises.notes" in (event.message or "") and "set compression default" in (event.message or "")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(client_tools, "_SYSTEM_FOLDERS", ())
    event = await measured("pg-dump", tls_url, ssl_root_cert=CA)
    assert event.status is Status.FAIL
    assert "without TLS" in (event.message or "") and "Install postgresql" in (event.message or "")


async def test_a_pg_dump_before_the_servers_release(
    clean_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clean_database.connect() as conn:
        version = conn.get_server_version()
    for name in ("pg_dump", "pg_restore"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version.major}.0'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    event = await measured("pg-dump", clean_database)
    assert (event.status, event.measured) == (Status.WARN, f"{version.major}.0")
    # The driver has a third number for the release of today's two.
    release = f"{version.major}.{version.micro}"
    assert f"The server is {release}" in (event.message or "") and event.expected == f"{release} or later"


async def test_supabase_cli(clean_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (await measured("supabase-cli", clean_database)).measured == "not found"
    program = tmp_path / "supabase"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    event = await measured("supabase-cli", clean_database)
    assert (event.status, event.measured) == (Status.WARN, "does not run")
    program.write_text("#!/bin/sh\necho 2.33.9\n")
    event = await measured("supabase-cli", clean_database)
    assert (event.status, event.measured) == (Status.PASS, "2.33.9")
    assert str(program) in (event.message or "")


async def test_supabase_cli_as_a_package_of_the_app(
    clean_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    folder = tmp_path / "app" / "node_modules" / ".bin"
    folder.mkdir(parents=True)
    program = folder / "supabase"
    program.write_text("#!/bin/sh\necho 3.1.0\n")
    program.chmod(0o755)
    assert cli_program(tmp_path) is None
    event = await measured("supabase-cli", clean_database, app_dir=tmp_path / "app")
    assert (event.status, event.measured) == (Status.PASS, "3.1.0")
    monkeypatch.chdir(tmp_path / "app")
    assert cli_program(None) == program


async def test_disk_space(clean_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = tmp_path / "not" / "there" / "yet"
    assert (await measured("disk-space", clean_database, backup_dir=new)).status is Status.PASS
    assert not new.exists()
    (tmp_path / "file").write_text("x")
    event = await measured("disk-space", clean_database, backup_dir=tmp_path / "file" / "below")
    assert (event.status, event.measured) == (Status.FAIL, "not writable")
    # As where a folder above it may not be looked into, whoever runs the tests.
    event = await measured("disk-space", clean_database, backup_dir=tmp_path / ("x" * 300) / "below")
    assert (event.status, event.measured) == (Status.FAIL, "not writable") and "cannot be reached" in str(event.message)
    monkeypatch.setattr(space, "free_bytes", lambda _: 400_000_000)
    assert (await measured("disk-space", clean_database, backup_dir=tmp_path)).status is Status.WARN
    # A few megabytes would hold it; the backup wants some to spare, and refuses.
    monkeypatch.setattr(space, "free_bytes", lambda _: 60_000_000)
    assert (await measured("disk-space", clean_database, backup_dir=tmp_path)).status is Status.FAIL
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_room_is_asked_for_both_dumps_and_the_csv_files() -> None:
    """Sixty percent of every table, of the workout tables once more, and what those take as text."""
    assert space.Sizes(1_000, 400, 700).backup == 600 + 240 + 480


async def test_server_space_says_what_cannot_be_seen(
    clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await measured("server-space", clean_database)
    assert event.status is Status.PASS and "not visible from here" in (event.message or "")
    monkeypatch.setattr(space, "LARGE_BUILD", 1)
    assert (await measured("server-space", clean_database)).status is Status.WARN


async def test_table_sizes_stand_mixed_case_names(
    clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with clean_database.connect() as conn:
        await conn.execute('create table "Mixed Case ""x""" (id int)')
    async with looking_at(clean_database) as context:
        assert (await outcome("table-sizes", context)).status is Status.PASS
        page = await offending_rows(check_by_id("table-sizes"), context)
    assert '"Mixed Case ""x"""' in [row[0] for row in page.rows]
    monkeypatch.setattr(space, "LARGE_TABLES", 1)
    event = await measured("table-sizes", clean_database)
    assert event.status is Status.WARN and "rehearse" in (event.message or "")


async def test_both_kinds_of_default_privileges_are_told_apart(make_database: MakeDatabase) -> None:
    for options, said in (
        (SandboxOptions(empty=True), "app's roles"),
        (SandboxOptions(empty=True, default_privileges=False), "closed"),
    ):
        database = await make_database(options)
        event = await measured("default-privileges", database)
        assert (event.status, event.measured) == (Status.PASS, said)
        assert ("open to anon, authenticated, service_role" in (event.message or "")) is (said != "closed")
    async with database.connect() as conn:
        await conn.execute("alter default privileges in schema public grant select on tables to public")
    event = await measured("default-privileges", database)
    assert (event.status, event.measured) == (Status.WARN, "everybody's")


@pytest.mark.usefixtures("cloud_credentials")
async def test_upload_targets_are_written_to_and_read_back(
    clean_database: TestDatabase, cloud: ObjectStore, google_cloud: GoogleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.bucket("checked")
    google_cloud.bucket("checked")
    assert (await measured("upload-target", clean_database)).status is Status.SKIP
    for url, endpoint in (("s3://checked/workout", cloud.endpoint), ("gs://checked", google_cloud.endpoint)):
        event = await measured("upload-target", clean_database, upload_url=url, upload_endpoint=endpoint)
        assert (event.status, event.measured) == (Status.PASS, url)
    # Google's library is an extra: without it, it is said how to get it.
    monkeypatch.setattr("vagus_tui.backup.google_bucket.LIBRARY", "google.cloud.elsewhere")
    event = await measured("upload-target", clean_database, upload_url="gs://checked")
    assert event.status is Status.FAIL and "pip install" in (event.message or "")
    event = await measured("upload-target", clean_database, upload_url="s3://missing", upload_endpoint=cloud.endpoint)
    assert event.status is Status.FAIL and "no bucket named “missing”" in (event.message or "")
    cloud.forbid_writing("checked")
    event = await measured("upload-target", clean_database, upload_url="s3://checked", upload_endpoint=cloud.endpoint)
    assert event.status is Status.FAIL and "not ours to write" in (event.message or "")


@pytest.mark.parametrize(
    "url", ["ftp://host/x", "s3://", "s3://key:secret@bucket/x", "s3://Bucket Name/x", "s3://b?x=1", "s3://[", "x"]
)
async def test_upload_targets_that_cannot(url: str, clean_database: TestDatabase) -> None:
    event = await measured("upload-target", clean_database, upload_url=url)
    assert event.status is Status.FAIL
    assert "secret" not in str(event.to_json())


async def test_clock(clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await measured("clock", clean_database)).status is Status.PASS
    for apart, status in ((20, Status.WARN), (-20, Status.WARN), (300, Status.FAIL)):
        monkeypatch.setattr(server_checks, "now", lambda apart=apart: datetime.now(UTC) + timedelta(seconds=apart))
        event = await measured("clock", clean_database)
        assert event.status is status
        assert ("ahead of" if apart > 0 else "behind") in (event.message or "")


async def test_v1_is_recognised_and_what_is_carried_over_is_listed(make_database: MakeDatabase) -> None:
    database = await make_database(SandboxOptions(empty=True))
    event = await measured("v1-shape", database)
    assert (event.status, event.measured) == (Status.PASS, "v1")
    assert "workout_plans.cover_color (text) is carried over" in (event.message or "")
    assert "does without" not in (event.message or "") and "coach_clients" not in (event.message or "")
    await database.execute_as_admin("alter table exercises drop column tempo; drop table coach_clients cascade")
    event = await measured("v1-shape", database)
    assert event.status is Status.PASS and "exercises does without: tempo" in (event.message or "")
    assert "There is no coach_clients" in (event.message or "")
    event = await measured("v1-shape", await make_database(SandboxOptions(empty=True, renamed=True)))
    assert (event.status, event.measured) == (Status.PASS, "v1, as *_v1")
    assert "Somebody has renamed the tables already" in (event.message or "")
    event = await measured("v1-shape", await make_database(SandboxOptions(plans=SMALL, clean=True), moved=True))
    assert (event.status, event.measured) == (Status.PASS, "kept as *_v1")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("alter table exercise_logs drop column weight cascade", "exercise_logs has no column weight."),
        ("drop table exercise_logs cascade", "The table exercise_logs is missing."),
        ("create table workout_weeks (id int)", "There is a table workout_weeks already"),
        (
            "create schema app; alter table workout_plans set schema app; alter table exercises set schema app; "
            "alter table workout_sessions set schema app; alter table exercise_logs set schema app",
            "are in schema app. This program knows them in schema public alone, where Supabase's API looks for tables: "
            'alter table "app"."workout_plans" set schema public;',
        ),
    ],
)
async def test_another_shape_is_refused_with_what_was_found(
    statement: str, said: str, clean_database: TestDatabase
) -> None:
    async with clean_database.connect() as conn:
        await conn.execute(statement)
    event = await measured("v1-shape", clean_database)
    assert event.status is Status.FAIL and not event.overridable
    assert said in (event.message or "")


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        # v1 is told from everything else by these names once it has been moved.
        ("create table exercises_v1 (like exercises)", "exercises_v1"),
        ("create sequence workout_days", "workout_days"),
        ("create type notification_preferences as enum ('a')", "notification_preferences"),
        ("create schema workout_v1_compat", "workout_v1_compat"),
    ],
)
async def test_names_that_others_have_are_told(statement: str, name: str, clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        await conn.execute(statement)
    event = await measured("v1-shape", clean_database)
    assert (event.status, event.measured, event.rows) == (Status.FAIL, "names are taken", 1)
    assert f" {name} " in (event.message or "").replace(",", " ") and not event.overridable


async def test_a_schema_of_somebody_elses_is_never_dropped(clean_database: TestDatabase) -> None:
    settings = settings_for(clean_database.url)
    async with clean_database.connect() as conn:
        await conn.execute("create schema workout_v2; create table workout_v2.precious as select 1 as row")
        # It is no build of ours, interrupted or not.
        assert (await read_state(conn)).state is State.V1
        assert (await measured("v1-shape", clean_database)).status is Status.FAIL
        async for _ in abandon(Database(settings), settings):
            pass
        assert await conn.fetchval("select row from workout_v2.precious") == 1
