"""How far a backup, a verification or a restore test is across all of its steps, and how much longer it takes.

A step's weight is what it costs per byte of its tables, in seconds on a machine of some kind. Which machine does not
matter: how long the rest takes comes from how fast this backup has gone through its own weights, told apart by what
bounds them: the server's work, the line to it, and this machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from dataclasses import dataclass
from enum import Enum, auto

from vagus_tui.events import CheckEvent, Event, Phase, ProgressEvent, Status, StepEvent, StepState
from vagus_tui.jobs import Emit, with_notes
from vagus_tui.migration.gauge import by_time


class Bound(Enum):
    """What a step's speed depends on."""

    SERVER = auto()
    LINE = auto()
    HERE = auto()


LEAST_WEIGHT = 0.02
"""Seconds, of a step that is short whatever its tables are."""
TELLING_SHARE = 0.05
"""So much of what is bound alike has to be done before its speed is believed: programs that start tell nothing."""
TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Planned:
    """A step, or a check, that is still to come: what it is called and what it costs."""

    name: str
    phase: Phase
    bound: Bound
    weight: float


@dataclass(slots=True)
class _Step:
    phase: Phase
    bound: Bound
    weight: float
    share: float = 0.0
    told: bool = False
    began: float | None = None
    spent: float = 0.0

    @property
    def done(self) -> float:
        return self.weight * self.share


class BackupGauge:
    """Follows the steps of one job. Its share never falls and is the whole only when all is done."""

    def __init__(self) -> None:
        self.steps: dict[str, _Step] = {}
        self.phase = Phase.BACKUP
        self._highest = 0.0

    def plan(self, steps: Iterable[Planned]) -> None:
        """What is to be done is known."""
        self.steps = {step.name: _Step(step.phase, step.bound, step.weight) for step in steps}
        self.phase = next((step.phase for step in self.steps.values()), self.phase)

    def take(self, event: Event) -> None:
        """Hear of a step, or of a check."""
        if not isinstance(event, StepEvent | CheckEvent) or (step := self.steps.get(event.id)) is None:
            return
        self.phase = step.phase
        if isinstance(event, CheckEvent):
            begins, over = event.status is Status.RUNNING, event.status not in (Status.PENDING, Status.RUNNING)
        else:
            begins, over = event.state is StepState.STARTED, event.state is StepState.DONE
            if event.state is StepState.PROGRESS and event.rows and event.total:
                step.share, step.told = max(step.share, min(0.99, event.rows / event.total)), True
        if begins:
            step.began = time.monotonic()
        elif over:
            step.spent, step.began, step.share = event.seconds or 0.0, None, 1.0

    def _pace(self, bound: Bound | None) -> float | None:
        """Seconds that a unit of weight took here; None where too little was done to tell."""
        steps = [step for step in self.steps.values() if bound in (None, step.bound)]
        # What is judged by the clock says nothing about the pace that it is judged by.
        begun, now = [step for step in steps if step.share == 1.0 or (step.share and step.told)], time.monotonic()
        spent = sum(step.spent if step.began is None else now - step.began for step in begun)
        done, whole = sum(step.done for step in begun), sum(step.weight for step in steps)
        return spent / done if done > TELLING_SHARE * whole and spent > LEAST_WEIGHT else None

    def tick(self) -> None:
        """Judge by its time what says nothing of how far it is."""
        overall = self._pace(None)
        for step in self.steps.values():
            if step.began is not None and overall is not None:
                pace = self._pace(step.bound) or overall
                judged = by_time(time.monotonic() - step.began, step.weight * pace)
                # Who has told something is believed rather than the clock.
                step.share = step.share if step.told else max(step.share, min(0.99, judged))

    @property
    def share(self) -> float:
        """The share of the whole, 0 to 1."""
        whole = sum(step.weight for step in self.steps.values())
        if whole:
            self._highest = max(self._highest, min(1.0, sum(step.done for step in self.steps.values()) / whole))
        return self._highest

    @property
    def seconds_left(self) -> float | None:
        """How much longer; None while that cannot be said."""
        if (overall := self._pace(None)) is None:
            return None
        return sum((step.weight - step.done) * (self._pace(step.bound) or overall) for step in self.steps.values())

    def event(self, elapsed: float) -> ProgressEvent | None:
        """All of it; None before anything is known."""
        if not self.steps:
            return None
        here = [step for step in self.steps.values() if step.phase is self.phase]
        left = self.seconds_left
        return ProgressEvent(
            phase=self.phase,
            share=round(self.share, 4),
            phase_share=round(sum(step.done for step in here) / sum(step.weight for step in here), 4),
            elapsed=round(elapsed, 2),
            seconds_left=None if left is None else round(left, 1),
        )


async def gauged(events: AsyncGenerator[Event, None], gauge: BackupGauge) -> AsyncGenerator[Event, None]:
    """The events of a job, which the gauge hears, and between them how far all of it is."""
    told: asyncio.Queue[Event] = asyncio.Queue()
    async with _ticking(gauge, told.put_nowait), contextlib.aclosing(with_notes(events, told)) as all_of_it:
        async for event in all_of_it:
            gauge.take(event)
            yield event


@contextlib.asynccontextmanager
async def telling(gauge: BackupGauge, emit: Emit) -> AsyncIterator[Emit]:
    """The same for a job that reports by calling: what it is to call while the block lasts; and once it is all done."""
    begun = time.perf_counter()

    def told(event: Event) -> None:
        gauge.take(event)
        emit(event)

    async with _ticking(gauge, emit):
        yield told
        if (event := gauge.event(time.perf_counter() - begun)) is not None:
            emit(event)


@contextlib.asynccontextmanager
async def _ticking(gauge: BackupGauge, tell: Emit) -> AsyncIterator[None]:
    """Say how far the whole is while the block lasts, a few times a second and no more often."""
    begun = time.perf_counter()

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            gauge.tick()
            if (event := gauge.event(time.perf_counter() - begun)) is not None:
                tell(event)

    ticking = asyncio.create_task(tick(), name="progress")
    try:
        yield
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
