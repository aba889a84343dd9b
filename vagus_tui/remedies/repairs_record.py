"""What a repair found before it changed it, kept in the journal so that the repair can be taken back.

Rows are kept in a table of their own, written in the server by the same transaction; what is few (policies, names of
indexes) stands in the repair's note.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vagus_tui.checks.base import Context
from vagus_tui.events import jsonable
from vagus_tui.schema import v2

TOPIC, UNDONE_TOPIC = "repair", "repair-undone"

DDL = """
create table if not exists vagus_migration.repaired (
  note_id bigint not null references vagus_migration.notes,
  row_id text not null,
  before text,
  after text,
  primary key (note_id, row_id)
)
"""

_POLICIES = """
select tablename::text as table_name, policyname::text as name, permissive, roles::text[] as roles, cmd,
  qual, with_check
from pg_policies where schemaname = 'public' and tablename = any($1::text[]) order by 1, 2
"""
_OFF = """
select c.relname::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relname = any($1::text[]) and not c.relrowsecurity order by 1
"""


async def open_note(context: Context, body: Mapping[str, Any]) -> int:
    """Begin the record of a repair; returns its number."""
    await context.connection.execute(DDL)
    number: int = await context.connection.fetchval(
        "insert into vagus_migration.notes (topic, body, operator) values ($1, $2::jsonb, $3) returning id",
        TOPIC,
        json.dumps(jsonable(body), ensure_ascii=False),
        context.settings.operator,
    )
    return number


async def policies_now(context: Context) -> dict[str, Any]:
    """Every policy of v2's tables, and the tables on which row level security is off."""
    policies = await context.connection.fetch(_POLICIES, list(v2.TABLES))
    off = await context.connection.fetch(_OFF, list(v2.TABLES))
    return {"policies": [dict(row) for row in policies], "off": [row["name"] for row in off]}


async def keep_rows(context: Context, number: int, query: str) -> None:
    """Keep rows (row_id, before, after), all text, of a repair."""
    await context.connection.execute(
        "insert into vagus_migration.repaired (note_id, row_id, before, after) "
        f"select {int(number)}, q.* from ({query}) q"
    )
