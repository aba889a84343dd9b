"""The command that measures the database against what is expected of it: check, once or again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import CliPositionalArg, CliToggleFlag

from vagus_tui.commands.fix import hint
from vagus_tui.commands.options import Command, Seconds
from vagus_tui.commands.outcome import DONE, REFUSED, finish
from vagus_tui.commands.session import opened
from vagus_tui.control import Control
from vagus_tui.errors import ConfigurationError, RefusedError
from vagus_tui.events import CheckEvent, Event, NoteEvent, Phase, ResultEvent, Status, StepEvent, StepState
from vagus_tui.format import plural

if TYPE_CHECKING:
    from vagus_tui.checks.base import Context


class CheckCommand(Command):
    """Measures the database against what is expected of it. Changes nothing; exits 1 if any check fails."""

    group: CliPositionalArg[
        Literal["prerequisites", "data-quality", "verification", "access", "performance", "rollout"] | None
    ] = Field(
        default=None,
        description="prerequisites, data-quality, verification, access, performance or rollout; without it "
        "data-quality before a migration and verification after it",
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
            ValueError: --for without --every, --everyone without the group access, or two of --every, --everyone and
                --self-test.
        """
        if self.lasting is not None and self.every is None:
            raise ValueError("--for goes with --every")
        if self.every is not None and self.everyone:
            raise ValueError("--every goes with a sample of users, not with --everyone")
        if self.self_test and (self.every is not None or self.everyone):
            raise ValueError("--self-test goes neither with --every nor with --everyone")
        if self.everyone and self.group != "access":
            raise ValueError("--everyone goes with the group access alone")
        return self

    def cli_cmd(self) -> None:
        """Run the command."""
        if self.every is None:
            finish(lambda _: _once(self), as_json=self.as_json)
        finish(
            lambda control: _watched(self, control),
            as_json=self.as_json,
            graceful=True,
            stopping="Stopping after this round",
        )


def _once(asked: CheckCommand) -> AsyncGenerator[Event, None]:
    if asked.self_test:
        return _self_test(asked.group, agreed=asked.yes)
    return _access_of_everyone() if asked.everyone else _check(asked.group)


def _watched(asked: CheckCommand, control: Control) -> AsyncGenerator[Event, None]:
    from vagus_tui.commands.watching import watching

    assert asked.every is not None
    return watching(asked.group, asked.every, asked.lasting, control, as_json=asked.as_json)


async def _check(name: str | None) -> AsyncGenerator[Event, None]:
    from vagus_tui.checks.base import Group, run_checks
    from vagus_tui.checks.overrides import overridden
    from vagus_tui.checks.registry import checks_for, default_group
    from vagus_tui.journal import decisions, store
    from vagus_tui.journal.schema import journal_exists
    from vagus_tui.migration.gates import signing_note

    async with opened("check") as context:
        group = Group(name) if name else default_group(context.state)
        allowed = await decisions.overrides(context.connection)
        outcomes: list[CheckEvent] = []
        async for event in run_checks(checks_for(group), context):
            event = overridden(event, allowed)
            yield event
            if event.status not in (Status.PENDING, Status.RUNNING):
                outcomes.append(event)
        for cell in _cells(context):
            yield cell
        # Looking makes no journal; where there is one, it remembers what was seen.
        if await journal_exists(context.connection):
            await store.record_checks(context.connection, outcomes, operator=context.settings.operator)
        if group in (Group.PREREQUISITES, Group.DATA_QUALITY) and (signing := await signing_note(context)):
            # No check of a group, but a gate before a migration: who goes by these checks is to hear of it too.
            yield NoteEvent(message=signing)
        yield _check_result(group.value, outcomes)


def _cells(context: Context) -> Iterable[Event]:
    """The cells of the access matrix that the checks just run have measured; none where they have not."""
    from vagus_tui.checks.access.checks import CACHED

    matrix = context.cache.get(CACHED)
    return () if matrix is None else matrix.events()


async def _access_of_everyone() -> AsyncGenerator[Event, None]:
    from vagus_tui.checks.access.checks import events_of
    from vagus_tui.checks.access.matrix import AccessMatrix, keep_matrix
    from vagus_tui.checks.access.measure import measure
    from vagus_tui.checks.overrides import overridden
    from vagus_tui.journal import decisions, store
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
        allowed = await decisions.overrides(context.connection)
        outcomes = [overridden(event, allowed) for event in events_of(matrix)]
        for event in (*outcomes, *matrix.events()):
            yield event
        if await journal_exists(context.connection):
            await store.record_checks(context.connection, outcomes, operator=context.settings.operator)
        yield _check_result("access", outcomes)


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


def _check_result(what: str, outcomes: list[CheckEvent]) -> ResultEvent:
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
        next_step=hint(outcomes),
        figures=dict(counts),
        exit_status=REFUSED if failed or unmeasured else DONE,
    )
