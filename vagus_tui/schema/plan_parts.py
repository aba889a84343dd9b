"""What several SELECTs of the mapping need of every plan: its day keys, days and weeks, and what hangs on them.

Each is a CTE; or a table that is made once, and read by those SELECTs in its place.
"""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.schema import v1
from vagus_tui.schema.rules import DEFAULT_WEEKS, NO_GROUP_DAY, TEXT, MappingRules
from vagus_tui.schema.session_totals import session_totals


@dataclass(frozen=True, slots=True)
class Scope:
    """Limits a SELECT to affected plans and sessions, by the names of one-column (id) relations."""

    plans: str
    sessions: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """Tables that hold what several SELECTs need of every plan, worked out once: see `prepare`."""

    keyed: str
    plan_days: str
    plans: str
    placed: str

    @property
    def relations(self) -> tuple[str, ...]:
        """All of them."""
        return self.keyed, self.plan_days, self.plans, self.placed


@dataclass(frozen=True, slots=True)
class PlanParts(MappingRules):
    """The CTEs, for one database as found.

    Args:
        prepared: read them from these tables, in place of working them out in each SELECT. For SELECTs without a scope.
    """

    prepared: Prepared | None = None

    def prepare(self, into: Prepared, *, unlogged: bool) -> list[str]:
        """Fill the tables of which a mapping with `prepared` reads."""
        kept = _read("keyed", into.keyed)
        steps = (
            (into.keyed, "keyed", self._keyed(None)),
            (into.plan_days, "plan_days", f"{kept}, {self._plan_days(None)}"),
            (into.plans, "plans", self._plan_weeks(None)),
            (into.placed, "placed", f"{kept}, {_read('plan_days', into.plan_days)}, {self._placed(None)}"),
        )
        kind = "unlogged table" if unlogged else "table"
        statements = []
        for relation, cte, ctes in steps:
            # Straight into the table: kept aside first, every row would be written twice.
            straight = ctes.replace(f"{cte} as materialized", f"{cte} as", 1)
            # They are read a few times and dropped: no vacuum is worth it.
            statements.append(
                f"create {kind} {relation} with (autovacuum_enabled = false) as\nwith {straight}\nselect * from {cte}"
            )
        return statements

    def count_days(self) -> str:
        """How many days v2 will have, without making them."""
        ctes = ", ".join((self._keyed(None), self._plan_days(None), self._plan_weeks(None)))
        return f"with {ctes}\nselect coalesce(sum(total_weeks), 0) from plan_days d join plans on plans.id = d.plan_id"

    def _keyed(self, scope: Scope | None) -> str:
        """CTE `keyed`: every exercise with its day's name and key, its place and its week within the plan."""
        if self.prepared is not None and scope is None:
            return _read("keyed", self.prepared.keyed)
        exercises = self.shape.exercises
        order = self.column(v1.EXERCISES, "e", "order_index")
        week = self.column(v1.EXERCISES, "e", "week_number", "1")
        in_plans = f".plan_id in (select id from {scope.plans})" if scope else ""
        limit, also = (f" where e{in_plans}", f" and u{in_plans}") if scope else ("", "")
        group = self.column(v1.EXERCISES, "e", "muscle_group")
        arrived = "u.created_at nulls last, u.id" if exercises.has("created_at") else "u.id"
        source, unplaced = self.source(v1.EXERCISES), self.column(v1.EXERCISES, "u", "order_index")
        # Only those without a place are numbered, after the others: few or none, so that little has to be sorted.
        # OFFSET keeps the day's name from being worked out twice, for itself and for its key.
        return (
            "keyed as materialized (\n"
            "  select k.*, lower(k.day_name) as day_key from (\n"
            f"  select e.id, e.plan_id, {self.day_name()} as day_name,\n"
            f"    coalesce({order}::integer, late.place) as place, {order}::integer as first_place,\n"
            f"    coalesce({week}::integer, 1) as week_number, coalesce({group}::{TEXT}, 'general') as muscle_group\n"
            f"  from {source} e left join (\n"
            "    select u.id, (coalesce(h.highest, 0) + row_number() over (\n"
            f"      partition by u.plan_id order by {arrived}))::integer as place\n"
            f"    from {source} u left join (\n"
            f"      select e.plan_id, max({order}::integer) as highest from {source} e{limit} group by e.plan_id\n"
            f"    ) h on h.plan_id = u.plan_id where {unplaced} is null{also}\n"
            f"  ) late on late.id = e.id{limit} offset 0) k)"
        )

    def _plan_days(self, scope: Scope | None) -> str:
        """CTE `plan_days`: each plan's day keys with label, number and muscle groups; empty plans with sessions too."""
        if self.prepared is not None and scope is None:
            return _read("plan_days", self.prepared.plan_days)
        limit = f" and s.plan_id in (select id from {scope.plans})" if scope else ""
        return (
            "plan_days as materialized (\n"
            "  with grouped as materialized (\n"
            "    select plan_id, day_key, (array_agg(day_name order by first_place nulls last, id))[1] as label,\n"
            "      min(first_place) as first_place,\n"
            '      array_agg(distinct muscle_group collate "C" order by muscle_group collate "C") as muscle_groups\n'
            "    from keyed where plan_id is not null group by plan_id, day_key)\n"
            "  select plan_id, day_key, label,\n"
            "    (row_number() over (\n"
            '      partition by plan_id order by first_place nulls last, label collate "C"))::integer\n'
            "      as day_number, muscle_groups\n"
            "  from grouped\n"
            "  union all\n"
            f"  select s.plan_id, lower('{NO_GROUP_DAY}'), '{NO_GROUP_DAY}', 1, '{{}}'::text[]\n"
            "  from (\n"
            f"    select distinct s.plan_id from {self.source(v1.SESSIONS)} s where s.plan_id is not null{limit}) s\n"
            "  where not exists (select from grouped where grouped.plan_id = s.plan_id))"
        )

    def _plan_weeks(self, scope: Scope | None) -> str:
        """CTE `plans`: each plan with its number of weeks and start date."""
        if self.prepared is not None and scope is None:
            return _read("plans", self.prepared.plans)
        start = self.column(v1.PLANS, "p", "start_date")
        limit = f" where p.id in (select id from {scope.plans})" if scope else ""
        source, highest, weeks = self.source(v1.PLANS), "", []
        unsaid = f"select id from {scope.plans}" if scope else ""
        if self.shape.plans.has("duration_weeks"):
            weeks.append("p.duration_weeks::integer")
            # Only of plans that say nothing themselves: mostly there is none, and then no exercise is read.
            unsaid = f"select p.id from {source} p{limit}{' and' if limit else ' where'} p.duration_weeks is null"
        if self.shape.exercises.has("week_number"):
            inner = f" where x.plan_id in ({unsaid})" if unsaid else ""
            highest = (
                f" left join (select x.plan_id, max(x.week_number)::integer as highest "
                f"from {self.source(v1.EXERCISES)} x{inner} group by x.plan_id) h on h.plan_id = p.id"
            )
            weeks.append("h.highest")
        total = f"coalesce({', '.join([*weeks, str(DEFAULT_WEEKS)])})"
        return (
            f"plans as materialized (select p.id, {total} as total_weeks, {start}::date as start_date "
            f"from {source} p{highest}{limit})"
        )

    def _clamped(self, week: str) -> str:
        return f"greatest(1, least({week}, plans.total_weeks))"

    def _placed(self, scope: Scope | None) -> str:
        """CTE `placed`: every exercise with the number of its day, for finding the days of logs."""
        if self.prepared is not None and scope is None:
            return _read("placed", self.prepared.placed)
        return (
            "placed as (\n"
            "  select k.id, k.plan_id, d.day_number from keyed k\n"
            "  left join plan_days d on d.plan_id = k.plan_id and d.day_key = k.day_key)"
        )

    def _session_days(self, scope: Scope | None) -> str:
        """CTEs that end in `totals`: sets, volume and most used day per session."""
        logs, sessions = self.source(v1.LOGS), self.source(v1.SESSIONS)
        if self.prepared is not None and scope is None:
            return session_totals(logs, sessions, placed=self.prepared.placed)
        only = ""
        if scope:
            in_scope = f"in (select id from {scope.sessions})"
            # Not left to be found out from the logs, of which too many are expected: all sessions would be read.
            only, sessions = f"l.session_id {in_scope}", f"(select * from {sessions} s where s.id {in_scope})"
        return f"{self._placed(scope)},\n{session_totals(logs, sessions, only)}"


def _read(cte: str, relation: str) -> str:
    """A CTE that is a table. Read as often as it is named: kept aside, its rows would be written once more."""
    return f"{cte} as not materialized (select * from {relation})"
