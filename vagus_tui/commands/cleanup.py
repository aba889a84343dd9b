"""Removing v1's kept tables once nobody will want to go back: the command `cleanup`."""

from __future__ import annotations

import shlex
from collections.abc import AsyncGenerator

from pydantic import Field
from pydantic_settings import CliToggleFlag

from vagus_tui.commands.move import parse_overrides
from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import REFUSED, USAGE, finish
from vagus_tui.commands.session import about, kept, opened
from vagus_tui.commands.sql import sql_events
from vagus_tui.control import Control
from vagus_tui.errors import ConfigurationError
from vagus_tui.events import CheckEvent, Event, NoteEvent, ResultEvent, Status


class CleanupCommand(Command):
    """Removes v1's kept tables, two weeks after the cut-over; from then on only a backup leads back to v1.

    Its gates: v2 in service, the waiting period, every check of the verification, nothing that hangs on the tables,
    and a final backup that holds exactly their rows and was restored as a test. Some may be let pass by name:
    --override clean-up-waiting-period="the environment is thrown away tomorrow"
    """

    yes: CliToggleFlag[bool] = Field(
        default=False, description="do it; without this, the plan and the gates are shown and nothing is done"
    )
    confirm: str = Field(default="", description="the project's name, typed out; asked for in production")
    archives: CliToggleFlag[bool] = Field(
        default=False, description="remove the archives of earlier rollbacks too; a full backup must hold them"
    )
    override: list[str] = Field(default=[], description="let a gate pass, by name and with a reason; repeatable")

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(lambda control: _clean_up(self, control), as_json=self.as_json, graceful=True)


async def _clean_up(asked: CleanupCommand, control: Control) -> AsyncGenerator[Event, None]:
    from vagus_tui.checks.overrides import as_if, overridden, way_past
    from vagus_tui.cleanup.gates import gate_checks, gates, override_gates, refusal
    from vagus_tui.cleanup.kept import read_remains
    from vagus_tui.cleanup.run import clean_up, plan_clean_up, refuse_unless_possible
    from vagus_tui.journal.store import run_words
    from vagus_tui.migration.steps import Plan
    from vagus_tui.rollback.finish import owed_steps, owes_steps
    from vagus_tui.settings import Environment

    reasons, archives = parse_overrides(asked.override), asked.archives
    async with opened("cleanup") as context:
        settings, database, run = context.settings, context.database, context.state.run
        if run is not None and owes_steps(run):
            if not asked.yes:
                for statement in sql_events(Plan(tuple(owed_steps(run)))):
                    yield statement
                yield ResultEvent(
                    ok=False,
                    message=f"A {run_words(run.kind)} is committed and still owes these last steps.",
                    state="Nothing was changed.",
                    next_step="vagus-tui rollback --finish does them.",
                    exit_status=USAGE,
                )
                return
        else:
            remains = await read_remains(context.connection)
            refuse_unless_possible(context.state, remains)
            if asked.yes and settings.environment is Environment.PRODUCTION and asked.confirm != database.project:
                raise ConfigurationError(
                    "In production the project's name has to be typed out.",
                    next_step=f"Add --confirm {shlex.quote(database.project)}.",
                )
            if asked.yes and reasons:
                await override_gates(context.connection, reasons, operator=settings.operator, archives=archives)
                for gate, reason in reasons.items():
                    yield NoteEvent(message=f"Override recorded: {gate}, because: {reason.strip()}", level="warning")
            if not asked.yes:
                plan = plan_clean_up(remains, archives=archives)
                outcomes: list[CheckEvent] = []
                shown_with = as_if(gate_checks(archives=archives), reasons, operator=settings.operator)
                async for event in gates(context, archives=archives):
                    event = overridden(event, shown_with)
                    yield event
                    if event.status not in (Status.PENDING, Status.RUNNING):
                        outcomes.append(event)
                for statement in sql_events(plan):
                    yield statement
                for line in plan.notes:
                    yield NoteEvent(message=line, level="warning")
                held = refusal(outcomes)
                # Overrides are not on record yet, so the command that does it has to give them again.
                more = " --archives" if archives else ""
                more += "".join(f" --override {shlex.quote(f'{gate}={reason}')}" for gate, reason in reasons.items())
                yield ResultEvent(
                    ok=False,
                    message=" ".join(filter(None, ("This is what cleanup would do.", held))),
                    state="Nothing was changed.",
                    next_step=way_past(outcomes) if held else f"vagus-tui cleanup{more} --yes does it.",
                    exit_status=REFUSED if held else USAGE,
                )
                return
        yield about("Clean-up of v1", context)
    async for said in kept(database, settings, clean_up(database, settings, control, archives=archives)):
        yield said
