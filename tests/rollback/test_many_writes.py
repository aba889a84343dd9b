"""Hundreds of writes by real users after the cut-over: every one is in v1 or in the archive and the report."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any

import asyncpg
import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import migrated, rolled_back
from vagus_tui.database.connection import Connection
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v2

WRITES = 300
STRANGE = ("", "O'Reilly", '"quoted"', "[/red]", "ملاحظة", "\U0001f3cb\n2×5", "a\tb", "%s {x}", "NULL", "x" * 5000)


class Writer:
    """One user after another writes through row level security, as the app does, at random."""

    def __init__(self, app: Connection, choice: random.Random) -> None:
        self.app = app
        self.choice = choice

    async def pick(self, table: str) -> Any:
        """Any row of a table that this user sees; None when there is none."""
        return await self.app.fetchval(
            f"select id from {table} order by md5(id::text || $1) limit 1", str(self.choice.random())
        )

    async def write(self, user: Any) -> None:
        """One write."""
        await getattr(self, self.choice.choice(ACTS))(user)

    def text(self) -> str:
        return self.choice.choice(STRANGE)

    async def new_plan(self, user: Any) -> None:
        await self.app.execute(
            "insert into workout_plans (user_id, name, total_weeks, status, goal) values ($1, $2, $3, $4, 'strength')",
            user,
            self.text(),
            self.choice.randint(1, 12),
            self.choice.choice(["draft", "active", "completed", "archived"]),
        )

    async def changed_plan(self, user: Any) -> None:
        await self.app.execute(
            "update workout_plans set name = $2, description = $3, current_week = $4 where id = $1",
            await self.pick("workout_plans"),
            self.text(),
            self.text(),
            self.choice.randint(1, 5),
        )

    async def new_week(self, user: Any) -> None:
        await self.app.execute(
            "insert into workout_weeks (plan_id, week_number, notes) select p.id, $2, $3 from workout_plans p "
            "where p.id = $1 on conflict do nothing",
            await self.pick("workout_plans"),
            self.choice.randint(1, 52),
            self.text(),
        )

    async def new_day(self, user: Any) -> None:
        week = await self.pick("workout_weeks")
        if week is not None:
            await self.app.execute(
                "insert into workout_days (week_id, day_label, notes) values ($1, $2, $3)",
                week,
                "Day " + self.text()[:20],
                self.text(),
            )

    async def changed_day(self, user: Any) -> None:
        await self.app.execute(
            "update workout_days set client_comment = $2 where id = $1", await self.pick("workout_days"), self.text()
        )

    async def new_exercise(self, user: Any) -> None:
        day = await self.pick("workout_days")
        if day is not None:
            await self.app.execute(
                "insert into exercises (day_id, name, muscle_group, sets, order_index, target_rpe_min, target_weight) "
                "values ($1, $2, 'back', $3, 1, 7.5, $4)",
                day,
                self.text(),
                self.choice.randint(1, 9),
                self.choice.randint(0, 4000) / 4,
            )

    async def changed_exercise(self, user: Any) -> None:
        await self.app.execute(
            "update exercises set name = $2, target_rpe_max = 9, notes = $3, "
            "day_id = coalesce($4, day_id) where id = $1",
            await self.pick("exercises"),
            self.text(),
            self.text(),
            None if self.choice.random() < 0.7 else await self.pick("workout_days"),
        )

    async def grouped(self, user: Any) -> None:
        exercise = await self.pick("exercises")
        if exercise is not None:
            await self.app.execute(
                "with g as (insert into exercise_groups (day_id, type, order_index) "
                "select day_id, 'superset', 1 from exercises where id = $1 returning id) "
                "update exercises set group_id = (select id from g) where id = $1",
                exercise,
            )

    async def new_session(self, user: Any) -> None:
        await self.app.execute(
            "insert into workout_sessions (user_id, day_id, started_at, notes, energy_level) "
            "values ($1, $2, now(), $3, 4)",
            user,
            None if self.choice.random() < 0.2 else await self.pick("workout_days"),
            self.text(),
        )

    async def new_log(self, user: Any) -> None:
        session, exercise = await self.pick("workout_sessions"), await self.pick("exercises")
        if session is not None and exercise is not None:
            await self.app.execute(
                "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight, rpe, form_rating, "
                "notes) "
                "values ($1, $2, $3, 5, 60, 8.5, 3, $4)",
                session,
                exercise,
                self.choice.randint(20, 10_000),
                self.text(),
            )

    async def changed_log(self, user: Any) -> None:
        await self.app.execute(
            "update exercise_logs set reps = reps + 1, form_rating = 2 where id = $1", await self.pick("exercise_logs")
        )

    async def removed_log(self, user: Any) -> None:
        await self.app.execute("delete from exercise_logs where id = $1", await self.pick("exercise_logs"))


ACTS = tuple(name for name in vars(Writer) if name not in ("pick", "write", "text") and not name.startswith("_"))


async def written(database: TestDatabase, users: list[Any], choice: random.Random) -> None:
    """Write as many different users, each write a transaction of its own under its own claims."""
    app: Connection = await asyncpg.connect(database.authenticator_url, statement_cache_size=0)
    writer = Writer(app, choice)
    try:
        for _ in range(WRITES):
            user = choice.choice(users)
            # Some of what they try is refused: a coach only reads a client's sessions.
            with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
                async with app.transaction():
                    await app.execute("set local role authenticated")
                    claims = json.dumps({"sub": str(user), "role": "authenticated"})
                    await app.fetchval("select set_config('request.jwt.claims', $1, true)", claims)
                    await writer.write(user)
    finally:
        await app.close()


async def contents(conn: Connection, schema: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Every row of v2's tables in a schema, by table and id."""
    return {
        table: {
            row["id"]: json.loads(row["body"])
            for row in await conn.fetch(f"select t.id::text as id, to_jsonb(t)::text as body from {schema}.{table} t")
        }
        for table in v2.TABLES
    }


BY_HAND = """
insert into vagus_migration.v2_changes values ('workout_weeks', 'by hand'), ('workout_days', '0x1'),
  ('workout_plans', '99999999999999999999'), ('exercises', ''), ('exercise_logs', 'deadbeef-');
insert into vagus_migration.v1_kept_changes (table_name, row_id, by_hand) values ('workout_sessions', 'by hand', false)
"""
"""Notes that no trigger writes: what they name is the id of no row."""

V1_OF = {
    "workout_plans": {"name": "name", "description": "description", "total_weeks": "duration_weeks"},
    "exercises": {"name": "name", "notes": "notes", "sets": "sets", "target_weight": "weight"},
    "workout_sessions": {"notes": "notes", "completed_at": "completed_at"},
    "exercise_logs": {"reps": "reps", "weight": "weight", "notes": "notes", "exercise_id": "exercise_id"},
}
"""Columns of v2 that v1 has a place for, and what they are called there."""


@pytest.mark.parametrize(("seed", "bigint_ids"), [(1, False), (2, True)])
async def test_none_is_lost(seed: int, bigint_ids: bool, make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True, bigint_ids=bigint_ids), moved=True)
    conn = await connect(database.url)
    at_cut_over = await contents(conn, "public")
    users = [row[0] for row in await conn.fetch("select distinct user_id from workout_plans order by 1 limit 12")]
    await written(database, users, random.Random(seed))
    before = await contents(conn, "public")
    await conn.execute(BY_HAND)
    ran = await rolled_back(database)
    assert ran.result.figures is not None
    archive = ran.result.figures["archive"]
    # All of v2 is in the archive, to the value.
    assert await contents(conn, archive) == before
    left = {(r[0], r[1]) for r in await conn.fetch(f"select table_name, row_id from {archive}.left_in_archive")}
    new, changed = 0, 0
    for table, columns in V1_OF.items():
        v1 = {
            row["id"]: json.loads(row["body"])
            for row in await conn.fetch(f"select t.id::text as id, to_jsonb(t)::text as body from {table} t")
        }
        for key, row in before[table].items():
            was = at_cut_over[table].get(key)
            if row == was:
                continue
            if key not in v1:
                # v1 has no place for it: then it is named in the archive, and counted in the report.
                assert (table, key) in left, (table, row)
                continue
            for name, old in columns.items():
                if was is None or row[name] != was[name]:
                    assert v1[key][old] == row[name], (table, key, name)
            new += was is None
            changed += was is not None
        # What was deleted in v2 stays in v1 unless chosen otherwise, and is counted.
        gone = at_cut_over[table].keys() - before[table].keys()
        assert gone <= v1.keys()
        assert ran.result.figures["deleted_in_v2"].get(table, 0) == len(gone)
    assert new + changed > WRITES / 4
    assert ran.result.figures["not_expressible"] == len(left)
    carried = ran.result.figures["carried_back"]
    assert sum(counts["new"] for counts in carried.values()) == new
    # And over again: the proof finds nothing, or the run would not have ended well; and v2 has what it had.
    await migrated(database)
    after = await contents(conn, "public")
    for table in ("workout_weeks", "workout_days", "exercise_groups"):
        mine = before[table].keys() - at_cut_over[table].keys()
        same = {key for key in mine if key in after[table]}
        # A week or day that v1 made anew under another id takes up the notes of the user's own.
        assert len(same) >= len(mine) * 0.5, table
    for table, column in (
        ("exercises", "target_rpe_min"),
        ("exercise_logs", "form_rating"),
        ("workout_sessions", "energy_level"),
    ):
        for key, row in before[table].items():
            if row[column] is not None:
                assert after[table][key][column] == row[column], (table, key)
