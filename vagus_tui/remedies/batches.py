"""The fixes that were applied, from the journal."""

from __future__ import annotations

import json

from vagus_tui.database.connection import Connection
from vagus_tui.journal.schema import journal_exists
from vagus_tui.remedies.model import Batch

_SQL = """
with parts as (
  select batch, table_name, min(remedy) as remedy, min(operator) as operator, min(at) as at, count(*) as every,
    count(*) filter (where restored_at is null) as standing,
    max(restored_at) as restored_at, max(restored_by) as restored_by
  from vagus_migration.quarantine group by batch, table_name),
counted as (
  select *, sum(standing) over (partition by batch) > 0 as stands,
    case when sum(standing) over (partition by batch) > 0 then standing else every end as rows from parts)
select batch as id, min(remedy) as remedy, min(operator) as operator, min(at) as at, sum(rows)::int as rows,
  json_object_agg(table_name, rows) filter (where rows > 0)::text as tables,
  case when not bool_or(stands) then max(restored_at) end as restored_at,
  case when not bool_or(stands) then max(restored_by) end as restored_by,
  case when bool_or(stands) then sum(every - standing)::int else 0 end as back
from counted group by batch order by min(at) desc
"""


async def batches(connection: Connection) -> tuple[Batch, ...]:
    """Every applied fix, newest first; `rows` counts all rows that it kept, those below included.

    Of one that was undone in part, those that are left count, until none is.
    """
    if not await journal_exists(connection):
        return ()
    return tuple(Batch(**{**dict(row), "tables": json.loads(row["tables"])}) for row in await connection.fetch(_SQL))
