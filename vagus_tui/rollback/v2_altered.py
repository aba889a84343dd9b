"""What somebody did by hand to v2's own tables and functions, where it keeps a quick rollback from going its way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vagus_tui.database.catalog import read_columns
from vagus_tui.database.connection import Connection
from vagus_tui.migration.survey import PREFERENCES, Survey
from vagus_tui.rollback.findings import Prevents
from vagus_tui.rollback.whose import not_ours
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.functions import signatures
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.v1 import Column

_NO_TABLES = """
select c.relname::text as name, case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end
  as kind
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) and c.relkind not in ('r', 'p') order by 1
"""


async def read_v2_altered(connection: Connection, survey: Survey) -> list[Prevents]:
    """What a quick rollback cannot go past: columns that are gone, what is no table, and what is not ours."""
    schema = survey.shape.schema
    ddl = V2Ddl(schema, survey.shape, survey.taken, preferences=survey.preferences != "jsonb")
    found = [
        Prevents(
            f"{row['kind']} {row['name']} stands where v2's table of that name belongs",
            f"alter {row['kind']} {qualified(schema, row['name'])} rename to another name, and give the table its own",
        )
        for row in await connection.fetch(_NO_TABLES, schema, list(v2.TABLES))
    ]
    there = await read_columns(connection, schema)
    for table in v2.TABLES:
        found += _columns(survey, table, there.get(table, {}))
    brought = [*v2.TABLES, *([PREFERENCES] if survey.preferences != "jsonb" else [])]
    return found + await not_ours(connection, schema, brought, signatures(ddl))


def _columns(survey: Survey, table: str, there: Mapping[str, Column]) -> Iterator[Prevents]:
    """Columns that the way back reads and that are not there: dropped, or called otherwise."""
    known = [column.name for column in v2.MODEL[table].columns]
    if table in v2.V1_BASES:
        known += v2.carried_columns(table, survey.shape.tables[v2.V1_BASES[table]]).values()
    new = [name for name in there if name not in known]
    relation = qualified(survey.shape.schema, table)
    for name in known if there else ():
        if name not in there:
            was = " or ".join(f"alter table {relation} rename {quote(other)} to {quote(name)}" for other in new[:3])
            yield Prevents(
                f"column {name} of v2's {table} is gone, or has another name: what users wrote there cannot be carried "
                "back",
                f"rename it back ({was})" if was else f"if {table}.{name} was dropped, roll back from a backup",
            )
