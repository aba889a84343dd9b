"""Connecting, and reading the state again and again, so that what happens elsewhere shows."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg

from vagus_tui.backup.evidence import backup_evidence
from vagus_tui.database import facts
from vagus_tui.database.connection import Connection, Database, close, lost_connections_explained
from vagus_tui.errors import LACKS_A_RIGHT, ConnectionLostError, VagusError, server_words
from vagus_tui.format import duration
from vagus_tui.journal import acceptance, backup_records, decisions, lock, store
from vagus_tui.journal.local_copy import local_copy
from vagus_tui.journal.measured import latest_measured
from vagus_tui.journal.progress import latest_word, read_done_before, read_progress
from vagus_tui.journal.schema import asked_once
from vagus_tui.journal.state import State, read_state
from vagus_tui.migration.announcement import maintenance_page, read_announcement
from vagus_tui.migration.maintenance import read_maintenance
from vagus_tui.rollout.app_update import outcomes
from vagus_tui.session.job import watched_job
from vagus_tui.session.knowledge import Knowledge, Link, Snapshot, Topic, parse_moment
from vagus_tui.settings import Settings

POLL_SECONDS = 1.5
WATCH_SECONDS = 0.8
"""How often is looked while somebody else's run is watched."""
PULSE_SECONDS = 1.0
"""How often is told for how long an answer is owed."""
WRITING_SECONDS = 0.3
"""What is written down and read back within this time is not worth a word."""
RETRY_SECONDS = (2.0, 3.0, 5.0, 10.0)
PATIENT_LOOKS = 20
"""So often what is known is taken to hold while a lock keeps it from being read anew: half a minute."""


def _words(snapshot: Snapshot) -> tuple[object, ...]:
    """What users are told and what was done for the app, as one look found it."""
    return snapshot.texts, snapshot.banner, snapshot.page, snapshot.app_update


def _said(snapshot: Snapshot) -> tuple[object, ...]:
    """What people and checks said of the lists' items, as one look found it."""
    return snapshot.sign_offs, snapshot.tries, snapshot.measured


class Reading(Knowledge):
    """Keeps one connection of its own for looking; whoever works opens another."""

    def connect(self, settings: Settings | None = None) -> None:
        """Connect, or connect again after a failure, and go on reading the state until `close`."""
        if settings is not None:
            self.settings = settings
        try:
            self.database = Database(self.settings)
        except VagusError as error:
            self._down(error)
            return
        self.link, self.error = Link.CONNECTING, None
        self.changed(Topic.LINK)
        if self._poll is None or self._poll.done():
            self._poll = asyncio.create_task(self._polling(), name="poll")
        self._wake.set()

    def _down(self, error: VagusError) -> None:
        if self._down_at is None:
            self._down_at = time.monotonic()
        self.link, self.error = Link.DOWN, error
        self.changed(Topic.LINK)

    async def _polling(self) -> None:
        failures = waits = 0
        while True:
            self._wake.clear()
            try:
                await self.refresh()
                failures = waits = 0
                delay: float | None = WATCH_SECONDS if self.watched is not None else POLL_SECONDS
            except VagusError as error:
                self._down(error)
                # A connection that once stood is tried again by itself; a first one that was refused is not, since
                # repeated wrong passwords get an address banned.
                delay = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)] if self._was_up else None
                failures += 1
            except asyncpg.LockNotAvailableError:
                # Somebody holds a table, at times we ourselves: the connection stands, and what is known still holds.
                waits += 1
                if self.link is not Link.UP or waits > PATIENT_LOOKS:
                    self._down(await self._locked())
                delay = POLL_SECONDS
            except asyncpg.PostgresError as error:
                self._down(
                    VagusError(
                        f"The state could not be read: {server_words(error)}",
                        next_step=LACKS_A_RIGHT
                        if isinstance(error, asyncpg.InsufficientPrivilegeError)
                        else "Check what this user may read, then try again.",
                    )
                )
                delay = RETRY_SECONDS[-1]
            # Not wait_for: on Python 3.11 it loses a cancellation that comes together with the wake-up.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wake.wait()

    async def _locked(self) -> VagusError:
        """That the state cannot be read for a lock, and whether a run is at work, or a killed one has left its session.

        Who holds the operator's lock can be read whatever else is locked.
        """
        holder = None
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            if self._connection is not None:
                holder = await lock.lock_holder(self._connection)
        if holder is None:
            return VagusError(
                "The state could not be read: a table is locked by somebody else.",
                next_step="Troubleshooting (9), then b, shows who is in the way.",
            )
        return VagusError(
            f"The state could not be read: a table is locked. Who holds the operator's lock: {holder.words}.",
            state="A cut-over or a rollback is under way, or a wizard that was killed has left it in the server. It "
            "happens as a whole or not at all.",
            next_step="That takes seconds. If it lasts, Troubleshooting (9), then b, shows the session and can end it.",
        )

    async def refresh(self) -> None:
        """Read the state now, and say what is new.

        Raises:
            VagusError: there is no connection, or it broke.
        """
        if self.database is None:
            return
        async with self._busy:
            if self._connection is None or self._connection.is_closed():
                self._connection = await self.database.connect("wizard", lock_timeout="300", statement_timeout="15000")
            connection = self._connection
            try:
                with lost_connections_explained(self.database.host), self._told_of_silence(), asked_once():
                    await self._read(connection)
            except ConnectionLostError:
                self._connection = None
                await close(connection)
                raise

    @contextlib.contextmanager
    def _told_of_silence(self) -> Iterator[None]:
        """Have screens say for how long the server has not answered, where that is long."""

        async def tell() -> None:
            while True:
                await asyncio.sleep(PULSE_SECONDS)
                if self.silent:
                    self.changed(Topic.WAITING)

        self._asked_at, telling = time.monotonic(), asyncio.create_task(tell(), name="silence")
        try:
            yield
        finally:
            telling.cancel()
            was_silent, self._asked_at = self.silent > 0, None
            if was_silent:
                self.changed(Topic.WAITING)

    @contextlib.asynccontextmanager
    async def written(self, purpose: str) -> AsyncIterator[Connection]:
        """A connection to write something down, for the length of a block; what was written is read back after it.

        Where that takes a while, as over a long line, it is told: the key was heard.
        """

        def tell(known: Callable[[object], None]) -> None:
            before = bool(self.writing)
            known(writing)
            if before is not bool(self.writing):
                self.changed(Topic.WRITING)

        writing = object()
        later = asyncio.get_running_loop().call_later(WRITING_SECONDS, tell, self.writing.add)
        try:
            async with self.connection(purpose) as connection:
                yield connection
            await self.refresh()
        finally:
            later.cancel()
            tell(self.writing.discard)

    async def _read(self, connection: Connection) -> None:
        topics: set[Topic] = set()
        if self.server is None or self.link is not Link.UP:
            self.server = await facts.server_facts(connection)
            assert self.database is not None
            self.local_copy = await local_copy(connection, self.database.label, self.settings.journal_dir)
            topics |= {Topic.STATE}
        planned = await store.latest_note(connection, "planned_at")
        state = await read_state(connection)
        snapshot = Snapshot(
            state=state,
            lock=await lock.lock_holder(connection),
            sign_offs=await decisions.sign_offs(connection),
            overrides=await decisions.overrides(connection),
            backups=tuple(await backup_records.backups(connection)),
            evidence=await backup_evidence(connection),
            planned_at=parse_moment(planned or self.settings.planned_at, self.settings.timezone),
            texts=await store.notes_by_topic(connection, "text."),
            maintenance=await read_maintenance(connection),
            banner=await read_announcement(connection),
            page=await maintenance_page(connection),
            app_update=await outcomes(connection),
            measured=await latest_measured(connection, state.run),
            tries=await acceptance.tries(connection, state.run),
            steps=tuple(await read_progress(connection, state.run.id)) if state.run is not None else (),
            done_before=tuple(await read_done_before(connection, state.run.id)) if state.run is not None else (),
            word=await latest_word(connection, state.run.id) if state.run is not None else None,
        )
        before, self.now = self.now, snapshot
        for topic, was, is_now in (
            (Topic.STATE, before.state, snapshot.state),
            (Topic.LOCK, before.lock, snapshot.lock),
            (Topic.SIGN_OFFS, _said(before), _said(snapshot)),
            (Topic.OVERRIDES, before.overrides, snapshot.overrides),
            (Topic.BACKUPS, (before.backups, before.evidence), (snapshot.backups, snapshot.evidence)),
            (Topic.PLANNED, before.planned_at, snapshot.planned_at),
            (Topic.MAINTENANCE, before.maintenance, snapshot.maintenance),
            (Topic.TEXTS, _words(before), _words(snapshot)),
            (Topic.PROGRESS, (before.steps, before.word), (snapshot.steps, snapshot.word)),
        ):
            if was != is_now:
                topics.add(topic)
        self._watch()
        if self.local_copy is not None:
            await self.local_copy.sync(connection)
        if self.job is not None and self.job.ended is not None and self.read_at < self.job.ended:
            # What became of it is known now, though it may be as it was before.
            topics.add(Topic.JOB)
        self.read_at = time.monotonic()
        if self.link is not Link.UP:
            if self._was_up and self._down_at is not None:
                gone = duration(self.read_at - self._down_at)
                self.say_to_all(f"The connection is back after {gone}, and the state was read again.")
            self.link, self.error, self._was_up, self._down_at = Link.UP, None, True, None
            topics.add(Topic.LINK)
        if await self._count(connection, moved=Topic.STATE in topics):
            topics.add(Topic.COUNTS)
        if topics:
            self.changed(*topics)

    def _watch(self) -> None:
        """Somebody else's run, if one goes on: an open run, and the lock held, not by a job of our own."""
        run, holder = self.state.run if self.state is not None else None, self.now.lock
        if self.job is not None and self.job.before != holder:
            # They have let go; a pooler may lend the same session to us.
            self.job.before = None
        if run is None or self.lock_ours or run.finished_at is not None or holder is None:
            self.watched = None
        else:
            self.watched = watched_job(run, self.now.steps, self.now.word)

    async def _count(self, connection: Connection, *, moved: bool) -> bool:
        """Count again when rows have come or gone; True when the figures are new."""
        tables = self.tables()
        if not tables:
            new = bool(self.counts)
            self.counts, self.dependents, self._activity = {}, (), None
            return new
        activity = await facts.activity(connection, list(tables.values()))
        if not moved and activity == self._activity:
            return False
        if (self.job is not None and self.job.running) or self.now.lock is not None:
            # A count holds a lock on the table, which a cut-over would have to wait for.
            return False
        self._activity = activity
        counts = await facts.counts(connection, tables)
        if moved:
            self.dependents = await facts.dependents(connection, list(tables.values()))
        new, self.counts = counts != self.counts, counts
        return new or moved

    def tables(self) -> dict[str, str]:
        """The tables that the app uses now, by the word they are known under."""
        state = self.state
        if state is None:
            return {}
        if state.state in (State.MIGRATED, State.CLEANED):
            return {
                "plans": "workout_plans",
                "weeks": "workout_weeks",
                "days": "workout_days",
                "exercises": "exercises",
                "sessions": "workout_sessions",
                "logs": "exercise_logs",
            }
        if state.shape is None:
            return {}
        shape = state.shape
        return {
            "plans": shape.plans.name,
            "exercises": shape.exercises.name,
            "sessions": shape.sessions.name,
            "logs": shape.logs.name,
        }

    def wake(self) -> None:
        """Read the state again at once, in the background."""
        self._wake.set()
