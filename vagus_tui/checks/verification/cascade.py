"""Whether deleting a plan deletes what is below it, tried on a whole plan in a transaction that is rolled back."""

from __future__ import annotations

import json
from typing import Any

import asyncpg

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.fault import changed_table
from vagus_tui.checks.verification.base import on_v2, relation
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import quote
from vagus_tui.database.impersonation import undone
from vagus_tui.events import Status
from vagus_tui.schema import v2

REPORT = "Post-Migration Verification"


_COLUMNS = """
select a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type,
  (a.attnotnull or t.typnotnull) and not a.atthasdef and a.attidentity = '' as needed
from pg_attribute a join pg_type t on t.oid = a.atttypid
where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
"""


async def _insert(connection: Connection, table: str, **values: Any) -> Any:
    """Insert a row and return its id. What v1's own columns require besides comes from a row that is there."""
    columns = await connection.fetch(_COLUMNS, relation(table))
    parts = {row["name"]: f"($1::jsonb ->> '{row['name']}')::{row['type']}" for row in columns if row["name"] in values}
    parts |= {
        row["name"]: f"(select t.{quote(row['name'])} from {relation(table)} t limit 1)"
        for row in columns
        if row["needed"] and row["name"] not in values
    }
    names = ", ".join(map(quote, parts))
    return await connection.fetchval(
        f"insert into {relation(table)} ({names}) select {', '.join(parts.values())} returning id",
        json.dumps(values, default=str),
    )


async def _plant(connection: Connection, user: str) -> dict[str, tuple[Any, ...]]:
    """A plan with a row on every level; the ids by table."""
    plan = await _insert(
        connection, v2.PLANS, user_id=user, name="vagus-tui: cascade check", goal="strength", total_weeks=1
    )
    week = await _insert(connection, v2.WEEKS, plan_id=plan, week_number=1)
    day = await _insert(connection, v2.DAYS, week_id=week, day_label="Full Body")
    group = await _insert(connection, v2.GROUPS, day_id=day, type="superset", order_index=1)
    exercise = await _insert(
        connection, v2.EXERCISES, day_id=day, group_id=group, name="x", muscle_group="general", sets=1, order_index=1
    )
    session = await _insert(connection, v2.SESSIONS, user_id=user, day_id=day, started_at="2020-01-01T00:00:00Z")
    log = await _insert(connection, v2.LOGS, session_id=session, exercise_id=exercise, set_number=1, reps=1, weight=1)
    return {
        v2.PLANS: (plan,),
        v2.WEEKS: (week,),
        v2.DAYS: (day,),
        v2.GROUPS: (group,),
        v2.EXERCISES: (exercise,),
        v2.SESSIONS: (session,),
        v2.LOGS: (log,),
    }


@on_v2
async def _cascade_deletes(context: Context) -> Outcome:
    connection = context.connection
    user = await connection.fetchval(
        f"select user_id::text from {relation(v2.PLANS)} union all select id::text from auth.users limit 1"
    )
    if user is None:
        return Outcome(Status.SKIP, "–", "There is no user to try it with.")
    async with undone(connection):
        made = await _plant(connection, user)
        try:
            await connection.execute(f"delete from {relation(v2.PLANS)} where id = $1", made[v2.PLANS][0])
            await connection.execute("set constraints all immediate")
        except asyncpg.ForeignKeyViolationError as error:
            return Outcome(
                Status.FAIL,
                "refused",
                f"Nobody can delete a plan: {error.constraint_name} of {error.table_name} keeps it.",
                rows=1,
            )
        left = [
            table
            for table, ids in made.items()
            if await connection.fetchval(f"select count(*) from {relation(table)} where id = any($1)", list(ids))
        ]
    if left:
        return Outcome(
            Status.FAIL,
            "stops short",
            f"A plan was deleted, and rows stayed behind in {', '.join(left)}.",
            rows=len(left),
        )
    return Outcome(
        Status.PASS,
        "down to the sets",
        "A plan with a row on every level was made, deleted and rolled back: nothing stayed behind.",
    )


CHECKS = (
    Check(
        id="cascade-deletes",
        group=Group.VERIFICATION,
        title="Cascading deletes",
        why="A user who deletes a plan deletes its weeks, days, exercises, sessions and sets. The guide's own test "
        "passes with the cascade removed, because it adds nothing below the plan.",
        expected="to the sets",
        probe=_cascade_deletes,
        guide=REPORT,
        faults=(
            changed_table(
                "weeks do not hang on their plan",
                f"alter table {relation(v2.WEEKS)} drop constraint workout_weeks_plan_id_fkey",
                v2.WEEKS,
            ),
            changed_table(
                "sets hang on nothing",
                f"alter table {relation(v2.LOGS)} drop constraint exercise_logs_session_id_fkey, "
                "drop constraint exercise_logs_exercise_id_fkey",
                v2.LOGS,
            ),
            changed_table(
                "a key without cascade",
                f"alter table {relation(v2.DAYS)} drop constraint workout_days_week_id_fkey, "
                "add constraint workout_days_week_id_fkey "
                f"foreign key (week_id) references {relation(v2.WEEKS)} (id) not valid",
                v2.DAYS,
            ),
        ),
    ),
)
