"""Describing a backup in its manifest."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from vagus_tui import __version__
from vagus_tui.backup.digest import Content
from vagus_tui.backup.folder import sums_text, write_private
from vagus_tui.backup.identity import read_fingerprint
from vagus_tui.backup.inventory import read_outside_keys
from vagus_tui.backup.job import BackupJob
from vagus_tui.backup.manifest import FORMAT_VERSION, MANIFEST, SUMS, ColumnEntry, Manifest, OutsideKeyEntry, TableEntry
from vagus_tui.backup.options import Kind
from vagus_tui.backup.snapshot import Snapshot
from vagus_tui.backup.tables import BackupTable


async def write_manifest(job: BackupJob, snapshot: Snapshot) -> Manifest:
    """Describe the backup, and write that beside it."""
    connection = snapshot.connection
    tables = job.tables
    version = connection.get_server_version()
    selected = {table.key for table in job.selected} if Kind.TABLES in job.options.kinds else set()
    roles = await connection.fetch("select rolname::text as name from pg_roles where rolname !~ '^pg_' order by 1")
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        id=job.folder.id,
        made_by=f"vagus-tui {__version__}",
        server=str(await connection.fetchval("select pg_catalog.current_setting('server_version')")),
        server_major=version.major,
        encoding=str(await connection.fetchval("select pg_catalog.current_setting('server_encoding')")),
        fingerprint=await read_fingerprint(connection, job.database.label),
        snapshot=snapshot.id,
        started_at=job.started,
        finished_at=datetime.now(UTC),
        operator=job.settings.operator,
        environment=job.settings.environment.value,
        state=job.state.state.value,
        renamed=bool(job.state.shape and job.state.shape.renamed),
        kinds=tuple(sorted(job.options.kinds)),
        tools=job.tools.reason if job.tools else None,
        tools_major=job.tools.major if job.tools else None,
        tables=tuple(_table_entry(table, job.contents[table.key], table.key in selected) for table in tables),
        archives=tuple(job.archives),
        csv=tuple(job.csv),
        inventory=job.inventory,
        outside_keys=tuple(
            OutsideKeyEntry(
                schema_name=key.schema,
                name=key.name,
                columns=key.columns,
                to_schema=key.to_schema,
                to_name=key.to_name,
                to_columns=key.to_columns,
            )
            for key in await read_outside_keys(connection, tables)
        ),
        roles=tuple(row["name"] for row in roles),
        excluded_schemas=job.left_out.schemas if Kind.FULL in job.options.kinds else (),
        excluded_tables=tuple(".".join(key) for key in job.left_out.unreadable_tables),
        files=tuple(job.hashed[name] for name in sorted(job.hashed)),
        timings=job.timings,
    )
    text = manifest.text()
    await asyncio.to_thread(write_private, job.path / MANIFEST, text)
    await asyncio.to_thread(write_private, job.path / SUMS, sums_text(text.encode(), manifest.files))
    return manifest


def _table_entry(table: BackupTable, content: Content, in_tables: bool) -> TableEntry:
    return TableEntry(
        schema_name=table.schema,
        name=table.name,
        workout=table.workout,
        partitioned=table.partitioned,
        rows=content.rows,
        digest=content.digest,
        bytes=table.bytes,
        writes=table.writes,
        in_tables=in_tables,
        columns=tuple(
            ColumnEntry(
                name=column.name,
                type=column.type,
                base_type=column.base_type,
                generated=column.generated,
                behind=column.behind,
            )
            for column in table.columns
        ),
    )
