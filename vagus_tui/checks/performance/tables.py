"""Where the data to be timed is: v1's tables, v2's, or both beside each other after the cut-over."""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.checks.base import Context
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import qualified
from vagus_tui.journal.state import State
from vagus_tui.schema import v1, v2

IN_PLACE = (State.MIGRATED, State.CLEANED)
"""The states in which the app works on v2."""

_DONE_AT = "coalesce(l.completed_at, s.started_at)"


@dataclass(frozen=True, slots=True)
class Tables:
    """One version's tables by quoted name, and what differs between the versions as SQL.

    Attributes:
        plan_sizes: a query for (plan_id, size) of every plan, size counting the rows that loading the plan reads.
        own_plan_sizes: the same for the plans of user $1.
        trained_plan: a query for the plan of user $1 with the most logged sets.
        clients: a query for (coach, client), active relations only; None where there is no such table.
        done_at: when a logged set was done, of a log l in a session s.
        muscle_group: whether exercises have one.
    """

    version: int
    plans: str
    exercises: str
    sessions: str
    logs: str
    plan_sizes: str
    own_plan_sizes: str
    trained_plan: str
    clients: str | None
    done_at: str = _DONE_AT
    muscle_group: bool = True
    weeks: str = ""
    days: str = ""


async def v1_tables(context: Context) -> Tables | None:
    """v1's tables, under whichever name they have now; None where they are gone."""
    shape = context.state.shape
    if shape is None:
        return None
    plans, exercises, sessions, logs = (qualified(shape.schema, shape.tables[base].name) for base in v1.TABLES)
    own = f"(select id from {plans} where user_id = $1::uuid)"
    return Tables(
        version=1,
        plans=plans,
        exercises=exercises,
        sessions=sessions,
        logs=logs,
        plan_sizes=f"select plan_id, count(*) as size from {exercises} group by 1",
        own_plan_sizes=f"select plan_id, count(*) as size from {exercises} where plan_id in {own} group by 1",
        trained_plan=f"select s.plan_id from {sessions} s join {logs} l on l.session_id = s.id "
        "where s.user_id = $1::uuid and s.plan_id is not null group by 1 order by count(*) desc, 1 limit 1",
        clients=await _clients(context.connection),
        done_at=_DONE_AT if shape.logs.has("completed_at") else "s.started_at",
        muscle_group=shape.exercises.has("muscle_group"),
    )


async def v2_tables(context: Context) -> Tables | None:
    """v2's tables where the app uses them; None before the cut-over."""
    if context.state.state not in IN_PLACE:
        return None
    plans, weeks, days, exercises, sessions, logs = (
        qualified("public", name) for name in (v2.PLANS, v2.WEEKS, v2.DAYS, v2.EXERCISES, v2.SESSIONS, v2.LOGS)
    )
    tree = f"{weeks} w join {days} d on d.week_id = w.id left join {exercises} e on e.day_id = d.id"
    own = f"(select id from {plans} where user_id = $1::uuid)"
    return Tables(
        version=2,
        plans=plans,
        exercises=exercises,
        sessions=sessions,
        logs=logs,
        plan_sizes=f"select w.plan_id, count(*) as size from {tree} group by 1",
        own_plan_sizes=f"select w.plan_id, count(*) as size from {tree} where w.plan_id in {own} group by 1",
        trained_plan=f"select w.plan_id from {sessions} s join {logs} l on l.session_id = s.id "
        f"join {days} d on d.id = s.day_id join {weeks} w on w.id = d.week_id "
        "where s.user_id = $1::uuid group by 1 order by count(*) desc, 1 limit 1",
        clients=await _clients(context.connection),
        weeks=weeks,
        days=days,
    )


async def _clients(connection: Connection) -> str | None:
    rows = await connection.fetch(
        "select attname::text from pg_attribute where attrelid = to_regclass('public.coach_clients') and attnum > 0"
    )
    names = {row["attname"] for row in rows}
    if not {"coach_id", "client_id"} <= names:
        return None
    active = " where lower(status::text) = 'active'" if "status" in names else ""
    return f"select coach_id::uuid as coach, client_id::uuid as client from public.coach_clients{active}"
