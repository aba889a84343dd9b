"""A long-running job: started by a screen, owned by the session, so that leaving the screen does not end it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg

from vagus_tui.control import Control
from vagus_tui.errors import LOST_WORDS, ConnectionLostError, VagusError, account, server_words
from vagus_tui.events import Event, NoteEvent, Phase, ProgressEvent, ResultEvent, StepEvent, StepState
from vagus_tui.format import clock
from vagus_tui.journal.lock import LockHolder
from vagus_tui.journal.progress import StepTimes
from vagus_tui.journal.store import Run

JobFactory = Callable[[Control], AsyncIterator[Event]]

BACKUP_JOBS = ("backup", "verify", "restore-test", "upload", "rehearse")
"""Those that only read the database, and leave the operator's lock to others."""

EVENTS_KEPT = 5_000
GRACE_SECONDS = 20.0


@dataclass
class Job:
    """One run of a capability and all it has said so far.

    Args:
        name: `migration`, `backup`, `rollback` …; one job runs at a time.
        title: what the operator calls it.
        on_quit: what happens to it when the program is quit now, in a sentence for the dialog.
        control: the hand on it.
        steps: the latest word on every step, in the order in which they first spoke.
        notes: lines worth keeping, newest last.
        events: everything but mere progress, newest last, bounded.
        spans: when a phase was first and last heard of, by the monotonic clock.
        overall: how far the whole is, for a job that says so.
        before: who held the operator's lock when it began, as long as they do; None where nobody did.
    """

    name: str
    title: str
    on_quit: str
    control: Control
    steps: dict[str, StepEvent] = field(default_factory=dict)
    notes: deque[NoteEvent] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    overall: ProgressEvent | None = None
    before: LockHolder | None = None
    spans: dict[Phase, tuple[float, float]] = field(default_factory=dict)
    _begun: dict[Phase, set[str]] = field(default_factory=dict)
    result: ResultEvent | None = None
    error: VagusError | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self.ended is None

    @property
    def elapsed(self) -> float:
        """Seconds since it was started, or what it took."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop and is still at work: what is under way in the server ends first."""
        return self.running and self.control.cancelled

    @property
    def at(self) -> str:
        """How long it has been at work, for a title: `0:42`, `0:42 · stopping`."""
        return f"{clock(self.elapsed)}{' · stopping' if self.stopping else ''}"

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.result is not None and self.result.ok

    @property
    def lost(self) -> bool:
        """Whether it ended because its connection did, so that what became of it is known only by reading the state."""
        said = self.result.message if self.result is not None and not self.result.ok else ""
        return isinstance(self.error, ConnectionLostError) or said.startswith(LOST_WORDS)

    @property
    def current(self) -> StepEvent | None:
        """The step that is under way, the latest if several are."""
        under_way = [step for step in self.steps.values() if _under_way(step)]
        return under_way[-1] if under_way else None

    def take(self, event: Event) -> None:
        """Keep one event."""
        if isinstance(event, StepEvent):
            last = self.events[-1] if self.events else None
            idle = not any(_under_way(step) for step in self.steps.values() if step.phase is event.phase)
            now = time.monotonic()
            # A phase that begins again, such as a proof made anew, is told and timed anew: from the first step on that
            # comes again.
            begun = self._begun.setdefault(event.phase, set())
            again = event.state is StepState.STARTED and event.id in begun and idle
            if again:
                begun.clear()
                self.steps = {name: step for name, step in self.steps.items() if step.phase is not event.phase}
            begun.add(event.id)
            self.steps[event.id] = event
            began = now if again else self.spans.get(event.phase, (now, now))[0]
            if event.state is StepState.DONE:
                # On a busy machine it is heard late of a beginning, and of the end at the same time.
                began = min(began, now - (event.seconds or 0.0))
            self.spans[event.phase] = (began, now)
            if event.state is StepState.PROGRESS and event.message is None:
                return
            if (
                event.state is StepState.PROGRESS
                and isinstance(last, StepEvent)
                and last.id == event.id
                and last.state is StepState.PROGRESS
            ):
                # Progress replaces its predecessor: the log keeps what happened, not every tick of it.
                self.events[-1] = event
                return
        elif isinstance(event, NoteEvent):
            self.notes.append(event)
        elif isinstance(event, ProgressEvent):
            self.overall = event
            return
        elif isinstance(event, ResultEvent):
            self.result = event
        self.events.append(event)


def _under_way(step: StepEvent) -> bool:
    return step.state in (StepState.STARTED, StepState.PROGRESS)


def watched_job(run: Run, steps: Sequence[StepTimes], word: NoteEvent | None) -> Job:
    """Somebody else's run, as the journal has it: to be looked at, since there is no hand on it from here."""
    job = Job(run.kind, run.at_work, "It goes on without you.", Control())
    job.started_at = run.started_at
    job.started = time.monotonic() - (datetime.now(UTC) - run.started_at).total_seconds()
    for step in steps:
        job.take(step.event)
    # Told afterwards: when it was heard of says nothing about how long it took.
    job.spans.clear()
    if word is not None:
        job.take(word)
    return job


async def run_job(job: Job, factory: JobFactory, changed: Callable[[Event | None], None]) -> None:
    """Drive a job to its end, whatever the end is; `changed` hears every event and, last, None."""
    events = factory(job.control)
    try:
        async for event in events:
            job.take(event)
            changed(event)
    except VagusError as error:
        job.error = error
    except asyncpg.PostgresError as error:
        job.error = VagusError(
            f"The server refused a statement: {server_words(error)}",
            state="The transaction it was in was undone by the server.",
            next_step="The overview reads the state again and shows what is possible from there.",
        )
    except OSError as error:
        job.error = ConnectionLostError(
            f"The work was cut off: {error.strerror or error.__class__.__name__}.",
            state="What was under way was undone by the server; nothing was repeated.",
            next_step="The overview reads the state again and shows what is possible from there.",
        )
    except Exception as error:
        job.error = VagusError(
            f"This should not have happened. {account(error)}",
            state="What was under way in the database was undone by the server.",
            next_step="The overview shows the state as it is now; please report this.",
        )
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            with contextlib.suppress(Exception):
                await close()
        job.ended = time.monotonic()
        changed(None)
