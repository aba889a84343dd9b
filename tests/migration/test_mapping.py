"""The mapping against its restatement in Python, on databases of every shape that v1 may have."""

from __future__ import annotations

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
from tests.oracle import changes, v1_rows, v2_differences
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v1

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
EXTRAS = {
    v1.PLANS: {"status": "text", "v1_status": "text", "extras": "json", "Tags": "text[]", "total_weeks": "circle"},
    v1.EXERCISES: {"group_id": "text", "target_weight": "point", "we\"ird 'one": "jsonb"},
    v1.SESSIONS: {"energy_level": "text", "gym": "inet"},
    v1.LOGS: {"form_rating": "json", "mood": "numeric(3,2)"},
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
    }


def some(chance: random.Random, values: list[Any]) -> Any:
    return chance.choice(values)


def rows_of(chance: random.Random, plans: int) -> dict[str, list[dict[str, Any]]]:
    """Plans, exercises, sessions and logs that v2 can hold, odd in every other way."""
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in v1.TABLES}

    def key() -> UUID:
        return UUID(int=chance.getrandbits(128))

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
    rows = rows_of(random.Random(shape["seed"]), shape["plans"])
    async with database.as_admin() as conn:
        await conn.executemany(
            "insert into auth.users (id, email) values ($1, $2)", [(UUID(int=n), f"{n}@example.org") for n in (1, 2, 3)]
        )
    async with database.connect() as conn, conn.transaction():
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
                await conn.execute(f"alter table {table} disable trigger user")
                await conn.execute(f"update {table} set {quoted} = {VALUES[kind]} where md5(id::text) < 'a'")
                await conn.execute(f"alter table {table} enable trigger user")


@settings(
    max_examples=12,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(shape=shapes(), repeat=st.booleans())
async def test_any_v1_becomes_what_the_rules_say(
    make_database: MakeDatabase, shape: dict[str, Any], repeat: bool
) -> None:
    database = await make_database(SandboxOptions(empty=True))
    await fill(database, shape)
    async with database.connect() as conn:
        rows = await v1_rows(conn)
        await migrated(database, repeat_exercises=repeat)
        assert await v2_differences(conn, repeat=repeat) == []
        await rolled_back(database)
        assert changes(rows, await v1_rows(conn)) == []


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
