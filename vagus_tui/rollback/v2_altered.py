"""What somebody did by hand to v2's own tables and functions, where it keeps a quick rollback from going its way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vagus_tui.backup.verify import some
from vagus_tui.database.catalog import read_columns
from vagus_tui.database.connection import Connection
from vagus_tui.migration.survey import PREFERENCES, Survey
from vagus_tui.rollback.findings import Prevents, relation_kind
from vagus_tui.rollback.whose import not_ours
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.functions import signatures
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.v1 import Column

_NO_TABLES = """
select c.relname::text as name, c.relkind::text as kind
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) and c.relkind not in ('r', 'p') order by 1
"""


async def read_v2_altered(connection: Connection, survey: Survey) -> list[Prevents]:
    """What a quick rollback cannot go past: columns that are gone, what is no table, and what is not ours."""
    schema = survey.shape.schema
    ddl = V2Ddl(schema, survey.shape, survey.taken, preferences=survey.preferences != "jsonb")
    found = [
        Prevents(
            f"{kind} {row['name']} stands where v2's table of that name belongs",
            f"alter {kind} {qualified(schema, row['name'])} rename to another name, and give the table its own",
        )
        for row in await connection.fetch(_NO_TABLES, schema, list(v2.TABLES))
        for kind in (relation_kind(row["kind"]),)
    ]
    there = await read_columns(connection, schema)
    for table in v2.TABLES:
        found += _columns(survey, table, there.get(table, {}))
    found += await _retyped(connection, survey, there)
    brought = [*v2.TABLES, *([PREFERENCES] if survey.preferences != "jsonb" else [])]
    return found + await not_ours(connection, schema, brought, signatures(ddl))


async def added_columns(connection: Connection, survey: Survey) -> list[str]:
    """Columns that somebody gave v2's tables since the cut-over: v1 has no place for what they hold."""
    there = await read_columns(connection, survey.shape.schema)
    return [
        f"{table}.{name}"
        for table in v2.TABLES
        for name in there.get(table, {})
        if name not in v2.known_columns(survey.shape, table)
    ]


def added_words(columns: Sequence[str]) -> list[str]:
    """What is told about them: a sentence or two, or none."""
    return [
        f"Columns that v2 has beyond the migration's: {some(list(columns))}. v1 has no place for what they hold: it "
        "stays in the archive, and when v2 comes again, it is made with them and takes that up."
    ] * (len(columns) > 0)


_OTHER_KIND = """
select w.name, w.column_name, w.now, w.was
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) w (name, column_name, now, was)
join pg_type n on n.oid = to_regtype(w.now) join pg_type o on o.oid = to_regtype(w.was)
where n.typcategory <> o.typcategory or n.typcategory = 'U' and n.oid <> o.oid
"""


async def _retyped(connection: Connection, survey: Survey, there: Mapping[str, Mapping[str, Column]]) -> list[Prevents]:
    """Columns of another kind of type by now, such as text for a number: they cannot be compared, nor carried back."""
    types = v2.id_types(survey.shape)
    columns = [
        (table, column.name, there[table][column.name].type, column.type.format(**types))
        for table in v2.TABLES
        for column in v2.MODEL[table].columns
        if column.name in there.get(table, {})
    ]
    rows = await connection.fetch(_OTHER_KIND, *([each[place] for each in columns] for place in range(4)))
    return [
        Prevents(
            f"column {row['column_name']} of v2's {row['name']} is {row['now']} now, was {row['was']}",
            f"alter table {qualified(survey.shape.schema, row['name'])} alter column {quote(row['column_name'])} "
            f"type {row['was']} using {quote(row['column_name'])}::{row['was']}",
        )
        for row in rows
    ]


def _columns(survey: Survey, table: str, there: Mapping[str, Column]) -> Iterator[Prevents]:
    """Columns that the way back reads and that are not there: dropped, or called otherwise."""
    known = v2.known_columns(survey.shape, table)
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
