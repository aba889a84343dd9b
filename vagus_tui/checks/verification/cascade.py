"""Whether deleting a plan deletes what is below it, tried on a whole plan in a transaction that is rolled back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import asyncpg

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.fault import changed_table
from vagus_tui.checks.verification.base import on_v2, relation
from vagus_tui.database.connection import Connection, fetch_named
from vagus_tui.database.identifiers import literal, quote
from vagus_tui.database.impersonation import undone
from vagus_tui.events import Status
from vagus_tui.schema import v2

REPORT = "Post-Migration Verification"


_COLUMNS = """
select c.relname::text as table_name, a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type,
  (a.attnotnull or t.typnotnull) and not a.atthasdef and a.attidentity = '' as needed
from pg_class c join pg_attribute a on a.attrelid = c.oid join pg_type t on t.oid = a.atttypid
where c.relnamespace = 'public'::regnamespace and c.relname = any($1::text[]) and a.attnum > 0 and not a.attisdropped
"""

_PLANTED: dict[str, dict[str, str]] = {
    v2.PLANS: {"user_id": "{user}", "name": "'vagus-tui: cascade check'", "goal": "'strength'", "total_weeks": "'1'"},
    v2.WEEKS: {"plan_id": f"vagus_{v2.PLANS}", "week_number": "'1'"},
    v2.DAYS: {"week_id": f"vagus_{v2.WEEKS}", "day_label": "'Full Body'"},
    v2.GROUPS: {"day_id": f"vagus_{v2.DAYS}", "type": "'superset'", "order_index": "'1'"},
    v2.EXERCISES: {
        "day_id": f"vagus_{v2.DAYS}",
        "group_id": f"vagus_{v2.GROUPS}",
        "name": "'x'",
        "muscle_group": "'general'",
        "sets": "'1'",
        "order_index": "'1'",
    },
    v2.SESSIONS: {"user_id": "{user}", "day_id": f"vagus_{v2.DAYS}", "started_at": "'2020-01-01T00:00:00Z'"},
    v2.LOGS: {
        "session_id": f"vagus_{v2.SESSIONS}",
        "exercise_id": f"vagus_{v2.EXERCISES}",
        "set_number": "'1'",
        "reps": "'1'",
        "weight": "'1'",
    },
}
"""A row on every level, parents first: its columns' values, as SQL. `vagus_…` is the id of the row in that table."""


def _insert(table: str, columns: Sequence[Any], user: str) -> str:
    """Insert a row and keep its id. What v1's own columns require besides comes from a row that is there."""
    values = {name: value.format(user=literal(user)) for name, value in _PLANTED[table].items()}
    parts = {row["name"]: f"({values[row['name']]})::{row['type']}" for row in columns if row["name"] in values}
    parts |= {
        row["name"]: f"(select t.{quote(row['name'])} from {relation(table)} t limit 1)"
        for row in columns
        if row["needed"] and row["name"] not in values
    }
    return (
        f"insert into {relation(table)} ({', '.join(map(quote, parts))}) select {', '.join(parts.values())} "
        f"returning id::text into vagus_{table};"
    )


async def _plant(connection: Connection, user: str) -> dict[str, str]:
    """A plan with a row on every level; the ids by table."""
    columns = await connection.fetch(_COLUMNS, list(_PLANTED))
    declared = "".join(f"vagus_{table} text; " for table in _PLANTED)
    planted = "\n".join(
        _insert(table, [row for row in columns if row["table_name"] == table], user) for table in _PLANTED
    )
    ids = ", ".join(f"{literal(table)}, vagus_{table}" for table in _PLANTED)
    kept = f"perform set_config('vagus.planted', json_build_object({ids})::text, true);"
    body = f"declare {declared}\nbegin\n{planted}\n{kept}\nend"
    await connection.execute(f"do {literal(body)}")
    found: dict[str, str] = json.loads(await connection.fetchval("select current_setting('vagus.planted')"))
    return found


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
            await connection.execute(
                f"delete from {relation(v2.PLANS)} where id = {literal(made[v2.PLANS])}; set constraints all immediate"
            )
        except asyncpg.ForeignKeyViolationError as error:
            return Outcome(
                Status.FAIL,
                "refused",
                f"Nobody can delete a plan: {error.constraint_name} of {error.table_name} keeps it.",
                rows=1,
            )
        counts = {
            table: f"select count(*) as rows from {relation(table)} where id = {literal(row_id)}"
            for table, row_id in made.items()
        }
        left = [row["name"] for row in await fetch_named(connection, counts) if row["rows"]]
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
