"""What the kept v1 tables demand of rows that come back: their checks, what keeps them apart, and their triggers,
which must keep still.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vagus_tui.database.connection import Connection
from vagus_tui.migration.binding import whole_row
from vagus_tui.migration.carried import ASKS, read_demands
from vagus_tui.migration.kept_v1 import new_name
from vagus_tui.migration.survey import Survey
from vagus_tui.migration.unique import Apart, uniqueness
from vagus_tui.remedies.originals import Relation, read_relation
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.v1 import V1Table


@dataclass(frozen=True, slots=True)
class RowCheck:
    """A CHECK constraint of a kept v1 table: the columns it looks at, and its condition.

    Args:
        off, on: statements that take it away and make it again, for one that old rows need not meet: such a row could
            not be changed at all.
        missing: the SQL condition that it is not there, for one whose answer about a row may have changed: a row may
            not meet it though nothing that it looks at is written. Then alone it is taken away, and made again for new
            rows.
        met: v2 has the same, which asked it of every row when that was written.
    """

    base: str
    columns: tuple[str, ...]
    condition: str
    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()
    missing: str = ""
    met: bool = False


@dataclass(frozen=True, slots=True)
class QuietTrigger:
    """A trigger of a kept v1 table: the statements that switch it off, and on again in the mode it had."""

    off: str
    on: str


@dataclass(frozen=True, slots=True)
class KeptApart:
    """A unique index or exclusion constraint of a kept v1 table, by other columns than the id.

    Args:
        columns: those it looks at; for one that v1 works out, those that it is made of.
    """

    base: str
    columns: tuple[str, ...]
    index: Apart


@dataclass(frozen=True, slots=True)
class KeptReference:
    """A reference of a kept v1 table: its columns, and the table and columns that it refers to.

    Args:
        target: the quoted name of the table; `to_base` is its v1 name if it is one of v1's four.
        clears: when what it refers to goes, the row stays and refers to nothing.
        late, back: statements that put off its look at the rows, and take that back.
    """

    base: str
    columns: tuple[str, ...]
    target: str
    to_base: str
    to_columns: tuple[str, ...]
    clears: bool = False
    late: tuple[str, ...] = ()
    back: tuple[str, ...] = ()


_PARENTS = (
    (v1.EXERCISES, "plan_id", v1.PLANS),
    (v1.SESSIONS, "plan_id", v1.PLANS),
    (v1.LOGS, "session_id", v1.SESSIONS),
    (v1.LOGS, "exercise_id", v1.EXERCISES),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """Checks, unique indexes, references and triggers of the kept v1 tables.

    Args:
        defaults: of columns, by v1 table and column, as they are now: a sequence that one draws from has another name.
        logs: v1's logged sets, as the journal keeps rows of theirs.
    """

    checks: tuple[RowCheck, ...]
    apart: tuple[KeptApart, ...]
    references: tuple[KeptReference, ...]
    triggers: tuple[QuietTrigger, ...]
    defaults: Mapping[tuple[str, str], str]
    logs: Relation

    def all_references(self, of_v1: Callable[[str], str]) -> list[KeptReference]:
        """What v1's rows refer to, by a reference of v1's or by what they are; `of_v1` gives a table's quoted name."""
        known = {(one.base, one.columns) for one in self.references}
        return [
            *self.references,
            *(
                KeptReference(base, (column,), of_v1(parent), parent, ("id",))
                for base, column, parent in _PARENTS
                if (base, (column,)) not in known
            ),
        ]


_CHECKS = f"""
select c.relname,
  case k.contype when 'c' then pg_get_expr(k.conbin, k.conrelid) else (
    select pg_catalog.format('%I is not null', a.attname) from pg_attribute a
    where a.attrelid = k.conrelid and a.attnum = k.conkey[1]) end as condition,
  array(select a.attname::text from pg_attribute a where a.attrelid = k.conrelid and a.attnum = any(k.conkey)
        order by 1) as columns,
  pg_catalog.format('alter table %I.%I drop constraint %I', n.nspname, c.relname, k.conname) as off,
  array_remove(array[
    pg_catalog.format('alter table %I.%I add constraint %I %s NOT VALID', n.nspname, c.relname, k.conname,
           regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '')),
    'comment on constraint ' || pg_catalog.format('%I on %I.%I is ', k.conname, n.nspname, c.relname)
      || quote_literal(obj_description(k.oid, 'pg_constraint'))], null) as on,
  pg_catalog.format('not exists (select from pg_constraint where conrelid = %L::regclass and conname = %L)',
         pg_catalog.format('%I.%I', n.nspname, c.relname), k.conname) as missing,
  k.convalidated as validated, {ASKS} as asks
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where (k.contype = 'c' or k.contype = 'n' and not k.convalidated)
  and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
  and n.nspname = $1 and c.relname = any($2::text[])
order by 1, k.conname
"""

_REFERENCES = """
select c.relname, pg_catalog.format('%I.%I', rn.nspname, r.relname) as target,
  case when rn.nspname = $1 then r.relname end as to_name,
  array(select a.attname::text from unnest(k.conkey) with ordinality u(number, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number order by u.place) as columns,
  array(select a.attname::text from unnest(k.confkey) with ordinality u(number, place)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.number order by u.place) as to_columns,
  k.confdeltype in ('n', 'd') as clears, k.condeferrable as deferrable, k.condeferred as deferred,
  pg_catalog.format('alter table %I.%I alter constraint %I', n.nspname, c.relname, k.conname) as altered
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class r on r.oid = k.confrelid join pg_namespace rn on rn.oid = r.relnamespace
where k.contype = 'f' and k.conparentid = 0 and n.nspname = $1 and c.relname = any($2::text[])
  and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
order by 1, k.conname
"""

_DEFAULTS = """
select c.relname, a.attname, pg_get_expr(d.adbin, d.adrelid) as expression
from pg_attrdef d join pg_class c on c.oid = d.adrelid join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum = d.adnum and a.attgenerated = ''
where n.nspname = $1 and c.relname = any($2::text[])
"""

_TRIGGERS = """
select pg_catalog.format('alter table %I.%I', n.nspname, c.relname) as on_table,
  pg_catalog.quote_ident(t.tgname) as name,
  case t.tgenabled when 'A' then 'enable always' when 'R' then 'enable replica' else 'enable' end as enabling
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and t.tgenabled <> 'D' and n.nspname = $1 and c.relname = any($2::text[]) order by 1, 2
"""


async def read_kept(connection: Connection, survey: Survey) -> Kept:
    """Read what the kept v1 tables demand."""
    names = {new_name(survey, base): base for base in v1.TABLES}
    checks = await connection.fetch(_CHECKS, survey.shape.schema, list(names))
    of_v2 = await connection.fetch(_CHECKS, survey.shape.schema, list(v1.TABLES))
    met = {(row["relname"], row["condition"]) for row in of_v2}
    triggers = await connection.fetch(_TRIGGERS, survey.shape.schema, list(names))
    references = await connection.fetch(_REFERENCES, survey.shape.schema, list(names))
    defaults = await connection.fetch(_DEFAULTS, survey.shape.schema, list(names))
    apart = [
        _apart(survey, names[row["relation"]], row)
        for row in await read_demands(connection, survey.shape.schema, list(names))
        if row["is_unique"]
        and row["valid"]
        and not row["primary_key"]
        and not uniqueness(row).by_id
        and not whole_row(row["definition"])
    ]
    # What looks at whole rows knows them by their table's type: whether those that come back meet it, the server says.
    return Kept(
        tuple(
            RowCheck(
                names[row["relname"]],
                _behind(survey, names[row["relname"]], row["columns"]),
                row["condition"],
                *_taken_away(dict(row)),
                met=bool(row["asks"]) and (names[row["relname"]], row["condition"]) in met,
            )
            for row in checks
            if not whole_row(row["condition"])
        ),
        tuple(apart),
        tuple(
            KeptReference(
                names[row["relname"]],
                tuple(row["columns"]),
                row["target"],
                names.get(row["to_name"], ""),
                tuple(row["to_columns"]),
                row["clears"],
                *_put_off(dict(row), within=row["to_name"] in names),
            )
            for row in references
        ),
        tuple(
            QuietTrigger(
                f"{row['on_table']} disable trigger {row['name']}",
                f"{row['on_table']} {row['enabling']} trigger {row['name']}",
            )
            for row in triggers
        ),
        {(names[row["relname"]], row["attname"]): row["expression"] for row in defaults},
        await read_relation(connection, survey.shape.schema, new_name(survey, v1.LOGS), key=("id",)),
    )


def _taken_away(row: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    if row["validated"] and not row["asks"]:
        return (), (), ""
    return (row["off"],), tuple(row["on"]), row["missing"] if row["validated"] else ""


def _apart(survey: Survey, base: str, row: Mapping[str, Any]) -> KeptApart:
    unique, made = uniqueness(row), row["definition"]
    if unique.operators or row["deferrable"]:
        # No index alone says all that these say.
        relation = qualified(survey.shape.schema, row["relation"])
        made = f"alter table {relation} add constraint {quote(row['name'])} {row['constrained']}"
        unique = replace(unique, as_constraint=False)
    columns = _behind(survey, base, row["columns"])
    return KeptApart(base, columns, Apart(row["relation"], row["name"], made, unique, tuple(row["marks"])))


def _behind(survey: Survey, base: str, names: list[str]) -> tuple[str, ...]:
    table = survey.shape.tables[base]
    return tuple(sorted({column for name in names for column in _made_of(table, name)}))


def _made_of(table: V1Table, name: str) -> set[str]:
    """The columns behind a column: itself, or what v1 works it out from."""
    column = table.columns.get(name)
    if column is None or not column.generated:
        return {name}
    words = set(re.findall(r'"(?:[^"]|"")+"|\w+', column.default or ""))
    return {other for other in table.columns if other in words or quote(other) in words}


def _put_off(row: Mapping[str, Any], *, within: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Two rows may refer to each other, or to one that comes later; the look at a row has to wait for both."""
    if not within:
        return (), ()
    now = "not deferrable"
    if row["deferrable"]:
        now = f"deferrable initially {'deferred' if row['deferred'] else 'immediate'}"
    return (f"{row['altered']} deferrable initially deferred",), (f"{row['altered']} {now}",)
