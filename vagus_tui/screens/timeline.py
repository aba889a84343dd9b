"""The timeline: what is due when and by whom, drawn on a real calendar; during a run, the run against its forecast."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from vagus_tui.backup.forecast import Forecast, latest_forecast
from vagus_tui.events import Status
from vagus_tui.format import ago, clock, duration
from vagus_tui.journal.store import run_words
from vagus_tui.runbook.timeline import Standing as Stands
from vagus_tui.runbook.timeline import TimelineEntry, schedule, standing
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.messages import SessionChanged
from vagus_tui.screens.overview_text import NOT_READ
from vagus_tui.screens.planning import ask_planned_moment
from vagus_tui.screens.timeline_facts import done_entries
from vagus_tui.screens.timeline_rows import (
    VIEWS,
    PhaseCourse,
    WorkClock,
    courses,
    entry_lines,
    left_out_of_hold,
    minute_plan,
    plan_rows,
    run_rows,
    run_span,
    span,
    utc_now,
    when_words,
)
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.gantt import Gantt
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.text import safe
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.views import ViewStrip
from vagus_tui.widgets.wait_line import WaitLine
from vagus_tui.zones import zone

RUN = "run"
NEAR_SECONDS = 3 * 3600
TICK_SECONDS = 1.0


class TimelineScreen(WizardScreen):
    """Days, hours and minutes around T−0 with bars, and the run itself beside its rehearsal."""

    HELP: ClassVar[str] = (
        "The plan from a week before T−0, the cut-over, to two weeks after it, on the calendar of your time zone. "
        "Bars: full is done, ◆ when it was done; dotted is planned; the line is now. Some rows are done by evidence "
        "(a restored backup, the cut-over itself), the others are ticked by people. “Run” draws the migration's phases "
        "against those of the rehearsal."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("v", "next_view", "next view"),
        Binding("t", "plan", "set T−0"),
        Binding("space", "tick", "tick"),
        Binding("c", "copy", "copy the plan"),
    ]
    AUTO_FOCUS = "#gantt"

    def __init__(self, at: str = "") -> None:
        """`at` is the row that the cursor is put on, in the first view that has it."""
        super().__init__()
        self.at = at
        self.view = VIEWS[0].id
        self.forecast: Forecast | None = None

    @property
    def rows(self) -> tuple[TimelineEntry, ...]:
        """The runbook's timeline, with the operator's own changes."""
        return self.session.settings.book.timeline

    def compose(self) -> ComposeResult:
        """Views, rows with bars, the selected row in words."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("Timeline")
            yield WaitLine(self.session)
            yield ViewStrip([*((view.id, view.title) for view in VIEWS), (RUN, "Run")])
            yield Gantt(id="gantt")
            yield Static("", id="timeline-detail")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Open the view that fits the moment."""
        if self.session.watched is not None or self.session.busy:
            self._open(RUN)
        elif (planned := self.session.now.planned_at) is not None:
            self._open("hours" if abs((planned - utc_now()).total_seconds()) < NEAR_SECONDS else "days")
        self.draw()
        if self.at:
            self._reveal(self.at)
        self.read(self._read_forecast, group="forecast")
        self.set_interval(TICK_SECONDS, self.draw)

    async def _read_forecast(self) -> None:
        async with self.session.context("forecast") as context:
            # Scaling counts rows, and a count holds a lock that a cut-over would have to wait for.
            quiet = self.session.now.lock is None
            shape = context.state.shape if quiet else None
            self.forecast = await latest_forecast(context.connection, context.settings, shape)
        self.draw()

    @on(SessionChanged)
    def _changed(self) -> None:
        self.query_one(HeaderLine).refresh()
        self.draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A run's phases are not ticked."""
        if action == "tick":
            return self.view != RUN
        if action == "copy":
            return self.session.now.planned_at is not None
        return True

    # Drawing

    def draw(self) -> None:
        """Bring everything up to now."""
        if not self.is_mounted or not self.is_current:
            return
        if self.view == RUN:
            self._draw_run()
        else:
            self._draw_plan()
        self._say()
        self._explain()

    def _draw_plan(self) -> None:
        view = next(one for one in VIEWS if one.id == self.view)
        planned, now = self.session.planned, utc_now()
        rows = plan_rows(view, planned, now, done_entries(self.session), self.rows)
        self.query_one(Gantt).show(rows, span(view, planned, now, self._zone))

    @property
    def _zone(self) -> tzinfo:
        return zone(self.session.settings.timezone)

    @property
    def _broken(self) -> bool:
        """Whether the run has broken off, and nobody is at it."""
        return self.session.state is not None and self.session.state.interrupted

    @property
    def _present(self) -> datetime:
        """Up to when the run is drawn: now, or when one that has broken off was last heard of."""
        heard = [step.heard_at for step in self.session.now.steps if step.heard_at is not None]
        return max(heard) if self._broken and heard else utc_now()

    def _courses(self) -> list[PhaseCourse]:
        now = self.session.now
        return courses(now.steps, self.forecast, self._present, broken=self._broken, before=now.done_before)

    def _draw_run(self) -> None:
        found = self._courses()
        self.query_one(Gantt).show(run_rows(found), run_span(found, self._drawn()))

    def _elapsed(self) -> float | None:
        """Seconds since the run began, while it goes on."""
        state, steps = self.session.state, self.session.now.steps
        if state is None or state.run is None or state.run.finished_at is not None or not steps or self._broken:
            return None
        return (utc_now() - min(step.started_at for step in steps)).total_seconds()

    def _drawn(self) -> float | None:
        """Where now is on the axis, which leaves out most of a long hold, and when nothing was at work."""
        if self._elapsed() is None:
            return None
        steps, now = (*self.session.now.done_before, *self.session.now.steps), utc_now()
        return WorkClock(steps, now)(now) - left_out_of_hold(steps, now)

    def _say(self) -> None:
        planned = self.session.planned
        if planned is None:
            unset = "T−0 is not set: t sets it" if self.session.state is not None else NOT_READ
            self.query_one(TitleLine).set_summary(Content(unset))
            return
        now = utc_now()
        done = done_entries(self.session)
        stands = [standing(one, now, done) for one in schedule(planned, self.rows)]
        late, due = stands.count(Stands.LATE), stands.count(Stands.DUE)
        left = (planned - now).total_seconds()
        count = f"T−0 in {duration(max(left, 0.1))}" if left > 0 else f"T+{duration(-left)}"
        parts = [Content(f"{when_words(planned)} {planned.tzname()} · {count}")]
        if late:
            parts.append(Content.styled(f"{MARKS[Status.FAIL]} {late} late", STYLES[Status.FAIL]))
        if due:
            parts.append(Content.styled(f"{MARKS[Status.WARN]} {due} due", STYLES[Status.WARN]))
        self.query_one(TitleLine).set_summary(Content(" · ").join(parts))

    def _explain(self) -> None:
        row = self.query_one(Gantt).selected
        if row is None:
            return
        if self.view == RUN:
            self.query_one("#timeline-detail", Static).update(self._run_words())
            return
        entry = next((one for one in self.rows if one.id == row.key), None)
        if entry is None:
            return
        done = done_entries(self.session)
        lines = entry_lines(entry, self.session.now.planned_at, utc_now(), done, self._zone)
        body = [safe(entry.action, "bold"), *(safe(line) for line in lines)]
        self.query_one("#timeline-detail", Static).update(Content("\n").join(body))

    def _run_words(self) -> Content:
        running = self._elapsed()
        lines: list[Content] = []
        row = self.query_one(Gantt).selected
        key = "" if row is None else row.key.removesuffix(" forecast")
        course = next((one for one in self._courses() if one.key == key), None)
        if course is not None:
            lines.append(Content.assemble((course.title, "bold"), f": {course.words}"))
        run = self.session.state.run if self.session.state is not None else None
        if run is not None and run.kind != "migrate":
            latest = run_words(run.kind)
            lines.append(Content(f"The latest run is a {latest}; the report draws the migration before it."))
        elif not self.session.now.steps:
            lines.append(Content("No run has been followed here yet; it is drawn as it goes."))
        elif running is not None:
            lines.append(Content.assemble(("Running ", "bold"), clock(running)))
        elif self._broken:
            when = f"It has broken off, {ago(self._present)}, and nobody is at it; Migration goes on with it."
            lines.append(Content.styled(when, STYLES[Status.WARN]))
        if left_out := WorkClock((*self.session.now.done_before, *self.session.now.steps), self._present).left_out:
            lines.append(Content(f"Left out: {duration(left_out)} in which nothing was at work."))
        if self.forecast is None:
            lines.append(Content.styled("No rehearsal: a rehearsal on Backup gives the forecast.", "$text-muted"))
        else:
            before = self.forecast.seconds_before_cut_over
            words = f"Rehearsed {ago(self.forecast.rehearsed_at)}"
            if before is not None:
                words += f": {duration(before)} until it holds"
            if self.forecast.writes_blocked_seconds is not None:
                words += f", writes wait {duration(self.forecast.writes_blocked_seconds)}"
            lines.append(Content(words + "."))
        return Content("\n").join(lines)

    @on(Gantt.At)
    def _at(self) -> None:
        self._explain()

    # Acts

    def _reveal(self, ref: str) -> None:
        gantt = self.query_one(Gantt)
        for view in (self.view, *(one.id for one in VIEWS)):
            if view != RUN:
                self._open(view)
                self._draw_plan()
                if any(row.key == ref for row in gantt.items):
                    gantt.select(ref)
                    break
        self._explain()

    def _open(self, view: str) -> None:
        self.view = view
        self.query_one(ViewStrip).open(view)
        self.refresh_bindings()

    @on(ViewStrip.Chosen)
    def _chosen(self, message: ViewStrip.Chosen) -> None:
        self._open(message.view)
        self.draw()

    def action_next_view(self) -> None:
        """Days, hours, minutes, the run."""
        self._open(self.query_one(ViewStrip).following)
        self.draw()

    @on(Gantt.Opened)
    def _opened(self, message: Gantt.Opened) -> None:
        entry = next((one for one in self.rows if one.id == message.item.key), None)
        screen = entry.screen.value if entry is not None else "migration"
        if self.is_active:
            self.dismiss(None)
            self.wizard.action_go(screen)

    def action_plan(self) -> None:
        """Set T−0."""
        self.attempt(ask_planned_moment(self))

    def action_tick(self) -> None:
        """Tick or untick the selected row in one's own name."""
        row = self.query_one(Gantt).selected
        if row is not None:
            self.attempt(self._tick(row.key), group="tick")

    async def _tick(self, entry: str) -> None:
        signed = self.session.now.sign_offs.get(entry)
        ticked = signed is not None and signed.ticked
        if not ticked and entry in done_entries(self.session):
            self.notify("It is done by evidence; there is nothing to tick.", markup=False)
            return
        await self.session.sign(entry, ticked=not ticked)

    def action_copy(self) -> None:
        """The whole plan as text, to the terminal's clipboard."""
        planned = self.session.now.planned_at
        if planned is not None:
            self.app.copy_to_clipboard(
                "\n".join(minute_plan(planned, done_entries(self.session), self._zone, self.rows))
            )
            self.notify("Plan copied.", timeout=2, markup=False)

    def action_back(self) -> None:
        """Back to where it was opened."""
        if self.is_active:
            self.dismiss(None)
