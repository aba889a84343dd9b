"""The mapping against its restatement in Python, on databases of every shape that v1 may have."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import Connect, MakeDatabase
from tests.migration.generated_v1 import EXTRAS, RETYPED, fill, shapes
from tests.migration.support import migrated, rolled_back
from tests.migration.surroundings_of_v1 import SURROUNDINGS
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from vagus_tui.database.connection import Connection
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v1
from vagus_tui.schema.ddl import KEEP_UPDATED_AT

INVARIANTS = {
    "as many plans": "select abs((select count(*) from workout_plans) - (select count(*) from workout_plans_v1))",
    "as many sessions": """
        select abs((select count(*) from workout_sessions) - (select count(*) from workout_sessions_v1))""",
    "as many logs": "select abs((select count(*) from exercise_logs) - (select count(*) from exercise_logs_v1))",
    "weeks without gaps": """
        select count(*) from workout_plans p where array(select generate_series(1, p.total_weeks)) is distinct from
          array(select w.week_number from workout_weeks w where w.plan_id = p.id order by 1)""",
    "weeks one after the other": """
        select count(*) from workout_weeks a join workout_weeks b on b.plan_id = a.plan_id
          and b.week_number = a.week_number + 1 where b.start_date <> a.end_date + 1 or a.end_date <> a.start_date + 6
          or (a.start_date is null) <> (b.start_date is null)""",
    "every week has the same days": """
        select count(*) from (select w.plan_id, w.week_number, array_agg((d.day_number, d.day_label, d.muscle_groups)
            order by d.day_number) as days from workout_weeks w left join workout_days d on d.week_id = w.id
          group by 1, 2) a join (select w.plan_id, array_agg((d.day_number, d.day_label, d.muscle_groups)
            order by d.day_number) as days from workout_weeks w left join workout_days d on d.week_id = w.id
          where w.week_number = 1 group by 1) b using (plan_id) where a.days is distinct from b.days""",
    "days numbered from one": """
        select count(*) from (select week_id, array_agg(day_number order by day_number) as numbers, count(*) as days
          from workout_days group by 1) d where numbers <> array(select generate_series(1, days::integer))""",
    "every exercise in its plan, and only there": """
        select count(*) from exercises_v1 o left join exercises e using (id)
          left join workout_days d on d.id = e.day_id left join workout_weeks w on w.id = d.week_id
          where w.plan_id is distinct from o.plan_id or e.name is distinct from o.name""",
    "every session in its plan, or in none": """
        select count(*) from workout_sessions_v1 o left join workout_sessions s using (id)
          left join workout_days d on d.id = s.day_id left join workout_weeks w on w.id = d.week_id
          where w.plan_id is distinct from o.plan_id or s.user_id is distinct from o.user_id""",
    "every set as it was": """
        select count(*) from exercise_logs_v1 o left join exercise_logs l using (id) where l.weight is null
          or (l.session_id, l.exercise_id, l.set_number, l.reps) is distinct from
             (o.session_id, o.exercise_id, o.set_number, o.reps::integer) or l.weight <> round(o.weight, 2)""",
    "sums of the sets": """
        select count(*) from workout_sessions s where s.total_sets <>
            (select count(*) from exercise_logs_v1 l where l.session_id = s.id)
          or s.total_volume <> (select round(coalesce(sum(l.reps * l.weight), 0), 2) from exercise_logs_v1 l
             where l.session_id = s.id)""",
    "one set of preferences for everybody": """
        select count(*) from auth.users u where 1 <>
          (select count(*) from notification_preferences n where n.user_id = u.id)""",
}
"""Queries that count what must not be, in SQL that has nothing of the engine's."""


async def broken(conn: Connection) -> dict[str, int]:
    """The invariants that do not hold, with how many rows break them."""
    found = {name: int(await conn.fetchval(query)) for name, query in INVARIANTS.items()}
    return {name: count for name, count in found.items() if count}


async def _preferences(conn: Connection, kind: str) -> None:
    """Nobody is opted in to anything they had not, and what was chosen stays."""
    chosen = await conn.fetchval(
        "select preferences::text from notification_preferences where user_id = $1", UUID(int=1)
    )
    others = await conn.fetch(
        "select n.preferences::text as said from notification_preferences n where n.user_id <> $1", UUID(int=1)
    )
    assert (json.loads(chosen) == {"pr": True}) == (kind != "none")
    for other in others:
        assert True not in json.loads(other["said"]).values()


async def _becomes_what_the_rules_say(make_database: MakeDatabase, shape: dict[str, Any], *, repeat: bool) -> None:
    options = SandboxOptions(empty=True, bigint_ids=shape["bigint"], notification_preferences=shape["preferences"])
    database = await make_database(options)
    await fill(database, shape)
    suffix = "_v1" if shape["renamed"] else ""
    async with database.connect() as conn:
        rows, catalog = await v1_rows(conn, suffix), await catalog_fingerprint(conn)
        await migrated(database, repeat_exercises=repeat)
        assert await v2_differences(conn, repeat=repeat) == []
        assert await broken(conn) == {}
        await _preferences(conn, shape["preferences"])
        # Every row written to again, and none of them changed by it: all of them are looked at, and v1 stays as it is.
        async with conn.transaction():
            await conn.execute(f"set local {KEEP_UPDATED_AT} = 'on'")
            for table in v1.TABLES:
                await conn.execute(f"update {table} set id = id")
        await rolled_back(database)
        assert changes(rows, await v1_rows(conn, suffix)) == []
        assert changes(catalog, await catalog_fingerprint(conn)) == []


SEARCH = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@settings(SEARCH, max_examples=6)
@given(shape=shapes(), repeat=st.booleans())
async def test_any_v1_becomes_what_the_rules_say(
    make_database: MakeDatabase, shape: dict[str, Any], repeat: bool
) -> None:
    await _becomes_what_the_rules_say(make_database, shape, repeat=repeat)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(SEARCH, max_examples=30)
@given(shape=shapes(), repeat=st.booleans())
async def test_any_v1_at_all(make_database: MakeDatabase, shape: dict[str, Any], repeat: bool) -> None:
    """The same, for longer."""
    await _becomes_what_the_rules_say(make_database, shape, repeat=repeat)


@pytest.mark.parametrize("bigint", [False, True])
async def test_everything_odd_at_once(bigint: bool, make_database: MakeDatabase) -> None:
    """Every column there is, of every odd type, under *_v1 names; and next to none, under v1's own."""
    everything: dict[str, Any] = {
        "dropped": {table: set() for table in v1.TABLES},
        "extras": {table: set(EXTRAS[table]) for table in v1.TABLES},
        "seed": 4,
        "plans": 5,
        "retyped": set(RETYPED),
        "bigint": bigint,
        "renamed": True,
        "coaches": "view",
        "preferences": "rows",
        "around": set(SURROUNDINGS),
    }
    nothing: dict[str, Any] = {
        **everything,
        "dropped": {table: set(v1.OPTIONAL[table]) for table in v1.TABLES},
        "extras": {table: set() for table in v1.TABLES},
        "retyped": set(),
        "renamed": False,
        "coaches": "missing",
        "preferences": "jsonb",
        "around": set(SURROUNDINGS),
    }
    await _becomes_what_the_rules_say(make_database, everything, repeat=True)
    await _becomes_what_the_rules_say(make_database, nothing, repeat=False)


async def test_the_invariants_see_a_fault(make_database: MakeDatabase, connect: Connect) -> None:
    """Each must turn red."""
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    await migrated(database)
    assert await broken(conn) == {}
    for statement in (
        "delete from workout_plans where id = (select min(id::text)::uuid from workout_plans)",
        "delete from workout_weeks where week_number = 2",
        "update workout_weeks set start_date = start_date + 1 where week_number = 2",
        "update workout_days set day_number = day_number + 1 where day_number > 1",
        "update exercises set name = name || '!' where id = (select min(id::text)::uuid from exercises)",
        "update workout_sessions set day_id = null",
        "update exercise_logs set reps = reps + 1",
        "update workout_sessions set total_sets = total_sets + 1",
        "update workout_sessions set total_volume = 1",
        "delete from notification_preferences",
    ):
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(statement)
        assert await broken(conn), statement
        await transaction.rollback()


@pytest.mark.parametrize("repeat", [False, True])
async def test_the_sandboxs_data(repeat: bool, make_database: MakeDatabase, connect: Connect) -> None:
    """Believable data, under `*_v1` names; once with every exercise in every week."""
    database = await make_database(SandboxOptions(plans=30, clean=True, renamed=True))
    conn = await connect(database.url)
    await migrated(database, repeat_exercises=repeat)
    assert await v2_differences(conn, repeat=repeat) == []
    ran = await rolled_back(database)
    assert ran.result.figures is not None and ran.result.figures["not_expressible"] == 0


async def test_repeated_exercises_with_bigint_ids(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True, bigint_ids=True))
    conn = await connect(database.url)
    await migrated(database, repeat_exercises=True)
    assert await v2_differences(conn, repeat=True) == []


async def test_the_restatement_sees_a_fault(make_database: MakeDatabase, connect: Connect) -> None:
    """The comparison itself must turn red: one changed value, one row too many, one missing."""
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    await migrated(database)
    await conn.execute(
        "update exercises set target_weight = target_weight + 0.01 "
        "where id = (select min(id::text)::uuid from exercises)"
    )
    await conn.execute("delete from exercise_logs where id = (select min(id::text)::uuid from exercise_logs)")
    await conn.execute("insert into workout_weeks (plan_id, week_number) select id, 53 from workout_plans limit 1")
    found = await v2_differences(conn)
    assert len(found) == 3 and {line.split()[0] for line in found} == {"exercises", "exercise_logs", "workout_weeks"}
