"""One exported snapshot that every part of a backup reads from, so that all parts agree."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

from vagus_tui.database.connection import Connection, Database
from vagus_tui.errors import VagusError

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
    """An exported snapshot, alive as long as the block that made it; `connection` reads from it, and pg_dump by `id`.

    What `connection` has read it holds until the end, so that nobody changes a table's structure meanwhile.
    """

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
