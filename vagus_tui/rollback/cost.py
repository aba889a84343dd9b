"""What going back now would cost: rows written since, how long writes wait, and what takes each step back."""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.backup.forecast import latest_forecast
from vagus_tui.database.connection import Connection
from vagus_tui.format import plural, span
from vagus_tui.journal import store
from vagus_tui.rollback.preview import Preview
from vagus_tui.settings import Settings

UNDO = "Undo: until its commit by itself, as a whole; after it, migrate again, which takes the archive up."
"""What takes a quick rollback back."""

TELLING = 2.0
"""Seconds of waiting that are worth a word."""

LOCKED_PER_LOOK = 2.1
"""Finding what was written takes half of the time under the locks, carrying it back and the proof the rest."""


ANSWERS = 22
"""How often a quick rollback waits for an answer of the server's under its locks."""

ANSWERS_LOOKED_FOR = 5
"""How often finding what was written does."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a quick rollback at one moment.

    Args:
        carried: rows written since the cut-over that come back into v1; `archive_only` those that v1 has no place for.
        deleted: rows deleted since, which stay in v1 unless chosen otherwise.
        seconds, blocked_seconds: as rehearsed, on this machine, or as it took the last time; None where neither was.
        rehearsed: it is the rehearsal's.
        expected: how many seconds writes are likely to wait now, by how long it took to find what was written, and
            how long the server's answers take to get here.
    """

    carried: int
    archive_only: int
    deleted: int
    seconds: float | None = None
    blocked_seconds: float | None = None
    rehearsed: bool = True
    expected: float = 0.0

    @property
    def time(self) -> str:
        """How long it takes, as far as it was rehearsed, or done before, and by how much there is to carry back now."""
        now = ""
        if self.expected >= TELLING and self.expected > (self.blocked_seconds or 0):
            now = f" By what was written until now, v2 is closed for about {span(self.expected)}."
        if self.seconds is None:
            unknown = "Not rehearsed, so nobody knows how long it takes"
            return f"{unknown}.{now}" if now else f"{unknown}: seconds, as a rule."
        waits = "" if self.blocked_seconds is None else f", writes wait {span(self.blocked_seconds)} of it"
        known = "Rehearsed: " if self.rehearsed else "The last one took "
        return f"{known}{span(self.seconds)}{waits}; the v1 app's way to users comes on top.{now}"

    @property
    def short(self) -> str:
        """All of it in one sentence, for where there is little room."""
        rows = f"Going back carries {plural(self.carried, 'row')}"
        if self.archive_only:
            rows += f"; {plural(self.archive_only, 'stays', 'stay')} archived"
        if self.deleted:
            rows += f"; {plural(self.deleted, 'deletion is', 'deletions are')} a choice"
        return f"{rows}; {'not rehearsed' if self.seconds is None else span(self.seconds)}."

    def lines(self) -> tuple[str, ...]:
        """For people, one line each."""
        come = plural(self.carried, "row written since the cut-over comes", "rows written since the cut-over come")
        rows = f"{come} back into v1"
        if self.archive_only:
            rows += f"; {self.archive_only:,} stay in the archive until v2 is in place again"
        if self.deleted:
            rows += f"; {self.deleted:,} deleted ones are a choice"
        return (f"{rows}.", self.time, UNDO)


async def cost_of(connection: Connection, settings: Settings, found: Preview) -> Cost:
    """The cost, from what was looked up, and from the newest rehearsal or else the last rollback."""
    left = sum(item.not_expressible for item in found.carried) + sum(found.only_in_v2.values())
    looking = max(0.0, found.seconds - ANSWERS_LOOKED_FOR * found.answer_seconds)
    expected = LOCKED_PER_LOOK * looking + ANSWERS * found.answer_seconds
    forecast = await latest_forecast(connection, settings)
    last = await store.latest_run(connection, "rollback", done=True)
    # One that broke off and was finished later says nothing about how long it takes.
    waited = last.figures.get("writes_waited_seconds") if last is not None else None
    if (forecast is None or forecast.rollback_seconds is None) and last and last.finished_at and waited is not None:
        took = (last.finished_at - last.started_at).total_seconds()
        return Cost(found.total, left, found.deletions, took, waited, rehearsed=False, expected=expected)
    return Cost(
        found.total,
        left,
        found.deletions,
        seconds=forecast.rollback_seconds if forecast else None,
        blocked_seconds=forecast.rollback_blocked_seconds if forecast else None,
        expected=expected,
    )
