"""A backup restored into a local embedded PostgreSQL: the copy that a restore test compares and a rehearsal uses."""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import asyncpg

from vagus_tui.backup.address import tool_address
from vagus_tui.backup.folder import AS_IT_WAS, free_bytes
from vagus_tui.backup.inventory import OutsideKey
from vagus_tui.backup.manifest import ArchiveEntry, DamagedBackupError, Manifest
from vagus_tui.backup.options import Compression
from vagus_tui.backup.process import LOST_WORDS, ToolRun
from vagus_tui.backup.progress import Progress
from vagus_tui.backup.verify import reading_tools
from vagus_tui.control import Control
from vagus_tui.database.connection import LOST, Connection, is_lost, open_connection
from vagus_tui.database.identifiers import qualified, quote
from vagus_tui.database.tools import ClientTools, MissingTools, bundled_tools
from vagus_tui.errors import RefusedError, server_words
from vagus_tui.events import Event, Phase
from vagus_tui.format import size
from vagus_tui.sandbox.binaries import server_version
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.server import OPERATOR, EmbeddedServer
from vagus_tui.sandbox.stand_in import build_stand_in

# Indexes and the write-ahead log come on top of the rows.
_SPACE_FACTOR = 2.5
_SPACE_BYTES = 200 << 20
_SETTINGS = {"autovacuum": "off", "maintenance_work_mem": "256MB", "statement_timeout": "0"}
_JOBS = 2
_TICK_SECONDS = 0.3
# Entries of an archive's list that can be bound to a table and that its policies can name.
_BOUND = re.compile(rb"\d+; \d+ \d+ (FUNCTION|PROCEDURE|AGGREGATE|VIEW|MATERIALIZED VIEW) ")
_VIEW = re.compile(rb"\d+; \d+ \d+ (?:MATERIALIZED )?VIEW (\S+) (\S+) ")

# A dump of tables leaves their publications out.
_PUBLISHED = re.compile(rb"\d+; \d+ \d+ PUBLICATION( TABLE)? ")

_UNKNOWN = "unrecognized parameter"
_COMPRESSION = "compression method lz4 not supported"
# What the PostgreSQL that comes along does not know or was built without.
_LACKING = (_UNKNOWN, _COMPRESSION)
# What pg_restore passes on when the machine, or the PostgreSQL that comes along, is at its end: the backup is not.
_GONE = ("connection to server at", *LOST_WORDS)
_AT_ITS_END = ("No space left on device", "Disk quota exceeded", "out of memory", *_GONE)
# What the system says of whoever asks, not of the file.
_CLOSED = ("Permission denied", "Too many open files", "Cannot allocate memory")
_NOT_HERE = (*_AT_ITS_END, "unsupported XML feature", *_CLOSED, *_LACKING)


class NotHereError(RefusedError):
    """This machine or the PostgreSQL on it cannot restore a backup, which says nothing about the backup."""


def local_server_ended(state: str = AS_IT_WAS) -> NotHereError:
    """What to say when the local server is gone."""
    return NotHereError(
        "The local PostgreSQL that the backup is restored into was ended: see whether this machine ran out of memory, "
        "or somebody ended it.",
        state=state,
        next_step="Start again, or restore it on another server.",
    )


@contextlib.contextmanager
def local_server_explained(state: str = AS_IT_WAS) -> Iterator[None]:
    """Tell the end of the local server from damage, and from that of the real one.

    Raises:
        NotHereError: it ended, or one of its processes did, inside the block.
    """
    try:
        yield
    except LOST as error:
        if not is_lost(error):
            raise
        raise local_server_ended(state) from error


def restoring_tools(manifest: Manifest) -> ClientTools:
    """A pg_restore that reads the archives and fits the embedded server, which needs no TLS; its own if it can.

    Raises:
        NotHereError: none here can read them.
    """
    zstd = any(archive.compression is Compression.ZSTD for archive in manifest.archives)
    bundled = bundled_tools()
    if bundled is not None and not zstd and bundled.major >= (manifest.tools_major or 0):
        return bundled
    tools = reading_tools(manifest, manifest.archives)
    if isinstance(tools, MissingTools):
        raise NotHereError(f"The archives cannot be read here: {tools.reason}", next_step=f"Install {tools.package}.")
    return tools


class RestoredCopy:
    """An embedded server with one database per restored archive. `stop` removes it all.

    Attributes:
        complaints: what pg_restore said about things outside the backup's tables (extensions that are not
            installed here, and such); none of it stopped the restore.
    """

    def __init__(self, path: Path, manifest: Manifest, server: EmbeddedServer) -> None:
        self.path = path
        self.manifest = manifest
        self.server = server
        self.complaints: list[str] = []

    @classmethod
    async def start(cls, path: Path, manifest: Manifest) -> RestoredCopy:
        """Start the server.

        Raises:
            RefusedError: there is too little space for the copy.
            SandboxError: the server did not start.
        """
        parts = max(1, sum(1 for archive in manifest.archives if archive.tables) + bool(manifest.csv))
        needed = int(sum(table.bytes for table in manifest.tables) * _SPACE_FACTOR * parts) + _SPACE_BYTES
        place = Path(tempfile.gettempdir())
        free = free_bytes(place)
        if free is not None and free < needed:
            raise RefusedError(
                f"Restoring the backup takes about {size(needed)}; {place} has {size(free)} free.",
                next_step="Set TMPDIR to a folder on a roomier disk.",
            )
        return cls(path, manifest, await EmbeddedServer.start(settings=_SETTINGS))

    async def stop(self) -> None:
        """Stop the server and remove its files."""
        await asyncio.shield(asyncio.ensure_future(self.server.stop()))

    @property
    def major(self) -> int:
        """The major version of the embedded server."""
        found = re.search(r"\d+", server_version())
        return int(found[0]) if found else 0

    def url(self, database: str, role: str = OPERATOR) -> str:
        """The address of a restored database as one of the roles; by default as an operator's login."""
        return self.server.url(role, database)

    async def admin(self, database: str) -> Connection:
        """A superuser's connection."""
        return await open_connection(self.server.admin_url(database))

    async def create_database(self, name: str) -> None:
        """An empty project: Supabase's roles and schemas, and every role that the backup speaks of.

        New tables are given no rights by default, so that the rights found afterwards are those of the archive.
        """
        admin = await self.admin("postgres")
        try:
            known = {row[0] for row in await admin.fetch("select rolname::text from pg_roles")}
            for role in self.manifest.roles:
                if role not in known:
                    await admin.execute(f"create role {quote(role)} nologin")
            await admin.execute(
                f"create database {quote(name)} template template0 owner {quote(OPERATOR)} encoding 'UTF8'"
            )
        finally:
            await admin.close()
        admin = await self.admin(name)
        try:
            await build_stand_in(admin, SandboxOptions(default_privileges=False))
            # The archive brings its publications along.
            await admin.execute("drop publication if exists supabase_realtime")
        finally:
            await admin.close()

    async def restore(self, archive: ArchiveEntry, database: str, control: Control) -> AsyncIterator[Event]:
        """Restore an archive with rows into a new database; a step per section, with progress in bytes.

        The users that the rows belong to are not in the backup (they are Supabase's): their ids are put into the
        stand-in's tables before the foreign keys are added.

        Raises:
            DamagedBackupError: it cannot be restored.
            NotHereError: this machine or its PostgreSQL cannot do it, which says nothing about the backup.
            CancelledByOperatorError: a stop was asked for.
        """
        with local_server_explained():
            async for event in self._restore(archive, database, control):
                yield event

    async def _restore(self, archive: ArchiveEntry, database: str, control: Control) -> AsyncIterator[Event]:
        await self.create_database(database)
        tools = await asyncio.to_thread(restoring_tools, self.manifest)
        strict = archive.content == "tables"
        if strict:
            await self._definitions(tools, archive, database, control)
        total = sum(table.bytes for table in self.manifest.tables if table.key in archive.tables)
        for section, title, jobs in (
            ("pre-data", "Restore the tables", 1),
            ("data", "Restore the rows", _JOBS),
            ("post-data", "Restore keys, indexes, policies", _JOBS),
        ):
            step = Progress(
                f"restore-{archive.content}-{section}",
                Phase.VERIFY,
                f"{title} ({archive.name})",
                total if section == "data" else 0,
            )
            yield step.started()
            if section == "post-data":
                await self._fill_outside(archive, database)
            arguments = [f"--section={section}", f"--jobs={jobs}"]
            async for so_far in self._run(tools, archive, database, arguments, control, strict=strict):
                if event := step.at(so_far):
                    yield event
            if section == "pre-data":
                await self._refuse_unknown(archive, database)
            if strict and section == "pre-data":
                # Functions and views that are bound to the tables went with their first version: policies may call
                # them.
                await self._again(tools, database, control, _BOUND)
            if strict and section == "post-data":
                await self._again(tools, database, control, _PUBLISHED)
            yield step.finished(total if section == "data" else None)

    async def _refuse_unknown(self, archive: ArchiveEntry, database: str) -> None:
        """Refuse where tables are missing for what the local server does not know: all that hangs on them would too."""
        said = next((text for text in self.complaints if any(words in text for words in _LACKING)), "")
        if not said:
            return
        admin = await self.admin(database)
        try:
            tables = (table for key in archive.tables if (table := self.manifest.table(key)) is not None)
            names = [qualified(table.schema_name, table.name) for table in tables]
            gone = await admin.fetchval("select bool_or(to_regclass(name) is null) from unnest($1::text[]) name", names)
        finally:
            await admin.close()
        if gone:
            raise _not_here(archive, said)

    async def _definitions(self, tools: ClientTools, archive: ArchiveEntry, database: str, control: Control) -> None:
        """The types and functions that the tables use: all definitions, less the tables that are to be restored."""
        definitions = self._definitions_archive()
        if definitions is None:
            return
        arguments = ["--section=pre-data"]
        async for _ in self._run(tools, definitions, database, arguments, control, strict=False):
            pass
        keys = set(archive.tables)
        tables = [table for table in self.manifest.tables if table.key in keys]
        admin = await self.admin(database)
        try:
            for table in tables:
                await admin.execute(f"drop table if exists {qualified(table.schema_name, table.name)} cascade")
        finally:
            await admin.close()

    def _definitions_archive(self) -> ArchiveEntry | None:
        return next((entry for entry in self.manifest.archives if entry.content == "definitions"), None)

    async def _again(self, tools: ClientTools, database: str, control: Control, entries: re.Pattern[bytes]) -> None:
        """Take entries of the definitions' list once the tables are there.

        Only these: rights on the tables must come from their own archive.
        """
        definitions = self._definitions_archive()
        if definitions is None:
            return
        address = tool_address("postgresql://", purpose="list")
        async with ToolRun(
            tools.pg_restore, ["--list", str(self.path / definitions.name)], address, read_output=True
        ) as run:
            listing = b""
            while data := await run.read():
                listing += data
            await run.finish(control)
        lines = [line for line in listing.split(b"\n") if entries.match(line)]
        # Rights on views are listed as those on tables.
        views = {b" ACL %b TABLE %b " % (found[1], found[2]) for line in lines if (found := _VIEW.match(line))}
        lines += [line for line in listing.split(b"\n") if any(view in line for view in views)]
        if not lines:
            return
        with tempfile.NamedTemporaryFile(prefix="vagus-restore-") as file:
            file.write(b"\n".join(lines) + b"\n")
            file.flush()
            known = len(self.complaints)
            async for _ in self._run(tools, definitions, database, [f"--use-list={file.name}"], control, strict=False):
                pass
            # Most were never gone.
            self.complaints[known:] = [text for text in self.complaints[known:] if "already exists" not in text]

    async def _run(
        self,
        tools: ClientTools,
        archive: ArchiveEntry,
        database: str,
        arguments: Sequence[str],
        control: Control,
        *,
        strict: bool,
    ) -> AsyncIterator[int]:
        """Run pg_restore; yields the size of the database now and then."""
        address = tool_address(self.server.admin_url(database), purpose="pg_restore")
        command = [
            *arguments,
            f"--dbname={database}",
            "--no-password",
            *(["--exit-on-error"] if strict else []),
            str(self.path / archive.name),
        ]
        admin = await self.admin(database)
        try:
            async with ToolRun(tools.pg_restore, command, address) as run:
                while (status := await run.wait(_TICK_SECONDS, control)) is None:
                    yield int(await admin.fetchval("select pg_database_size(current_database())"))
                errors = [line for line in run.errors if "error:" in line]
                said = next((line for line in errors if any(words in line for words in _AT_ITS_END)), "")
                # Without --exit-on-error, 1 says that some statements failed; anything worse is a broken archive.
                if status < 0 or (status != 0 and (strict or said or not errors)):
                    said = said or next((line for line in errors), f"exit status {status}")
                    if any(words in said for words in _GONE):
                        raise local_server_ended()
                    if status < 0 or any(words in said for words in _NOT_HERE):
                        why = said.partition("error: ")[2] or run.failure(status).happened.rstrip(".")
                        raise _not_here(archive, why)
                    raise DamagedBackupError(
                        f"{archive.name} cannot be restored: {said.partition('error: ')[2] or said}.",
                        next_step="Make a new backup; do not rely on this one.",
                    )
                self.complaints += [line.partition("error: ")[2] for line in errors]
        finally:
            await admin.close()

    async def _fill_outside(self, archive: ArchiveEntry, database: str) -> None:
        """Put what the rows refer to outside the backup into the stand-in's tables."""
        keys = set(archive.tables)
        admin = await self.admin(database)
        try:
            for entry in self.manifest.outside_keys:
                if f"{entry.schema_name}.{entry.name}" in keys:
                    await _fill(admin, entry.as_key())
        except asyncpg.PostgresError as error:
            if is_lost(error):
                raise
            # The stand-in is not what Supabase has there, such as for a key to a column that it lacks.
            raise NotHereError(
                f"What the rows refer to outside the backup cannot be filled in here: {server_words(error)}.",
                state=AS_IT_WAS,
                next_step="Restore it into a project of Supabase, which has those tables.",
            ) from None
        finally:
            await admin.close()


def _not_here(archive: ArchiveEntry, said: str) -> NotHereError:
    """What to say when this machine or its PostgreSQL cannot restore an archive."""
    # Servers write settings of their own beside people's since November 2026, which older programs dump as if they
    # were people's, and older servers do not take.
    way = ""
    if _UNKNOWN in said:
        way = " A pg_dump of the server's own release leaves out what only it knows."
    elif _COMPRESSION in said:
        way = " Columns that are set to the default compression (alter table … alter … set compression default; what "
        way += "is stored stays as it is) can be."
    return NotHereError(
        f"{archive.name} cannot be restored on this machine: {said}.{way}",
        state=AS_IT_WAS,
    )


async def _fill(admin: Connection, key: OutsideKey) -> None:
    """Make the rows that one foreign key refers to; makes their table too where the stand-in has none."""
    target, source = qualified(key.to_schema, key.to_name), qualified(key.schema, key.name)
    to_columns = ", ".join(quote(name) for name in key.to_columns)
    columns = ", ".join(quote(name) for name in key.columns)
    present = " and ".join(f"{quote(name)} is not null" for name in key.columns)
    async with admin.transaction():
        if await admin.fetchval("select to_regclass($1) is null", target):
            await admin.execute(f"create schema if not exists {quote(key.to_schema)}")
            renamed = ", ".join(
                f"{quote(name)} as {quote(to)}" for name, to in zip(key.columns, key.to_columns, strict=True)
            )
            await admin.execute(f"create table {target} as select {renamed} from {source} with no data")
            await admin.execute(f"alter table {target} add unique ({to_columns})")
        await admin.execute(
            f"insert into {target} ({to_columns}) select distinct {columns} from {source} where {present} "
            "on conflict do nothing"
        )
