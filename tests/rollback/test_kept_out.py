"""What v1 cannot hold of what was written to v2: it stays out of v1, is kept in the archive, and is said."""

from __future__ import annotations

from datetime import datetime

from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.migration.support import as_user, migrated, rolled_back
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from tests.rollback.support import athlete
from vagus_tui.journal.state import read_state
from vagus_tui.rollback.preview import preview


async def test_what_v1_cannot_hold_is_kept_and_said(moved: TestDatabase, connect: Connect) -> None:
    conn = await connect(moved.url)
    # The view would hold the columns' types.
    await conn.execute("drop view active_plans; update workout_plans set name = left(name, 30)")
    await conn.execute(
        "alter table workout_sessions add constraint planned check (plan_id is not null) not valid;"
        "alter table workout_plans alter column name type varchar(30);"
        "alter table workout_plans add constraint short check (duration_weeks < 20);"
        "alter table workout_plans alter column is_active set default true, alter column is_active set not null;"
        "update exercises set notes = '' where notes is null;"
        "alter table exercises alter column notes set default '', alter column notes set not null;"
        "alter table exercises alter column weight type numeric(5,2)"
    )
    who = await athlete(conn)
    before = await v1_rows(conn)
    await migrated(moved)
    long_name = "a name that is longer than v1 has room for"
    async with as_user(moved, who["user"]) as app:
        await app.execute("insert into workout_sessions (user_id, started_at) values ($1, now())", who["user"])
        await app.execute(
            "update workout_plans set name = $2, total_weeks = 40, status = 'draft' where id = $1",
            who["plan"],
            long_name,
        )
        await app.execute(
            "update exercises set notes = null, target_weight = 5000, sets = 9 where id = $1", who["exercise"]
        )
        await app.execute(
            "insert into workout_plans (user_id, name, total_weeks, status) values ($1, $2, 3, 'draft'), "
            "($1, 'ok', 50, 'active'), ($1, 'fits', 5, 'draft')",
            who["user"],
            long_name,
        )
        week = await app.fetchval("select id from workout_weeks where plan_id = $1 limit 1", who["plan"])
        await app.execute("update workout_weeks set deload = true, notes = 'easy' where id = $1", week)
        await app.execute(
            "insert into exercise_groups (day_id, type, order_index) select id, 'superset', 1 from workout_days "
            "where week_id = $1 limit 1",
            week,
        )
    ran = await rolled_back(moved)
    figures = ran.result.figures
    assert figures is not None
    # The free session; the plan of too long a name and that of too many weeks.
    assert figures["not_expressible"] == 3
    assert figures["only_in_archive"] == {"workout_weeks": 1, "exercise_groups": 1}
    # A changed plan (name, weeks) and a changed exercise (weight, notes): the values that v1 refuses stay behind.
    assert figures["kept_values"] == 4
    assert any("archive" in note.message for note in ran.notes if note.level == "warning")
    after = await v1_rows(conn)
    assert len(after["workout_plans"]) == len(before["workout_plans"]) + 1
    assert before["workout_sessions"] == after["workout_sessions"]
    row = await conn.fetchrow("select * from workout_plans where name = 'fits'")
    assert row is not None and row["duration_weeks"] == 5 and row["is_active"] is False
    row = await conn.fetchrow("select sets, weight < 1000 as old, notes from exercises where id = $1", who["exercise"])
    assert row is not None and (row["sets"], row["notes"]) == (9, "") and row["old"] is not False
    archive = figures["archive"]
    assert await conn.fetchval(f"select count(*) from {archive}.workout_plans where name = $1", long_name) == 2
    assert await conn.fetchval(f"select count(*) from {archive}.exercise_groups") == 1


async def test_below_what_v1_cannot_hold(moved: TestDatabase, connect: Connect) -> None:
    """A plan that v1 refuses takes what hangs on it along into the archive; the rollback itself goes through."""
    conn = await connect(moved.url)
    await conn.execute("alter table workout_plans add constraint short check (duration_weeks < 20)")
    rows = await v1_rows(conn)
    user = await conn.fetchval("select user_id from workout_plans limit 1")
    await migrated(moved)
    await conn.execute(
        "with p as (insert into workout_plans (user_id, name, total_weeks) values ($1, 'long', 50) returning id), "
        "w as (insert into workout_weeks (plan_id, week_number) select id, 1 from p returning id), "
        "d as (insert into workout_days (week_id, day_label) select id, 'A' from w returning id), "
        "e as (insert into exercises (day_id, name, muscle_group, sets, order_index) "
        "  select id, 'x', 'back', 3, 1 from d returning id), "
        "s as (insert into workout_sessions (user_id, day_id, started_at) select $1, id, now() from d returning id) "
        "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) select s.id, e.id, 1, 5, 5 "
        "from s, e",
        user,
    )
    ran = await rolled_back(moved)
    assert ran.result.figures is not None and ran.result.figures["not_expressible"] == 4
    assert changes(rows, await v1_rows(conn)) == []


async def test_an_enum_of_v1s(moved: TestDatabase, connect: Connect) -> None:
    """v1's goal is an enum that does not know v2's goals: views go on, and the rollback keeps what was."""
    conn = await connect(moved.url)
    await conn.execute("drop view active_plans; update workout_plans set goal = 'Strength'")
    await conn.execute(
        "create type aim as enum ('Strength', 'hypertrophy'); "
        "alter table workout_plans alter column goal type aim using goal::aim; "
        "create view goals as select id, goal from workout_plans"
    )
    rows, catalog = await v1_rows(conn), await catalog_fingerprint(conn)
    first, second = (row[0] for row in await conn.fetch("select id from workout_plans order by id limit 2"))
    await migrated(moved)
    assert await v2_differences(conn) == []
    await conn.fetch("select * from goals")
    await conn.execute("update workout_plans set goal = 'endurance' where id = $1", first)
    await conn.execute("update workout_plans set goal = 'hypertrophy' where id = $1", second)
    await rolled_back(moved)
    goals = {row[0]: row[1] for row in await conn.fetch("select id, goal::text from workout_plans")}
    assert (goals.pop(first), goals.pop(second)) == ("Strength", "hypertrophy")
    assert set(goals.values()) == {"Strength"}
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert len(rows["workout_plans"]) == len(goals) + 2


async def test_domains_of_v1s(moved: TestDatabase, connect: Connect) -> None:
    """v1's columns are of domains, with rules that v2 does not have: what they refuse stays behind."""
    conn = await connect(moved.url)
    await conn.execute("drop view active_plans")
    await conn.execute(
        "create domain owner as uuid; create domain given as integer not null;"
        "create domain label as varchar(40) check (value <> 'VALUE');"
        "create domain kilos as numeric(7,3) check (value >= 0); create domain load as kilos check (value < 500);"
        "create domain whole as integer; create domain moment as timestamptz; create domain flag as boolean;"
        "alter table workout_plans alter column created_by type owner,"
        "  alter column name type label using left(name, 40),"
        "  alter column is_active type flag, alter column duration_weeks type whole;"
        "alter table exercises alter column weight type load using least(weight, 400), alter column sets type whole;"
        "alter table workout_sessions alter column started_at type moment;"
        "alter table exercise_logs alter column weight type kilos, alter column reps type given;"
        "create view loads as select id, weight from exercises"
    )
    catalog = await catalog_fingerprint(conn)
    who = await athlete(conn)
    name = await conn.fetchval("select name from workout_plans where id = $1", who["plan"])
    await migrated(moved)
    assert await v2_differences(conn) == []
    await conn.execute("update workout_plans set name = 'VALUE' where id = $1", who["plan"])
    await conn.execute("update exercises set target_weight = 600, sets = 9 where id = $1", who["exercise"])
    await conn.execute("insert into workout_plans (user_id, name, total_weeks) values ($1, 'VALUE', 3)", who["user"])
    await conn.fetch("select * from loads")
    ran = await rolled_back(moved)
    assert ran.result.figures is not None
    assert (ran.result.figures["not_expressible"], ran.result.figures["kept_values"]) == (1, 2)
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert await conn.fetchval("select name from workout_plans where id = $1", who["plan"]) == name
    row = await conn.fetchrow("select sets, weight from exercises where id = $1", who["exercise"])
    assert row is not None and row["sets"] == 9 and (row["weight"] or 0) < 500


async def test_whole_numbers_of_v1s(moved: TestDatabase, connect: Connect) -> None:
    """v1's columns hold whole numbers where v2's hold fractions, and NaN: nothing is rounded without a word."""
    conn = await connect(moved.url)
    await conn.execute(
        "alter table exercises alter column weight type integer using 60;"
        "alter table exercise_logs alter column weight type bigint using 40, alter column rpe type integer using 8"
    )
    who = await athlete(conn)
    await migrated(moved)
    other = await conn.fetchval("select id from exercises where id <> $1 order by id limit 1", who["exercise"])
    await conn.execute("update exercises set target_weight = 62 where id = $1", who["exercise"])
    await conn.execute("update exercises set target_weight = 'NaN' where id = $1", other)
    await conn.execute("update exercise_logs set weight = 42.25, rpe = 9 where id = $1", who["log"])
    ran = await rolled_back(moved)
    assert ran.result.figures is not None and ran.result.figures["kept_values"] == 2
    weights = {row[0]: row[1] for row in await conn.fetch("select id, weight from exercises")}
    assert (weights.pop(who["exercise"]), set(weights.values())) == (62, {60})
    row = await conn.fetchrow("select weight, rpe from exercise_logs where id = $1", who["log"])
    assert row is not None and tuple(row) == (40, 9)


async def test_days_of_v1s(moved: TestDatabase, connect: Connect) -> None:
    """v1's column holds days where v2's holds times: of which rows the time does not come back is said beforehand."""
    conn = await connect(moved.url)
    await conn.execute("alter table workout_sessions alter completed_at type date using date '2026-03-01'")
    who = await athlete(conn)
    await migrated(moved)
    state = await read_state(conn)
    assert (await preview(conn, state)).days == ()
    await conn.execute("update workout_sessions set notes = 'the same day'")
    await conn.execute("update workout_sessions set completed_at = '2026-03-01 18:30Z' where id = $1", who["session"])
    # At midnight there is no time to lose, and of the same day nothing is written.
    assert (await preview(conn, state)).days == ()
    new = "insert into workout_sessions (user_id, started_at, completed_at) values ($1, now(), $2::timestamptz)"
    for moment in ("2026-03-02 00:00Z", "2026-03-02 18:30Z", "2026-03-03 18:30Z"):
        await conn.execute(new, who["user"], datetime.fromisoformat(moment))
    told = (await preview(conn, state)).told
    assert told == [
        "workout_sessions.completed_at holds days in v1: of 2 rows the time of day stays in the archive alone."
    ]
    ran = await rolled_back(moved)
    assert ran.result.figures is not None
    after = "from {}.workout_sessions where completed_at > '{}'".format
    days = await conn.fetch(f"select completed_at::text {after('public', '2026-03-01')} order by 1")
    assert [row[0] for row in days] == ["2026-03-02", "2026-03-02", "2026-03-03"]
    archive = ran.result.figures["archive"]
    assert await conn.fetchval(f"select count(*) {after(archive, '2026-03-02 12:00Z')}") == 2
