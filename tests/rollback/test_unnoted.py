"""Writes to v2 that nobody noted: no rollback loses them without a word, whatever was done to the notes by hand."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.checks.support import looking_at, outcome
from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.migration.support import as_user, do_roll_back, migrated, rolled_back, settings_for
from vagus_tui.checks.base import offending_rows
from vagus_tui.checks.registry import check_by_id
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.events import Event, Status, StepEvent, StepState
from vagus_tui.journal.state import State, read_state
from vagus_tui.migration.noting import read_noting
from vagus_tui.rollback.preview import preview
from vagus_tui.rollback.quick_plan import plan_rollback

LATER = """
update workout_plans set name = 'Written later' where id = (select id from workout_plans order by id limit 1);
update exercise_logs set reps = 77 where id = (select id from exercise_logs order by id limit 1);
delete from exercise_logs where id = (select id from exercise_logs order by id desc limit 1);
insert into workout_sessions (user_id, started_at, notes) select user_id, now(), 'New' from workout_plans limit 1;
update workout_days set notes = 'Of v2 alone' where id = (select id from workout_days order by id limit 1);
"""

ARRIVED = """
select (select count(*) from workout_plans where name = 'Written later'),
  (select count(*) from exercise_logs where reps = 77), (select count(*) from workout_sessions where notes = 'New')
"""


async def noted(conn: Connection) -> str:
    """What the catalog says of the notes."""
    return (await read_noting(conn, "public")).words


async def test_the_table_of_notes_was_dropped(moved_database: TestDatabase, connect: Connect) -> None:
    """Every row is compared with v1 instead; what differs comes back, and what it replaces is kept."""
    conn = await connect(moved_database.url)
    untouched = await preview(conn, await read_state(conn), compare=True)
    assert untouched.told == [] and untouched.total == 0
    await conn.execute(LATER)
    by_hand = await conn.fetchval(
        "update exercises_v1 set name = 'By hand' where id = (select id from exercises_v1 order by id limit 1) "
        "returning id"
    )
    await conn.execute("drop table vagus_migration.v2_changes")
    assert "v2_changes, where every write to v2 since the cut-over was noted, is gone" in await noted(conn)
    user = await conn.fetchval("select user_id from workout_plans order by id limit 1")
    with pytest.raises(asyncpg.UndefinedTableError):
        async with as_user(moved_database, user) as app:
            await app.execute("update workout_plans set name = 'Refused'")
    state = await read_state(conn)
    found = await preview(conn, state)
    told = " ".join(found.told)
    assert "nobody knows which rows were written" in told and "the app's writes to workout_plans, " in told
    assert "1 row of exercises changed" in told and "5 rows differ from what v1 has" in told, told
    assert {item.table: (item.new, item.changed, item.deleted) for item in found.carried} == {
        "workout_plans": (0, 1, 0),
        "exercises": (0, 0, 0),
        "workout_sessions": (1, 0, 0),
        "exercise_logs": (0, 1, 1),
    }
    steps = [step.id for step in (await plan_rollback(conn, settings_for(moved_database), state)).steps]
    assert steps[:4] == ["note-again", "kept-rows", "compare-begin", "compare-day-keys"]
    assert steps[11:16] == ["compare-unnoted", "compare-decided", "look-ahead", "lock", "kept-rows-again"]
    ran = await rolled_back(moved_database)
    assert tuple(await conn.fetchrow(ARRIVED) or ()) == (1, 1, 1)
    figures = ran.result.figures
    assert figures is not None and sum(figures["not_noted"].values()) == 5
    assert "the noting of what is written to v2" in figures["put_back"]
    kept = await conn.fetch(f"select row_id, row ->> 'name' as name from {figures['archive']}.v1_by_hand")
    assert {row["row_id"]: row["name"] for row in kept}[str(by_hand)] == "By hand"
    assert await conn.fetchval("select to_regclass('vagus_migration.v2_unnoted') is null")
    # What v2 alone can hold was found too: it is taken up when v2 comes again.
    await migrated(moved_database)
    assert await conn.fetchval("select count(*) from workout_days where notes = 'Of v2 alone'") == 1
    assert await noted(conn) == ""


TAMPERED = {
    "alter table exercises disable trigger vagus_capture": "writes to exercises",
    "alter table exercises disable trigger user; alter table exercises enable trigger user": "writes to exercises",
    "alter table workout_days disable trigger vagus_capture_truncate": "writes to workout_days",
    "drop trigger vagus_capture on exercise_logs": "writes to exercise_logs",
    "create or replace trigger vagus_capture after insert on workout_plans for each row execute function "
    "vagus_migration.capture_v2(); alter table workout_plans enable always trigger vagus_capture": "to workout_plans",
    "create or replace function vagus_migration.capture_v2() returns trigger language plpgsql security definer as "
    "'begin return null; end'": "vagus_migration.capture_v2() is not as it was made",
    "drop function vagus_migration.capture_v2() cascade": "vagus_migration.capture_v2() is not as it was made",
    "create temporary table as_noted as table vagus_migration.v2_changes; drop table vagus_migration.v2_changes; "
    "create table vagus_migration.v2_changes (table_name text not null, row_id text not null); "
    "insert into vagus_migration.v2_changes table as_noted": "was made anew by hand",
}


async def test_whatever_was_done_to_the_triggers_is_seen(moved_database: TestDatabase, connect: Connect) -> None:
    """Also what was switched on again, or made again, by hand; what puts it right is enough."""
    conn = await connect(moved_database.url)
    assert await noted(conn) == ""
    for tampered, words in TAMPERED.items():
        await conn.execute(tampered)
        found = await read_noting(conn, "public")
        assert words in found.words and not found.intact, (tampered, found)
        for statement in found.statements():
            await conn.execute(statement)
        assert await noted(conn) == "", tampered
    # What stands in the place of the notes is nobody's to overwrite.
    await conn.execute(
        "alter table vagus_migration.v2_changes rename to v2_changes_before;"
        "create view vagus_migration.v2_changes as select 1 as one"
    )
    with pytest.raises(RefusedError, match="not the plain table") as caught:
        await preview(conn, await read_state(conn))
    settled = 'alter table vagus_migration.v2_changes rename to "v2_changes_other"'
    assert settled in (caught.value.next_step or "")
    await conn.execute(settled)
    # Written while nobody noted, with the triggers on again since.
    await conn.execute(f"alter table workout_plans disable trigger user; {LATER.partition(';')[0]};")
    await conn.execute("alter table workout_plans enable trigger user")
    # The server has no room for a second connection: ours, the rollback's own, and the one that says how far it is.
    async with moved_database.as_admin() as admin:
        await admin.execute(f"alter database {moved_database.name} connection limit 3")
    ran = await rolled_back(moved_database, parallel_connections=2)
    assert "Comparing on 1 of 2 connections" in " ".join(note.message for note in ran.notes), ran.notes
    assert await conn.fetchval("select count(*) from workout_plans where name = 'Written later'") == 1


async def test_notes_that_were_deleted_are_asked_about(moved_database: TestDatabase, connect: Connect) -> None:
    """Where all seems to be noted and rows differ, only the operator knows; either answer is a statement."""
    conn = await connect(moved_database.url)
    await conn.execute(LATER)
    await conn.execute("delete from vagus_migration.v2_changes")
    state = await read_state(conn)
    told = (await preview(conn, state, compare=True)).told
    assert "The rollback will ask what to do about them" in told[0] and "5 rows differ" in told[0], told
    ran = await do_roll_back(moved_database)
    assert (ran.result.exit_status, (await read_state(conn)).state) == (1, State.MIGRATED), ran.result
    assert "no such write was noted" in ran.result.message and "Nothing was changed" in ran.result.message
    told = (await preview(conn, state)).told
    assert "The rollback will ask" in told[0], told
    advice = ran.result.next_step or ""
    taken, staying = (part.rpartition(": ")[2].rpartition(". ")[2] for part in advice.split(";")[:2])
    assert taken.startswith("insert into") and staying.strip().startswith("update"), advice
    await conn.execute(f"{staying} where table_name = 'exercise_logs'")
    await conn.execute(taken)
    before: Any = await conn.fetchrow("select * from exercise_logs_v1 order by id limit 1")

    # And nothing slips through between the comparison and the locks.
    async def switch_off(event: Event, _: Control) -> None:
        if isinstance(event, StepEvent) and event.id == "compare-decided" and event.state is StepState.DONE:
            await conn.execute("alter table exercises disable trigger vagus_capture")

    ran = await do_roll_back(moved_database, on_event=switch_off)
    assert ran.result.exit_status == 1 and "writes to exercises were dropped" in ran.result.message, ran.result
    assert await conn.fetchval("select to_regclass('public.workout_weeks') is not null")
    ran = await rolled_back(moved_database)
    assert tuple(await conn.fetchrow(ARRIVED) or ()) == (1, 0, 1)
    assert await conn.fetchrow("select * from exercise_logs where id = $1", before["id"]) == before
    assert ran.result.figures is not None and ran.result.figures["not_noted"]["exercise_logs"] == 2


async def test_rows_with_json_that_jsonb_refuses(clean_database: TestDatabase, connect: Connect) -> None:
    """They are compared, shown and kept like any others."""
    conn = await connect(clean_database.url)
    await conn.execute(r"""alter table exercises add column raw json default '{"cut":  "\u0000 \ud83d"}'""")
    await migrated(clean_database)
    await conn.execute("update exercises set name = 'x' where id = (select id from exercises order by id limit 1)")
    async with looking_at(clean_database) as context:
        assert (await outcome("row-proof", context)).status is Status.PASS
        await conn.execute("delete from vagus_migration.v2_changes")
        found = await outcome("row-proof", context)
        assert found.status is Status.FAIL and "1 exercise" in str(found.message), found
        page = await offending_rows(check_by_id("row-proof"), context)
        assert "u0000" in str(page.rows[0]) and page.rows[0][1] == "differs"
    ran = await do_roll_back(clean_database)
    assert ran.result.exit_status == 1 and "no such write was noted" in ran.result.message, ran.result
    kept = await conn.fetchval("select in_v1::text from vagus_migration.v2_unnoted")
    assert r'{"cut":  "\u0000 \ud83d"}' in kept
