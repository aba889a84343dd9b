"""Making backups of each kind: what they hold, from one snapshot, under which permissions."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import stat
from pathlib import Path

import pytest

from tests.backup.helpers import Made, make, settings_for
from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.backup import ArchiveFormat, BackupOptions, Compression, Kind, make_backup
from vagus_tui.backup import gauge as gauges
from vagus_tui.backup import make as making
from vagus_tui.backup.csv_files import read_header
from vagus_tui.backup.gauge import BackupGauge
from vagus_tui.backup.job import estimated_bytes
from vagus_tui.backup.manifest import Manifest, read_manifest
from vagus_tui.backup.tables import BackupTable
from vagus_tui.checks import waiting
from vagus_tui.checks.waiting import LockedError
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.errors import RefusedError
from vagus_tui.events import NoteEvent, ProgressEvent, ResultEvent, StepEvent, StepState
from vagus_tui.journal import backup_records
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.settings import Settings

WORKOUT = {"workout_plans", "exercises", "workout_sessions", "exercise_logs"}


async def counts(database: TestDatabase, names: set[str]) -> dict[str, int]:
    async with database.connect() as conn:
        return {name: await conn.fetchval(f'select count(*) from public."{name}"') for name in names}


def kinds(*chosen: Kind) -> BackupOptions:
    return BackupOptions(kinds=frozenset(chosen))


def test_what_a_backup_will_take_is_what_its_parts_will() -> None:
    plans, types, rest = (
        BackupTable("public", name, workout, False, size, 0, ())
        for name, workout, size in (("plans", True, 1_000_000), ("types", False, 20_000), ("rest", False, 300_000_000))
    )

    def needed(*chosen: Kind) -> int:
        return estimated_bytes([plans, types], [plans, types, rest], kinds(*chosen))

    # Dumps are compressed; CSV is longer than what it is of, and of the workout tables alone.
    assert needed(Kind.TABLES) == pytest.approx(0.45 * 1_020_000, abs=1)
    assert needed(Kind.FULL) == pytest.approx(0.45 * 301_020_000, abs=1)
    assert needed(Kind.CSV) == pytest.approx(1.4 * 1_000_000, abs=1)
    assert needed(*Kind) == pytest.approx(needed(Kind.TABLES) + needed(Kind.FULL) + needed(Kind.CSV), abs=2)


async def test_a_backup_of_every_kind(
    settings: Settings, clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await counts(clean_database, WORKOUT)
    gauge = BackupGauge()
    monkeypatch.setattr(making, "BackupGauge", lambda: gauge)
    monkeypatch.setattr(gauges, "TICK_SECONDS", 0.02)
    done = await make(settings)
    assert done.result.ok
    # How far it is as a whole: it never falls, knows of every step, and is the whole when all is done and not before.
    progress = [event for event in done.events if isinstance(event, ProgressEvent)]
    shares = [event.share for event in progress]
    assert len(shares) > 5 and shares == sorted(shares) and shares[0] < 0.2 and 0.5 < shares[-1] <= 1
    assert any(event.seconds_left for event in progress)
    assert {step.id for step in done.steps} - gauge.steps.keys() == {"snapshot", "space", "record"}
    assert gauge.share == 1.0 and gauge.seconds_left == 0.0
    manifest = read_manifest(done.path)
    assert {table.name: table.rows for table in manifest.tables if table.workout} == before
    assert {kind.value for kind in manifest.kinds} == {"tables", "csv", "full"}
    assert {archive.content for archive in manifest.archives} == {"definitions", "tables", "full"}
    assert {entry.table for entry in manifest.csv} == {f"public.{name}" for name in WORKOUT}
    assert done.path.name.endswith(done.path.name.split("-")[-1]) and not done.path.name.endswith(".partial")
    assert re.fullmatch(r"\d{6}-v1-[0-9a-f]{6}", done.path.name)
    assert re.fullmatch(r"\d{8}", done.path.parent.name)


@pytest.mark.parametrize("kind", list(Kind))
async def test_each_kind_alone(settings: Settings, kind: Kind) -> None:
    done = await make(settings, kinds(kind))
    assert done.result.ok
    present = {path.name for path in done.path.iterdir()}
    parts = {
        Kind.TABLES: {"workout-tables", "definitions.dump"},
        Kind.CSV: {"csv"},
        Kind.FULL: {"full"},
    }[kind]
    assert present == parts | {"manifest.json", "SHA256SUMS", "proof.json"}


async def test_the_custom_format_makes_one_file_per_archive(settings: Settings) -> None:
    options = BackupOptions(kinds=frozenset({Kind.TABLES}), format=ArchiveFormat.CUSTOM)
    done = await make(settings, options)
    assert done.result.ok
    assert (done.path / "workout-tables.dump").is_file()


async def test_zstd_falls_back_to_gzip_with_a_note(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    done = await make(settings, BackupOptions(kinds=frozenset({Kind.TABLES}), compression=Compression.ZSTD))
    assert done.result.ok
    notes = [event.message for event in done.events if isinstance(event, NoteEvent)]
    packed = read_manifest(done.path).archives[-1].compression
    assert packed is Compression.ZSTD or (packed is Compression.GZIP and any("zstd" in note for note in notes))


async def test_only_the_owner_may_read_it_and_all_is_on_the_disk_before_it_has_its_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    sync, rename = os.fsync, Path.rename

    def syncing(descriptor: int) -> None:
        sync(descriptor)
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    def renaming(path: Path, target: Path) -> Path:
        before = {str(one.relative_to(path)) for one in synced if one.is_relative_to(path)}
        before = {name.removeprefix(".").removesuffix(".part") for name in before}
        # pg_dump itself sees to what it writes for good.
        there = {str(one.relative_to(path)) for one in path.rglob("*")} - {"definitions.dump"}
        assert before >= there and path in synced and len(there) > 20
        del synced[:]
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "rename", renaming)
    done = await make(settings, BackupOptions(compression=Compression.GZIP))
    assert done.path.parent in synced
    for path in (done.path, *done.path.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE(settings.backup_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE(done.path.parent.stat().st_mode) == 0o700


async def test_the_manifest_lists_every_file_with_its_checksum(made: Made) -> None:
    manifest = read_manifest(made.path)
    listed = {entry.name: (entry.bytes, entry.sha256) for entry in manifest.files}
    own = {"manifest.json", "SHA256SUMS", "proof.json"}
    found = {}
    for path in made.path.rglob("*"):
        if path.is_file() and path.name not in own:
            data = path.read_bytes()
            found[path.relative_to(made.path).as_posix()] = (len(data), hashlib.sha256(data).hexdigest())
    assert listed == found


async def test_what_hangs_on_the_tables_is_in_the_inventory(made: Made) -> None:
    plans = read_manifest(made.path).inventory["public.workout_plans"]
    assert {"keys", "indexes", "policies", "grants", "row security", "columns"} <= plans.keys()
    assert plans["row security"]["flags"] == "on"
    assert "Users manage own plans" in plans["policies"]


async def test_tables_that_hang_together_are_taken_together(settings: Settings, clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        await conn.execute(
            """
            create table public.gyms (id int primary key, name text);
            create table public.unrelated (id int primary key);
            create table public."Plan ""notes"" 1" (
                id serial primary key, gym int references public.gyms,
                plan_id uuid references public.workout_plans on delete cascade, body text);
            insert into public.gyms values (1, 'north');
            """
        )
    done = await make(settings, kinds(Kind.TABLES))
    keys = {table.key for table in read_manifest(done.path).tables}
    assert {"public.gyms", 'public.Plan "notes" 1', "public.coach_clients", "public.plan_favourites"} <= keys
    assert "public.unrelated" not in keys


async def test_renamed_tables_are_backed_up_under_their_names(make_database: MakeDatabase, tmp_path: Path) -> None:
    database = await make_database(SandboxOptions(plans=5, clean=True, renamed=True))
    done = await make(settings_for(database, tmp_path), kinds(Kind.TABLES, Kind.CSV))
    assert done.result.ok
    manifest = read_manifest(done.path)
    assert manifest.renamed and manifest.state == "v1-renamed"
    assert {entry.table for entry in manifest.csv} == {f"public.{name}_v1" for name in WORKOUT}


async def test_bigint_ids_and_preferences(make_database: MakeDatabase, tmp_path: Path) -> None:
    options = SandboxOptions(plans=5, clean=True, bigint_ids=True, notification_preferences="rows")
    database = await make_database(options)
    done = await make(settings_for(database, tmp_path), kinds(Kind.TABLES))
    manifest = read_manifest(done.path)
    assert "public.notification_preferences" in {table.key for table in manifest.tables}
    assert "sequences" in manifest.inventory["public.workout_plans"]


async def test_an_empty_database_of_v1_is_backed_up(make_database: MakeDatabase, tmp_path: Path) -> None:
    done = await make(settings_for(await make_database(SandboxOptions(empty=True)), tmp_path))
    assert done.result.ok
    assert all(table.rows == 0 for table in read_manifest(done.path).tables if table.workout)


async def test_without_workout_tables_it_refuses(make_database: MakeDatabase, tmp_path: Path, connect: Connect) -> None:
    database = await make_database(SandboxOptions(empty=True))
    conn = await connect(database.url)
    await conn.execute("drop table workout_plans, exercises, workout_sessions, exercise_logs cascade")
    settings = settings_for(database, tmp_path)
    with pytest.raises(RefusedError, match="no workout tables"):
        await make(settings, kinds(Kind.TABLES))
    assert not settings.backup_dir.exists()


async def test_a_table_that_is_held_against_everybody_is_not_waited_for_without_end(
    clean_database: TestDatabase, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds it is named, and nothing was written."""
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.2)
    holder = await connect(clean_database.url)
    await holder.execute("set application_name = 'nightly job'; begin; lock table workout_plans")
    async with asyncio.timeout(30):
        with pytest.raises(LockedError, match="workout_plans is locked") as told:
            await make(settings_for(clean_database, tmp_path))
    assert "nightly job" in str(told.value.state) and not list(tmp_path.rglob("*"))


@pytest.mark.parametrize(("kind", "held"), [(Kind.CSV, "exercises"), (Kind.FULL, "of_others")])
async def test_nor_one_that_is_held_only_once_the_backup_has_begun(
    settings: Settings,
    clean_database: TestDatabase,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    kind: Kind,
    held: str,
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.2)
    holder = await connect(clean_database.url)
    await holder.execute("set application_name = 'nightly job'; create table of_others ()")
    await holder.execute("begin")
    steps: list[StepEvent] = []
    async with asyncio.timeout(30):
        with pytest.raises(LockedError, match=f"{held} is locked") as told:
            async for event in make_backup(Database(settings), settings, kinds(kind), Control()):
                if isinstance(event, StepEvent):
                    steps.append(event)
                    if event.id == "snapshot" and event.state is StepState.STARTED:
                        await holder.execute(f"lock table {held}")
    assert (steps[-1].id, steps[-1].state) == ("snapshot", StepState.FAILED)
    assert "nightly job" in str(told.value.state) and not list(settings.backup_dir.rglob("*"))


async def test_a_table_that_was_rewritten_since_the_snapshot_is_not_backed_up_without_its_rows(
    settings: Settings, clean_database: TestDatabase, connect: Connect
) -> None:
    """It is empty in every snapshot that was taken before."""
    other = await connect(clean_database.url)
    with pytest.raises(RefusedError, match=r"public\.exercises was rewritten just as the backup began"):
        async for event in make_backup(Database(settings), settings, kinds(Kind.CSV), Control()):
            if isinstance(event, StepEvent) and event.id == "snapshot" and event.state is StepState.STARTED:
                await other.execute("alter table exercises alter column name type varchar(500) using left(name, 500)")
    assert not list(settings.backup_dir.rglob("*"))


async def test_whoever_waits_to_change_a_table_does_not_hold_up_its_csv(
    settings: Settings, clean_database: TestDatabase, connect: Connect
) -> None:
    """They wait for the backup's end, for all its rows: one that got in line behind them would never see it."""
    other = await connect(clean_database.url)
    changing: asyncio.Task[str] | None = None
    async with asyncio.timeout(30):
        async for event in make_backup(Database(settings), settings, kinds(Kind.CSV), Control()):
            if isinstance(event, StepEvent) and event.id == "digest" and event.state is StepState.STARTED:
                changing = asyncio.create_task(
                    other.execute("alter table exercises alter column name type varchar(500) using left(name, 500)")
                )
                queued = "select exists (select from pg_locks where relation = 'exercises'::regclass and not granted)"
                async with clean_database.connect() as conn:
                    for _ in range(500):
                        if await conn.fetchval(queued):
                            break
                        await asyncio.sleep(0.01)
            done = event
        assert changing is not None and await changing == "ALTER TABLE"
    assert isinstance(done, ResultEvent) and done.ok and done.figures is not None
    assert done.figures["tables"]["public.exercises"] == 400


async def test_the_journal_knows_the_backup(made_here: Made, clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        records = await backup_records.backups(conn)
    assert [record.path for record in records] == [str(made_here.path)]
    assert records[0].verified_at is not None and records[0].operator == "tester"
    assert Manifest.model_validate(records[0].manifest).id == read_manifest(made_here.path).id


async def test_progress_counts_bytes_and_never_passes_its_total(settings: Settings) -> None:
    done = await make(settings)
    for step in done.steps:
        assert step.unit == "bytes"
        if step.rows is not None and step.total is not None:
            assert 0 <= step.rows <= step.total
    started = [step.id for step in done.steps if step.state is StepState.STARTED]
    finished = [step.id for step in done.steps if step.state is StepState.DONE]
    assert sorted(started) == sorted(finished)
    last = {step.id: step.rows or 0 for step in done.steps if step.state is StepState.DONE}
    present = sum(path.stat().st_size for path in (done.path / "full").iterdir())
    assert last["dump-full"] == last.get("compress-full", present) >= present


async def test_all_parts_show_one_moment_while_the_app_writes(settings: Settings, clean_database: TestDatabase) -> None:
    """A plan and its exercise are written together; every part has as many of the one as of the other."""
    writing = asyncio.Event()

    async def write() -> None:
        async with clean_database.connect() as conn:
            user = await conn.fetchval("select user_id from workout_plans limit 1")
            while True:
                async with conn.transaction():
                    plan = await conn.fetchval(
                        "insert into workout_plans (user_id, name) values ($1, 'written meanwhile') returning id", user
                    )
                    await conn.execute("insert into exercises (plan_id, name) values ($1, 'written meanwhile')", plan)
                writing.set()

    before = await counts(clean_database, WORKOUT)
    writer = asyncio.create_task(write())
    try:
        await writing.wait()
        done = await make(settings)
    finally:
        writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writer
    after = await counts(clean_database, WORKOUT)
    # make_backup has read every archive back and counted its rows against the manifest's.
    assert done.result.ok
    rows = {table.name: table.rows for table in read_manifest(done.path).tables}
    new_plans = rows["workout_plans"] - before["workout_plans"]
    assert new_plans == rows["exercises"] - before["exercises"] > 0
    assert after["workout_plans"] > rows["workout_plans"], "nothing was written while the backup was made"


async def test_what_the_user_may_not_read_is_left_out_and_named(
    settings: Settings, clean_database: TestDatabase
) -> None:
    async with clean_database.as_admin() as admin:
        await admin.execute("revoke pg_read_all_data from postgres")
        await admin.execute(
            "create schema secret_things; create table secret_things.t (id int); create table public.hidden (id int)"
        )
    try:
        done = await make(settings, kinds(Kind.FULL))
    finally:
        async with clean_database.as_admin() as admin:
            await admin.execute("grant pg_read_all_data to postgres")
    assert done.result.ok
    manifest = read_manifest(done.path)
    assert "secret_things" in manifest.excluded_schemas and "public.hidden" in manifest.excluded_tables
    notes = [event.message for event in done.events if isinstance(event, NoteEvent)]
    assert any("secret_things" in note and "public.hidden" in note for note in notes)


async def test_supabases_schemas_are_not_dumped(settings: Settings) -> None:
    done = await make(settings, kinds(Kind.FULL))
    manifest = read_manifest(done.path)
    assert {"auth", "extensions"} <= set(manifest.excluded_schemas)
    assert not any(table.schema_name == "auth" for table in manifest.tables)


async def test_the_csv_header_names_the_columns(made: Made) -> None:
    manifest = read_manifest(made.path)
    assert len(manifest.csv) >= 4
    for entry in manifest.csv:
        assert read_header(made.path / entry.name) == entry.columns


async def test_abandoning_the_events_removes_what_was_written(settings: Settings) -> None:
    events = make_backup(Database(settings), settings, BackupOptions(), Control())
    async for event in events:
        if isinstance(event, StepEvent) and event.id == "dump-tables":
            break
    await events.aclose()
    assert not list(settings.backup_dir.rglob("*"))
