"""Databases of every shape that v1 may have, with rows of every kind: drawn by Hypothesis, filled from a seed."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from tests.databases import TestDatabase
from tests.migration.surroundings_of_v1 import SURROUNDINGS
from vagus_tui.database.connection import Connection
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
    # What jsonb refuses: nothing that looks at whole rows may make that of them.
    "json": r"""'{"a":  1, "a": "\u0000 \ud800"}'""",
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
    "loose": r"""'{"a":  1e999999}'""",
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
