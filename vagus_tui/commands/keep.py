"""The command that keeps the data safe: backup, which makes, verifies, uploads or lists."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_settings import CliToggleFlag

from vagus_tui.commands.newest import newest
from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import finish
from vagus_tui.commands.session import kept, load_settings
from vagus_tui.control import Control
from vagus_tui.errors import ConfigurationError, VagusError
from vagus_tui.events import Event, NoteEvent, ResultEvent
from vagus_tui.format import plural
from vagus_tui.settings import whole_path

if TYPE_CHECKING:
    from vagus_tui.backup.listing import BackupInfo
    from vagus_tui.backup.remote_listing import RemoteBackup
    from vagus_tui.settings import Settings

RESTORE_TEST = "vagus-tui backup --restore-test does it."
NEWEST = "newest"
"""What stands for `--upload` and `--restore-test` without a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupEvent(Event):
    """One backup that lies in the backup folder, or a copy of one in the upload target (`path` is its address then)."""

    kind: ClassVar[str] = "backup"

    path: Path | str
    created: datetime
    bytes: int
    rows: int
    kinds: tuple[str, ...]
    usable: bool
    verified: datetime | None = None
    restored: datetime | None = None
    uploaded: datetime | None = None
    remote: bool = False
    problems: tuple[str, ...] = ()


class BackupCommand(Command):
    """Backs the database up from one snapshot, reads it all back, and keeps it only if it is whole.

    Ctrl-C stops and removes what was written. --verify reads an existing backup back, --restore-test restores
    it locally and compares; --upload copies it to VAGUS_UPLOAD_URL and reads the copy back; --list says what there is.
    """

    kind: list[Literal["tables", "csv", "full"]] = Field(
        default=[], description="tables, csv or full; repeatable; without it, all three"
    )
    format: Literal["directory", "custom"] | None = Field(
        default=None, description="directory (parallel, the default) or custom (one file, as in the guide)"
    )
    compression: Literal["gzip", "zstd"] | None = Field(
        default=None, description="gzip or zstd; by default zstd where pg_dump here can write it"
    )
    verify: Path | None = Field(default=None, description="read this backup back instead of making one")
    upload: str | None = Field(
        default=None, description="copy this backup (without a path: the newest one that is whole) to the upload target"
    )
    restore_test: str | None = Field(
        default=None,
        description="restore this backup (without a path: the newest whole one) into a local PostgreSQL and compare",
    )
    list_: CliToggleFlag[bool] = Field(default=False, alias="list", description="list the backups instead")

    @model_validator(mode="after")
    def _one_thing(self) -> BackupCommand:
        """Making one is one act; everything that is done with one is another."""
        making = bool(self.kind) or self.format is not None or self.compression is not None
        others = (self.verify, self.upload, self.restore_test)
        if sum((making, *(path is not None for path in others), self.list_)) > 1:
            raise ValueError("making one (--kind …), --verify, --restore-test, --upload and --list exclude each other")
        return self

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(lambda control: _events(self, control), as_json=self.as_json, graceful=not self.list_)


def _events(asked: BackupCommand, control: Control) -> AsyncGenerator[Event, None]:
    if asked.list_:
        return _list()
    if asked.verify is not None:
        return _verify(asked.verify, control)
    if asked.upload is not None:
        return _upload(asked.upload, control)
    if asked.restore_test is not None:
        return _restore_test(asked.restore_test, control)
    return _make(asked, control)


async def _make(asked: BackupCommand, control: Control) -> AsyncGenerator[Event, None]:
    from vagus_tui.backup.make import make_backup
    from vagus_tui.backup.options import ALL_KINDS, ArchiveFormat, BackupOptions, Compression, Kind
    from vagus_tui.database.connection import Database

    settings = load_settings()
    options = BackupOptions(
        kinds=frozenset(Kind(kind) for kind in asked.kind) or ALL_KINDS,
        format=ArchiveFormat(asked.format or ArchiveFormat.DIRECTORY),
        compression=Compression(asked.compression) if asked.compression else None,
    )
    database = Database(settings)
    async for event in kept(database, settings, make_backup(database, settings, options, control)):
        if isinstance(event, ResultEvent) and event.ok and event.figures is not None:
            where = f"{event.message.removesuffix('.')}, in {event.figures['path']}."
            event = dataclasses.replace(event, message=where, next_step=f"{event.next_step} {RESTORE_TEST}")
        yield event


async def _upload(asked: str, control: Control) -> AsyncGenerator[Event, None]:
    from vagus_tui.backup.upload import upload_backup

    async for event in _with(asked, "upload", lambda path, settings: upload_backup(path, settings, control)):
        yield event


async def _restore_test(asked: str, control: Control) -> AsyncGenerator[Event, None]:
    from vagus_tui.backup.restore import restore_test

    async for event in _with(asked, "restore test", lambda path, settings: restore_test(path, settings, control)):
        yield event


def named(asked: str | Path) -> Path:
    """A file or folder as it was typed: the whole path, by which the journal knows a backup.

    Raises:
        ConfigurationError: it cannot be made whole.
    """
    try:
        return whole_path(asked)
    except ValueError as error:
        raise ConfigurationError(f"{asked}: {error}.", next_step="Write the folder out, from / on.") from error


async def _with(
    asked: str, purpose: str, job: Callable[[Path, Settings], AsyncGenerator[Event, None]]
) -> AsyncGenerator[Event, None]:
    """Do something with the backup that was named, or with the newest that is whole."""
    settings = load_settings()
    if asked == NEWEST:
        path, chosen = await newest(settings, purpose)
        yield chosen
    else:
        path = named(asked)
    async with contextlib.aclosing(job(path, settings)) as events:
        async for event in events:
            yield event


async def _verify(path: Path, control: Control) -> AsyncGenerator[Event, None]:
    from vagus_tui.backup.verify import verify_backup

    async for event in verify_backup(named(path), control, load_settings()):
        yield event


async def _list() -> AsyncGenerator[Event, None]:
    from vagus_tui.backup.listing import list_backups
    from vagus_tui.backup.remote_listing import list_remote

    settings = load_settings()
    found = await asyncio.to_thread(list_backups, settings)
    for info in found:
        yield _event(info)
    usable = sum(info.usable for info in found)
    message = f"{plural(len(found), 'backup')} in {settings.backup_dir}, {usable} of them verified and whole."
    if settings.upload_url:
        try:
            copies = await list_remote(settings)
        except VagusError as error:
            yield NoteEvent(level="warning", message=f"The upload target cannot be read: {error}")
        else:
            for copy in copies:
                yield _remote_event(copy)
            message += f" {plural(len(copies), 'copy', 'copies')} in {settings.upload_url}."
    yield ResultEvent(ok=True, message=message)


def _event(info: BackupInfo) -> BackupEvent:
    return BackupEvent(
        path=info.path,
        created=info.created,
        bytes=info.bytes,
        rows=info.rows,
        kinds=tuple(kind.value for kind in info.kinds),
        usable=info.usable,
        verified=info.verified,
        restored=info.restored,
        uploaded=info.uploaded,
        problems=info.problems,
    )


def _remote_event(copy: RemoteBackup) -> BackupEvent:
    manifest = copy.manifest
    return BackupEvent(
        path=copy.url,
        remote=True,
        created=copy.created,
        bytes=copy.bytes,
        rows=manifest.rows if manifest else 0,
        kinds=tuple(kind.value for kind in manifest.kinds) if manifest else (),
        usable=manifest is not None and not copy.problems,
        problems=copy.problems,
    )
