"""The command that signs off messages to users: sign, in the operator's name and on record as in the wizard."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg, CliToggleFlag

from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import DONE, finish
from vagus_tui.commands.session import about, opened
from vagus_tui.errors import ConfigurationError
from vagus_tui.events import Event, ResultEvent
from vagus_tui.format import plural

if TYPE_CHECKING:
    from vagus_tui.checks.base import Context
    from vagus_tui.journal.decisions import SignOff
    from vagus_tui.runbook.model import Item

PREFIX = "communications."
"""What all ids of messages begin with; it need not be typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOffEvent(Event):
    """How one message to users stands.

    Attributes:
        id: what names it on the command line.
        when: when it is due, relative to T-0, as in `T−7 d`.
        required: whether a migration in staging or production insists on it.
    """

    kind: ClassVar[str] = "sign-off"

    id: str
    title: str
    owner: str
    when: str
    required: bool
    signed: bool
    operator: str | None = None
    at: datetime | None = None
    note: str | None = None


class SignCommand(Command):
    """Signs messages to users off, once somebody has sent them. Without names: how each of them stands.

    It is recorded with your name, as space does in the wizard. What a migration waits for in staging and production
    is marked; --required names all of those.
    """

    names: CliPositionalArg[list[str]] = Field(default=[], description="the messages, by the names that the list gives")
    required: CliToggleFlag[bool] = Field(
        default=False, description="all that have to be out before a migration in staging or production"
    )
    note: str = Field(default="", description="kept with it, such as where it can be seen")
    take_back: CliToggleFlag[bool] = Field(default=False, description="take the sign-off back; both stay on record")

    @model_validator(mode="after")
    def _of_something(self) -> SignCommand:
        if (self.note or self.take_back) and not (self.names or self.required):
            raise ValueError("--note and --take-back go with the names of messages")
        return self

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(lambda _: _sign(self), as_json=self.as_json, changing=bool(self.names or self.required))


def _chosen(command: SignCommand) -> list[Item]:
    """The messages that were named.

    Raises:
        ConfigurationError: there is none of such a name; nothing is signed then.
    """
    from vagus_tui.migration.gates import due_before_start
    from vagus_tui.runbook.communications import GROUPS

    known = {item.id.removeprefix(PREFIX): item for group in GROUPS for item in group.items}
    wanted = dict.fromkeys(name.removeprefix(PREFIX) for name in command.names)
    if command.required:
        wanted |= dict.fromkeys(item.id.removeprefix(PREFIX) for item in due_before_start())
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigurationError(
            " ".join(f"There is no message named “{name}”." for name in unknown),
            next_step=f"Messages: {', '.join(known)}.",
        )
    return [known[name] for name in wanted]


async def _sign(command: SignCommand) -> AsyncGenerator[Event, None]:
    from vagus_tui.journal import decisions
    from vagus_tui.migration.gates import due_before_start

    chosen = _chosen(command)
    async with opened("sign-off") as context:
        standing = await decisions.sign_offs(context.connection)
        # What stands already as it is to stand keeps its name and time, unless there is something to add to it.
        adds = bool(command.note.strip()) and not command.take_back
        to_do = [item for item in chosen if adds or _ticked(standing, item) is command.take_back]
        if to_do:
            yield about("Taking sign-offs back" if command.take_back else "Signing off", context)
            async with context.connection.transaction():
                for item in to_do:
                    await decisions.sign(
                        context.connection,
                        item.id,
                        ticked=not command.take_back,
                        operator=context.settings.operator,
                        note=command.note.strip(),
                    )
        listed = [event async for event in _standing(context)]
        for event in listed:
            if not chosen or event.id in {item.id.removeprefix(PREFIX) for item in chosen}:
                yield event
        needed = len(due_before_start())
        signed = sum(event.signed and event.required for event in listed)
        done = f"{plural(len(to_do), 'message')} signed off. "
        if command.take_back:
            done = f"{plural(len(to_do), 'sign-off')} taken back. "
        if not to_do:
            done = "Nothing was changed: they stand so already. " if chosen else ""
        yield ResultEvent(
            ok=True,
            message=f"{done}Of the messages before a migration {signed} of {needed} are signed off.",
            state=context.state.state.value,
            next_step=None if chosen or signed == needed else "vagus-tui sign NAME signs one off.",
            exit_status=DONE,
        )


def _ticked(standing: Mapping[str, SignOff], item: Item) -> bool:
    word = standing.get(item.id)
    return word is not None and word.ticked


async def _standing(context: Context) -> AsyncGenerator[SignOffEvent, None]:
    """Every message, in the order in which they are due, as the journal has it."""
    from vagus_tui.journal import decisions
    from vagus_tui.migration.gates import due_before_start
    from vagus_tui.runbook.communications import GROUPS
    from vagus_tui.runbook.timeline import offset_label

    signed = await decisions.sign_offs(context.connection)
    needed = {item.id for item in due_before_start()}
    for item in (item for group in GROUPS for item in group.items):
        word = signed.get(item.id)
        stands = word is not None and word.ticked
        yield SignOffEvent(
            id=item.id.removeprefix(PREFIX),
            title=item.title,
            owner=item.owner.value,
            when=offset_label(item.due) if item.due is not None else "",
            required=item.id in needed,
            signed=stands,
            operator=word.operator if word is not None and stands else None,
            at=word.at if word is not None and stands else None,
            note=(word.note or None) if word is not None and stands else None,
        )
