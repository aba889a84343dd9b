"""Maintenance: one flag that only the service may set, and a fence that holds the app's writes off for real."""

from __future__ import annotations

from uuid import UUID

import asyncpg
import pytest

from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.migration.support import as_user, migrated, rolled_back
from vagus_tui.journal.schema import ensure_journal
from vagus_tui.migration import maintenance
from vagus_tui.schema import v1

SOMEBODY = UUID(int=1)


async def test_the_flag_is_one_row(clean_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(clean_database.url)
    for message in ("first", "second"):
        await maintenance.switch_flag(conn, enabled=True, message=message)
    found = await conn.fetch("select enabled, message from system_maintenance")
    assert [tuple(row) for row in found] == [(True, "second")]
    # As the guide's way leaves it: a row per enabling.
    await conn.execute("insert into system_maintenance (enabled, message) values (true, 'old'), (true, 'older')")
    await maintenance.switch_flag(conn, enabled=True, message="now")
    assert await conn.fetchval("select count(*) from system_maintenance where enabled") == 1
    assert (await maintenance.read_maintenance(conn)).message == "now"
    await maintenance.switch_flag(conn, enabled=False)
    assert await conn.fetchval("select count(*) from system_maintenance where enabled") == 0
    assert not (await maintenance.read_maintenance(conn)).flag


@pytest.mark.parametrize("role", ["anon", "authenticated"])
async def test_the_flag_is_set_by_few(role: str, clean_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(clean_database.url)
    await maintenance.switch_flag(conn, enabled=True, message="soon")
    async with as_user(clean_database, SOMEBODY, role) as app:
        assert await app.fetchval("select message from system_maintenance where enabled") == "soon"
    for statement in (
        "update system_maintenance set enabled = false",
        "delete from system_maintenance",
        "insert into system_maintenance (enabled) values (true)",
        "truncate system_maintenance",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with as_user(clean_database, SOMEBODY, role) as app:
                await app.execute(statement)


async def test_a_flag_table_that_was_there_is_protected_too(clean_database: TestDatabase, connect: Connect) -> None:
    """As the guide makes it: no row level security, open to everybody by default privileges."""
    conn = await connect(clean_database.url)
    await conn.execute(
        "create table public.system_maintenance (id serial primary key, enabled boolean default false, message text, "
        "started_at timestamptz, estimated_completion timestamptz)"
    )
    await maintenance.switch_flag(conn, enabled=True, message="soon")
    async with as_user(clean_database, SOMEBODY, "anon") as app:
        assert await app.fetchval("select message from system_maintenance where enabled") == "soon"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with as_user(clean_database, SOMEBODY, "anon") as app:
            await app.execute("update system_maintenance set enabled = false")


async def _fenced(database: TestDatabase, connect: Connect) -> asyncpg.Connection[asyncpg.Record]:
    conn = await connect(database.url)
    await ensure_journal(conn)
    await maintenance.ensure_fence(conn)
    for table in v1.TABLES:
        await conn.execute(maintenance.fence_trigger(f"public.{table}"))
    await maintenance.switch_fence(conn, raised=True, operator="tester")
    return conn


@pytest.mark.parametrize("role", ["authenticated", "service_role"])
async def test_the_fence_refuses_writes_and_lets_reads_through(
    role: str, clean_database: TestDatabase, connect: Connect
) -> None:
    conn = await _fenced(clean_database, connect)
    user = await conn.fetchval("select user_id from workout_plans limit 1")
    for table in v1.TABLES:
        async with as_user(clean_database, user, role) as app:
            await app.fetch(f"select * from {table}")
        for statement in (f"update {table} set id = id", f"delete from {table}", f"insert into {table} default values"):
            with pytest.raises(asyncpg.PostgresError) as refused:
                async with as_user(clean_database, user, role) as app:
                    await app.execute(statement)
            assert refused.value.sqlstate == "PT503", statement
    await conn.execute("update workout_plans set description = 'by the operator'")
    await maintenance.switch_fence(conn, raised=False, operator="tester")
    async with as_user(clean_database, user, role) as app:
        assert await app.execute("update workout_plans set description = 'mine' where user_id = $1", user) != "UPDATE 0"


async def test_the_fence_cannot_be_talked_down(clean_database: TestDatabase, connect: Connect) -> None:
    conn = await _fenced(clean_database, connect)
    user = await conn.fetchval("select user_id from workout_plans limit 1")
    for setting in (
        "select set_config('vagus.fence', 'off', true)",
        "set local role service_role",
        "reset role",
        "set local search_path = pg_temp, public",
        "create temporary table fence (one boolean, raised boolean); insert into fence values (true, false)",
    ):
        with pytest.raises(asyncpg.PostgresError) as refused:
            async with as_user(clean_database, user) as app:
                await app.execute(setting)
                await app.execute("update public.workout_plans set name = 'through' where user_id = $1", user)
        assert refused.value.sqlstate in ("PT503", "42501"), setting
    for statement in (
        "set session_replication_role = replica",
        "set session authorization postgres",
        "alter table public.workout_plans disable trigger vagus_fence",
        "update vagus_migration.fence set raised = false",
        "select vagus_migration.fence()",
    ):
        with pytest.raises(asyncpg.PostgresError):
            async with as_user(clean_database, user) as app:
                await app.execute(statement)
    assert not await conn.fetchval("select exists(select from workout_plans where name = 'through')")


async def test_the_kept_tables_take_no_writes(clean_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(clean_database.url)
    user = await conn.fetchval("select user_id from workout_plans limit 1")
    await migrated(clean_database)
    for table in v1.TABLES:
        with pytest.raises(asyncpg.PostgresError) as refused:
            async with as_user(clean_database, user) as app:
                await app.execute(f"delete from {table}_v1")
        assert refused.value.sqlstate == "PT503"
    await rolled_back(clean_database)
    async with as_user(clean_database, user) as app:
        assert await app.execute("update workout_plans set name = 'mine' where user_id = $1", user) != "UPDATE 0"
