"""Telling one database from another, so that a backup is never taken for one of a database it is not of."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

import asyncpg

from vagus_tui.backup.manifest import Fingerprint, Manifest
from vagus_tui.database.connection import Connection
from vagus_tui.journal import backup_records, store

TOPIC = "database-id"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which database this is, and the ids of the backups that its journal knows of.

    A server that is copied as a whole takes along every identifier, the journal's too; what it does not have is the
    journal's word of backups that were made of the first one since.
    """

    fingerprint: Fingerprint
    known: frozenset[str]

    def vouches_for(self, manifest: Manifest) -> bool:
        """Whether a backup can be relied on as one of this database."""
        ours = manifest.fingerprint.vouches_for(self.fingerprint)
        # Where the journal could not be written, it cannot be asked.
        return ours and (manifest.fingerprint.journal_id is None or manifest.id in self.known)

    def of_a_copy(self, manifest: Manifest) -> bool:
        """Whether a backup has this database's identifiers, and yet is none that its journal knows of."""
        return manifest.fingerprint.same_database(self.fingerprint) and not self.vouches_for(manifest)


async def read_identity(connection: Connection, label: str) -> Identity:
    """Which database this is, by its identifiers and by its journal. Writes nothing."""
    fingerprint = await read_fingerprint(connection, label)
    try:
        records = await backup_records.backups(connection)
    except asyncpg.InsufficientPrivilegeError:
        records = []
    return Identity(fingerprint, frozenset(str(record.manifest.get("id")) for record in records))


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
