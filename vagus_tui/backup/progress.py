"""A step's progress in bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from vagus_tui.events import Phase, StepEvent, StepState

# Told a few times a second, not per piece.
_TICK_SECONDS = 0.2


@dataclass(slots=True)
class Progress:
    """A step's progress in bytes, told at most a few times a second and never above its total."""

    id: str
    phase: Phase
    title: str
    total: int
    done: int = 0
    _begun: float = field(default_factory=time.perf_counter)
    _told: float = 0.0

    def started(self) -> StepEvent:
        """The step begins."""
        return self._event(StepState.STARTED, 0, self.total)

    def at(self, done: int) -> StepEvent | None:
        """So many bytes are done by now; None while it is too early to tell again."""
        self.done = max(self.done, done)
        now = time.perf_counter()
        if now - self._told < _TICK_SECONDS:
            return None
        self._told = now
        # The total may be an estimate: what is not over is not complete.
        most = self.total * 99 // 100
        return self._event(StepState.PROGRESS, min(self.done, most), self.total)

    def add(self, more: int) -> StepEvent | None:
        """So many more bytes are done."""
        return self.at(self.done + more)

    def finished(self, total: int | None = None, message: str | None = None) -> StepEvent:
        """The step is over; `total` is what it really came to."""
        figure = self.done if total is None else total
        return self._event(StepState.DONE, figure, figure, message)

    def failed(self, message: str) -> StepEvent:
        """The step failed."""
        return self._event(StepState.FAILED, None, None, message)

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.perf_counter() - self._begun

    def _event(self, state: StepState, done: int | None, total: int | None, message: str | None = None) -> StepEvent:
        # What is about no bytes has no amount, which is not the same as none of them.
        measured = bool(done or total)
        return StepEvent(
            id=self.id,
            phase=self.phase,
            title=self.title,
            state=state,
            seconds=round(self.seconds, 3),
            rows=done if measured else None,
            total=total if measured else None,
            unit="bytes",
            message=message,
        )
