"""Migrating again after a rollback takes up what only the archive has kept, and says what it could not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import as_user, migrated, rolled_back, settings_for, state_of
from vagus_tui.database.connection import Connection
from vagus_tui.journal import store
from vagus_tui.migration.plan import plan_migration
from vagus_tui.sandbox.options import SandboxOptions


async def _athlete(conn: Connection) -> Any:
    row = await conn.fetchrow(
        "select p.user_id as user, p.id as plan, e.id as exercise, e.day_id as day, d.week_id as week, "
        "  s.id as session, l.id as log "
        "from workout_plans p join workout_weeks w on w.plan_id = p.id join workout_days d on d.week_id = w.id "
        "join exercises e on e.day_id = d.id join exercise_logs l on l.exercise_id = e.id "
        "join workout_sessions s on s.id = l.session_id "
        "where s.user_id = p.user_id and p.total_weeks > 2 order by p.id, e.id, s.id, l.id limit 1"
    )
    assert row is not None
    return row


async def _write(database: TestDatabase, who: Any) -> dict[str, Any]:
    """What v1 has no place for, written by the user; returns the new ids."""
    async with as_user(database, who["user"]) as app:
        plan, day, week = who["plan"], who["day"], who["week"]
        extra = await app.fetchval(
            "insert into workout_weeks (plan_id, week_number, notes, deload) values ($1, 40, 'peak', true) "
            "returning id",
            plan,
        )
        own = await app.fetchval(
            "insert into workout_days (week_id, day_label, client_comment) values ($1, 'Own day', 'tired') "
            "returning id",
            extra,
        )
        group = await app.fetchval(
            "insert into exercise_groups (day_id, type, order_index) values ($1, 'superset', 1) returning id", day
        )
        await app.execute(
            "update exercises set group_id = $2, target_rpe_min = 7, target_rpe_max = 9, client_comment = 'hm', "
            "name = 'Renamed' where id = $1",
            who["exercise"],
            group,
        )
        await app.execute("update workout_weeks set notes = 'hard week', deload = true where id = $1", week)
        await app.execute(
            "update workout_days set client_comment = 'good', estimated_duration = 55, "
            "notes = '\U0001f4aa' where id = $1",
            day,
        )
        await app.execute("update workout_plans set current_week = 2, status = 'archived' where id = $1", plan)
        await app.execute("update workout_sessions set energy_level = 4 where id = $1", who["session"])
        await app.execute("update exercise_logs set form_rating = 3 where id = $1", who["log"])
    return {"extra": extra, "own": own, "group": group}


V2_ONLY = {
    "workout_weeks": "select id, plan_id, week_number, notes, deload, attachments from workout_weeks",
    "workout_days": "select id, week_id, day_label, client_comment, notes, estimated_duration from workout_days",
    "exercise_groups": "select id, day_id, type, rounds, rest_between_rounds, order_index from exercise_groups",
    "exercises": "select id, day_id, group_id, name, target_rpe_min, target_rpe_max, client_comment from exercises",
    "workout_plans": "select id, status, current_week, total_weeks, name from workout_plans",
    "workout_sessions": "select id, day_id, energy_level, average_rpe from workout_sessions",
    "exercise_logs": "select id, session_id, exercise_id, set_number, form_rating, rpe from exercise_logs",
}


ADDED = """
alter table exercises add column cue json, add column side text not null default 'both';
alter table exercise_groups add column colour text default 'none';
alter table workout_days add column place text, add column mood integer not null default (2 + 3),
  add column twice integer generated always as (mood * 2) stored;
create index mooded on workout_days (mood);
"""


async def added_values(conn: Connection) -> dict[str, set[str]]:
    """What the app's own columns hold, beside the ids."""
    queries = (
        "select row(id, cue::text, side)::text from exercises",
        "select row(id, colour)::text from exercise_groups",
        "select row(id, place, mood, twice)::text from workout_days",
    )
    return {query: {row[0] for row in await conn.fetch(query)} for query in queries}


async def v2_only(conn: Connection) -> dict[str, set[tuple[Any, ...]]]:
    """Everything of v2 that a rollback cannot carry back, row by row."""
    return {table: {tuple(row) for row in await conn.fetch(query)} for table, query in V2_ONLY.items()}


@pytest.mark.parametrize(
    "options", [SandboxOptions(plans=20, clean=True), SandboxOptions(plans=20, clean=True, bigint_ids=True)]
)
async def test_v2_is_as_it_was(options: SandboxOptions, make_database: MakeDatabase, connect: Connect) -> None:
    """There, back, and there again: v2 has every row and value that it had before the way back."""
    database = await make_database(options, moved=True)
    conn = await connect(database.url)
    who = await _athlete(conn)
    # The app's next version gives v2 columns of its own.
    await conn.execute(ADDED)
    made = await _write(database, who)
    await conn.execute("update exercises set cue = '{\"a\":  1}', side = 'left' where id = $1", who["exercise"])
    await conn.execute("update exercise_groups set colour = 'red' where id = $1", made["group"])
    await conn.execute("update workout_days set place = 'gym', mood = 9 where id = $1", who["day"])
    before, added = await v2_only(conn), await added_values(conn)
    await rolled_back(database)
    told = " ".join((await plan_migration(conn, settings_for(database), await state_of(database))).notes)
    assert "workout_days.mood: added to v2 before the last rollback" in told
    assert "create index mooded on public.workout_days" in told.lower(), told
    ran = await migrated(database)
    assert await added_values(conn) == added
    assert "columns added to v2: cue, side" in " ".join(note.message for note in ran.notes)
    after = await v2_only(conn)
    for table in V2_ONLY:
        assert after[table] == before[table], table
    said = [note.message for note in ran.notes if note.message.startswith("Taken up")]
    assert len(said) == 1 and "1 exercise_groups: groups" in said[0] and "1 workout_weeks: weeks beyond" in said[0]
    run = await store.latest_run(conn, "migrate")
    assert run is not None and any(item["table"] == "exercise_logs" for item in run.figures["taken_up"])
    # Once more: what was taken up is v2-only data of this time round.
    await rolled_back(database)
    await migrated(database)
    assert await v2_only(conn) == before and await added_values(conn) == added


async def test_what_v1_has_deleted_or_changed_since_stays_so(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True), moved=True)
    conn = await connect(database.url)
    who = await _athlete(conn)
    made = await _write(database, who)
    other = await conn.fetchval("select id from workout_plans where id <> $1 order by id limit 1", who["plan"])
    await conn.execute(
        "with w as (insert into workout_weeks (plan_id, week_number) values ($1, 41) returning id), "
        "d as (insert into workout_days (week_id, day_label) select id, 'Own day' from w returning id) "
        "insert into exercise_groups (day_id, type, order_index) select id, 'triset', 1 from d",
        other,
    )
    rated = await conn.fetchval(
        "update workout_sessions set average_rpe = 7.5 where id = (select min(id::text)::uuid from workout_sessions "
        "where id <> $1) returning id",
        who["session"],
    )
    await rolled_back(database)
    await conn.execute("delete from workout_plans where id = $1", other)
    await conn.execute("delete from exercises where id = $1", who["exercise"])
    await conn.execute("delete from workout_sessions where id = any($1)", [who["session"], rated])
    ran = await migrated(database)
    assert who["exercise"] not in {row[0] for row in await conn.fetch("select id from exercises")}
    left = [note.message for note in ran.notes if note.message.startswith("Left in the archive")]
    assert len(left) == 1
    assert "1 exercises: their row or day is no longer there" in left[0]
    assert "2 workout_sessions: their row is no longer there" in left[0]
    assert "1 workout_weeks: their plan is no longer in v1" in left[0]
    assert "1 workout_days: their week is not there" in left[0]
    # The group's day may be gone with its exercise or not: either way it is told, beside the one of the other plan.
    there = await conn.fetchval("select exists(select from exercise_groups where id = $1)", made["group"])
    assert f"{1 if there else 2} exercise_groups: their day is not there" in left[0]
    assert await conn.fetchval("select notes from workout_weeks where id = $1", made["extra"]) == "peak"


async def test_rows_that_v1_had_no_place_for(make_database: MakeDatabase, connect: Connect) -> None:
    """A check of v1 refuses them on the way back; they wait in the archive, and come again."""
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    await conn.execute(
        "alter table exercises add constraint short check (length(name) < 30 or plan_id is null), "
        "add column gear text[], add column late integer; update exercises set gear = '{}';"
        "alter table exercises alter gear set not null"
    )
    await migrated(database)
    who = await _athlete(conn)
    async with as_user(database, who["user"]) as app:
        added = await app.fetchval(
            "insert into exercises (day_id, name, muscle_group, sets, order_index, gear, late) "
            "values ($1, $2, 'back', 3, 9, '{bar,NULL}', 7) returning id",
            who["day"],
            "A name that is far too long for v1 to hold it",
        )
        log = await app.fetchval(
            "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) values ($1, $2, 1, 5, 60) "
            "returning id",
            who["session"],
            added,
        )
    ran = await rolled_back(database)
    assert ran.result.figures is not None and ran.result.figures["not_expressible"] == 2
    assert not await conn.fetchval("select exists(select from exercises where id = $1)", added)
    # What v1 has carried over since, the archive cannot know.
    await conn.execute("alter table exercises drop column late, add column later integer")
    await migrated(database)
    row = await conn.fetchrow("select day_id, gear, later from exercises where id = $1", added)
    assert row is not None and tuple(row) == (who["day"], ["bar", None], None)
    assert await conn.fetchval("select reps from exercise_logs where id = $1", log) == 5
