"""Commands that look and change nothing: status, check, sql."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import CliPositionalArg, CliToggleFlag

from vagus_tui.commands.options import Command, Seconds
from vagus_tui.commands.outcome import DONE, REFUSED, finish
from vagus_tui.commands.session import opened
from vagus_tui.control import Control
from vagus_tui.errors import ConfigurationError, RefusedError
from vagus_tui.events import (
    CheckEvent,
    Event,
    Phase,
    ResultEvent,
    SqlEvent,
    Status,
    StatusEvent,
    StepEvent,
    StepState,
)
from vagus_tui.format import plural

if TYPE_CHECKING:
    from vagus_tui.checks.base import Context
    from vagus_tui.migration.steps import Plan


ELSEWHERE = (
    "Is this the database that VAGUS_DATABASE_URL was meant to name? "
    "v1 comes back from a backup with vagus-tui rollback --from BACKUP."
)
KEEP = "vagus-tui backup keeps what is there, whatever it is."


class StatusCommand(Command):
    """Shows where the database stands between v1 and v2, what v1 looks like, row counts and the last run."""

    def cli_cmd(self) -> None:
        """Run the command."""
        finish(_status, as_json=self.as_json)


class CheckCommand(Command):
    """Measures the database against what is expected of it. Changes nothing; exits 1 if any check fails."""

    group: CliPositionalArg[
        Literal["prerequisites", "data-quality", "verification", "access", "performance", "rollout"] | None
    ] = Field(
        default=None,
        description="one group; without it, what fits the database's state",
    )
    everyone: CliToggleFlag[bool] = Field(
        default=False, description="with access: measure every user instead of a sample; takes minutes on large data"
    )
    every: Seconds | None = Field(
        default=None, description="run it again and again, as in 60, 30s or 5m, until Ctrl-C; changes are told"
    )
    lasting: Seconds | None = Field(
        default=None, validation_alias=AliasChoices("for"), description="with --every: for how long, as in 2h"
    )
    self_test: CliToggleFlag[bool] = Field(
        default=False,
        description="test the checks of v2 themselves: plant a fault for each in a transaction that is rolled back, "
        "and insist that it is seen",
    )
    yes: CliToggleFlag[bool] = Field(
        default=False, description="with --self-test, in production: rows and tables may be held for up to 2 s each"
    )

    @model_validator(mode="after")
    def _options_fit(self) -> CheckCommand:
        """How long is a matter of rounds, and a round takes the sample.

        Raises:
            ValueError: --for without --every, or --every with --everyone or --self-test.
        """
        if self.lasting is not None and self.every is None:
            raise ValueError("--for goes with --every")
        if self.every is not None and self.everyone:
            raise ValueError("--every goes with a sample of users, not with --everyone")
        if self.self_test and (self.every is not None or self.everyone):
            raise ValueError("--self-test goes neither with --every nor with --everyone")
        return self

    def cli_cmd(self) -> None:
        """Run the command."""
        group, everyone, every, lasting, as_json = self.group, self.everyone, self.every, self.lasting, self.as_json

        async def job(control: Control) -> AsyncGenerator[Event, None]:
            if everyone and group != "access":
                raise ConfigurationError("--everyone goes with the group access alone.")
            if self.self_test:
                events = _self_test(group, agreed=self.yes)
            else:
                events = _access_of_everyone() if everyone else _check(group)
            async for event in events:
                yield event

        async def watched(control: Control) -> AsyncGenerator[Event, None]:
            from vagus_tui.commands.watching import watching

            assert every is not None
            async for event in watching(group, every, lasting, control, as_json=as_json):
                yield event

        if every is None:
            finish(job, as_json=as_json)
        finish(watched, as_json=as_json, graceful=True, stopping="Stopping after this round")


class SqlCommand(Command):
    """Prints the SQL that a migration or rollback would run on this database, for psql. Changes nothing."""

    which: CliPositionalArg[Literal["migrate", "rollback"] | None] = Field(
        default=None, description="migrate or rollback; without it, what fits the database's state"
    )

    def cli_cmd(self) -> None:
        """Run the command."""
        which, as_json = self.which, self.as_json

        async def job(control: Control) -> AsyncGenerator[Event, None]:
            async for event in _sql(which, as_json=as_json):
                yield event

        finish(job, as_json=as_json)


async def _status(control: Control) -> AsyncGenerator[Event, None]:
    from vagus_tui.journal.state import State

    async with opened("status") as context:
        event = await status_event(context)
        yield event
        yield ResultEvent(
            ok=True,
            message=event.message or "",
            state=event.state,
            next_step=(ELSEWHERE if context.state.empty else f"{KEEP} {ELSEWHERE}")
            if context.state.state is State.UNKNOWN
            else None,
            exit_status=DONE,
        )


async def status_event(context: Context) -> StatusEvent:
    """The database's state with counts of the rows that matter, v1's shape and the last run."""
    from vagus_tui.commands.maintain import maintenance_event
    from vagus_tui.migration.maintenance import read_maintenance
    from vagus_tui.migration.switches import maintenance_words

    state = context.state
    run = state.run
    now = await read_maintenance(context.connection)
    left_on = maintenance_words(now, state)
    return StatusEvent(
        state=state.state.value,
        server=await context.connection.fetchval("select current_setting('server_version')"),
        database=context.database.label,
        environment=context.settings.environment.value,
        counts=await _counts(context),
        message=" ".join(filter(None, (state.summary, *state.reasons, left_on))),
        possible=(*state.possible, *(("maintenance off",) if now.on else ())),
        run=None
        if run is None
        else {
            "id": run.id,
            "kind": run.kind,
            "status": run.status,
            "phase": run.phase,
            "operator": run.operator,
            "started_at": run.started_at,
            "finished_at": run.finished_at,
            "interrupted": state.interrupted,
        },
        shape=_shape(context),
        maintenance=maintenance_event(now).to_json(),
    )


def _shape(context: Context) -> dict[str, Any] | None:
    """v1 as found: its names, the optional columns that are missing, the ones carried over."""
    from vagus_tui.schema.v1 import OPTIONAL

    shape = context.state.shape
    if shape is None:
        return None
    tables: dict[str, Any] = {}
    notes = ["v1's tables carry their own names." if not shape.renamed else "v1's tables are named *_v1."]
    for base, table in shape.tables.items():
        absent = [name for name in OPTIONAL[base] if not table.has(name)]
        carried = [column.name for column in table.carried]
        tables[base] = {"name": table.name, "id_type": table.id_type, "absent": absent, "carried": carried}
        if carried:
            notes.append(f"{table.name}: carried over as they are: {', '.join(carried)}.")
    return {
        "renamed": shape.renamed,
        "tables": tables,
        "coach_clients": shape.coach_clients is not None,
        "notification_preferences": shape.preferences is not None,
        "notes": notes,
    }


async def _counts(context: Context) -> dict[str, int]:
    """Rows per table, v1's and v2's, counted exactly, in one statement and so from one snapshot."""
    from vagus_tui.database.identifiers import qualified
    from vagus_tui.journal.state import State
    from vagus_tui.schema import v1

    state = context.state
    names = [table.name for table in state.shape.tables.values()] if state.shape else []
    if state.state in (State.MIGRATED, State.CLEANED):
        names = [v1.PLANS, *v1.HIERARCHY, v1.EXERCISES, v1.SESSIONS, v1.LOGS, *names]
    if not names:
        return {}
    columns = ", ".join(f"(select count(*) from {qualified('public', name)})" for name in names)
    row = await context.connection.fetchrow(f"select {columns}")
    return dict(zip(names, row or (), strict=True))


async def _check(name: str | None) -> AsyncGenerator[Event, None]:
    from vagus_tui.checks.base import Group, run_checks
    from vagus_tui.checks.overrides import overridden
    from vagus_tui.checks.registry import checks_for, default_group
    from vagus_tui.journal import store
    from vagus_tui.journal.schema import journal_exists

    async with opened("check") as context:
        group = Group(name) if name else default_group(context.state)
        allowed = await store.overrides(context.connection)
        outcomes: list[CheckEvent] = []
        async for event in run_checks(checks_for(group), context):
            event = overridden(event, allowed)
            yield event
            if event.status not in (Status.PENDING, Status.RUNNING):
                outcomes.append(event)
        for cell in cells_of(context):
            yield cell
        # Looking makes no journal; where there is one, it remembers what was seen.
        if await journal_exists(context.connection):
            await store.record_checks(context.connection, outcomes, operator=context.settings.operator)
        yield check_result(group.value, outcomes)


def cells_of(context: Context) -> Iterable[Event]:
    """The cells of the access matrix that the checks just run have measured; none where they have not."""
    from vagus_tui.checks.access.checks import CACHED

    matrix = context.cache.get(CACHED)
    return () if matrix is None else matrix.events()


async def _access_of_everyone() -> AsyncGenerator[Event, None]:
    from vagus_tui.checks.access.checks import events_of
    from vagus_tui.checks.access.matrix import AccessMatrix, keep_matrix
    from vagus_tui.checks.access.measure import measure
    from vagus_tui.checks.overrides import overridden
    from vagus_tui.journal import store
    from vagus_tui.journal.schema import journal_exists
    from vagus_tui.journal.state import State

    async with opened("check") as context:
        if context.state.state not in (State.MIGRATED, State.CLEANED):
            raise RefusedError("v2 is not in place yet, so there is no access to measure.")
        async for item in measure(context, everyone=True):
            if isinstance(item, AccessMatrix):
                matrix = item
                continue
            yield StepEvent(
                id="access",
                phase=Phase.VERIFY,
                title="access of every user",
                state=StepState.PROGRESS,
                rows=item.done,
                total=item.total,
                unit="people",
            )
        await keep_matrix(context.connection, matrix)
        allowed = await store.overrides(context.connection)
        outcomes = [overridden(event, allowed) for event in events_of(matrix)]
        for event in (*outcomes, *matrix.events()):
            yield event
        if await journal_exists(context.connection):
            await store.record_checks(context.connection, outcomes, operator=context.settings.operator)
        yield check_result("access", outcomes)


async def _self_test(name: str | None, *, agreed: bool) -> AsyncGenerator[Event, None]:
    from vagus_tui.checks.base import Group
    from vagus_tui.checks.registry import checks_for
    from vagus_tui.checks.selftest import FaultEvent, SelfTest, cost, self_test, with_faults
    from vagus_tui.journal.state import State
    from vagus_tui.settings import Environment

    async with opened("self-test") as context:
        groups = [Group(name)] if name else [Group.VERIFICATION, Group.ACCESS]
        checks = with_faults(check for group in groups for check in checks_for(group))
        if not checks:
            raise ConfigurationError(f"No check of {name} has a fault to be shown.", next_step="Leave the group out.")
        if context.state.state not in (State.MIGRATED, State.CLEANED):
            raise RefusedError("v2 is not in place yet, so its checks cannot be tested.")
        if context.settings.environment is Environment.PRODUCTION and not agreed:
            raise RefusedError(
                f"This is production. {cost(checks)}",
                next_step="Give --yes to go on, or point VAGUS_DATABASE_URL at a restored copy.",
            )
        async for item in self_test(context, checks):
            if isinstance(item, FaultEvent):
                yield item
            else:
                result: SelfTest = item
    figures = result.figures
    words = f"{plural(figures['seen'], 'fault')} seen, {figures['missed']} missed, {figures['skipped']} not tried"
    named = f" Not to be trusted: {', '.join(result.missed)}." if result.missed else ""
    yield ResultEvent(
        ok=result.ok,
        message=f"Checks tested: {words}; every one was rolled back.{named}",
        state="Nothing was changed.",
        seconds=result.seconds,
        figures=figures,
        exit_status=DONE if result.ok else REFUSED,
    )


def check_result(what: str, outcomes: list[CheckEvent]) -> ResultEvent:
    """The sum of a group of checks: refused when any holds up what depends on it, or when none could be measured.

    A script that asks for the verification of a database without v2 must not hear that all is well.
    """
    from vagus_tui.checks.base import blocking

    failed = blocking(outcomes)
    counts = Counter(event.status.value for event in outcomes)
    unmeasured = bool(outcomes) and all(event.status is Status.SKIP for event in outcomes)
    if unmeasured:
        reasons = dict.fromkeys(event.message for event in outcomes if event.message)
        message = f"{what}: none of {len(outcomes)} checks could be measured. {' '.join(reasons)}".rstrip()
    elif not failed:
        warnings = counts["warn"]
        tail = f", {warnings} with a warning" if warnings else ""
        message = f"{what}: {plural(len(outcomes), 'check')}, none holds anything up{tail}."
    else:
        message = f"{what}: {len(failed)} of {len(outcomes)} checks fail: {', '.join(event.id for event in failed)}."
    return ResultEvent(
        ok=not (failed or unmeasured),
        message=message,
        state="Nothing was changed." if failed or unmeasured else None,
        figures=dict(counts),
        exit_status=REFUSED if failed or unmeasured else DONE,
    )


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
    from vagus_tui.journal.state import State

    state = context.state
    if name == "rollback":
        from vagus_tui.rollback.quick_plan import plan_rollback

        if state.state is not State.MIGRATED:
            raise RefusedError(
                f"There is nothing to roll back: {state.summary}", next_step="vagus-tui status shows what is possible."
            )
        return await plan_rollback(context.connection, context.settings, state)
    from vagus_tui.migration.plan import plan_migration

    refuse_unless_movable(context)
    return await plan_migration(context.connection, context.settings, state)


def refuse_unless_movable(context: Context) -> None:
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
