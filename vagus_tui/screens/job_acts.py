"""What screens have in common on which a job can be seen at work: stop it, read all that it has said."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.widget import Widget

from vagus_tui.events import NoteEvent, ResultEvent, StepEvent, StepState
from vagus_tui.format import duration
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.screens.text_view import TextView
from vagus_tui.session.job import Job
from vagus_tui.session.knowledge import Topic


class JobActs(WizardScreen):
    """The acts. `jobs` are the names of the jobs that belong to the screen."""

    jobs: ClassVar[tuple[str, ...]]

    @property
    def job(self) -> Job | None:
        """The job of this screen, running or ended."""
        job = self.session.job
        return job if job is not None and job.name in self.jobs else None

    @property
    def running(self) -> bool:
        """Whether it is at work."""
        return self.job is not None and self.job.running

    @property
    def stoppable(self) -> bool:
        """Whether it is at work and nobody has asked it to stop."""
        return self.job is not None and self.job.running and not self.job.stopping

    def follow_clock(self, show: Callable[[Job], object], every: float = 1.0) -> None:
        """Show it again and again, every so many seconds, while it is at work and somebody looks: time goes on."""

        def tick() -> None:
            job = self.job
            if job is not None and job.running and self.is_current:
                show(job)

        self.set_interval(every, tick)

    def action_stop(self) -> None:
        """Stop, after a question."""
        self.attempt(self._stop, group="stop", exclusive=True)

    async def _stop(self) -> None:
        job = self.job
        if job is None or not job.running:
            return
        if await self.ask(ConfirmDialog(f"Stop: {job.title}", job.on_quit, yes="Stop it", no="Go on")):
            job.control.cancel()
            self.session.changed(Topic.JOB)

    def action_log(self) -> None:
        """Everything it has said."""
        if self.job is not None:
            self.open_window(TextView(f"Log: {self.job.title}", job_log(self.job)))


def show_choice(pane: Widget, table: Widget, *, shown: bool) -> None:
    """Show what is chosen from, or hide it while the job runs; when it comes back, its table has the keys again."""
    if shown and not pane.display:
        pane.screen.call_after_refresh(table.focus)
    pane.display = shown


def job_log(job: Job) -> str:
    """Everything a job has said, one line per event; of a step also how many rows and how long."""
    lines: list[str] = []
    for event in job.events:
        if isinstance(event, StepEvent):
            parts = [f"{event.phase.value:<9} {event.state.value:<9} {event.title}"]
            begun = event.state is StepState.STARTED
            if event.rows is not None and not begun:
                parts.append(f"{event.rows:,} {event.unit or 'rows'}")
            if event.seconds is not None and not begun:
                parts.append(duration(event.seconds))
            if event.message:
                parts.append(event.message)
            lines.append("  ".join(parts))
        elif isinstance(event, NoteEvent):
            lines.append(f"{event.level}: {event.message}")
        elif isinstance(event, ResultEvent):
            lines.append(f"{'done' if event.ok else 'failed'}: {event.message}")
    if job.error is not None:
        lines.append(f"ended: {job.error}")
    return "\n".join(lines) or "Nothing yet."
