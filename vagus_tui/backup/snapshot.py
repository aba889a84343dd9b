"""One exported snapshot that every part of a backup reads from, so that all parts agree."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from vagus_tui.backup.tables import BackupTable
from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.identifiers import qualified
from vagus_tui.errors import RefusedError, VagusError

# Texts of values depend on these; a digest taken anywhere must come out the same. pg_dump sets most of them too.
# The timeouts would end a long backup of a Supabase project (120 s for every statement).
SESSION = """
set local statement_timeout = 0;
set local idle_in_transaction_session_timeout = 0;
set local timezone = 'UTC';
set local datestyle = 'ISO, YMD';
set local intervalstyle = 'postgres';
set local extra_float_digits = 1;
set local bytea_output = 'hex';
set local lc_monetary = 'C';
set local xmlbinary = 'base64';
set local search_path = pg_catalog;
set local row_security = off;
set local jit = off;
"""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An exported snapshot, alive as long as the block that made it: `connection` reads from it, pg_dump by its id."""

    id: str
    connection: Connection


@contextlib.asynccontextmanager
async def exported_snapshot(database: Database) -> AsyncIterator[Snapshot]:
    """Open a read-only transaction, export its snapshot and hold it open for the length of the block.

    Raises:
        VagusError: the server did not give a snapshot.
        ConnectionLostError: the connection that holds it broke.
    """
    async with database.connection("backup snapshot") as connection:
        transaction = connection.transaction(isolation="repeatable_read", readonly=True)
        await transaction.start()
        try:
            await connection.execute(SESSION)
            snapshot_id = str(await connection.fetchval("select pg_export_snapshot()"))
            if not re.fullmatch(r"[0-9A-F]+(-[0-9A-F]+)+", snapshot_id, re.IGNORECASE):
                raise VagusError("The server gave a snapshot with an unusable name.")
            yield Snapshot(snapshot_id, connection)
        finally:
            if not connection.is_closed():
                with contextlib.suppress(Exception):
                    await transaction.rollback()


# The catalog as the snapshot has it, against the file that the table is in by now.
_REWRITTEN = """
select n.nspname as schema, c.relname as name
from unnest($1::text[], $2::text[]) t(schema, name)
join pg_namespace n on n.nspname = t.schema join pg_class c on c.relnamespace = n.oid and c.relname = t.name
where c.relkind = 'r' and pg_relation_filenode(c.oid) is distinct from c.relfilenode
order by 1, 2
"""


async def hold(connection: Connection, tables: Sequence[BackupTable]) -> None:
    """Hold tables against any change of their structure until the snapshot ends; users read and write on.

    A table that somebody rewrites (most changes of a column's type, TRUNCATE) is empty in every snapshot that was
    taken before: not a row of it would be in the backup, and nothing in the backup would tell.

    Raises:
        RefusedError: that happened between the snapshot and now.
        asyncpg.PostgresError: one has gone away, or may not be read.
    """
    if not tables:
        return
    names = ", ".join(f"only {qualified(table.schema, table.name)}" for table in tables)
    await connection.execute(f"lock table {names} in access share mode")
    schemas = [table.schema for table in tables]
    for row in await connection.fetch(_REWRITTEN, schemas, [table.name for table in tables]):
        raise RefusedError(
            f"{row['schema']}.{row['name']} was rewritten just as the backup began, which hides its rows from it.",
            next_step="Start the backup again.",
        )
