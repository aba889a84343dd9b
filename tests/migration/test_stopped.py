"""Stopped anywhere, by hand or by force: the state says what is, and the way on and the way back both work."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase, outside_loop
from tests.migration.support import do_abandon, do_migrate, killed, migrated, rolled_back, settings_for, state_of
from tests.migration.test_stop_anywhere import attempted
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.events import Event, StepEvent, StepState
from vagus_tui.journal.state import State
from vagus_tui.migration.runner import migrate
from vagus_tui.sandbox.options import SandboxOptions

SMALL = SandboxOptions(plans=20, clean=True)

CANCELS = [
    ("prepare-capture", "started"),
    ("prepare-staging", "done"),
    ("build-exercises", "started"),
    ("align", "started"),
    ("behaviour", "started"),
    ("catch-up", "started"),
    ("prove-exercises", "started"),
    ("hold", "started"),
    ("hold", "progress"),
]


@pytest.mark.parametrize(("step", "state"), CANCELS)
async def test_cancelled(step: str, state: str, make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)

    async def cancel(event: Event, control: Control) -> None:
        if isinstance(event, StepEvent) and (event.id, event.state.value) == (step, state):
            control.cancel()

    ran = await do_migrate(database, hold=True, on_event=cancel)
    assert not ran.result.ok and ran.result.exit_status == 3, ran.result
    assert (await state_of(database)).state is State.V1
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert changes(rows, await v1_rows(conn)) == []
    assert await conn.fetchval("select to_regnamespace('workout_v2') is null")


async def test_what_cannot_be_undone_is_said_and_cleaned_up_later(
    make_database: MakeDatabase, connect: Connect
) -> None:
    """Somebody holds a table while the operator stops: our triggers stay on it, and that is not called undone."""
    database = await make_database(SMALL)
    conn, holder = await connect(database.url), await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    holding = holder.transaction()

    async def stop(event: Event, control: Control) -> None:
        if isinstance(event, StepEvent) and event.id == "build-exercises" and not control.cancelled:
            await holding.start()
            await holder.fetchval("select count(*) from exercises")
            control.cancel()

    ran = await do_migrate(database, hold=True, on_event=stop, lock_timeout_ms=20, lock_attempts=2)
    assert not ran.result.ok and ran.result.exit_status == 4, ran.result
    assert "Undoing it did not succeed" in ran.result.message and "still there" in ran.result.message
    state = await state_of(database)
    assert state.state is State.BUILDING and state.interrupted
    await holding.rollback()
    await do_abandon(database)
    assert (await state_of(database)).state is State.V1
    assert changes(catalog, await catalog_fingerprint(conn)) == []


MEANWHILE = {
    "alter table exercise_logs rename to logs": "alter table logs rename to exercise_logs",
    "drop table vagus_migration.change_log": "select 1",
    "update exercise_logs set set_number = -1, notes = 'my secret'": "select 1",
    # As Supabase does where the disk is full: what was built is taken away all the same, which makes room.
    "do $$ begin execute format('alter database %I set default_transaction_read_only = on', current_database()); "
    "end $$": "do $$ begin execute format('alter database %I reset default_transaction_read_only', "
    "current_database()); end $$",
}


@pytest.mark.parametrize("sql", MEANWHILE)
async def test_undone_whatever_somebody_did_meanwhile(sql: str, make_database: MakeDatabase, connect: Connect) -> None:
    """A renamed table of v1 has our triggers yet; without the log every write would fail; a row that v2 refuses."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog = await catalog_fingerprint(conn)

    async def do() -> None:
        async with database.connect() as other:
            await other.execute(sql)

    def meanwhile(event: Event) -> None:
        if isinstance(event, StepEvent) and (event.id, event.state.value) == ("prepare-staging", "done"):
            outside_loop(do())

    result = await attempted(database, meanwhile)
    assert not result.ok and result.exit_status == 3 and "Everything was undone" in result.message, result
    await conn.execute(MEANWHILE[sql])
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert await conn.fetchval("select to_regnamespace('workout_v2') is null")
    found = await state_of(database)
    assert found.state is State.V1 and found.run is not None and found.run.status == "failed"
    assert found.run.error and "my secret" not in result.message + found.run.error
    # What the server says names no remedy; the check that objects does.
    assert ("The check logs-set-number says: " in result.message) == ("set_number" in sql), result.message


async def test_what_fails_after_the_commit_is_not_undone(make_database: MakeDatabase, connect: Connect) -> None:
    """Nor does anybody say so, or that v1 has changed since: of course it has."""
    database = await make_database(SMALL)
    conn = await connect(database.url)

    async def do(sql: str) -> None:
        async with database.connect() as other:
            await other.execute(sql)

    def meanwhile(event: Event) -> None:
        if isinstance(event, StepEvent) and (event.id, event.state.value) == ("settle-analyze", "started"):
            outside_loop(do("alter table exercise_groups rename to groups"))

    result = await attempted(database, meanwhile)
    assert not result.ok and result.exit_status == 4, result
    assert result.message.endswith(
        'relation "public.exercise_groups" does not exist. v2 is in place; a step after the cut-over failed.'
    )
    await do("alter table groups rename to exercise_groups")
    assert (await state_of(database)).owes_settling
    assert (await migrated(database)).result.message.startswith("Finished: v2 was in place already")
    assert await v2_differences(conn) == []


async def test_whoever_has_a_table_for_themselves_is_named(clean_database: TestDatabase, connect: Connect) -> None:
    """Behind an ALTER TABLE that was left open even looking waits; not without end, and not without a word."""
    conn = await connect(clean_database.url)
    async with conn.transaction():
        await conn.execute("lock table exercises in access exclusive mode")
        ran = await do_migrate(clean_database, lock_attempts=1)
    assert ran.result.exit_status == 1 and f"PID {conn.get_server_pid()}" in ran.result.message, ran.result


async def test_closing_the_stream_cleans_up(make_database: MakeDatabase, connect: Connect) -> None:
    """The wizard is closed while it runs: the job is cancelled and waited for."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    settings = settings_for(database)
    stream = migrate(Database(settings), settings, Control(), hold=True)
    async for event in stream:
        if isinstance(event, StepEvent) and event.id == "build-exercises":
            break
    await stream.aclose()  # type: ignore[attr-defined]
    assert (await state_of(database)).state is State.V1
    assert changes(catalog, await catalog_fingerprint(conn)) == []


DRIVER = dedent("""
    import asyncio, os, signal, sys
    from vagus_tui.control import Control
    from vagus_tui.database.connection import Database
    from vagus_tui.migration.runner import migrate
    from vagus_tui.settings import Settings

    async def main():
        settings = Settings(_env_file=None, lock_timeout_ms=200, parallel_connections=2, operator="killed")
        step, state = sys.argv[1:]
        async for event in migrate(Database(settings), settings, Control(), hold=step == "hold"):
            if getattr(event, "id", "") == step and event.state == state:
                os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
""")


async def killed_at(database: TestDatabase, step: str, state: str) -> None:
    """Migrate in a process of its own that is killed at a step."""
    await killed(database, DRIVER, step, state)


KILLS = [
    ("prepare-capture-exercises", "started"),
    ("build-exercise_logs-1", "started"),
    ("align", "done"),
    ("prove-workout_plans", "started"),
    ("hold", "progress"),
    ("delta", "started"),
]


@pytest.mark.parametrize(("step", "state"), KILLS)
async def test_killed(step: str, state: str, make_database: MakeDatabase, connect: Connect) -> None:
    """Taken up again by the next one; and, once more killed, cleaned up without a trace."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    await killed_at(database, step, state)
    found = await state_of(database)
    if found.state is not State.MIGRATED:
        assert found.state is (State.READY if step == "hold" else State.BUILDING)
        assert found.interrupted
        assert await v1_rows(conn) == rows
        cleaned = await do_abandon(database)
        assert cleaned.result.ok and cleaned.result.message == "Cleaned up: v1 is as it was."
        after = await state_of(database)
        assert after.state is State.V1 and after.run is not None
        assert after.run.operator == "killed" and after.run.figures["ended_by"] == settings_for(database).operator
        again = await do_abandon(database)
        assert again.result.ok and again.result.message.startswith("There was nothing to clean up: v1"), again.result
        assert changes(catalog, await catalog_fingerprint(conn)) == []
        await killed_at(database, step, state)
    # Written while nobody was at work: capture must have seen it.
    if (await state_of(database)).state is not State.MIGRATED:
        await conn.execute("update exercises set name = 'meanwhile', day_label = 'Elsewhere'")
        await conn.execute("delete from workout_sessions where id in (select id from workout_sessions limit 3)")
        await migrated(database)
        assert await conn.fetchval("select bool_and(name = 'meanwhile') from exercises")
    assert await v2_differences(conn) == []
    await rolled_back(database)
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_killed_after_the_commit(make_database: MakeDatabase, connect: Connect) -> None:
    """v2 is in place; what was owed, validation and statistics and the flag, is done by the next run."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    await killed_at(database, "repoint", "done")
    found = await state_of(database)
    assert found.state is State.MIGRATED
    await conn.execute("alter table plan_favourites drop constraint plan_favourites_plan_id_fkey")
    await conn.execute(
        "alter table plan_favourites add constraint plan_favourites_plan_id_fkey foreign key (plan_id) "
        "references workout_plans (id) on delete cascade not valid"
    )
    await conn.execute("delete from vagus_migration.steps where phase = 'settle'")
    await conn.execute("update vagus_migration.runs set status = 'running', phase = 'settle'")
    await conn.execute("update public.system_maintenance set enabled = true")
    ran = await do_migrate(database)
    assert ran.result.ok and ran.result.state == "migrated", ran.result
    assert await conn.fetchval("select convalidated from pg_constraint where conname = 'plan_favourites_plan_id_fkey'")
    assert not await conn.fetchval("select exists(select from public.system_maintenance where enabled)")
    assert await v2_differences(conn) == []
    await rolled_back(database)
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert changes(rows, await v1_rows(conn)) == []


@pytest.mark.parametrize(("step", "ready"), [("build-workout_days", False), ("prove-exercises", False), ("hold", True)])
async def test_disconnected(step: str, ready: bool, make_database: MakeDatabase, connect: Connect) -> None:
    """An administrator ends our sessions: said so, and resumable."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    cut = False

    async def disconnect(event: Event, _: Control) -> None:
        nonlocal cut
        if not cut and isinstance(event, StepEvent) and event.id == step and event.state is not StepState.DONE:
            cut = True
            async with database.as_admin() as admin:
                await admin.fetch(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and application_name like 'vagus-tui%'"
                )

    ran = await do_migrate(database, hold=True, on_event=disconnect)
    assert not ran.result.ok and ran.result.exit_status in (3, 4), ran.result
    state = await state_of(database)
    if ran.result.exit_status == 4:
        # What it says may be heard when it is a step further.
        assert state.state is State.READY or (not ready and state.state is State.BUILDING)
        assert state.interrupted
    else:
        assert state.state is State.V1
    await migrated(database)
    assert await v2_differences(conn) == []


async def test_a_planted_difference_stops_it(make_database: MakeDatabase, connect: Connect) -> None:
    """Rows changed in staging behind everybody's back, found by the proof and shown."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    await killed_at(database, "hold", "progress")
    async with database.planting() as admin:
        planted = await admin.fetchval(
            "update workout_v2.exercises set sets = sets + 1 where id = (select min(id::text)::uuid from exercises) "
            "returning id"
        )
        extra = await admin.fetchval(
            "insert into workout_v2.workout_weeks (plan_id, week_number) select id, 53 from workout_v2.workout_plans "
            "limit 1 returning id"
        )
        lost = await admin.fetchval(
            "delete from workout_v2.exercise_logs where id = (select id from exercise_logs order by id limit 1) "
            "returning id"
        )
    ran = await do_migrate(database)
    assert not ran.result.ok and ran.result.exit_status == 3
    shown = {note.message: note.detail for note in ran.notes if note.level == "error"}
    assert f"exercises {planted}: differs" in shown
    detail = shown[f"exercises {planted}: differs"]
    assert detail is not None and set(detail["expected"]) == {"sets"}
    assert detail["found"]["sets"] == detail["expected"]["sets"] + 1
    assert f"workout_weeks {extra}: not in v1" in shown
    assert f"exercise_logs {lost}: missing in v2" in shown
    assert json.dumps(ran.result.to_json())
    assert (await state_of(database)).state is State.V1
    assert changes(catalog, await catalog_fingerprint(conn)) == []
