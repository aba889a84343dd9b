"""Ways to see the access checks fail: policies opened and closed, grants revoked, rows put where they do not belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vagus_tui.checks.access.matrix import Kind
from vagus_tui.checks.fault import Fault, changed_rows, changed_table
from vagus_tui.database.identifiers import qualified
from vagus_tui.schema import v2

if TYPE_CHECKING:
    from vagus_tui.checks.base import Context

_EXERCISES, _LOGS, _PLANS, _WEEKS, _SESSIONS = (
    qualified("public", table) for table in (v2.EXERCISES, v2.LOGS, v2.PLANS, v2.WEEKS, v2.SESSIONS)
)
_DAYS = qualified("public", v2.DAYS)


def _strayed(context: Context) -> str:
    """An exercise of the first owner in the sample goes to somebody else's plan: the one misses it, the other gains."""
    shape = context.state.shape
    with_coaches = shape is None or shape.coach_clients is not None
    coaches = " where user_id not in (select coach_id from public.coach_clients)" if with_coaches else ""
    owner = f"(select user_id from {_PLANS}{coaches} group by 1 order by count(*) desc, user_id::text limit 1)"
    days = f"{_DAYS} d join {_WEEKS} w on w.id = d.week_id join {_PLANS} p on p.id = w.plan_id"
    return (
        f"update {_EXERCISES} e set day_id = (select d.id from {days}\n"
        f"  where p.user_id <> {owner} order by d.id limit 1)\n"
        f"where e.id = (select x.id from {_EXERCISES} x join {_DAYS} d on d.id = x.day_id\n"
        f"  join {_WEEKS} w on w.id = d.week_id join {_PLANS} p on p.id = w.plan_id\n"
        f"  where p.user_id = {owner} order by x.id limit 1)"
    )


STRAYED = changed_rows("an exercise on another user's plan", _strayed, v2.EXERCISES)


def _closed(table: str, command: str) -> Fault:
    return changed_table(
        f"a policy that refuses {command} on {table}",
        f"create policy vagus_fault on {qualified('public', table)} as restrictive for {command} to authenticated "
        "using (false)",
        table,
    )


_OPEN = changed_table(
    "a policy with USING (true)", f"create policy vagus_fault on {_LOGS} for all to authenticated using (true)", v2.LOGS
)
_OFF = changed_table("row level security is off", f"alter table {_PLANS} disable row level security", v2.PLANS)

# The first of each is the only one that is tried where time is short: in a table that is not the largest.
FAULTS: dict[Kind, tuple[Fault, ...]] = {
    Kind.OWNER: (
        STRAYED,
        _closed(v2.LOGS, "delete"),
        Fault("a grant is revoked", f"revoke update on {_SESSIONS} from authenticated", v2.SESSIONS),
        _OFF,
    ),
    Kind.COACH: (
        changed_table(
            "coaches see their own plans only",
            f"create policy vagus_fault on {_PLANS} as restrictive for select to authenticated "
            "using (user_id = (select auth.uid()))",
            v2.PLANS,
        ),
        _OPEN,
    ),
    Kind.FORMER_COACH: (_OFF, _OPEN),
    Kind.OTHER: (
        _OFF,
        _OPEN,
        changed_table(
            "a policy that lets anybody add",
            f"create policy vagus_fault on {_WEEKS} for insert to authenticated with check (plan_id is not null)",
            v2.WEEKS,
        ),
    ),
    Kind.ANON: (
        changed_table(
            "the public key reads exercises",
            f"grant select on {_EXERCISES} to anon; create policy vagus_fault on {_EXERCISES} for select to anon "
            "using (true)",
            v2.EXERCISES,
        ),
    ),
    Kind.SERVICE: (Fault("the service loses a grant", f"revoke select on {_SESSIONS} from service_role", v2.SESSIONS),),
}

APPLIED = (
    changed_table(
        "a policy that answers by how it is asked",
        f"create policy vagus_fault on {_PLANS} as restrictive for select to authenticated "
        "using (current_query() not like '%vagus_access_found%')",
        v2.PLANS,
    ),
    changed_table("a policy is missing", f"drop policy {v2.WEEKS}_update on {_WEEKS}", v2.WEEKS),
    _OFF,
)
