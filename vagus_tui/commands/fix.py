"""The command for guided fixes: which there are, applying them, taking one back."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from pydantic import Field, model_validator
from pydantic_settings import CliPositionalArg, CliToggleFlag

from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import DONE, NEEDS_OPERATOR, USAGE, finish
from vagus_tui.commands.session import opened
from vagus_tui.errors import ConfigurationError, RefusedError, VagusError
from vagus_tui.events import CheckEvent, Event, NoteEvent, ResultEvent
from vagus_tui.format import plural

if TYPE_CHECKING:
    from vagus_tui.checks.base import Context
    from vagus_tui.remedies.model import Remedy
    from vagus_tui.remedies.offers import Offer

LAST = "last"
"""What stands for the newest fix that is in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixEvent(Event):
    """One guided fix: what it would do to how many rows, or with a `batch` what it did.

    `below` are the rows that hang on those and go with them, by table.
    """

    kind: ClassVar[str] = "fix"

    id: str
    check: str
    title: str
    description: str
    action: str
    safe: bool
    rows: int
    below: Mapping[str, int]
    sql: str | None = None
    batch: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedEvent(Event):
    """A fix from the journal that is in place; `batch` takes it back."""

    kind: ClassVar[str] = "fixed"

    batch: UUID
    fix: str
    rows: int
    tables: Mapping[str, int]
    at: datetime
    operator: str


class FixCommand(Command):
    """Mends rows of v1 that v2 would refuse or change. Without names: which fixes there are rows for.

    Each fix is one transaction with every original kept in the journal; --undo puts them back to the byte.
    Rows are changed or set aside, never deleted. Named without --yes, a fix is only shown, with its SQL.
    """

    names: CliPositionalArg[list[str]] = Field(default=[], description="the fixes, by the names that the list gives")
    safe: CliToggleFlag[bool] = Field(
        default=False, description="all by which no row leaves and no meaning is invented"
    )
    undo: str = Field(default="", description="put the rows of this fix back; last: of the newest one")
    partly: CliToggleFlag[bool] = Field(
        default=False, description="with --undo: leave rows that are not as the fix left them, put back the others"
    )
    yes: CliToggleFlag[bool] = Field(default=False, description="do it; without this it is only shown")
    confirm: str = Field(
        default="", description="the project's name, typed out; asked for in production before rows are set aside"
    )

    @model_validator(mode="after")
    def _one_thing(self) -> FixCommand:
        """Fixes that are named, all safe ones, and taking one back are three acts."""
        if sum((bool(self.names), self.safe, bool(self.undo))) > 1:
            raise ValueError("names of fixes, --safe and --undo exclude each other")
        if self.partly and not self.undo:
            raise ValueError("--partly goes with --undo")
        if self.yes and not (self.names or self.safe or self.undo):
            raise ValueError("--yes needs to know what to do: name the fixes, or give --safe or --undo")
        return self

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(
            lambda _: _undo(self.undo, yes=self.yes, partly=self.partly) if self.undo else _fix(self),
            as_json=self.as_json,
            changing=self.yes,
        )


def hint(outcomes: Iterable[CheckEvent]) -> str | None:
    """Where to go on when something that a guided fix can mend holds things up; None when nothing of that kind does."""
    from vagus_tui.checks.base import blocking
    from vagus_tui.remedies import remedies_for

    mendable = any(remedies_for(event.id) for event in blocking(outcomes))
    return "vagus-tui fix lists what mends the rows of v1." if mendable else None


def _named(names: list[str]) -> list[Remedy]:
    """The fixes by their names, in the order given.

    Raises:
        ConfigurationError: there is no such fix.
    """
    from vagus_tui.remedies import REMEDIES

    known = {remedy.id: remedy for remedy in REMEDIES}
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError(
            f"There is no fix named “{unknown[0]}”.", next_step="vagus-tui fix lists those that there are rows for."
        )
    return [known[name] for name in dict.fromkeys(names)]


def _event(offer: Offer, *, sql: bool = False, batch: UUID | None = None, rows: int | None = None) -> FixEvent:
    remedy, preview = offer.remedy, offer.preview
    return FixEvent(
        id=remedy.id,
        check=remedy.check_id,
        title=remedy.title,
        description=remedy.description,
        action=remedy.action,
        safe=remedy.safe,
        rows=preview.rows if rows is None else rows,
        below=preview.below,
        sql=preview.sql if sql else None,
        batch=batch,
    )


async def _fix(asked: FixCommand) -> AsyncGenerator[Event, None]:
    from vagus_tui.remedies import REMEDIES, batches
    from vagus_tui.remedies.locking import fixable_state
    from vagus_tui.remedies.offers import applicable, offers, safe_ones

    chosen = _named(asked.names)
    async with opened("fix") as context:
        await fixable_state(context.connection)
        checks = dict.fromkeys(remedy.check_id for remedy in REMEDIES)
        if asked.safe:
            chosen = safe_ones(checks, context)
        if asked.yes:
            _confirmed(chosen, asked.confirm, context)
            async for event in _apply(chosen, context):
                yield event
            return
        listing = not (asked.names or asked.safe)
        if listing:
            chosen = [remedy for check in checks for remedy in applicable(check, context)]
        found = 0
        async for offer in offers(chosen, context):
            found += 1
            yield _event(offer, sql=not listing)
        if listing:
            for batch in await batches(context.connection):
                if batch.restored_at is None:
                    yield FixedEvent(
                        batch=batch.id,
                        fix=batch.remedy,
                        rows=batch.rows,
                        tables=batch.tables,
                        at=batch.at,
                        operator=batch.operator,
                    )
    if listing:
        yield ResultEvent(
            ok=True,
            message=f"{plural(found, 'fix', 'fixes')} with rows to mend." if found else "No fix has rows to mend.",
            next_step="vagus-tui fix NAME shows one, with --yes it is applied; --safe stands for all safe ones."
            if found
            else None,
            exit_status=DONE,
        )
    else:
        yield ResultEvent(
            ok=False,
            message=f"This is what {plural(found, 'fix', 'fixes')} would do." if found else "No rows to fix this way.",
            state="Nothing was changed.",
            next_step="The same with --yes does it; vagus-tui fix --undo last puts the rows back." if found else None,
            exit_status=USAGE,
        )


def _confirmed(chosen: list[Remedy], typed: str, context: Context) -> None:
    """In production rows leave v1's tables only when somebody typed out the project's name.

    Raises:
        ConfigurationError: it was not typed.
    """
    from vagus_tui.settings import Environment

    settings = context.settings
    name = context.database.project
    leaving = any(remedy.action == "set-aside" for remedy in chosen)
    if leaving and settings.environment is Environment.PRODUCTION and typed != name:
        raise ConfigurationError(
            "This sets rows aside, and in production the project's name has to be typed out for that.",
            next_step=f"Add --confirm {shlex.quote(name)}.",
        )


async def _apply(chosen: list[Remedy], context: Context) -> AsyncGenerator[Event, None]:
    """Apply them one after another; what came before one that is refused stays, and is said."""
    from vagus_tui.remedies.offers import offers

    fixes = rows = 0
    for remedy in chosen:
        # One fix may mend what another was for, so each is looked at when its turn comes.
        async for offer in offers([remedy], context):
            try:
                applied = await remedy.apply(context, expected=offer.preview)
            except VagusError as error:
                if not fixes:
                    raise
                yield ResultEvent(
                    ok=False,
                    message=f"{remedy.id}: {error.happened}",
                    state=f"{plural(fixes, 'fix', 'fixes')} before it, of {plural(rows, 'row')}, stand.",
                    next_step="vagus-tui fix lists what is left, and what can be put back.",
                    exit_status=NEEDS_OPERATOR,
                )
                return
            fixes, rows = fixes + 1, rows + applied.rows
            yield _event(offer, batch=applied.batch, rows=applied.rows)
    if not fixes:
        yield ResultEvent(ok=True, message="No rows to fix this way; nothing was changed.", exit_status=DONE)
        return
    yield ResultEvent(
        ok=True,
        message=f"Fixed: {plural(rows, 'row')} by {plural(fixes, 'fix', 'fixes')}; the originals are kept.",
        next_step="vagus-tui check data-quality measures again; vagus-tui fix --undo last puts the newest back.",
        figures={"fixes": fixes, "rows": rows},
        exit_status=DONE,
    )


async def _undo(which: str, *, yes: bool, partly: bool) -> AsyncGenerator[Event, None]:
    from vagus_tui.remedies import ChangedSinceError, batches, undo
    from vagus_tui.remedies.locking import Patience

    async with opened("undo") as context:
        standing = [batch for batch in await batches(context.connection) if batch.restored_at is None]
        batch = next((batch for batch in standing if which in (LAST, str(batch.id))), None)
        if batch is None:
            raise RefusedError(
                "There is no such fix in place.", next_step="vagus-tui fix lists what can be put back, with its batch."
            )
        words = f"{plural(batch.rows, 'row')} of {batch.remedy}"
        if not yes:
            yield ResultEvent(
                ok=False,
                message=f"This would put back {words}, fixed by {batch.operator}.",
                state="Nothing was changed.",
                next_step=f"vagus-tui fix --undo {batch.id}{' --partly' if partly else ''} --yes does it.",
                exit_status=USAGE,
            )
            return
        patience = Patience.of(context.settings)
        try:
            applied = await undo(context.connection, batch.id, context.settings.operator, patience, partly=partly)
        except ChangedSinceError as error:
            if partly or error.others == 0:
                raise
            raise RefusedError(
                error.happened,
                state=error.state,
                next_step=f"{error.next_step} vagus-tui fix --undo {batch.id} --partly --yes puts the others back.",
            ) from error
    for words in applied.left:
        yield NoteEvent(level="warning", message=f"Left as it is: {words}.")
    yield ResultEvent(
        ok=True,
        message=f"Put back: {plural(applied.rows, 'row')} of {batch.remedy}, as they were.",
        state=f"{plural(len(applied.left), 'row')} left as they are; their originals stay in the journal."
        if applied.left
        else None,
        figures={"rows": applied.rows, "left": len(applied.left), "batch": str(batch.id)},
        exit_status=DONE,
    )
