"""The command that keeps the data safe: backup, which makes, verifies or lists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_settings import CliToggleFlag

from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import finish
from vagus_tui.commands.session import load_settings
from vagus_tui.control import Control
from vagus_tui.events import Event, ResultEvent

if TYPE_CHECKING:
    from vagus_tui.backup.listing import BackupInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupEvent(Event):
    """One backup that lies in the backup folder."""

    kind: ClassVar[str] = "backup"

    path: Path
    created: datetime
    bytes: int
    rows: int
    kinds: tuple[str, ...]
    usable: bool
    verified: datetime | None = None
    restored: datetime | None = None
    problems: tuple[str, ...] = ()


class BackupCommand(Command):
    """Backs the database up from one snapshot, reads it all back, and keeps it only if it is whole.

    Ctrl-C stops and removes what was written. --verify reads an existing backup back; --list says what there is.
    """

    kind: list[Literal["tables", "csv", "full"]] = Field(
        default=[], description="tables, csv or full; repeatable; without it, all three"
    )
    verify: Path | None = Field(default=None, description="read this backup back instead of making one")
    list_: CliToggleFlag[bool] = Field(default=False, alias="list", description="list the backups instead")

    @model_validator(mode="after")
    def _one_thing(self) -> BackupCommand:
        """Making, verifying and listing are three acts."""
        if sum((bool(self.kind), self.verify is not None, self.list_)) > 1:
            raise ValueError("--kind, --verify and --list exclude each other")
        return self

    def cli_cmd(self) -> None:
        """Run the command."""
        kinds, path, listing = list(self.kind), self.verify, self.list_

        async def job(control: Control) -> AsyncGenerator[Event, None]:
            events = _list() if listing else _verify(path, control) if path else _make(kinds, control)
            async for event in events:
                yield event

        finish(job, as_json=self.as_json, graceful=not listing)


async def _make(kinds: list[Literal["tables", "csv", "full"]], control: Control) -> AsyncIterator[Event]:
    from vagus_tui.backup.make import make_backup
    from vagus_tui.backup.options import ALL_KINDS, BackupOptions, Kind
    from vagus_tui.database.connection import Database

    settings = load_settings()
    options = BackupOptions(kinds=frozenset(Kind(kind) for kind in kinds) or ALL_KINDS)
    async for event in make_backup(Database(settings), settings, options, control):
        yield event


async def _verify(path: Path, control: Control) -> AsyncIterator[Event]:
    from vagus_tui.backup.verify import verify_backup

    async for event in verify_backup(path.expanduser(), control):
        yield event


async def _list() -> AsyncIterator[Event]:
    from vagus_tui.backup.listing import list_backups

    settings = load_settings()
    found = await asyncio.to_thread(list_backups, settings)
    for info in found:
        yield _event(info)
    usable = sum(info.usable for info in found)
    yield ResultEvent(
        ok=True, message=f"{len(found)} backups in {settings.backup_dir}, {usable} of them verified and whole."
    )


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
        problems=info.problems,
    )
