"""Rows of the kept v1 that go or change after the cut-over: a quick rollback puts them back by itself."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.migration.support import as_user, migrated, rolled_back
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.events import Event, StepEvent, StepState
from vagus_tui.journal.state import read_state
from vagus_tui.rollback.preview import preview

TABLES = ("workout_plans", "exercises", "workout_sessions", "exercise_logs")
LEAVE = (
    "create function public.leave() returns void language sql security definer set search_path = '' as "
    "'delete from auth.users where id = auth.uid()'"
)
HAND_OVER = (
    "update workout_sessions set user_id = $2 where user_id = $1",
    "update workout_plans set user_id = $2 where user_id = $1",
)
OF_LEAVER = {
    "workout_plans": "user_id = $1",
    "exercises": "plan_id in (select id from workout_plans_v1 where user_id = $1)",
    "workout_sessions": "user_id = $1 or plan_id in (select id from workout_plans_v1 where user_id = $1)",
    "exercise_logs": "session_id in (select id from workout_sessions_v1 where user_id = $1 "
    "or plan_id in (select id from workout_plans_v1 where user_id = $1)) "
    "or exercise_id in (select e.id from exercises_v1 e join workout_plans_v1 p on p.id = e.plan_id "
    "where p.user_id = $1)",
}


async def rows_of(conn: Connection, suffix: str = "") -> dict[str, dict[str, Any]]:
    """Every row of v1, by table and id, but for what a plan that is handed over gets anew."""
    found: dict[str, dict[str, Any]] = {}
    for table in TABLES:
        rows = await conn.fetch(f"select id::text, to_json(t.*)::text from {table}{suffix} t")
        found[table] = {row[0]: json.loads(row[1]) for row in rows}
    for plan in found["workout_plans"].values():
        plan |= {"user_id": None, "updated_at": None, "created_by": None}
    for session in found["workout_sessions"].values():
        session["user_id"] = None
    return found


async def test_users_who_leave_and_rows_changed_by_hand(moved_database: TestDatabase, connect: Connect) -> None:
    """v1 has lost what was handed over in v2, with all that hangs on it; it comes back to the byte, under its owner."""
    conn = await connect(moved_database.url)
    coach, meanwhile, later, last, leaver, client = (
        row[0]
        for row in await conn.fetch("select user_id from workout_plans group by 1 order by count(*) desc, 1 limit 6")
    )
    expected = await rows_of(conn, "_v1")
    # What v1 keeps of a session does not go with its plan.
    for table, mine in OF_LEAVER.items():
        for row in await conn.fetch(f"select id::text from {table}_v1 where {mine}", leaver):
            del expected[table][row[0]]
    for one in (coach, meanwhile, later, last):
        for statement in HAND_OVER:
            await conn.execute(statement, one, client)
    handed = await conn.fetchval(
        "select e.id from exercises_v1 e join workout_plans_v1 p on p.id = e.plan_id where p.user_id = $1 limit 1",
        coach,
    )
    await conn.execute("delete from exercises where id = $1", handed)
    async with moved_database.as_admin() as admin:
        await admin.execute(LEAVE)
    # As an app lets its users leave: that v1 is an archive is not in their way.
    for one in (coach, leaver):
        async with as_user(moved_database, one) as app:
            await app.execute("select public.leave()")
    gone = "select count(*) from workout_plans_v1 where user_id = any($1)"
    assert await conn.fetchval(gone, [coach, leaver]) == 0
    # And somebody takes the kept tables for those in use.
    changed = await conn.fetchval(
        "update exercises_v1 set name = 'By hand', id = id where id = (select min(id::text)::uuid from exercises_v1) "
        "returning id"
    )
    await conn.execute("delete from exercise_logs_v1 where id = (select min(id::text)::uuid from exercise_logs_v1)")
    added = await conn.fetchval(
        "insert into workout_plans_v1 (user_id, name) values ($1, 'By hand') returning id", client
    )
    found = await preview(conn, await read_state(conn), compare=True)
    told = " ".join(found.told)
    assert "of workout_plans that had gone with a user" in told and "rows differ" not in told, told
    assert "1 row of workout_plans added by hand" in told and "1 row of exercises changed" in told, told
    assert await conn.fetchval(gone, [client]) > 0 and await conn.fetchval("select count(*) from exercises_v1") < len(
        expected["exercises"]
    ), "a preview changes nothing"

    async def leave(event: Event, _: Control) -> None:
        # While rows are compared; after that; and last of all before anything is locked.
        goes = {"kept-rows": meanwhile, "compare-decided": later, "look-ahead": last}
        if isinstance(event, StepEvent) and event.id in goes and event.state is StepState.DONE:
            await conn.execute("delete from auth.users where id = $1", goes[event.id])

    ran = await rolled_back(moved_database, on_event=leave)
    assert await rows_of(conn) == expected
    assert await conn.fetchval("select count(*) from workout_plans where user_id = $1", client) > 2
    figures = ran.result.figures
    assert figures is not None and figures["deleted_in_v2"]["exercises"] == 1, figures
    by_hand = await conn.fetch(f"select row_id, row ->> 'name' as name from {figures['archive']}.v1_by_hand")
    assert {(row["row_id"], row["name"]) for row in by_hand} == {(str(changed), "By hand"), (str(added), "By hand")}
    left = "select count(*) from pg_trigger t where t.tgname ~ '^vagus_' and not t.tgisinternal"
    assert await conn.fetchval(left) == 0
    assert await conn.fetchval("select to_regclass('vagus_migration.v1_kept_changes') is null")

    # What cannot be put back as it was counts as written since, and v2 has it.
    await migrated(moved_database)
    refused = await conn.fetchval("select id from exercise_logs_v1 order by id limit 1")
    back = await conn.fetchval("select id from exercise_logs_v1 order by id desc limit 1")
    await conn.execute("delete from exercise_logs_v1 where id in ($1, $2)", refused, back)
    await conn.execute(f"alter table exercise_logs_v1 add constraint none check (id <> '{refused}')")
    ran = await rolled_back(moved_database)
    assert "2 rows of exercise_logs changed in the kept v1 since, which could not" in str(ran.result.figures)
    expected["exercise_logs"].pop(str(refused))
    assert await rows_of(conn) == expected
    kept_out = f"select row_id from {(ran.result.figures or {})['archive']}.kept_out_of_v1"
    assert [row[0] for row in await conn.fetch(kept_out)] == [str(refused)]
