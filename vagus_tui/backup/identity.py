"""Telling one database from another, so that a backup is never taken for one of a database it is not of."""

from __future__ import annotations

from uuid import uuid4

import asyncpg

from vagus_tui.backup.manifest import Fingerprint
from vagus_tui.database.connection import Connection
from vagus_tui.journal import store

TOPIC = "database-id"


async def journal_id(connection: Connection, *, operator: str) -> str | None:
    """The id that the journal gave this database, given now if it has none; None where nothing can be written."""
    try:
        if known := await store.latest_note(connection, TOPIC):
            return str(known)
        fresh = str(uuid4())
        await store.note(connection, TOPIC, fresh, operator=operator)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError):
        return None
    return fresh


async def read_fingerprint(connection: Connection, label: str) -> Fingerprint:
    """What tells this database from others. Writes nothing."""
    system = None
    if await connection.fetchval("select has_function_privilege('pg_catalog.pg_control_system()', 'execute')"):
        system = str(await connection.fetchval("select system_identifier from pg_catalog.pg_control_system()"))
    row = await connection.fetchrow(
        "select oid::bigint as oid, datname::text as name from pg_catalog.pg_database "
        "where datname = pg_catalog.current_database()"
    )
    assert row is not None
    try:
        known = await store.latest_note(connection, TOPIC)
    except asyncpg.InsufficientPrivilegeError:
        known = None
    return Fingerprint(
        system_identifier=system,
        database_oid=row["oid"],
        database=row["name"],
        journal_id=None if known is None else str(known),
        label=label,
    )
