"""What the wizard knows and does, in one place that outlives every screen.

The session holds the database, reads its state again and again so that what happens elsewhere shows, keeps the
outcomes of checks, and owns the long-running job. It knows no user interface: it says what has changed through one
callback, and the app passes that on to its screens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from vagus_tui.control import Control
from vagus_tui.database.connection import close
from vagus_tui.errors import VagusError
from vagus_tui.events import Event
from vagus_tui.journal import acceptance, decisions, store
from vagus_tui.journal.acceptance import Verdict
from vagus_tui.session.job import GRACE_SECONDS, Job, JobFactory, run_job
from vagus_tui.session.knowledge import Link, Snapshot, Standing, Topic, parse_moment
from vagus_tui.session.watching import Watching

CANCELLED_AGAIN_SECONDS = 5.0
"""Time for a cancelled task to put away what it has open, before it is cancelled once more."""

__all__ = ["Link", "Session", "Snapshot", "Standing", "Topic", "ended", "parse_moment"]


class Session(Watching):
    """The wizard's memory and its hands on the database."""

    async def sign(self, item: str, *, ticked: bool, note: str = "") -> None:
        """Tick or untick a checklist item in the operator's name, and read it back."""
        async with self.written("sign-off") as connection:
            await decisions.sign(connection, item, ticked=ticked, operator=self.settings.operator, note=note)

    async def sign_in_spite(self, item: str, against: Sequence[str], reason: str) -> None:
        """Tick an item against criteria that do not hold, which are overridden by name, and read it back."""
        async with self.written("sign-off") as connection:
            await decisions.sign_in_spite(connection, item, against, reason, operator=self.settings.operator)

    async def try_step(self, person: str, step: str, verdict: Verdict, *, profile: str, note: str = "") -> None:
        """Write down how a step of the acceptance test went for a person, and read it back."""
        async with self.written("acceptance test") as connection:
            await acceptance.record(
                connection, person, step, verdict, profile=profile, note=note, operator=self.settings.operator
            )

    async def plan_for(self, moment: datetime) -> None:
        """Set T−0, the planned start."""
        async with self.written("plan") as connection:
            await store.note(connection, "planned_at", moment.isoformat(), operator=self.settings.operator)

    async def keep_text(self, message_id: str, edited: Mapping[str, str]) -> None:
        """Keep a message as somebody rewrote it, for everybody; an empty one puts the runbook's back."""
        async with self.written("text") as connection:
            await store.note(connection, f"text.{message_id}", dict(edited), operator=self.settings.operator)

    # The job

    @property
    def busy(self) -> bool:
        """Whether a job is at work: a backup, a migration, a rollback of either kind."""
        return self.job is not None and self.job.running

    def start_job(
        self, name: str, factory: JobFactory, *, title: str = "", on_quit: str = "", control: Control | None = None
    ) -> Job:
        """Start a long-running job, which belongs to the session and goes on when its screen is left.

        Args:
            factory: called with the control; returns the capability's iterator of events.
            on_quit: what happens to the job when the program is quit, in a sentence.

        Raises:
            VagusError: another job runs.
        """
        if self.job is not None and self.job.running:
            raise VagusError(
                f"{self.job.title} is running.", next_step="One job runs at a time: wait for its end or stop it."
            )
        job = Job(name, title or name.capitalize(), on_quit, control or Control(), before=self.now.lock)
        self.job = job
        job.task = asyncio.create_task(run_job(job, factory, self._job_event), name=f"job {name}")
        self.changed(Topic.JOB)
        return job

    def _job_event(self, event: Event | None) -> None:
        if event is None:
            self._activity = None
            self.wake()
            self._say(Topic.JOB)
        else:
            self._say(Topic.JOB, event)

    async def close(self) -> None:
        """Stop the job, the checks and the reading, and close the connection. Safe to call twice."""
        if self.job is not None and self.job.running and self.job.task is not None:
            self.job.control.cancel()
            done, _ = await asyncio.wait({self.job.task}, timeout=GRACE_SECONDS)
            if not done:
                self.job.task.cancel()
                await asyncio.wait({self.job.task}, timeout=5)
        tasks: list[asyncio.Task[Any]] = [task for task in self._checks.values() if not task.done()]
        tasks += [task for task in (self._poll, self._gating) if task is not None]
        tasks += [one.task for one in self.watches.values() if one.task is not None]
        await ended(tasks)
        self._checks.clear()
        self.watches.clear()
        self._poll = None
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if self._connection is not None:
            await close(self._connection)
            self._connection = None
        self.link = Link.WAITING


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they are through: on Python 3.11 a cancellation may be lost, and one would wait for ever."""
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        done, waiting = await asyncio.wait(waiting, timeout=CANCELLED_AGAIN_SECONDS)
        # Looked at, or asyncio would tell of what nobody has seen.
        await asyncio.gather(*done, return_exceptions=True)
