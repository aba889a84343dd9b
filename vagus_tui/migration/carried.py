"""What v1's tables bring along besides their values: defaults and NOT NULL of carried-over columns, checks, indexes.

What v1 keeps apart, v2 keeps apart too: see `unique`. References of such columns are dependents like any other and are
made again in the cut-over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vagus_tui.database.connection import Connection
from vagus_tui.events import Phase
from vagus_tui.migration.binding import same_columns, whole_row
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.unique import (
    Apart,
    Uniqueness,
    as_constraint,
    changed_columns,
    had_anyway,
    uniqueness,
    why_not,
)
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import NamedSql, V2Ddl, default_of
from vagus_tui.schema.identifiers import free_name, qualified, quote, split_index
from vagus_tui.schema.v1 import V1Shape


@dataclass(frozen=True, slots=True)
class Bound:
    """A check or an index of v1 that v2 has not by itself.

    Args:
        kept: v2 gets it too.
        validated: of a check, whether every row meets it, whenever that is asked; else it is owed for new rows alone.
        columns: v1's columns that it looks at, in expressions too, by name.
        unique: for an index, what keeps rows apart with it; None where it does not.
        reason: why v2 does not get it, where that is not plain to see.
        asks: of a check, functions whose answer about the same row may be another one tomorrow.
    """

    base: str
    name: str
    definition: str
    check: bool
    kept: bool
    columns: tuple[str, ...] = ()
    unique: Uniqueness | None = None
    reason: str = ""
    validated: bool = True
    asks: tuple[str, ...] = ()


ASKS = """
array(
  select case m[1] when 'func' then p.oid::regproc::text else 'operator ' || m[2]::oid::regoperator::text end
  from regexp_matches(k.conbin::text, ':(func|op)(?:id|no) ([0-9]+)', 'g') m
  join pg_proc p on p.oid = case m[1] when 'func' then m[2]::oid else (
    select o.oprcode::oid from pg_operator o where o.oid = m[2]::oid) end
  where p.provolatile <> 'i' or p.oid >= 16384 and not exists (
    select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
  union select 'the time' where k.conbin::text ~ '[{]SQLVALUEFUNCTION '
  union select 'the session''s settings' where k.conbin::text ~ '[{]COERCEVIAIO ' and exists (
    select from pg_type y join pg_proc p on p.oid = y.typoutput where p.provolatile <> 'i' and y.oid in (
      select a.atttypid from pg_attribute a where a.attrelid = k.conrelid and a.attnum = any(k.conkey)))
  order by 1)
"""
"""What the check `k` asks that may be answered otherwise at another time: the clock, settings, other tables, or a
function that somebody can replace. The server looks at a row when it is written, and never again."""

_BOUND = f"""
select c.relname as relation, k.conname as name, pg_get_constraintdef(k.oid) as definition, true as is_check,
  array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum = any(k.conkey)) as columns,
  false as is_unique, true as plain, '{{}}'::text[] as keys, null as predicate, false as as_constraint,
  false as deferrable, true as usual, false as primary_key, k.convalidated as validated,
  '{{}}'::text[] as marks, '{{}}'::text[] as operators,
  '' as constrained, true as valid, {ASKS} as asks
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[])
  -- Of NOT NULL what holds for new rows alone; the rest the columns say.
  and (k.contype = 'c' or k.contype = 'n' and not k.convalidated)
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
  x.indisprimary, true,
  array_remove(array[
    case when x.indisclustered
      then pg_catalog.format('alter table %I.%I cluster on %I', n.nspname, c.relname, i.relname) end,
    case when x.indisreplident then
      pg_catalog.format('alter table %I.%I replica identity using index %I', n.nspname, c.relname, i.relname) end,
    'comment on index ' || pg_catalog.format('%I.%I', n.nspname, i.relname) || ' is '
      || quote_literal(obj_description(i.oid, 'pg_class')),
    'comment on constraint ' || pg_catalog.quote_ident(k.conname)
      || pg_catalog.format(' on %I.%I', n.nspname, c.relname) || ' is '
      || quote_literal(obj_description(k.oid, 'pg_constraint'))]
    || array(select pg_catalog.format('alter index %I.%I alter column %s set statistics %s',
      n.nspname, i.relname, a.attnum,
                           a.attstattarget)
             from pg_attribute a where a.attrelid = i.oid and a.attstattarget >= 0 order by a.attnum), null),
  array(select pg_catalog.format('operator(%I.%s)', on_.nspname, o.oprname)
        from unnest(k.conexclop) with ordinality e(op, place)
        join pg_operator o on o.oid = e.op join pg_namespace on_ on on_.oid = o.oprnamespace order by e.place),
  pg_get_constraintdef(k.oid), x.indisvalid, '{{}}'::text[]
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
    """The checks and indexes of v1 that v2 has not by itself.

    A check is kept where v2 has each column that it looks at, and the mapping changes none of their values; an index
    where v2 has each of its columns as v1 has it, and, if it is unique, can keep rows apart by them.
    """
    bases = {table.name: base for base, table in shape.tables.items()}
    found = []
    for row in await read_demands(connection, shape.schema, list(bases)):
        base = bases[row["relation"]]
        names = v2.carried_columns(base, shape.tables[base])
        columns = frozenset(row["columns"])
        unique = uniqueness(row) if row["is_unique"] else None
        if not columns & names.keys() and (row["primary_key"] or _has_anyway(shape, base, row, unique)):
            continue
        plain = replace(shape, tables={**shape.tables, base: replace(shape.tables[base], name=base)})
        reason, definition = "", row["definition"]
        # Rows of v1 may not meet it any more, and those that do today may not tomorrow.
        asks = tuple(row["asks"]) if row["validated"] else ()
        if asks:
            definition += " NOT VALID"
        if row["is_check"]:
            kept = columns <= same_columns(plain, base) - changed_columns(plain, base)
        else:
            kept = row["plain"] and columns <= same_columns(plain, base)
        if unique is not None:
            reason = why_not(plain, base, row, unique, repeat_exercises=repeat_exercises)
            kept = not reason
        if not kept and unique is not None and (row["operators"] or row["deferrable"]):
            definition = f"CONSTRAINT {quote(row['name'])} {row['constrained']}"
        if kept and whole_row(row["definition"]):
            kept, reason = False, "it looks at whole rows, and v2's are others"
        found.append(
            Bound(
                base,
                row["name"],
                definition,
                row["is_check"],
                kept,
                tuple(row["columns"]),
                unique,
                reason,
                row["validated"] and not asks,
                asks,
            )
        )
    return tuple(found)


def _has_anyway(shape: V1Shape, base: str, row: Mapping[str, Any], unique: Uniqueness | None) -> bool:
    """Whether v2 demands or finds the same by itself."""
    if unique is not None:
        return had_anyway(base, unique)
    if row["is_check"] and row["definition"].startswith("NOT NULL "):
        return all(V2Ddl(shape.schema, shape).never_empty(base, column) for column in row["columns"])
    if row["is_check"]:
        return _bare(row["definition"]) in {_bare(f"check ({body})") for body in v2.MODEL[base].checks.values()}
    return model_index(V2Ddl(shape.schema, shape), base, row["definition"]) is not None


_SPELLING = re.compile(r' not valid$| with \(.*?\)|[\s()"]|::\w+', re.IGNORECASE)


def _bare(sql: str) -> str:
    """SQL without what the server spells otherwise than we do."""
    return _SPELLING.sub("", sql).lower()


def model_index(ddl: V2Ddl, base: str, definition: str) -> str | None:
    """The index of v2's own that is about the same columns and rows as one of v1's; None where there is none."""
    wanted = _bare(split_index(definition)[1])
    for index in (*ddl.unique_indexes(base), *ddl.indexes(base)):
        body = index.sql.partition(f" on {ddl.relation(base)} ")[2]
        if _bare(body.removeprefix("using ") if body.startswith("using ") else f"btree {body}") == wanted:
            return index.name
    return None


def index_on_v2(bound: tuple[Bound, ...], ddl: V2Ddl, base: str, name: str, definition: str) -> str | None:
    """The name of what v2 has in place of an index of v1; None where it has none."""
    carried = next((there for one, there in _named(bound, ddl, base) if one.name == name), None)
    return carried or model_index(ddl, base, definition)


def constraint_on_v2(bound: tuple[Bound, ...], ddl: V2Ddl, base: str, name: str, definition: str) -> str | None:
    """The name of what v2 has in place of a constraint of v1; None where it has none.

    Args:
        definition: of the index behind it; "" where there is none.
    """
    if definition:
        one = next((one for one in bound if one.base == base and one.name == name), None)
        as_one = one is None or (one.unique is not None and one.unique.as_constraint)
        return index_on_v2(bound, ddl, base, name, definition) if as_one else None
    return next((_name(one) for one in bound if one.base == base and one.check and one.kept and one.name == name), None)


def check_steps(bound: tuple[Bound, ...], ddl: V2Ddl) -> list[PlanStep]:
    """One step that gives v2's tables the kept checks; v1's rows meet them, so v2's do."""
    statements = _checks(bound, ddl, validated=True)
    if not statements:
        return []
    return [
        PlanStep(
            "link-carried-checks",
            Phase.BUILD,
            "checks of v1",
            tuple(statements),
            needs=("link-keys",),
            tables=ddl.tables,
        )
    ]


def unvalidated_checks(bound: tuple[Bound, ...], ddl: V2Ddl) -> list[str]:
    """The kept checks that hold for new rows alone, to be added last: old rows would not be brought over past them."""
    return _checks(bound, ddl, validated=False)


def _checks(bound: tuple[Bound, ...], ddl: V2Ddl, *, validated: bool) -> list[str]:
    return [
        f"alter table {ddl.relation(one.base)} add constraint {quote(_name(one))} {one.definition}"
        for one in bound
        if one.kept and one.check and one.validated == validated
    ]


def carried_indexes(bound: tuple[Bound, ...], ddl: V2Ddl, table: str) -> list[NamedSql]:
    """The kept indexes of one v2 table, under the names they had."""
    made = []
    for one, name in _named(bound, ddl, table):
        unique = "unique " if one.unique else ""
        _, body = split_index(one.definition)
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
            elif column.numbered:
                given = ", unless one is given" if column.identity == "a" else ""
                lines.append(f"{table.name}.{column.name}: v2 goes on numbering after v1's last number{given}")
            elif column.serial:
                lines.append(
                    f"{table.name}.{column.name}: its values are kept; new ones come from v1's sequence, "
                    "which v2 has not: review it"
                )
        for one in bound:
            if one.base == base and not one.kept and not one.check:
                lines.append(f"{table.name}: index {one.name} {_stays(one)}")
        lines.extend(check_notes(shape, bound, base))
    return lines


def _stays(one: Bound) -> str:
    why = f" ({one.reason})" if one.reason else ""
    return f"stays with v1, v2 has not: {one.definition}{why}"


def check_notes(shape: V1Shape, bound: tuple[Bound, ...], base: str) -> list[str]:
    """What becomes of the checks of one table that v2 has not, or not as v1 has: one line each."""
    lines = []
    for one in bound:
        if one.base == base and one.check and not one.kept:
            lines.append(f"{shape.tables[base].name}: check {one.name} {_stays(one)}")
        elif one.base == base and one.check and one.asks:
            relation = qualified(shape.schema, base)
            lines.append(
                f"{shape.tables[base].name}: check {one.name} asks {', '.join(one.asks)}, whose answer may change: in "
                f"v2 it is for rows written from the cut-over on, as old rows are not looked at again in v1 either: "
                f"{one.definition}. Once every row meets it: "
                f"alter table {relation} validate constraint {quote(_name(one))};"
            )
    return lines
