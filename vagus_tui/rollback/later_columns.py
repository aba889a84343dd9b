"""Columns that v2's tables were given between a cut-over and a rollback: v2 is made with them when it comes again.

v1 has no place for what they hold, so that is in the archive alone (see `take_up.py`). What rests on them besides, such
as indexes and references, is not made again; it is told, with its SQL.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.database.search_path import CATALOG_PATH
from vagus_tui.schema import v2
from vagus_tui.schema.comparing import comparable
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.v1 import V1Shape

_COLUMNS = """
select c.relname::text as table, a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type,
  coalesce(pg_get_expr(d.adbin, d.adrelid), '') as expression, a.attnotnull as not_null,
  a.attgenerated::text as generated,
  a.attidentity <> '' or pg_get_expr(d.adbin, d.adrelid) like '%nextval(%' as numbered,
  array(select pg_catalog.format('alter table %I.%I add constraint %I %s', $3::text, c.relname, k.conname,
                                 pg_get_constraintdef(k.oid))
        from pg_constraint k where k.conrelid = c.oid and a.attnum = any(k.conkey) and k.contype <> 'n' order by 1)
  || array(select replace(pg_get_indexdef(i.indexrelid), ' ON ' || pg_catalog.format('%I.%I', n.nspname, c.relname),
                          ' ON ' || pg_catalog.format('%I.%I', $3::text, c.relname))
           from pg_index i where i.indrelid = c.oid and a.attnum = any(i.indkey)
             and not exists(select from pg_constraint k where k.conindid = i.indexrelid) order by 1) as rests
from pg_class c join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where n.nspname = $1 and c.relname = any($2::text[]) order by c.relname, a.attnum
"""

_EARLIER = """
select m.catalog -> 'survey' -> 'shape' -> 'tables' as tables from vagus_migration.runs m
where m.kind = 'migrate' and m.status = 'done' and m.catalog ? 'survey'
  and m.started_at < (select max(r.started_at) from vagus_migration.runs r where r.figures ->> 'archive' = $1
                      and r.kind in ('rollback', 'restore'))
order by m.started_at desc limit 1
"""


@dataclass(frozen=True, slots=True)
class LaterColumn:
    """One such column.

    Args:
        type: as the server spells it, with every schema but pg_catalog.
        expression: its default, or what a generated one is made of; "" for none.
        generated: "s" or "v" for a generated one, stored or virtual.
        rests: the SQL of what rests on it, to be made again by hand.
    """

    table: str
    name: str
    type: str
    expression: str = ""
    not_null: bool = False
    generated: str = ""
    rests: tuple[str, ...] = ()

    def made(self, schema: str) -> str:
        """The statement that makes it, in a table without rows."""
        rest = ""
        if self.generated:
            kind = "virtual" if self.generated == "v" else "stored"
            rest = f" generated always as ({self.expression}) {kind}"
        elif self.expression:
            rest = f" default {self.expression}"
            if self.not_null:
                rest += " not null"
        return f"alter table {qualified(schema, self.table)} add column {quote(self.name)} {self.type}{rest}"

    @property
    def filled(self) -> tuple[str, str]:
        """Its value from the archive (o) for a row in place (n), and the condition: nobody has written there since."""
        name = quote(self.name)
        ours, theirs = (comparable(f"{row}.{name}", self.type) for row in "no")
        condition = f"{ours} is distinct from {theirs}"
        if not self.expression:
            condition += f" and n.{name} is null"
        elif "(" not in self.expression:
            made = comparable(f"({self.expression})::{self.type}", self.type)
            condition += f" and {ours} is not distinct from {made}"
        return f"o.{name}", condition

    def notes(self) -> list[str]:
        """What is told before: that it is made again, and what is not."""
        title = f"{self.table}.{self.name}"
        lines = [
            f"{title}: added to v2 before the last rollback; it is made again, with what the archive has kept in it"
        ]
        if self.not_null and not self.generated and not self.expression:
            lines.append(f"{title}: it must not be empty in the archive, but has no default, so now it may be")
        lines += [f"{title}: not made again; by hand, once v2 is in place: {sql}" for sql in self.rests]
        return lines


async def read_later_columns(connection: Connection, shape: V1Shape, archive: str) -> tuple[LaterColumn, ...]:
    """The columns of an archive that neither a migration makes nor v1 had."""
    if not archive:
        return ()
    async with connection.transaction(readonly=True):
        await connection.execute(CATALOG_PATH)
        rows = await connection.fetch(_COLUMNS, archive, list(v2.TABLES), shape.schema)
        earlier = await connection.fetchval(_EARLIER, archive)
    had = json.loads(earlier) if earlier else {}
    found = []
    for row in rows:
        table = row["table"]
        base = v2.V1_BASES.get(table)
        # What v1 had then and has dropped since stays dropped.
        dropped = {column["name"] for column in had.get(base, {}).get("columns", ())} if base else set()
        if row["name"] not in v2.known_columns(shape, table) and not dropped & {
            row["name"],
            row["name"].removeprefix("v1_"),
        }:
            expression = "" if row["numbered"] and not row["generated"] else row["expression"]
            found.append(
                LaterColumn(
                    table, row["name"], row["type"], expression, row["not_null"], row["generated"], tuple(row["rests"])
                )
            )
    return tuple(found)


def later_notes(columns: Iterable[LaterColumn]) -> list[str]:
    """What is told of all of them before v2 comes again."""
    return [line for column in columns for line in column.notes()]
