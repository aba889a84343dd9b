"""What carried-over columns bring along besides their values: defaults, NOT NULL, checks, indexes; and what stays.

Unique indexes stay with v1. While changes are brought over, a value may pass from one row to another, in whatever
order: a unique index on v2 would refuse that half-way.

References of such columns are dependents like any other and are made again in the cut-over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vagus_tui.database.connection import Connection
from vagus_tui.events import Phase
from vagus_tui.migration.binding import same_columns
from vagus_tui.migration.steps import PlanStep
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import NamedSql, V2Ddl, default_of
from vagus_tui.schema.identifiers import free_name, quote
from vagus_tui.schema.v1 import V1Shape


@dataclass(frozen=True, slots=True)
class Bound:
    """A check or an index of v1 that a carried-over column has a part in.

    Args:
        kept: v2 gets it too.
        columns: v1's columns that it looks at, in expressions too, by name.
        whole: for an index, it is about every row, and about columns alone.
    """

    base: str
    name: str
    definition: str
    check: bool
    kept: bool
    unique: bool = False
    columns: tuple[str, ...] = ()
    whole: bool = True


_BOUND = """
select c.relname as relation, k.conname as name, pg_get_constraintdef(k.oid) as definition, true as is_check,
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum = any(k.conkey)) as columns,
  false as is_unique, true as plain, true as whole
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) and k.contype = 'c'
union all
select c.relname, i.relname, pg_get_indexdef(i.oid), false,
  -- Those in expressions and in the condition too.
  array(select distinct a.attname::text from pg_attribute a where a.attrelid = c.oid and (a.attnum = any(x.indkey)
        or exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.oid
                   and d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid = a.attnum))
        order by 1),
  x.indisunique, x.indisvalid and not x.indisexclusion, x.indpred is null and x.indexprs is null
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[])
order by 1, 2
"""


async def read_bound(connection: Connection, shape: V1Shape) -> tuple[Bound, ...]:
    """The checks and indexes that carried-over columns have a part in.

    A check is kept where every column it looks at is carried over under its own name; an index where v2 has each of
    its columns as v1 has it, and it is not unique by other columns than the id.
    """
    bases = {table.name: base for base, table in shape.tables.items()}
    found = []
    async with connection.transaction():
        # Whoever reads: names of functions and operator classes come out as the migration's sessions need them.
        await connection.execute(f"set local search_path = {quote(shape.schema)}, pg_temp")
        rows = await connection.fetch(_BOUND, shape.schema, list(bases))
    for row in rows:
        base = bases[row["relation"]]
        names = v2.carried_columns(base, shape.tables[base])
        columns = set(row["columns"])
        if not columns & names.keys():
            continue
        if row["is_check"]:
            kept = all(names.get(column) == column for column in columns)
        else:
            plain = replace(shape, tables={**shape.tables, base: replace(shape.tables[base], name=base)})
            kept = row["plain"] and columns <= same_columns(plain, base) and (not row["is_unique"] or "id" in columns)
        found.append(
            Bound(
                base,
                row["name"],
                row["definition"],
                row["is_check"],
                kept,
                row["is_unique"],
                tuple(row["columns"]),
                row["whole"],
            )
        )
    return tuple(found)


def check_steps(bound: tuple[Bound, ...], ddl: V2Ddl) -> list[PlanStep]:
    """One step that gives v2's tables the kept checks; v1's rows meet them, so v2's do."""
    statements = [
        f"alter table {ddl.relation(one.base)} add constraint {quote(_name(one))} {one.definition}"
        for one in bound
        if one.kept and one.check
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


def carried_indexes(bound: tuple[Bound, ...], ddl: V2Ddl, table: str) -> list[NamedSql]:
    """The kept indexes of one v2 table, under the names they had."""
    made: list[NamedSql] = []
    for one in bound:
        if one.kept and not one.check and one.base == table:
            name = free_name(one.name, {*ddl.names, *ddl.taken, *(index.name for index in made)})
            unique = "unique " if one.unique else ""
            _, _, body = one.definition.partition(" USING ")
            made.append(NamedSql(name, f"create {unique}index {quote(name)} on {ddl.relation(table)} using {body}"))
    return made


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
