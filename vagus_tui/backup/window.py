"""The timeline around T-0: what was rehearsed beside what the guide plans, as rows and as text."""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.backup.forecast import Forecast
from vagus_tui.events import Phase
from vagus_tui.runbook.guide_window import GUIDE_OFFLINE, GUIDE_WINDOW

_GUIDE = {row.id: row.duration.total_seconds() for row in GUIDE_WINDOW}


@dataclass(frozen=True, slots=True)
class WindowRow:
    """One row: seconds as the guide plans them and as rehearsed; None where one of them has no such thing."""

    id: str
    title: str
    guide: float | None
    rehearsed: float | None
    note: str = ""


def window_rows(forecast: Forecast) -> tuple[WindowRow, ...]:
    """What happens around T-0, in order. Rows that neither has are left out."""
    phase = forecast.phase_seconds
    rows = (
        WindowRow("dump", "back up", None, forecast.dump_seconds, "as measured on the real server"),
        WindowRow("restore", "restore the backup", None, forecast.restore_seconds),
        WindowRow("maintenance-on", "maintenance mode on", _GUIDE["maintenance-on"], None),
        WindowRow(
            "before",
            "build, catch up, prove",
            _GUIDE["migrate"],
            forecast.seconds_before_cut_over,
            "before T−0; users notice nothing",
        ),
        WindowRow("cut-over", "cut over", None, phase(Phase.CUT_OVER), "T−0"),
        WindowRow("settle", "settle", None, phase(Phase.SETTLE)),
        WindowRow("verify", "verify", _GUIDE["verify"], forecast.verify_seconds),
        WindowRow("deploy", "release the app", _GUIDE["deploy"], None, "in stages, after the move"),
        WindowRow("maintenance-off", "maintenance mode off", _GUIDE["maintenance-off"], None),
        WindowRow(
            "offline", "writes wait, in all", GUIDE_OFFLINE.total_seconds(), forecast.writes_blocked_seconds, "users"
        ),
        WindowRow(
            "rollback",
            "way back: roll back",
            None,
            forecast.rollback_seconds,
            ""
            if forecast.rollback_blocked_seconds is None
            else f"writes wait {forecast.rollback_blocked_seconds:.2f} s",
        ),
    )
    return tuple(row for row in rows if row.guide is not None or row.rehearsed is not None)


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane of the drawing: cells before T-0, from T-0 on while writes wait, and after."""

    name: str
    before: int
    waiting: int

    def drawn(self) -> str:
        """Light while users work on, solid while their writes wait; a wait too short for a cell is a thin line."""
        return "░" * self.before + ("█" * self.waiting or "▏")


def lanes(forecast: Forecast, cells: int) -> tuple[Lane, ...]:
    """Both windows on one scale, so that their lengths can be compared by eye.

    Args:
        cells: how many cells the longest has.
    """
    before = forecast.seconds_before_cut_over or 0.0
    waiting = forecast.writes_blocked_seconds or 0.0
    offline = GUIDE_OFFLINE.total_seconds()
    scale = cells / (before + max(offline, waiting))
    lead = round(before * scale)
    return (
        Lane("guide", 0, round(offline * scale)),
        Lane("rehearsed", lead, round(waiting * scale)),
    )
