"""Commands that move the database: migrate and rollback. Without --yes they only show what would happen."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator
from pydantic_settings import CliToggleFlag

from vagus_tui.commands.fix import hint
from vagus_tui.commands.keep import named
from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import REFUSED, USAGE, finish
from vagus_tui.commands.session import about, kept, opened
from vagus_tui.commands.sql import plan_for, sql_events
from vagus_tui.control import Control
from vagus_tui.errors import ConfigurationError
from vagus_tui.events import CheckEvent, Event, NoteEvent, ResultEvent, Status

if TYPE_CHECKING:
    from vagus_tui.migration.steps import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedEvent(Event):
    """What a rollback would carry back into one v1 table.

    `not_expressible` rows stay in the archive alone; of `kept_values` rows v1 keeps its own value somewhere, because
    it could not hold v2's.
    """

    kind: ClassVar[str] = "carried"

    table: str
    new: int
    changed: int
    deleted: int
    not_expressible: int
    kept_values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedEvent(Event):
    """Rows of one v1 table in a backup and in use now (`now` is absent where the table is gone).

    `fewer` rows at the least would not be there after a rollback to it: the archive would have them.
    """

    kind: ClassVar[str] = "compared"

    table: str
    backup: int
    now: int | None
    fewer: int


_YES = "do it; without this, the plan and the gates are shown and nothing is done"


class MigrateCommand(Command):
    """Moves v1 to v2: builds aside, proves every row, swaps. Resumes an interrupted run. Ctrl-C stops and undoes.

    Every gate (see `vagus-tui check` and the list it prints) must hold, or be overridden by name with a reason,
    which is recorded. In development a missing backup or message to users only warns; in staging and production:
    --override backup-verified="restored from last night's snapshot" --override communications-signed="internal"
    """

    yes: CliToggleFlag[bool] = Field(default=False, description=_YES)
    override: list[str] = Field(default=[], description="let a gate pass, by name and with a reason; repeatable")

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(lambda control: _migrate(self, control), as_json=self.as_json, graceful=True)


class RollbackCommand(Command):
    """Brings v1 back in one short transaction and carries over what was written since the cut-over.

    With --from BACKUP v1 is restored as that backup has it: verified, restored locally and compared first, then put
    in place; what stands there now is set aside in an archive, and rows that the backup has not stay there.
    """

    yes: CliToggleFlag[bool] = Field(default=False, description=_YES)
    apply_deletions: CliToggleFlag[bool] = Field(
        default=False, description="delete in v1 too what was deleted in v2 since the cut-over"
    )
    from_: Path | None = Field(default=None, alias="from", description="the folder of the backup to go back to")
    other_database: CliToggleFlag[bool] = Field(
        default=False, description="with --from: take a backup of another database too, such as of a lost project"
    )
    finish: CliToggleFlag[bool] = Field(
        default=False, description="only finish or clear away a rollback that was interrupted"
    )

    @model_validator(mode="after")
    def _one_way(self) -> RollbackCommand:
        """The quick way, the way from a backup, and finishing are three acts."""
        if self.from_ is not None and self.apply_deletions:
            raise ValueError("--apply-deletions is for the quick rollback; a backup brings back what it holds")
        if self.other_database and self.from_ is None:
            raise ValueError("--other-database goes with --from")
        if self.finish and (self.from_ is not None or self.apply_deletions):
            raise ValueError("--finish stands alone")
        return self

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(lambda control: _way_back(self, control), as_json=self.as_json, graceful=True)


def parse_overrides(items: list[str]) -> dict[str, str]:
    """`CHECK=REASON` items as a mapping; a name given twice keeps its last reason.

    Raises:
        ConfigurationError: an item has no `=`.
    """
    reasons: dict[str, str] = {}
    for item in items:
        name, separator, reason = item.partition("=")
        if not separator:
            raise ConfigurationError(
                f"--override {name} gives no reason.", next_step="Write --override CHECK=REASON; the reason is kept."
            )
        reasons[name.strip()] = reason
    return reasons


def _way_past(outcomes: list[CheckEvent]) -> str:
    from vagus_tui.checks.overrides import way_past

    return " ".join(filter(None, (way_past(outcomes), hint(outcomes))))


async def _migrate(asked: MigrateCommand, control: Control) -> AsyncGenerator[Event, None]:
    from vagus_tui.checks.overrides import as_if, overridden
    from vagus_tui.journal import store
    from vagus_tui.journal.schema import journal_exists
    from vagus_tui.migration.gates import gate_checks, gates, override_gates, refusal
    from vagus_tui.migration.runner import migrate

    reasons = parse_overrides(asked.override)
    async with opened("migrate") as context:
        settings = context.settings
        if asked.yes and reasons:
            await override_gates(context.connection, reasons, operator=settings.operator)
            for name, reason in reasons.items():
                yield NoteEvent(message=f"Override recorded: {name}, because: {reason.strip()}", level="warning")
        # What is only shown is shown with the overrides that were typed, and these are looked at like any other.
        shown_with = {} if asked.yes else as_if(gate_checks(), reasons, operator=settings.operator)
        outcomes: list[CheckEvent] = []
        async for event in gates(context):
            event = overridden(event, shown_with)
            yield event
            if event.status not in (Status.PENDING, Status.RUNNING):
                outcomes.append(event)
        held = refusal(outcomes)
        if not asked.yes:
            way = _way_past(outcomes) if held else ""
            # They are not on record yet, so the command that does it has to give them again.
            more = "".join(f" --override {shlex.quote(f'{name}={reason}')}" for name, reason in reasons.items())
            async for shown in _preview("migrate", await plan_for("migrate", context), held, more, way):
                yield shown
            return
        # A database that is no workout database gets no journal.
        if context.state.shape is not None or await journal_exists(context.connection):
            await store.record_checks(context.connection, outcomes, operator=settings.operator)
        if held:
            yield ResultEvent(
                ok=False,
                message=held,
                state="Nothing was changed.",
                next_step=_way_past(outcomes),
                exit_status=REFUSED,
            )
            return
        yield about("Migration", context)
        database = context.database
    async for step in kept(database, settings, migrate(database, settings, control, hold=False)):
        yield _leading_on(step, "vagus-tui check verifies it; vagus-tui rollback shows the way back.")


def _way_back(asked: RollbackCommand, control: Control) -> AsyncGenerator[Event, None]:
    if asked.finish:
        return _finish()
    if asked.from_ is None:
        return _rollback(asked, control)
    return _rollback_from(asked, named(asked.from_), control)


async def _rollback(asked: RollbackCommand, control: Control) -> AsyncGenerator[Event, None]:
    from vagus_tui.rollback.cost import UNDO, cost_of
    from vagus_tui.rollback.preview import preview, replaced_words
    from vagus_tui.rollback.quick import roll_back

    async with opened("rollback") as context:
        if not asked.yes:
            plan = await plan_for("rollback", context)
            found = await preview(context.connection, context.state, compare=True)
            for item in found.carried:
                yield CarriedEvent(
                    table=item.table,
                    new=item.new,
                    changed=item.changed,
                    deleted=item.deleted,
                    not_expressible=item.not_expressible,
                    kept_values=item.kept_values,
                )
            if found.kept_out:
                named = "; ".join(found.kept_out)
                yield NoteEvent(level="warning", message=f"v1 cannot hold all of these, for example: {named}.")
            if found.replaced and not asked.apply_deletions:
                yield NoteEvent(
                    level="warning",
                    message=f"{replaced_words(found.replaced)} --apply-deletions deletes them for good.",
                )
            for words in (*found.put_back, *found.compared, *found.days):
                yield NoteEvent(level="warning", message=words)
            cost = await cost_of(context.connection, context.settings, found)
            yield NoteEvent(message=f"{cost.time} {UNDO}")
            more = " --apply-deletions" if asked.apply_deletions else ""
            async for shown in _preview("rollback", plan, None, more):
                yield shown
            return
        yield about("Rollback", context)
        database, settings = context.database, context.settings
    events = roll_back(database, settings, control, apply_deletions=asked.apply_deletions)
    async for event in kept(database, settings, events):
        yield _leading_on(event, _AFTER_A_ROLLBACK)


async def _rollback_from(asked: RollbackCommand, path: Path, control: Control) -> AsyncGenerator[Event, None]:
    from vagus_tui.rollback.backup_plan import plan_from_backup
    from vagus_tui.rollback.candidates import candidate
    from vagus_tui.rollback.from_backup import roll_back_from

    async with opened("rollback") as context:
        database, settings = context.database, context.settings
        if not asked.yes:
            found = await candidate(context.connection, database, path)
            for table in found.rows:
                yield ComparedEvent(table=table.base, backup=table.backup, now=table.now, fewer=max(0, table.fewer))
            for problem in (*found.problems, *found.cautions):
                yield NoteEvent(level="warning", message=problem)
            plan = await plan_from_backup(context.connection, path)
            more = f" --from {shlex.quote(str(path))}" + (" --other-database" if asked.other_database else "")
            async for shown in _preview("rollback", plan, None, more):
                yield shown
            return
        yield about("Rollback from a backup", context)
    events = roll_back_from(database, settings, control, path, other_database=asked.other_database)
    async for event in kept(database, settings, events):
        yield _leading_on(event, _AFTER_A_ROLLBACK)


async def _finish() -> AsyncGenerator[Event, None]:
    from vagus_tui.rollback.finish import finish as finish_rollback
    from vagus_tui.rollback.finish import owes_steps, was_stopped

    async with opened("rollback") as context:
        if owes_steps(context.state.run) or was_stopped(context.state.run):
            yield about("Finishing what was interrupted", context)
        database, settings = context.database, context.settings
    async for event in kept(database, settings, finish_rollback(database, settings)):
        yield event


_AFTER_A_ROLLBACK = (
    "Tell users and release the app for v1, as the wizard's Rollback has it; vagus-tui report tells what happened."
)


def _leading_on(event: Event, next_step: str) -> Event:
    """The event; a result without a word on what comes next gets one, for whoever has no screen that shows it."""
    if isinstance(event, ResultEvent) and event.ok and event.next_step is None:
        return replace(event, next_step=next_step)
    return event


async def _preview(
    name: str, plan: Plan, held: str | None, more: str = "", way: str = ""
) -> AsyncGenerator[Event, None]:
    """What the command would do with --yes; ends as refused where gates hold it up, else as wrong usage.

    Args:
        held: why it would be refused, if it would; `way` is then what to do about it.
    """
    for event in sql_events(plan):
        yield event
    for note in plan.notes:
        yield NoteEvent(message=note)
    yield ResultEvent(
        ok=False,
        message=" ".join(filter(None, (f"This is what {name} would do.", held))),
        state="Nothing was changed.",
        next_step=way
        or f"vagus-tui {name}{more} --yes does it" + ("." if more else f"; vagus-tui sql {name} prints the SQL."),
        exit_status=REFUSED if held else USAGE,
    )
