"""What carried-over columns bring along besides their values: defaults, NOT NULL, checks; and what stays with v1.

References of such columns are dependents like any other and are made again in the cut-over.
"""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.events import Phase
from vagus_tui.migration.steps import PlanStep
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import V2Ddl, default_of
from vagus_tui.schema.identifiers import quote
from vagus_tui.schema.v1 import V1Shape


@dataclass(frozen=True, slots=True)
class Bound:
    """A check or an index of v1 that a carried-over column has a part in. `kept` says whether v2 gets it too."""

    base: str
    name: str
    definition: str
    check: bool
    kept: bool


_BOUND = """
select c.relname as relation, k.conname as name, pg_get_constraintdef(k.oid) as definition, true as is_check,
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum = any(k.conkey)) as columns
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) and k.contype = 'c'
union all
select c.relname, i.relname, pg_get_indexdef(i.oid), false,
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum = any(x.indkey))
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[])
order by 1, 2
"""


async def read_bound(connection: Connection, shape: V1Shape) -> tuple[Bound, ...]:
    """The checks and indexes that carried-over columns have a part in.

    A check is kept where every column it looks at is carried over under its own name.
    """
    bases = {table.name: base for base, table in shape.tables.items()}
    found = []
    for row in await connection.fetch(_BOUND, shape.schema, list(bases)):
        base = bases[row["relation"]]
        names = v2.carried_columns(base, shape.tables[base])
        columns = set(row["columns"])
        if not columns & names.keys():
            continue
        kept = row["is_check"] and all(names.get(column) == column for column in columns)
        found.append(Bound(base, row["name"], row["definition"], row["is_check"], kept))
    return tuple(found)


def check_steps(bound: tuple[Bound, ...], ddl: V2Ddl) -> list[PlanStep]:
    """One step that gives v2's tables the kept checks; v1's rows meet them, so v2's do."""
    statements = [
        f"alter table {ddl.relation(one.base)} add constraint {quote(_name(one))} {one.definition}"
        for one in bound
        if one.kept
    ]
    if not statements:
        return []
    return [
        PlanStep(
            "link-carried-checks",
            Phase.BUILD,
            "checks of carried-over columns",
            tuple(statements),
            needs=("link-keys",),
            tables=ddl.tables,
        )
    ]


def _name(one: Bound) -> str:
    return f"{one.name[:58]}_v1" if one.name in v2.MODEL[one.base].checks else one.name


def carried_notes(shape: V1Shape, bound: tuple[Bound, ...]) -> list[str]:
    """What becomes of the carried-over columns, one line per table and one per thing that stays behind."""
    lines = []
    for base, table in shape.tables.items():
        if not table.carried:
            continue
        parts = []
        for column in table.carried:
            kept = ["not null"] if column.not_null else []
            if (default := default_of(column)) is not None:
                kept.append(f"default {default}")
            parts.append(f"{column.name} ({' '.join([column.type, *kept])})")
        lines.append(f"{table.name}: carried over as they are: {', '.join(parts)}")
        for column in table.carried:
            if column.generated:
                lines.append(f"{table.name}.{column.name}: its values are kept, that they are generated is not")
            elif column.identity or (column.default is not None and default_of(column) is None):
                lines.append(
                    f"{table.name}.{column.name}: its values are kept; new ones come from v1's sequence, "
                    "which v2 has not: review it"
                )
        for one in bound:
            if one.base == base and not one.kept:
                what = "check" if one.check else "index"
                lines.append(f"{table.name}: {what} {one.name} stays with v1, v2 has not: {one.definition}")
    return lines
