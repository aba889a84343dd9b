"""Statements per page: whether the app asks once per row (N+1), from what the server remembers of its statements."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.performance.tables import IN_PLACE
from vagus_tui.database.identifiers import qualified
from vagus_tui.events import Status
from vagus_tui.schema import v2

ENOUGH_CALLS = 100
"""Fewer calls than this say nothing about a habit."""
PER_PARENT = 5.0
"""Calls for single children per call for their parent, from which it is one query per row."""
LOOKED_AT = 500
NOT_VISIBLE = "not visible"

PARENTS = {
    v2.WEEKS: (v2.PLANS, "plan_id"),
    v2.DAYS: (v2.WEEKS, "week_id"),
    v2.EXERCISES: (v2.DAYS, "day_id"),
    v2.LOGS: (v2.SESSIONS, "session_id"),
}
"""The parent of each table, and the column that names it."""

_EXTENSION = """
select n.nspname::text as schema,
  has_table_privilege(c.oid, 'select') and pg_has_role('pg_read_all_stats', 'usage') as readable
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
join pg_class c on c.relnamespace = n.oid and c.relname = 'pg_stat_statements'
where e.extname = 'pg_stat_statements'
"""

_STATEMENTS = """
select left(s.query, 4000) as query, s.calls, s.rows, s.mean_exec_time as milliseconds
from {view} s
where s.dbid = (select oid from pg_database where datname = current_database())
  and s.userid in (select oid from pg_roles where rolname in ('anon', 'authenticated', 'service_role', 'authenticator'))
  and s.query ~ '\\m(workout_plans|workout_weeks|workout_days|exercises|workout_sessions|exercise_logs)\\M'
order by s.calls desc limit {limit}
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """One of the app's statements, as the server remembers it: without its values."""

    query: str
    calls: int

    @property
    def tables(self) -> frozenset[str]:
        """The workout tables that it names."""
        return frozenset(table for table in v2.TABLES if re.search(rf"\b{table}\b", self.query))

    @property
    def reads(self) -> bool:
        """Whether it only reads."""
        return re.match(r"\s*(select|with)\b", self.query, re.IGNORECASE) is not None and not re.search(
            r"\b(insert\s+into|update|delete\s+from)\b", self.query, re.IGNORECASE
        )

    def of_one_parent(self, table: str, column: str) -> bool:
        """Whether it reads the children of a single parent, and nothing else."""
        return (
            self.reads and self.tables == {table} and re.search(rf'"?\b{column}\b"?\s*=\s*\$\d', self.query) is not None
        )


@dataclass(frozen=True, slots=True)
class Habit:
    """One query per row: so many calls for the children of single parents, per call that reads parents."""

    table: str
    parent: str
    calls: int
    parent_calls: int
    example: str

    @property
    def per_parent(self) -> float:
        """Calls per reading of parents."""
        return self.calls / max(self.parent_calls, 1)


def habits(statements: Iterable[Statement]) -> list[Habit]:
    """The tables that are asked for a row's children at a time far more often than their parents are read."""
    known = list(statements)
    found = []
    for table, (parent, column) in PARENTS.items():
        single = [statement for statement in known if statement.of_one_parent(table, column)]
        calls = sum(statement.calls for statement in single)
        parents = sum(statement.calls for statement in known if statement.reads and parent in statement.tables)
        if calls >= ENOUGH_CALLS and calls > PER_PARENT * max(parents, 1):
            example = max(single, key=lambda one: one.calls).query
            found.append(Habit(table, parent, calls, parents, " ".join(example.split())[:300]))
    return found


async def _per_page(context: Context) -> Outcome:
    if context.state.state not in IN_PLACE:
        return Outcome(Status.SKIP, "–", "The app does not work on v2 yet.")
    extension = await context.connection.fetchrow(_EXTENSION)
    if extension is None or not extension["readable"]:
        reason = (
            "pg_stat_statements is not installed in this database."
            if extension is None
            else "This role may not read pg_stat_statements (pg_read_all_stats)."
        )
        return Outcome(
            Status.SKIP,
            NOT_VISIBLE,
            f"{reason} That leaves it not visible from here; the app's own network log shows its requests per page.",
        )
    view = qualified(extension["schema"], "pg_stat_statements")
    rows = await context.connection.fetch(_STATEMENTS.format(view=view, limit=LOOKED_AT))
    known = [Statement(row["query"], row["calls"]) for row in rows]
    reading = [statement for statement in known if statement.reads]
    calls = sum(statement.calls for statement in reading)
    if calls < ENOUGH_CALLS:
        return Outcome(
            Status.SKIP, f"{calls:,} statements", "The app has not asked enough yet to tell; look again later."
        )
    plans = sum(statement.calls for statement in reading if v2.PLANS in statement.tables)
    ratio = calls / max(plans, 1)
    measured = f"{ratio:,.1f} per plan"
    if found := habits(known):
        lines = tuple(
            f"{habit.table}: {habit.calls:,} statements for one row of {habit.parent} at a time, "
            f"{habit.per_parent:,.0f} for each that reads {habit.parent}. {habit.example}"
            for habit in found
        )
        return Outcome(
            Status.WARN,
            measured,
            "The app asks once per row. It is the app's to mend: one request with the children embedded.",
            detail=lines,
            value=round(ratio, 3),
        )
    return Outcome(
        Status.PASS, measured, f"{calls:,} reading statements of the app were looked at.", value=round(ratio, 3)
    )


CHECKS = (
    Check(
        id="statements-per-page",
        group=Group.PERFORMANCE,
        title="Statements per page",
        why="Four levels invite one query per day instead of one per plan (N+1): invisible on one phone, felt by the "
        "server with thousands.",
        expected="not per row",
        probe=_per_page,
        guide="Post-Migration Verification · Performance",
    ),
)
