"""Who may do what on v2: what v1's tables gave, whatever a project gives by default, and the policies by command."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import as_user, migrated, settings_for
from tests.migration.test_target import API, CLEAN, sequence_of
from vagus_tui.database.connection import Connection
from vagus_tui.journal.state import read_state
from vagus_tui.migration.plan import plan_migration
from vagus_tui.sandbox.options import SandboxOptions

RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")


async def rights(conn: Connection, tables: dict[str, str]) -> dict[tuple[str, str], list[str]]:
    """What each API role may do with tables, by role and word."""
    return {
        (role, word): [
            right
            for right in RIGHTS
            if await conn.fetchval("select has_table_privilege($1, $2, $3)", role, table, right)
        ]
        for role in (*API, "reporter")
        for word, table in tables.items()
    }


@pytest.mark.parametrize("defaults", ["none", "in public", "everywhere"])
async def test_grants_are_v1s_whatever_the_defaults_are(
    defaults: str, make_database: MakeDatabase, connect: Connect
) -> None:
    database = await make_database(
        SandboxOptions(plans=20, clean=True, default_privileges=defaults != "none", bigint_ids=True)
    )
    conn = await connect(database.url)
    async with database.as_admin() as admin:
        await admin.execute(
            "do $$ begin if not exists (select from pg_roles where rolname = 'reporter') then create role reporter; "
            "end if; end $$"
        )
    if defaults == "everywhere":
        await conn.execute(
            "alter default privileges grant all on tables to anon, reporter; "
            "alter default privileges grant all on sequences to anon; "
            "alter default privileges grant execute on functions to anon, reporter"
        )
    await conn.execute(
        "revoke all on workout_plans, exercises, workout_sessions, exercise_logs from anon, public, reporter;"
        "grant select (id, name, is_active) on workout_plans to reporter;"
        "grant update (notes, reps_min) on exercises to reporter with grant option;"
        "grant select on exercise_logs to reporter with grant option; revoke delete on exercises from authenticated"
    )
    four = ("workout_plans", "exercises", "workout_sessions", "exercise_logs")
    before = await rights(conn, {table: table for table in four})
    notes = "\n".join((await plan_migration(conn, settings_for(database), await read_state(conn))).notes)
    assert "workout_plans: SELECT (is_active) of reporter stays with v1" in notes, notes
    assert "reporter has rights on single columns of workout_plans alone, and so none on workout_weeks" in notes
    await migrated(database)
    assert await rights(conn, {table: table for table in four}) == before
    new = await rights(conn, {"workout_plans": "workout_days"})
    assert new == {key: before[key] for key in new}
    may = "select has_column_privilege('reporter', $1, $2, $3)"
    assert await conn.fetchval(may, "workout_plans", "name", "SELECT")
    assert not await conn.fetchval(may, "workout_plans", "status", "SELECT")
    assert await conn.fetchval(may, "exercises", "notes", "UPDATE WITH GRANT OPTION")
    assert await conn.fetchval(may, "exercises", "target_reps_min", "UPDATE WITH GRANT OPTION")
    assert await conn.fetchval("select has_table_privilege('reporter', 'exercise_logs', 'SELECT WITH GRANT OPTION')")
    functions = await conn.fetch(
        "select p.oid::regprocedure::text as name from pg_proc p where p.pronamespace = 'public'::regnamespace "
        "and p.proname like any(array['workout\\_%', 'detect\\_prs', 'calculate\\_plan\\_volume']) "
        "and (has_function_privilege('anon', p.oid, 'execute') "
        "or has_function_privilege('reporter', p.oid, 'execute')) "
        "and p.prorettype <> 'trigger'::regtype"
    )
    assert [row["name"] for row in functions] == []
    for table in four:
        sequence = await sequence_of(conn, table)
        assert not await conn.fetchval("select has_sequence_privilege('anon', $1, 'usage')", sequence), table


async def test_who_may_do_what_by_command(make_database: MakeDatabase, connect: Connect) -> None:
    """Owner and active coach everything from the plan down; the coach reads sessions and logs; others nothing."""
    database = await make_database(CLEAN, moved=True)
    conn = await connect(database.url)
    row = await conn.fetchrow(
        "select p.id as plan, p.user_id as owner, w.id as week, d.id as day, e.id as exercise, s.id as session, "
        "l.id as log "
        "from workout_plans p join workout_weeks w on w.plan_id = p.id join workout_days d on d.week_id = w.id "
        "join exercises e on e.day_id = d.id join exercise_logs l on l.exercise_id = e.id "
        "join workout_sessions s on s.id = l.session_id and s.user_id = p.user_id limit 1"
    )
    assert row is not None
    users = [
        r[0] for r in await conn.fetch("select id from auth.users where id <> $1 order by id limit 3", row["owner"])
    ]
    coach, former, stranger = users
    await conn.execute(
        "delete from coach_clients where client_id = $1 or coach_id = any($2::uuid[])", row["owner"], users
    )
    await conn.execute(
        "insert into coach_clients (coach_id, client_id, status) values ($1, $3, 'active'), ($2, $3, 'ended')",
        coach,
        former,
        row["owner"],
    )
    group = await conn.fetchval(
        "insert into exercise_groups (day_id, type, order_index) values ($1, 'circuit', 1) returning id", row["day"]
    )
    rows = {
        "workout_plans": row["plan"],
        "workout_weeks": row["week"],
        "workout_days": row["day"],
        "exercise_groups": group,
        "exercises": row["exercise"],
        "workout_sessions": row["session"],
        "exercise_logs": row["log"],
    }
    inserts = {
        "workout_plans": ("insert into workout_plans (user_id, name, total_weeks) values ($1, 'n', 1)", "owner"),
        "workout_weeks": ("insert into workout_weeks (plan_id, week_number) values ($1, 52)", "plan"),
        "workout_days": ("insert into workout_days (week_id, day_label) values ($1, 'n')", "week"),
        "exercise_groups": ("insert into exercise_groups (day_id, type, order_index) values ($1, 'circuit', 2)", "day"),
        "exercises": (
            "insert into exercises (day_id, name, muscle_group, sets, order_index) values ($1, 'n', 'x', 1, 1)",
            "day",
        ),
        "workout_sessions": ("insert into workout_sessions (user_id, started_at) values ($1, now())", "owner"),
        "exercise_logs": (
            "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) "
            f"values ($1, '{row['exercise']}', 99, 1, 1)",
            "session",
        ),
    }
    everything = (True, True, True, True)
    down = dict.fromkeys(rows, everything)
    reading = {**down, **dict.fromkeys(("workout_sessions", "exercise_logs"), (True, False, False, False))}
    nothing = dict.fromkeys(rows, (False, False, False, False))
    wanted = {row["owner"]: down, coach: reading, former: nothing, stranger: nothing}
    for user, expected in wanted.items():
        found = {}
        for table, key in rows.items():
            statement, what = inserts[table]
            found[table] = await _commands(database, user, table, key, statement, row[what])
        assert found == expected, user
    async with as_user(database, row["owner"], role="anon") as app:
        assert [await app.fetchval(f"select count(*) from {table}") for table in rows] == [0] * len(rows)


async def _commands(
    database: TestDatabase, user: Any, table: str, key: Any, insert: str, value: Any
) -> tuple[bool, ...]:
    """Whether a user may select, insert, update and delete; nothing of it remains."""
    statements = (f"select 1 from {table} where id = $1", f"update {table} set id = id where id = $1")
    reads, updates, deletes = (*statements, f"delete from {table} where id = $1")
    allowed = []
    async with as_user(database, user) as app:
        for statement, argument in ((reads, key), (insert, value), (updates, key), (deletes, key)):
            transaction = app.transaction()
            await transaction.start()
            try:
                if statement is reads:
                    done = len(await app.fetch(statement, argument))
                else:
                    done = int((await app.execute(statement, argument)).rsplit(" ", 1)[1])
                allowed.append(done > 0)
            except asyncpg.InsufficientPrivilegeError:
                allowed.append(False)
            finally:
                await transaction.rollback()
    return tuple(allowed)
