"""Commands for what a run may leave behind, or what is wanted beside one: maintenance, and cleaning up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg, CliToggleFlag

from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import DONE, USAGE, finish
from vagus_tui.commands.session import about, kept, opened
from vagus_tui.errors import ConfigurationError
from vagus_tui.events import Event, ResultEvent
from vagus_tui.settings import Environment

if TYPE_CHECKING:
    from vagus_tui.migration.maintenance import Maintenance


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceEvent(Event):
    """How maintenance stands. `fenced_tables` carry the fence's trigger, which obeys the switch."""

    kind: ClassVar[str] = "maintenance"

    flag: bool
    fence: bool
    message: str | None = None
    since: datetime | None = None
    fence_since: datetime | None = None
    fence_operator: str | None = None
    fenced_tables: int = 0


class MaintenanceCommand(Command):
    """Switches maintenance on or off, or says how it stands: the flag that the app reads, and the write fence.

    With --fence, `on` also refuses the app's writes to the workout tables (HTTP 503 for the app), and `off` lowers
    the fence alone; `off` without it ends both. Switching off always works, also after a crash, and waits for nobody.
    """

    act: CliPositionalArg[Literal["on", "off", "status"]] = Field(default="status", description="on, off or status")
    fence: CliToggleFlag[bool] = Field(default=False, description="the write fence too; with off, the fence alone")
    message: str | None = Field(default=None, description="what the app tells its users meanwhile")
    yes: CliToggleFlag[bool] = Field(default=False, description="in production, on does nothing without this")

    @model_validator(mode="after")
    def _said_while_on(self) -> MaintenanceCommand:
        if self.message is not None and self.act != "on":
            raise ValueError("--message goes with on")
        return self

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(lambda _: _maintenance(self), as_json=self.as_json, changing=self.act != "status")


class AbandonCommand(Command):
    """Cleans up an interrupted or held migration: drops what was built aside. v1 is not touched."""

    yes: CliToggleFlag[bool] = Field(default=False, description="do it; without this nothing is done")

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(lambda _: _abandon(yes=self.yes), as_json=self.as_json, changing=self.yes)


async def _abandon(*, yes: bool) -> AsyncGenerator[Event, None]:
    from vagus_tui.journal.lock import lock_holder
    from vagus_tui.migration.abandon import abandon, anything_left, nothing_left
    from vagus_tui.rollback.finish import owes_steps, was_stopped

    async with opened("abandon") as context:
        connection, state = context.connection, context.state
        database, settings = context.database, context.settings
        owed = owes_steps(state.run) or was_stopped(state.run)
        # While somebody is at work the lock refuses, and says who it is.
        if await lock_holder(connection) is None and not owed and not await anything_left(connection, state):
            yield nothing_left(state)
            return
        if not yes:
            raise ConfigurationError(
                "This would drop the staging schema and take change capture off v1's tables.",
                next_step="vagus-tui abandon --yes does it.",
            )
        yield about("Cleaning up", context)
    async for event in kept(database, settings, abandon(database, settings)):
        yield event


def maintenance_event(now: Maintenance) -> MaintenanceEvent:
    """How maintenance stands, as an event."""
    return MaintenanceEvent(
        flag=now.flag,
        fence=now.fence,
        message=now.message or None,
        since=now.since,
        fence_since=now.fence_since,
        fence_operator=now.fence_operator or None,
        fenced_tables=now.fenced,
    )


async def _maintenance(command: MaintenanceCommand) -> AsyncGenerator[Event, None]:
    from vagus_tui.migration.maintenance import read_maintenance
    from vagus_tui.migration.switches import maintenance_words, switch_off, switch_on

    queue: asyncio.Queue[Event] = asyncio.Queue()
    async with opened("maintenance") as context:
        settings = context.settings
        if command.act == "on" and settings.environment is Environment.PRODUCTION and not command.yes:
            yield ResultEvent(
                ok=False,
                message="This is production: maintenance is switched on only with --yes.",
                state="Nothing was changed.",
                exit_status=USAGE,
            )
            return
        if command.act == "on":
            now = await switch_on(
                context.connection,
                settings,
                context.state,
                queue.put_nowait,
                fence=command.fence,
                message=command.message or "",
            )
        elif command.act == "off":
            now = await switch_off(
                context.connection, settings, context.state, queue.put_nowait, fence_only=command.fence
            )
        else:
            now = await read_maintenance(context.connection)
        while not queue.empty():
            yield queue.get_nowait()
        yield maintenance_event(now)
        words = (
            maintenance_words(now, context.state, settings.timezone) or "Maintenance is off: the app reads and writes."
        )
        yield ResultEvent(ok=True, message=words, state=context.state.state.value, exit_status=DONE)
