"""What a rollback from a backup would do: composed from the backup's manifest and from what is in place now."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from vagus_tui.backup.manifest import ArchiveEntry, DamagedBackupError, Manifest, read_manifest
from vagus_tui.backup.verify import some
from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.journal.state import RESTORING
from vagus_tui.migration.plan import SESSION_SETTINGS
from vagus_tui.migration.steps import Plan
from vagus_tui.rollback.archive import archive_name
from vagus_tui.rollback.blueprint import Blueprints, read_blueprints
from vagus_tui.rollback.findings import Prevents
from vagus_tui.rollback.in_place import SCHEMA, FromCopy, InPlace, read_in_place
from vagus_tui.rollback.names_back import needed_names
from vagus_tui.rollback.replace import Replacement
from vagus_tui.rollback.room import read_room
from vagus_tui.rollback.whose import not_ours
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.functions import signatures


async def compose(connection: Connection, blueprints: Blueprints, copy: FromCopy, archive: str) -> Replacement:
    """Everything that a rollback from this backup would do to this database now.

    Raises:
        RefusedError: something in its way belongs to somebody else; says whose it is, and what settles it.
    """
    now = (await read_in_place(connection)).with_lost(copy.dependents)
    publications: dict[str, set[str]] = {
        row["pubname"]: set() for row in await connection.fetch("select pubname::text from pg_publication")
    }
    for row in await connection.fetch(
        "select p.pubname::text, c.relname::text from pg_publication_rel r join pg_publication p on p.oid = r.prpubid "
        "join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1",
        SCHEMA,
    ):
        publications[row["pubname"]].add(row["relname"])
    tables = await connection.fetch(
        "select n.nspname::text as schema, c.relname::text as name from pg_class c "
        "join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p', 'v', 'm', 'f')"
    )
    room = await read_room(connection, needed_names(blueprints, now.survey), now.tables, archive)
    if prevents := [*room.prevents, *await _not_ours(connection, now)]:
        raise RefusedError(
            f"Not ours to move out of v1's way: {'; '.join(one.words for one in prevents)}.",
            state="Nothing was changed.",
            next_step=f"Whoever may do so settles it: {'; '.join(one.advice for one in prevents)}. Then start again.",
        )
    return Replacement(
        blueprints,
        now.without(room.stray),
        copy,
        archive,
        {name: frozenset(carried) for name, carried in publications.items()},
        frozenset((row["schema"], row["name"]) for row in tables),
        room,
    )


async def _not_ours(connection: Connection, now: InPlace) -> list[Prevents]:
    """What is set aside and belongs to somebody else by now."""
    functions: dict[str, str] = {}
    if now.v2 and now.survey is not None:
        functions = signatures(V2Ddl(SCHEMA, now.survey.shape, now.survey.taken))
    return await not_ours(connection, SCHEMA, now.tables, functions)


async def plan_from_backup(connection: Connection, path: Path) -> Plan:
    """The plan of a rollback from a backup, as far as it is known before the backup was restored.

    Raises:
        DamagedBackupError: the backup has no readable manifest, or holds no v1.
    """
    manifest = await asyncio.to_thread(read_manifest, path)
    blueprints = read_blueprints(manifest, RESTORING)
    made = await compose(connection, blueprints, FromCopy(), archive_name(datetime.now(UTC)))
    steps = [*made.build_steps(), *made.swap_steps({}), *made.settle_steps()]
    return Plan(tuple(steps), tuple(notes(made)), SESSION_SETTINGS)


def notes(made: Replacement) -> list[str]:
    """What is worth knowing beforehand."""
    lines = [f"{name} is set aside in {made.archive}; nothing is dropped" for name in made.now.tables]
    lines += made.room.words
    lines += [
        f"{dependent.kind.value} {dependent.name}{f' on {dependent.on}' if dependent.on else ''}: follows what is set "
        "aside, review it"
        for dependent in made.now.staying
    ]
    lines.append("comments, storage options and rights on sequences are read from the restored copy")
    return lines


def chosen_part(manifest: Manifest, blueprints: Blueprints) -> ArchiveEntry | None:
    """The archive that v1 is restored from, the smallest first; None where only CSV holds it.

    Raises:
        DamagedBackupError: no part of the backup holds all four tables.
    """
    wanted = {table.entry.key for table in blueprints.tables}
    for kind in ("tables", "full"):
        for archive in manifest.archives:
            if archive.content == kind and wanted <= set(archive.tables):
                return archive
    missing = wanted - {entry.table for entry in manifest.csv}
    if missing:
        raise DamagedBackupError(
            f"No part of this backup holds the rows of {some(sorted(missing))}.", next_step="Choose another backup."
        )
    return None
