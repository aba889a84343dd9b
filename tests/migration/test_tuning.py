"""What operators have set on v1's tables is set on v2's too where it has a place there; the rest is said beforehand."""

from __future__ import annotations

from typing import Any

from tests.conftest import Connect, MakeDatabase
from tests.migration.support import migrated, rolled_back, settings_for
from tests.migration.test_dependents import context_of
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from vagus_tui.database.connection import Connection
from vagus_tui.events import Status
from vagus_tui.journal.state import read_state
from vagus_tui.migration.gates import gates
from vagus_tui.migration.plan import plan_migration
from vagus_tui.sandbox.options import SandboxOptions

KEEPER = """
do $$ begin if not exists (select from pg_roles where rolname = 'keeper') then create role keeper; end if; end $$;
grant keeper to postgres;
alter table exercise_logs owner to keeper;
"""

TUNED = """
alter table exercises add column "My tag; --" text not null default '', add column code text;
update exercises set code = id::text;
alter table exercises alter column code set not null;
create unique index codes on exercises (code);
create index tags on exercises (lower("My tag; --"), name) with (fillfactor = 70);
create index recent on workout_sessions (user_id, started_at desc);
create index hard on exercise_logs (exercise_id) where reps > 10;
alter table exercises set (fillfactor = 80, autovacuum_enabled = false, toast.autovacuum_enabled = false);
alter table exercise_logs set (autovacuum_vacuum_scale_factor = 0.01);
alter table exercises alter column name set statistics 500, alter column plan_id set statistics 0,
  alter column reps_min set statistics 33, alter column plan_id set (n_distinct = -0.2),
  alter column muscle_group set (n_distinct = 12), alter column notes set storage external,
  alter column "My tag; --" set compression pglz, alter column weight set storage external;
alter table workout_plans alter column duration_weeks set (n_distinct = 9),
  alter column user_id set (n_distinct = -0.5);
create statistics "Of ex; --" (dependencies, mcv) on name, reps_min, sets from exercises;
alter statistics "Of ex; --" set statistics 77;
comment on statistics "Of ex; --" is 'found out''s';
create statistics said on (lower(name)), (coalesce(notes, '') || tempo) from exercises;
create statistics stays (ndistinct) on plan_id, name from exercises;
create statistics mixed on reps_min, (lower(name)) from exercises;
create schema tuning;
create statistics tuning.of_logs (ndistinct) on reps, weight from exercise_logs;
alter table exercises cluster on codes;
alter table exercises replica identity using index codes;
alter table workout_plans cluster on idx_workout_plans_user_id;
alter table workout_sessions cluster on idx_workout_sessions_plan_id;
alter table exercise_logs replica identity nothing;
update workout_plans set template_category = coalesce(template_category, '');
alter table workout_plans alter column template_category set not null;
create unique index of_category on workout_plans (template_category, id);
alter table workout_plans replica identity using index of_category;
alter index tags alter column 1 set statistics 44;
comment on index codes is 'of the trainers';
comment on table exercises is '@graphql({"name": "Exercise"})';
comment on column exercises.reps_min is 'at least';
comment on column exercises.plan_id is 'whose';
comment on column exercises."My tag; --" is E'it''s \\\\ "mine"';
alter table workout_sessions add constraint in_time check (completed_at >= started_at) not valid;
comment on constraint in_time on workout_sessions is 'since May';
alter table exercises add constraint short check (char_length(name) <= 500);
alter table workout_sessions force row level security;
"""

MARKED = """
update pg_attribute set attoptions = array['pg_attver=22388520'] || coalesce(attoptions, '{}') where attnum > 0
  and attrelid in ('workout_plans'::regclass, 'exercises'::regclass)
"""
"""What servers since November 2026 keep beside the options that people set; older ones do not take it from anybody."""

SETTINGS = """
select c.relname || '.' || a.attname || ': ' || concat_ws(' ', nullif(a.attstattarget, -1), n.set,
  nullif(a.attstorage, t.typstorage), nullif(a.attcompression, ''), col_description(c.oid, a.attnum)) as said
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 join pg_type t on t.oid = a.atttypid
cross join lateral (select array_agg(o) as set from unnest(a.attoptions) o where o like 'n\\_distinct%') n
where c.relnamespace = 'public'::regnamespace and c.relname = any($1)
  and (a.attstattarget >= 0 or n.set is not null or a.attstorage <> t.typstorage or a.attcompression <> ''
       or col_description(c.oid, a.attnum) is not null)
union all
select c.relname || ': ' || concat_ws(' ', c.reloptions, x.reloptions, nullif(c.relreplident, 'd'),
  case when c.relforcerowsecurity then 'forced' end)
from pg_class c left join pg_class x on x.oid = c.reltoastrelid
where c.relnamespace = 'public'::regnamespace and c.relname = any($1)
union all
select n.nspname || ' ' || concat_ws(' ', pg_get_statisticsobjdef(s.oid), nullif(s.stxstattarget, -1),
  obj_description(s.oid, 'pg_statistic_ext'))
from pg_statistic_ext s join pg_class c on c.oid = s.stxrelid join pg_namespace n on n.oid = s.stxnamespace
where c.relnamespace = 'public'::regnamespace and c.relname = any($1)
union all
select i.relname || ': ' || concat_ws(' ', case when x.indisclustered then 'clustered' end,
  case when x.indisreplident then 'identity' end,
  (select nullif(a.attstattarget, -1) from pg_attribute a where a.attrelid = i.oid and a.attnum = 1),
  obj_description(i.oid, 'pg_class'))
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid
where c.relnamespace = 'public'::regnamespace and c.relname = any($1) and (x.indisclustered or x.indisreplident
  or obj_description(i.oid, 'pg_class') is not null
  or exists (select from pg_attribute a where a.attrelid = i.oid and a.attstattarget >= 0))
order by 1
"""

TABLES = ["workout_plans", "exercises", "workout_sessions", "exercise_logs"]


async def codes_in(conn: Connection) -> dict[Any, str]:
    return {row["id"]: row["code"] for row in await conn.fetch("select id, code from exercises")}


async def settings_in(conn: Connection, suffix: str = "") -> list[str]:
    """What is set on the four tables that have v1's names."""
    return [row["said"] for row in await conn.fetch(SETTINGS, [table + suffix for table in TABLES])]


EXPECTED = [
    "codes: clustered identity of the trainers",
    "exercise_logs: {autovacuum_vacuum_scale_factor=0.01} n",
    'exercises.My tag; --: p it\'s \\ "mine"',
    "exercises.name: 500",
    "exercises.notes: e",
    "exercises.target_reps_min: 33 at least",
    "exercises.target_weight: e",
    "exercises: {fillfactor=80,autovacuum_enabled=false} {autovacuum_enabled=false} i",
    "idx_workout_plans_user_id: clustered",
    'public CREATE STATISTICS public."Of ex; --" (dependencies, mcv) ON name, sets, target_reps_min FROM exercises '
    "77 found out's",
    "public CREATE STATISTICS public.of_logs (ndistinct) ON reps, weight FROM exercise_logs",
    "public CREATE STATISTICS public.said ON lower(name), (COALESCE(notes, ''::text) || tempo) FROM exercises",
    "tags: 44",
    "workout_plans.total_weeks: {n_distinct=9}",
    "workout_plans.user_id: {n_distinct=-0.5}",
    "workout_plans: ",
    "workout_sessions: forced",
]
"""What is set on v2's tables then."""

SWAPPED = """
create temporary table swapped as select id, code from exercises order by id limit 2;
update exercises e set code = 'between' where id = (select min(id::text)::uuid from swapped);
update exercises e set code = (select code from swapped s where s.id <> e.id) where id in
  (select max(id::text)::uuid from swapped);
update exercises e set code = (select code from swapped s where s.id <> e.id) where code = 'between';
drop table swapped;
"""


async def test_it_follows_and_comes_back(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=12, clean=True))
    conn = await connect(database.url)
    async with database.as_admin() as admin:
        await admin.execute(KEEPER)
    await conn.execute(TUNED)
    await database.execute_as_admin(MARKED)
    before, settings = await catalog_fingerprint(conn), await settings_in(conn)
    gate = [e async for e in gates(await context_of(database, conn)) if e.id == "dependent-settings"][-1]
    assert gate.status is Status.WARN and gate.message is not None, gate
    for words in (
        "mixed on exercises: stays",
        "create statistics",
        "no place for that of plan_id",
        "\"plan_id\" is 'whose';",
    ):
        assert words.lower() in gate.message.lower(), gate.message
    notes = "\n".join((await plan_migration(conn, settings_for(database), await read_state(conn))).notes)
    assert "CLUSTER mark on workout_sessions: stays with v1" in notes, notes
    assert "pg_attver" not in gate.message + notes
    # v2 has plans without a category.
    assert "replica identity on workout_plans: stays with v1" in notes, notes
    assert "index idx_exercises_plan_id stays with v1" in notes, notes
    for _ in range(2):
        rows = await v1_rows(conn)
        await migrated(database)
        assert await v2_differences(conn) == []
        found = await settings_in(conn)
        assert found == EXPECTED, "\n".join(found)
        owners = (
            "select array_agg(distinct tableowner::text order by tableowner::text) from pg_tables where tablename = $1"
        )
        assert await conn.fetchval(owners, "exercise_logs") == ["keeper"]
        said = await conn.fetchrow(
            "select obj_description('exercises'::regclass), obj_description(k.oid), k.convalidated "
            "from pg_constraint k where conname = 'in_time' and conrelid = 'workout_sessions'::regclass"
        )
        assert said is not None and tuple(said)[1:] == ("since May", False)
        assert said[0].endswith('made by vagus-tui.\n@graphql({"name": "Exercise"})')
        made = await conn.fetch(
            "select indexrelid::regclass::text from pg_index where indrelid = any($1::text[]::regclass[]) order by 1",
            TABLES,
        )
        assert {"codes", "tags", "recent", "hard"} <= {row[0] for row in made}
        await conn.execute(SWAPPED)
        codes = await codes_in(conn)
        await rolled_back(database)
        assert await codes_in(conn) == codes
        assert await settings_in(conn) == settings
        assert changes(before, await catalog_fingerprint(conn)) == []
        assert len(changes(rows, await v1_rows(conn))) == 2
