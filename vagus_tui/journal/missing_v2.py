"""Why v2, which was put in place, is not there any more: which of its tables are gone, which are called otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import asyncpg

from vagus_tui.database.connection import Connection
from vagus_tui.journal.store import Run
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified, quote

SCHEMA = "public"

_STRAY = """
select n.nspname::text as home, c.relname::text as name,
  array(select a.attname::text from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and not (n.nspname = $1 and c.relname = any($2::text[]))
  -- What it was noted by goes with a table, whatever it is called; and, where nothing is noted any more, what it says
  -- of itself. An archive's tables say that too, and so do those that are being built.
  and (exists(select from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_namespace o on o.oid = p.pronamespace
              where t.tgrelid = c.oid and p.proname = 'capture_v2' and o.nspname = 'vagus_migration')
    or obj_description(c.oid, 'pg_class') ~ '^Workout v2, .*; made by vagus-tui' and n.nspname !~ '^workout_v2($|_)')
order by 1, 2
"""
"""Tables that are known as v2's under names that are none of v2's."""


async def stray_tables(connection: Connection) -> list[asyncpg.Record]:
    """v2's tables under other names than theirs: `home` is the schema, `name` the name, `columns` theirs."""
    return list(await connection.fetch(_STRAY, SCHEMA, [*v2.TABLES, v2.PREFERENCES]))


def places(stray: Iterable[asyncpg.Record], missing: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Where tables of v2 that are missing are now, as schema and name: known by their columns, where one alone fits."""
    found = {}
    for table in missing:
        needed = {column.name for column in v2.MODEL[table].columns}
        fitting = [(row["home"], row["name"]) for row in stray if needed <= set(row["columns"])]
        if len(fitting) == 1:
            found[table] = fitting[0]
    return found


async def why_missing(connection: Connection, found: Mapping[str, object], run: Run) -> tuple[str, ...]:
    """In words, a sentence each; a table that was renamed, with the statement that takes it back.

    Args:
        found: what is in the schema, by name.
        run: the migration that put v2 in place, or the clean-up that removed v1 afterwards.
    """
    missing = [table for table in v2.TABLES if table not in found]
    stray = places(await stray_tables(connection), missing)
    when = f" on {run.finished_at:%Y-%m-%d %H:%M %Z}" if run.finished_at else ""
    words = [
        f"v2 was in place, and v1 was removed{when}: without every table of v2 only a backup leads back."
        if run.kind == "clean-up"
        else f"v2 was put in place{when}, and v1 is kept as *_v1; without every table of v2 there is no quick rollback."
    ]
    gone = []
    for table in missing:
        if table not in stray:
            gone.append(table)
            continue
        home, name = stray[table]
        back = [f"alter table {qualified(home, name)} rename to {quote(table)};"] if name != table else []
        if home != SCHEMA:
            back.append(f"alter table {qualified(home, table)} set schema {quote(SCHEMA)};")
        place = name if home == SCHEMA else f"{home}.{name}"
        words.append(f"Since then {table} was renamed to {place}; this takes it back: {' '.join(back)}")
    if gone:
        words.append(
            f"Since then {', '.join(gone)} {'was' if len(gone) == 1 else 'were'} dropped, or put out of sight."
        )
    return tuple(words)
