"""The kept v1 tables changed by hand after the cut-over: put back by the rollback, or refused with what to do."""

from __future__ import annotations

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import do_roll_back, migrated, rolled_back, settings_for, state_of
from tests.oracle import catalog_fingerprint, changes, v1_rows
from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.journal.state import State, read_state
from vagus_tui.rollback.preview import preview
from vagus_tui.rollback.quick_plan import plan_rollback
from vagus_tui.sandbox.options import SandboxOptions

V1 = """
alter table workout_plans add column seat bigserial, add constraint seats unique (seat),
  add constraint named check (length(name) < 10000);
alter table exercise_logs add constraint once unique (session_id, exercise_id, set_number),
  alter column tempo set default '2-0-2';
create index "Odd name" on exercises using btree (lower(name)) where sets > 1;
create statistics together on user_id, name from workout_plans;
alter table workout_plans replica identity using index seats;
grant select (name) on exercises to anon;
grant insert on workout_sessions to anon;
comment on table exercises is 'all of them';
comment on column exercises.sets is 'how often';
comment on index "Odd name" is 'for the search';
comment on constraint seats on workout_plans is 'one each';
comment on constraint exercises_plan_id_fkey on exercises is 'of its plan';
comment on trigger update_workout_plans_updated_at on workout_plans is 'when';
comment on policy "Coaches read client logs" on exercise_logs is 'coaches';
alter table exercises alter sets set statistics 300, alter notes set storage external,
  alter plan_id set (n_distinct = 500), set (autovacuum_vacuum_scale_factor = 0.05, fillfactor = 80);
alter index "Odd name" alter column 1 set statistics 400;
"""

BY_HAND = """
alter table workout_plans_v1 drop constraint seats, drop constraint named, alter column name drop not null,
  disable row level security;
drop sequence workout_plans_seat_seq_v1 cascade;
drop statistics together_v1;
drop index "Odd name_v1";
drop index idx_exercises_plan_id_v1;
alter table exercises_v1 drop constraint exercises_plan_id_fkey, add column extra text default 'x';
alter table workout_sessions_v1 drop constraint workout_sessions_user_id_fkey;
alter table exercise_logs_v1 drop constraint once, alter column tempo drop default;
alter table workout_sessions_v1 drop constraint workout_sessions_pkey cascade;
drop trigger update_workout_plans_updated_at on workout_plans_v1;
alter table exercises_v1 disable trigger update_exercises_updated_at;
drop policy "Users manage own logs" on exercise_logs_v1;
alter policy "Coaches read client logs" on exercise_logs_v1 using (true);
revoke insert on workout_sessions_v1 from anon;
revoke select, update on workout_plans_v1 from authenticated;
revoke select (name) on exercises_v1 from anon;
create index later on exercise_logs_v1 (reps);
grant delete on exercise_logs_v1 to authenticator;
comment on table exercises_v1 is 'old ones';
comment on column exercises_v1.sets is null;
comment on column exercise_logs_v1.reps is 'said since';
alter table exercises_v1 alter sets set statistics -1, alter notes set storage extended,
  alter plan_id reset (n_distinct), reset (autovacuum_vacuum_scale_factor), set (fillfactor = 90);
"""

SAID = """
select pg_describe_object(classoid, objoid, objsubid) as what, description as said from pg_description
where objoid >= 16384 and pg_describe_object(classoid, objoid, objsubid) !~ 'vagus|workout_v2_'
union all
select format('%s.%s', c.relname, a.attname), format('%s %s', nullif(a.attstattarget, -1), a.attoptions)
from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relnamespace = 'public'::regnamespace and a.attnum > 0 and c.relkind in ('r', 'i')
  and c.relname !~ 'maintenance' order by 1, 2
"""
"""Comments, statistics targets and numbers of distinct values."""


@pytest.fixture
async def moved(make_database: MakeDatabase, connect: Connect) -> TestDatabase:
    """A small database with more in v1 than the sample has; each test migrates it."""
    database = await make_database(SandboxOptions(plans=10, clean=True))
    await (await connect(database.url)).execute(V1)
    return database


async def by_hand(conn: Connection, statements: str) -> None:
    """Do it with the names that constraints have after the cut-over."""
    renamed = await conn.fetch(
        "select k.conname from pg_constraint k join pg_class c on c.oid = k.conrelid "
        "where c.relname like '%\\_v1' and k.conname like '%\\_v1'"
    )
    for (name,) in renamed:
        statements = statements.replace(f"drop constraint {name.removesuffix('_v1')}", f'drop constraint "{name}"')
    await conn.execute(statements)


async def test_what_was_changed_by_hand_is_put_back(moved: TestDatabase, connect: Connect) -> None:
    conn = await connect(moved.url)
    rows, catalog = await v1_rows(conn), await catalog_fingerprint(conn)
    said = {tuple(row) for row in await conn.fetch(SAID)}
    await migrated(moved, overrides={"carried-unique": "v1 alone has them"})
    await (await connect(moved.admin_url)).execute(
        "grant create on schema public to service_role; alter table workout_sessions_v1 owner to service_role;"
        "revoke create on schema public from service_role"
    )
    await by_hand(conn, BY_HAND)
    state = await read_state(conn)
    told = (await preview(conn, state)).by_hand
    for what in (
        *("constraint seats", "index idx_exercises_plan_id_v1", "trigger update_workout", "rights of anon"),
        *(
            "comment of exercises_v1",
            "comment on column sets",
            "statistics target on sets",
            "storage parameter fillfactor",
        ),
    ):
        assert any(what in line and "put back" in line for line in told), (what, told)
    plan = await plan_rollback(conn, settings_for(moved), state)
    assert any('create index "idx_exercises_plan_id_v1"' in step.sql for step in plan.steps)
    # Users go on meanwhile, and what they write comes back under the rules that were put back.
    user = await conn.fetchval("select user_id from workout_plans limit 1")
    await conn.execute("insert into workout_plans (user_id, name, total_weeks, seat) values ($1, 'New', 1, 99)", user)
    ran = await rolled_back(moved)
    left = changes(catalog, await catalog_fingerprint(conn))
    assert ran.result.figures is not None
    assert sorted(line.partition(":")[0] for line in left) == [
        "columns exercises.extra",
        "comments public.exercise_logs.reps (table column)",
        "indexes later",
        "relations exercise_logs",
    ], left
    added = {("column reps of table exercise_logs", "said since"), ("exercises.extra", " "), ("later.reps", " ")}
    assert {tuple(row) for row in await conn.fetch(SAID)} ^ said == added
    assert ran.result.figures["changed_by_hand"] == [
        "column extra of exercises_v1 is new",
        "index later of exercise_logs_v1 is new",
        "authenticator may DELETE on exercise_logs_v1, which is new",
        "comment on column reps of exercise_logs_v1 is new",
    ]
    assert "but for what was changed by hand" in ran.result.message
    after = await v1_rows(conn)
    assert len(after["workout_plans"]) == len(rows["workout_plans"]) + 1
    assert await conn.fetchval("select nextval('workout_plans_seat_seq')") > 99


async def test_what_cannot_be_put_back(moved: TestDatabase, connect: Connect) -> None:
    """Values that are gone, and a table that is no longer ours, are in the way; rows that a rule refuses are not."""
    conn = await connect(moved.url)
    await migrated(moved, overrides={"carried-unique": "v1 alone has them"})
    before = await catalog_fingerprint(conn)
    admin = await connect(moved.admin_url)
    for done, words, advice, undone in (
        (
            "alter table exercises_v1 owner to supabase_admin",
            "exercises_v1 belongs to supabase_admin now",
            'alter table "public"."exercises_v1" owner to "postgres"',
            "alter table exercises_v1 owner to postgres",
        ),
        (
            "alter table exercises owner to supabase_admin",
            "table exercises belongs to supabase_admin now, and only its owner can move it",
            'alter table "public"."exercises" owner to "postgres"',
            "alter table exercises owner to postgres",
        ),
        (
            "alter function detect_prs(uuid, text) owner to supabase_admin",
            "function detect_prs(uuid, text) belongs to supabase_admin now",
            'alter function "public"."detect_prs"(uuid, text) owner to "postgres"',
            "alter function detect_prs(uuid, text) owner to postgres",
        ),
        (
            "alter table exercises rename target_weight to kilos",
            "column target_weight of v2's exercises is gone, or has another name",
            'alter table "public"."exercises" rename "kilos" to "target_weight"',
            "alter table exercises rename kilos to target_weight",
        ),
        (
            "alter table exercise_groups alter rest_between_rounds type text",
            "column rest_between_rounds of v2's exercise_groups is text now, was integer",
            'alter column "rest_between_rounds" type integer using "rest_between_rounds"::integer',
            "alter table exercise_groups alter rest_between_rounds type integer using rest_between_rounds::integer;"
            "alter table exercise_groups alter rest_between_rounds type bigint",
        ),
        (
            "alter table exercise_groups rename to bundles; create view exercise_groups as select * from bundles",
            "view exercise_groups stands where v2's table of that name belongs",
            'alter view "public"."exercise_groups" rename',
            "drop view exercise_groups; alter table bundles rename to exercise_groups",
        ),
        (
            "alter table exercise_logs_v1 drop column tempo",
            "column tempo of exercise_logs_v1 is gone",
            "add column \"tempo\" text default '2-0-2'::text",
            "alter table exercise_logs_v1 add column tempo text default '2-0-2'",
        ),
        (
            "alter table exercises_v1 alter sets type bigint",
            "column sets of exercises_v1 is bigint now",
            "type integer",
            "alter table exercises_v1 alter sets type integer",
        ),
        (
            "alter table exercises_v1 add column owed integer; update exercises_v1 set owed = 1;"
            "alter table exercises_v1 alter owed set not null",
            "column owed of exercises_v1 is new and must not be empty",
            "drop not null",
            "alter table exercises_v1 drop column owed",
        ),
    ):
        await admin.execute(done)
        with pytest.raises(RefusedError) as caught:
            await preview(conn, await read_state(conn))
        assert words in caught.value.happened and advice in (caught.value.next_step or ""), caught.value
        ran = await do_roll_back(moved) if "tempo" in done else None
        assert ran is None or not ran.result.ok
        await admin.execute(undone)
    # What was refused beforehand changed nothing, and is no run.
    state = await state_of(moved)
    assert state.state is State.MIGRATED and state.run is not None and state.run.kind == "migrate"
    left = changes(before, await catalog_fingerprint(conn))
    # A column that was given back stands last; that one of v2 is wider now keeps nothing from coming back.
    wider = "columns exercise_groups.rest_between_rounds"
    assert all(line.startswith(("columns exercise_logs_v1.", wider)) for line in left), left
    # Two rows that the dropped key would have kept apart: it cannot come back, which is said, and the rollback goes on.
    await by_hand(conn, "alter table exercise_logs_v1 drop constraint once")
    await conn.execute(
        "alter table exercise_logs_v1 disable trigger user;"
        "insert into exercise_logs_v1 (session_id, exercise_id, set_number, reps, weight) "
        "select session_id, exercise_id, set_number, reps, weight from exercise_logs_v1 limit 1"
    )
    told = (await preview(conn, await read_state(conn))).told
    assert any("the kept v1 since the cut-over was not noted" in words for words in told), told
    # What was done to v1's rows is seen: they are no longer what v2 was made of, and v1 keeps them if told to.
    ran = await do_roll_back(moved)
    assert "878 of exercise_logs, 1 of workout_sessions" in ran.result.message, ran.result
    await conn.execute("update vagus_migration.v2_unnoted set stays_in_v1 = true")
    ran = await rolled_back(moved)
    assert ran.result.figures is not None
    assert "constraint once_v1 of exercise_logs_v1 could not be put back" in ran.result.figures["changed_by_hand"]


async def test_without_a_note_what_is_gone_stays_gone(moved: TestDatabase, connect: Connect) -> None:
    """A migration of an earlier version left no note of how v1 was kept."""
    conn = await connect(moved.url)
    catalog = await catalog_fingerprint(conn)
    await migrated(moved, overrides={"carried-unique": "v1 alone has them"})
    await conn.execute('drop table vagus_migration.v1_as_kept; drop index "Odd name_v1"')
    told = (await preview(conn, await read_state(conn))).told
    assert [line for line in told if "No note says how the kept v1 tables were left" in line] == told[:1], told
    assert not any("what points at v2" in line for line in told), told
    await conn.execute("drop table vagus_migration.surroundings_as_moved")
    told = (await preview(conn, await read_state(conn))).told
    assert sum("No note says how what points at v2 was left" in line for line in told) == 1, told
    ran = await rolled_back(moved)
    assert [line.partition(":")[0] for line in changes(catalog, await catalog_fingerprint(conn))] == [
        'comments public."Odd name" (index)',
        "indexes Odd name",
    ]
    assert ran.result.figures is not None and "no note says how it was made" in ran.result.figures["changed_by_hand"][0]
