"""What is worked out before the locks of a quick rollback: the same as under them, and nothing of it twice."""

from __future__ import annotations

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import migrated, rolled_back
from tests.oracle import v1_rows
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.events import Event, StepEvent, StepState
from vagus_tui.journal.state import read_state
from vagus_tui.rollback import ahead
from vagus_tui.rollback.kept import read_kept
from vagus_tui.rollback.quick_plan import migrated_run
from vagus_tui.rollback.touched import Touched
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v1
from vagus_tui.schema.rules import MappingOptions

WRITES = (
    "update workout_plans set name = name || '!' where id in (select id from workout_plans order by id limit 3)",
    "update exercises set notes = 'x' where id in (select id from exercises order by id limit 5)",
    "update exercise_logs set reps = reps + 1 where id in (select id from exercise_logs order by id limit 7)",
    "update workout_sessions set notes = 'x' where id in (select id from workout_sessions order by id limit 4)",
    "update workout_weeks set start_date = '2026-05-04' where plan_id = (select id from workout_plans limit 1)",
    "update workout_days set day_label = 'Moved' where id = (select day_id from exercises order by id desc limit 1)",
    "delete from exercise_logs where id = (select id from exercise_logs order by id offset 20 limit 1)",
    "insert into workout_plans (user_id, name, total_weeks) select user_id, 'New', 2 from workout_plans limit 1",
)
"""Rows of every kind that are written after the cut-over."""
LATER = "update exercises set notes = 'later' where id = (select id from exercises order by id offset 9 limit 1)"


async def _found(
    conn: Connection, looked: ahead.Ahead | None, meanwhile: str = "", *, repeat: bool = False
) -> dict[str, list[str]]:
    """By v1 table what v2 said of touched rows, and under its name with a star the ids worked out under the locks."""
    _, survey = await migrated_run(conn, await read_state(conn))
    options, kept = MappingOptions(repeat_exercises=repeat), await read_kept(conn, survey)
    rows = Touched(survey, options, kept, ahead=looked)
    found = {}
    transaction = conn.transaction()
    await transaction.start()
    try:
        await conn.execute("set local timezone = 'UTC'")
        if looked is not None:
            for statement in rows.look_ahead(looked):
                await conn.execute(statement)
        if meanwhile:
            await conn.execute(meanwhile)
        for statement in rows.collect():
            await conn.execute(statement)
        for base in v1.TABLES:
            wanted = f"select to_json(b.*)::text from {rows.before(base)} b order by 1"
            found[base] = [row[0] for row in await conn.fetch(wanted)]
            if looked is not None:
                fresh = await conn.fetch(f"select id::text from pg_temp.vagus_fresh_{base} order by 1")
                found[f"{base}*"] = [row[0] for row in fresh]
    finally:
        await transaction.rollback()
    return found


@pytest.mark.parametrize("looked", [ahead.LASTING, ahead.TEMPORARY])
async def test_the_same_as_under_the_locks(looked: ahead.Ahead, moved_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(moved_database.url)
    for write in WRITES:
        await conn.execute(write)
    whole = await _found(conn, None)
    assert {base: len(rows) > 3 for base, rows in whole.items()} == dict.fromkeys(v1.TABLES, True)
    found = await _found(conn, looked)
    assert found == {**whole, **{f"{base}*": [] for base in v1.TABLES}}

    # A row that is written after, and one whose row in v1 is not what it was.
    gone = await conn.fetchval("select id::text from exercise_logs order by id limit 1")
    later = await _found(conn, looked, f"{LATER}; delete from exercise_logs_v1 where id = '{gone}'")
    wrote = await conn.fetchval("select id::text from exercises order by id offset 9 limit 1")
    assert later["exercises*"] == [wrote] and later["exercise_logs*"] == [gone]
    assert len(later["exercises"]) == len(whole["exercises"]) + 1
    assert len(later["exercise_logs"]) == len(whole["exercise_logs"]) - 1
    assert later["workout_plans"] == whole["workout_plans"] and later["workout_plans*"] == []


async def test_copies_in_later_weeks(make_database: MakeDatabase, connect: Connect) -> None:
    """v1 has no row for them, and yet v2 said something of them at the cut-over."""
    database = await make_database(SandboxOptions(plans=12, clean=True))
    await migrated(database, repeat_exercises=True)
    conn = await connect(database.url)
    await conn.execute("update exercises set notes = 'x' where id not in (select id from exercises_v1)")
    whole = await _found(conn, None, repeat=True)
    assert len(whole["exercises"]) > 50
    assert await _found(conn, ahead.LASTING, repeat=True) == {**whole, **{f"{base}*": [] for base in v1.TABLES}}


async def test_what_is_written_before_the_locks_comes_back(moved_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(moved_database.url)
    kept = await v1_rows(conn, suffix="_v1")
    once, again, first = (row[0] for row in await conn.fetch("select id from exercises order by id limit 3"))
    said = "update exercises set notes = $1 where id = any($2)"
    await conn.execute(said, "x", [once, again])

    async def write(event: Event, _: Control) -> None:
        if isinstance(event, StepEvent) and event.id == ahead.STEP and event.state is StepState.DONE:
            await conn.execute(said, "later", [again, first])

    ran = await rolled_back(moved_database, on_event=write)
    assert (ran.result.figures or {})["carried_back"]["exercises"] == {"new": 0, "changed": 3}
    back = await v1_rows(conn)
    changed = {
        (table, row) for table, rows in kept.items() for row, text in rows.items() if back[table].get(row) != text
    }
    assert changed == {("exercises", str(one)) for one in (once, again, first)}
    notes = await conn.fetch("select id, notes from exercises where id = any($1)", [once, again, first])
    assert {row["id"]: row["notes"] for row in notes} == {once: "x", again: "later", first: "later"}
    assert await conn.fetchval(f"select to_regclass('{ahead.LASTING.before('exercises')}') is null")
