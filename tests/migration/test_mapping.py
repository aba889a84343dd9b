"""The mapping against its restatement in Python, on databases of every shape that v1 may have."""

from __future__ import annotations

import json
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import migrated, rolled_back
from tests.migration.surroundings_of_v1 import SURROUNDINGS
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from vagus_tui.database.connection import Connection
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v1
from vagus_tui.schema.ddl import KEEP_UPDATED_AT

LABELS = [
    *(None, "", "  ", "\t\n", "\u00a0", "\u2003 ", "Push Day", " push day ", "PUSH DAY\t", "\u3000Push Day"),
    *(
        "Leg Day",
        "Full Body",
        "full body",
        "Ärmel",
        "ÄRMEL",
        "ärmel ",
        "Straße",
        "É",
        "é",
        "A:1",
        "A:1:b",
        "日",
        "'; --",
    ),
    *('"quoted"', "\\", "{}", "<b>", "\u202eright", "x" * 300),
]
GROUPS = [
    *(None, "", " ", "chest", "Chest ", "BICEPS", "quads", "abs", "full_body", "Full_Body", "neck", "grip strength"),
    *("\u2003back", "Zähe", "cardio"),
]
WEEKDAYS = [
    None,
    "",
    " ",
    "0",
    "1",
    "6",
    "7",
    "-1",
    "Monday",
    "monday ",
    "MON",
    "tue",
    "Sunnday",
    "\u00a0Friday",
    "3.0",
]
GOALS = [
    None,
    "",
    "strength",
    " Strength ",
    "WEIGHT LOSS",
    "weight_loss",
    "get big",
    "general  fitness",
    "Hypertrophy\t",
]
TYPES = """
create domain kilos_exactly as numeric(9,3) check (value > -100);
create domain kilos as numeric(5,1) check (value >= 0);
create domain short_text as varchar(400);
create domain loose as json;
create domain key as uuid;
create domain owner as key;
create domain counted as integer check (value > -100);
create domain load as kilos_exactly check (value < 20000);
create domain moment as timestamp with time zone;
create domain flag as boolean;
create type pair as (note json, place point);
create type mood_kind as enum ('low', 'so so', 'it''s high');
"""
"""Types of the project's own, in all of its databases here."""
EXTRAS = {
    v1.PLANS: {
        "status": "text",
        "v1_status": "text",
        "extras": "json",
        "Tags": "text[]",
        "total_weeks": "circle",
        "mood": "mood_kind",
        "prices": "numeric(12,4)[]",
        "span": "int4range",
        "x": "loose",
        "t": "polygon",
    },
    v1.EXERCISES: {
        "group_id": "text",
        "target_weight": "point",
        "we\"ird 'one": "jsonb",
        "load": "kilos",
        "n": "text",
        "x": "pair",
        "name_length": "integer generated always as (char_length(name)) stored",
    },
    v1.SESSIONS: {"energy_level": "text", "gym": "inet", "moods": "mood_kind[]", "took": "interval", "s": "loose"},
    v1.LOGS: {
        "form_rating": "json",
        "mood": "numeric(3,2)",
        "exact": "numeric(30,15)",
        "raw": "bytea",
        "l": "pair",
        "t": "text",
        "target_reps": "integer generated always as (set_number * 2) stored",
    },
}
VALUES = {
    "text": "' kept '",
    "json": '\'{"a":  1, "a": 2}\'',
    "text[]": "'{a,NULL,\"b c\"}'",
    "circle": "'<(0,0),1>'",
    "point": "'(1,2)'",
    "jsonb": "'[1]'",
    "inet": "'10.0.0.1'",
    "numeric(3,2)": "1.23",
    "mood_kind": "'it''s high'",
    "numeric(12,4)[]": "'{1.2300,NULL}'",
    "int4range": "'[1,5)'",
    "kilos": "12.5",
    "mood_kind[]": "'{low,\"so so\"}'",
    "loose": "'{\"a\":  1}'",
    "polygon": "'((0,0),(1,1),(2,0))'",
    "pair": "row('[1,  2]', '(1,2)')",
    "interval": "'1 hour 2 seconds'",
    "numeric(30,15)": "0.123456789012345",
    "bytea": "'\\x00ff'",
}
RETYPED = [
    (v1.PLANS, "goal", "short_text"),
    (v1.PLANS, "name", "varchar(400)"),
    (v1.EXERCISES, "sets", "smallint"),
    (v1.EXERCISES, "reps_min", "smallint"),
    (v1.EXERCISES, "order_index", "bigint"),
    (v1.EXERCISES, "day_of_week", "numeric(3,1) using case when day_of_week ~ '^[0-9]$' then day_of_week::numeric end"),
    (v1.LOGS, "reps", "smallint"),
    (v1.PLANS, "created_by", "owner"),
    (v1.PLANS, "is_active", "flag"),
    (v1.PLANS, "duration_weeks", "counted"),
    (v1.EXERCISES, "weight", "load"),
    (v1.EXERCISES, "muscle_group", "short_text"),
    (v1.SESSIONS, "started_at", "moment"),
    (v1.LOGS, "rest_seconds", "counted"),
    (v1.LOGS, "weight", "load"),
]
"""Columns that the mapping knows, in types that it has to see through."""
COACHES = {
    "table": "insert into coach_clients (coach_id, client_id, status) values ($1, $2, 'active')",
    "no status": "alter table coach_clients drop column status cascade",
    "view": "alter table coach_clients rename to pairs; create view coach_clients as select * from pairs",
    "missing": "drop table coach_clients cascade",
}
PREFERENCES = {
    "none": "",
    "jsonb": "insert into notification_preferences (user_id, preferences) values ($1, '{\"pr\": true}')",
    "rows": "insert into notification_preferences (user_id, category, enabled) values ($1, 'pr', true)",
}
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    """Which optional columns are missing, which others there are, and a seed for the rows."""
    return {
        "dropped": {t: draw(st.sets(st.sampled_from(v1.OPTIONAL[t]), max_size=len(v1.OPTIONAL[t]))) for t in v1.TABLES},
        "extras": {t: draw(st.sets(st.sampled_from(sorted(EXTRAS[t])))) for t in v1.TABLES},
        "seed": draw(st.integers(0, 10**9)),
        "plans": draw(st.integers(1, 6)),
        "retyped": draw(st.sets(st.sampled_from(RETYPED))),
        "bigint": draw(st.booleans()),
        "renamed": draw(st.booleans()),
        "coaches": draw(st.sampled_from(sorted(COACHES))),
        "preferences": draw(st.sampled_from(sorted(PREFERENCES))),
        "around": draw(st.sets(st.sampled_from(sorted(SURROUNDINGS)))),
    }


def some(chance: random.Random, values: list[Any]) -> Any:
    return chance.choice(values)


def rows_of(chance: random.Random, plans: int, *, bigint: bool = False) -> dict[str, list[dict[str, Any]]]:
    """Plans, exercises, sessions and logs that v2 can hold, odd in every other way."""
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in v1.TABLES}

    def key() -> UUID | int:
        return chance.getrandbits(40) + 1 if bigint else UUID(int=chance.getrandbits(128))

    users = [UUID(int=number) for number in (1, 2, 3)]
    for _ in range(plans):
        plan, weeks = key(), some(chance, [None, 1, 2, 5, 52])
        rows[v1.PLANS].append(
            {
                "id": plan,
                "user_id": some(chance, users),
                "name": some(chance, LABELS) or "x",
                "description": some(chance, LABELS),
                "goal": some(chance, GOALS),
                "duration_weeks": weeks,
                "start_date": some(chance, [None, date(2026, 3, 4), date(2026, 1, 1), date(2027, 1, 1)]),
                "is_active": some(chance, [None, True, False]),
                "is_template": some(chance, [None, True, False]),
                "template_category": some(chance, LABELS),
                "created_by": some(chance, [None, *users]),
                "ai_generated": some(chance, [None, True]),
                "metadata": some(chance, [None, "{}", '{"a": [1, null]}', "3"]),
                "created_at": some(chance, [None, NOON]),
            }
        )
        mine = []
        for _ in range(some(chance, [0, 1, 3, 8])):
            low = some(chance, [None, 1, 8])
            mine.append(key())
            rows[v1.EXERCISES].append(
                {
                    "id": mine[-1],
                    "plan_id": plan,
                    "name": some(chance, LABELS) or "y",
                    "muscle_group": some(chance, GROUPS),
                    "day_of_week": some(chance, [None, None, *WEEKDAYS]),
                    "day_label": some(chance, LABELS),
                    "week_number": some(chance, [None, 1, 2, 7]),
                    "sets": some(chance, [1, 3]),
                    "reps_min": low,
                    "reps_max": low and low + some(chance, [0, 1, 3]),
                    "weight": some(chance, [None, Decimal(0), Decimal("9999.99"), Decimal("-2.5"), Decimal("20.125")]),
                    "rest_seconds": some(chance, [None, 0, 45]),
                    "tempo": some(chance, [None, "3-1-1"]),
                    "equipment": some(chance, LABELS),
                    "notes": some(chance, LABELS),
                    "order_index": some(chance, [None, None, 0, 1, 1, 2, -3, 100]),
                    "created_at": some(chance, [None, NOON, NOON, NOON - timedelta(days=1)]),
                }
            )
        for _ in range(some(chance, [0, 1, 4])):
            session = key()
            days = some(chance, [0, 6, 7, -1, -8, 400])
            rows[v1.SESSIONS].append(
                {
                    "id": session,
                    "user_id": some(chance, users),
                    "plan_id": some(chance, [plan, plan, plan, None]),
                    "started_at": datetime(2026, 3, 4, tzinfo=UTC)
                    + timedelta(days=days, seconds=some(chance, [0, -1])),
                    "completed_at": some(chance, [None, NOON]),
                    "notes": some(chance, LABELS),
                    "created_at": some(chance, [None, NOON]),
                }
            )
            everywhere = [row["id"] for row in rows[v1.EXERCISES]]
            for number in range(some(chance, [0, 2, 6]) if everywhere else 0):
                rows[v1.LOGS].append(
                    {
                        "id": key(),
                        "session_id": session,
                        "set_number": number + 1,
                        "exercise_id": some(chance, mine if mine and chance.random() < 0.8 else everywhere),
                        "reps": some(chance, [0, 5, 10]),
                        "weight": some(chance, [Decimal(0), Decimal("20.125"), Decimal("62.5")]),
                        "rpe": some(chance, [None, Decimal("7.25"), Decimal(1), Decimal("9.96")]),
                        "tempo": None,
                        "rest_seconds": some(chance, [None, 60]),
                        "notes": some(chance, LABELS),
                        "completed_at": some(chance, [None, NOON]),
                    }
                )
    return rows


async def fill(database: TestDatabase, shape: dict[str, Any]) -> None:
    """Give an empty v1 the shape and the rows."""
    rows = rows_of(random.Random(shape["seed"]), shape["plans"], bigint=shape["bigint"])
    async with database.as_admin() as conn:
        await conn.executemany(
            "insert into auth.users (id, email) values ($1, $2)", [(UUID(int=n), f"{n}@example.org") for n in (1, 2, 3)]
        )
    async with database.connect() as conn, conn.transaction():
        await conn.execute(TYPES)
        for table in v1.TABLES:
            for column in sorted(shape["dropped"][table]):
                await conn.execute(f'alter table {table} drop column "{column}" cascade')
            for row in rows[table]:
                kept = {name: value for name, value in row.items() if name not in shape["dropped"][table]}
                listed = ", ".join(f'"{name}"' for name in kept)
                marks = ", ".join(f"${number}" for number in range(1, len(kept) + 1))
                await conn.execute(f"insert into {table} ({listed}) values ({marks})", *kept.values())
            for column in sorted(shape["extras"][table]):
                kind = EXTRAS[table][column]
                quoted = '"' + column.replace('"', '""') + '"'
                await conn.execute(f"alter table {table} add column {quoted} {kind}")
                if "generated" in kind:
                    continue
                await conn.execute(f"alter table {table} disable trigger user")
                await conn.execute(f"update {table} set {quoted} = {VALUES[kind]} where md5(id::text) < 'a'")
                await conn.execute(f"alter table {table} enable trigger user")
        for table, column, kind in sorted(shape["retyped"]):
            if column not in shape["dropped"][table]:
                # What hangs on the column is not what is looked at here.
                await conn.execute("drop view if exists active_plans")
                await conn.execute(f"alter table {table} alter column {column} type {kind}")
        await _around(conn, shape)
        for name in sorted(shape["around"]):
            await conn.execute(SURROUNDINGS[name].replace("{id}", "bigint" if shape["bigint"] else "uuid"))
        if shape["renamed"]:
            for table in v1.TABLES:
                await conn.execute(f"alter table {table} rename to {table}_v1")


async def _around(conn: Connection, shape: dict[str, Any]) -> None:
    """Coaches and preferences, in the shapes that projects have them in."""
    first, second = UUID(int=1), UUID(int=2)
    await conn.execute(COACHES["table"], first, second)
    if shape["coaches"] != "table":
        await conn.execute(COACHES[shape["coaches"]])
    if PREFERENCES[shape["preferences"]]:
        await conn.execute(PREFERENCES[shape["preferences"]], first)


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
