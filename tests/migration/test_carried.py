"""Carried-over columns bring their defaults, NOT NULL and checks along; what cannot come is said beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from tests.conftest import Connect, MakeDatabase
from tests.migration.support import do_migrate, migrated, rolled_back, settings_for
from tests.migration.test_dependents import context_of
from tests.oracle import catalog_fingerprint, changes, v2_differences
from vagus_tui.checks.base import run_checks
from vagus_tui.checks.registry import check_by_id
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.events import Event, Phase, Status, StepEvent, StepState
from vagus_tui.journal.state import STAGING, read_state
from vagus_tui.migration.gates import gates
from vagus_tui.migration.otherwise import otherwise
from vagus_tui.migration.plan import plan_migration
from vagus_tui.migration.steps import Plan, PlanStep
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema.identifiers import quote

COLUMNS = """
create table gyms (id integer primary key);
insert into gyms values (1), (2);
create sequence ticket_numbers;
create function next_gym() returns integer language sql as 'select 2';
alter table exercises
  add column gym integer not null default next_gym() references gyms,
  add column mood text default 'it''s \\ "fine"' check (mood <> 'bad'),
  add column strain integer default 3,
  add column ticket bigint not null default nextval('ticket_numbers'),
  add column strain_twice integer generated always as (strain * 2) stored,
  add constraint calm check (strain < reps_min * 100 + 900),
  add constraint known check (strain > 0 and gym > 0),
  add column number integer generated always as identity, add column place serial,
  alter column notes set default 'none yet', alter column rest_seconds set default 60;
create table profiles (id uuid primary key);
insert into profiles select distinct user_id from workout_plans;
alter table workout_plans drop constraint workout_plans_user_id_fkey, alter column user_id set default auth.uid(),
  alter column description set default 'x', add constraint workout_plans_user_id_fkey foreign key (user_id)
  references profiles (id) on delete restrict;
comment on constraint workout_plans_user_id_fkey on workout_plans is '@graphql({"foreign_name": "owner"})';
create table likes (plan uuid constraint liked references workout_plans);
comment on constraint liked on likes is 'by whom';
create policy "templates; --" on workout_plans for select to anon using (is_template);
create index on exercises (gym, name);
create index "by mood; --" on exercises (lower(mood) desc nulls last) where strain > 2;
create index by_plan on exercises (plan_id, gym);
create unique index known_by on exercises (id, mood);
create index idx_exercises_day_id on exercises using hash (mood);
create unique index moods on exercises (plan_id, (mood || id::text)) where mood <> '';
create sequence badges;
create function label_of(exercises) returns text immutable language sql as $$ select lower($1.name) $$;
alter table exercises add column badge text not null default 'B' || nextval('badges'),
  add column vagus_unfit text default 'fit', add column vagus_new boolean,
  add column a_number_whose_name_is_so_long_that_it_has_to_be_cut_once bigint generated always as identity,
  add column a_number_whose_name_is_so_long_that_it_has_to_be_cut_twice integer generated always as identity,
  add constraint labelled check (label_of(exercises) <> 'x');
alter sequence badges owned by exercises.badge;
create index labels on exercises (label_of(exercises));
create index "by USING (mood)" on exercises (mood, strain);
create table moments (at timestamptz);
insert into moments values ('2000-01-01');
create function horizon() returns timestamptz language sql stable as 'select at from public.moments';
alter table exercises add constraint fresh check (created_at > horizon() and created_at <= current_timestamp),
  add constraint dated check (created_at::text <> '' and created_at > date '1990-01-01'),
  add constraint told check (length(id::text) = 36);
comment on constraint fresh on exercises is 'for a while';
update moments set at = '2200-01-01';
create index idx_workout_plans_user_id_v1 on workout_plans (goal, name);
alter table workout_plans add constraint a_check_whose_name_leaves_no_room_for_anything_behind_its_end_1
  check (name <> 'one'), add constraint a_check_whose_name_leaves_no_room_for_anything_behind_its_end_2
  check (name <> 'two'), add constraint named check (name <> 'three'), add constraint named_v1 unique (id, name);
"""

LONG = "a_number_whose_name_is_so_long_that_it_has_to_be_cut_"


def _in_each_others_way(plan: Plan) -> Iterator[tuple[str, str]]:
    """Steps that may run side by side, of which one locks tables of v2 one by one that the other uses one by one."""
    steps = {step.id: step for step in plan.of(Phase.BUILD)}

    def before(step: PlanStep) -> set[str]:
        needs = {need for need in step.needs if need in steps}
        return needs.union(*(before(steps[need]) for need in needs))

    for one in steps.values():
        locked = set(re.findall(rf'alter table ("{STAGING}"."\w+") (?!validate)', one.sql))
        for other in steps.values():
            used = {table for table in locked if table in other.sql}
            ordered = one.id in before(other) or other.id in before(one)
            if other is not one and len(used) > 1 and not ordered and not {*one.tables} & {*other.tables}:
                yield one.id, other.id


async def test_what_they_bring_along(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=12, clean=True))
    conn = await connect(database.url)
    await conn.execute(COLUMNS)
    catalog = await catalog_fingerprint(conn)
    context = await context_of(database, conn)
    unique = [event async for event in gates(context) if event.id == "carried-unique"][-1]
    assert unique.status is Status.FAIL and unique.overridable and unique.rows == 1
    assert unique.message is not None and "exercises: CREATE UNIQUE INDEX moods ON" in unique.message
    assert "v2 has not plan_id as v1 has" in unique.message and "known_by follows" in unique.message
    plan = await plan_migration(conn, settings_for(database), await read_state(conn))
    assert not list(_in_each_others_way(plan))
    notes = "\n".join(plan.notes)
    for words in (
        "strain_twice: its values are kept",
        "ticket (bigint not null default nextval(",
        "check calm",
        "index by_plan stays with v1",
        "index moods stays with v1",
        "exercises.badge: its values are kept; new ones come from v1's sequence",
        "index labels stays with v1",
        "(it looks at whole rows, and v2's are others)",
        "check labelled stays with v1",
        "exercises: check fresh asks horizon, the time, whose answer may change: in v2 it is for rows written from",
        'alter table "public"."exercises" validate constraint "fresh";',
        "check dated asks operator >(timestamp with time zone,date), the session's settings, whose",
    ):
        assert words in notes, notes
    assert "gym (integer not null default next_gym())" in notes
    for words in (
        "exercises.rest_seconds: v1's default is 60, v2's is 90",
        "exercises.notes: v1's default is 'none yet'::text, v2 has none",
        "workout_sessions.plan_id: on delete SET NULL in v1; in v2 sessions and their logs go with the plan",
        "policy templates; -- (select to anon: using (is_template)) has no like in v2",
        "workout_plans.user_id: on delete RESTRICT in v1: what v1's kept rows refer to in profiles cannot be deleted",
        "exercises.number: v2 goes on numbering after v1's last number, unless one is given",
    ):
        assert words in notes, notes
    told = [event async for event in gates(context) if event.id == "v2-otherwise"][-1]
    assert told.status is Status.WARN and told.message is not None
    for words in (
        "in v2 sessions and their logs go",
        "check labelled stays",
        "check fresh: 120 rows of v1 do not meet it any more",
        "check dated: Every row of v1 meets it today.",
    ):
        assert words in told.message, told.message
    await migrated(database)
    context = await context_of(database, conn)
    checks = [check_by_id("v2-behaviour"), check_by_id("v2-constraints")]
    ended = {event.id: event async for event in run_checks(checks, context)}
    assert ended["v2-behaviour"].status is Status.PASS, ended
    sound = ended["v2-constraints"]
    assert sound.status is Status.PASS and "exercises.fresh: carried over from v1" in (sound.message or ""), sound
    checked = await conn.fetch(
        "select conname, convalidated from pg_constraint where conrelid = 'exercises'::regclass "
        "and conname in ('fresh', 'dated', 'told') order by 1"
    )
    assert [tuple(row) for row in checked] == [("dated", False), ("fresh", False), ("told", True)]
    with pytest.raises(asyncpg.CheckViolationError):
        await conn.execute("update exercises set name = 'another'")
    await conn.execute("update moments set at = '2000-01-01'")
    assert await v2_differences(conn) == []
    made = await conn.fetch(
        "select indexdef from pg_indexes where tablename = 'exercises' and indexdef ~ 'gym|mood' order by indexname"
    )
    assert [row[0].replace("public.", "") for row in made] == [
        'CREATE INDEX "by USING (mood)" ON exercises USING btree (mood, strain)',
        'CREATE INDEX "by mood; --" ON exercises USING btree (lower(mood) DESC NULLS LAST) WHERE (strain > 2)',
        "CREATE INDEX exercises_gym_name_idx ON exercises USING btree (gym, name)",
        "CREATE INDEX idx_exercises_day_id_2 ON exercises USING hash (mood)",
        "CREATE UNIQUE INDEX known_by ON exercises USING btree (id, mood)",
    ]
    day = await conn.fetchval("select id from workout_days limit 1")
    new = await conn.fetchrow(
        "insert into exercises (day_id, name, muscle_group, sets, order_index) values ($1, 'new', 'legs', 3, 1) "
        f"returning gym, mood, strain, ticket, number, place, notes, id, badge, {LONG}once, {LONG}twice",
        day,
    )
    assert new is not None and tuple(new)[:3] == (2, 'it\'s \\ "fine"', 3)
    assert new["ticket"] == await conn.fetchval("select last_value from ticket_numbers")
    exercises = await conn.fetchval("select count(*) from exercises_v1")
    assert (new["number"], new["place"], new["notes"]) == (exercises + 1, exercises + 1, None)
    assert (new["badge"], new[f"{LONG}once"], new[f"{LONG}twice"]) == (None, exercises + 1, exercises + 1)
    keys = await conn.fetch(
        "select conname, pg_get_constraintdef(oid), obj_description(oid) from pg_constraint where contype = 'f' "
        "and (conrelid = 'likes'::regclass or confrelid = 'profiles'::regclass) "
        "and conrelid <> 'workout_plans_v1'::regclass order by 1"
    )
    assert [tuple(row) for row in keys] == [
        ("liked", "FOREIGN KEY (plan) REFERENCES workout_plans(id)", "by whom"),
        (
            "workout_plans_user_id_fkey_2",
            "FOREIGN KEY (user_id) REFERENCES profiles(id) ON DELETE RESTRICT",
            '@graphql({"foreign_name": "owner"})',
        ),
    ]
    for change in ("gym = null", "gym = 77", "mood = 'bad'", "strain = 0"):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await conn.execute(f"update exercises set {change}")
    await conn.execute(
        "update exercises set number = 1000, vagus_unfit = 'not', vagus_new = true where name = 'new';"
        "update exercises set number = -number;"
        # As an older version wrote it down.
        "update vagus_migration.runs set catalog = replace(catalog::text, '\"reference of v1''s own\"', "
        "'\"reference of a carried-over column\"')::jsonb"
    )
    await conn.execute("update moments set at = '2200-01-01'")
    await rolled_back(database)
    back = await conn.fetchrow("select number, badge, vagus_unfit, vagus_new from exercises where id = $1", new["id"])
    assert back is not None and (back["number"], back["vagus_unfit"], back["vagus_new"]) == (-1000, "not", True)
    assert back["badge"].startswith("B") and int(back["badge"][1:]) > exercises
    assert await conn.fetchval("select count(*) from exercises where number < 0") == exercises + 1
    assert await conn.fetchval("select nextval('exercises_place_seq')") == exercises + 2
    # Rows that came back do not meet it: it is for new ones now.
    [left] = changes(catalog, await catalog_fingerprint(conn))
    assert left.startswith("constraints exercises.fresh: ") and left.endswith("NOT VALID')")


APART = """
alter table workout_plans add column code text constraint coded unique, add column seat integer;
update workout_plans set code = 'code ' || id, seat = place
  from (select id as plan, row_number() over (order by id) as place from workout_plans) numbered where plan = id;
alter table workout_plans alter column code set not null;
create unique index seats on workout_plans (lower(name), seat) where seat > 0;
alter table workout_sessions add column device text unique;
update workout_sessions set device = id::text;
alter table exercise_logs add column stamp uuid unique default gen_random_uuid();
create unique index once_a_goal on workout_plans (goal, id, code) include (name);
create unique index goals on workout_plans (goal, seat);
create statistics of_plans on name, seat from workout_plans;
create unique index per_week on exercises (id, week_number) where week_number > 0;
alter table exercise_logs add column ticket bigint generated by default as identity,
  add constraint tickets unique (ticket) deferrable;
"""
"""What keeps rows apart: a constraint, an expression on part of the rows, two that v2 cannot have."""

PASSED_ON = """
create temporary table chosen as select id, code, row_number() over (order by id) as place from workout_plans limit 4;
update workout_plans set code = 'between' where id = (select id from chosen where place = 1);
update workout_plans p set code = c.code from chosen c where c.place = 1
  and p.id = (select id from chosen where place = 2);
update workout_plans p set code = c.code from chosen c where c.place = 2
  and p.id = (select id from chosen where place = 1);
delete from workout_plans where id = (select id from chosen where place = 3);
update workout_plans p set code = c.code from chosen c where c.place = 3
  and p.id = (select id from chosen where place = 4);
update exercise_logs set stamp = gen_random_uuid() where set_number = 1;
drop table chosen;
"""
"""Two plans change codes; a third goes, and a fourth takes its code over."""


async def codes_in(conn: Connection, table: str) -> dict[Any, str]:
    return {row["id"]: row["code"] for row in await conn.fetch(f"select id, code from {table}")}


@pytest.mark.parametrize("deletions", [True, False])
async def test_what_keeps_rows_apart(make_database: MakeDatabase, connect: Connect, deletions: bool) -> None:
    database = await make_database(SandboxOptions(plans=12, clean=True))
    conn = await connect(database.url)
    await conn.execute(APART)
    catalog = await catalog_fingerprint(conn)
    context = await context_of(database, conn)
    gate = [event async for event in gates(context) if event.id == "carried-unique"][-1]
    assert gate.status is Status.FAIL and gate.measured == "3 of 8 unique indexes", gate
    for words in (
        "the mapping may change goal",
        "v2 has not week_number",
        "coded follows",
        "once_a_goal follows",
        'alter table "public"."exercise_logs" add CONSTRAINT "tickets" UNIQUE (ticket) DEFERRABLE;',
    ):
        assert words in (gate.message or ""), gate

    async def pass_on(event: Event, control: Control) -> None:
        if isinstance(event, StepEvent) and (event.id, event.state) == ("hold", StepState.STARTED):
            await conn.execute(PASSED_ON)
            # Somebody else's are nothing to the plan.
            await conn.execute("create statistics elsewhere on coach_id, client_id from coach_clients")
            control.go()

    ran = await do_migrate(database, hold=True, on_event=pass_on, overrides={"carried-unique": "made again by hand"})
    assert ran.result.ok, ran.result
    await conn.execute("drop statistics elsewhere")
    assert await v2_differences(conn) == []
    made = await conn.fetch(
        "select i.indexrelid::regclass::text as name, c.contype is not null as constraint_too from pg_index i "
        "left join pg_constraint c on c.conindid = i.indexrelid and c.contype = 'u' where i.indisunique "
        "and i.indrelid = any(array['workout_plans', 'workout_sessions', 'exercise_logs', 'exercises']::regclass[]) "
        "and not i.indisprimary order by 1"
    )
    assert [tuple(row) for row in made] == [
        ("coded", True),
        ("exercise_logs_session_id_exercise_id_set_number_key", True),
        ("exercise_logs_stamp_key", True),
        ("once_a_goal", False),
        ("seats", False),
        ("workout_sessions_device_key", True),
    ]
    with pytest.raises(asyncpg.UniqueViolationError):
        await conn.execute("update workout_plans set code = (select min(code) from workout_plans)")
    await conn.execute(PASSED_ON)
    v2 = await codes_in(conn, "workout_plans")
    if deletions:
        await rolled_back(database, apply_deletions=True)
        assert await codes_in(conn, "workout_plans") == v2
    else:
        # The plan that went stays, and with it its code: the one that took it over keeps what it had.
        kept = await codes_in(conn, "workout_plans_v1")
        await rolled_back(database)
        v1 = await codes_in(conn, "workout_plans")
        [code] = [v1[plan] for plan in v1 if plan not in v2]
        assert code in kept.values() and len(v1) == len(v2) + 1
        assert [v2[other] for other in v2 if v1[other] != v2[other]] == [code]
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_values_of_other_types_are_told(make_database: MakeDatabase, connect: Connect) -> None:
    """Times without a zone are taken for UTC, where the app's sessions may have meant another; a text is no object."""
    database = await make_database(SandboxOptions(empty=True))
    conn = await connect(database.url)
    await conn.execute(
        "alter table workout_sessions alter created_at drop default, alter created_at type date;\n"
        "alter table exercise_logs alter completed_at type timestamp(0), alter completed_at set default now();\n"
        "drop view active_plans; alter table workout_plans alter start_date type timestamptz,\n"
        "  alter metadata drop default, alter metadata type text"
    )
    told = "exercise_logs.completed_at: times without a zone in v1, taken for UTC in v2"
    for zone, more in (("UTC", ""), ("America/New_York", """ at time zone 'America/New_York';""")):
        async with database.as_admin() as admin:
            await admin.execute(f"alter database {quote(database.name)} set timezone = '{zone}'")
        conn = await connect(database.url)
        shape = (await read_state(conn)).shape
        assert shape is not None
        lines = await otherwise(conn, shape)
        assert any("type jsonb using" in line for line in lines if line.startswith("workout_plans.metadata: text in"))
        assert "workout_plans.start_date: a moment in v1; v2 has its day, as it is in UTC" in lines
        [day] = [line for line in lines if line.startswith("workout_sessions.created_at: days in v1, moments in v2")]
        assert day.endswith("a rollback brings the day back and leaves the time in the archive")
        [line] = [line for line in lines if line.startswith(told)]
        assert line == told if zone == "UTC" else line.endswith(more)
        assert not any("sessions.started_at: times" in line for line in lines), "those have a zone"
