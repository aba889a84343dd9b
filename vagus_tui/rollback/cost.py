"""What going back now would cost: rows written since, how long writes wait, and what takes each step back."""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.backup.forecast import latest_forecast
from vagus_tui.database.connection import Connection
from vagus_tui.journal.state import DatabaseState
from vagus_tui.rollback.quick_plan import Preview, preview
from vagus_tui.settings import Settings


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a quick rollback at one moment.

    Args:
        carried: rows written since the cut-over that come back into v1; `archive_only` those that v1 has no place for.
        deleted: rows deleted since, which stay in v1 unless chosen otherwise.
        seconds, blocked_seconds: as rehearsed, on this machine; None where nothing was rehearsed.
    """

    carried: int
    archive_only: int
    deleted: int
    seconds: float | None = None
    blocked_seconds: float | None = None

    def lines(self) -> tuple[str, ...]:
        """For people, one line each."""
        rows = f"{self.carried:,} rows written since the cut-over come back into v1"
        if self.archive_only:
            rows += f"; {self.archive_only:,} stay in the archive until v2 is in place again"
        if self.deleted:
            rows += f"; {self.deleted:,} deleted ones are a choice"
        if self.seconds is None:
            time = "Nothing was rehearsed, so nobody knows how long it takes: seconds, as a rule."
        else:
            waits = "" if self.blocked_seconds is None else f", writes wait {self.blocked_seconds:.1f} s of it"
            time = f"Rehearsed: {self.seconds / 60:.1f} min{waits}; the v1 app's way to users comes on top."
        return (
            f"{rows}.",
            time,
            "Undo: until its commit by itself, as a whole; after it, migrate again, which takes the archive up.",
        )


def cost_of(found: Preview, *, seconds: float | None = None, blocked_seconds: float | None = None) -> Cost:
    """The cost, from what was looked up."""
    left = sum(item.not_expressible for item in found.carried) + sum(found.only_in_v2.values())
    return Cost(found.total, left, found.deletions, seconds, blocked_seconds)


async def read_cost(connection: Connection, settings: Settings, state: DatabaseState) -> Cost:
    """Measure what a quick rollback would cost now.

    Raises:
        RefusedError: there is nothing to roll back.
    """
    found = await preview(connection, state)
    forecast = await latest_forecast(connection, settings)
    if forecast is None:
        return cost_of(found)
    return cost_of(found, seconds=forecast.rollback_seconds, blocked_seconds=forecast.rollback_blocked_seconds)
