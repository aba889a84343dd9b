"""From v2 back to v1: one SELECT per v1 table, with v1's columns and types, over v2's tables.

The rollback carries what was written after the cut-over back with it, and views that were written for v1 go on
working through it. What v1 has no place for (extra weeks, groups, RPE targets) does not appear.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import literal, quote
from vagus_tui.schema.rules import WEEKDAYS
from vagus_tui.schema.v1 import Column, V1Shape, V1Table

_RENAMED: Mapping[str, Mapping[str, str]] = {
    v1.PLANS: {"duration_weeks": "p.total_weeks", "start_date": "w.start_date"},
    v1.EXERCISES: {
        "plan_id": "w.plan_id",
        "reps_min": "e.target_reps_min",
        "reps_max": "e.target_reps_max",
        "weight": "e.target_weight",
        "day_label": "d.day_label",
        "week_number": "w.week_number",
    },
    v1.SESSIONS: {"plan_id": "w.plan_id"},
    v1.LOGS: {},
}
"""v1 columns whose v2 place has another name; every other one keeps its own."""

LONG_NAMES = {"timestamptz": "timestamp with time zone"}
"""How the server spells types that v2's columns have."""

_HOLDS_ANY = frozenset(
    {
        *("text", "character varying", "uuid", "boolean", "json", "jsonb"),
        *("integer", "bigint", "numeric", "real", "double precision"),
        *("date", "timestamp with time zone", "timestamp without time zone"),
    }
)
"""Types of v1 that hold whatever v2's column for them can hold; of whole numbers where that has whole ones too."""

_BITS = {"smallint": 15, "integer": 31, "bigint": 63}

_ALIASES = {v1.PLANS: "p", v1.EXERCISES: "e", v1.SESSIONS: "s", v1.LOGS: "l"}


def counterpart(base: str, table: V1Table, column: str) -> str | None:
    """The column of the same v2 table that a v1 column's values go to; None where there is none."""
    carried = v2.carried_columns(base, table)
    if column in carried:
        return carried[column]
    if column in _RENAMED[base]:
        alias, _, name = _RENAMED[base][column].partition(".")
        return name if alias == _ALIASES[base] else None
    return column if any(column == known.name for known in v2.MODEL[base].columns) else None


def _has_fractions(base: str, table: V1Table, column: str) -> bool:
    """Whether v2's column for one of v1's holds numbers that need not be whole, and NaN."""
    place = counterpart(base, table, column)
    return any(known.name == place and known.type.startswith("numeric") for known in v2.MODEL[base].columns)


def _fits(expression: str, column_type: str, *, fractions: bool) -> str | None:
    """The condition under which a v1 column can hold a value of v2; None when it always can."""
    if column_type == "smallint" or (fractions and column_type in _BITS):
        value, most = f"({expression})::numeric", 2 ** _BITS[column_type]
        return f"({value} between {-most} and {most - 1} and trunc({value}) = {value})"
    if column_type in _HOLDS_ANY:
        return None
    if found := re.fullmatch(r"character(?: varying)?\((\d+)\)", column_type):
        return f"char_length(({expression})::text) <= {found[1]}"
    if found := re.fullmatch(r"numeric\((\d+),(\d+)\)", column_type):
        digits, decimals = int(found[1]), int(found[2])
        value = f"({expression})::numeric"
        return f"(abs({value}) < 1e{digits - decimals} and round({value}, {decimals}) = {value})"
    labels = f"select from pg_catalog.pg_enum l where l.enumtypid = {literal(column_type).strip()}::regtype"
    return f"(not exists ({labels}) or exists ({labels} and l.enumlabel = ({expression})::text))"


_QUOTED_OR_VALUE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|\bVALUE\b""")


def _holds(expression: str, column: Column, *, fractions: bool) -> str | None:
    """The condition under which a v1 column can hold a value of v2, its domain's rules included; None when always."""
    fits = _fits(expression, column.plain, fractions=fractions)
    value = f"(({expression})::{column.plain})"

    def put(found: re.Match[str]) -> str:
        return value if found[0] == "VALUE" else found[0]

    rules = [f"coalesce(({_QUOTED_OR_VALUE.sub(put, rule)}), true)" for rule in column.rules]
    if not rules:
        return fits
    # In this order: the cast that the rules look at may itself be impossible.
    return f"case when {fits or 'true'} then {' and '.join(rules)} else false end"


def _without_types(shape: V1Shape, base: str) -> V1Shape:
    """The shape with every column of one table as text."""
    table = shape.tables[base]
    columns = {name: replace(column, type="text", base="", rules=()) for name, column in table.columns.items()}
    return replace(shape, tables={**shape.tables, base: V1Table(base, table.name, columns)})


@dataclass(frozen=True, slots=True)
class InverseMapping:
    """The way back for one database. `relation` gives the SQL name of each v2 table."""

    shape: V1Shape
    relation: Callable[[str], str]

    def expressions(self, base: str) -> dict[str, str]:
        """Every column of a v1 table, in its order, and what it is made of from v2, in v1's own type."""
        table = self.shape.tables[base]
        alias = _ALIASES[base]
        carried = v2.carried_columns(base, table)
        known = {column.name for column in v2.MODEL[base].columns}
        made: dict[str, str] = {}
        for column in table.columns.values():
            if column.generated:
                continue
            if column.name in carried:
                expression = f"{alias}.{quote(carried[column.name])}"
            elif column.name in _RENAMED[base]:
                expression = _RENAMED[base][column.name]
            elif base == v1.PLANS and column.name == "is_active":
                unknown = "false" if column.not_null else "null"
                expression = f"case p.status when 'active' then true when 'draft' then {unknown} else false end"
            elif base == v1.EXERCISES and column.name == "day_of_week":
                expression = self._weekday(column.plain)
            elif column.name in known:
                expression = f"{alias}.{quote(column.name)}"
            else:
                # An optional column of v1 that v2 has dropped: there is nothing to give back.
                expression = "null"
            fractions = _has_fractions(base, table, column.name)
            fits = None if column.name in carried else _holds(expression, column, fractions=fractions)
            if fits is not None:
                # A cast would cut a text short, or stop everything with an error.
                expression = f"case when {fits} then {expression} end"
            # Where there is nothing to give back, a domain that refuses NULL would stop everything.
            kind = column.plain if column.not_null and column.name not in carried else column.type
            made[column.name] = f"({expression})::{kind}"
        return made

    def unfit(self, base: str) -> str:
        """An array of the names of v1's columns that cannot hold what v2's row says; those come out NULL above."""
        bare = InverseMapping(_without_types(self.shape, base), self.relation).expressions(base)
        table = self.shape.tables[base]
        parts = []
        for column in table.columns.values():
            if column.name not in bare or column.name in v2.carried_columns(base, table):
                continue
            expression = bare[column.name].removesuffix("::text")
            fits = _holds(expression, column, fractions=_has_fractions(base, table, column.name))
            if fits is not None:
                parts.append(f"case when not ({fits}) then {literal(column.name).strip()} end")
        return f"array_remove(array[{', '.join(parts)}]::text[], null)"

    @staticmethod
    def _weekday(column_type: str) -> str:
        cases = " ".join(f"when '{name.lower()}' then '{number}'" for number, name in enumerate(WEEKDAYS))
        return f"(case lower(d.day_label) {cases} end)" + ("" if column_type == "text" else "::text")

    def source(self, base: str) -> str:
        """FROM of a v1 table's rows, over v2's tables."""
        plans, weeks, days = (self.relation(name) for name in (v2.PLANS, v2.WEEKS, v2.DAYS))
        if base == v1.PLANS:
            return f"{plans} p left join {weeks} w on w.plan_id = p.id and w.week_number = 1"
        if base == v1.EXERCISES:
            exercises = self.relation(v2.EXERCISES)
            return f"{exercises} e join {days} d on d.id = e.day_id join {weeks} w on w.id = d.week_id"
        if base == v1.SESSIONS:
            sessions = self.relation(v2.SESSIONS)
            return f"{sessions} s left join {days} d on d.id = s.day_id left join {weeks} w on w.id = d.week_id"
        return f"{self.relation(v2.LOGS)} l"

    def select(self, base: str, where: str = "", extra: Mapping[str, str] | None = None) -> str:
        """v1's rows as v2 has them; `where` may use p, e, s, l for the row, w and d for its week and day.

        Args:
            extra: further columns to select, by name.
        """
        expressions = {**self.expressions(base), **(extra or {})}
        listed = ",\n  ".join(f"{text} as {quote(name)}" for name, text in expressions.items())
        tail = f"\nwhere {where}" if where else ""
        return f"select\n  {listed}\nfrom {self.source(base)}{tail}"

    @staticmethod
    def alias(base: str) -> str:
        """The alias of a v1 table's row in its SELECT."""
        return _ALIASES[base]
