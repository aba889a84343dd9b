"""What else is in the database: names that clash, things that point at v1. Nothing is skipped, and all comes back."""

from __future__ import annotations

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import as_user, do_migrate, migrated, rolled_back, state_of
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from vagus_tui.database.connection import Connection
from vagus_tui.journal.state import State
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v2

SURROUNDINGS = """
create table public.machines (id bigint generated always as identity primary key, name text);
create index idx_exercises_name on public.machines (name);
create function public.calculate_plan_volume(plan uuid) returns integer language sql as 'select 42';
comment on function public.calculate_plan_volume(uuid) is 'the old one';
create table public.reviews (id bigint generated always as identity primary key, "Plan" uuid not null,
  session_id uuid, exercise_id uuid,
  constraint "reviews Plan ""x"" fkey" foreign key ("Plan") references public.workout_plans (id)
    on delete cascade on update cascade deferrable initially deferred,
  constraint reviews_session_fkey foreign key (session_id) references public.workout_sessions (id) on delete set null);
alter table public.reviews add constraint reviews_exercise_fkey
  foreign key (exercise_id) references public.exercises (id) not valid;
insert into public.reviews ("Plan", session_id, exercise_id)
  select p.id, (select min(id::text)::uuid from public.workout_sessions s where s.plan_id = p.id),
    (select min(id::text)::uuid from public.exercises e where e.plan_id = p.id) from public.workout_plans p;
create view public.plan_sizes as
  select p.id, p.name, coalesce(p.duration_weeks, 4) as weeks, p.is_active, count(e.id) as exercises
  from public.workout_plans p left join public.exercises e on e.plan_id = p.id group by 1, 2, 3, 4;
create view public.my_sessions with (@INVOKER@security_barrier = true) as
  select s.id, s.plan_id, s.started_at, l.reps, l.weight from public.workout_sessions s
  join public.exercise_logs l on l.session_id = s.id;
create view public.big_plans as select * from public.plan_sizes where exercises > 3;
comment on view public.big_plans is 'seen by coaches';
grant select on public.plan_sizes, public.my_sessions to authenticated;
comment on table public.workout_plans is 'all plans';
comment on column public.workout_plans.goal is 'free text';
alter table public.workout_plans add constraint plan_named check (name <> '');
alter table public.exercises replica identity full;
grant select (id, name) on public.workout_plans to anon;
create publication narrow for table public.exercise_logs, public.exercises;
"""


@pytest.fixture
async def crowded(make_database: MakeDatabase) -> TestDatabase:
    """A clean v1 with much around it."""
    database = await make_database(SandboxOptions(plans=20, clean=True))
    async with database.connect() as conn:
        # Views that run with their reader's rights came with 15.
        invoker = "security_invoker = true, " if conn.get_server_version().major >= 15 else ""
        await conn.execute(SURROUNDINGS.replace("@INVOKER@", invoker))
    return database


async def test_all_of_v2_is_there_and_all_of_v1_comes_back(crowded: TestDatabase, connect: Connect) -> None:
    conn = await connect(crowded.url)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    reading = {
        view: await conn.fetch(f"select * from {view} order by 1, 2, 3, 4")
        for view in ("plan_sizes", "my_sessions", "big_plans")
    }
    for _ in range(2):
        await migrated(crowded)
        assert await v2_differences(conn) == []
        await _everything_of_v2(conn, clashing=frozenset({"idx_exercises_name"}), checks=("plan_named",))
        assert await conn.fetchval("select calculate_plan_volume_v1(gen_random_uuid())") == 42
        targets = await conn.fetch(
            "select conname, confrelid::regclass::text as target, convalidated, condeferred, "
            "confdeltype::text as on_delete from pg_constraint where conrelid = 'reviews'::regclass and contype = 'f' "
            "order by 1"
        )
        assert [tuple(row) for row in targets] == [
            ('reviews Plan "x" fkey', "workout_plans", True, True, "c"),
            ("reviews_exercise_fkey", "exercises", False, False, "a"),
            ("reviews_session_fkey", "workout_sessions", True, False, "n"),
        ]
        for view, before in reading.items():
            assert await conn.fetch(f"select * from {view} order by 1, 2, 3, 4") == before, view
            assert not await conn.fetchval(
                "select exists(select from pg_depend d join pg_rewrite r on r.oid = d.objid join pg_class t "
                "on t.oid = d.refobjid where r.ev_class = $1::regclass and t.relname like '%\\_v1')",
                view,
            )
        invoker = ["security_invoker=true"] if conn.get_server_version().major >= 15 else []
        options = await conn.fetchval("select reloptions::text[] from pg_class where relname = 'my_sessions'")
        assert options == [*invoker, "security_barrier=true"]
        published = await conn.fetch("select pubname, tablename from pg_publication_tables order by 1, 2")
        assert [tuple(row) for row in published] == [
            ("narrow", "exercise_logs"),
            ("narrow", "exercises"),
            ("supabase_realtime", "workout_plans"),
            ("supabase_realtime", "workout_sessions"),
        ]
        identity = "select relreplident::text from pg_class where oid = $1::regclass"
        assert [await conn.fetchval(identity, t) for t in ("exercises", "workout_plans")] == [
            # 18 refuses writes to such a table while it has generated columns that are not published.
            "d" if conn.get_server_version().major >= 18 else "f",
            "d",
        ]
        await rolled_back(crowded)
        assert changes(catalog, await catalog_fingerprint(conn)) == []
        assert changes(rows, await v1_rows(conn)) == []
        for view, before in reading.items():
            assert await conn.fetch(f"select * from {view} order by 1, 2, 3, 4") == before, view


async def _everything_of_v2(
    conn: Connection, clashing: frozenset[str] = frozenset(), checks: tuple[str, ...] = ()
) -> None:
    """Every table, column, index, key, check, policy and trigger of the schema is there, none skipped, none invalid."""
    for table, model in v2.MODEL.items():
        columns = await conn.fetch(
            "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped", table
        )
        assert {row[0] for row in columns} >= {column.name for column in model.columns}, table
        indexes = {
            row[0]
            for row in await conn.fetch(
                "select i.relname from pg_index x join pg_class i on i.oid = x.indexrelid "
                "where x.indrelid = $1::regclass and x.indisvalid",
                table,
            )
        }
        wanted = {f"{index.name}_v2" if index.name in clashing else index.name for index in model.indexes}
        wanted |= {f"{table}_pkey"} | {f"{table}_{'_'.join(columns)}_key" for columns in model.unique}
        assert indexes == wanted, table
        constraints = await conn.fetch(
            "select conname, convalidated from pg_constraint where conrelid = $1::regclass and contype <> 'n'", table
        )
        assert all(row["convalidated"] for row in constraints)
        assert {row["conname"] for row in constraints} == {
            f"{table}_pkey",
            *model.checks,
            # Of v1, over columns that v2 has as well.
            *(checks if table == v2.PLANS else ()),
            *(f"{table}_{'_'.join(columns)}_key" for columns in model.unique),
            *(f"{table}_{key.column}_fkey" for key in model.foreign_keys),
        }
        row = await conn.fetchrow(
            "select relrowsecurity, obj_description(oid) as comment, "
            "(select array_agg(polcmd::text order by polcmd) from pg_policy where polrelid = c.oid) as commands, "
            "array(select tgname::text from pg_trigger where tgrelid = c.oid and not tgisinternal) as triggers "
            "from pg_class c where oid = $1::regclass",
            table,
        )
        assert row is not None and row["relrowsecurity"] and row["comment"]
        assert row["commands"] == ["a", "d", "r", "w"], table
        assert (f"{table}_touch_updated_at" in row["triggers"]) == model.touch


async def test_v2_opens_to_the_roles_that_v1_was_open_to(make_database: MakeDatabase, connect: Connect) -> None:
    """A project without default privileges, and one whose default privileges say more than v1's tables had."""
    for open_by_default in (False, True):
        database = await make_database(SandboxOptions(plans=20, clean=True, default_privileges=open_by_default))
        conn = await connect(database.url)
        if open_by_default:
            await conn.execute(
                "revoke all on workout_plans, exercises from anon;"
                "alter default privileges grant all on schemas to public, anon"
            )
        may = (
            "select has_table_privilege('{role}', '{table}', 'select'), has_table_privilege('{role}', '{table}', "
            "'insert'), has_table_privilege('{role}', '{table}', 'delete')"
        )
        roles = ("anon", "authenticated", "service_role")
        before = {
            (role, table): tuple(await conn.fetchrow(may.format(role=role, table=table)) or ())
            for role in roles
            for table in ("workout_plans", "exercises", "exercise_logs", "workout_sessions")
        }
        await migrated(database)
        for (role, table), rights in before.items():
            assert tuple(await conn.fetchrow(may.format(role=role, table=table)) or ()) == rights, (role, table)
        mine = (
            "select nspname::text from pg_namespace where nspname ~ '^(workout|vagus)_' "
            "and has_schema_privilege('anon', oid, '{}')"
        )
        assert await conn.fetch(mine.format("create")) == []
        assert [row[0] for row in await conn.fetch(mine.format("usage"))] == ["workout_v1_compat"]
        for role in roles:
            assert (
                tuple(await conn.fetchrow(may.format(role=role, table="workout_days")) or ())
                == before[role, "workout_plans"]
            )
        plan = await conn.fetchrow("select id, user_id from workout_plans where user_id is not null limit 1")
        assert plan is not None
        async with as_user(database, plan["user_id"]) as user:
            assert await user.fetchval("select count(*) from workout_weeks where plan_id = $1", plan["id"]) > 0
            await user.execute("update workout_plans set name = 'mine' where id = $1", plan["id"])
        assert await conn.fetchval("select name from workout_plans where id = $1", plan["id"]) == "mine"


async def test_bigint_ids_go_on_past_the_highest(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True, bigint_ids=True))
    conn = await connect(database.url)
    user = await conn.fetchval("select user_id from workout_plans limit 1")
    # The highest id that ever was, of a plan that is gone: links may still have it.
    highest = await conn.fetchval("insert into workout_plans (user_id, name) values ($1, 'gone') returning id", user)
    assert await conn.execute("delete from workout_plans where id = $1", highest) == "DELETE 1"
    await migrated(database)
    async with as_user(database, user) as app:
        made = await app.fetchval(
            "insert into workout_plans (user_id, name, total_weeks) values ($1, 'new', 2) returning id", user
        )
    assert made == highest + 1
    await rolled_back(database)
    assert await conn.fetchval("select name from workout_plans where id = $1", made) == "new"
    async with as_user(database, user) as app:
        made = await app.fetchval("insert into workout_plans (user_id, name) values ($1, 'newer') returning id", user)
    assert made == highest + 2


async def test_published_to_all_tables(make_database: MakeDatabase, connect: Connect) -> None:
    """Older projects publish FOR ALL TABLES: then every table that is updated or deleted from needs an identity."""
    database = await make_database(SandboxOptions(plans=20, clean=True))
    async with database.as_admin() as admin:
        await admin.execute("create publication everything for all tables")

    async def write(event: object, _: object) -> None:
        if getattr(event, "id", "") == "catch-up":
            async with database.connect() as writer:
                await writer.execute("update workout_plans set description = 'meanwhile'")

    ran = await do_migrate(database, on_event=write)
    assert ran.result.ok, ran.result
    conn = await connect(database.url)
    assert await v2_differences(conn) == []
    await rolled_back(database)


async def test_publications_keep_their_columns_and_filters(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    if conn.get_server_version().major < 15:
        return
    await conn.execute(
        "create publication careful for table workout_plans (id, name) where (name <> 'secret'), "
        "exercises (id, name, reps_min)"
    )
    catalog = await catalog_fingerprint(conn)
    await migrated(database)
    listed = await conn.fetch(
        "select tablename, attnames::text[] as columns, rowfilter from pg_publication_tables where pubname = 'careful'"
    )
    found = {row["tablename"]: (set(row["columns"]), row["rowfilter"]) for row in listed}
    assert found["workout_plans"] == ({"id", "name"}, "(name <> 'secret'::text)")
    assert found["exercises"] == ({"id", "name"}, None)
    await rolled_back(database)
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_something_of_another_in_v2s_place_is_refused(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    await conn.execute("create view exercise_groups as select 1 as one")
    catalog = await catalog_fingerprint(conn)
    ran = await do_migrate(database)
    assert not ran.result.ok and ran.result.exit_status == 1
    assert "exercise_groups" in ran.result.message
    assert (await state_of(database)).state in (State.V1, State.UNKNOWN)
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_a_view_that_leans_on_a_primary_key_follows(make_database: MakeDatabase, connect: Connect) -> None:
    """GROUP BY p.id stands for all of p, because p is a table with that key; v2's is one too."""
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    await conn.execute(
        "create view by_key as select p.id, p.name, count(e.id) from workout_plans p "
        "left join exercises e on e.plan_id = p.id group by p.id"
    )
    catalog, before = await catalog_fingerprint(conn), await conn.fetch("select * from by_key order by id")
    await migrated(database)
    assert await conn.fetch("select * from by_key order by id") == before
    await rolled_back(database)
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_a_filter_that_v2_cannot_answer_publishes_nothing(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    if conn.get_server_version().major < 15:
        return
    await conn.execute("create publication active for table workout_plans where (is_active)")
    catalog = await catalog_fingerprint(conn)
    await migrated(database)
    assert await conn.fetchval("select count(*) from pg_publication_tables where pubname = 'active'") == 0
    await rolled_back(database)
    assert changes(catalog, await catalog_fingerprint(conn)) == []
