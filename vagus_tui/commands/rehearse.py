"""The command that rehearses: the whole migration and the way back, on a restored backup."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field
from pydantic_settings import CliPositionalArg

from vagus_tui.commands.keep import named
from vagus_tui.commands.newest import newest
from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import finish
from vagus_tui.commands.session import load_settings
from vagus_tui.control import Control
from vagus_tui.errors import RefusedError
from vagus_tui.events import CheckEvent, Event, Phase, ResultEvent, Status, StepEvent, StepState

if TYPE_CHECKING:
    from vagus_tui.backup.manifest import Manifest


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
    if backup is not None:
        path = named(backup)
    else:
        path, chosen = await newest(settings, "rehearse", _suitable, what="suitable")
        yield chosen
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


def _suitable(manifest: Manifest) -> bool:
    from vagus_tui.backup.rehearsal_stages import suitable_archive

    try:
        suitable_archive(manifest)
    except RefusedError:
        return False
    return True
