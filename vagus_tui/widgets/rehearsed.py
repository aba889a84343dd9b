"""What a rehearsal measured, in words and as a picture: plain text that fits a width, for both faces."""

from __future__ import annotations

from datetime import datetime

from vagus_tui.backup.forecast import Comparison, Forecast
from vagus_tui.backup.window import lanes, window_rows
from vagus_tui.format import ago, duration, size
from vagus_tui.widgets.text import fitted

NARROW = 64


def timeline_lines(forecast: Forecast, width: int = 78) -> list[str]:
    """The rehearsed window beside the guide's: a table, then both drawn on one scale."""
    notes = width >= NARROW
    lines = [f"{'':<23}{'guide':>9}{'rehearsed':>11}"]
    for row in window_rows(forecast):
        guide, ours = ("–" if value is None else duration(value) for value in (row.guide, row.rehearsed))
        line = f"{row.title:<23}{guide:>9}{ours:>11}"
        if notes and row.note:
            line += f"   {row.note}"
        lines.append(fitted(line, width).rstrip())
    if forecast.writes_blocked_seconds is not None:
        lines.append("")
        cells = max(10, width - 12)
        lines.extend(f"{lane.name:<10} {lane.drawn()}" for lane in lanes(forecast, cells))
        lines.append(f"{'':<10} █ writes wait   ░ before T−0, users work on")
    return lines


def space_line(forecast: Forecast) -> str:
    """What the server's disk has to hold on top of v1."""
    if forecast.disk_bytes is None:
        return ""
    log = "" if forecast.wal_bytes is None else f" and writes {size(forecast.wal_bytes)} of log"
    return f"v2 takes {size(forecast.disk_bytes)} beside v1{log}."


def timeline_text(forecast: Forecast, width: int = 78) -> str:
    """The timeline and the space, for the command line."""
    return "\n".join(("", *timeline_lines(forecast, width), "", space_line(forecast)))


def forecast_line(forecast: Forecast, now: datetime | None = None) -> str:
    """One line for a header: what will happen and how old that knowledge is."""
    parts = []
    if (before := forecast.seconds_before_cut_over) is not None:
        parts.append(f"forecast {duration(before)}")
    if forecast.writes_blocked_seconds is not None:
        parts.append(f"writes wait {duration(forecast.writes_blocked_seconds)}")
    return " · ".join((*parts, f"rehearsed {ago(forecast.rehearsed_at, now)}"))


def comparison_lines(found: tuple[Comparison, ...]) -> list[str]:
    """Forecast against actual, a line per phase."""
    lines = [f"{'':<16}{'forecast':>10}{'actual':>10}"]
    for item in found:
        ratio = "" if item.ratio is None else f"   × {item.ratio:.1f}"
        lines.append(f"{item.title:<16}{duration(item.forecast):>10}{duration(item.actual):>10}{ratio}")
    return lines
