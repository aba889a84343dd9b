"""The arithmetic that turns the timeline into dates and tells how each row stands. T-0 is the planned cut-over."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from vagus_tui.format import plural
from vagus_tui.runbook.model import DAY, HOUR, MINUTE, T_ZERO, Item
from vagus_tui.runbook.timeline_entries import (
    CLEAN_UP_EARLIEST,
    FINAL_BACKUP_MAX_AGE,
    TIMELINE,
    TimelineEntry,
)

__all__ = [
    "CLEAN_UP_EARLIEST",
    "FINAL_BACKUP_MAX_AGE",
    "TIMELINE",
    "ScheduledEntry",
    "Standing",
    "TimelineEntry",
    "at",
    "duration_label",
    "item_standing",
    "offset_label",
    "schedule",
    "standing",
]


class Standing(StrEnum):
    """How a planned thing stands."""

    DONE = "done"
    DUE = "due"
    LATE = "late"
    UPCOMING = "upcoming"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledEntry:
    """A row of the timeline with its actual time (aware, in the time zone of the planned start)."""

    entry: TimelineEntry
    starts_at: datetime
    ends_at: datetime | None


def at(offset: timedelta, planned_at: datetime) -> datetime:
    """The actual time of an offset from T-0.

    Whole days keep the time on the clock, so "a day before, at 22:00" is 22:00 also when the clocks change in
    between; anything shorter is real elapsed time. A time that the clocks skip moves forward by the gap.

    Raises:
        ValueError: `planned_at` has no time zone.
    """
    zone = planned_at.tzinfo
    if zone is None or planned_at.utcoffset() is None:
        raise ValueError("The planned start has no time zone; give one, as in 2026-03-01T22:00+01:00.")
    if offset and offset % DAY == T_ZERO:
        return (planned_at + offset).astimezone(UTC).astimezone(zone)
    return (planned_at.astimezone(UTC) + offset).astimezone(zone)


def schedule(planned_at: datetime, rows: Iterable[TimelineEntry] = TIMELINE) -> tuple[ScheduledEntry, ...]:
    """The timeline with actual times, earliest first.

    Args:
        planned_at: T-0, aware.
        rows: the timeline, where it is not the runbook's own.

    Raises:
        ValueError: `planned_at` has no time zone.
    """
    entries = []
    for entry in rows:
        start = at(entry.offset, planned_at)
        end = None if entry.duration is None else _elapsed(start, entry.duration)
        entries.append(ScheduledEntry(entry=entry, starts_at=start, ends_at=end))
    return tuple(sorted(entries, key=lambda scheduled: scheduled.starts_at.astimezone(UTC)))


def standing(entry: ScheduledEntry, now: datetime, done: bool | Container[str]) -> Standing:
    """How a scheduled row stands.

    Args:
        entry: the row with its times.
        now: the present, aware.
        done: whether it is done, or the ids of everything that is done.

    Returns:
        late once its time has passed undone; a row without an end is due from its start on.
    """
    finished = done if isinstance(done, bool) else entry.entry.id in done
    return _standing(entry.starts_at, entry.ends_at, now, finished)


def item_standing(item: Item, planned_at: datetime, now: datetime, done: bool) -> Standing | None:
    """How a checklist item stands; None when it is open and has no time of its own.

    An item planned by the day is late a day after its time, any other an hour after.
    """
    if item.due is None:
        return Standing.DONE if done else None
    start = at(item.due, planned_at)
    grace = DAY if item.due and item.due % DAY == T_ZERO else HOUR
    return _standing(start, _elapsed(start, grace), now, done)


def _elapsed(start: datetime, length: timedelta) -> datetime:
    return (start.astimezone(UTC) + length).astimezone(start.tzinfo)


def _standing(start: datetime, end: datetime | None, now: datetime, done: bool) -> Standing:
    # Compared in UTC: two times of one zone would be compared by the clock, wrong in the hour that repeats.
    moment = now.astimezone(UTC)
    if done:
        return Standing.DONE
    if moment < start.astimezone(UTC):
        return Standing.UPCOMING
    if end is None or moment <= end.astimezone(UTC):
        return Standing.DUE
    return Standing.LATE


def offset_label(offset: timedelta) -> str:
    """An offset as the operator reads it: `T−7 days`, `T−0`, `T+5 min`, `T−1 h 30 min`."""
    if not offset:
        return "T−0"
    sign = "−" if offset < T_ZERO else "+"
    return f"T{sign}{_length(abs(offset))}"


def duration_label(duration: timedelta | None) -> str:
    """A planned duration as the operator reads it: `20 min`, `8 h`, `ongoing`."""
    return "ongoing" if duration is None else _length(duration)


def _length(length: timedelta) -> str:
    days, rest = divmod(length, DAY)
    hours, rest = divmod(rest, HOUR)
    minutes, rest = divmod(rest, MINUTE)
    parts = []
    if days:
        parts.append(plural(days, "day"))
    if hours:
        parts.append(f"{hours} h")
    if minutes:
        parts.append(f"{minutes} min")
    if rest or not parts:
        parts.append(f"{rest.total_seconds():g} s")
    return " ".join(parts)
