"""What state the database is in, read from its catalog and journal, never remembered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vagus_tui.database.catalog import read_columns
from vagus_tui.database.connection import Connection
from vagus_tui.journal import store
from vagus_tui.journal.missing_v2 import why_missing
from vagus_tui.journal.schema import asked_once
from vagus_tui.schema import v1, v2
from vagus_tui.schema.helpers import ours
from vagus_tui.schema.v1 import NotV1, V1Shape, recognise

STAGING = "workout_v2"
RESTORING = "workout_v1_restore"
"""Where a rollback from a backup makes v1's tables again, before they are put in place."""
ARCHIVE_PREFIX = "workout_v2_archive_"

OPEN = ("running", "ready", "interrupted")
"""The statuses of a migration that has not ended."""


class State(StrEnum):
    """Where the database stands between v1 and v2."""

    V1 = "v1"
    V1_RENAMED = "v1-renamed"
    BUILDING = "building"
    READY = "ready"
    MIGRATED = "migrated"
    ROLLED_BACK = "rolled-back"
    CLEANED = "cleaned"
    UNKNOWN = "unknown"

    @property
    def words(self) -> str:
        """The state as people read it; scripts get the value."""
        return state_words(self.value)


def state_words(value: str) -> str:
    """A state's value, from a manifest or a report too, as people read it."""
    return value.replace("-", " ")


_WORDS = {"rollback": "A rollback", "restore": "A rollback from a backup", "clean-up": "A clean-up"}


def _owes(run: store.Run) -> bool:
    """Whether a run was committed and then stopped before its last steps."""
    return run.status == "done" and run.finished_at is None


def _taken_up(run: store.Run) -> str:
    """What is done first about a rollback or clean-up that broke off."""
    what = "clean-up" if run.kind == "clean-up" else "rollback"
    return f"finish {what}" if _owes(run) else f"clear {what} away"


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The state, what it was concluded from, and what can be done from there.

    `shape` is v1 wherever v1's tables are: under their own names before, as `*_v1` after the cut-over.
    `reasons` says why an unknown state is unknown. `interrupted` is set when a run is open and nobody runs it.
    `run` is the latest of any kind; `migration` is the one by which v2 comes or came, whatever was tried since.
    `beside` names what stands where v2 would go, though nothing was moved from here.
    """

    state: State
    shape: V1Shape | None = None
    reasons: tuple[str, ...] = ()
    empty: bool = False
    run: store.Run | None = None
    interrupted: bool = False
    possible: tuple[str, ...] = ()
    migration: store.Run | None = None
    beside: tuple[str, ...] = ()

    @property
    def moved_at(self) -> datetime | None:
        """When the migration by which v2 came was done."""
        return self.migration.finished_at if self.migration is not None else None

    @property
    def owes_settling(self) -> bool:
        """Whether a migration broke off after its cut-over: v2 is in place, and its last steps are still to be done."""
        return self.interrupted and self.state is State.MIGRATED and self.run is not None and self.run.kind == "migrate"

    @property
    def summary(self) -> str:
        """The state in one plain sentence."""
        sentences = {
            State.V1: "v1 is in place; nothing has been moved.",
            State.V1_RENAMED: "v1 is in place under *_v1 names; nothing has been moved.",
            State.BUILDING: "v2 is being built aside; v1 is in place and untouched.",
            State.READY: "v2 is built and proved; v1 is in place until you cut over.",
            State.MIGRATED: "v2 is in place; v1 is kept as *_v1 and a rollback is possible.",
            State.ROLLED_BACK: "v1 is in place again; what v2 held is archived.",
            State.CLEANED: "v2 is in place; v1 was removed, so only a backup leads back.",
            State.UNKNOWN: "This is not a database that can be moved from here.",
        }
        text = sentences[self.state]
        if self.state is State.MIGRATED and self.migration is None:
            text = "v2 is in place; v1 is kept as *_v1. No record says how it came, so only a backup leads back."
        if self.beside:
            text = f"v1 is in place under *_v1 names; beside it is what was not made here: {', '.join(self.beside)}."
        if not self.interrupted:
            return text
        if self.owes_settling:
            return f"A migration was interrupted after its cut-over, its last steps are owed. {text}"
        if self.run is not None and self.run.kind in _WORDS:
            owed = "its last steps are owed" if _owes(self.run) else "before it changed anything"
            return f"{_WORDS[self.run.kind]} was interrupted, {owed}. {text}"
        return "A run was interrupted. " + text


_FROM_BACKUP = "rollback from a backup"
_POSSIBLE: dict[State, tuple[str, ...]] = {
    State.V1: ("check", "backup", "migrate"),
    State.V1_RENAMED: ("check", "backup", "migrate"),
    State.BUILDING: ("resume", "clean up"),
    State.READY: ("cut over", "resume", "clean up"),
    State.MIGRATED: ("check", "backup", "rollback", _FROM_BACKUP, "clean up v1"),
    State.ROLLED_BACK: ("check", "backup", "migrate"),
    State.CLEANED: ("check", "backup", _FROM_BACKUP),
    # Whatever was destroyed: the way back that needs nothing of what is left.
    State.UNKNOWN: (_FROM_BACKUP,),
}


def _possible(state: State, *, left: store.Run | None, recorded: bool, empty: bool, beside: bool) -> tuple[str, ...]:
    possible = _POSSIBLE[state]
    if beside:
        # What stands in v2's place has to make room first.
        possible = tuple(act for act in possible if act != "migrate")
    if state is State.UNKNOWN and not empty:
        possible = ("backup", *possible)
    if state is State.MIGRATED and not recorded:
        possible = tuple(act for act in possible if act != "rollback")
    return possible if left is None else (_taken_up(left), *possible)


def _beside(found: Mapping[str, object]) -> tuple[str, ...]:
    """What carries v2's names while v1 carries its later ones: somebody may have begun by hand, and be using it."""
    return tuple(name for name in (*v1.TABLES, *v1.HIERARCHY) if name in found)


def _half_renamed(found: Mapping[str, object]) -> tuple[str, ...]:
    """Why this is neither v1 nor renamed v1, where every table is there under one name or the other."""
    own = [base for base in v1.TABLES if base in found]
    later = [base for base in v1.TABLES if base not in found and base + v1.SUFFIX in found]
    if not own or not later or len(own) + len(later) < len(v1.TABLES):
        return ()
    back = " ".join(f"alter table {base}{v1.SUFFIX} rename to {base};" for base in later)
    return (
        f"Renaming v1's tables was left half done: {', '.join(base + v1.SUFFIX for base in later)} beside "
        f"{', '.join(own)}. Nothing is missing; this takes it back: {back}",
    )


def _put_in_place(run: store.Run | None, done: store.Run, kind: str) -> bool:
    """Whether the last that was done is a migration, or a clean-up after one, so that v2 ought to be there.

    Not if another migration was begun since.
    """
    return done.kind == kind and (run is None or run.id == done.id or run.kind != "migrate")


async def _left_open(connection: Connection, run: store.Run | None) -> tuple[bool, bool]:
    """Whether nobody is at work on a run that is open all the same: a rollback or clean-up, or a settling migration.

    The former was not begun, or was committed and not settled; the latter is past its cut-over.
    """
    if run is None:
        return False, False
    left = run.kind != "migrate" and (run.status == "running" or _owes(run))
    settling = run.kind == "migrate" and run.phase == "settle" and run.status == "running"
    if (left or settling) and await connection.fetchval(_LOCK_HELD, LOCK_KEY):
        return False, False
    return left, settling


async def read_state(connection: Connection) -> DatabaseState:
    """Read the state of the database: one look at the catalog, one at the journal."""
    found = await read_columns(connection)
    # What cannot be read must not crash the reading of the state: a foreign journal reads as none.
    with asked_once():
        run = await store.latest_run(connection, "migrate", "rollback", "restore", "clean-up")
        done = await store.latest_run(connection, "migrate", "rollback", "restore", "clean-up", done=True)
    left, settling = await _left_open(connection, run)
    own, renamed = recognise(found), recognise(found, suffix=v1.SUFFIX)
    v2_in_place = "total_weeks" in found.get(v1.PLANS, {}) and all(name in found for name in v1.HIERARCHY)
    migration = run if run is not None and run.kind == "migrate" else None
    if v2_in_place and migration is None:
        # A rollback that failed, or a clean-up, came after it.
        migration = await store.latest_run(connection, "migrate", done=True)
    # Somebody else's schema of that name is no build of ours.
    staged = bool(await connection.fetchval(f"select {ours(STAGING)}"))

    def conclude(state: State, shape: V1Shape | None = None, **more: object) -> DatabaseState:
        beside = _beside(found) if state is State.V1_RENAMED else ()
        interrupted = bool(more.get("interrupted", left))
        possible = (
            *(("finish migration",) if settling and state is State.MIGRATED else ()),
            *_possible(
                state,
                left=run if left else None,
                recorded=migration is not None,
                empty=bool(more.get("empty")),
                beside=bool(beside),
            ),
        )
        if state in (State.BUILDING, State.READY) and not interrupted:
            # Somebody is at work on it: whoever asks can only look on.
            possible = ()
        return DatabaseState(
            state=state,
            shape=shape,
            run=run,
            interrupted=interrupted,
            reasons=tuple(more.get("reasons", ())),  # type: ignore[arg-type]
            empty=bool(more.get("empty", False)),
            possible=possible,
            migration=migration,
            beside=beside,
        )

    whole = v2_in_place and all(name in found for name in v2.TABLES)
    lost = not whole and not isinstance(own, V1Shape) and not staged
    cleaned = not isinstance(renamed, V1Shape)
    if lost and done is not None and _put_in_place(run, done, "clean-up" if cleaned else "migrate"):
        nothing = not any(name in found for name in (*v2.TABLES, *(base + v1.SUFFIX for base in v1.TABLES)))
        return conclude(State.UNKNOWN, reasons=await why_missing(connection, found, done), empty=nothing)
    if v2_in_place:
        if isinstance(renamed, V1Shape):
            return conclude(State.MIGRATED, renamed, interrupted=left or settling)
        if renamed.empty and done is not None:
            return conclude(State.CLEANED)
        if renamed.empty:
            return conclude(State.CLEANED, reasons=("v2 is here, and no journal says how it came.",))
        return conclude(State.UNKNOWN, reasons=("v2 is in place, but v1's kept tables are damaged.", *renamed.reasons))
    shape = own if isinstance(own, V1Shape) else renamed if isinstance(renamed, V1Shape) else None
    if shape is None:
        assert isinstance(own, NotV1) and isinstance(renamed, NotV1)
        empty = own.empty and renamed.empty
        reasons = _half_renamed(found) or (renamed.reasons if own.empty and not renamed.empty else own.reasons)
        return conclude(State.UNKNOWN, reasons=reasons, empty=empty)
    if staged or (run is not None and run.kind == "migrate" and run.status in OPEN):
        held = bool(await connection.fetchval(_LOCK_HELD, LOCK_KEY))
        state = State.READY if run is not None and run.status == "ready" else State.BUILDING
        return conclude(state, shape, interrupted=not held)
    if done is not None and done.kind in ("rollback", "restore"):
        return conclude(State.ROLLED_BACK, shape)
    return conclude(State.V1_RENAMED if shape.renamed else State.V1, shape)


LOCK_KEY = 7_364_182_251
"""The session advisory lock that keeps a second operator out; any number that nobody else uses."""

_LOCK_HELD = """
select exists(
  select from pg_locks
  where locktype = 'advisory' and granted
    and database = (select oid from pg_database where datname = current_database())
    and (classid::bigint << 32) + objid::bigint = $1 and objsubid = 1)
"""
