"""A digest of a table's content, computed in the server: the same for the same rows, wherever and in whatever order.

Each row is hashed over its stored columns in the order of their names, and the hashes are added up. Types whose
binary hash is the same in every database and version are hashed as they are; all others as text, because an enum's
hash is that of its oid and a numeric's ignores its scale. The table's name plays no part, so `workout_plans` and
`workout_plans_v1` with the same rows have the same digest.

The server's hash of a row is the sum of its columns' hashes, each times a number: added up as they are, two rows that
swap a value would mostly come to the same. So each row's hash is stirred once more before it is added. Digests of
earlier versions were not; what is compared with one of those is taken as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vagus_tui.backup.tables import BackupTable, TableColumn
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import qualified, quote

_AS_THEY_ARE = frozenset(
    {"bool", "int2", "int4", "int8", "uuid", "date", "timestamp", "timestamptz", "time", "bytea", "text", "varchar"}
)
_TEXTS = frozenset({"text", "varchar"})
_METHOD = "h2"
_UNSTIRRED = "h1"


@dataclass(frozen=True, slots=True)
class Content:
    """How many rows a table holds and the digest of them."""

    rows: int
    digest: str


def hashed_as_it_is(column: TableColumn) -> bool:
    """Whether the column's own type is hashed; otherwise its text."""
    return column.base_type in _AS_THEY_ARE


def _expression(column: TableColumn) -> str:
    name = "t." + quote(column.name)
    if column.base_type in _TEXTS:
        # Under a collation that calls different texts equal, they would hash alike.
        return f'{name} collate pg_catalog."C"'
    return name if hashed_as_it_is(column) else f'{name}::text collate pg_catalog."C"'


def _method(like: str) -> str:
    return _UNSTIRRED if like.startswith(f"{_UNSTIRRED}:") else _METHOD


def digest_sql(
    schema: str, name: str, columns: Sequence[TableColumn], *, partitioned: bool = False, like: str = ""
) -> str:
    """The query for a table's rows and digest; run it under the session settings of `snapshot.SESSION`.

    Args:
        like: a digest that it is to be compared with, of this version or an earlier one.
    """
    stored = sorted((column for column in columns if not column.generated), key=lambda column: column.name)
    row = ", ".join(_expression(column) for column in stored) or "0"
    source = qualified(schema, name)
    if not partitioned:
        source = f"only {source}"
    hashed = f"pg_catalog.hash_record_extended(row({row}), 0)"
    if _method(like) == _METHOD:
        # As the seed of another hash, since that one mixes all 64 bits of it; hashing it as a bigint would keep 32.
        hashed = f"pg_catalog.hashint4extended(0, {hashed})"
    return f"select count(*) as rows, coalesce(sum({hashed}), 0)::text as total from {source} as t"


def spelled(total: str, columns: Sequence[TableColumn], *, like: str = "") -> str:
    """The digest as the manifest has it: method, number of columns, sum."""
    width = sum(1 for column in columns if not column.generated)
    return f"{_method(like)}:{width}:{int(total) % (1 << 128):032x}"


async def content(
    connection: Connection,
    schema: str,
    name: str,
    columns: Sequence[TableColumn],
    *,
    partitioned: bool = False,
    like: str = "",
) -> Content:
    """Count and digest a table, under any name, for a comparison with the digest `like` if one is given."""
    row = await connection.fetchrow(digest_sql(schema, name, columns, partitioned=partitioned, like=like))
    assert row is not None
    return Content(rows=row["rows"], digest=spelled(row["total"], columns, like=like))


async def table_content(connection: Connection, table: BackupTable, *, like: str = "") -> Content:
    """Count and digest a table of the backup; about 0.3 s per million rows."""
    return await content(connection, table.schema, table.name, table.columns, partitioned=table.partitioned, like=like)
