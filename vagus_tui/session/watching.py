"""The watch: groups of checks that run again by themselves, and the alarms that come of it.

An alarm stays until somebody has acknowledged it, even when its check passes again: that something failed at night is
worth knowing in the morning.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from vagus_tui.checks.base import Context, Group
from vagus_tui.checks.monitor import watch
from vagus_tui.checks.registry import checks_for
from vagus_tui.control import Control
from vagus_tui.events import ChangeEvent, CheckEvent, RoundEvent, Status
from vagus_tui.journal.state import State
from vagus_tui.session.checking import Checking
from vagus_tui.session.knowledge import Topic

INTERVALS: tuple[int, ...] = (30, 60, 300)
"""Seconds between two rounds that can be chosen; off comes before the first."""


@dataclass(slots=True)
class Watch:
    """One group that runs again by itself.

    Attributes:
        every: seconds between rounds.
        round: the summary of the latest round; None before the first is over.
        problem_since: when the database could first not be asked; None while it can.
    """

    group: Group
    every: int
    control: Control = field(default_factory=Control)
    task: asyncio.Task[None] | None = None
    running: bool = False
    waiting: bool = False
    round: RoundEvent | None = None
    problem_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """A check that passed and then failed. `over` is when it passed again, if it does."""

    change: ChangeEvent
    over: datetime | None = None


class Watching(Checking):
    """Keeps watches and alarms; both outlive every screen."""

    def __init__(self, *arguments: Any, **values: Any) -> None:
        super().__init__(*arguments, **values)
        self.watches: dict[Group, Watch] = {}
        self.alarms: dict[str, Alarm] = {}
        self.rung = 0
        """How often an alarm has called for attention; the app rings the bell when it grows."""

    # Watches

    def watch_groups(self) -> tuple[Group, ...]:
        """The groups worth watching where the database stands, the most telling first."""
        state = self.state.state if self.state is not None else State.UNKNOWN
        moved = state in (State.MIGRATED, State.CLEANED)
        groups = (
            (Group.PERFORMANCE, Group.VERIFICATION, Group.ACCESS, Group.PREREQUISITES)
            if moved
            else (Group.PREREQUISITES, Group.DATA_QUALITY, Group.PERFORMANCE)
        )
        # What is being watched goes on being shown, whatever has happened to the state.
        others = tuple(group for group in self.watches if group not in groups)
        return tuple(group for group in (*groups, *others) if checks_for(group))

    def interval(self, group: Group) -> int | None:
        """Seconds between two rounds of a group; None while it is not watched."""
        found = self.watches.get(group)
        return None if found is None else found.every

    def next_interval(self, group: Group) -> int | None:
        """The interval after the present one: off, 30 s, 1 min, 5 min, off."""
        now = self.interval(group)
        if now is None:
            return INTERVALS[0]
        after = INTERVALS.index(now) + 1 if now in INTERVALS else len(INTERVALS)
        return INTERVALS[after] if after < len(INTERVALS) else None

    def watch(self, group: Group, every: int | None) -> None:
        """Run a group every so many seconds from now on, or with None no more. A round that is going on is left off."""
        found = self.watches.pop(group, None)
        if found is not None and found.task is not None:
            found.control.cancel()
            found.task.cancel()
        if every is not None:
            one = Watch(group, every)
            self.watches[group] = one
            one.task = asyncio.create_task(self._watching(one), name=f"watch {group}")
        self.changed(Topic.WATCH)

    def run_group(self, group: Group) -> None:
        """Run a group once, now."""
        self.start_checks(f"group {group}", checks_for(group), done=lambda: self.changed(Topic.WATCH))

    async def _watching(self, one: Watch) -> None:
        checks = checks_for(one.group)
        async with contextlib.aclosing(
            watch(
                checks,
                lambda: self._round(one),
                every=one.every,
                control=one.control,
                history=self.history,
            )
        ) as events:
            async for event in events:
                if isinstance(event, CheckEvent):
                    # What was found last stays in view while it is measured again.
                    if event.status not in (Status.PENDING, Status.RUNNING):
                        self.take_result(event)
                    self.told_to_wait(f"watch {one.group}", (event.message or "") if event.waiting else "")
                elif isinstance(event, ChangeEvent):
                    self.noticed(event)
                elif isinstance(event, RoundEvent):
                    self._round_over(one, event)

    @contextlib.asynccontextmanager
    async def _round(self, one: Watch) -> AsyncIterator[Context]:
        """The context of one round, when its turn has come.

        A job comes first: these checks hold locks on the tables, however briefly, which a cut-over would have to wait
        for. The prerequisites hold none, and who is in the way is worth knowing just then.
        """
        checks = checks_for(one.group)
        one.waiting = True
        self.changed(Topic.WATCH)
        try:
            while one.group is not Group.PREREQUISITES and self.job is not None and self.job.task is not None:
                if not self.job.running:
                    break
                await asyncio.wait({self.job.task})
            async with self.turn(checks):
                one.waiting, one.running = False, True
                self.changed(Topic.WATCH)
                async with self.context("watch") as context:
                    yield context
        finally:
            one.waiting = one.running = False

    def _round_over(self, one: Watch, event: RoundEvent) -> None:
        one.round = event
        if event.problem is None:
            one.problem_since = None
        elif one.problem_since is None:
            one.problem_since = event.at
        # Again after every round that goes on failing, until somebody has seen it.
        if any(
            alarm.over is None and alarm.change.group == one.group and alarm.change.at < event.at
            for alarm in self.alarms.values()
        ):
            self.rung += 1
        if event.problem is not None:
            self.wake()
        self.judge()
        self.changed(Topic.WATCH)

    def _fails(self, check_id: str) -> bool:
        event = self.results.get(check_id)
        return event is not None and event.status.blocks and not event.overridden

    # Alarms

    def noticed(self, change: ChangeEvent | None) -> None:
        """Raise an alarm where a check of a watched group has begun to fail; note where it passes again."""
        if change is None:
            return
        if change.broke and change.group in self.watches and self._fails(change.id):
            self.alarms[change.id] = Alarm(change)
            self.rung += 1
        elif change.recovered and (alarm := self.alarms.get(change.id)) is not None:
            self.alarms[change.id] = replace(alarm, over=change.at)
        self.changed(Topic.WATCH)

    def acknowledge(self) -> None:
        """Somebody has seen every alarm that there is."""
        self.alarms.clear()
        self.changed(Topic.WATCH)

    @property
    def alarm_list(self) -> list[Alarm]:
        """The alarms that nobody has acknowledged, those that still fail first, the newest of each first."""
        return sorted(self.alarms.values(), key=lambda one: (one.over is None, one.change.at), reverse=True)
