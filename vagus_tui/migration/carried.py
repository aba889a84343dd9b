"""What carried-over columns bring along besides their values: defaults, NOT NULL, checks, indexes; and what stays.

What v1 keeps apart, v2 keeps apart too, over mapped columns as well: see `unique`. References of such columns are
dependents like any other and are made again in the cut-over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vagus_tui.database.connection import Connection
from vagus_tui.events import Phase
from vagus_tui.migration.binding import same_columns
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.unique import Apart, Uniqueness, as_constraint, had_anyway, uniqueness, why_not
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import NamedSql, V2Ddl, default_of
from vagus_tui.schema.identifiers import free_name, quote
from vagus_tui.schema.v1 import V1Shape


@dataclass(frozen=True, slots=True)
class Bound:
    """A check or an index of v1 that a carried-over column has a part in, or a unique index over any columns.

    Args:
        kept: v2 gets it too.
        columns: v1's columns that it looks at, in expressions too, by name.
        unique: for an index, what keeps rows apart with it; None where it does not.
        reason: why v2 does not get it, where that is not plain to see.
    """

    base: str
    name: str
    definition: str
    check: bool
    kept: bool
    columns: tuple[str, ...] = ()
    unique: Uniqueness | None = None
    reason: str = ""


_BOUND = """
select c.relname as relation, k.conname as name, pg_get_constraintdef(k.oid) as definition, true as is_check,
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum = any(k.conkey)) as columns,
  false as is_unique, true as plain, '{}'::text[] as keys, null as predicate, false as as_constraint,
  false as deferrable, true as usual, false as primary_key
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) and k.contype = 'c'
union all
select c.relname, i.relname, pg_get_indexdef(i.oid), false,
  -- Those in expressions and in the condition too.
  array(select distinct a.attname::text from pg_attribute a where a.attrelid = c.oid and (a.attnum = any(x.indkey)
        or exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.oid
                   and d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid = a.attnum))
        order by 1),
  x.indisunique or x.indisexclusion, x.indisvalid and not x.indisexclusion,
  array(select pg_get_indexdef(i.oid, number, false) from generate_series(1, x.indnkeyatts) number order by number),
  pg_get_expr(x.indpred, x.indrelid), k.oid is not null, coalesce(k.condeferrable, false),
  -- Rows are told apart as `=` tells them apart.
  not exists (select from unnest(x.indclass::oid[]) with ordinality o(class, number)
              join pg_opclass p on p.oid = o.class where o.number <= x.indnkeyatts and not p.opcdefault)
  and not exists (select from unnest(x.indcollation::oid[], x.indkey::smallint[]) o(collation_id, number)
                  join pg_attribute a on a.attrelid = c.oid and a.attnum = o.number and o.number > 0
                  where o.collation_id <> 0 and o.collation_id <> a.attcollation),
  x.indisprimary
from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class c on c.oid = x.indrelid
join pg_namespace n on n.oid = c.relnamespace
left join pg_constraint k on k.conindid = i.oid and k.conrelid = c.oid and k.contype in ('u', 'x')
where n.nspname = $1 and c.relname = any($2::text[])
order by 1, 2
"""


async def read_demands(connection: Connection, schema: str, tables: list[str]) -> list[Mapping[str, Any]]:
    """Every check and index of some tables, as the catalog has them."""
    async with connection.transaction():
        # Whoever reads: names of functions and operator classes come out as the migration's sessions need them.
        await connection.execute(f"set local search_path = {quote(schema)}, pg_temp")
        return [dict(row) for row in await connection.fetch(_BOUND, schema, tables)]


async def read_bound(connection: Connection, shape: V1Shape, *, repeat_exercises: bool) -> tuple[Bound, ...]:
    """The checks and indexes that carried-over columns have a part in, and whatever else keeps v1's rows apart.

    A check is kept where every column it looks at is carried over under its own name; an index where v2 has each of
    its columns as v1 has it, and, if it is unique, can keep rows apart by them.
    """
    bases = {table.name: base for base, table in shape.tables.items()}
    found = []
    for row in await read_demands(connection, shape.schema, list(bases)):
        base = bases[row["relation"]]
        names = v2.carried_columns(base, shape.tables[base])
        columns = frozenset(row["columns"])
        unique = uniqueness(row) if row["is_unique"] else None
        if not columns & names.keys() and (unique is None or row["primary_key"] or had_anyway(base, unique)):
            continue
        plain = replace(shape, tables={**shape.tables, base: replace(shape.tables[base], name=base)})
        reason = ""
        if row["is_check"]:
            kept = all(names.get(column) == column for column in columns)
        else:
            kept = row["plain"] and columns <= same_columns(plain, base)
        if unique is not None:
            reason = why_not(plain, base, row, unique, repeat_exercises=repeat_exercises)
            kept = not reason
        found.append(
            Bound(base, row["name"], row["definition"], row["is_check"], kept, tuple(row["columns"]), unique, reason)
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
    made = []
    for one, name in _named(bound, ddl, table):
        unique = "unique " if one.unique else ""
        _, _, body = one.definition.partition(" USING ")
        made.append(NamedSql(name, f"create {unique}index {quote(name)} on {ddl.relation(table)} using {body}"))
    return made


def carried_constraints(bound: tuple[Bound, ...], ddl: V2Ddl, table: str) -> list[str]:
    """The unique constraints of one v2 table on such indexes, once those are there: instant."""
    return [
        as_constraint(ddl, table, name)
        for one, name in _named(bound, ddl, table)
        if one.unique is not None and one.unique.as_constraint
    ]


def apart(bound: tuple[Bound, ...], ddl: V2Ddl) -> tuple[Apart, ...]:
    """What keeps the rows of v2's tables apart besides its own keys, for the rounds that bring changes over."""
    return tuple(
        Apart(table, name, index.sql, one.unique)
        for table in ddl.tables
        for (one, name), index in zip(_named(bound, ddl, table), carried_indexes(bound, ddl, table), strict=True)
        if one.unique is not None and not one.unique.by_id
    )


def _named(bound: tuple[Bound, ...], ddl: V2Ddl, table: str) -> list[tuple[Bound, str]]:
    named: list[tuple[Bound, str]] = []
    for one in bound:
        if one.kept and not one.check and one.base == table:
            named.append((one, free_name(one.name, {*ddl.names, *ddl.taken, *(name for _, name in named)})))
    return named


def _name(one: Bound) -> str:
    return f"{one.name[:58]}_v1" if one.name in v2.MODEL[one.base].checks else one.name


def carried_notes(shape: V1Shape, bound: tuple[Bound, ...]) -> list[str]:
    """What becomes of the carried-over columns, one line per table and one per thing that stays behind."""
    lines = []
    for base, table in shape.tables.items():
        parts = []
        for column in table.carried:
            kept = ["not null"] if column.not_null else []
            if (default := default_of(column)) is not None:
                kept.append(f"default {default}")
            parts.append(f"{column.name} ({' '.join([column.type, *kept])})")
        if parts:
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
                why = f" ({one.reason})" if one.reason else ""
                lines.append(f"{table.name}: {what} {one.name} stays with v1, v2 has not: {one.definition}{why}")
    return lines
