"""Everything that points at v1 works against v2 after the cut-over, and is as it was after a rollback."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.dependents_of_v1 import FOLLOWING, STUCK
from tests.migration.support import as_user, do_migrate, migrated, rolled_back, settings_for
from tests.migration.test_plan import psql
from tests.oracle import OURS, catalog_fingerprint, changes, v1_rows, v2_differences
from tests.oracle_mapping import V1_TABLES
from tests.rollback.support import backed_up, rolled_back_from
from vagus_tui.checks.base import Context
from vagus_tui.cleanup.kept import hanging_on, read_remains
from vagus_tui.cleanup.run import drop_step
from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.dependents import Fate
from vagus_tui.errors import RefusedError
from vagus_tui.events import CheckEvent, Status
from vagus_tui.journal.state import read_state
from vagus_tui.migration.dependent_gates import dependents_of
from vagus_tui.migration.gates import gates, override_gates, refusal
from vagus_tui.migration.plan import plan_migration
from vagus_tui.rollback.quick_plan import plan_rollback
from vagus_tui.sandbox.options import SandboxOptions

CLEAN = SandboxOptions(plans=20, clean=True)


async def context_of(database: TestDatabase, conn: Connection, **values: Any) -> Context:
    settings = settings_for(database, **values)
    return Context(Database(settings), conn, settings, await read_state(conn))


async def gates_of(database: TestDatabase, conn: Connection) -> dict[str, CheckEvent]:
    """The gates about v1's surroundings, measured."""
    context = await context_of(database, conn)
    return {event.id: event async for event in gates(context) if event.id.startswith(("dependent-", "v1-plain"))}


async def everything(conn: Connection) -> dict[str, dict[str, Any]]:
    """All that the catalog says of both schemas, publications and statistics, and what materialized views hold."""
    found = {f"public {kind}": names for kind, names in (await catalog_fingerprint(conn)).items()}
    found |= {f"reports {kind}": names for kind, names in (await catalog_fingerprint(conn, "reports")).items()}
    rows = await conn.fetch(
        "select s.stxname as key, c.relname, s.stxkind::text, s.stxkeys::text from pg_statistic_ext s "
        "join pg_class c on c.oid = s.stxrelid "
        "where s.stxnamespace in ('public'::regnamespace, 'reports'::regnamespace)"
    )
    found["statistics"] = {row["key"]: tuple(row.values())[1:] for row in rows}
    rows = await conn.fetch(
        "select c.relname || '.' || a.attname as key, nullif(a.attstattarget, -1) from pg_attribute a "
        "join pg_class c on c.oid = a.attrelid where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'"
    )
    found["targets"] = {row["key"]: row[1] for row in rows if not OURS.search(row["key"])}
    for name in ("reports.totals", "public.days_trained", "public.of_a_view"):
        found[name] = {str(row[0]): row[0] for row in await conn.fetch(f"select t::text from {name} t")}
    rows = await conn.fetch(
        "select oid::regclass::text as key, relispopulated from pg_class where relkind = 'm' "
        "and relnamespace = any(array['public', 'reports']::regnamespace[])"
    )
    found["populated"] = {row["key"]: row[1] for row in rows}
    return found


@pytest.fixture
async def surrounded(make_database: MakeDatabase) -> TestDatabase:
    """A clean v1 with one of everything around it."""
    database = await make_database(CLEAN)
    async with database.connect() as conn:
        invoker = "with (security_invoker = true)" if conn.get_server_version().major >= 15 else ""
        await conn.execute(FOLLOWING.replace("@INVOKER@", invoker))
    return database


VIEWS = ("names", "plan_sizes", "barred", "big_plans", "as_json", "of_totals", "reports.totals", "of_a_view")


async def read_all(conn: Connection) -> dict[str, Any]:
    """What the views and functions say, and what users see in a table with policies."""
    found: dict[str, Any] = {}
    for view in VIEWS:
        found[view] = Counter(tuple(row) for row in await conn.fetch(f"select * from {view}"))
    plans = await conn.fetch(
        "select id, count_plans(user_id) as n, coalesce(weeks_of(id), 4) as weeks, user_of(id) as whose, "
        "array(select exercises_of(id) order by 1) as exercises from names order by id"
    )
    found["functions"] = [tuple(row) for row in plans]
    return found


async def seen_by(database: TestDatabase, user: Any) -> list[Any]:
    async with as_user(database, user) as app:
        return [tuple(row) for row in await app.fetch("select id, exercise_id from reviews order by id")]


async def test_all_of_it_follows_and_all_of_it_comes_back(surrounded: TestDatabase, connect: Connect) -> None:
    conn = await connect(surrounded.url)
    found = await dependents_of(await context_of(surrounded, conn))
    assert [(one.title, one.reason) for one in found if one.fate in (Fate.PERSON, Fate.UNDECIDED)] == []
    [names] = [one for one in found if one.name == "names"]
    assert names.reason.endswith("nothing can be inserted through it, for v2 needs total_weeks too")
    before, rows, said = await everything(conn), await v1_rows(conn), await read_all(conn)
    users = [row[0] for row in await conn.fetch("select distinct user_id from workout_plans order by 1 limit 3")]
    seen = [await seen_by(surrounded, user) for user in users]
    assert any(seen) and seen[0] != seen[1]
    totals = await conn.fetch(OF_TOTALS)
    for attempt in range(2):
        await migrated(surrounded)
        assert await v2_differences(conn) == []
        assert await _bound_to_kept(conn) == []
        assert await conn.fetch(OF_TOTALS) == totals
        after = await read_all(conn)
        assert {name: after[name] == said[name] for name in said} == dict.fromkeys(said, True)
        assert [await seen_by(surrounded, user) for user in users] == seen
        words = "select obj_description(oid) from pg_trigger where tgrelid = 'workout_plans'::regclass and tgname = $1"
        assert await conn.fetchval(words, "audit_names") == "for the auditors"
        words = (
            "select obj_description(oid) from pg_constraint where conrelid = 'exercise_logs'::regclass and conname = $1"
        )
        assert await conn.fetchval(words, "exercise_logs_session_id_fkey") == "sets"
        await _keys_hold(conn)
        if attempt:
            await _written_and_seen(conn)
        await rolled_back(surrounded)
        if not attempt:
            assert changes(before, await everything(conn)) == []
            assert changes(rows, await v1_rows(conn)) == []
            assert await read_all(conn) == said
    assert await conn.fetchval("select name from workout_plans where slug = 'written'") == "renamed"
    assert await conn.fetchval("select count(*) from reports.totals t join workout_plans p using (id)") > 0
    changed = changes(before, await everything(conn))
    assert {line.split()[0] for line in changed} <= {"public.of_a_view", "public.days_trained"}


OF_TOTALS = """
select a.attname, a.attacl::text, a.attstattarget, col_description(a.attrelid, a.attnum) from pg_attribute a
where a.attrelid = 'reports.totals'::regclass and a.attnum > 0 union all
select x.indexrelid::regclass::text, x.indisclustered::text, t.attstattarget, obj_description(x.indexrelid, 'pg_class')
from pg_index x join pg_attribute t on t.attrelid = x.indexrelid and t.attnum = 1
where x.indrelid = 'reports.totals'::regclass union all
select pg_get_statisticsobjdef(s.oid), '', 0, '' from pg_statistic_ext s
where s.stxrelid = 'reports.totals'::regclass order by 1
"""
"""What hangs on a materialized view besides its rows."""


async def _bound_to_kept(conn: Connection) -> list[str]:
    """What is bound to the kept tables yet, other than what belongs there."""
    rows = await conn.fetch(
        "select distinct pg_describe_object(d.classid, d.objid, 0) as thing from pg_depend d "
        "join pg_class t on t.oid = d.refobjid and (t.relnamespace = 'workout_v1_kept'::regnamespace "
        "or t.relname = any($1::text[]) and t.relnamespace = 'public'::regnamespace) "
        "where d.classid in ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_policy'::regclass, "
        "'pg_constraint'::regclass, 'pg_publication_rel'::regclass) "
        "and not exists (select from pg_constraint k where k.oid = d.objid and k.conrelid = t.oid) "
        "and not exists (select from pg_policy p join pg_class c on c.oid = p.polrelid "
        "  where p.oid = d.objid and c.relname like '%\\_v1') "
        "and not exists (select from pg_rewrite r join pg_class c on c.oid = r.ev_class "
        "  where r.oid = d.objid and c.relnamespace = 'workout_v1_kept'::regnamespace) "
        "and not exists (select from pg_constraint k join pg_class c on c.oid = k.conrelid "
        "  where k.oid = d.objid and c.relname like '%\\_v1')",
        [f"{table}_v1" for table in ("workout_plans", "exercises", "workout_sessions", "exercise_logs")],
    )
    return [row["thing"] for row in rows]


async def _keys_hold(conn: Connection) -> None:
    """The references are there with all they say, and checked; the partitioned table's is one again."""
    rows = await conn.fetch(
        "select conrelid::regclass::text || '.' || conname as key, confrelid::regclass::text as target, convalidated, "
        "condeferred, confdeltype::text as deletes, confupdtype::text as updates, confmatchtype::text as matches "
        "from pg_constraint where contype = 'f' and (conrelid in ('reviews'::regclass, 'visits'::regclass) "
        "or conname in ('plan_parent', 'plan_gym')) and conrelid <> 'workout_plans_v1'::regclass order by 1"
    )
    assert [tuple(row) for row in rows] == [
        ('reviews.reviews Plan "x" fkey', "workout_plans", True, True, "c", "c", "s"),
        ("reviews.reviews_exercise", "exercises", False, False, "a", "a", "s"),
        ("reviews.reviews_owner", "workout_plans", True, False, "c", "a", "f"),
        ("reviews.reviews_parent_fkey", "reviews", True, False, "a", "a", "s"),
        ("reviews.reviews_session", "workout_sessions", True, False, "n", "a", "s"),
        ("reviews.reviews_slug", "workout_plans", True, False, "a", "c", "s"),
        ("visits.visits_plan", "workout_plans", True, False, "c", "a", "s"),
        ("workout_plans.plan_gym", "gyms", True, False, "a", "c", "s"),
        ("workout_plans.plan_parent", "workout_plans", True, False, "n", "a", "s"),
    ]
    parts = await conn.fetchval(
        "select count(*) from pg_constraint where conname = 'visits_plan' and conparentid <> 0 "
        "and confrelid = 'workout_plans'::regclass"
    )
    assert parts == 3


async def _written_and_seen(conn: Connection) -> None:
    """What is written to v2 shows in the views, trips the trigger, and is published and referred to."""
    plan = await conn.fetchval(
        "insert into workout_plans (user_id, name, total_weeks, slug, gym_id) "
        "select user_id, 'written', 3, 'written', 2 from workout_plans limit 1 returning id"
    )
    assert await conn.fetchval("select weeks from plan_sizes where id = $1", plan) == 3
    assert await conn.fetchval("select what from audit where row_id = $1", plan) == "workout_plans INSERT"
    await conn.execute("update names set name = 'renamed' where id = $1", plan)
    await conn.execute("update exercises set notes = 'written' where id = (select id from exercises limit 1)")
    with pytest.raises(Exception, match=r"check option|plan_named"):
        await conn.execute("update names set name = '' where id = $1", plan)
    await conn.execute(
        'insert into reviews ("Plan", by_user, slug) select id, user_id, slug from workout_plans where id = $1', plan
    )
    await conn.execute("insert into visits values ($1, '2026-05-05')", plan)
    await conn.execute("refresh materialized view concurrently reports.totals")
    published = await conn.fetch("select tablename from pg_publication_tables where pubname = 'narrow' order by 1")
    assert [row[0] for row in published] == ["exercise_logs", "exercises"]


async def test_the_plan_says_what_becomes_of_each(surrounded: TestDatabase, connect: Connect) -> None:
    conn = await connect(surrounded.url)
    plan = await plan_migration(conn, settings_for(surrounded), await read_state(conn))
    wanted = {
        "foreign key reviews_slug on reviews": "gets a unique index on slug",
        "reference of v1's own plan_parent on workout_plans": "gets the same reference",
        "view names": "v2 has every column",
        "view plan_sizes": "v1's columns out of v2",
        "view big_plans": "through other views",
        "materialized view reports.totals": "the old one is kept",
        "policy own_plans on reviews": "bound to v2",
        "policy own_exercises on reviews": "workout_v1_compat",
        "trigger audit_names on workout_plans": "v2's table gets it too",
        "trigger update_workout_plans_updated_at on workout_plans": "its own updated_at",
        "function count_plans(of_user uuid)": "workout_v1_compat comes first",
        "function only_says()": "in comments or messages alone",
        "publication narrow on exercises": "instead",
        "column default ticket on queue": "kept with v1",
        "column of a v1 row type last_plan on queue": "v1's row type",
    }
    for title, reason in wanted.items():
        assert [note for note in plan.notes if note.startswith(f"{title}: ") and reason in note], (title, plan.notes)
    assert "-- view plan_sizes: " in plan.sql_text()
    # What stays bound to v1 holds nothing up, and is not passed over either.
    columns = (await gates_of(surrounded, conn))["dependent-columns"]
    assert (columns.status, columns.measured) == (Status.WARN, "2 columns")
    assert "ticket on queue" in (columns.message or "") and "last_plan on queue" in (columns.message or "")


@pytest.mark.parametrize("gate", sorted(STUCK))
async def test_what_cannot_follow_is_a_gate(gate: str, make_database: MakeDatabase, connect: Connect) -> None:
    """Each holds the migration up by name and shows the SQL; overridden, it stays with v1 and comes back untouched."""
    database = await make_database(CLEAN)
    conn = await connect(database.url)
    if gate == "dependent-publications" and conn.get_server_version().major < 15:
        return
    free = await gates_of(database, conn)
    assert {event.status for event in free.values()} <= {Status.PASS, Status.WARN}, free
    await conn.execute(STUCK[gate])
    catalog = await catalog_fingerprint(conn)
    held = await gates_of(database, conn)
    assert {name for name, event in held.items() if event.status is Status.FAIL} == {gate}
    assert gate in (refusal(held.values()) or "")
    said = held[gate].message or ""
    assert "Proposal: " in said and "workout_plans" in said
    await override_gates(conn, {gate: "looked at"}, operator="tester")
    assert refusal((await gates_of(database, conn)).values()) is None
    await migrated(database)
    assert await v2_differences(conn) == []
    await rolled_back(database)
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_a_function_shows_the_lines_that_matter(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(CLEAN)
    conn = await connect(database.url)
    await conn.execute(STUCK["dependent-functions"])
    message = (await gates_of(database, conn))["dependent-functions"].message or ""
    assert "4: update workout_plans set is_active = false where id = plan;" in message
    assert "closes it" not in message


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (
            "alter table exercise_logs rename to old_logs; create table exercise_logs (like old_logs including all) "
            "partition by hash (id); create table logs_0 partition of exercise_logs for values with (modulus 1, "
            "remainder 0)",
            "exercise_logs is partitioned, and has rows in tables of its own beneath it: logs_0.",
        ),
        ("create table more () inherits (exercises)", "exercises has rows in tables of its own beneath it: more."),
        (
            "alter table workout_sessions rename to all_sessions; create view workout_sessions as "
            "select * from all_sessions",
            "workout_sessions is a view, not a table.",
        ),
        ("alter table exercise_logs set unlogged", "exercise_logs is not kept safe from a crash"),
        (
            "do $$ begin for n in 1..790 loop execute format('alter table exercise_logs add c%s smallint', n); "
            "end loop; end $$",
            "exercise_logs has 802 columns, so v2's would have 803: no more than 800 can be compared side by side.",
        ),
        (
            "alter table workout_sessions alter completed_at type date; "
            "update workout_sessions set completed_at = '294277-01-01' where id = (select id from workout_sessions "
            "limit 1); update workout_sessions set completed_at = 'infinity' where plan_id is null",
            "workout_sessions.completed_at is a date, and 1 row is past 294276-12-31, the last day of v2's timestamps",
        ),
    ],
)
async def test_v1_must_be_plain_tables(sql: str, said: str, make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(CLEAN)
    conn = await connect(database.url)
    await conn.execute(sql)
    gate = (await gates_of(database, conn))["v1-plain-tables"]
    assert gate.status is Status.FAIL and not gate.overridable and said in (gate.message or "")
    with pytest.raises(RefusedError, match=re.escape(said)):
        await plan_migration(conn, settings_for(database), await read_state(conn))


@pytest.mark.slow
async def test_a_backup_brings_it_back_too(surrounded: TestDatabase, connect: Connect, tmp_path: Path) -> None:
    """After a rollback from a backup, other tables' policies, functions and materialized views read v1 again."""
    conn = await connect(surrounded.url)
    await conn.execute("drop table queue; drop sequence tickets")
    said = await read_all(conn)
    kinds = ("views", "functions", "policies", "publications")
    before = {kind: names for kind, names in (await everything(conn)).items() if kind.endswith(kinds)}
    path = await backed_up(surrounded, tmp_path)
    await migrated(surrounded)
    await conn.execute("delete from workout_plans where true")
    await rolled_back_from(surrounded, path)
    now = {kind: names for kind, names in (await everything(conn)).items() if kind.endswith(kinds)}
    assert changes(before, now) == []
    assert await read_all(conn) == said


async def test_under_other_names_too(surrounded: TestDatabase, connect: Connect) -> None:
    """v1 renamed to *_v1 by hand: what is bound to the tables went with them, and follows from there to v2."""
    conn = await connect(surrounded.url)
    said = await read_all(conn)
    for table in V1_TABLES:
        await conn.execute(f"alter table {table} rename to {table}_v1")
    before = await everything(conn)
    found = await dependents_of(await context_of(surrounded, conn))
    assert [(one.title, one.reason) for one in found if one.fate in (Fate.PERSON, Fate.UNDECIDED)] == []
    await migrated(surrounded)
    assert await _bound_to_kept(conn) == []
    for view in VIEWS:
        assert Counter(tuple(row) for row in await conn.fetch(f"select * from {view}")) == said[view], view
    await rolled_back(surrounded)
    assert changes(before, await everything(conn)) == []


async def test_a_reader_of_a_materialized_view_is_named(surrounded: TestDatabase, connect: Connect) -> None:
    """Swapping one needs it for itself: whoever reads it for long is in the way, by name."""
    reader = await connect(surrounded.url)
    transaction = reader.transaction()
    await transaction.start()
    await reader.fetch("select * from reports.totals")
    ran = await do_migrate(surrounded, lock_attempts=2)
    assert not ran.result.ok and f"PID {reader.get_server_pid()}" in ran.result.message
    await transaction.rollback()
    assert (await do_migrate(surrounded)).result.ok


async def test_psql_moves_it_all_too(surrounded: TestDatabase, connect: Connect, tmp_path: Path) -> None:
    """The printed plan, run by a DBA with psql, there and back."""
    conn = await connect(surrounded.url)
    before, said = await everything(conn), await read_all(conn)
    settings = settings_for(surrounded)
    await psql(surrounded, (await plan_migration(conn, settings, await read_state(conn))).sql_text(), tmp_path)
    assert await _bound_to_kept(conn) == []
    assert await read_all(conn) == said
    await psql(surrounded, (await plan_rollback(conn, settings, await read_state(conn))).sql_text(), tmp_path)
    assert changes(before, await everything(conn)) == []


async def test_v1_can_be_removed_afterwards(surrounded: TestDatabase, connect: Connect) -> None:
    """Nothing that followed holds the kept tables back; what stays with them is named, and in the way."""
    conn = await connect(surrounded.url)
    await migrated(surrounded)
    remains = await read_remains(conn)
    named = await hanging_on(conn, remains.v1)
    assert [name for name in named if "queue" not in name] == [] and len(named) == 2
    await conn.execute("drop table queue")
    assert await hanging_on(conn, remains.v1) == []
    said = await read_all(conn)
    async with conn.transaction():
        for statement in drop_step(remains).statements:
            await conn.execute(statement)
    assert await read_all(conn) == said
