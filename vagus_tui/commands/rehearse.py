"""The command that rehearses: the whole migration and the way back, on a restored backup."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from pydantic_settings import CliPositionalArg

from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import finish
from vagus_tui.commands.session import load_settings
from vagus_tui.control import Control
from vagus_tui.errors import RefusedError, VagusError
from vagus_tui.events import CheckEvent, Event, Phase, ResultEvent, Status, StepEvent, StepState

if TYPE_CHECKING:
    from vagus_tui.settings import Settings


class RehearseCommand(Command):
    """Restores a backup into a local PostgreSQL and there migrates, proves, rolls back with users' writes, and
    migrates again. The real database is only told the result.

    What it took is the forecast for the real run. Ctrl-C stops it and removes the copy.
    """

    backup: CliPositionalArg[Path | None] = Field(
        default=None, description="the backup's folder; without it, the newest one that can be relied on"
    )

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(
            lambda control: _rehearse(self.backup, control, as_json=self.as_json), as_json=self.as_json, graceful=True
        )


async def _rehearse(backup: Path | None, control: Control, *, as_json: bool) -> AsyncGenerator[Event, None]:
    from vagus_tui.backup.forecast import parse_forecast
    from vagus_tui.backup.rehearsal import rehearse
    from vagus_tui.commands.output import TextEvent
    from vagus_tui.widgets.rehearsed import timeline_text

    settings = load_settings()
    path = backup.expanduser() if backup is not None else await _newest(settings)
    async for event in rehearse(path, settings, control):
        if isinstance(event, CheckEvent) and not as_json and event.status in (Status.PASS, Status.SKIP):
            continue
        if isinstance(event, StepEvent) and event.phase is not Phase.REHEARSE and not as_json:
            # For people a line per stage is enough, and the checks that have something to say.
            if event.state is StepState.FAILED:
                yield event
            continue
        if isinstance(event, ResultEvent) and not as_json and event.figures is not None:
            forecast = parse_forecast(event.figures)
            if forecast is not None and forecast.complete:
                yield TextEvent(text=timeline_text(forecast))
        yield event


async def _newest(settings: Settings) -> Path:
    """The newest backup that can be relied on and rehearsed on, of the settings' database if that can be asked.

    Raises:
        RefusedError: there is none.
    """
    import asyncpg

    from vagus_tui.backup.identity import read_fingerprint
    from vagus_tui.backup.listing import list_backups
    from vagus_tui.backup.rehearsal_stages import suitable_archive
    from vagus_tui.database.connection import Database

    fingerprint = None
    if settings.database_url is not None:
        try:
            database = Database(settings)
            async with database.connection("rehearse") as connection:
                fingerprint = await read_fingerprint(connection, database.label)
        except (VagusError, asyncpg.PostgresError):
            # A backup can be rehearsed on without the database that it is of.
            fingerprint = None
    for info in await asyncio.to_thread(list_backups, settings):
        if not info.usable or info.manifest is None:
            continue
        if fingerprint is not None and not info.manifest.fingerprint.same_database(fingerprint):
            continue
        try:
            suitable_archive(info.manifest)
        except RefusedError:
            continue
        return info.path
    raise RefusedError(
        f"There is no backup in {settings.backup_dir} that can be rehearsed on.",
        next_step="Make one with: vagus-tui backup; or name one: vagus-tui rehearse PATH",
    )
