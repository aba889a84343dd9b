"""From v1 to v2: one SELECT per v2 table that yields exactly the rows v2 must hold.

The same SELECTs fill v2, bring captured changes over, and are what the proof compares v2 with. They are total: no v1
row makes them fail or vanish, except through a constraint of v2, and for each of those there is a data-fit check.

The session's time zone must be UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vagus_tui.schema import v1, v2
from vagus_tui.schema.comparing import comparable
from vagus_tui.schema.identifiers import quote
from vagus_tui.schema.plan_parts import PlanParts, Scope
from vagus_tui.schema.rules import DEFAULT_REST_SECONDS, TEXT

_LAST_WEEK = f"least(plans.total_weeks, {v2.MOST_WEEKS + 1})"
"""Where weeks are counted to. A plan that lasts longer than it may is refused as it is, and by nothing before its weeks
are there: a slip of the app's, such as a week number of two billion, must not fill the disk first."""


@dataclass(frozen=True, slots=True)
class WorkoutMapping(PlanParts):
    """The mapping for one database as found. `columns(table)` and `select(table)` agree in order."""

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────────

    def columns(self, table: str) -> tuple[str, ...]:
        """The v2 columns that the mapping sets; the others keep their defaults."""
        return tuple(self._expressions(table))

    def select(self, table: str, scope: Scope | None = None, where: str = "") -> str:
        """The rows that a v2 table must hold.

        Args:
            table: a v2 table name.
            scope: only rows of these plans and sessions.
            where: a further condition on the v1 row, for working in parts (plans `p`, exercises `e`, logs `l`).
        """
        expressions = self._expressions(table)
        listed = ",\n  ".join(f"{expression} as {quote(name)}" for name, expression in expressions.items())
        prefix, source, condition = self._from(table, scope)
        conditions = [text for text in (condition, where) if text]
        tail = f"\nwhere {' and '.join(conditions)}" if conditions else ""
        return f"{prefix}select\n  {listed}\nfrom {source}{tail}"

    def compared(self, table: str, alias: str, *, also_id: bool = False) -> str:
        """The mapped columns as a row constructor that can be compared, whatever types were carried over.

        Args:
            also_id: for rows that were not found by their id; those that were have the same.
        """
        types = {name: column.type for name, column in self._carried(table).items()}
        parts = []
        for name in self.columns(table):
            if name == "id" and not also_id:
                continue
            value = f"{alias}.{quote(name)}"
            parts.append(comparable(value, types[name]) if name in types else value)
        return f"row({', '.join(parts)})"

    def _carried(self, table: str) -> dict[str, v1.Column]:
        """The columns that a table of v2 has carried over, by their names in v2."""
        if table not in v2.V1_BASES:
            return {}
        source = self.shape.tables[v2.V1_BASES[table]]
        names = v2.carried_columns(table, source)
        return {names[column.name]: column for column in source.carried}

    def told(self, table: str, alias: str) -> str:
        """A row of the table as jsonb, for people; NULL where an outer join found none.

        json that was carried over goes in as text: it may hold what jsonb refuses.
        """
        json = {name for name, column in self._carried(table).items() if column.plain in ("json", "json[]")}
        if not json:
            return f"to_jsonb({alias}.*)"
        columns = ", ".join(
            f"{alias}.{quote(name)}{'::text' if name in json else ''} as {quote(name)}" for name in self.columns(table)
        )
        return f"case when {alias}.id is not null then (select to_jsonb(w.*) from (select {columns}) w) end"

    def week_by_number(self) -> tuple[str, str]:
        """What the week `n.n` of a plan must be: CTE `plans`, to be joined, and the mapped columns."""
        return self._plan_weeks(None), ", ".join(self._expressions(v2.WEEKS).values())

    def days_by_week(self, weeks: str) -> tuple[str, str]:
        """What a day of a given week must be: CTEs `plans`, `plan_days` (d) and `weeks`, and the mapped columns.

        Args:
            weeks: a relation of weeks: plan_id, n, week_id.
        """
        text = self.week_text("w.plan_id", "w.n")
        given = f"weeks as (select w.plan_id, w.week_id, {text} as week from {weeks} w)"
        ctes = ", ".join((self._keyed(None), self._plan_days(None), self._plan_weeks(None), given))
        return ctes, ", ".join(self._expressions(v2.DAYS).values())

    # ── per table ────────────────────────────────────────────────────────────────────────────────────────────────

    def _expressions(self, table: str) -> dict[str, str]:
        """The mapped columns of a table and what each is made of."""
        builders = {
            v2.PLANS: self._plan_expressions,
            v2.WEEKS: self._week_expressions,
            v2.DAYS: self._day_expressions,
            v2.EXERCISES: self._exercise_expressions,
            v2.SESSIONS: self._session_expressions,
            v2.LOGS: self._log_expressions,
        }
        expressions = builders[table]()
        if table in v2.V1_BASES:
            source = self.shape.tables[v2.V1_BASES[table]]
            alias = {v2.PLANS: "p", v2.EXERCISES: "e", v2.SESSIONS: "s", v2.LOGS: "l"}[table]
            for old, new in v2.carried_columns(table, source).items():
                expressions[new] = f"{alias}.{quote(old)}"
        return expressions

    def _copied(self, base: str, alias: str, names: Mapping[str, str]) -> dict[str, str]:
        """Columns copied with a cast where v1 has them, left to their defaults where it has not."""
        table = self.shape.tables[base]
        return {name: f"{alias}.{quote(name)}::{type_}" for name, type_ in names.items() if table.has(name)}

    def _plan_expressions(self) -> dict[str, str]:
        types = v2.id_types(self.shape)
        active = self.column(v1.PLANS, "p", "is_active", "true")
        expressions = {
            "id": f"p.id::{types['plan_id']}",
            "user_id": "p.user_id::uuid",
            "name": f"p.name::{TEXT}",
            **self._copied(v1.PLANS, "p", {"description": TEXT}),
            "goal": self.goal(),
            "total_weeks": "plans.total_weeks",
            "current_week": "1",
            "status": f"case when {active} then 'active' when not {active} then 'completed' else 'draft' end",
            **self._copied(v1.PLANS, "p", {"template_category": TEXT}),
            **self._copied(v1.PLANS, "p", {"created_at": "timestamptz", "updated_at": "timestamptz"}),
        }
        if self.shape.plans.has("created_by"):
            # v1 may keep the name of a creator who has left; v2 refers to users who are there, and says NULL.
            expressions["created_by"] = f"(select u.id from {v2.USERS} u where u.id = p.created_by::uuid)"
        for flag in ("is_template", "ai_generated"):
            if self.shape.plans.has(flag):
                expressions[flag] = f"coalesce(p.{flag}, false)"
        if self.shape.plans.has("metadata"):
            expressions["metadata"] = "to_jsonb(p.metadata)"
        return expressions

    def _week_expressions(self) -> dict[str, str]:
        return {
            "id": self.week_id("plans.id", "n.n"),
            "plan_id": f"plans.id::{v2.id_types(self.shape)['plan_id']}",
            "week_number": "n.n",
            "start_date": "plans.start_date + 7 * (n.n - 1)",
            "end_date": "plans.start_date + 7 * (n.n - 1) + 6",
        }

    def _day_expressions(self) -> dict[str, str]:
        return {
            # As `day_id` makes it, of what the week's id was made of.
            "id": "md5(weeks.week || ':' || d.day_key)::uuid",
            "week_id": "weeks.week_id",
            "day_label": "d.label",
            "day_number": "d.day_number",
            "muscle_groups": "d.muscle_groups",
        }

    def _exercise_expressions(self) -> dict[str, str]:
        exercise_id = f"e.id::{v2.id_types(self.shape)['exercise_id']}"
        week = self._clamped("k.week_number")
        if self.options.repeat_exercises:
            exercise_id = f"case when n.n = {week} then {exercise_id} else {self.copy_id('e.id', 'n.n')} end"
            week = "n.n"
        return {
            "id": exercise_id,
            "day_id": self.day_id("k.plan_id", week, "k.day_key"),
            "name": f"e.name::{TEXT}",
            "muscle_group": "k.muscle_group",
            **self._copied(v1.EXERCISES, "e", {"equipment": TEXT}),
            "sets": f"{self.column(v1.EXERCISES, 'e', 'sets', '1')}::integer",
            "target_reps_min": f"{self.column(v1.EXERCISES, 'e', 'reps_min')}::integer",
            "target_reps_max": f"{self.column(v1.EXERCISES, 'e', 'reps_max')}::integer",
            "target_weight": f"{self.column(v1.EXERCISES, 'e', 'weight')}::numeric(6,2)",
            "rest_seconds": (
                f"coalesce({self.column(v1.EXERCISES, 'e', 'rest_seconds')}::integer, {DEFAULT_REST_SECONDS})"
            ),
            **self._copied(v1.EXERCISES, "e", {"tempo": TEXT, "notes": TEXT, "video_url": TEXT}),
            "order_index": "k.place",
            **self._copied(v1.EXERCISES, "e", {"created_at": "timestamptz", "updated_at": "timestamptz"}),
        }

    def _session_expressions(self) -> dict[str, str]:
        # Sessions before the start truncate to week 1 or below and are clamped; without a start date it is week 1.
        week = self._clamped("coalesce((s.started_at::date - plans.start_date) / 7 + 1, 1)")
        return {
            "id": f"s.id::{v2.id_types(self.shape)['session_id']}",
            "user_id": "s.user_id::uuid",
            "day_id": (f"case when d.plan_id is not null then {self.day_id('d.plan_id', week, 'd.day_key')} end"),
            "started_at": "s.started_at::timestamptz",
            **self._copied(v1.SESSIONS, "s", {"completed_at": "timestamptz", "notes": TEXT}),
            "total_volume": "coalesce(t.total_volume, 0)::numeric(10,2)",
            "total_sets": "coalesce(t.total_sets, 0)",
            **self._copied(v1.SESSIONS, "s", {"created_at": "timestamptz"}),
        }

    def _log_expressions(self) -> dict[str, str]:
        types = v2.id_types(self.shape)
        return {
            "id": f"l.id::{types['log_id']}",
            "session_id": f"l.session_id::{types['session_id']}",
            "exercise_id": f"l.exercise_id::{types['exercise_id']}",
            "set_number": "l.set_number::integer",
            "reps": "l.reps::integer",
            "weight": "l.weight::numeric(6,2)",
            **self._copied(
                v1.LOGS,
                "l",
                {
                    "rpe": "numeric(3,1)",
                    "tempo": TEXT,
                    "rest_seconds": "integer",
                    "notes": TEXT,
                    "completed_at": "timestamptz",
                },
            ),
        }

    def _from(self, table: str, scope: Scope | None) -> tuple[str, str, str]:
        """WITH clause, FROM and WHERE of a table's SELECT."""
        in_plans = f" in (select id from {scope.plans})" if scope else ""
        if table == v2.PLANS:
            source = f"{self.source(v1.PLANS)} p join plans on plans.id = p.id"
            return f"with {self._plan_weeks(scope)}\n", source, f"p.id{in_plans}" if scope else ""
        if table == v2.WEEKS:
            return f"with {self._plan_weeks(scope)}\n", f"plans, generate_series(1, {_LAST_WEEK}) n", ""
        if table == v2.DAYS:
            ctes = ", ".join((self._keyed(scope), self._plan_days(scope), self._plan_weeks(scope)))
            # What is a matter of the week is worked out once per week, not once per day of it.
            weeks = (
                "weeks as materialized (select w.*, md5(w.week)::uuid as week_id from (\n"
                f"  select plans.id as plan_id, n, {self.week_text('plans.id', 'n')} as week "
                f"from plans, generate_series(1, {_LAST_WEEK}) n offset 0) w)"
            )
            return f"with {ctes}, {weeks}\n", "plan_days d join weeks on weeks.plan_id = d.plan_id", ""
        if table == v2.EXERCISES:
            ctes = ", ".join((self._keyed(scope), self._plan_weeks(scope)))
            source = (
                f"{self.source(v1.EXERCISES)} e join keyed k on k.id = e.id left join plans on plans.id = e.plan_id"
            )
            if self.options.repeat_exercises:
                source += f" cross join lateral generate_series({self._clamped('k.week_number')}, {_LAST_WEEK}) n"
            return f"with {ctes}\n", source, f"e.plan_id{in_plans}" if scope else ""
        if table == v2.SESSIONS:
            # Sessions in scope belong to plans that need not be in scope: their days are looked up among all
            # days of those plans, so the scope of the keys is the plans of the sessions.
            keys = (
                Scope(
                    f"(select plan_id as id from {self.source(v1.SESSIONS)} where id in "
                    f"(select id from {scope.sessions})) q",
                    scope.sessions,
                )
                if scope
                else None
            )
            ctes = ", ".join(
                (self._keyed(keys), self._plan_days(keys), self._plan_weeks(keys), self._session_days(scope))
            )
            source = (
                f"{self.source(v1.SESSIONS)} s\n"
                "left join totals t on t.session_id = s.id\n"
                "left join plans on plans.id = s.plan_id\n"
                "left join plan_days d on d.plan_id = s.plan_id and d.day_number = coalesce(t.day_number, 1)"
            )
            return f"with {ctes}\n", source, f"s.id in (select id from {scope.sessions})" if scope else ""
        if table == v2.LOGS:
            return (
                "",
                f"{self.source(v1.LOGS)} l",
                f"l.session_id in (select id from {scope.sessions})" if scope else "",
            )
        raise ValueError(f"v2 has no mapped table {table}")
