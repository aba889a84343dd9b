"""What users wrote to v2 comes back into v1; what v1 cannot hold is kept and said; the untouched stays to the byte."""

from __future__ import annotations

import re

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import as_user, do_roll_back, migrated, rolled_back, state_of
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from tests.rollback.support import athlete
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.events import Event, StepEvent, StepState
from vagus_tui.journal.state import State, read_state
from vagus_tui.remedies import batches, undo
from vagus_tui.rollback import quick
from vagus_tui.rollback.carry_back import CarryBack
from vagus_tui.rollback.preview import preview
from vagus_tui.sandbox.options import SandboxOptions


async def test_what_is_new_and_changed_comes_back(moved: TestDatabase, connect: Connect) -> None:
    conn = await connect(moved.url)
    who = await athlete(conn)
    before, catalog = await v1_rows(conn), await catalog_fingerprint(conn)
    await migrated(moved)
    async with as_user(moved, who["user"]) as app:
        plan = await app.fetchval(
            "insert into workout_plans (user_id, name, goal, total_weeks, status) values ($1, 'New', 'strength', 3, "
            "'draft') returning id",
            who["user"],
        )
        week = await app.fetchval(
            "insert into workout_weeks (plan_id, week_number, start_date) values ($1, 1, '2026-05-04') returning id",
            plan,
        )
        day = await app.fetchval(
            "insert into workout_days (week_id, day_label, day_number) values ($1, 'Monday', 1) returning id", week
        )
        exercise = await app.fetchval(
            "insert into exercises (day_id, name, muscle_group, sets, target_reps_min, target_reps_max, target_weight, "
            "target_rpe_min, order_index) values ($1, 'Squat', 'quads', 5, 3, 6, 102.5, 8, 1) returning id",
            day,
        )
        session = await app.fetchval(
            "insert into workout_sessions (user_id, day_id, started_at, energy_level) values ($1, $2, now(), 4) "
            "returning id",
            who["user"],
            day,
        )
        log = await app.fetchval(
            "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight, rpe, form_rating) "
            "values ($1, $2, 1, 5, 100, 8.5, 3) returning id",
            session,
            exercise,
        )
        await app.execute(
            "update workout_plans set name = 'Renamed', status = 'completed', total_weeks = 2 where id = $1",
            who["plan"],
        )
        await app.execute("update exercises set name = 'Changed', target_weight = 77.25 where id = $1", who["exercise"])
        await app.execute("update exercise_logs set reps = 99 where id = $1", who["log"])
        await app.execute("update workout_sessions set notes = 'later' where id = $1", who["session"])
    ran = await rolled_back(moved)
    after = await v1_rows(conn)
    touched = {
        "workout_plans": {str(plan), str(who["plan"])},
        "exercises": {str(exercise), str(who["exercise"])},
        "workout_sessions": {str(session), str(who["session"])},
        "exercise_logs": {str(log), str(who["log"])},
    }
    for table, ids in touched.items():
        differing = {k for k in {*before[table], *after[table]} if before[table].get(k) != after[table].get(k)}
        assert differing == ids, table
    assert ran.result.figures is not None
    assert ran.result.figures["carried_back"] == {
        table: {"new": 1, "changed": 1} for table in ("workout_plans", "exercises", "workout_sessions", "exercise_logs")
    }
    row = await conn.fetchrow("select * from workout_plans where id = $1", plan)
    assert row is not None
    assert (row["name"], row["duration_weeks"], row["is_active"]) == ("New", 3, None)
    assert str(row["start_date"]) == "2026-05-04"
    row = await conn.fetchrow("select * from exercises where id = $1", exercise)
    assert row is not None
    assert (row["plan_id"], row["reps_min"], row["reps_max"], row["weight"]) == (plan, 3, 6, 102.5)
    assert (row["day_label"], row["day_of_week"], row["rest_seconds"]) == ("Monday", "1", 90)
    assert await conn.fetchval("select plan_id from workout_sessions where id = $1", session) == plan
    assert await conn.fetchval("select rpe from exercise_logs where id = $1", log) == 8.5
    row = await conn.fetchrow("select * from workout_plans where id = $1", who["plan"])
    assert row is not None and (row["name"], row["is_active"], row["duration_weeks"]) == ("Renamed", False, 2)
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    # And over again: what came back is v1's now, and beside it only what v2 alone could hold is there again.
    await migrated(moved)
    differing = {line.partition(": ")[0] for line in await v2_differences(conn)}
    assert differing == {
        f"exercises {exercise}.target_rpe_min",
        f"workout_sessions {session}.day_id",
        f"workout_sessions {session}.energy_level",
        f"exercise_logs {log}.form_rating",
    }, differing
    await rolled_back(moved)
    assert changes(after, await v1_rows(conn)) == []


async def test_the_proof_sees_what_did_not_arrive(
    moved_database: TestDatabase, moved_conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fault, planted behind the carrying back, has the rollback undone as a whole."""
    conn = moved_conn
    who = await conn.fetchrow(
        "select l.id as log, l.exercise_id as exercise, s.id as session, s.user_id as user from exercise_logs l "
        "join workout_sessions s on s.id = l.session_id order by l.id limit 1"
    )
    assert who is not None
    async with as_user(moved_database, who["user"]) as app:
        added = await app.fetchval(
            "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) values ($1, $2, 90, 5, 60) "
            "returning id",
            who["session"],
            who["exercise"],
        )
        await app.execute("update exercise_logs set reps = 99, notes = null where id = $1", who["log"])
        await app.execute("update workout_sessions set notes = 'later' where id = $1", who["session"])
    await conn.execute("update exercises set name = 'Changed', notes = 'new' where id = $1", who["exercise"])
    # Without the trigger that sets the time of a change, which would give them away.
    quietly = "alter table exercises_v1 disable trigger user; update exercises_v1 set {} where id = '{}'"
    last = "select max(id::text)::uuid from exercise_logs"
    deleted = await conn.fetchval(f"delete from exercise_logs where id = ({last}) returning id")
    again = f"'{deleted}', '{who['session']}', '{who['exercise']}', 91, 5, 60"
    faults = {
        quietly.format("name = 'Other'", who["exercise"]): "1 row of exercises",
        quietly.format("notes = null", who["exercise"]): "1 row of exercises",
        f"update workout_sessions_v1 set notes = null where id = '{who['session']}'": "1 row of workout_sessions",
        f"update exercise_logs_v1 set reps = 98 where id = '{who['log']}'": "1 row of exercise_logs",
        f"update exercise_logs_v1 set reps = 98 where id = '{added}'": "1 row of exercise_logs",
        f"delete from exercise_logs_v1 where id = '{added}'": "1 row of exercise_logs",
        f"delete from exercise_logs_v1 where id = '{who['log']}'": "1 row of exercise_logs",
    }
    whole = CarryBack.apply
    planted = ""

    def faulty(carry: CarryBack, *, deletions: bool) -> list[str]:
        return [*whole(carry, deletions=deletions), planted]

    monkeypatch.setattr(CarryBack, "apply", faulty)
    chosen = {
        f"delete from exercise_logs_v1 where id = '{who['log']}' /* too */": "1 row of exercise_logs",
        "insert into exercise_logs_v1 (id, session_id, exercise_id, set_number, reps, weight) "
        f"values ({again})": "1 row of exercise_logs",
    }
    for planted, seen in (*faults.items(), *chosen.items()):
        ran = await do_roll_back(moved_database, apply_deletions=planted in chosen)
        assert not ran.result.ok and ran.result.exit_status == 3
        assert f"{seen} did not arrive in v1" in ran.result.message, planted
        assert (await state_of(moved_database)).state is State.MIGRATED
    # As little as one that holds its locks for too long.
    planted = "select pg_sleep(1)"
    with monkeypatch.context() as patch:
        patch.setattr(quick, "LIMIT_SECONDS", 0.9)
        ran = await do_roll_back(moved_database)
    assert not ran.result.ok and ran.result.exit_status == 3
    assert re.search(r"The rollback took longer than 1 s, with \d+ changes to carry back", ran.result.message)
    assert (await state_of(moved_database)).state is State.MIGRATED
    planted = "select 1"
    # A row that got another id is another row, and comes back as that.
    renumbered = await conn.fetchval(
        f"update exercise_logs set id = gen_random_uuid() where id = ({last}) returning id"
    )
    # The more there is to carry back, the longer it may take: else there were no way back after some hours.
    monkeypatch.setattr(quick, "LIMIT_SECONDS", 0.0)
    monkeypatch.setattr(quick, "SECONDS_PER_CHANGE", 5.0)
    await rolled_back(moved_database, apply_deletions=True)
    for log, there in ((renumbered, True), (added, True), (deleted, False)):
        assert await conn.fetchval("select exists(select from exercise_logs where id = $1)", log) is there


async def test_a_new_label_and_a_moved_exercise(moved: TestDatabase, connect: Connect) -> None:
    conn = await connect(moved.url)
    who = await athlete(conn)
    before = await v1_rows(conn)
    await migrated(moved)
    day = await conn.fetchval("select day_id from exercises where id = $1", who["exercise"])
    siblings = {str(r[0]) for r in await conn.fetch("select id from exercises where day_id = $1", day)}
    async with as_user(moved, who["user"]) as app:
        week = await app.fetchval("select week_id from workout_days where id = $1", day)
        target = await app.fetchval(
            "insert into workout_days (week_id, day_label) values ($1, 'Elsewhere') returning id", week
        )
        await app.execute("update workout_days set day_label = 'Nice day' where id = $1", day)
        await app.execute("update exercises set day_id = $2 where id = $1", who["exercise"], target)
    await rolled_back(moved)
    after = await v1_rows(conn)
    labels = {str(r["id"]): r["day_label"] for r in await conn.fetch("select id, day_label from exercises")}
    assert labels.pop(str(who["exercise"])) == "Elsewhere"
    assert {labels[key] for key in siblings - {str(who["exercise"])}} <= {"Nice day"}
    differing = {k for k in before["exercises"] if before["exercises"][k] != after["exercises"][k]}
    assert differing == siblings
    for table in ("workout_plans", "workout_sessions", "exercise_logs"):
        assert before[table] == after[table]
    await migrated(moved)
    assert await v2_differences(conn) == []
    label = "select d.day_label from exercises e join workout_days d on d.id = e.day_id where e.id = $1"
    assert await conn.fetchval(label, who["exercise"]) == "Elsewhere"


@pytest.mark.parametrize("applied", [False, True])
async def test_deletions_are_a_choice(applied: bool, moved: TestDatabase, connect: Connect) -> None:
    conn = await connect(moved.url)
    who = await athlete(conn)
    before = await v1_rows(conn)
    below = {
        "exercises": "select id::text from exercises where plan_id = $1",
        "exercise_logs": "select l.id::text from exercise_logs l join exercises e on e.id = l.exercise_id "
        "where e.plan_id = $1",
        "workout_sessions": "select id::text from workout_sessions where plan_id = $1",
    }
    gone = {table: {row[0] for row in await conn.fetch(query, who["plan"])} for table, query in below.items()}
    await migrated(moved)
    async with as_user(moved, who["user"]) as app:
        assert await app.execute("delete from workout_plans where id = $1", who["plan"]) == "DELETE 1"
    # At a stroke, past every row trigger.
    gone["exercise_logs"] = set(before["exercise_logs"])
    await conn.execute("truncate exercise_logs")
    # And one of them saved anew, as an app does that stores a session's sets all at once.
    again = await conn.fetchrow(
        "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) "
        "select l.session_id, l.exercise_id, l.set_number, 77, 7 from exercise_logs_v1 l "
        "join exercises e on e.id = l.exercise_id join workout_sessions s on s.id = l.session_id limit 1 "
        "returning id::text, session_id, exercise_id, set_number"
    )
    assert again is not None
    seen = await preview(conn, await read_state(conn))
    assert seen.replaced == 1
    deleted = {item.table: item.deleted for item in seen.carried}
    assert deleted["workout_plans"] == 1 and deleted["exercise_logs"] == len(gone["exercise_logs"])
    ran = await rolled_back(moved, apply_deletions=applied)
    assert ran.result.figures is not None
    assert ran.result.figures["deleted_in_v2"]["exercises"] == len(gone["exercises"])
    after = await v1_rows(conn)
    assert after["exercise_logs"].pop(again["id"])
    told = any("of the deleted sets has another in their place" in note.message for note in ran.notes)
    assert told is not applied, ran.notes
    if not applied:
        old = await conn.fetchval("select row_id from vagus_migration.quarantine where remedy = 'sets-replaced-in-v2'")
        assert before["exercise_logs"].pop(old) and changes(before, after) == []
        batch = (await batches(conn))[0]
        assert (batch.rows, batch.operator) == (1, "tester")
        # v1 keeps every set apart from the others, so the old one comes back only where the new one is not.
        await conn.execute("delete from exercise_logs where id = $1::uuid", again["id"])
        await undo(conn, batch.id, "tester")
        assert old in (await v1_rows(conn))["exercise_logs"]
        return
    assert before["workout_plans"].keys() - after["workout_plans"].keys() == {str(who["plan"])}
    for table, ids in gone.items():
        assert ids <= before[table].keys() - after[table].keys(), table
    assert before["workout_sessions"].keys() - after["workout_sessions"].keys() == gone["workout_sessions"]


async def test_values_that_were_only_normalised_stay(make_database: MakeDatabase, connect: Connect) -> None:
    """Goal, week count, rest and label as v1 spelled them, though the rows were changed otherwise."""
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    await conn.execute("alter table workout_plans disable trigger user; alter table exercises disable trigger user")
    await conn.execute("update workout_plans set goal = 'Get  BIG', duration_weeks = null, is_template = null")
    await conn.execute(
        "update exercises set rest_seconds = null, weight = 20.125, day_label = '  legs ', day_of_week = ''"
    )
    await conn.execute("alter table workout_plans enable trigger user; alter table exercises enable trigger user")
    stamps = {r["id"]: r["updated_at"] for r in await conn.fetch("select id, updated_at from workout_plans")}
    await migrated(database)
    await conn.execute("update workout_plans set name = 'new name', updated_at = '2026-01-02'")
    await conn.execute("update exercises set notes = 'noted'")
    await rolled_back(database)
    rows = await conn.fetch("select distinct name, goal, duration_weeks, is_template from workout_plans")
    assert [tuple(row) for row in rows] == [("new name", "Get  BIG", None, None)]
    rows = await conn.fetch("select distinct notes, rest_seconds, weight::text, day_label, day_of_week from exercises")
    assert [tuple(row) for row in rows] == [("noted", None, "20.125", "  legs ", "")]
    assert stamps


async def test_v1s_own_triggers_do_not_touch_what_comes_back(moved: TestDatabase, connect: Connect) -> None:
    conn = await connect(moved.url)
    await conn.execute(
        "create function shout() returns trigger language plpgsql as "
        "$$ begin new.name := upper(new.name) || '!'; return new; end $$;"
        "create trigger shout before insert or update on exercises for each row execute function shout();"
        "create trigger silent before insert or update on exercises for each row execute function shout();"
        "create trigger late before update on exercise_logs for each row execute function shout();"
        "alter table exercises disable trigger silent; alter table exercises enable always trigger shout"
    )
    who = await athlete(conn)
    catalog = await catalog_fingerprint(conn)
    await migrated(moved)
    async with as_user(moved, who["user"]) as app:
        await app.execute("update exercises set name = 'quiet' where id = $1", who["exercise"])
        await app.execute("update exercise_logs set reps = 7 where id = $1", who["log"])
        stamp = await app.fetchval("select updated_at from exercises where id = $1", who["exercise"])
    await rolled_back(moved)
    row = await conn.fetchrow("select name, updated_at from exercises where id = $1", who["exercise"])
    # v2 has the trigger too, so it was heard once, when it was written, and not again on the way back.
    assert row is not None and tuple(row) == ("QUIET!", stamp)
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_somebody_in_the_way_of_a_rollback_is_named(moved: TestDatabase, connect: Connect) -> None:
    conn = await connect(moved.url)
    await migrated(moved)
    catalog = await catalog_fingerprint(conn)
    # In the way of the one transaction, of the look at the catalog, and of the comparison before it.
    whole = "lock table workout_days in access exclusive mode"
    for way, when in (("select count(*) from exercises", ""), (whole, ""), (whole, "compare-begin")):
        async with moved.connect() as other, other.transaction():
            pid = await other.fetchval("select pg_backend_pid()")

            async def stand(event: Event, _: Control, way: str = way, when: str = when) -> None:
                if isinstance(event, StepEvent) and event.id == when and event.state is StepState.STARTED:
                    await other.execute(way)

            if not when:
                await other.execute(way)
            ran = await do_roll_back(moved, lock_attempts=2, on_event=stand)
            assert not ran.result.ok and f"PID {pid}" in ran.result.message, ran.result
            assert not await conn.fetchval("select exists(select from system_maintenance where enabled)")
    assert (await state_of(moved)).state is State.MIGRATED
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    await rolled_back(moved)


async def test_changes_to_repeated_exercises_are_said(moved: TestDatabase, connect: Connect) -> None:
    """A copy in a later week has no row in v1: what was changed in it stays in the archive, and is counted."""
    conn = await connect(moved.url)
    rows = await v1_rows(conn)
    await migrated(moved, repeat_exercises=True)
    copy = await conn.fetchval("select id from exercises where id not in (select id from exercises_v1) limit 1")
    await conn.execute("update exercises set name = 'only here' where id = $1", copy)
    log = await conn.fetchrow(
        "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) "
        "select s.id, $1, 77, 5, 20 from workout_sessions s limit 1 returning id, "
        "(select e.id from exercises_v1 e join workout_days d on true join workout_weeks w on w.id = d.week_id "
        " join exercises x on x.day_id = d.id where x.id = $1 "
        " and md5(e.id::text || ':' || w.week_number)::uuid = $1 limit 1) as original",
        copy,
    )
    assert log is not None and log["original"] is not None
    ran = await rolled_back(moved)
    assert ran.result.figures is not None and ran.result.figures["not_expressible"] == 1
    assert await conn.fetchval("select exercise_id from exercise_logs where id = $1", log["id"]) == log["original"]
    await conn.execute("delete from exercise_logs where id = $1", log["id"])
    assert changes(rows, await v1_rows(conn)) == []


async def test_chosen_preferences_come_back(make_database: MakeDatabase, connect: Connect) -> None:
    """Rows per category: what users chose in v2 is not undone by the rollback."""
    database = await make_database(SandboxOptions(plans=20, clean=True, notification_preferences="rows"))
    conn = await connect(database.url)
    await conn.execute(
        "insert into notification_preferences (user_id, category, enabled) "
        "select u.id, c, md5(u.id::text || c) < '8' from auth.users u, unnest(array['prs', 'weekly']) c "
        "where u.id::text < 'a'"
    )
    row = await conn.fetchrow("select * from notification_preferences order by id limit 1")
    assert row is not None
    others = await conn.fetch("select * from notification_preferences where id <> $1 order by id", row["id"])
    await migrated(database)
    async with as_user(database, row["user_id"]) as app:
        await app.execute(
            "update notification_preferences set preferences = preferences || "
            "jsonb_build_object($1::text, $2::boolean, 'brand new', true) where user_id = $3",
            row["category"],
            not row["enabled"],
            row["user_id"],
        )
    await rolled_back(database)
    found = await conn.fetch("select * from notification_preferences where category <> 'brand new' order by id")
    assert [r for r in found if r["id"] != row["id"]] == others
    assert [r["enabled"] for r in found if r["id"] == row["id"]] == [not row["enabled"]]
    new = await conn.fetch("select user_id, enabled from notification_preferences where category = 'brand new'")
    assert [tuple(r) for r in new] == [(row["user_id"], True)]
