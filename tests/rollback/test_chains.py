"""What v1 cannot hold beside what other rows keep: chains, circles, conditions, ranges, references to each other."""

from __future__ import annotations

from typing import Any

from tests.conftest import Connect, MakeDatabase
from tests.migration.support import migrated, rolled_back
from tests.oracle import catalog_fingerprint, changes
from vagus_tui.database.connection import Connection
from vagus_tui.journal.state import read_state
from vagus_tui.rollback.around import Around
from vagus_tui.rollback.kept import read_kept
from vagus_tui.rollback.preview import preview
from vagus_tui.rollback.quick_plan import migrated_run, quick_steps
from vagus_tui.sandbox.options import SandboxOptions

V1 = """
alter table workout_plans add column code text unique, add column seat integer, add column slot int4range,
  add column rank integer, add column marked text generated always as (lower(name) || seat::text) stored,
  add column parent uuid references workout_plans,
  add column latest uuid constraint latest references workout_sessions deferrable initially deferred,
  add column load integer, add column ceiling integer, add column pin integer;
update workout_plans p set code = chr(64 + n), seat = n, pin = nullif(n, 1), slot = int4range(n * 10, n * 10 + 5),
  rank = n, load = 1, ceiling = 10
  from (select id, row_number() over (order by id)::integer as n from workout_plans) o where o.id = p.id;
create unique index marks on workout_plans (marked);
create unique index seats on workout_plans (seat) where is_active;
alter table workout_plans add constraint slots exclude using gist (slot with &&),
  add constraint ranks unique (rank) deferrable initially deferred, add constraint loaded check (load <= ceiling),
  add constraint strong check (load < 50 or rank > 50),
  add constraint planned check (duration_weeks < 50);
comment on constraint slots on workout_plans is 'one at a time';
"""

LATE = """
update workout_plans set name = 'Old' where description in ('Plan P', 'Plan Q');
alter table workout_plans add column extra integer;
update workout_plans set extra = 1 where description <> 'Plan P';
alter table workout_plans alter column extra set default 2;
alter table workout_plans add constraint named check (name <> 'Old' or duration_weeks is null) not valid;
comment on constraint named on workout_plans is 'of late';
"""
"""What old rows do not meet."""

OVERRIDES = {"carried-unique": "v1 alone has them"}


async def plans_of(conn: Connection) -> dict[str, Any]:
    """The plans by their first code, which their description repeats."""
    rows = await conn.fetch("select * from workout_plans where description like 'Plan %' order by id")
    return {row["description"][5:]: row for row in rows}


async def test_chains(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    await conn.execute(V1)
    await conn.execute("update workout_plans set description = 'Plan ' || code, is_active = true")
    await conn.execute(LATE)
    if conn.get_server_version().major >= 15:
        await conn.execute(
            "create unique index pins on workout_plans (pin) nulls not distinct;"
            "alter table workout_plans alter pin set default 1000 + floor(random() * 1000000)"
        )
    if conn.get_server_version().major >= 18:
        await conn.execute(
            "alter table workout_plans add constraint extras not null extra not valid, alter name drop not null, "
            "add constraint always_named not null name not valid"
        )
    catalog = await catalog_fingerprint(conn)
    await migrated(database, overrides=OVERRIDES)

    async def put(plan: str, what: str) -> None:
        done = await conn.execute(f"update workout_plans set {what} where description = 'Plan ' || $1", plan)
        assert done == "UPDATE 1"

    user = await conn.fetchval("select user_id from workout_plans limit 1")
    # A is gone from v2 and stays in v1: B cannot have its code, so C not B's, and a new plan not C's.
    await conn.execute("delete from workout_plans where description = 'Plan A'")
    await put("B", "code = 'A', pin = null")
    await put("C", "code = 'B'")
    new = await conn.fetchval(
        "insert into workout_plans (user_id, name, total_weeks, code) values ($1, 'New', 1, 'C') returning id", user
    )
    # One that refers to it cannot come either, nor can one that is changed to.
    child = await conn.fetchval(
        "insert into workout_plans (user_id, name, total_weeks, parent) values ($1, 'Child', 1, $2) returning id",
        *(user, new),
    )
    await conn.execute("update workout_plans set parent = $1 where description = 'Plan D'", child)
    # A circle of three, at once under a key that v2 does not know.
    for plan, seat in {"E": 6, "F": 7, "G": 5}.items():
        await put(plan, f"code = 'was {plan}', seat = {seat}, slot = int4range({seat}0, {seat}5), rank = {seat}")
    await put("E", "code = 'F'")
    await put("F", "code = 'G'")
    await put("G", "code = 'E'")
    # Two want the same where v2 has no rule: the seat of one that is done counts no longer.
    await put("H", "seat = 100, slot = '[1000,1010]', rank = 100, load = 60, ceiling = 90")
    await put("I", "seat = 100, slot = '[1005,1006]', rank = 100, load = 60, ceiling = 90")
    await put("J", "seat = 100, status = 'completed'")
    # Whose rank does not come back may not have the load that needs it.
    await put("K", "load = 20, ceiling = 25, code = 'other'")
    await put("L", "ceiling = 1, load = 0, slot = '[80,81]'")
    # What v1 works out of two values is taken: neither comes.
    await put("N", "name = 'Twin', seat = 200, status = 'completed'")
    await put("O", "name = 'Twin', seat = 200, status = 'completed'")
    # Two new ones that refer to each other's, and to a session that is newer than its plan.
    pair = [
        await conn.fetchval(
            "insert into workout_plans (user_id, name, total_weeks, code) values ($1, 'Pair', 1, $2) returning id",
            *(user, code),
        )
        for code in ("one", "two")
    ]
    session = await conn.fetchval(
        "insert into workout_sessions (user_id, started_at) values ($1, now()) returning id", user
    )
    await conn.execute("update workout_plans set parent = $2, latest = $3 where id = $1", pair[0], pair[1], session)
    await conn.execute("update workout_plans set parent = $2 where id = $1", pair[1], pair[0])
    await conn.execute(
        "update workout_plans set parent = $1, latest = $2 where description = 'Plan M'", pair[0], session
    )
    # Rows that do not meet what only new ones have to.
    await put("Q", "seat = 300")
    wanted = await plans_of(conn)

    told = await preview(conn, await read_state(conn))
    assert len(told.kept_out) == 5 and "workout_plans" in told.kept_out[0], told
    ran = await rolled_back(database)
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    found = await plans_of(conn)
    assert [found[plan]["code"] for plan in "ABCD"] == ["A", "B", "C", "D"]
    assert found["B"]["pin"] == (2 if conn.get_server_version().major >= 15 else None)
    assert found["D"]["parent"] is None
    ids = {row["id"] for row in await conn.fetch("select id from workout_plans")}
    assert not {new, child} & ids and set(pair) <= ids
    assert [found[plan]["code"] for plan in "EFG"] == ["F", "G", "E"]
    for name in ("seat", "slot", "rank"):
        assert [found[plan][name] for plan in "EFG"] == [wanted[plan][name] for plan in "EFG"], name
    assert sorted(found[plan]["rank"] for plan in "HI") in ([8, 100], [9, 100])
    assert sorted(found[plan]["seat"] for plan in "HI") in ([8, 100], [9, 100])
    assert [found[p]["load"] for p in sorted("HI", key=lambda p: found[p]["rank"])] == [1, 60]
    assert found["J"]["seat"] == 100 and found["J"]["is_active"] is False
    assert (found["K"]["load"], found["K"]["ceiling"], found["K"]["code"]) == (20, 25, "other")
    assert (found["L"]["load"], found["L"]["ceiling"]) == (0, 1)
    assert found["M"]["parent"] == pair[0] and found["M"]["latest"] == session
    assert (found["Q"]["name"], found["Q"]["seat"]) == ("Old", 300)
    twins = sorted((found[plan]["name"] == "Twin", found[plan]["seat"]) for plan in "NO")
    assert twins[1] == (True, 200) and twins[0] in ((False, 14), (False, 15))
    back = await conn.fetch("select id, parent, latest from workout_plans where id = any($1) order by name", pair)
    assert {row["id"]: row["parent"] for row in back} == {pair[0]: pair[1], pair[1]: pair[0]}
    assert ran.result.figures is not None and ran.result.figures["not_expressible"] >= 2
    assert any("kept_out_of_v1 of the archive names them: workout_plans " in note.message for note in ran.notes)
    archive = ran.result.figures["archive"]
    assert await conn.fetchval(f"select count(*) from {archive}.workout_plans where id = any($1)", [new, child]) == 2
    named = await conn.fetch(f"select * from {archive}.kept_out_of_v1")
    columns = {row["row_id"]: row["columns"] for row in named if row["table_name"] == "workout_plans"}
    assert columns[str(new)] == ["code"] and columns[str(child)] == ["parent"]
    assert (columns[str(found["C"]["id"])], columns[str(found["D"]["id"])]) == (["code"], ["parent"])
    assert "name" in {*columns.get(str(found["N"]["id"]), ()), *columns.get(str(found["O"]["id"]), ())}


async def looks(conn: Connection) -> int:
    """How often the touched plans are gone through until nothing more is to be marked."""
    run, survey = await migrated_run(conn, await read_state(conn))
    _, carry = quick_steps(Around(survey), run, "nowhere", await read_kept(conn, survey), deletions=True, looked=None)
    transaction = conn.transaction()
    await transaction.start()
    for statement in carry.collect(deletions=True):
        await conn.execute(statement)
    counted = await conn.fetchval(
        "select seq_scan from pg_stat_xact_all_tables where relid = 'pg_temp.vagus_before_workout_plans'::regclass"
    )
    await transaction.rollback()
    return int(counted)


async def test_what_belongs_to_a_deleted_row(make_database: MakeDatabase, connect: Connect) -> None:
    """A row that v1 cannot move to where it is in v2 stays where it was, and so does what it belongs to there."""
    database = await make_database(SandboxOptions(plans=60, clean=True))
    conn = await connect(database.url)
    await conn.execute(
        "alter table workout_plans add column code text unique, "
        "add constraint known check (name <> 'Secret' or duration_weeks is null);"
        "update workout_plans set code = id::text"
    )
    await migrated(database, overrides=OVERRIDES)
    moved = await conn.fetchrow(
        "select e.id, w.plan_id, p.user_id from exercises e join workout_days d on d.id = e.day_id "
        "join workout_weeks w on w.id = d.week_id join workout_plans p on p.id = w.plan_id order by 1 limit 1"
    )
    assert moved is not None
    plan = await conn.fetchval(
        "insert into workout_plans (user_id, name, total_weeks) values ($1, 'Secret', 1) returning id",
        moved["user_id"],
    )
    week = await conn.fetchval("insert into workout_weeks (plan_id, week_number) values ($1, 1) returning id", plan)
    day = await conn.fetchval("insert into workout_days (week_id, day_label) values ($1, 'Monday') returning id", week)
    await conn.execute("update exercises set day_id = $1 where id = $2", day, moved["id"])
    await conn.execute("delete from workout_plans where id = $1", moved["plan_id"])
    # Its code is free in v2, and not in v1, where it stays; and so on, from each plan to the next.
    done = await conn.execute(
        "update workout_plans p set code = o.wanted from (select id, lag(code, 1, $1) over (order by id) as wanted "
        "from workout_plans where code is not null) o where o.id = p.id",
        str(moved["plan_id"]),
    )
    assert done == "UPDATE 59"
    assert await looks(conn) < 10
    left = await conn.fetchval("select count(*) from exercises")
    ran = await rolled_back(database, apply_deletions=True)
    assert any("1 of the rows deleted in v2 stay in v1" in note.message for note in ran.notes), ran.notes
    assert await conn.fetchval("select count(*) from workout_plans where code <> id::text") == 0
    assert await conn.fetchval("select plan_id from exercises where id = $1", moved["id"]) == moved["plan_id"]
    assert await conn.fetchval("select count(*) from exercises") == left
