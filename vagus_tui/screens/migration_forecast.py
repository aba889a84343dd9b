"""What the rehearsal forecast, on the Migration screen: beside the plan, during the run, and against what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.content import Content

from vagus_tui.backup.forecast import Forecast, compare
from vagus_tui.events import Phase
from vagus_tui.format import ago, duration
from vagus_tui.report.timeline import RunTimeline, phase_seconds
from vagus_tui.widgets.job_view import PhaseLine
from vagus_tui.widgets.rehearsed import comparison_lines
from vagus_tui.widgets.text import safe


def plan_words(forecast: Forecast | None) -> str:
    """For the title line above the plan."""
    if forecast is None or forecast.seconds_before_cut_over is None:
        return "not rehearsed"
    waits = forecast.writes_blocked_seconds
    wait = "" if waits is None else f" · writes wait {duration(waits)}"
    return f"forecast {duration(forecast.seconds_before_cut_over)}{wait}"


def run_words(forecast: Forecast | None) -> str:
    """For the title line of a run before its cut-over; empty where nothing was rehearsed."""
    if forecast is None or forecast.seconds_before_cut_over is None:
        return ""
    return f"forecast {duration(forecast.seconds_before_cut_over)}"


def with_forecast(phases: Sequence[PhaseLine], forecast: Forecast | None) -> tuple[PhaseLine, ...]:
    """The phases with what each will take."""
    if forecast is None:
        return tuple(phases)
    lines = []
    for line in phases:
        seconds = forecast.phase_seconds(line.phase)
        words = "" if seconds is None or line.phase is Phase.HOLD else f"about {duration(seconds)}"
        lines.append(replace(line, forecast=words))
    return tuple(lines)


def hold_cost(forecast: Forecast | None) -> str:
    """What the cut-over costs users."""
    if forecast is None or forecast.writes_blocked_seconds is None:
        return "writes and reads wait a moment, 3 s at most"
    return f"writes wait about {duration(forecast.writes_blocked_seconds)} (rehearsed), 3 s at most; reads too"


def hold_back(forecast: Forecast | None) -> str:
    """What the way back takes."""
    if forecast is None or forecast.rollback_seconds is None:
        return "quick rollback, seconds, keeps later writes"
    return f"quick rollback, about {duration(forecast.rollback_seconds)} (rehearsed), keeps later writes"


def against_actual(timeline: RunTimeline | None, forecast: Forecast | None) -> Content:
    """Forecast against actual, of the run that moved this database; empty where nothing was rehearsed before it."""
    if timeline is None or forecast is None or timeline.kind != "migrate":
        return Content("")
    if forecast.rehearsed_at >= timeline.started_at:
        return Content("")
    found = compare(forecast, phase_seconds(timeline.spans), timeline.waited)
    if not found:
        return Content("")
    head = Content.styled(f"Forecast against actual, rehearsed {ago(forecast.rehearsed_at)}", "$text-muted")
    return Content("\n").join((head, safe("\n".join(comparison_lines(found)), lines=True, limit=4000)))
