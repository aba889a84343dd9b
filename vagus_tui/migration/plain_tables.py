"""Whether v1's tables are plain tables, as they must be: not views, partitioned, inherited or an extension's.

And whether v2 has room for all of them: for so many columns, and for days that only a date knows.
"""

from __future__ import annotations

from vagus_tui.checks.column_types import INSTANTS
from vagus_tui.database.connection import Connection
from vagus_tui.format import plural
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.v1 import V1Shape

_KINDS = """
select c.relname as name, c.relkind::text as kind, c.relpersistence::text as persistence, c.relispartition as part,
  c.reloftype <> 0 as typed,
  array(select i.inhparent::regclass::text from pg_inherits i where i.inhrelid = c.oid) as parents,
  array(select i.inhrelid::regclass::text from pg_inherits i where i.inhparent = c.oid order by 1) as children,
  (select e.extname::text from pg_depend d join pg_extension e on e.oid = d.refobjid
   where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e' limit 1) as extension
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) order by 1
"""

_KIND_WORDS = {
    "p": "is partitioned",
    "v": "is a view, not a table",
    "m": "is a materialized view, not a table",
    "f": "is a foreign table",
}

MOST_COLUMNS = 800
"""The server joins rows of 1,664 columns at most, and every proof and rollback holds two rows side by side."""

LAST_DAY = "294276-12-31"
"""Of timestamps. Dates go on for five million years."""

ODDITIES_NEXT = "v1 has to be four plain tables. Bring the rows into plain tables of these names, then start again."


async def table_oddities(connection: Connection, shape: V1Shape) -> list[str]:
    """Why v1's tables cannot be migrated as they are, one sentence each; empty when they are plain tables."""
    found = []
    names = [table.name for table in shape.tables.values()]
    for row in await connection.fetch(_KINDS, shape.schema, names):
        reasons = []
        if row["kind"] in _KIND_WORDS:
            reasons.append(_KIND_WORDS[row["kind"]])
        if row["part"]:
            reasons.append(f"is a partition of {', '.join(row['parents'])}")
        elif row["parents"]:
            reasons.append(f"inherits from {', '.join(row['parents'])}")
        if row["children"]:
            reasons.append(f"has rows in tables of its own beneath it: {', '.join(row['children'])}")
        if row["persistence"] != "p" and row["kind"] == "r":
            reasons.append("is not kept safe from a crash (unlogged or temporary)")
        if row["typed"]:
            reasons.append("is a table of a composite type")
        if row["extension"]:
            reasons.append(f"belongs to the extension {row['extension']}")
        if reasons:
            found.append(f"{row['name']} {', and '.join(reasons)}.")
    return found


def _wide(shape: V1Shape) -> list[str]:
    found = []
    for base, table in shape.tables.items():
        columns = len(v2.MODEL[base].columns) + len(table.carried)
        if columns > MOST_COLUMNS:
            found.append(
                f"{table.name} has {len(table.columns)} columns, so v2's would have {columns}: no more than "
                f"{MOST_COLUMNS} can be compared side by side. Move some into a table of their own."
            )
    return found


async def no_room(connection: Connection, shape: V1Shape) -> list[str]:
    """What v2 has no room for: too many columns, and days that no timestamp can hold; one sentence each.

    Columns of dates that become timestamps are read from end to end.
    """
    found = _wide(shape)
    for base, name in INSTANTS:
        table = shape.tables[base]
        if table.has(name) and table.columns[name].plain == "date":
            column = quote(name)
            beyond = await connection.fetchval(
                f"select count(*) from {qualified(shape.schema, table.name)} "
                f"where {column} > date '{LAST_DAY}' and isfinite({column})"
            )
            if beyond:
                rows = plural(beyond, "row is", "rows are")
                found.append(
                    f"{table.name}.{name} is a date, and {rows} past {LAST_DAY}, the last day of v2's timestamps: "
                    f"update {qualified(shape.schema, table.name)} set {column} = … where {column} > '{LAST_DAY}';"
                )
    return found
