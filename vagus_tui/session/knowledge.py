"""What the wizard knows about the database, and how it says that something has changed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial

from vagus_tui.checks.base import Check, Context
from vagus_tui.checks.history import History
from vagus_tui.checks.waiting import Patience, Waiting
from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.facts import Count, Dependent, ServerFacts
from vagus_tui.errors import ConfigurationError, ConnectionFailedError, ConnectionLostError, VagusError
from vagus_tui.events import CheckEvent, Event, NoteEvent, Status
from vagus_tui.journal import backup_records, decisions, lock
from vagus_tui.journal.acceptance import Tried
from vagus_tui.journal.local_copy import LocalCopy
from vagus_tui.journal.measured import Measured
from vagus_tui.journal.progress import StepTimes
from vagus_tui.journal.state import DatabaseState, read_state
from vagus_tui.migration.announcement import Announcement
from vagus_tui.migration.maintenance import Maintenance
from vagus_tui.rollout.app_update import Outcome
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.session.job import BACKUP_JOBS, Job
from vagus_tui.settings import Settings
from vagus_tui.zones import zone

EVENT_BATCH_SECONDS = 0.1
SILENT_SECONDS = 6.0
"""A server that has not answered for so long is not only slow."""


class Link(StrEnum):
    """How the connection stands."""

    WAITING = "waiting"
    WRITING = "writing"
    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"


class Topic(StrEnum):
    """What has changed."""

    LINK = "link"
    STATE = "state"
    COUNTS = "counts"
    SIGN_OFFS = "sign-offs"
    OVERRIDES = "overrides"
    BACKUPS = "backups"
    LOCK = "lock"
    PLANNED = "planned"
    TEXTS = "texts"
    PROGRESS = "progress"
    MAINTENANCE = "maintenance"
    CHECKS = "checks"
    WATCH = "watch"
    WAITING = "waiting"
    WRITING = "writing"
    SAID = "said"
    GATES = "gates"
    STANDING = "standing"
    JOB = "job"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one of the ten screens stands, for the rail and its title: a status and what it means in a word or two."""

    status: Status
    word: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one look at the database found; two that are equal mean that nothing has changed."""

    state: DatabaseState | None = None
    lock: lock.LockHolder | None = None
    sign_offs: dict[str, decisions.SignOff] = field(default_factory=dict)
    overrides: dict[str, decisions.Override] = field(default_factory=dict)
    backups: tuple[backup_records.BackupRecord, ...] = ()
    evidence: dict[str, datetime] = field(default_factory=dict)
    """When a backup was last rehearsed on to the end, and copied away, by the runbook's job."""
    planned_at: datetime | None = None
    texts: dict[str, dict[str, str]] = field(default_factory=dict)
    """Messages to users as somebody rewrote them, by message id."""
    maintenance: Maintenance = field(default_factory=Maintenance)
    banner: Announcement | None = None
    app_update: dict[str, Outcome] = field(default_factory=dict)
    page: str = ""
    """What users will read during the cut-over."""
    measured: dict[str, Measured] = field(default_factory=dict)
    """The latest outcome of every check, whoever measured it."""
    tries: dict[tuple[str, str], Tried] = field(default_factory=dict)
    """What the people of the acceptance test found, by person and step."""
    steps: tuple[StepTimes, ...] = ()
    """The latest run step by step, while it runs and as it ended."""
    done_before: tuple[StepTimes, ...] = ()
    """What that run did and then did again, such as the proof after a hold: the former time."""
    word: NoteEvent | None = None
    """The latest thing that the run had to say."""


@dataclass(frozen=True, slots=True)
class Owed:
    """Checks that are to run, and what is called when they are through.

    Args:
        again: a connection that was lost has cut them off; `finished` is what was measured until then.
    """

    checks: tuple[Check, ...]
    done: Callable[[], None] | None
    again: bool = False
    finished: tuple[CheckEvent, ...] = ()


Listener = Callable[[frozenset[Topic], Sequence[Event]], None]


class Knowledge:
    """Everything that screens read. Everything runs on one event loop."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self.settings = settings
        self.database: Database | None = None
        self.link = Link.WAITING
        self.error: VagusError | None = None
        self.now = Snapshot()
        self.server: ServerFacts | None = None
        self.counts: dict[str, Count] = {}
        self.dependents: tuple[Dependent, ...] = ()
        self.results: dict[str, CheckEvent] = {}
        self.history = History()
        self.waits: dict[str, str] = {}
        """For whose locks is waited now, in words, by what waits."""
        self.writing: set[object] = set()
        """What is being written down and read back, where that takes a while."""
        self.gates: dict[Step, tuple[CheckEvent, ...]] = {}
        self.own_gates: tuple[CheckEvent, ...] = ()
        self.standings: dict[Step, Standing] = {}
        self.job: Job | None = None
        self.watched: Job | None = None
        """Somebody else's run as the journal has it, while it goes on."""
        self.local_copy: LocalCopy | None = None
        self._listener = listener
        self._connection: Connection | None = None
        self._busy = asyncio.Lock()
        self._poll: asyncio.Task[None] | None = None
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._owed: dict[str, Owed] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._wake = asyncio.Event()
        self._gating: asyncio.Task[None] | None = None
        self._gate_again = False
        self._was_up = False
        self._down_at: float | None = None
        self.read_at = 0.0
        """When the state was last read, by the monotonic clock."""
        self._asked_at: float | None = None
        self._activity: int | None = None
        self._events: list[Event] = []
        self._topics: set[Topic] = set()
        self._flush: asyncio.TimerHandle | None = None

    @property
    def down_words(self) -> str:
        """Why nothing can be read, in a word or two: there is no connection, or this user may not read the state."""
        gone = isinstance(self.error, ConnectionFailedError | ConnectionLostError | ConfigurationError)
        return "no connection" if self.error is None or gone else "not readable"

    @property
    def silent(self) -> float:
        """For how many seconds the server owes an answer to the wizard's own look, where that is long; otherwise 0.

        What is shown is what was so before then. A network that is gone is noticed only after a while.
        """
        waited = 0.0 if self._asked_at is None else time.monotonic() - self._asked_at
        return waited if waited >= SILENT_SECONDS else 0.0

    # What is known

    @property
    def state(self) -> DatabaseState | None:
        """Where the database stands; None as long as it has not been read."""
        return self.now.state

    @property
    def lock_ours(self) -> bool:
        """Whether it is our own job that holds the operator's lock: one that takes it, and nobody from before it.

        Beside our backup somebody may migrate, and a killed wizard's session outlives it while the server works.
        """
        holder, job = self.now.lock, self.job
        if holder is None or job is None or not job.running:
            return False
        return job.name not in BACKUP_JOBS and holder != job.before

    @property
    def planned(self) -> datetime | None:
        """T-0 on the operator's own clock, by which whole days are counted; None until it is set."""
        at = self.now.planned_at
        return None if at is None else at.astimezone(zone(self.settings.timezone))

    @property
    def production(self) -> bool:
        """Whether this is the environment that asks for more."""
        return self.settings.environment.value == "production"

    @property
    def project(self) -> str:
        """What has to be typed out before a destructive act in production."""
        return self.database.project if self.database else self.settings.project

    def changed(self, *topics: Topic) -> None:
        """Say that something has changed."""
        self._listener(frozenset(topics), ())

    def set_standing(self, step: Step, status: Status, word: str = "") -> None:
        """Say how a screen stands; the rail shows it."""
        standing = Standing(status, word)
        if self.standings.get(step) != standing:
            self.standings[step] = standing
            # Told a moment later: what hears of it sets marks too, and must not find itself called again at once.
            self._say(Topic.STANDING)

    def _say(self, topic: Topic, event: Event | None = None) -> None:
        """Tell the listener, many events at once rather than one by one."""
        if event is not None:
            self._events.append(event)
        self._topics.add(topic)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(EVENT_BATCH_SECONDS, self._flushed)

    def _say_now(self) -> None:
        """Tell at once what was waiting to be told together."""
        if self._flush is not None:
            self._flush.cancel()
            self._flushed()

    def _flushed(self) -> None:
        self._flush = None
        events, self._events = self._events, []
        topics, self._topics = frozenset(self._topics), set()
        self._listener(topics, events)

    def say_to_all(self, words: str) -> None:
        """Something worth a word on whatever screen is open."""
        self._listener(frozenset({Topic.SAID}), (NoteEvent(message=words),))

    # Working with the database

    @contextlib.asynccontextmanager
    async def connection(self, purpose: str = "wizard", **server_settings: str) -> AsyncIterator[Connection]:
        """A connection of one's own for the length of a block.

        Raises:
            VagusError: there is no database, it cannot be reached, or the connection broke inside the block.
        """
        if self.database is None:
            raise self.error or VagusError("There is no database yet.", next_step="Wait until it has been started.")
        async with self.database.connection(purpose, **server_settings) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def context(self, purpose: str = "checks", **server_settings: str) -> AsyncIterator[Context]:
        """What checks, gates and remedies work on: a connection of their own and the state read with it.

        Raises:
            VagusError: as `connection`.
            LockedError: the state could not be read, for a lock that somebody holds.
        """
        async with self.connection(purpose, **server_settings) as connection:
            assert self.database is not None
            async with Patience.with_(self.database, connection, self.settings.timezone) as patience:
                state = await patience.through(read_state(connection), partial(self._state_waits, purpose))
            yield Context(self.database, connection, self.settings, state)

    @contextlib.asynccontextmanager
    async def looking(self, purpose: str, **server_settings: str) -> AsyncIterator[Context]:
        """As `context`, for what looks at tables that somebody may have locked: whose lock is waited for is told.

        Raises:
            VagusError: as `connection`.
            LockedError: it waited for too long.
        """
        async with (
            self.context(purpose, **server_settings) as context,
            Patience.with_(context.database, context.connection, self.settings.timezone) as patience,
            patience.within(partial(self._state_waits, purpose)),
        ):
            yield context

    def _state_waits(self, purpose: str, waiting: Waiting | None) -> None:
        self.told_to_wait(purpose, "" if waiting is None else waiting.words(self.settings.timezone))

    def told_to_wait(self, purpose: str, words: str) -> None:
        """Something waits for a lock, of whom and until when; or with "" no more."""
        if words != self.waits.get(purpose, ""):
            self.waits.pop(purpose, None)
            if words:
                self.waits[purpose] = words
            self.changed(Topic.WAITING)


def parse_moment(value: object, timezone: str) -> datetime | None:
    """A planned moment as kept in the journal or the settings; None when there is none or it cannot be read."""
    if not isinstance(value, str) or not value.strip():
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=zone(timezone))
