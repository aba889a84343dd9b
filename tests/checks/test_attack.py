"""Row level security as shipped, under attack: hundreds of random statements find and touch nothing of another's."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

import asyncpg
import pytest

from tests.checks.attack import OWNERS, Attacker, Shot, World
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.database.connection import Connection
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v2

SEED = 20_260_301
SHOTS = 600

WORLD = """
insert into exercise_groups (day_id, type, order_index) select id, 'superset', 1 from workout_days where day_number = 1;
update exercises e set group_id = g.id from exercise_groups g where g.day_id = e.day_id;
update workout_plans set name = 'secret of ' || user_id;
insert into coach_clients (coach_id, client_id, status) select u.id, p.user_id, 'inactive' from
  (select id from auth.users where id not in (select coach_id from coach_clients) order by id limit 2) u,
  (select distinct user_id from workout_plans order by 1 limit 2) p;
truncate vagus_migration.v2_changes
"""
_WRITTEN = "select distinct table_name, row_id from vagus_migration.v2_changes where xmin = pg_current_xact_id()::xid"


@dataclass(slots=True)
class Findings:
    """What an attack came to."""

    leaks: list[str] = field(default_factory=list)
    ran: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    read: int = 0
    written: int = 0
    exact: int = 0


async def act_as(conn: Connection, user: str) -> None:
    """Be the user, as the API makes it so."""
    await conn.execute(
        "select set_config('request.jwt.claims', $1, true)", json.dumps({"sub": user, "role": "authenticated"})
    )
    await conn.execute("set local role authenticated")


async def fire(conn: Connection, world: World, user: str, kind: str, shot: Shot, found: Findings) -> None:
    """One statement in a transaction that is rolled back, and what it read and wrote held against whose it is."""
    transaction = conn.transaction()
    await transaction.start()
    try:
        await act_as(conn, user)
        try:
            rows = await conn.fetch(shot.sql)
        except asyncpg.PostgresError as error:
            found.refused[kind] += 1
            text = f"{error} {getattr(error, 'detail', '')}"
            found.leaks += [
                f"{user}: {shot.sql}: the error tells {other}'s"
                for other in world.people
                if f"secret of {other}" in text and other not in world.may_read(user)
            ]
            return
        found.ran[kind] += 1
        read(world, user, shot, rows, found)
        await conn.execute("reset role")
        await written(conn, world, user, shot, found)
    finally:
        await transaction.rollback()
    if shot.exact is not None:
        await nothing_lost(conn, world, user, shot, {row[0] for row in rows}, found)


def read(world: World, user: str, shot: Shot, rows: list[asyncpg.Record], found: Findings) -> None:
    """Every id that came back must be of somebody whom the user may read."""
    allowed = world.may_read(user)
    for place, table in enumerate(shot.reads):
        ids = {row[place] for row in rows if row[place] is not None}
        found.read += len(ids)
        owners = ids if table == "athlete" else {world.owner[table].get(row, "?") for row in ids}
        if table in (v2.SESSIONS, v2.LOGS) and "my_sessions" in shot.sql:
            allowed = frozenset({user})
        if strangers := owners - allowed:
            found.leaks.append(f"{user}: {shot.sql}: reads rows of {sorted(strangers)[:3]}")


async def written(conn: Connection, world: World, user: str, shot: Shot, found: Findings) -> None:
    """Every row written must have been the user's to write, and must be so now."""
    changes = await conn.fetch(_WRITTEN)
    found.written += len(changes)
    for table in {row["table_name"] for row in changes}:
        ids = [row["row_id"] for row in changes if row["table_name"] == table]
        allowed = world.may_read(user) if shot.cascades else world.may_write(user, table)
        now = await conn.fetch(f"select * from ({OWNERS[table]}) o (id, owner) where id = any($1::text[])", ids)
        owners = {world.owner[table][row] for row in ids if row in world.owner[table]} | {row["owner"] for row in now}
        if strangers := owners - allowed:
            found.leaks.append(f"{user}: {shot.sql}: writes {table} of {sorted(strangers)[:3]}")


async def nothing_lost(conn: Connection, world: World, user: str, shot: Shot, ids: set[str], found: Findings) -> None:
    """A plain look at one table must find every row that is the user's to read."""
    table = shot.reads[0]
    allowed = world.may_read(user)
    all_rows = await conn.fetch(f"select id::text from {table} where {shot.exact}")
    expected = {row[0] for row in all_rows if world.owner[table][row[0]] in allowed}
    found.exact += 1
    if ids != expected:
        found.leaks.append(f"{user}: {shot.sql}: finds {len(ids)} rows, not {len(expected)}")


async def attacked(database: TestDatabase, shots: int, *, first: bool = False) -> Findings:
    """Fire at a database; with `first`, no longer than until something leaks."""
    found = Findings()
    async with database.connect() as conn:
        world = await World.read(conn)
        # MERGE came with PostgreSQL 15.
        attacker = Attacker(world, SEED, merges=conn.get_server_version().major >= 15)
        for _ in range(shots):
            await fire(conn, world, *attacker.shot(), found)
            if first and found.leaks:
                break
    return found


@pytest.fixture
async def target(make_database: MakeDatabase) -> TestDatabase:
    """A migrated database with supersets, former coaches, and names that nobody else must read."""
    database = await make_database(SandboxOptions(plans=60, clean=True), moved=True)
    async with database.connect() as conn:
        await conn.execute(WORLD)
    return database


async def test_nothing_of_another_is_found_and_nothing_of_ones_own_is_lost(target: TestDatabase) -> None:
    found = await attacked(target, SHOTS)
    assert found.leaks == []
    # An attack that is refused throughout, or reaches nothing, would prove nothing.
    assert sum(found.ran.values()) > SHOTS // 2, found
    assert len(found.ran) >= 14 and found.read > 2_000 and found.written > 500 and found.exact > 50, found


@pytest.mark.parametrize(
    "hole",
    [
        "alter table workout_days disable row level security",
        "create policy hole on exercises for select to authenticated using (name is not null)",
        "create policy hole on exercise_logs for update to authenticated using (true) with check (true);"
        "create policy seen on exercise_logs for select to authenticated using (true)",
        "create policy hole on workout_weeks for insert to authenticated with check (true)",
        "create policy hole on workout_sessions as restrictive for select to authenticated using (total_sets > 12)",
        "drop policy workout_plans_select on workout_plans",
    ],
    ids=["rls off", "open to read", "open to write", "open to add", "owners shut out in part", "owners shut out"],
)
async def test_a_hole_is_found(hole: str, target: TestDatabase) -> None:
    async with target.connect() as conn:
        await conn.execute(hole)
    assert (await attacked(target, 250, first=True)).leaks
