"""The timeline as rows and bars: the days, the hours and the minutes of the plan, and the run against its forecast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from vagus_tui.backup.forecast import Forecast
from vagus_tui.events import Phase, Status, StepState
from vagus_tui.format import clock, duration
from vagus_tui.journal.progress import StepTimes
from vagus_tui.runbook.timeline import (
    TIMELINE,
    ScheduledEntry,
    Standing,
    TimelineEntry,
    duration_label,
    offset_label,
    schedule,
    standing,
)
from vagus_tui.runbook.timeline import at as instant
from vagus_tui.screens.timeline_facts import Done, phase_times
from vagus_tui.widgets.axis import Bar
from vagus_tui.widgets.gantt import GanttRow, Span

HOUR, DAY = 3600.0, 86400.0
IDLE_SECONDS = 3.0
"""How long no step has to be at work for a stretch to be no part of the run's work."""
RUN_PHASES = (
    (Phase.PREPARE, "Prepare"),
    (Phase.BUILD, "Build v2 beside v1"),
    (Phase.CATCH_UP, "Catch up"),
    (Phase.PROVE, "Prove every row"),
    (Phase.HOLD, "Hold: you decide"),
    (Phase.CUT_OVER, "Cut over"),
    (Phase.SETTLE, "Settle and verify"),
)
STATUS = {
    Standing.DONE: Status.PASS,
    Standing.DUE: Status.WARN,
    Standing.LATE: Status.FAIL,
    Standing.UPCOMING: Status.PENDING,
}
_FILL = {
    Standing.DONE: ("█", "$success"),
    Standing.DUE: ("▓", "$warning"),
    Standing.LATE: ("▓", "$error"),
    Standing.UPCOMING: ("▒", "$text-muted"),
}


@dataclass(frozen=True, slots=True)
class View:
    """One scale of the plan: from and to in seconds around T−0, and how far its labels are apart."""

    id: str
    title: str
    start: float
    end: float
    step: float
    label: str


VIEWS: tuple[View, ...] = (
    View("days", "Days", -7.5 * DAY, 15 * DAY, DAY, "%d %b"),
    View("hours", "Hours", -2.25 * HOUR, 2.5 * HOUR, HOUR / 2, "%H:%M"),
    View("minutes", "Minutes", -2 * 60, 20 * 60, 60, "%H:%M"),
)


def when_words(at: datetime) -> str:
    """`Sun 1 Mar 2026, 22:00`, by the calendar of its own time zone."""
    return f"{at:%a} {at.day} {at:%b %Y, %H:%M}"


def span(view: View, planned: datetime | None, now: datetime, zone: tzinfo) -> Span:
    """The axis of a view: real dates once T−0 is set, offsets before that."""
    here = None if planned is None else planned.astimezone(zone)
    ticks: list[tuple[float, str]] = []
    at = view.start - view.start % view.step
    while at <= view.end:
        if here is None:
            ticks.append((at, offset_label(timedelta(seconds=at)).replace(" days", " d").replace(" day", " d")))
        else:
            # Labels stand where the rows of the same offset begin: whole days keep the time on the clock.
            moment = instant(timedelta(seconds=at), here)
            ticks.append((_apart(moment, here), "T−0" if at == 0 else moment.strftime(view.label)))
        at += view.step
    present = None if here is None else _apart(now, here)
    return Span(view.start, view.end, tuple(ticks), present, 0.0)


def _apart(later: datetime, earlier: datetime) -> float:
    """Seconds that pass between two moments; those of one time zone would be taken apart by the clock."""
    return (later.astimezone(UTC) - earlier.astimezone(UTC)).total_seconds()


def plan_rows(
    view: View, planned: datetime | None, now: datetime, done: Done, rows: Sequence[TimelineEntry] = TIMELINE
) -> list[GanttRow]:
    """The rows of the plan that fall into a view, earliest first."""
    if planned is None:
        ordered = sorted(rows, key=lambda entry: entry.offset)
        return [_unplanned(entry, done) for entry in ordered if _inside(view, entry.offset, entry.duration)]
    entries = [one for one in schedule(planned, rows) if _inside(view, one.entry.offset, one.entry.duration)]
    return [_planned(one, planned, now, done) for one in entries]


def _inside(view: View, offset: timedelta, length: timedelta | None) -> bool:
    start = offset.total_seconds()
    end = view.end if length is None else start + length.total_seconds()
    return end >= view.start and start <= view.end


def _unplanned(entry: TimelineEntry, done: Done) -> GanttRow:
    """Without T-0 nothing is due; what is done is done all the same."""
    how = Standing.DONE if entry.id in done else Standing.UPCOMING
    start = entry.offset.total_seconds()
    end = None if entry.duration is None else start + entry.duration.total_seconds()
    bar = Bar(start, end, *_FILL[how])
    return GanttRow(entry.id, STATUS[how], offset_label(entry.offset), entry.action, entry.owner.value, (bar,))


def _planned(one: ScheduledEntry, planned: datetime, now: datetime, done: Done) -> GanttRow:
    entry = one.entry
    how = standing(one, now, done)
    start = _apart(one.starts_at, planned)
    end = None if one.ends_at is None else _apart(one.ends_at, planned)
    bars = [Bar(start, end, *_FILL[how])]
    if (at := done.get(entry.id)) is not None:
        moment = _apart(at, planned)
        bars.append(Bar(moment, moment, "◆", "bold $success"))
    return GanttRow(entry.id, STATUS[how], offset_label(entry.offset), entry.action, entry.owner.value, tuple(bars))


def entry_lines(entry: TimelineEntry, planned: datetime | None, now: datetime, done: Done, zone: tzinfo) -> list[str]:
    """What there is to say about a row: when by the calendar, how it stands, who, for how long, what to mind."""
    lines = [f"{entry.owner.value}, {duration_label(entry.duration)}, on {entry.screen.label}"]
    if planned is not None:
        [one] = schedule(planned.astimezone(zone), [entry])
        how = standing(one, now, done)
        words = f"{offset_label(entry.offset)} is {when_words(one.starts_at)}: {how.value}"
        at = done.get(entry.id)
        if how is Standing.DONE and at is not None:
            late = _apart(at, one.ends_at or at)
            words += f" {when_words(at.astimezone(zone))}{f', {duration(late)} late' if late > 0 else ', in time'}"
        elif how is Standing.LATE and one.ends_at is not None:
            words += f" by {duration(_apart(now, one.ends_at))}"
        elif how is Standing.UPCOMING:
            words += f", in {duration(_apart(one.starts_at, now))}"
        lines.insert(0, words)
    elif entry.id in done:
        at = done[entry.id]
        lines.insert(0, Standing.DONE.value + (f" {when_words(at.astimezone(zone))}" if at is not None else ""))
    if entry.note:
        lines.append(entry.note)
    return lines


# The run against the clock and against the rehearsal


@dataclass(frozen=True, slots=True)
class PhaseCourse:
    """One phase in seconds since the run began: as rehearsed, and as it is.

    A hold may last for hours: where it would push everything else into a corner, what is drawn of it is shortened.
    `took` is how long a phase really took. What is done again after the hold, such as the proof, is a course `again`.
    """

    phase: Phase
    title: str
    status: Status
    forecast: tuple[float, float] | None
    actual: tuple[float, float] | None
    took: float | None = None
    again: bool = False

    @property
    def key(self) -> str:
        """Tells it from the others."""
        return f"{self.phase.value} again" if self.again else self.phase.value

    @property
    def words(self) -> str:
        """`0:12, rehearsed 0:10`."""
        parts = []
        if self.took is not None:
            parts.append(duration(self.took))
        if self.forecast is not None:
            parts.append(f"rehearsed {duration(self.forecast[1] - self.forecast[0])}")
        return ", ".join(parts) or "not yet"


def idle_stretches(steps: Sequence[StepTimes], now: datetime) -> list[tuple[datetime, datetime]]:
    """When no step was at work within the run: it had broken off and was taken up again, or was paused."""
    found: list[tuple[datetime, datetime]] = []
    reached: datetime | None = None
    for start, end in sorted((step.started_at, step.ended_at or now) for step in steps):
        if reached is not None and (start - reached).total_seconds() > IDLE_SECONDS:
            found.append((reached, start))
        reached = end if reached is None else max(reached, end)
    return found


class WorkClock:
    """Seconds since a run began, without those in which nothing was at work."""

    def __init__(self, steps: Sequence[StepTimes], now: datetime) -> None:
        self.begun = min((step.started_at for step in steps), default=now)
        self.idle = idle_stretches(steps, now)

    def __call__(self, at: datetime) -> float:
        left_out = sum((min(end, at) - start).total_seconds() for start, end in self.idle if start < at)
        return (at - self.begun).total_seconds() - left_out

    @property
    def left_out(self) -> float:
        """Seconds in which nothing was at work."""
        return sum((end - start).total_seconds() for start, end in self.idle)


def left_out_of_hold(steps: Sequence[StepTimes], now: datetime) -> float:
    """Seconds of the hold that are not drawn: it takes at most half as much room as the work before it."""
    times = phase_times(steps, Phase.HOLD)
    if times is None:
        return 0.0
    seconds = WorkClock(steps, now)
    worked = seconds(times[0])
    held = seconds(times[1] or now) - worked
    return max(0.0, held - max(worked / 2, 2.0))


def courses(
    steps: Sequence[StepTimes],
    forecast: Forecast | None,
    now: datetime,
    *,
    broken: bool = False,
    before: Sequence[StepTimes] = (),
) -> list[PhaseCourse]:
    """Every phase of the run, forecast and actual. What goes on is drawn up to now.

    `before`: what was done and then done again, such as the proof after a hold: the former time, a course of its own.
    `broken`: the run has broken off, so that what had no end goes on no longer; `now` is when it was last heard of.
    """
    seconds_at = WorkClock((*before, *steps), now)
    found: list[PhaseCourse] = []
    reached = cut = 0.0
    for phase, title, part, again in _in_order(steps, before):
        seconds = forecast.phase_seconds(phase) if forecast is not None and not again else None
        planned = None if seconds is None else (reached, reached + seconds)
        times = phase_times(part, phase)
        actual, took, status = None, None, Status.PENDING
        if times is not None:
            start, end = times
            actual = (seconds_at(start), seconds_at(end or now))
            took = actual[1] - actual[0]
            actual = (actual[0] - cut, actual[1] - cut)
            if phase is Phase.HOLD:
                cut = left_out_of_hold((*before, *steps), now)
                actual = (actual[0], actual[1] - cut)
            failed = any(step.event.phase is phase and step.event.state is StepState.FAILED for step in part)
            under_way = Status.WARN if broken else Status.RUNNING
            status = Status.FAIL if failed else under_way if end is None else Status.PASS
        found.append(PhaseCourse(phase, title, status, planned, actual, took, again))
        reached += seconds or 0.0
    # In time: what was done again may have begun after the phase that comes next.
    return sorted(found, key=lambda one: (one.actual is None, one.actual or (0.0, 0.0)))


_Part = tuple[Phase, str, Sequence[StepTimes], bool]


def _in_order(steps: Sequence[StepTimes], before: Sequence[StepTimes]) -> Iterator[_Part]:
    """The phases in time, each with its steps; what was done twice comes twice, the second behind its hold."""
    held = phase_times(steps, Phase.HOLD)
    waiting: list[_Part] = []
    for phase, title in RUN_PHASES:
        now = [step for step in steps if step.event.phase is phase]
        former = [step for step in before if step.event.phase is phase]
        yield phase, title, former or now, False
        again = (phase, f"{title}, again", now, True)
        if former and now and held is not None and min(step.started_at for step in now) > held[0]:
            waiting.append(again)
        elif former and now:
            yield again
        if phase is Phase.HOLD:
            yield from waiting


def run_rows(found: Sequence[PhaseCourse]) -> list[GanttRow]:
    """Two rows per phase: what the rehearsal says, and what is."""
    rows: list[GanttRow] = []
    for course in found:
        actual = () if course.actual is None else (Bar(*course.actual, "█", _run_style(course.status)),)
        title = course.title
        rows.append(GanttRow(course.key, course.status, course.phase.value, title, course.words, actual))
        if course.forecast is not None:
            bar = Bar(*course.forecast, "░", "$text-muted")
            rows.append(GanttRow(f"{course.key} forecast", Status.SKIP, "", "  as rehearsed", "", (bar,)))
    return rows


def _run_style(status: Status) -> str:
    return {Status.FAIL: "$error", Status.WARN: "$warning", Status.RUNNING: "$accent"}.get(status, "$success")


def run_span(found: Sequence[PhaseCourse], running: float | None) -> Span:
    """The axis of a run, in minutes and seconds since it began."""
    ends = [bar[1] for course in found for bar in (course.forecast, course.actual) if bar is not None]
    end = max([*ends, running or 0.0, 1.0]) * 1.02
    step = next((one for one in (1, 5, 10, 30, 60, 300, 600, 1800, 3600) if end / one <= 8), 7200)
    ticks = tuple((float(at), clock(at)) for at in range(0, int(end) + 1, step))
    return Span(0.0, end, ticks, running, who="Took")


def minute_plan(
    planned: datetime, done: Mapping[str, datetime | None], zone: tzinfo, rows: Sequence[TimelineEntry] = TIMELINE
) -> list[str]:
    """The plan as text, one line per row, for the clipboard."""
    here = planned.astimezone(zone)
    lines = [f"T−0: {when_words(here)} {here.tzname()}"]
    for one in schedule(here, rows):
        mark = "done" if one.entry.id in done else "open"
        lines.append(
            f"{when_words(one.starts_at)}  {offset_label(one.entry.offset):<12} {one.entry.action}"
            f" · {one.entry.owner.value}, {duration_label(one.entry.duration)} · {mark}"
        )
    return lines


def utc_now() -> datetime:
    """The present, aware."""
    return datetime.now(UTC)
