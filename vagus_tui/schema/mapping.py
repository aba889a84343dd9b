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
from vagus_tui.schema.rules import DEFAULT_REST_SECONDS, DEFAULT_WEEKS, NO_GROUP_DAY, TEXT, MappingRules
from vagus_tui.schema.session_totals import session_totals

_LAST_WEEK = f"least(plans.total_weeks, {v2.MOST_WEEKS + 1})"
"""Where weeks are counted to. A plan that lasts longer than it may is refused as it is, and by nothing before its weeks
are there: a slip of the app's, such as a week number of two billion, must not fill the disk first."""


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
class WorkoutMapping(MappingRules):
    """The mapping for one database as found. `columns(table)` and `select(table)` agree in order.

    Args:
        prepared: read day keys, days and weeks of the plans from these tables, in place of working them out in each
            SELECT. For SELECTs without a scope.
    """

    prepared: Prepared | None = None

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

    # ── parts of queries ─────────────────────────────────────────────────────────────────────────────────────────

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


def _read(cte: str, relation: str) -> str:
    """A CTE that is a table. Read as often as it is named: kept aside, its rows would be written once more."""
    return f"{cte} as not materialized (select * from {relation})"
