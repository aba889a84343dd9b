"""Every repair that changes something can be taken back, and what was changed since stays as it is."""

from __future__ import annotations

import pytest

from tests.databases import TestDatabase, tell_statistics
from tests.wizard.walk import settings_for
from vagus_tui.checks.base import Context
from vagus_tui.database.connection import Connection, Database
from vagus_tui.errors import RefusedError
from vagus_tui.journal.state import read_state
from vagus_tui.remedies.repairs import REPAIRS, apply, look
from vagus_tui.remedies.repairs_undo import UNDOABLE, Applied, applied_repairs, look_undo, undo_repair

BY_ID = {repair.id: repair for repair in REPAIRS}


async def _context(url: str, conn: Connection) -> Context:
    settings = settings_for(url)
    return Context(Database(settings), conn, settings, await read_state(conn))


async def _newest(conn: Connection) -> Applied:
    return (await applied_repairs(conn))[0]


def test_every_repair_that_keeps_something_can_be_undone() -> None:
    assert {repair.id for repair in REPAIRS if repair.record} == UNDOABLE


async def test_exercises_go_back_to_their_former_day_unless_moved_since(
    moved_database: TestDatabase, moved_conn: Connection
) -> None:
    rows = await moved_conn.fetch(
        "select e.id, e.day_id, (select d.id from workout_days d join workout_weeks w on w.id = d.week_id "
        "where w.plan_id <> o.plan_id order by d.id limit 1) as elsewhere "
        "from exercises e join exercises_v1 o on o.id = e.id order by e.id limit 2"
    )
    for row in rows:
        await moved_conn.execute("update exercises set day_id = $1 where id = $2", row["elsewhere"], row["id"])
    context = await _context(moved_database.url, moved_conn)
    await apply(BY_ID["exercises-to-their-day"], context)
    first, second = rows
    other = await moved_conn.fetchval(
        "select d.id from workout_days d where d.week_id = (select week_id from workout_days where id = $1) "
        "and d.id <> $1 limit 1",
        second["day_id"],
    )
    await moved_conn.execute("update exercises set day_id = $1 where id = $2", other, second["id"])
    done = await _newest(moved_conn)
    found = await look_undo(context, done)
    assert found.count == 1 and "1 have changed since" in found.lines[1]
    await undo_repair(context, done)
    now = await moved_conn.fetch("select id, day_id from exercises where id = any($1)", [row["id"] for row in rows])
    days = {row["id"]: row["day_id"] for row in now}
    assert days == {first["id"]: first["elsewhere"], second["id"]: other}
    again = await _newest(moved_conn)
    assert again.undone_by == "Ada" and not again.undoable
    with pytest.raises(RefusedError, match="already"):
        await undo_repair(context, done)


async def test_policies_and_their_switch_come_back_as_found(
    moved_database: TestDatabase, moved_conn: Connection
) -> None:
    query = (
        "select tablename, policyname, permissive, cmd, roles::text, qual, with_check, "
        "(select relrowsecurity from pg_class where oid = tablename::regclass) "
        "from pg_policies where schemaname = 'public' order by 1, 2"
    )
    await moved_conn.execute(
        'create policy "odd ""name" on workout_plans as restrictive for update to anon, authenticated '
        "using (name <> 'x''y') with check (true); alter table exercise_logs disable row level security"
    )
    damaged = [tuple(row) for row in await moved_conn.fetch(query)]
    context = await _context(moved_database.url, moved_conn)
    await apply(BY_ID["policies-as-defined"], context)
    assert [tuple(row) for row in await moved_conn.fetch(query)] != damaged
    done = await _newest(moved_conn)
    found = await look_undo(context, done)
    assert any("exercise_logs: row level security is switched off" in line for line in found.lines)
    assert any("every user" in line for line in found.lines)
    await undo_repair(context, done)
    assert [tuple(row) for row in await moved_conn.fetch(query)] == damaged


async def test_quiet_rows_are_taken_out_unless_their_user_has_changed_them(
    moved_database: TestDatabase, moved_conn: Connection
) -> None:
    await moved_conn.execute(
        "delete from notification_preferences where user_id in "
        "(select user_id from notification_preferences order by user_id limit 3)"
    )
    left = await moved_conn.fetchval("select count(*) from notification_preferences")
    context = await _context(moved_database.url, moved_conn)
    await apply(BY_ID["quiet-preferences"], context)
    await moved_conn.execute(
        "update notification_preferences set preferences = preferences || '{\"workout_reminders_enabled\": true}' "
        "where user_id = (select row_id::uuid from vagus_migration.repaired order by row_id limit 1)"
    )
    done = await _newest(moved_conn)
    assert (await undo_repair(context, done)).count == 2
    assert await moved_conn.fetchval("select count(*) from notification_preferences") == left + 1


async def test_only_the_indexes_that_the_repair_made_are_dropped(
    moved_database: TestDatabase, moved_conn: Connection
) -> None:
    await moved_conn.execute("drop index idx_exercises_day_id; drop index idx_exercises_name")
    context = await _context(moved_database.url, moved_conn)
    await apply(BY_ID["missing-indexes"], context)
    await moved_conn.execute("drop index idx_exercises_name")
    done = await _newest(moved_conn)
    assert (await undo_repair(context, done)).lines == ("idx_exercises_day_id is dropped while users go on",)
    assert await moved_conn.fetchval("select to_regclass('public.idx_exercises_day_id') is null")
    assert await moved_conn.fetchval("select to_regclass('public.idx_exercises_muscle_group') is not null")


async def test_tidying_up_takes_the_dead_rows_away_and_needs_no_undo(
    moved_database: TestDatabase, moved_conn: Connection
) -> None:
    await moved_conn.execute(
        "update workout_plans set description = 'again'; update workout_plans set description = 'x'"
    )
    await tell_statistics(moved_conn)
    context = await _context(moved_database.url, moved_conn)
    found = await look(BY_ID["vacuum-v2"], context)
    assert any(line.startswith("workout_plans:") for line in found.lines)
    await apply(BY_ID["vacuum-v2"], context)
    done = await _newest(moved_conn)
    assert not done.undoable
    with pytest.raises(RefusedError, match="nothing to take back"):
        await look_undo(context, done)
