"""Checks, their overrides, and the gates that lock screens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace

import asyncpg

from vagus_tui.checks.base import LOCKED, UNMEASURED, Check, Group, blocking, run_checks
from vagus_tui.checks.overrides import words as override_words
from vagus_tui.checks.registry import checks_for
from vagus_tui.checks.waiting import LockedError
from vagus_tui.errors import ConnectionFailedError, ConnectionLostError, RefusedError, VagusError, account
from vagus_tui.events import ChangeEvent, CheckEvent, Status
from vagus_tui.format import plural
from vagus_tui.journal import decisions, store
from vagus_tui.journal.schema import journal_exists
from vagus_tui.journal.state import State
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.session.knowledge import Link, Owed, Topic
from vagus_tui.session.reading import Reading
from vagus_tui.session.standings import stand_by_checks, stand_by_state

MOVABLE = frozenset({State.V1, State.V1_RENAMED, State.ROLLED_BACK, State.BUILDING, State.READY})

MIGRATE = "migrate"
"""The name of the job that migrates."""

BEARING = frozenset({Topic.LINK, Topic.STATE, Topic.LOCK, Topic.SIGN_OFFS, Topic.OVERRIDES, Topic.BACKUPS})

UNCHECKED = CheckEvent(
    id="prerequisites-checked",
    group="gates",
    title="Prerequisites are checked",
    status=Status.FAIL,
    measured="not yet",
    expected="all checked",
    overridable=False,
    message="The prerequisites have not been looked at in this session. Key 2 goes there; they run by themselves.",
)


def _not_migrated(state: State) -> CheckEvent:
    return CheckEvent(
        id="migration-done",
        group="gates",
        title="The migration is done",
        status=Status.FAIL,
        measured=state.value,
        expected="v2 in place",
        overridable=False,
        message="There is no v2 in place to work with yet. Key 5 goes to the migration.",
    )


class Checking(Reading):
    """Runs checks in the background and keeps their outcomes; they outlive the screen that asked for them."""

    def start_checks(self, name: str, checks: Sequence[Check], done: Callable[[], None] | None = None) -> None:
        """Run checks in the background; outcomes go to `results`, and a run of the same name is replaced."""
        self._owed.pop(name, None)
        self._start(name, Owed(tuple(checks), done))

    def _start(self, name: str, run: Owed) -> None:
        if (earlier := self._checks.get(name)) is not None:
            earlier.cancel()
        self._checks[name] = asyncio.create_task(self._run_checks(name, run), name=f"checks {name}")

    def checking(self, name: str) -> bool:
        """Whether checks of that name run now."""
        task = self._checks.get(name)
        return task is not None and not task.done()

    async def _run_checks(self, name: str, run: Owed) -> None:
        checks, finished = run.checks, list(run.finished)
        try:
            async with self.turn(checks), self.context("checks") as context:
                await self.history.load(context.connection, [check.id for check in checks])
                async for event in run_checks(checks, context):
                    self.take_result(event)
                    self.told_to_wait(name, (event.message or "") if event.waiting else "")
                    self.noticed(self.history.take(event))
                    if event.status not in (Status.PENDING, Status.RUNNING):
                        finished.append(event)
                if await journal_exists(context.connection):
                    # The first look at a database leaves no trace in it; from the first act on, checks are on record.
                    await store.record_checks(context.connection, finished, operator=self.settings.operator)
        except (VagusError, asyncpg.PostgresError) as error:
            self._cut_off(name, run, finished, error)
            self.wake()
        finally:
            self.told_to_wait(name, "")
        self.judge()
        if run.done is not None:
            # Whoever waits for the end looks at the rows next, and the last of them may not have been told yet.
            self._say_now()
            run.done()

    def _cut_off(
        self, name: str, run: Owed, finished: list[CheckEvent], error: VagusError | asyncpg.PostgresError
    ) -> None:
        """Say of every check that was not measured why, and what comes of it."""
        seen = {event.id for event in finished}
        left = tuple(check for check in run.checks if check.id not in seen)
        reason = str(error) if isinstance(error, VagusError) else account(error)
        if isinstance(error, ConnectionFailedError):
            # Nothing of them has run: they are, once there is a connection, so that no gate stays shut for that.
            self._owed[name] = run
        elif isinstance(error, ConnectionLostError) and left:
            if run.again:
                unfinished = plural(len(left), "check")
                reason = f"The connection was lost once more: {unfinished} not measured. r runs them again."
            else:
                self._owed[name] = Owed(left, run.done, again=True, finished=tuple(finished))
                reason = "The connection was lost before this was measured. It is measured once the connection is back."
        for check in left:
            measured = LOCKED if isinstance(error, LockedError) else UNMEASURED
            self.take_result(check.event(Status.ERROR, measured=measured, message=reason))

    async def refresh(self) -> None:
        """Read the state now. Where there is a connection again, checks that the last one cut off run again, once."""
        await super().refresh()
        for name, run in tuple(self._owed.items()):
            if run.again:
                del self._owed[name]
                self.say_to_all(f"{plural(len(run.checks), 'check')} that a lost connection cut off run again.")
                self._start(name, run)

    @contextlib.asynccontextmanager
    async def turn(self, checks: Iterable[Check]) -> AsyncIterator[None]:
        """One's turn at running checks: no two runs of one group go at the same time, whoever asked for them."""
        groups = sorted({check.group for check in checks})
        async with contextlib.AsyncExitStack() as stack:
            # Always in the same order, so that two runs of several groups cannot wait for each other.
            for group in groups:
                await stack.enter_async_context(self._turns.setdefault(group, asyncio.Lock()))
            yield

    def noticed(self, change: ChangeEvent | None) -> None:
        """An outcome has come, and whether it is another than before; the watch makes alarms of it."""

    def take_result(self, event: CheckEvent) -> None:
        """Keep a check's standing, with the override that applies to it."""
        event = replace(event, overridden=self._let_pass(event))
        self.results[event.id] = event
        self._say(Topic.CHECKS, event)

    def apply_overrides(self) -> None:
        """Bring the overrides on the kept outcomes up to date."""
        for event in list(self.results.values()):
            if event.overridden != self._let_pass(event):
                self.take_result(event)

    def _let_pass(self, event: CheckEvent) -> str | None:
        """The reason for which a finding is let pass; None where it is not or must not be."""
        override = self.now.overrides.get(event.id)
        if override is None or not event.status.blocks or not event.overridable:
            return None
        return override_words(override, self.settings.timezone)

    # Gates

    def locks(self, step: Step) -> tuple[CheckEvent, ...]:
        """The gates that lock a screen now: those that fail and are not overridden.

        A run that is under way has passed its gates. What fails since is asked about before the cut-over (`failing`),
        and must not hide what the run shows. One that broke off has passed them, too, and is locked by what fails now;
        that nobody has looked since does not keep from going on: they are measured then, or from clearing it away.
        """
        ours = self.job is not None and self.job.running and self.job.name == MIGRATE
        if step is Step.MIGRATION and (ours or self.watched is not None):
            return ()
        held = self.failing(step)
        if step is Step.MIGRATION and self.state is not None and self.state.interrupted:
            held = tuple(gate for gate in held if gate.id != UNCHECKED.id)
        return held

    def failing(self, step: Step) -> tuple[CheckEvent, ...]:
        """The gates of a screen that fail now and are not overridden, whether they lock it or not."""
        return tuple(blocking(self.gates.get(step, ())))

    def changed(self, *topics: Topic) -> None:
        """Say that something has changed, and measure the gates again where it bears on them."""
        super().changed(*topics)
        if Topic.LINK in topics and self.link is Link.UP:
            for name, run in tuple(self._owed.items()):
                if not run.again:
                    self.start_checks(name, run.checks, run.done)
        if not BEARING.isdisjoint(topics):
            self.judge()
            self._gates_later()

    def judge(self) -> None:
        """Work out, from what is known, which gates lock which screens."""
        gates: dict[Step, tuple[CheckEvent, ...]] = {}
        state = self.state
        if state is not None and state.state is not State.UNKNOWN:
            moved = state.state in (State.MIGRATED, State.CLEANED)
            if not moved:
                gates[Step.VERIFICATION] = gates[Step.ROLLOUT] = (_not_migrated(state.state),)
            if not moved and state.state is not State.ROLLED_BACK:
                gates[Step.ROLLBACK] = (_not_migrated(state.state),)
            if state.state in MOVABLE:
                gates[Step.MIGRATION] = (*self._measured_gates(), *self.own_gates)
        if gates != self.gates:
            self.gates = gates
            self.changed(Topic.GATES)
        stand_by_state(self)
        stand_by_checks(self)

    def _measured_gates(self) -> tuple[CheckEvent, ...]:
        checks = (*checks_for(Group.PREREQUISITES), *checks_for(Group.DATA_QUALITY))
        found = self.outcomes(checks)
        if sum(event.status not in (Status.PENDING, Status.RUNNING) for event in found) < len(checks):
            return (UNCHECKED,)
        return tuple(found)

    async def refresh_gates(self) -> None:
        """Measure the gates that no other group has (state, backup, messages to users), then judge.

        While somebody is at work, those that hold locks on v1 to try definitions on are left as they were measured:
        a cut-over would have to wait for them.

        Raises:
            VagusError: there is no connection.
        """
        if self.state is None or self.state.state not in MOVABLE:
            self.own_gates = ()
        else:
            from vagus_tui.checks.overrides import overridden
            from vagus_tui.migration.dependent_gates import DEPENDENT_GATES
            from vagus_tui.migration.gates import OWN_GATES

            busy = self.now.lock is not None or (self.job is not None and self.job.running)
            held_back = {check.id for check in DEPENDENT_GATES} if busy else set()
            before = tuple(event for event in self.own_gates if event.id in held_back)
            checks = tuple(check for check in OWN_GATES if check.id not in held_back)
            async with self.context("gates") as context:
                allowed = await decisions.overrides(context.connection)
                under_way = (Status.PENDING, Status.RUNNING)
                measured = [
                    overridden(event, allowed)
                    async for event in run_checks(checks, context)
                    if event.status not in under_way
                ]
                self.own_gates = (*measured, *(overridden(event, allowed) for event in before))
        self.judge()

    def _gates_later(self) -> None:
        if self._gating is None or self._gating.done():
            self._gating = asyncio.create_task(self._regate(), name="gates")
        else:
            self._gate_again = True

    async def _regate(self) -> None:
        while True:
            self._gate_again = False
            with contextlib.suppress(VagusError, asyncpg.PostgresError):
                await self.refresh_gates()
            if not self._gate_again:
                return

    # Outcomes

    def outcomes(self, checks: Iterable[Check]) -> list[CheckEvent]:
        """The kept outcomes of these checks; those that never ran are left out."""
        return [self.results[check.id] for check in checks if check.id in self.results]

    def blocking(self, checks: Iterable[Check]) -> list[CheckEvent]:
        """Those of these checks that hold up what depends on them."""
        return blocking(self.outcomes(checks))

    async def override(self, check_id: str, reason: str) -> None:
        """Let a check pass by name and with a reason, and read it back.

        Raises:
            RefusedError: what it found cannot be overridden; nothing is recorded.
        """
        standing = self.results.get(check_id)
        if standing is not None and not standing.overridable:
            raise RefusedError(f"“{standing.title}” cannot be overridden.", next_step="Mend what it found.")
        async with self.written("override") as connection:
            await decisions.override(connection, check_id, reason, operator=self.settings.operator)
        self.apply_overrides()

    async def withdraw_override(self, check_id: str) -> None:
        """Let a check count again."""
        async with self.written("override") as connection:
            await decisions.withdraw_override(connection, check_id, operator=self.settings.operator)
        self.apply_overrides()
