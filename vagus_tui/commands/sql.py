"""The command that prints what would be run: sql; and the plans of both ways, for the commands that run them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import DONE, finish
from vagus_tui.commands.session import opened
from vagus_tui.errors import RefusedError
from vagus_tui.events import Event, ResultEvent, SqlEvent
from vagus_tui.format import plural

if TYPE_CHECKING:
    from vagus_tui.checks.base import Context
    from vagus_tui.migration.steps import Plan


class SqlCommand(Command):
    """Prints the SQL that a migration or rollback would run on this database, for psql. Changes nothing."""

    which: CliPositionalArg[Literal["migrate", "rollback"] | None] = Field(
        default=None, description="migrate or rollback; without it, what fits the database's state"
    )

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(lambda _: _sql(self.which, as_json=self.as_json), as_json=self.as_json)


async def _sql(which: str | None, *, as_json: bool) -> AsyncGenerator[Event, None]:
    from vagus_tui.commands.output import TextEvent
    from vagus_tui.journal.state import State

    async with opened("sql") as context:
        name = which or ("rollback" if context.state.state is State.MIGRATED else "migrate")
        plan = await plan_for(name, context)
        if as_json:
            for event in sql_events(plan):
                yield event
        else:
            yield TextEvent(text=plan.sql_text())
        yield ResultEvent(
            ok=True,
            message=f"{plural(len(plan.steps), 'step')} of the {name} plan; nothing was run.",
            state=context.state.state.value,
            figures={"notes": list(plan.notes)},
            exit_status=DONE,
        )


async def plan_for(name: str, context: Context) -> Plan:
    """The plan of a migration or a rollback from where the database stands.

    Raises:
        RefusedError: there is no such way from this state.
    """
    state = context.state
    if name == "rollback":
        from vagus_tui.migration.rollback_script import journalled
        from vagus_tui.rollback.quick_plan import plan_rollback

        return journalled(await plan_rollback(context.connection, context.settings, state), context.settings)
    from vagus_tui.migration.plan import plan_migration

    if state.owes_settling:
        raise RefusedError(
            f"{state.summary} What is left has no plan of its own.", next_step="vagus-tui migrate --yes does it."
        )
    _refuse_unless_movable(context)
    return await plan_migration(context.connection, context.settings, state)


def _refuse_unless_movable(context: Context) -> None:
    """Refuse a migration from a state that has none.

    Raises:
        RefusedError: v2 is in place already, or this is no v1 database; says what was found.
    """
    from vagus_tui.migration.gates import movable

    state = context.state
    if not movable(state):
        raise RefusedError(
            " ".join(("There is nothing to migrate:", state.summary, *state.reasons)),
            next_step="vagus-tui status shows what was found and what is possible.",
        )


def sql_events(plan: Plan) -> list[SqlEvent]:
    """The plan's steps, each with the SQL it would run."""
    return [SqlEvent(id=s.id, phase=s.phase, title=s.title, sql=s.script) for s in plan.steps]
