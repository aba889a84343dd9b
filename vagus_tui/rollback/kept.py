"""What the kept v1 tables demand of rows that come back: their checks, what keeps them apart, and their triggers,
which must keep still.
"""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.migration.carried import read_demands
from vagus_tui.migration.cut_over import new_name
from vagus_tui.migration.survey import Survey
from vagus_tui.migration.unique import Apart, uniqueness
from vagus_tui.schema import v1


@dataclass(frozen=True, slots=True)
class RowCheck:
    """A CHECK constraint of a kept v1 table: the columns it looks at, and its condition.

    Args:
        off, on: statements that take it away and make it again, for one that old rows need not meet: such a row could
            not be changed at all.
    """

    base: str
    columns: tuple[str, ...]
    condition: str
    off: tuple[str, ...] = ()
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuietTrigger:
    """A trigger of a kept v1 table: the statements that switch it off, and on again in the mode it had."""

    off: str
    on: str


@dataclass(frozen=True, slots=True)
class KeptApart:
    """A unique index of a kept v1 table, by other columns than the id; and the columns it looks at."""

    base: str
    columns: tuple[str, ...]
    index: Apart


@dataclass(frozen=True, slots=True)
class Kept:
    """Checks, unique indexes and triggers of the kept v1 tables."""

    checks: tuple[RowCheck, ...]
    apart: tuple[KeptApart, ...]
    triggers: tuple[QuietTrigger, ...]


_CHECKS = """
select c.relname, pg_get_expr(k.conbin, k.conrelid) as condition,
  array(select a.attname::text from pg_attribute a where a.attrelid = k.conrelid and a.attnum = any(k.conkey)
        order by 1) as columns,
  case when not k.convalidated then
    array[format('alter table %I.%I drop constraint %I', n.nspname, c.relname, k.conname)] end as off,
  case when not k.convalidated then array_remove(array[
    format('alter table %I.%I add constraint %I %s', n.nspname, c.relname, k.conname, pg_get_constraintdef(k.oid)),
    'comment on constraint ' || format('%I on %I.%I is ', k.conname, n.nspname, c.relname)
      || quote_literal(obj_description(k.oid, 'pg_constraint'))], null) end as on
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
where k.contype = 'c' and coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
  and n.nspname = $1 and c.relname = any($2::text[]) order by 1, k.conname
"""

_TRIGGERS = """
select format('alter table %I.%I', n.nspname, c.relname) as on_table, quote_ident(t.tgname) as name,
  case t.tgenabled when 'A' then 'enable always' when 'R' then 'enable replica' else 'enable' end as enabling
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where not t.tgisinternal and t.tgenabled <> 'D' and n.nspname = $1 and c.relname = any($2::text[]) order by 1, 2
"""


async def read_kept(connection: Connection, survey: Survey) -> Kept:
    """Read what the kept v1 tables demand."""
    names = {new_name(survey, base): base for base in v1.TABLES}
    checks = await connection.fetch(_CHECKS, survey.shape.schema, list(names))
    triggers = await connection.fetch(_TRIGGERS, survey.shape.schema, list(names))
    apart = []
    for row in await read_demands(connection, survey.shape.schema, list(names)):
        if not row["is_unique"] or not row["plain"] or row["deferrable"] or row["primary_key"]:
            continue
        unique = uniqueness(row)
        columns = survey.shape.tables[names[row["relation"]]].columns
        # What v1 works out for itself is not among what comes back.
        if not unique.by_id and not any(columns[name].generated for name in row["columns"] if name in columns):
            index = Apart(row["relation"], row["name"], row["definition"], unique, tuple(row["marks"]))
            apart.append(KeptApart(names[row["relation"]], tuple(row["columns"]), index))
    return Kept(
        tuple(
            RowCheck(
                names[row["relname"]],
                tuple(row["columns"]),
                row["condition"],
                tuple(row["off"] or ()),
                tuple(row["on"] or ()),
            )
            for row in checks
        ),
        tuple(apart),
        tuple(
            QuietTrigger(
                f"{row['on_table']} disable trigger {row['name']}",
                f"{row['on_table']} {row['enabling']} trigger {row['name']}",
            )
            for row in triggers
        ),
    )
