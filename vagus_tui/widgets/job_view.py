"""A long job as it goes: its phases, the steps of the one under way, how fast, how much longer, and its notes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from vagus_tui.errors import CancelledByOperatorError
from vagus_tui.events import NoteEvent, Phase, Status, StepEvent, StepState
from vagus_tui.format import clock, duration, number, plural, size
from vagus_tui.session.job import Job
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.read_on import ReadOn
from vagus_tui.widgets.sparks import sparkline
from vagus_tui.widgets.text import fitted

SAMPLE_SECONDS = 0.5
SAMPLES = 40
NOTES_SHOWN = 3
LONGEST_NOTE = 400
STEPS_SHOWN = 8
TOOK_WIDTH = 8
WIDE = 76
"""From so many cells on, a phase's forecast stays beside what it took."""
_STATUS = {
    StepState.STARTED: Status.RUNNING,
    StepState.PROGRESS: Status.RUNNING,
    StepState.DONE: Status.PASS,
    StepState.FAILED: Status.FAIL,
}
_LEVELS = {"warning": "$warning", "error": "$error"}


@dataclass(frozen=True, slots=True)
class PhaseLine:
    """One phase of a job.

    Attributes:
        what: what happens in it; `short` is the same where there is little room.
        undo: how it is undone or what it costs, for the right end.
        forecast: how long it took when it was rehearsed, in words.
    """

    phase: Phase
    what: str
    undo: str = ""
    short: str = ""
    forecast: str = ""


def bar(done: float, width: int) -> str:
    """A bar of so many cells, filled to the share `done`, 0 to 1, in half cells."""
    halves = round(max(0.0, min(1.0, done)) * width * 2)
    full, half = divmod(halves, 2)
    return "█" * full + "▌" * half + "░" * (width - full - half)


def _percent(share: float) -> str:
    """Four cells; 100 % only for the whole."""
    return f"{int(min(max(share, 0.0), 1.0) * 100):>3}%"


def amount(count: int | None, unit: str | None) -> str:
    """Rows with separators, bytes as sizes."""
    return size(count) if unit == "bytes" else number(count)


class Pace:
    """How fast a job moves: samples of its total, the rate they give, and how long the rest takes."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES + 1)

    def sample(self, total: int, now: float) -> None:
        """Take a sample; a total that falls belongs to another phase and starts afresh."""
        if self._samples and total < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((now, total))

    @property
    def rates(self) -> list[float]:
        """Amount per second between one sample and the next."""
        pairs = zip(self._samples, list(self._samples)[1:], strict=False)
        return [(b[1] - a[1]) / max(b[0] - a[0], 0.001) for a, b in pairs]

    @property
    def rate(self) -> float:
        """Amount per second over the last few samples."""
        if len(self._samples) < 2:
            return 0.0
        recent = list(self._samples)[-11:]
        return (recent[-1][1] - recent[0][1]) / max(recent[-1][0] - recent[0][0], 0.001)

    def eta(self, left: int) -> str:
        """How much longer, or nothing while that cannot be said."""
        return f"ETA {clock(left / self.rate)}" if self.rate > 0 and left > 0 else ""


class JobView(ReadOn):
    """The lines of a job. `show` on every change; it draws itself again while the job runs."""

    def __init__(self, phases: Sequence[PhaseLine], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.phases = tuple(phases)
        self.job: Job | None = None
        self._paces: dict[Phase, Pace] = {}

    def compose(self) -> ComposeResult:
        """One block of text."""
        yield Static(id="job-text")

    def on_mount(self) -> None:
        """Follow the clock."""
        self.set_interval(SAMPLE_SECONDS, self._tick)

    def show(self, job: Job | None) -> None:
        """Show this job, or nothing."""
        if job is not self.job:
            self._paces = {}
        self.job = job
        self.redraw()

    def on_resize(self) -> None:
        """The bars follow the width."""
        self.redraw()

    def _tick(self) -> None:
        if self.job is None or not self.job.running or not self.is_on_screen:
            return
        overall = self.job.overall
        if overall is not None and overall.total:
            if not self.job.control.paused:
                self._paces.setdefault(overall.phase, Pace()).sample(overall.rows, time.monotonic())
        elif (step := self.job.current) is not None:
            done, _, _ = self._totals(step.phase)
            self._paces.setdefault(step.phase, Pace()).sample(done, time.monotonic())
        self.redraw()

    def _steps(self, phase: Phase) -> list[StepEvent]:
        return [] if self.job is None else [step for step in self.job.steps.values() if step.phase is phase]

    def _totals(self, phase: Phase) -> tuple[int, int, str | None]:
        steps = self._steps(phase)
        done = sum(step.rows or 0 for step in steps)
        total = sum(max(step.total or 0, step.rows or 0) for step in steps)
        return done, total, next((step.unit for step in steps if step.unit), None)

    def status(self, phase: Phase) -> Status:
        """How a phase stands: a later one that has begun means that it is done."""
        steps = self._steps(phase)
        known = [line.phase for line in self.phases]
        after = known[known.index(phase) + 1 :] if phase in known else []
        if not steps:
            # What an earlier attempt has done is not told again.
            return Status.PASS if any(self._steps(later) for later in after) else Status.PENDING
        statuses = [_STATUS[step.state] for step in steps]
        if Status.FAIL in statuses:
            return Status.FAIL
        if Status.RUNNING in statuses:
            return Status.RUNNING if self.job is not None and self.job.running else self._broken_off()
        current = self.job.current if self.job is not None else None
        if self.job is not None and self.job.running and current is None and not any(self._steps(p) for p in after):
            return Status.RUNNING
        return Status.PASS

    def _broken_off(self) -> Status:
        """How what was under way at the end of the job stands: it failed, unless it was not alone, or was stopped."""
        job = self.job
        failed = job is not None and (job.error is not None or (job.result is not None and not job.result.ok))
        if job is None or not failed or isinstance(job.error, CancelledByOperatorError):
            return Status.SKIP
        under_way = [step for step in job.steps.values() if _STATUS[step.state] is Status.RUNNING]
        return Status.FAIL if len(under_way) == 1 else Status.SKIP

    def redraw(self) -> None:
        """Draw every line again."""
        if not self.is_mounted:
            return
        width = max(40, self.scrollable_content_region.width or self.size.width or 60)
        lines = self._overall(width)
        for line in self.phases:
            lines.extend(self._phase(line, width))
        if self.job is not None and self.job.notes:
            lines.append(Content(""))
            *earlier, last = list(self.job.notes)[-NOTES_SHOWN:]
            lines.extend(self._note(note, width) for note in earlier)
            # Who is in the way stands at its end: the last one is shown whole.
            lines.append(self._note(last, max(width, LONGEST_NOTE)))
        self.query_one("#job-text", Static).update(Content("\n").join(lines))

    def _overall(self, width: int) -> list[Content]:
        """One line on the whole, for a job that says how far it is, until it waits or is over."""
        overall = self.job.overall if self.job is not None and self.job.running else None
        if overall is None or self.status(overall.phase) is not Status.RUNNING:
            return []
        left = (
            "" if not overall.seconds_left or overall.seconds_left < 1 else f"about {clock(overall.seconds_left)} left"
        )
        words = f"{_percent(overall.share)}  {left}"
        return [Content.assemble((f"  {'in all':<11}", "bold"), (bar(overall.share, 20), "$accent"), "  ", words)]

    def _phase(self, line: PhaseLine, width: int) -> list[Content]:
        status = self.status(line.phase)
        steps = self._steps(line.phase)
        seconds = sum(step.seconds or 0.0 for step in steps if step.state is StepState.DONE)
        if self.job is not None and line.phase in self.job.spans:
            # Steps run side by side: what counts is from the first to the last of them.
            began, ended = self.job.spans[line.phase]
            seconds = ended - began
        took = duration(seconds) if status is Status.PASS and seconds else ""
        tail = self._tail(line, took, width)
        room = max(0, width - 14 - len(tail) - 1)
        what = line.what if len(line.what) <= room else line.short or line.what
        lines = [
            Content.assemble(
                (MARKS[status], STYLES[status]),
                " ",
                (f"{line.phase.value.replace('-', ' '):<11}", "bold" if status is Status.RUNNING else ""),
                (fitted(what, room), "$text-muted" if status is Status.PENDING else ""),
                " ",
                (tail, "$text-muted"),
            )
        ]
        # A hold is explained by the panel that offers the choice.
        if status in (Status.RUNNING, Status.FAIL, Status.SKIP) and line.phase is not Phase.HOLD:
            lines.extend(self._progress(line.phase, width))
            lines.extend(self._step_lines(steps, width))
        return lines

    def _tail(self, line: PhaseLine, took: str, width: int) -> str:
        """The right end; the time has its place before it is known, so that nothing moves when it comes."""
        forecast = max(len(one.forecast) for one in self.phases)
        if width >= WIDE:
            # So that one stands below the other, whatever the last column says.
            undo = max(len(one.undo) for one in self.phases)
            parts = [took.rjust(TOOK_WIDTH), line.forecast.ljust(forecast), line.undo.ljust(undo)]
        else:
            # What was forecast gives way to what it took.
            undo = max(len(one.undo) for one in self.phases)
            parts = [(took or line.forecast).rjust(max(TOOK_WIDTH, forecast)), line.undo.ljust(undo)]
        return "  ".join(part for part in parts if part)

    def _progress(self, phase: Phase, width: int) -> list[Content]:
        done, total, unit = self._totals(phase)
        overall = self.job.overall if self.job is not None else None
        if overall is not None and overall.phase is phase and overall.total:
            done, total, share = overall.rows, overall.total, overall.phase_share
        elif overall is not None and not overall.total:
            # What each step counts is something else; how long all of them take is said once, above.
            # Where there is but one phase, its bar would say the same once more.
            share, alone = overall.phase_share, len(self.phases) == 1
            return self._bar(share, _percent(share), width) if overall.phase is phase and not alone else []
        elif total <= 0:
            return []
        elif any(_STATUS[step.state] is Status.RUNNING and not step.total for step in self._steps(phase)):
            # Of what is under way nobody knows the size: what is done is not the whole, whatever was announced so far.
            return [Content(f"    {amount(done, unit)} so far")]
        else:
            share = done / total
            overall = None
        pace = self._paces.get(phase, Pace())
        # Who knows how far the whole is says how long it takes, too.
        eta = "" if overall is not None else pace.eta(total - done)
        words = f"{_percent(share)}  {amount(done, unit)} of {amount(total, unit)}  {eta}".rstrip()
        lines = self._bar(share, words, width)
        if len(rates := pace.rates) > 2:
            what = f"{size(pace.rate)}/s" if unit == "bytes" else f"{number(round(pace.rate))} rows/s"
            lines.append(Content.assemble("    ", (sparkline(rates[-(width - 24) :]), "$accent"), f"  {what}"))
        return lines

    def _bar(self, share: float, words: str, width: int) -> list[Content]:
        cells = max(8, min(40, width - len(words) - 8))
        return [Content.assemble("    ", (bar(share, cells), "$accent"), "  ", words)]

    def _step_lines(self, steps: Sequence[StepEvent], width: int) -> list[Content]:
        """The steps of a phase side by side, as many as fit; a failed one with its message on its own line."""
        lines: list[Content] = []
        line = Content("   ")
        finished = sum(step.state is StepState.DONE for step in steps)
        if len(steps) > STEPS_SHOWN and finished > 1:
            # Those that are over are only counted, so that those under way stay in view.
            steps = [step for step in steps if step.state is not StepState.DONE]
            line += Content.assemble(" ", (MARKS[Status.PASS], STYLES[Status.PASS]), f" {plural(finished, 'step')} ")
        for step in steps:
            status = _STATUS[step.state]
            if status is Status.RUNNING and self.job is not None and not self.job.running:
                status = self._broken_off()
            count = amount(step.rows, step.unit) if step.rows else ""
            entry = Content.assemble(
                " ", (MARKS[status], STYLES[status]), " ", fitted(step.title, 40).rstrip(), f" {count}".rstrip(), " "
            )
            if line.cell_length + entry.cell_length > width and line.cell_length > 3:
                lines.append(line)
                line = Content("   ")
            line = line + entry
            if step.message and (status is Status.FAIL or (status is Status.RUNNING and len(steps) == 1)):
                lines.append(line)
                lines.append(Content.styled("      " + fitted(step.message, width - 6), STYLES[status]))
                line = Content("   ")
        if line.cell_length > 3:
            lines.append(line)
        return lines

    def _note(self, note: NoteEvent, width: int) -> Content:
        return Content.styled(fitted(note.message, width), _LEVELS.get(note.level, "$text-muted"))
