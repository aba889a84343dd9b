"""States that somebody's hands left behind: told as they are, and backed up all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.backup.helpers import make, settings_for
from tests.conftest import Connect
from tests.databases import TestDatabase
from vagus_tui.backup import BackupOptions, Kind
from vagus_tui.database.impersonation import undone
from vagus_tui.errors import RefusedError
from vagus_tui.journal import store
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.schema import ensure_journal, journal_exists
from vagus_tui.journal.state import DatabaseState, State, read_state
from vagus_tui.rollback.quick_plan import migrated_run
from vagus_tui.schema import v1

BY_HAND = "; ".join(
    (
        "create table workout_plans (id uuid primary key, user_id uuid, name text, total_weeks int)",
        *(f"create table {name} (id uuid primary key)" for name in (*v1.HIERARCHY, *v1.TABLES[1:])),
    )
)
CSV = BackupOptions(kinds=frozenset({Kind.CSV}))


async def test_what_hands_left_behind(clean_database: TestDatabase, connect: Connect, tmp_path: Path) -> None:
    conn = await connect(clean_database.url)
    settings = settings_for(clean_database, tmp_path)
    plans = await conn.fetchval("select count(*) from workout_plans")

    async def backed_up() -> dict[str, int]:
        made = await make(settings, CSV)
        assert made.result.figures is not None
        return {key.removeprefix("public."): rows for key, rows in made.result.figures["tables"].items()}

    await conn.execute("alter table workout_plans rename to workout_plans_v1")
    state = await read_state(conn)
    assert state.state is State.UNKNOWN and "backup" in state.possible
    assert "half done: workout_plans_v1" in state.reasons[0]
    assert (await backed_up())["workout_plans_v1"] == plans
    async with undone(conn):
        await conn.execute("drop table exercise_logs cascade")
        assert "Nothing is missing" not in " ".join((await read_state(conn)).reasons)
    statement = state.reasons[0].partition("takes it back: ")[2]
    await conn.execute(statement)
    assert (await read_state(conn)).state is State.V1

    for table in v1.TABLES:
        await conn.execute(f"alter table {table} rename to {table}_v1")
    assert (await read_state(conn)).summary == "v1 is in place under *_v1 names; nothing has been moved."
    await conn.execute("create table workout_plans as select * from workout_plans_v1 limit 2")
    state = await read_state(conn)
    assert state.state is State.V1_RENAMED and "not made here: workout_plans." in state.summary
    assert state.possible == ("check", "backup")
    assert (await backed_up())["workout_plans"] == 2

    await conn.execute("drop table workout_plans")
    await conn.execute(BY_HAND)
    state = await read_state(conn)
    assert state.state is State.MIGRATED and "only a backup leads back" in state.summary
    assert "rollback" not in state.possible

    await conn.execute("insert into exercises values (gen_random_uuid()); drop table exercise_logs_v1")
    state = await read_state(conn)
    assert state.state is State.UNKNOWN and "exercise_logs_v1 is missing" in " ".join(state.reasons)
    found = await backed_up()
    assert found["exercises"] == 1 and found["workout_plans_v1"] == plans
    with pytest.raises(RefusedError, match="exercise_logs_v1 is missing"):
        await migrated_run(conn, state)


async def test_what_the_journal_says_of_where_things_stand(empty_database: TestDatabase, connect: Connect) -> None:
    """v1's tables stand there all the while: what is told hangs on the last run, and on whether somebody is at work."""
    conn, other = await connect(empty_database.url), await connect(empty_database.url)
    run: UUID | None = None

    async def told(kind: str, status: str, *, finished: bool = False) -> tuple[str, bool, str, str]:
        nonlocal run
        run = await store.start_run(conn, kind, operator="ada", environment="staging", options={})
        await store.update_run(conn, run, status=status, finished=finished)
        found = await read_state(conn)
        assert found.run is not None and found.run.id == run
        return found.state.value, found.interrupted, found.possible[0], found.summary.partition(". ")[0]

    for kind, what, act in (
        ("rollback", "A rollback", "rollback"),
        ("restore", "A rollback from a backup", "rollback"),
        ("clean-up", "A clean-up", "clean-up"),
    ):
        words = f"{what} was interrupted, before it changed anything"
        assert (await told(kind, "running"))[1:] == (True, f"clear {act} away", words), kind
        await take_lock(other)
        found = await read_state(conn)
        assert not found.interrupted and found.possible[0] == "check" and "interrupted" not in found.summary
        await other.execute("select pg_advisory_unlock_all()")
        owed = f"{what} was interrupted, its last steps are owed"
        assert (await told(kind, "done"))[1:] == (True, f"finish {act}", owed), kind
        assert (await told(kind, "failed", finished=True))[1:3] == (False, "check")
        # A clean-up is no way back.
        state = "v1" if kind == "clean-up" else "rolled-back"
        assert (await told(kind, "done", finished=True))[:2] == (state, False)
    for status, state, act in (
        ("running", "building", "resume"),
        ("interrupted", "building", "resume"),
        ("ready", "ready", "cut over"),
    ):
        assert await told("migrate", status) == (state, True, act, "A run was interrupted"), status
        await take_lock(other)
        found = await read_state(conn)
        assert (found.state.value, found.interrupted, found.owes_settling) == (state, False, False)
        # What they are at is theirs.
        assert found.possible == ()
        await other.execute("select pg_advisory_unlock_all()")
    await told("rollback", "done", finished=True)
    assert await told("migrate", "abandoned", finished=True) == (
        "rolled-back",
        False,
        "check",
        "v1 is in place again; what v2 held is archived.",
    )


async def test_where_things_stand_after_a_migration(moved_database: TestDatabase, connect: Connect) -> None:
    conn, other = await connect(moved_database.url), await connect(moved_database.url)
    found = await read_state(conn)
    migration = found.run
    assert migration is not None and found.migration == migration and found.moved_at == migration.finished_at
    assert found.state is State.MIGRATED and "rollback is possible" in found.summary and "rollback" in found.possible

    async def as_if(phase: str, status: str) -> DatabaseState:
        await conn.execute(
            "update vagus_migration.runs set phase = $2, status = $3, finished_at = null where id = $1",
            migration.id,
            phase,
            status,
        )
        return await read_state(conn)

    found = await as_if("settle", "running")
    assert found.owes_settling and found.interrupted and found.possible[0] == "finish migration"
    assert found.summary.startswith("A migration was interrupted after its cut-over, its last steps are owed. v2 is")
    await take_lock(other)
    found = await read_state(conn)
    assert not found.owes_settling and not found.interrupted and found.possible[0] == "check"
    await other.execute("select pg_advisory_unlock_all()")
    for phase, status in (("settle", "failed"), ("cut-over", "running")):
        found = await as_if(phase, status)
        assert not found.owes_settling and not found.interrupted and found.possible[0] == "check"
    await store.update_run(conn, migration.id, status="done", finished=True)
    # A rollback that failed is the latest run, and not what brought v2.
    failed = await store.start_run(conn, "rollback", operator="ada", environment="staging", options={})
    await store.update_run(conn, failed, status="failed", finished=True)
    found = await read_state(conn)
    assert found.run is not None and found.run.id == failed and found.migration is not None
    assert found.migration.id == migration.id and "rollback" in found.possible

    await conn.execute("drop table workout_days cascade")
    found = await read_state(conn)
    assert found.state is State.UNKNOWN and not found.empty and "workout_days" in " ".join(found.reasons)
    assert "v2 was put in place" in found.reasons[0] and found.possible == ("backup", "rollback from a backup")
    await conn.execute(
        "drop table workout_plans, workout_weeks, exercise_groups, exercises, workout_sessions, exercise_logs, "
        "notification_preferences, workout_plans_v1, exercises_v1, workout_sessions_v1, exercise_logs_v1 cascade"
    )
    await conn.execute("update vagus_migration.runs set kind = 'clean-up' where id = $1", failed)
    await store.update_run(conn, failed, status="done")
    found = await read_state(conn)
    assert found.state is State.UNKNOWN and found.empty and found.possible == ("rollback from a backup",)
    assert "v2" in found.reasons[0]
    # Where a migration was begun since, nobody expects v2 to be there.
    begun = await store.start_run(conn, "migrate", operator="ada", environment="staging", options={})
    await store.update_run(conn, begun, status="failed", finished=True)
    found = await read_state(conn)
    assert found.state is State.UNKNOWN and found.empty and "v2" not in " ".join(found.reasons)


async def test_two_at_once_make_one_journal(clean_database: TestDatabase, connect: Connect) -> None:
    """A session that has everything it needs in memory hears of the other's schema only when it asks."""
    one, other = await connect(clean_database.url), await connect(clean_database.url)
    warmed = other.transaction()
    await warmed.start()
    await ensure_journal(other)
    await warmed.rollback()
    begun = one.transaction()
    await begun.start()
    await ensure_journal(one)
    waiting = asyncio.create_task(ensure_journal(other))
    watching = await connect(clean_database.url)
    pid = other.get_server_pid()
    async with asyncio.timeout(10):
        async for _ in ticks():
            if await watching.fetchval("select wait_event from pg_stat_activity where pid = $1", pid) == "advisory":
                break
    await begun.commit()
    await waiting
    assert await journal_exists(other)


async def ticks() -> AsyncIterator[None]:
    """Every hundredth of a second."""
    while True:
        await asyncio.sleep(0.01)
        yield
