"""The fixes that were applied, from the journal."""

from __future__ import annotations

import json

from vagus_tui.database.connection import Connection
from vagus_tui.journal.schema import journal_exists
from vagus_tui.remedies.model import Batch

_SQL = """
select batch as id, min(remedy) as remedy, min(operator) as operator, min(at) as at, sum(rows)::int as rows,
  json_object_agg(table_name, rows)::text as tables, max(restored_at) as restored_at, max(restored_by) as restored_by
from (
  select batch, table_name, min(remedy) as remedy, min(operator) as operator, min(at) as at, count(*) as rows,
    max(restored_at) as restored_at, max(restored_by) as restored_by
  from vagus_migration.quarantine group by batch, table_name
) as parts
group by batch order by min(at) desc
"""


async def batches(connection: Connection) -> tuple[Batch, ...]:
    """Every applied fix, newest first; `rows` counts all rows that it kept, those below included."""
    if not await journal_exists(connection):
        return ()
    return tuple(Batch(**{**dict(row), "tables": json.loads(row["tables"])}) for row in await connection.fetch(_SQL))
