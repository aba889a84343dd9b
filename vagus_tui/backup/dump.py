"""Running pg_dump on the exported snapshot, and saying what it will be asked before it is run."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from vagus_tui.backup.address import ToolAddress
from vagus_tui.backup.folder import disk_error, tree_bytes
from vagus_tui.backup.options import ArchiveFormat, BackupOptions, Compression
from vagus_tui.backup.process import ToolRun
from vagus_tui.backup.tables import BackupTable, LeftOut
from vagus_tui.control import Control
from vagus_tui.database.identifiers import qualified, quote
from vagus_tui.database.tools import ClientTools

# Where pg_dump itself compresses. Level 3: with two workers about 0.4 of the guide's time for 12 per cent more bytes; 1
# is a little faster for 16 per cent, 4 takes half the guide's time for 4 per cent.
GZIP_LEVEL = 3
# On uuid-heavy rows the first level is the smallest as well as the fastest: a fifth of the guide's time, nine tenths of
# its bytes.
ZSTD_LEVEL = 1
# Rows as pg_dump writes them, compressed at that level, against their size on the server; measured on uuid-heavy rows.
COMPRESSED_SHARE = 0.45
# The same rows before they are compressed; generous, since the server compresses long values too.
TEXT_SHARE = 3.0
# A structure change that holds a table longer than this is waited for no longer.
LOCK_WAIT_MS = 30_000
_TICK_SECONDS = 0.25


def compression_argument(tools: ClientTools, compression: Compression) -> str:
    """pg_dump's option for the compression; older versions know levels of gzip alone."""
    if compression is Compression.ZSTD:
        return f"--compress=zstd:{ZSTD_LEVEL}"
    return f"--compress=gzip:{GZIP_LEVEL}" if tools.major >= 16 else f"--compress={GZIP_LEVEL}"


def _common(snapshot: str, target: Path) -> list[str]:
    return [
        f"--file={target}",
        f"--snapshot={snapshot}",
        "--encoding=UTF8",
        "--no-password",
        f"--lock-wait-timeout={LOCK_WAIT_MS}",
    ]


def _form(tools: ClientTools, options: BackupOptions, compression: Compression | None) -> list[str]:
    """The archive's form. Without a compression, for data that is compressed afterwards and only then kept."""
    packed = ["--compress=0", "--no-sync"] if compression is None else [compression_argument(tools, compression)]
    form = [f"--format={options.format.value}", *packed]
    if options.format is ArchiveFormat.DIRECTORY:
        form.append(f"--jobs={options.jobs}")
    return form


def _all_but(left_out: LeftOut) -> list[str]:
    return [
        *(f"--exclude-schema={quote(schema)}" for schema in left_out.schemas),
        *(f"--exclude-table={qualified(schema, name)}" for schema, name in left_out.unreadable_tables),
        "--no-subscriptions",
    ]


def tables_arguments(
    tools: ClientTools,
    options: BackupOptions,
    compression: Compression | None,
    snapshot: str,
    target: Path,
    tables: Sequence[BackupTable],
) -> list[str]:
    """Arguments for the workout tables with their keys, indexes, policies, grants, triggers, owned sequences."""
    return [
        *_common(snapshot, target),
        *_form(tools, options, compression),
        "--strict-names",
        *(f"--table={qualified(table.schema, table.name)}" for table in tables),
    ]


def definitions_arguments(tools: ClientTools, snapshot: str, target: Path, left_out: LeftOut) -> list[str]:
    """Arguments for the definitions of everything (types and functions that the tables use), without a row."""
    return [
        *_common(snapshot, target),
        "--format=custom",
        compression_argument(tools, Compression.GZIP),
        "--schema-only",
        *_all_but(left_out),
    ]


def full_arguments(
    tools: ClientTools,
    options: BackupOptions,
    compression: Compression | None,
    snapshot: str,
    target: Path,
    left_out: LeftOut,
) -> list[str]:
    """Arguments for the guide's full dump, without Supabase's own schemas."""
    return [*_common(snapshot, target), *_form(tools, options, compression), *_all_but(left_out)]


async def run_dump(
    tools: ClientTools, arguments: Sequence[str], address: ToolAddress, target: Path, control: Control
) -> AsyncIterator[int]:
    """Run pg_dump to its end; yields the size of what it has written, several times a second.

    Raises:
        CancelledByOperatorError: a stop was asked for; pg_dump and its workers are gone.
        ToolFailedError: it failed, was killed, or the disk is full.
        UndoneError: the folder it writes to went away.
        ConnectionLostError: it lost the server.
    """
    async with ToolRun(tools.pg_dump, arguments, address) as run:
        while (status := await run.wait(_TICK_SECONDS, control)) is None:
            yield tree_bytes(target)
        if status != 0:
            # Asked of the file system: what pg_dump says of a missing file may be the server's word on its own.
            if not await asyncio.to_thread(target.parent.is_dir):
                raise disk_error(FileNotFoundError(errno.ENOENT, "gone"))
            raise run.failure(status)
    yield tree_bytes(target)
