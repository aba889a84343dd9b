"""Rollback from a backup: whatever was destroyed, v1 comes back as the backup has it, and nothing is dropped."""

from __future__ import annotations

import os
import random
import re
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import psutil  # type: ignore[import-untyped]
import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import do_roll_back, migrated, rolled_back, state_of
from tests.migration.test_tuning import settings_in
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from tests.rollback.support import backed_up, digests_differ, do_roll_back_from, rolled_back_from
from vagus_tui.backup import Kind
from vagus_tui.backup.copy import RestoredCopy
from vagus_tui.backup.manifest import read_proof
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.events import Event, ProgressEvent, StepEvent
from vagus_tui.journal import backup_records
from vagus_tui.journal.state import RESTORING, State
from vagus_tui.migration.steps import PlanStep
from vagus_tui.rollback import from_backup
from vagus_tui.rollback.aside import Aside
from vagus_tui.rollback.backup_plan import plan_from_backup
from vagus_tui.rollback.from_backup import NOT_COMPARED
from vagus_tui.rollback.replace import Replacement
from vagus_tui.sandbox.options import SandboxOptions

SMALL = SandboxOptions(plans=20, clean=True)


async def _dropped_plans(conn: Connection) -> None:
    await conn.execute("drop table workout_plans cascade")


async def _much_of_it_wrong(conn: Connection) -> None:
    await conn.execute("delete from workout_sessions where id in (select id from workout_sessions limit 20)")
    await conn.execute(
        "update exercises set name = '\u202e' || E'x\\n\"' where id in (select id from exercises limit 9)"
    )
    await conn.execute("update exercise_logs set weight = weight + 1")
    await conn.execute("alter table workout_plans disable row level security")
    await conn.execute('drop policy "Users manage own plans" on workout_plans')
    await conn.execute('drop policy "Users manage exercises of visible plans" on exercises')
    await conn.execute("grant all on workout_plans to anon")
    await conn.execute("revoke all on exercises from authenticated")
    await conn.execute("alter table exercises drop column order_index")
    await conn.execute("alter table exercise_logs drop constraint exercise_logs_pkey")
    await conn.execute("drop index idx_exercises_plan_id")
    await conn.execute("alter table workout_sessions drop constraint workout_sessions_user_id_fkey")


async def _everything_dropped(conn: Connection) -> None:
    await conn.execute("drop table workout_plans, exercises, workout_sessions, exercise_logs cascade")


async def _half_renamed(conn: Connection) -> None:
    await conn.execute("alter table workout_plans rename to workout_plans_v1")
    await conn.execute("alter table exercise_logs rename to exercise_logs_v1")


SET = """
comment on table exercises@S@ is 'it''s ours'; comment on column exercises@S@.sets is 'how many';
alter table exercises@S@ set (fillfactor = 80, toast.autovacuum_enabled = false);
alter table exercises@S@ alter column name set statistics 500, alter column plan_id set (n_distinct = -0.2),
  alter column notes set compression pglz, alter column tempo set storage external;
create index tags on exercises@S@ (lower(name));
alter index tags alter column 1 set statistics 44;
alter table exercises@S@ cluster on tags;
create statistics "Of ex; --" (dependencies, mcv) on name, reps_min, sets from exercises@S@;
alter statistics "Of ex; --" set statistics 77;
comment on statistics "Of ex; --" is 'found out''s';
create statistics said on (lower(name)), (coalesce(notes, '') || tempo) from exercises@S@;
"""
"""What an operator may have set on a table, under whichever name."""

DESTROYED = [_dropped_plans, _much_of_it_wrong, _everything_dropped, _half_renamed]


@pytest.mark.parametrize("destroy", DESTROYED, ids=lambda one: one.__name__.strip("_"))
async def test_v1_comes_back(destroy: object, make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)
    await conn.execute(SET.replace("@S@", ""))
    await conn.execute(
        "create domain key as uuid; create domain load as numeric(7,2) check (value < 5000);"
        "alter table exercise_logs alter column id type key, alter column weight type load"
    )
    catalog, rows, settings = await catalog_fingerprint(conn), await v1_rows(conn), await settings_in(conn)
    path = await backed_up(database, tmp_path)
    await destroy(conn)  # type: ignore[operator]
    ran = await rolled_back_from(database, path)
    assert changes(rows, await v1_rows(conn)) == []
    assert await digests_differ(conn, path) == []
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert await settings_in(conn) == settings
    assert await conn.fetchval("select obj_description('exercises'::regclass)") == "it's ours"
    assert (await state_of(database)).state is State.ROLLED_BACK
    assert ran.result.figures is not None
    assert await conn.fetchval("select to_regnamespace('workout_v1_restore') is null")
    assert not await conn.fetchval("select exists(select from public.system_maintenance where enabled)")
    await migrated(database)
    assert await v2_differences(conn) == []


AFTER = [
    # kinds of the backup, made before or after the migration, what the database is
    (frozenset({Kind.TABLES}), "after", SMALL),
    (frozenset({Kind.FULL}), "after", SandboxOptions(plans=20, clean=True, notification_preferences="rows")),
    (frozenset({Kind.CSV}), "before", SandboxOptions(plans=20, clean=True, bigint_ids=True)),
    (frozenset({Kind.TABLES}), "before", SandboxOptions(plans=20, clean=True, renamed=True, default_privileges=False)),
    (frozenset({Kind.FULL}), "after", SandboxOptions(plans=20, clean=True, bigint_ids=True)),
]


@pytest.mark.parametrize(("kinds", "when", "options"), AFTER)
async def test_after_a_migration(
    kinds: frozenset[Kind],
    when: str,
    options: SandboxOptions,
    make_database: MakeDatabase,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """v2 is in use and the kept v1 tables are damaged: neither the quick way nor patience would help."""
    database = await make_database(options)
    conn = await connect(database.url)
    suffix = "_v1" if options.renamed else ""
    if Kind.CSV not in kinds:
        await conn.execute(SET.replace("@S@", suffix))
    settings = await settings_in(conn, suffix)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn, suffix)
    path = await backed_up(database, tmp_path, kinds) if when == "before" else None
    await migrated(database)
    if path is None:
        path = await backed_up(database, tmp_path, kinds)
    await conn.execute("update workout_plans set name = 'written later'")
    await conn.execute("drop table exercises_v1 cascade")
    await conn.execute("delete from workout_sessions_v1 where id in (select id from workout_sessions_v1 limit 3)")
    monkeypatch.setattr("vagus_tui.backup.gauge.TICK_SECONDS", 0.02)
    ran = await rolled_back_from(database, path)
    # How far all of it is never falls, and nothing that it reckons with is left out.
    shares = [event.share for event in ran.events if isinstance(event, ProgressEvent)]
    assert shares == sorted(shares) and shares[0] < 0.2 and shares[-1] == 1, shares
    assert changes(rows, await v1_rows(conn, suffix)) == []
    differing = changes(catalog, await catalog_fingerprint(conn))
    if Kind.CSV in kinds:
        # Rights on sequences are in no CSV: whoever may insert may use them.
        differing = [line for line in differing if "_id_seq: " not in line]
        assert await conn.fetchval("select has_sequence_privilege('authenticated', 'exercises_id_seq', 'usage')")
    assert differing == []
    assert await settings_in(conn, suffix) == settings
    assert ran.result.figures is not None
    archive = ran.result.figures["archive"]
    assert await conn.fetchval(f"select bool_and(name = 'written later') from {archive}.workout_plans")
    assert await conn.fetchval(f"select to_regclass('{archive}.workout_weeks') is not null")
    assert not await conn.fetchval(f"select has_schema_privilege('authenticated', '{archive}', 'usage')")
    assert (await state_of(database)).state is State.ROLLED_BACK
    await migrated(database)
    assert await v2_differences(conn) == []
    await rolled_back(database)
    assert changes(rows, await v1_rows(conn, suffix)) == []


async def _plans_of_v2_gone(conn: Connection) -> None:
    await conn.execute("drop table workout_plans, workout_weeks cascade")


async def _v1_removed(conn: Connection) -> None:
    await conn.execute("drop table workout_plans_v1, exercises_v1, workout_sessions_v1, exercise_logs_v1 cascade")


async def _journal_lost(conn: Connection) -> None:
    await conn.execute("truncate vagus_migration.runs cascade")


@pytest.mark.parametrize("destroy", [_plans_of_v2_gone, _v1_removed, _journal_lost])
async def test_v2_damaged_too(destroy: object, make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    path = await backed_up(database, tmp_path)
    await migrated(database)
    await destroy(conn)  # type: ignore[operator]
    await rolled_back_from(database, path)
    assert changes(rows, await v1_rows(conn)) == []
    differing = changes(catalog, await catalog_fingerprint(conn))
    if destroy is _journal_lost:
        # Nothing says any more which functions came with v2, or were led to it: they stay, and find v1 by its name.
        differing = [line for line in differing if ": new: " not in line and not line.startswith("functions ")]
        assert await conn.fetchval("select count_active_plans(user_id) from workout_plans where is_active limit 1") > 0
    assert differing == []


@pytest.mark.parametrize("seed", [1, 2])
async def test_destroyed_at_random(seed: int, make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    """Several blows at once, to a database with every fault in its data."""
    database = await make_database(SandboxOptions(plans=20))
    conn = await connect(database.url)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    path = await backed_up(database, tmp_path)
    choice = random.Random(seed)
    tables = ["workout_plans", "exercises", "workout_sessions", "exercise_logs"]
    choice.shuffle(tables)
    blows = [
        f"delete from {tables[0]} where id in (select id from {tables[0]} order by md5(id::text || '{seed}') limit 30)",
        f"alter table {tables[1]} disable row level security",
        f"grant all on {tables[1]} to anon; revoke all on {tables[2]} from authenticated",
        f"drop table {tables[3]} cascade",
        f"alter table {tables[2]} drop column id cascade",
        f"truncate {tables[0]} cascade",
        f"alter table {tables[1]} rename to {tables[1]}_v1",
    ]
    dealt = choice.sample(blows[:5], 3) + choice.sample(blows[5:], 1)
    for blow in dealt:
        await conn.execute(blow)
    ran = await rolled_back_from(database, path)
    # Without an id there is nothing to tell rows apart by, which is said.
    blind = [note for note in ran.notes if note.message.startswith(NOT_COMPARED)]
    assert len(blind) == (blows[4] in dealt)
    assert changes(rows, await v1_rows(conn)) == []
    assert await digests_differ(conn, path) == []
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_users_who_have_left(make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    """Their rows come back, since a backup is not edited; the reference is left unchecked and named."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    rows = await v1_rows(conn)
    path = await backed_up(database, tmp_path)
    async with database.as_admin() as admin:
        await admin.execute("delete from auth.users where id = (select user_id from public.workout_plans limit 1)")
    ran = await rolled_back_from(database, path)
    assert changes(rows, await v1_rows(conn)) == []
    assert ran.result.figures is not None
    assert "workout_plans_user_id_fkey" in ran.result.figures["unchecked_keys"]
    query = "select convalidated from pg_constraint where conname = $1 and conrelid = $2::text::regclass"
    assert not await conn.fetchval(query, "workout_plans_user_id_fkey", "workout_plans")
    assert await conn.fetchval(query, "exercises_plan_id_fkey", "exercises")


async def test_rows_that_are_not_the_manifests_never_take_v1s_place(
    make_database: MakeDatabase, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows changed on their way, what hangs on them missing, a backup that is damaged itself, roles that are gone."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    async with database.as_admin() as admin:
        await admin.execute("create role vagus_test_reader; grant select on public.exercises to vagus_test_reader")
    path = await backed_up(database, tmp_path)
    whole, steps = Aside._load, Replacement.swap_steps

    async def spoilt(aside: Aside, step: PlanStep, copy: RestoredCopy) -> int:
        rows = await whole(aside, step, copy)
        await aside.connection.execute(
            f"update {RESTORING}.exercises set notes = 'x' where id = (select id from {RESTORING}.exercises limit 1)"
        )
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(Aside, "_load", spoilt)
        ran = await do_roll_back_from(database, path)
    assert not ran.result.ok and ran.result.exit_status == 3
    assert "exercises did not arrive as the manifest has it" in ran.result.message

    def without_guard(made: Replacement, granted: Mapping[str, list[str]]) -> list[PlanStep]:
        off = "alter table public.exercises disable row level security"
        return [
            replace(step, statements=(*step.statements, off)) if step.id == "place" else step
            for step in steps(made, granted)
        ]

    with monkeypatch.context() as patch:
        patch.setattr(Replacement, "swap_steps", without_guard)
        ran = await do_roll_back_from(database, path)
    assert not ran.result.ok and ran.result.exit_status == 3
    assert "The restored tables are not as the manifest has them: exercises: " in ran.result.message
    with monkeypatch.context() as patch:
        patch.setattr(from_backup, "LIMIT_SECONDS", 0.0)
        ran = await do_roll_back_from(database, path)
    assert not ran.result.ok and ran.result.exit_status == 3
    assert "Putting v1 in place took longer than" in ran.result.message
    assert not await conn.fetchval("select to_regnamespace($1) is not null", RESTORING)
    largest = max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    ran = await do_roll_back_from(database, path)
    assert not ran.result.ok and ran.result.exit_status == 1
    assert changes(rows, await v1_rows(conn)) == []
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert (await state_of(database)).state is State.V1
    assert largest.name in (await backup_records.backups(conn))[0].damage
    async with database.as_admin() as admin:
        await admin.execute("drop owned by vagus_test_reader; drop role vagus_test_reader")
    ran = await do_roll_back_from(database, path)
    assert not ran.result.ok and "roles that are not here: vagus_test_reader" in ran.result.message


async def test_a_machine_that_cannot_restore_it_says_nothing_about_the_backup(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await make_database(SMALL)
    path = await backed_up(database, tmp_path, frozenset({Kind.CSV}))

    async def full(*_: object) -> int:
        raise asyncpg.DiskFullError("could not extend file: No space left on device")

    monkeypatch.setattr("vagus_tui.backup.restore.import_csv", full)
    ran = await do_roll_back_from(database, path)
    assert ran.result.exit_status == 1 and "says nothing about the backup" in ran.result.message
    proof = read_proof(path)
    assert proof is not None and proof.verified_at is not None and not proof.damage
    async with database.connect() as conn:
        assert not (await backup_records.backups(conn))[0].damage


async def test_the_end_of_the_local_server_is_not_taken_for_the_databases(
    make_database: MakeDatabase, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)
    rows = await v1_rows(conn)
    path = await backed_up(database, tmp_path, frozenset({Kind.TABLES}))
    copies: list[RestoredCopy] = []
    start = RestoredCopy.start

    async def starting(*arguments: Any) -> RestoredCopy:
        copies.append(await start(*arguments))
        return copies[-1]

    monkeypatch.setattr(RestoredCopy, "start", starting)
    for at in ("restore-tables-data", "restore-load-exercises"):

        async def kill(event: Event, _: Control, at: str = at) -> None:
            if isinstance(event, StepEvent) and event.id == at and copies:
                admin = await copies.pop().admin("postgres")
                os.kill(psutil.Process(admin.get_server_pid()).ppid(), signal.SIGQUIT)
                admin.terminate()

        ran = await do_roll_back_from(database, path, on_event=kill)
        assert not copies and ran.result.exit_status == 1 and "was ended" in ran.result.message, ran.result
        assert "Everything is as it was" in ran.result.message
        assert changes(rows, await v1_rows(conn)) == []
        assert await conn.fetchval("select to_regnamespace($1) is null", RESTORING)
    proof = read_proof(path)
    assert proof is not None and not proof.damage


async def test_a_backup_of_another_database_is_refused(
    database: TestDatabase, make_database: MakeDatabase, connect: Connect, tmp_path: Path
) -> None:
    other = await make_database(SMALL)
    path = await backed_up(other, tmp_path)
    ran = await do_roll_back_from(database, path)
    assert not ran.result.ok and ran.result.exit_status == 1
    assert "another database" in ran.result.message
    async with other.connect() as theirs:
        rows = await v1_rows(theirs)
    await rolled_back_from(database, path, other_database=True)
    assert changes(rows, await v1_rows(await connect(database.url))) == []


async def test_what_fails_in_the_swap_is_undone(make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    """Somebody's view reads a column that the backup has not: nothing is half done."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    path = await backed_up(database, tmp_path)
    await conn.execute("alter table exercises add column added text")
    await conn.execute("create view reads_added as select id, added from exercises")
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    ran = await do_roll_back_from(database, path)
    assert not ran.result.ok and ran.result.exit_status == 3
    assert "added" in ran.result.message
    assert changes(rows, await v1_rows(conn)) == []
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert await conn.fetchval("select to_regnamespace('workout_v1_restore') is null")


async def test_v2_under_other_names(make_database: MakeDatabase, connect: Connect, tmp_path: Path) -> None:
    """v2's tables renamed, and v1's names taken, by hand: named beforehand, with what takes it back; all makes room."""
    database = await make_database(SMALL)
    conn, admin = await connect(database.url), await connect(database.admin_url)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    path = await backed_up(database, tmp_path)
    await migrated(database)
    later = (
        "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) select session_id, exercise_id, "
        "900, 1, 1 from exercise_logs limit 1; update exercise_logs set notes = 'written later'"
    )
    await conn.execute(f"{later}; alter table exercise_logs rename to sets_logged; drop table exercise_groups cascade")
    state = await state_of(database)
    told = " ".join(state.reasons)
    assert state.state is State.UNKNOWN and state.possible == ("backup", "rollback from a backup"), state
    assert "Since then exercise_groups was dropped" in told
    assert 'takes it back: alter table "public"."sets_logged" rename to "exercise_logs";' in told
    ran = await do_roll_back(database)
    assert (
        ran.result.exit_status == 1 and told in ran.result.message and "--from BACKUP" in (ran.result.next_step or "")
    )
    await conn.execute(
        "create schema elsewhere; alter table workout_weeks set schema elsewhere;"
        "alter table exercises rename to moves; create view exercises as select id, name from moves;"
        "create index idx_exercises_plan_id on plan_favourites (plan_id)"
    )
    # What belongs to somebody else is asked for before anything is done.
    for done, undone in (
        ("alter view exercises owner to supabase_admin", "view exercises has a name that v1 needs, and belongs to"),
        ("alter function workout_my_plans() owner to supabase_admin", "function workout_my_plans() belongs to"),
    ):
        await admin.execute(done)
        with pytest.raises(RefusedError, match=re.escape(undone)) as caught:
            await plan_from_backup(conn, path)
        advice = (caught.value.next_step or "").partition("settles it: ")[2].removesuffix(". Then start again.")
        assert advice.startswith("alter ") and advice.endswith('owner to "postgres"')
        await admin.execute(advice)
    notes = " ".join((await plan_from_backup(conn, path)).notes)
    for what in (
        "sets_logged is a table of v2",
        "elsewhere.workout_weeks is a table of v2",
        "view exercises has a name",
    ):
        assert what in notes, notes
    assert (
        "index idx_exercises_plan_id has a name that v1 needs: it is called idx_exercises_plan_id_other then" in notes
    )
    ran = await rolled_back_from(database, path)
    assert changes(rows, await v1_rows(conn)) == []
    left = changes(catalog, await catalog_fingerprint(conn))
    assert [line.partition(":")[0] for line in left] == ["indexes idx_exercises_plan_id_other"], left
    assert ran.result.figures is not None
    archive = ran.result.figures["archive"]
    for name in ("sets_logged", "moves", "exercises", '"elsewhere.workout_weeks"'):
        assert await conn.fetchval(f"select count(*) from {archive}.{name}") > 0
    # The renamed one was compared too: its later set is told.
    assert ran.result.figures["apart"]["exercise_logs"]["only_now"] == 1, ran.result.figures
    assert await conn.fetchval(f"select bool_and(notes = 'written later') from {archive}.sets_logged")
