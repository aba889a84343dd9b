"""How far a run is: its share of the whole by weight, rows done of rows known, how fast, and how much longer.

A step's weight is what it costs per row times its rows, in seconds on a machine of some kind. Which machine does not
matter: the time left comes from how fast this run has gone through its own weights.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping

from vagus_tui.events import Phase, ProgressEvent, StepEvent, StepState
from vagus_tui.migration.steps import PlanStep
from vagus_tui.schema import v2

FILL_COST: Mapping[str, float] = {
    v2.PLANS: 28,
    v2.WEEKS: 9,
    v2.DAYS: 12,
    v2.EXERCISES: 20,
    v2.SESSIONS: 80,
    v2.LOGS: 7,
    v2.PREFERENCES: 9,
    "day keys": 29,
}
"""By table, or by what else a step makes."""

PROOF_COST: Mapping[str, float] = {
    v2.PLANS: 22,
    v2.WEEKS: 5,
    v2.DAYS: 10,
    v2.EXERCISES: 19,
    v2.SESSIONS: 55,
    v2.LOGS: 4,
}
INDEX_COST, LOOK_COST, STATISTICS_COST = 2.2, 1.0, 1.8
"""Microseconds per row."""

LEAST_WEIGHT = 0.01
UNTIL_HOLD = (Phase.PREPARE, Phase.BUILD, Phase.CATCH_UP, Phase.PROVE)
"""The phases before the decision, which takes as long as the operator likes."""

WITHOUT_HOLD = (*UNTIL_HOLD, Phase.CUT_OVER, Phase.SETTLE)

RATE_SECONDS = 5.0


LEAST_SHARE = 0.01
"""So much of the whole has to be done before it is said how much longer it takes."""


def weight(step: PlanStep, all_rows: int = 0) -> float:
    """What a step costs, in seconds of the machine that the costs were measured on."""
    rows = step.rows or 0
    if step.phase is Phase.PROVE:
        cost = PROOF_COST.get(step.table, 10)
    elif (made := step.table or step.unit) in FILL_COST:
        cost = FILL_COST[made]
    elif step.id.startswith("index-"):
        cost = INDEX_COST
    elif step.id == "settle-analyze":
        cost, rows = STATISTICS_COST, all_rows
    else:
        cost = LOOK_COST
    return LEAST_WEIGHT + cost * rows / 1e6


def by_time(worked: float, expected: float) -> float:
    """The share of a step that cannot be measured: by its time, ever slower, and never the whole."""
    ratio = worked / max(expected, 0.001)
    return 0.9 * ratio if ratio < 1 else 1 - 0.1 / ratio


def by_size(ratio: float) -> float:
    """The share of a step of which a size is measured against an expected one, which may have been too small."""
    return max(0.0, ratio) if ratio < 0.95 else 1 - 0.05 * 0.95 / ratio


class Gauge:
    """Follows the steps of one run. Never falls, never passes the whole, and reaches it when all is done.

    A proof that is made again once all was done, right before the cut-over, is a whole of its own.

    Args:
        counted: the phases that make up the whole.
        done: steps that an earlier attempt has finished: part of the whole, but not of this attempt's speed.
    """

    def __init__(
        self, steps: Iterable[PlanStep], done: Iterable[str] = (), counted: tuple[Phase, ...] = UNTIL_HOLD
    ) -> None:
        self.counted = counted
        self.steps = {step.id: step for step in steps if step.phase in counted}
        filled = sum(step.rows or 0 for step in self.steps.values() if step.phase is Phase.BUILD and step.table)
        self.weights = {name: weight(step, filled) for name, step in self.steps.items()}
        self.shares: dict[str, float] = dict.fromkeys(self.steps.keys() & set(done), 1.0)
        self.running: dict[str, float] = {}
        self.phase = Phase.PREPARE
        self._inherited = self._done_weight()
        self._judged: set[str] = set()
        self._highest = 0.0
        self._worked = 0.0
        self._spent: list[tuple[float, float]] = []
        self._rows: deque[tuple[float, int]] = deque(maxlen=120)

    def take(self, event: StepEvent) -> None:
        """Hear of a step."""
        if event.id not in self.steps:
            return
        if event.state is StepState.STARTED:
            if self.shares.get(event.id) == 1.0:
                self._again(event)
            self.running[event.id] = time.monotonic()
            if event.phase is not self.phase:
                self.phase = event.phase
                self._rows.clear()
        elif event.state is StepState.DONE:
            self.running.pop(event.id, None)
            self.shares[event.id] = 1.0
            if event.seconds:
                self._spent.append((self.weights[event.id], event.seconds))
        elif event.state is StepState.FAILED:
            self.running.pop(event.id, None)
            self.shares.pop(event.id, None)

    def _again(self, event: StepEvent) -> None:
        if self.share < 1:
            self.shares.pop(event.id)
            return
        self.steps = {name: step for name, step in self.steps.items() if step.phase is event.phase}
        self.weights = {name: self.weights[name] for name in self.steps}
        self.shares.clear()
        self._rows.clear()
        self._inherited = self._highest = self._worked = 0.0

    def measured(self, name: str, share: float) -> None:
        """Take a measurement of a running step."""
        if name in self.running:
            self.shares[name] = max(self.shares.get(name, 0.0), min(share, 0.999))

    def tick(self, seconds: float, measured: frozenset[str] = frozenset()) -> None:
        """So much time has been worked; steps that were not measured are judged by it."""
        self._worked += seconds
        weights, spent = (sum(column) for column in zip(*self._spent[-50:], strict=True)) if self._spent else (1.0, 1.0)
        now = time.monotonic()
        for name, began in self.running.items():
            if name not in measured and seconds:
                expected = self.weights[name] * spent / max(weights, 0.001)
                self.measured(name, by_time(now - began, expected))
                self._judged.add(name)
        self._rows.append((now, self.rows()[0]))

    def _done_weight(self) -> float:
        return sum(self.weights[name] * share for name, share in self.shares.items())

    @property
    def share(self) -> float:
        """The share of the whole, 0 to 1."""
        whole = sum(self.weights.values())
        now = self._done_weight() / whole if whole else 1.0
        # Sums of fractions may come out a hair short of the whole.
        self._highest = max(self._highest, 1.0 if now > 1 - 1e-9 else now)
        return self._highest

    @property
    def phase_share(self) -> float:
        """The share of the phase under way."""
        names = [name for name, step in self.steps.items() if step.phase is self.phase]
        whole = sum(self.weights[name] for name in names)
        return sum(self.weights[name] * self.shares.get(name, 0.0) for name in names) / whole if whole else 1.0

    @property
    def seconds_left(self) -> float | None:
        """How much longer, at this run's own speed; None while that cannot be said."""
        gone, whole = self._done_weight() - self._inherited, sum(self.weights.values())
        # The first short steps say nothing, and waiting for their locks, minutes perhaps, less than that.
        if self.phase is Phase.PREPARE or self._worked < 1 or gone < LEAST_SHARE * whole:
            return None
        return max(0.0, whole - self._done_weight()) * self._worked / gone

    def rows(self) -> tuple[int, int]:
        """Rows done of rows known, in the phase under way: written in the build, compared in the proof."""
        steps = [step for step in self.steps.values() if step.phase is self.phase and step.table]
        # What is only judged by its time says nothing about rows.
        known = (step for step in steps if step.id not in self._judged or step.id not in self.running)
        done = sum((step.rows or 0) * self.shares.get(step.id, 0.0) for step in known)
        return int(done), sum(step.rows or 0 for step in steps)

    @property
    def rate(self) -> float | None:
        """Rows per second over the last seconds."""
        recent = [sample for sample in self._rows if sample[0] >= self._rows[-1][0] - RATE_SECONDS]
        if len(recent) < 2 or recent[-1][0] == recent[0][0]:
            return None
        return max(0.0, (recent[-1][1] - recent[0][1]) / (recent[-1][0] - recent[0][0]))

    def event(self, elapsed: float, *, yielding: bool = False) -> ProgressEvent:
        """All of it; `yielding`: less works at once than could."""
        done, total = self.rows()
        left = self.seconds_left
        rate = self.rate
        return ProgressEvent(
            phase=self.phase,
            share=round(self.share, 4),
            phase_share=round(self.phase_share, 4),
            elapsed=round(elapsed, 2),
            seconds_left=None if left is None else round(left, 1),
            rows=done,
            total=total,
            rate=None if rate is None else round(rate),
            yielding=yielding,
        )
