"""What the engine is compared with: the row loop and the copy floor. Both end with exactly v2's tables."""

from __future__ import annotations

import time

from vagus_tui.database.connection import Connection
from vagus_tui.migration.catch_up import MAPPED
from vagus_tui.migration.proof import count_sql
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.mapping import WorkoutMapping

ROW_LOOP, COPY_FLOOR = "row_loop", "copy_floor"


def row_loop_script(mapping: WorkoutMapping) -> str:
    """The row loop: plan by plan, week by week, exercise by exercise, session by session, log by log.

    Written for the sandbox's own v1. It works out each plan's days once, finds everything by index, and computes
    nothing twice.
    """
    week_id, day_id = mapping.week_id, mapping.day_id
    return f"""
do $loop$
declare
  plan record; session record; log record; exercise record; favourite record;
  days {ROW_LOOP}.day[]; day {ROW_LOOP}.day; keyed {ROW_LOOP}.keyed[];
  weeks integer; week integer; day_at uuid;
begin
  for plan in select * from public.workout_plans loop
    keyed := array(
      select row(k.id, lower(k.name), k.name, k.first_place, k.muscle_group)::{ROW_LOOP}.keyed
      from (select e.id, {mapping.day_name("e")} as name, e.order_index as first_place,
              coalesce(e.muscle_group, 'general') as muscle_group
            from public.exercises e where e.plan_id = plan.id) k);
    days := array(
      select row(g.key, g.label, row_number() over (order by g.first_place nulls last, g.label collate "C"),
                 g.muscle_groups)::{ROW_LOOP}.day
      from (select k.key, (array_agg(k.name order by k.first_place nulls last, k.id))[1] as label,
              min(k.first_place) as first_place,
              array_agg(distinct k.muscle_group collate "C" order by k.muscle_group collate "C") as muscle_groups
            from unnest(keyed) k group by k.key) g);
    if cardinality(days) = 0 and exists (select from public.workout_sessions s where s.plan_id = plan.id) then
      days := array[row('full body', 'Full Body', 1, '{{}}')::{ROW_LOOP}.day];
    end if;
    weeks := coalesce(plan.duration_weeks,
      (select max(e.week_number) from public.exercises e where e.plan_id = plan.id), 4);
    insert into {ROW_LOOP}.workout_plans (id, user_id, name, description, goal, total_weeks, current_week, status,
      template_category, created_by, created_at, updated_at, is_template, ai_generated, metadata, cover_color)
    values (plan.id, plan.user_id, plan.name, plan.description, {mapping.goal("plan")}, weeks, 1,
      case when plan.is_active then 'active' when not plan.is_active then 'completed' else 'draft' end,
      plan.template_category, plan.created_by, plan.created_at, plan.updated_at, coalesce(plan.is_template, false),
      coalesce(plan.ai_generated, false), plan.metadata, plan.cover_color);
    for week in 1..weeks loop
      insert into {ROW_LOOP}.workout_weeks (id, plan_id, week_number, start_date, end_date)
      values ({week_id("plan.id", "week")}, plan.id, week, plan.start_date + 7 * (week - 1),
        plan.start_date + 7 * (week - 1) + 6);
      foreach day in array days loop
        insert into {ROW_LOOP}.workout_days (id, week_id, day_label, day_number, muscle_groups)
        values ({day_id("plan.id", "week", "day.key")}, {week_id("plan.id", "week")}, day.label, day.number,
          day.muscle_groups);
      end loop;
    end loop;
    for exercise in
      select e.*, k.key, e.muscle_group as found_group,
        coalesce(e.order_index, coalesce(max(e.order_index) over (), 0) + (row_number() over (
          partition by e.order_index is null order by e.created_at nulls last, e.id))::integer) as place
      from public.exercises e join unnest(keyed) k on k.id = e.id where e.plan_id = plan.id
    loop
      week := greatest(1, least(coalesce(exercise.week_number, 1), weeks));
      insert into {ROW_LOOP}.exercises (id, day_id, name, muscle_group, equipment, sets, target_reps_min,
        target_reps_max, target_weight, rest_seconds, tempo, notes, video_url, order_index, created_at, updated_at)
      values (exercise.id, {day_id("plan.id", "week", "exercise.key")}, exercise.name,
        coalesce(exercise.muscle_group, 'general'), exercise.equipment, exercise.sets, exercise.reps_min,
        exercise.reps_max, exercise.weight, coalesce(exercise.rest_seconds, 90), exercise.tempo, exercise.notes,
        exercise.video_url, exercise.place, exercise.created_at, exercise.updated_at);
    end loop;
    for session in select * from public.workout_sessions s where s.plan_id = plan.id loop
      week := greatest(1, least(coalesce((session.started_at::date - plan.start_date) / 7 + 1, 1), weeks));
      select d.key into favourite from public.exercise_logs l
        join unnest(keyed) k on k.id = l.exercise_id join unnest(days) d on d.key = k.key
        where l.session_id = session.id group by d.key, d.number order by count(*) desc, d.number limit 1;
      day_at := case when cardinality(days) > 0
        then {day_id("plan.id", "week", "coalesce(favourite.key, days[1].key)")} end;
      insert into {ROW_LOOP}.workout_sessions (id, user_id, day_id, started_at, completed_at, notes, created_at,
        total_volume, total_sets)
      select session.id, session.user_id, day_at, session.started_at, session.completed_at, session.notes,
        session.created_at, coalesce(sum(l.reps * l.weight), 0), count(*)
      from public.exercise_logs l where l.session_id = session.id;
      for log in select * from public.exercise_logs l where l.session_id = session.id loop
        insert into {ROW_LOOP}.exercise_logs (id, session_id, exercise_id, set_number, reps, weight, rpe, tempo,
          rest_seconds, notes, completed_at, device)
        values (log.id, log.session_id, log.exercise_id, log.set_number, log.reps, log.weight, log.rpe, log.tempo,
          log.rest_seconds, log.notes, log.completed_at, log.device);
      end loop;
    end loop;
  end loop;
end
$loop$
"""


async def row_loop(connection: Connection, mapping: WorkoutMapping, model: V2Ddl) -> float:
    """Seconds that the row loop takes, into tables that already have their indexes, keys and references."""
    ddl = _fresh(model, ROW_LOOP)
    await _bare_tables(connection, ddl)
    for table in ddl.tables:
        await _keys_and_indexes(connection, ddl, table)
    await _references(connection, ddl)
    await connection.execute(
        f"create type {ROW_LOOP}.keyed as (id uuid, key text, name text, first_place integer, muscle_group text);"
        f"create type {ROW_LOOP}.day as (key text, label text, number integer, muscle_groups text[])"
    )
    started = time.perf_counter()
    await connection.execute(row_loop_script(mapping))
    seconds = time.perf_counter() - started
    await _same(connection, mapping, ROW_LOOP)
    await connection.execute(f"drop schema {ROW_LOOP} cascade")
    return seconds


async def copy_floor(connection: Connection, schema: str, model: V2Ddl) -> dict[str, float]:
    """Seconds per part that copying the finished v2 takes on one connection: rows, then keys and indexes, references.

    Args:
        schema: where the finished v2 is.
    """
    ddl = _fresh(model, COPY_FLOOR)
    await _bare_tables(connection, ddl)
    seconds = {}
    started = time.perf_counter()
    for table in ddl.tables:
        names = await connection.fetch(
            "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped "
            "and attgenerated = '' order by attnum",
            ddl.relation(table),
        )
        listed = ", ".join(quote(row[0]) for row in names)
        await connection.execute(
            f"insert into {ddl.relation(table)} ({listed}) select {listed} from {qualified(schema, table)}"
        )
    seconds["rows"] = time.perf_counter() - started
    started = time.perf_counter()
    for table in ddl.tables:
        await _keys_and_indexes(connection, ddl, table)
    seconds["keys and indexes"] = time.perf_counter() - started
    started = time.perf_counter()
    await _references(connection, ddl)
    seconds["references"] = time.perf_counter() - started
    await connection.execute(f"drop schema {COPY_FLOOR} cascade")
    return seconds


def _fresh(model: V2Ddl, schema: str) -> V2Ddl:
    return V2Ddl(schema, model.shape, frozenset(), model.preferences)


async def _bare_tables(connection: Connection, ddl: V2Ddl) -> None:
    await connection.execute(f"create schema {quote(ddl.schema)}")
    for table in ddl.tables:
        await connection.execute(ddl.create_table(table))


async def _keys_and_indexes(connection: Connection, ddl: V2Ddl, table: str) -> None:
    for index in (*ddl.unique_indexes(table), *ddl.indexes(table)):
        await connection.execute(index.sql)
    for statement in ddl.key_constraints(table):
        await connection.execute(statement)


async def _references(connection: Connection, ddl: V2Ddl) -> None:
    """Every reference in one statement each, its rows looked at as it is made."""
    for table in ddl.tables:
        for users in (False, True):
            for key in ddl.foreign_keys(table, users=users):
                await connection.execute(key.sql.removesuffix(" not valid"))


async def _same(connection: Connection, mapping: WorkoutMapping, schema: str) -> None:
    """The rival must have made what the engine makes, or it would be compared with something else."""
    for table in MAPPED:
        row = await connection.fetchrow(count_sql(mapping, schema, table))
        assert row is not None
        if row["differences"] or not row["compared"]:
            raise RuntimeError(f"{schema}.{table}: {row['differences']} of {row['compared']} rows differ")
    assert set(MAPPED) < set(v2.TABLES)
