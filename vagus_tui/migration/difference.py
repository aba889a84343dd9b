"""The two-way diff: what v1 says a row of v2 must be, against what it is."""

from __future__ import annotations

import re

from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import literal, quote
from vagus_tui.schema.mapping import WorkoutMapping

EXCUSED = "pg_temp.vagus_excused"
"""The ids of rows that waiting notes touch: they may differ until a round has brought these over."""

_DEFAULT = re.compile(r"\bdefault (\S+)$")


def first_of(query: str, count: int) -> str:
    """The first few rows of a query, planned as if all were wanted.

    Under a mere LIMIT the planner hopes for an early end, which a proof that finds nothing never has.
    """
    return f"with d as materialized (\n{query}\n) select * from d limit {count}"


def differences(mapping: WorkoutMapping, table: str, wanted: str, found: str, *, own: bool = False) -> str:
    """The two-way diff of what must be (a SELECT) and what is (a SELECT): one row per difference.

    Args:
        own: as for `odd`.
    """
    expected = mapping.told(table, "x")
    if own and (rests := _own(mapping, table)):
        made = ", ".join(f"{literal(name)}, {rest}" for name, rest in rests.items())
        expected = f"{expected} || case when x.id is not null then jsonb_build_object({made}) end"
    return (
        f"select coalesce(x.id, t.id)::text as id,\n"
        "  case when t.id is null then 'missing in v2' when x.id is null then 'not in v1' else 'differs' end\n"
        "    as difference,\n"
        f"  {expected} as expected, {mapping.told(table, 't')} as found\n"
        f"from (\n{wanted}\n) x full join (\n{found}\n) t on t.id = x.id\n"
        f"where {odd(mapping, table, own=own)}"
    )


def counted(
    mapping: WorkoutMapping, table: str, wanted: str, found: str, *, own: bool = False, excusing: bool = False
) -> str:
    """How many rows the two-way diff of what must be (a SELECT) and what is (a relation) compares, and how many differ.

    The row it gives: `compared`, `differences`.

    Args:
        own: as for `odd`.
        excusing: rows that waiting notes touch may differ: see `EXCUSED`.
    """
    unless = f" and coalesce(x.id, t.id)::text not in (select id from {EXCUSED})" if excusing else ""
    return (
        f"select count(*) as compared, count(*) filter (where {odd(mapping, table, own=own)}{unless}) as differences\n"
        f"from (\n{wanted}\n) x full join {found} t on t.id = x.id"
    )


def odd(mapping: WorkoutMapping, table: str, *, own: bool = False) -> str:
    """The condition for a difference, of a row that must be (x) full-joined to the one that is (t).

    Args:
        own: a value where v2 has a column of its own is a difference too: see `written`.
    """
    also = f" or {said}" if own and (said := written(mapping, table)) else ""
    return (
        f"(x.id is null or t.id is null or {mapping.compared(table, 'x')} is distinct from "
        f"{mapping.compared(table, 't')}{also})"
    )


def written(mapping: WorkoutMapping, table: str) -> str:
    """The condition that a row (t) says something that v1 has no place for; "" if the table has no room for that.

    As long as no app has v2, only somebody at work by hand can have written it.
    """
    return " or ".join(f"t.{quote(name)} is distinct from {rest}" for name, rest in _own(mapping, table).items())


def _own(mapping: WorkoutMapping, table: str) -> dict[str, str]:
    """The columns that the mapping leaves as they are made, with their defaults; none that are worked out row by row:
    ids, times, generated values.
    """
    mapped = mapping.columns(table)
    defaults = {
        column.name: found[1] if (found := _DEFAULT.search(column.rest)) else "null"
        for column in v2.MODEL[table].columns
        if column.name not in mapped and "generated" not in column.rest
    }
    return {name: default for name, default in defaults.items() if "(" not in default}
