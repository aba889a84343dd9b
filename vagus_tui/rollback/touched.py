"""The rows that were written after the cut-over: what v2 says of them now, and what it said then, in v1's columns.

Change capture on v2 has their ids. What v2 held at the cut-over is worked out again from the kept v1 tables; a row
that says the same now as then was not changed, whatever v1's own spelling of it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from vagus_tui.migration import catch_up
from vagus_tui.migration.capture import V2_CHANGES
from vagus_tui.migration.kept_v1 import new_name
from vagus_tui.migration.survey import Survey
from vagus_tui.rollback.ahead import Ahead
from vagus_tui.rollback.kept import Kept
from vagus_tui.schema import v1, v2
from vagus_tui.schema.comparing import comparable
from vagus_tui.schema.identifiers import free_name, literal, qualified, quote
from vagus_tui.schema.inverse import InverseMapping
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.rules import MappingOptions
from vagus_tui.schema.v1 import Column, V1Shape, V1Table


def kept_shape(survey: Survey) -> V1Shape:
    """v1 as it stands after the cut-over, under its `*_v1` names."""
    tables = {base: V1Table(base, new_name(survey, base), table.columns) for base, table in survey.shape.tables.items()}
    return dataclasses.replace(survey.shape, tables=tables)


def is_id(text: str, kind: str) -> str:
    """The condition under which a noted id can be read as one. What somebody wrote by hand may be none: it is that of
    no row, so nothing is lost with it.

    Args:
        text: an expression.
        kind: uuid or bigint.
    """
    if kind == "uuid":
        return f"{text} ~* '^([0-9a-f]{{4}}-?){{7}}[0-9a-f]{{4}}$'"
    within = "between -9223372036854775808 and 9223372036854775807"
    return f"(case when {text} ~ '^-?[0-9]{{1,19}}$' then {text}::numeric {within} else false end)"


class Touched:
    """The SQL about touched rows. `collect()` first; conditions and FROM clauses speak of what it has found.

    In them `n` is a row as v2 has it now, `b` as v2 had it at the cut-over, `o` v1's own row.
    """

    def __init__(
        self,
        survey: Survey,
        options: MappingOptions,
        kept: Kept,
        changes: str = V2_CHANGES,
        ahead: Ahead | None = None,
    ) -> None:
        """Take what says which rows were written.

        Args:
            changes: what names them, after FROM: its columns are table_name and row_id.
            ahead: where `look_ahead` keeps what it works out; None to work everything out in `collect`.
        """
        self.kept = kept
        self.changes = changes
        self.ahead = ahead
        self.shape = kept_shape(survey)
        self.mapping = WorkoutMapping(self.shape, options)
        # It names the columns of a row that v1 cannot hold as v2 has them: too long, out of range, against a check.
        self.unfit = self.own_name("vagus_unfit")
        self._now = InverseMapping(self.shape, lambda table: qualified(self.shape.schema, table))
        self._before = InverseMapping(self.shape, catch_up.expected)

    def own_name(self, name: str) -> str:
        """A name for a column of our own beside v1's, whatever those are called."""
        return free_name(name, {column for table in self.shape.tables.values() for column in table.columns})

    def of_v1(self, base: str) -> str:
        """A kept v1 table, quoted."""
        return self.mapping.source(base)

    def of_v2(self, table: str) -> str:
        """A table of v2, quoted."""
        return qualified(self.shape.schema, table)

    def _id_type(self, base: str) -> str:
        return v2.id_types(self.shape)[v2.ID_PLACEHOLDERS[base]]

    @staticmethod
    def touched(base: str) -> str:
        """The temporary table with the ids of touched rows of one v1 table."""
        return f"pg_temp.{quote(f'vagus_a_{base}')}"

    @staticmethod
    def now(base: str) -> str:
        """The temporary table with what v2 says of those rows now, in v1's columns."""
        return f"pg_temp.{quote(f'vagus_now_{base}')}"

    @staticmethod
    def before(base: str) -> str:
        """The temporary table with what v2 said of them at the cut-over, in v1's columns."""
        return f"pg_temp.{quote(f'vagus_before_{base}')}"

    @staticmethod
    def had(base: str) -> str:
        """The temporary table with the ids of those rows that v1 had before anything was carried back."""
        return f"pg_temp.{quote(f'vagus_had_{base}')}"

    def both(self, base: str) -> str:
        """FROM of touched rows as they are in v2 now and were at the cut-over."""
        return f"{self.now(base)} n join {self.before(base)} b on b.id = n.id"

    @staticmethod
    def _fresh(base: str) -> str:
        """The temporary table with the ids of touched rows of which nothing was worked out ahead."""
        return f"pg_temp.{quote(f'vagus_fresh_{base}')}"

    def look_ahead(self, ahead: Ahead) -> list[str]:
        """Work out what v2 said at the cut-over of all rows that were touched by now, in one transaction."""
        statements = [ahead.dropped, *self._named(), *self._worked_out(self.touched)]
        for base in v1.TABLES:
            before, known, touched = ahead.before(base), ahead.known(base), self.touched(base)
            statements += [
                f"create {ahead.kind} {before} as\n{self._before.select(base, self._one_of(base, touched))}",
                f"create {ahead.kind} {known} as\n"
                f"select t.id, h.id is not null as had from {touched} t left join {self.had(base)} h on h.id = t.id",
                f"analyze {before}",
                f"analyze {known}",
            ]
        made = ["pg_temp.vagus_changed", catch_up.DELTA.plans, catch_up.DELTA.sessions]
        made += [catch_up.expected(table) for table in catch_up.MAPPED]
        made += [relation(base) for relation in (self.touched, self.had) for base in v1.TABLES]
        return [*statements, f"drop table {', '.join(made)}"]

    def collect(self) -> list[str]:
        """Name the touched rows, and lay what they were and what they are side by side."""
        statements = self._named()
        if self.ahead is None:
            statements += self._worked_out(self.touched)
        else:
            statements += [one for base in v1.TABLES for one in self._left(self.ahead, base)]
            statements += self._worked_out(self._fresh)
        for base in v1.TABLES:
            statements += self._side_by_side(base)
        if self.mapping.options.repeat_exercises:
            statements.append(self._logs_of_copies())
        return statements

    def _named(self) -> list[str]:
        """The ids of touched rows: by their own change, or by that of a week or day that v1 has within them."""
        days, weeks = self.of_v2(v2.DAYS), self.of_v2(v2.WEEKS)
        # Weeks and days have ids of v2's own, whatever v1's are; looked up as such, they need not all be read.
        changed = "(select id::uuid from pg_temp.vagus_changed where table_name = '{}')"
        moved_days = (
            f"(select id from {days} where id in {changed.format(v2.DAYS)}\n"
            f"  union select id from {days} where week_id in {changed.format(v2.WEEKS)})"
        )
        ids = {
            v1.PLANS: f"select w.plan_id from {weeks} w where w.id in {changed.format(v2.WEEKS)}",
            v1.EXERCISES: f"select e.id from {self.of_v2(v2.EXERCISES)} e where e.day_id in {moved_days}",
            v1.SESSIONS: f"select s.id from {self.of_v2(v2.SESSIONS)} s where s.day_id in {moved_days}",
            v1.LOGS: "",
        }
        kinds = {v2.WEEKS: "uuid", v2.DAYS: "uuid", **{base: self._id_type(base) for base in v1.TABLES}}
        readable = "\n  ".join(
            f"when {literal(table).strip()} then {is_id('row_id', kind)}" for table, kind in kinds.items()
        )
        statements = [
            "create temporary table vagus_changed on commit drop as\n"
            f"select distinct table_name, row_id as id from {self.changes}\n"
            f"where case table_name {readable} else true end",
            "analyze pg_temp.vagus_changed",
        ]
        for base, further in ids.items():
            own = f"select id::{self._id_type(base)} as id from pg_temp.vagus_changed where table_name = '{base}'"
            body = f"{own}\nunion {further}" if further else own
            statements.append(f"create temporary table {quote(f'vagus_a_{base}')} on commit drop as\n{body}")
            statements.append(f"analyze {self.touched(base)}")
        for base in v1.TABLES:
            statements.append(
                f"create temporary table {quote(f'vagus_had_{base}')} on commit drop as\n"
                f"select o.id from {self.of_v1(base)} o where o.id in (select id from {self.touched(base)})"
            )
            statements.append(f"analyze {self.had(base)}")
        return statements

    def _left(self, ahead: Ahead, base: str) -> list[str]:
        """Those that were touched since, or whose row in v1 has gone or come back since."""
        return [
            f"create temporary table {quote(f'vagus_fresh_{base}')} on commit drop as\n"
            f"select t.id from {self.touched(base)} t left join {self.had(base)} h on h.id = t.id\n"
            f"left join {ahead.known(base)} k on k.id = t.id left join {ahead.before(base)} b on b.id = t.id\n"
            "where k.id is null or k.had <> (h.id is not null) or (h.id is not null and b.id is null)",
            f"analyze {self._fresh(base)}",
        ]

    def _worked_out(self, rows: Callable[[str], str]) -> list[str]:
        """What v2 was at the cut-over, of all plans and sessions that some rows of v1 are of.

        Args:
            rows: the relation with the ids of those of one v1 table.
        """
        plan, session = self._id_type(v1.PLANS), self._id_type(v1.SESSIONS)
        touched = {base: f"in (select id from {rows(base)})" for base in v1.TABLES}
        return [
            "create temporary table vagus_delta_plans on commit drop as\n"
            f"select id from {rows(v1.PLANS)}\n"
            f"union select e.plan_id::{plan} from {self.of_v1(v1.EXERCISES)} e where e.id {touched[v1.EXERCISES]}\n"
            # Exercises that the mapping repeated are known by their plan in v2 alone.
            f"union select w.plan_id from {self.of_v2(v2.EXERCISES)} x\n"
            f"  join {self.of_v2(v2.DAYS)} d on d.id = x.day_id\n"
            f"  join {self.of_v2(v2.WEEKS)} w on w.id = d.week_id where x.id {touched[v1.EXERCISES]}\n"
            f"union select s.plan_id::{plan} from {self.of_v1(v1.SESSIONS)} s where s.id {touched[v1.SESSIONS]}",
            "create temporary table vagus_delta_sessions on commit drop as\n"
            f"select id from {rows(v1.SESSIONS)}\n"
            f"union select l.session_id::{session} from {self.of_v1(v1.LOGS)} l where l.id {touched[v1.LOGS]}",
            "analyze pg_temp.vagus_delta_plans",
            "analyze pg_temp.vagus_delta_sessions",
            *catch_up.expect(self.mapping, catch_up.DELTA),
        ]

    @staticmethod
    def _one_of(base: str, ids: str) -> str:
        return f"{InverseMapping.alias(base)}.id in (select id from {ids})"

    def _side_by_side(self, base: str) -> list[str]:
        """What v2 says now and what it said at the cut-over of the touched rows of one table."""
        now = self._now.select(base, self._one_of(base, self.touched(base)), {self.unfit: self._now.unfit(base)})
        if self.ahead is None:
            before = self._before.select(base, self._one_of(base, self.touched(base)))
        else:
            fresh = self._fresh(base)
            before = (
                f"select b.* from {self.ahead.before(base)} b where b.id not in (select id from {fresh})\n"
                f"union all\n{self._before.select(base, self._one_of(base, fresh))}"
            )
        return [
            f"create temporary table {quote(f'vagus_now_{base}')} on commit drop as\n{now}",
            f"create temporary table {quote(f'vagus_before_{base}')} on commit drop as\n{before}",
            f"analyze {self.now(base)}",
            f"analyze {self.before(base)}",
        ]

    def _logs_of_copies(self) -> str:
        """Sets logged on an exercise that was repeated in a later week belong to the one exercise that v1 has."""
        copy = self.mapping.copy_id("e.id", "w.week_number")
        return (
            f"update {self.now(v1.LOGS)} n set exercise_id = e.id\n"
            f"from {self.of_v2(v2.EXERCISES)} x join {self.of_v2(v2.DAYS)} d on d.id = x.day_id\n"
            f"join {self.of_v2(v2.WEEKS)} w on w.id = d.week_id\n"
            f"join {self.of_v1(v1.EXERCISES)} e on e.plan_id = w.plan_id\n"
            f"where x.id = n.exercise_id and x.id = {copy}"
        )

    def columns(self, base: str) -> list[Column]:
        """The columns of a v1 table for which v2 has a value."""
        made = self._now.expressions(base)
        return [column for column in self.shape.tables[base].columns.values() if column.name in made]

    def values(self, base: str) -> list[Column]:
        """The same without the id."""
        return [column for column in self.columns(base) if column.name != "id"]

    @staticmethod
    def differs(column: Column, left: str, right: str) -> str:
        """The condition under which two rows, by their aliases, have another value in a column."""
        one, other = (comparable(f"{side}.{quote(column.name)}", column.type) for side in (left, right))
        return f"{one} is distinct from {other}"

    def expressible(self, base: str) -> str:
        """The condition under which v1 can hold a new row: nothing is missing that v1 insists on."""
        needed = [f"cardinality(n.{self.unfit}) = 0"]
        needed += [
            f"n.{quote(column.name)} is not null"
            for column in self.columns(base)
            if column.not_null and column.default is None and not column.identity
        ]
        return " and ".join(needed)

    def written(self, column: Column) -> str:
        """The condition under which a changed value is put into a row that v1 has: it changed, and v1 can hold it."""
        fits = f" and {literal(column.name).strip()} <> all(n.{self.unfit})"
        given = f" and n.{quote(column.name)} is not null" if column.not_null else ""
        return f"({self.differs(column, 'n', 'b')}{fits}{given})"

    def value(self, base: str, column: Column) -> str:
        """What a new row gets: v2's value, or v1's default where v1 insists on one."""
        if column.identity and column.name != "id":
            source = f"{literal(self.of_v1(base)).strip()}, {literal(column.name).strip()}"
            return f"coalesce(n.{quote(column.name)}, nextval(pg_get_serial_sequence({source})))"
        default = self.kept.defaults.get((base, column.name), column.default)
        if column.not_null and default is not None:
            return f"coalesce(n.{quote(column.name)}, {default})"
        return f"n.{quote(column.name)}"

    def new(self, base: str) -> str:
        """FROM and WHERE of rows that v1 does not have. Rows the mapping itself made (repeats) are not new."""
        return (
            f"{self.now(base)} n where not exists (select from {self.had(base)} h where h.id = n.id)\n"
            f"and not exists (select from {self.before(base)} b where b.id = n.id)"
        )

    def copies(self, base: str) -> str:
        """FROM and WHERE of changed rows that the mapping itself had made (repeats): v1 has no row for them."""
        differs = " or ".join(self.differs(column, "n", "b") for column in self.values(base))
        return f"{self.both(base)}\nwhere ({differs}) and not exists (select from {self.had(base)} h where h.id = n.id)"

    def deleted(self, base: str) -> str:
        """FROM and WHERE of v1 rows whose v2 row was deleted after the cut-over."""
        return (
            f"{self.of_v1(base)} o where o.id in (select id from {self.had(base)})\n"
            f"and not exists (select from {self.now(base)} n where n.id = o.id)"
        )
