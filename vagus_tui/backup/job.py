"""What one backup under way knows, shared by the modules that write its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from vagus_tui.backup import dump
from vagus_tui.backup.address import ToolAddress
from vagus_tui.backup.digest import Content
from vagus_tui.backup.folder import REMOVED, STOPPED, BackupFolder
from vagus_tui.backup.manifest import ArchiveEntry, CsvEntry, FileEntry
from vagus_tui.backup.options import BackupOptions, Compression, Kind
from vagus_tui.backup.tables import BackupTable, LeftOut
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.database.definitions import Inventory
from vagus_tui.database.tools import ClientTools
from vagus_tui.errors import CancelledByOperatorError
from vagus_tui.journal.state import DatabaseState
from vagus_tui.settings import Settings

T = TypeVar("T")

# A CSV with every value quoted, against the same rows on the server; measured on uuid-heavy rows.
CSV_SHARE = 1.4


@dataclass(slots=True)
class BackupJob:
    """What one backup needs to know, filled in as it goes.

    Attributes:
        inventory: what hangs on the tables, read before they are dumped.
        packs: what pg_dump writes is compressed here, not by pg_dump.
    """

    database: Database
    settings: Settings
    options: BackupOptions
    control: Control
    state: DatabaseState
    tools: ClientTools | None
    address: ToolAddress
    folder: BackupFolder
    started: datetime
    compression: Compression = Compression.GZIP
    packs: bool = False
    selected: tuple[BackupTable, ...] = ()
    everything: tuple[BackupTable, ...] = ()
    left_out: LeftOut = field(default_factory=lambda: LeftOut((), (), ()))
    contents: dict[str, Content] = field(default_factory=dict)
    inventory: Inventory = field(default_factory=dict)
    archives: list[ArchiveEntry] = field(default_factory=list)
    csv: list[CsvEntry] = field(default_factory=list)
    hashed: dict[str, FileEntry] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where the unfinished backup lies."""
        return self.folder.path

    @property
    def workout(self) -> list[BackupTable]:
        """The workout tables themselves; partitions come with their parents."""
        return [table for table in self.selected if table.workout]

    @property
    def tables(self) -> list[BackupTable]:
        """Every table that the manifest speaks of, once."""
        known = {table.key: table for table in self.everything}
        chosen = self.selected if Kind.TABLES in self.options.kinds else self.workout
        known |= {table.key: table for table in chosen}
        return sorted(known.values(), key=lambda table: table.key)


async def or_stopped(work: Awaitable[T], control: Control) -> T:
    """Wait for something that knows no checkpoints; broken off when a stop is asked for.

    Raises:
        CancelledByOperatorError: a stop was asked for.
    """
    task = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(control.wait_cancelled())
    try:
        await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
        if control.cancelled:
            raise CancelledByOperatorError(STOPPED, state=REMOVED)
        return await task
    finally:
        stop.cancel()
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def estimated_bytes(tables: Sequence[BackupTable], everything: Sequence[BackupTable], options: BackupOptions) -> int:
    """About how much a backup will take on this machine's disk."""
    total = 0.0
    if Kind.TABLES in options.kinds:
        total += dump.COMPRESSED_SHARE * sum(table.bytes for table in tables)
    if Kind.FULL in options.kinds:
        total += dump.COMPRESSED_SHARE * sum(table.bytes for table in everything)
    if Kind.CSV in options.kinds:
        total += CSV_SHARE * sum(table.bytes for table in tables if table.workout)
    return int(total)
