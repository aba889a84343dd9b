"""Row level security of v2 as data: one condition to read and one to write per table, made into a policy per command.

The owner of a plan, and a coach with that owner as an active client, do everything from the plan down. Sessions and
logs are their athlete's; the coach reads them. Nobody else sees a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified, quote

if TYPE_CHECKING:
    from vagus_tui.schema.ddl import V2Ddl


@dataclass(frozen=True, slots=True)
class Access:
    """Who may read and who may write a row; {function} stands for that helper's call."""

    read: str
    write: str


_OWN = "user_id = (select auth.uid())"
# Worked out once per statement, and as one list: the index on user_id serves it, which an OR would keep it from.
_PLAN = "user_id = any (array(select auth.uid() union all select {workout_coached_users}))"

ACCESS: dict[str, Access] = {
    v2.PLANS: Access(_PLAN, _PLAN),
    v2.WEEKS: Access("plan_id in (select {workout_my_plans})", "plan_id in (select {workout_my_plans})"),
    v2.DAYS: Access("week_id in (select {workout_my_weeks})", "week_id in (select {workout_my_weeks})"),
    v2.GROUPS: Access("day_id in (select {workout_my_days})", "day_id in (select {workout_my_days})"),
    v2.EXERCISES: Access("day_id in (select {workout_my_days})", "day_id in (select {workout_my_days})"),
    v2.SESSIONS: Access(_PLAN, _OWN),
    v2.LOGS: Access(
        "session_id in (select {workout_readable_sessions})", "session_id in (select {workout_my_sessions})"
    ),
    v2.PREFERENCES: Access(_OWN, _OWN),
}


def policies(ddl: V2Ddl, table: str) -> list[str]:
    """The statements that switch row level security on and write the four policies of a table."""
    functions = {
        name: f"{qualified(ddl.schema, name)}()"
        for name in (
            "workout_coached_users",
            "workout_my_plans",
            "workout_my_weeks",
            "workout_my_days",
            "workout_my_sessions",
            "workout_readable_sessions",
        )
    }
    access = ACCESS[table]
    read, write = access.read.format(**functions), access.write.format(**functions)
    clauses = {
        "select": f"using ({read})",
        "insert": f"with check ({write})",
        "update": f"using ({write}) with check ({write})",
        "delete": f"using ({write})",
    }
    relation = ddl.relation(table)
    statements = [f"alter table {relation} enable row level security"]
    statements.extend(
        f"create policy {quote(f'{table}_{command}')} on {relation} for {command} to authenticated {clause}"
        for command, clause in clauses.items()
    )
    return statements
