"""What keeps v1's rows apart (unique indexes and constraints) keeps v2's apart too, where that can be.

A unique index looks at every row as it is written. While changes are brought over, a value may pass from one row to
another, by whatever order, even in a circle: half-way two rows have it. A round in which that happens takes the index
away and makes it again at its end, in the same transaction; all others leave it alone. Logs need no such care: those
that changed are taken out before any is put in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vagus_tui.migration.binding import same_columns
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.v1 import V1Shape


@dataclass(frozen=True, slots=True)
class Uniqueness:
    """How a unique index tells rows apart.

    Args:
        keys: its columns and expressions, as SQL.
        condition: of a partial index, which rows it is about; "" for all.
        empty_too: two rows without a value count as equal (NULLS NOT DISTINCT).
        as_constraint: it is a constraint, which the app may name in ON CONFLICT.
        operators: of an exclusion constraint, one for each key; () for plain equality.
    """

    keys: tuple[str, ...]
    condition: str = ""
    empty_too: bool = False
    as_constraint: bool = False
    operators: tuple[str, ...] = ()

    @property
    def by_id(self) -> bool:
        """Whether the id is part of it: then no two rows can collide."""
        return quote("id") in self.keys and not self.operators

    def clash(self, one: str, other: str) -> str:
        """The condition under which two rows with keys k0, k1 … cannot both be there."""
        if self.empty_too:
            # Arrays without a value are equal and can be hashed; else each row would be held against every other.
            return " and ".join(
                f"array[{one}.k{number}] = array[{other}.k{number}] "
                f"and {one}.k{number} is not distinct from {other}.k{number}"
                for number in range(len(self.keys))
            )
        listed = self.operators or ("=",) * len(self.keys)
        return " and ".join(f"{one}.k{number} {sign} {other}.k{number}" for number, sign in enumerate(listed))

    def plainly_by(self, columns: frozenset[str]) -> bool:
        """Whether it is about every row, and exactly about these columns."""
        return (
            not self.condition and not self.operators and frozenset(self.keys) == {quote(column) for column in columns}
        )


_RESPELT = {v1.PLANS: ("goal", "created_by"), v1.EXERCISES: ("muscle_group",), v1.SESSIONS: (), v1.LOGS: ()}
"""Columns of which v2 may have another value than v1, so that two rows may become equal."""

_FILLED = {
    v1.PLANS: ("is_template", "ai_generated"),
    v1.EXERCISES: ("rest_seconds", "order_index"),
    v1.SESSIONS: (),
    v1.LOGS: (),
}
"""Columns of which v2 has a value where v1 has none."""


def uniqueness(row: Mapping[str, Any]) -> Uniqueness:
    """Of a row of the catalog about a unique index."""
    return Uniqueness(
        tuple(_plain(key) for key in row["keys"]),
        row["predicate"] or "",
        " NULLS NOT DISTINCT" in row["definition"],
        row["as_constraint"],
        tuple(row["operators"]),
    )


def _plain(key: str) -> str:
    """A column's name as we quote it; an expression as it is."""
    return quote(key) if key.replace("_", "").isalnum() else key


def had_anyway(base: str, unique: Uniqueness) -> bool:
    """Whether v2's own keys keep the same rows apart."""
    model = v2.MODEL[base]
    return any(unique.plainly_by(frozenset(columns)) for columns in ((model.primary_key,), *model.unique))


def changed_columns(shape: V1Shape, base: str) -> frozenset[str]:
    """Columns of which v2 may have another value than v1."""
    table = shape.tables[base]
    filled = {name for name in _FILLED[base] if table.has(name) and not table.columns[name].not_null}
    return frozenset({*filled, *_RESPELT[base]})


def why_not(shape: V1Shape, base: str, row: Mapping[str, Any], unique: Uniqueness, *, repeat_exercises: bool) -> str:
    """Why v2 cannot keep its rows apart in the same way; "" where it can."""
    columns = frozenset(row["columns"])
    if not row["plain"]:
        return "it is no valid unique index, or an exclusion constraint"
    if other := sorted(columns - same_columns(shape, base)):
        return f"v2 has not {', '.join(other)} as v1 has"
    if unique.by_id:
        return ""
    if respelt := sorted(columns & changed_columns(shape, base)):
        return f"the mapping may change {', '.join(respelt)}, and two values may become one"
    if base == v1.EXERCISES and repeat_exercises:
        return "REPEAT_EXERCISES makes several rows of one"
    if row["deferrable"]:
        return "it is deferrable"
    return "" if row["usual"] else "it compares in a way of its own"


@dataclass(frozen=True, slots=True)
class Apart:
    """A unique index of v2 that came from v1: its table, its name, the statement that makes it.

    Args:
        marks: statements that give it again what hangs on it, once it is made again.
    """

    table: str
    name: str
    sql: str
    unique: Uniqueness
    marks: tuple[str, ...] = ()


def as_constraint(ddl: V2Ddl, table: str, name: str) -> str:
    """The statement that makes a unique index a constraint of the same name."""
    return f"alter table {ddl.relation(table)} add constraint {quote(name)} unique using index {quote(name)}"


def keyed_rows(unique: Uniqueness, relation: str, also: str = "") -> str:
    """The rows of a relation that a unique index is about: their id, further columns, and its keys as k0, k1 …"""
    keys = ", ".join(f"({key}) as k{number}" for number, key in enumerate(unique.keys))
    return f"select id, {also}{keys} from {relation}" + (f" where {unique.condition}" if unique.condition else "")


def _passes_on(one: Apart, schema: str, wanted: str) -> str:
    """How often a row of `wanted` must get what another row of the table has yet."""
    ours, theirs = keyed_rows(one.unique, wanted), keyed_rows(one.unique, qualified(schema, one.table))
    numbers = range(len(one.unique.keys))
    # No index finds rows without a value.
    equal = replace(one.unique, empty_too=False).clash("x", "t")
    counted = (
        # Counted rather than asked for the first: the planner must not hope for an early end.
        f"(select count(*) from ({ours}) x\n    join ({theirs}) t on {equal} and t.id <> x.id)"
    )
    if not one.unique.empty_too:
        return counted
    # Any such row counts.
    empty = " or ".join(f"x.k{number} is null" for number in numbers)
    return f"{counted} + (select count(*) from ({ours}) x where {empty})"


def out_of_the_way(one: Apart, schema: str, wanted: str) -> str:
    """Take the index away if a row that must become as `wanted` says would collide with another half-way."""
    block = (
        f"begin\n  if {_passes_on(one, schema, wanted)} > 0 then\n"
        f"    alter table {qualified(schema, one.table)} drop constraint if exists {quote(one.name)};\n"
        f"    drop index if exists {qualified(schema, one.name)};\n  end if;\nend"
    )
    return f"do {literal(block)}"


def made_again(one: Apart, schema: str) -> str:
    """Make the index again, if it was taken away."""
    relation = qualified(schema, one.table)
    constraint = (
        f"    alter table {relation} add constraint {quote(one.name)} unique using index {quote(one.name)};\n"
        if one.unique.as_constraint
        else ""
    )
    missing = f"to_regclass({literal(qualified(schema, one.name)).strip()}) is null"
    marks = "".join(f"    {mark};\n" for mark in one.marks)
    block = f"begin\n  if {missing} then\n    {one.sql};\n{constraint}{marks}  end if;\nend"
    return f"do {literal(block)}"
