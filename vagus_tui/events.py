"""The typed events that every capability yields and both faces, wizard and command line, consume.

`to_json()` gives the one-object-per-line form that scripts depend on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID


class Status(StrEnum):
    """How a check stands. `ERROR` means that the check itself could not run, which counts as failing."""

    PENDING = "pending"
    RUNNING = "running"
    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"

    @property
    def blocks(self) -> bool:
        """Whether a check in this status holds up what depends on it."""
        return self in (Status.FAIL, Status.ERROR)


class Phase(StrEnum):
    """The phases of a migration and of the other long jobs, in the words of the operator."""

    PREPARE = "prepare"
    BUILD = "build"
    CATCH_UP = "catch-up"
    PROVE = "prove"
    HOLD = "hold"
    CUT_OVER = "cut-over"
    SETTLE = "settle"
    ROLLBACK = "rollback"
    BACKUP = "backup"
    VERIFY = "verify"
    CLEAN_UP = "clean-up"
    REHEARSE = "rehearse"


class StepState(StrEnum):
    """Where one step of a job stands."""

    STARTED = "started"
    PROGRESS = "progress"
    DONE = "done"
    FAILED = "failed"


def jsonable(value: object) -> Any:
    """Turn a value from Python or the database into what `json.dumps` accepts, without losing it."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID | Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, worth telling a person or a script."""

    kind: ClassVar[str] = "event"

    def to_json(self) -> dict[str, Any]:
        """The event as one JSON object; keys that hold nothing are left out."""
        body: dict[str, Any] = {"event": self.kind}
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None:
                body[item.name] = jsonable(value)
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEvent(Event):
    """One check's standing. `seconds` is how long it took; `rows` how many rows offend.

    `value` is the figure to be drawn over time, where `measured` is words about it. `waiting` says, while it runs, for
    whose lock it waits; `message` says so in words.
    """

    kind: ClassVar[str] = "check"

    id: str
    group: str
    title: str
    status: Status
    measured: str | int | float | None = None
    expected: str | int | float | None = None
    overridable: bool = True
    seconds: float | None = None
    rows: int | None = None
    message: str | None = None
    overridden: str | None = None
    value: float | None = None
    waiting: Mapping[str, Any] | None = None


def figure(event: CheckEvent) -> float | None:
    """What is drawn of a check over time: its value, else a measured number, else the milliseconds it took."""
    if event.value is not None:
        return event.value
    if isinstance(event.measured, int | float) and not isinstance(event.measured, bool):
        return float(event.measured)
    return None if event.seconds is None else event.seconds * 1000


def drawn_by_time(event: CheckEvent) -> bool:
    """Whether a check has no figure of its own, so that what is drawn of it is how long it took."""
    return event.value is None and (isinstance(event.measured, bool) or not isinstance(event.measured, int | float))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeEvent(Event):
    """A check that is watched has another outcome than the time before; `measured` is what it is now."""

    kind: ClassVar[str] = "change"

    id: str
    group: str
    title: str
    was: Status
    now: Status
    at: datetime
    measured: str | int | float | None = None

    @property
    def broke(self) -> bool:
        """Whether it holds things up now and did not before."""
        return self.now.blocks and not self.was.blocks

    @property
    def recovered(self) -> bool:
        """Whether it held things up before and does so no more."""
        return self.was.blocks and not self.now.blocks


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundEvent(Event):
    """One round of checks that run again and again: `failing` of `checks` hold things up; the next begins at `next_at`.

    `problem` says why there were no outcomes, where the database could not be asked.
    """

    kind: ClassVar[str] = "round"

    number: int
    checks: int
    failing: int
    seconds: float
    at: datetime
    next_at: datetime
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEvent(Event):
    """One step's progress. `rows` of `total` are done; both count rows (or bytes where `unit` says so)."""

    kind: ClassVar[str] = "step"

    id: str
    phase: Phase
    title: str
    state: StepState
    seconds: float | None = None
    rows: int | None = None
    total: int | None = None
    unit: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent(Event):
    """How far a job is as a whole, and in the phase under way.

    `share` and `phase_share` go from 0 to 1 and never fall within a phase; `rows` of `total` are done in the phase;
    `rate` is rows per second now; `elapsed` and `seconds_left` are seconds. `yielding`: less works at once than could,
    since the app is in use.
    """

    kind: ClassVar[str] = "progress"

    phase: Phase
    share: float
    phase_share: float
    elapsed: float
    seconds_left: float | None = None
    rows: int = 0
    total: int = 0
    rate: float | None = None
    yielding: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusEvent(Event):
    """What the database is and where the migration stands."""

    kind: ClassVar[str] = "status"

    state: str
    server: str | None = None
    database: str | None = None
    environment: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    message: str | None = None
    possible: tuple[str, ...] = ()
    run: Mapping[str, Any] | None = None
    shape: Mapping[str, Any] | None = None
    maintenance: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlEvent(Event):
    """One statement group of a plan, as it would be run."""

    kind: ClassVar[str] = "sql"

    id: str
    phase: Phase
    title: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteEvent(Event):
    """A line worth keeping: a retry, a wait for somebody's lock, a warning."""

    kind: ClassVar[str] = "note"

    message: str
    level: str = "info"
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitEvent(NoteEvent):
    """A note that somebody's lock is waited for: told at once, beside what a command puts out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputEvent(Event):
    """A line that another program printed; a `heading` is the command itself."""

    kind: ClassVar[str] = "output"

    text: str
    heading: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultEvent(Event):
    """The last line of every job: whether it was done, and what came of it."""

    kind: ClassVar[str] = "result"

    ok: bool
    message: str
    state: str | None = None
    next_step: str | None = None
    exit_status: int | None = None
    seconds: float | None = None
    figures: Mapping[str, Any] | None = None
