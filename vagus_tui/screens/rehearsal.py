"""Rehearsal: the whole migration and the way back on one restored backup; how far it is, and what it forecasts."""

from __future__ import annotations

import asyncio
import textwrap
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from vagus_tui.backup.forecast import Forecast, parse_forecast, read_forecast
from vagus_tui.backup.listing import BackupInfo
from vagus_tui.backup.rehearsal import rehearse
from vagus_tui.backup.rehearsal_stages import STAGES, Stage
from vagus_tui.events import CheckEvent, Phase, Status, StepEvent, StepState
from vagus_tui.format import clock, duration, moment, number
from vagus_tui.screens.job_acts import JobActs
from vagus_tui.screens.messages import SessionChanged
from vagus_tui.session.job import Job
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.outcome import job_outcome
from vagus_tui.widgets.rehearsed import forecast_line, space_line, timeline_lines
from vagus_tui.widgets.text import fitted, safe, safe_block, safe_str
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

JOB = "rehearse"
WARNINGS_SHOWN = 3
_TITLE_WIDTH = 28
_STATUS = {
    StepState.STARTED: Status.RUNNING,
    StepState.PROGRESS: Status.RUNNING,
    StepState.DONE: Status.PASS,
    StepState.FAILED: Status.FAIL,
}
_EXPLAINED = (
    "Restores this backup into a PostgreSQL of its own on this machine, and on that copy runs the checks, the whole "
    "migration with its proof, writes by real users, the rollback that carries them back, and the migration again. "
    "The real database is not touched; it is told the result. What it takes is the forecast for the real run."
)


def job_title(info: BackupInfo) -> str:
    """What the rehearsal of a backup is called."""
    return f"Rehearsal on {safe_str(info.path.name, limit=60)}"


def stage_line(stage: Stage, job: Job | None, past: Forecast | None, width: int) -> Content:
    """A stage: its mark, what came of it or where it is, and how long it took."""
    step = job.steps.get(f"rehearse-{stage.id}") if job is not None else None
    status, words, seconds = Status.PENDING, "", None
    if step is not None:
        status = _STATUS[step.state]
        words, seconds = step.message or "", step.seconds
        if status is Status.RUNNING:
            assert job is not None
            if not job.running:
                status, words = Status.SKIP, "stopped"
            else:
                words = _inside(job, stage)
    elif job is None and past is not None:
        done = next((known for known in past.stages if known.id == stage.id), None)
        if done is not None:
            status = Status.PASS if done.ok else Status.FAIL
            words, seconds = done.message, done.seconds
    took = "" if seconds is None or status is Status.RUNNING else duration(seconds)
    room = max(1, width - _TITLE_WIDTH - 12)
    # What came of it is read to its end; why it failed stands below, and what goes on changes too often.
    words, *further = (textwrap.wrap(safe_str(words), room) if status is Status.PASS else [words]) or [""]
    return Content.assemble(
        (MARKS[status], STYLES[status]),
        " ",
        (fitted(stage.title, _TITLE_WIDTH), "bold" if status in (Status.RUNNING, Status.FAIL) else ""),
        (fitted(words, room), "" if status is Status.FAIL else "$text-muted"),
        (f"{took:>9}", "$text-muted"),
        *((f"\n{'':{_TITLE_WIDTH + 2}}{line}", "$text-muted") for line in further),
    )


def _inside(job: Job, stage: Stage) -> str:
    """The step at work inside a stage, and how far it is; of a migration, how far the whole is."""
    overall = job.overall
    if overall is not None and stage.id.startswith("migrate"):
        left = "" if overall.seconds_left is None else f", about {clock(overall.seconds_left)} left"
        return f"{overall.share:.0%}{left}, {overall.phase.value.replace('-', ' ')}"
    if checking := _checks(job, stage):
        return checking
    steps = [step for step in job.steps.values() if step.phase is not Phase.REHEARSE]
    inner = next((step for step in reversed(steps) if step.state in (StepState.STARTED, StepState.PROGRESS)), None)
    if inner is None:
        return "…"
    return f"{inner.phase.value.replace('-', ' ')}: {inner.title}{_share(inner)}"


def _checks(job: Job, stage: Stage) -> str:
    """`12 of 40: Orphaned exercises`, where the stage consists of checks."""
    known: dict[str, CheckEvent] = {}
    for event in reversed(job.events):
        if isinstance(event, StepEvent) and event.id == f"rehearse-{stage.id}":
            break
        if isinstance(event, CheckEvent):
            known.setdefault(event.id, event)
    done = sum(event.status not in (Status.PENDING, Status.RUNNING) for event in known.values())
    now = next((event.title for event in known.values() if event.status is Status.RUNNING), "")
    return f"{done} of {len(known)}{f': {now}' if now else ''}" if known else ""


def _share(step: StepEvent) -> str:
    if not step.rows or not step.total:
        return ""
    return f" {step.rows / step.total:.0%}" if step.unit == "bytes" else f" {number(step.rows)} rows"


class RehearsalScreen(JobActs):
    """The stages above, and below what the rehearsal is for, how it ended, or its timeline beside the guide's."""

    jobs: ClassVar[tuple[str, ...]] = (JOB,)
    AUTO_FOCUS = "#rehearsal-scroll"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("r", "rehearse", "rehearse", tooltip="on this backup, restored into a local database"),
        Binding("x", "stop", "stop"),
        Binding("l", "log", "log"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, info: BackupInfo) -> None:
        super().__init__()
        self.info = info
        self.past: Forecast | None = None

    def compose(self) -> ComposeResult:
        """Stages, then text."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("Rehearsal")
            yield WaitLine(self.session)
            yield Static(id="stages")
            with VerticalScroll(id="rehearsal-scroll", can_focus=True):
                yield Static(id="rehearsal-text")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Read what was measured before, and count the time while one runs."""
        self.follow_clock(lambda _: self._show(), every=0.5)
        self.read(self._load, group="load")
        self._show()

    # What is the case

    @property
    def job(self) -> Job | None:
        """The rehearsal on this backup, running or ended."""
        job = super().job
        return job if job is not None and job.title == job_title(self.info) else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only the keys that do something now."""
        busy = self.session.busy
        if action == "stop":
            return self.stoppable
        if action == "log":
            return self.job is not None
        if action == "rehearse":
            return False if self.running else None if busy else True
        return True

    # Showing it

    async def _load(self) -> None:
        self.past = await asyncio.to_thread(read_forecast, self.info.path)
        self._show()

    @on(SessionChanged)
    def _session_changed(self, message: SessionChanged) -> None:
        self.query_one(HeaderLine).refresh()
        self._show()

    def on_resize(self) -> None:
        """The lines follow the width."""
        self._show()

    def _show(self) -> None:
        if not self.is_attached:
            return
        job, width = self.job, max(50, self.size.width - 2)
        lines = [stage_line(stage, job, self.past, width) for stage in STAGES]
        self.query_one("#stages", Static).update(Content("\n").join(lines))
        self.query_one("#rehearsal-text", Static).update(self._text(job, width - 2))
        name = safe_str(f"{self.info.path.parent.name}/{self.info.path.name}", limit=60)
        words = f"{name} · {job.at}" if job is not None else name
        self.query_one(TitleLine).set_summary(words)
        self.refresh_bindings()

    def _text(self, job: Job | None, width: int) -> Content:
        if job is not None and job.running:
            return Content(f"The real database is not touched. {_EXPLAINED.rpartition('. ')[2]}")
        parts: list[Content] = []
        forecast = self.past
        if job is not None:
            parts.append(job_outcome(job, only=()))
            # Such as that the real database could not be told of it: the stages say nothing of that.
            warnings = [note for note in job.notes if note.level == "warning"][-WARNINGS_SHOWN:]
            parts.extend(safe_block(note.message, STYLES[Status.WARN]) for note in warnings)
            if job.result is not None:
                forecast = parse_forecast(job.result.figures) or forecast
        if forecast is None:
            if job is None:
                parts.append(Content(_EXPLAINED))
                parts.append(Content.assemble(("r", "bold $accent"), " rehearses on this backup."))
            return Content("\n\n").join(parts)
        if job is None:
            when = moment(forecast.rehearsed_at, self.session.settings.timezone)
            whole = "to its end" if forecast.complete else "but not to its end"
            parts.append(safe(f"Rehearsed {when}, {whole}, on PostgreSQL {forecast.server_major}.", "$text-muted"))
        if forecast.seconds_before_cut_over is not None:
            if job is not None:
                parts.append(safe(forecast_line(forecast), "bold"))
            parts.append(safe("\n".join(timeline_lines(forecast, width)), lines=True, limit=8000))
            parts.append(safe(space_line(forecast)))
        return Content("\n\n").join(parts)

    # Acting

    def action_rehearse(self) -> None:
        """Begin."""
        info, settings = self.info, self.session.settings
        self.past = None
        self.session.start_job(
            JOB,
            lambda control: rehearse(info.path, settings, control),
            title=job_title(info),
            on_quit="The local copy is removed; the backup and the real database stay as they are.",
        )

    def action_scroll(self, lines: int) -> None:
        """One line."""
        self.query_one("#rehearsal-scroll", VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_back(self) -> None:
        """Back to the backups; a rehearsal goes on."""
        if self.is_active:
            self.dismiss(None)
