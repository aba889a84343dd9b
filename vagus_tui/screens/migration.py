"""Migration: the plan with its SQL, the run with its progress, the hold before the cut-over, what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import ContentSwitcher, DataTable, Static

from vagus_tui.backup.forecast import Forecast, latest_forecast
from vagus_tui.database.dependents import Dependent
from vagus_tui.events import Event, Phase
from vagus_tui.format import clock, duration, plural
from vagus_tui.journal.state import DatabaseState, State
from vagus_tui.migration.gates import movable
from vagus_tui.migration.plan import plan_migration
from vagus_tui.migration.steps import Plan, PlanStep
from vagus_tui.report.timeline import RunTimeline, run_timelines
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.schema.v1 import V1Shape
from vagus_tui.screens.cut_off import unread_text
from vagus_tui.screens.dependent_words import dependent_panel, dependent_rows, dependent_text, selected
from vagus_tui.screens.migration_acts import MigrationActs
from vagus_tui.screens.migration_forecast import against_actual, plan_words, run_words, with_forecast
from vagus_tui.screens.migration_words import gates_text, hold_facts, standing_text, standing_title
from vagus_tui.screens.text_view import TextView
from vagus_tui.session.job import Job
from vagus_tui.session.leftover import DROP, FINISH
from vagus_tui.session.session import Link, Topic
from vagus_tui.session.standings import stand_by_state
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.hold_panel import HoldPanel
from vagus_tui.widgets.job_view import JobView, PhaseLine
from vagus_tui.widgets.read_on import ReadOn
from vagus_tui.widgets.rows import Column, Row, Rows
from vagus_tui.widgets.text import safe_block, safe_str, short

PHASES = (
    PhaseLine(Phase.PREPARE, "change capture on the v1 tables", "undo: instant", "change capture"),
    PhaseLine(Phase.BUILD, "v2 beside v1, from one snapshot", "undo: drop it", "v2 beside v1"),
    PhaseLine(Phase.CATCH_UP, "what changed since the snapshot", "undo: drop it", "later changes"),
    PhaseLine(Phase.PROVE, "every row, every column, both ways", "undo: drop it", "rows compared"),
    PhaseLine(Phase.HOLD, "you decide", "undo: drop it"),
    PhaseLine(Phase.CUT_OVER, "one short transaction; writes wait", "undo: automatic", "a transaction"),
    PhaseLine(Phase.SETTLE, "keys validated, statistics, verification", "undo: rollback", "keys, analyze"),
)
WATCHED = tuple(replace(line, what="they decide") if line.phase is Phase.HOLD else line for line in PHASES)
CLEANING = (PhaseLine(Phase.CLEAN_UP, "what was built aside is dropped; v1 is not touched"),)
ROLLING_BACK = (PhaseLine(Phase.ROLLBACK, "v1 comes back, with what was written since"),)
COLUMNS = (Column("Phase", 8), Column("Step"), Column("Rows", 10, right=True), Column("Lock", 24, wide_only=72))
REHEARSED_COLUMNS = (
    Column("Phase", 8),
    Column("Step"),
    Column("Rows", 10, right=True, wide_only=64),
    Column("Forecast", 8, right=True),
    Column("Lock", 24, wide_only=80),
)
"""Steps are told apart by the ends of their names: whatever has nothing to say leaves them its room."""


class MigrationScreen(MigrationActs):
    """Plan, run, hold, outcome: whichever fits where the database stands."""

    STEP = Step.MIGRATION
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "migrate", "migrate"),
        Binding(FINISH, "resume", "go on"),
        Binding("s", "sql", "SQL"),
        Binding("a", "all_sql", "all SQL"),
        Binding("n", "pointing", "points at v1", tooltip="what points at v1, and what becomes of it"),
        Binding("g", "gates", "gates"),
        Binding("c", "cut_over", "cut over"),
        Binding("b", "blockers", "in the way", tooltip="sessions that hold locks, to be cancelled or ended"),
        Binding("space", "pause", "pause"),
        Binding("space", "unpause", "go on"),
        Binding("t", "throttle", "throttle"),
        Binding("x", "stop", "stop, v1 untouched"),
        Binding(DROP, "abandon", "clean up", tooltip="drop what the interrupted run had built aside; v1 is untouched"),
        Binding("f", "maintenance", "maintenance", tooltip="the flag that the app reads, and the write fence"),
        Binding("l", "log", "log"),
        Binding("P", "app.plans", "plans", tooltip="any plan, v1 beside v2"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.plan: Plan | None = None
        self.forecast: Forecast | None = None
        self.timeline: RunTimeline | None = None
        self._forecast_read_for: object = None
        self._planned_for: tuple[object, ...] = ()

    def compose_body(self) -> ComposeResult:
        """One pane per situation."""
        with ContentSwitcher(initial="plan-pane", id="panes"):
            with Vertical(id="plan-pane", classes="split"):
                yield Rows(COLUMNS, id="plan")
                yield DetailPanel(id="plan-detail")
            with Vertical(id="run-pane"):
                yield JobView(PHASES, id="run")
                yield HoldPanel(id="hold")
            with ReadOn(id="stand-pane"):
                yield Static(id="stand")

    def on_mount(self) -> None:
        """Count the time while it runs."""
        self.follow_clock(lambda _: self.show_run())

    # What is the case

    @property
    def interrupted(self) -> bool:
        """Whether a run is open and nobody runs it."""
        state = self.session.state
        # A rollback or a clean-up that broke off is taken up where it belongs.
        ours = state is not None and (state.state is not State.MIGRATED or state.owes_settling)
        return state is not None and state.interrupted and ours and not self.running

    @property
    def plannable(self) -> bool:
        """Whether a migration can be started or taken up from here."""
        state = self.session.state
        return state is not None and state.state is not State.MIGRATED and movable(state)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only the keys that do something now."""
        # Whoever holds the operator's lock is the one who runs it.
        busy = self.session.busy or self.session.now.lock is not None
        if action in ("pause", "unpause"):
            paused = self.job is not None and self.job.control.paused
            return self.stoppable and paused is (action == "unpause")
        if action in ("throttle", "stop"):
            return self.stoppable
        if action == "cut_over":
            return self.holding
        if action == "log":
            return self.job is not None
        if action == "migrate":
            return self.plannable and not busy and not self.interrupted
        if action in ("resume", "abandon"):
            owed = self.session.state is not None and self.session.state.owes_settling
            return self.interrupted and not busy and not (owed and action == "abandon")
        if action in ("sql", "all_sql", "pointing", "gates"):
            # What has just ended is shown, not the plan; then who was in the way is closer at hand.
            return self.plan is not None and self.plannable and not self.running and not self._just_ended()
        return True

    # Showing it

    def changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        """Choose the pane and bring it up to date."""
        state = self.session.state
        if self.running:
            self.show_run()
        elif self.session.watched is not None:
            self._show_watched(self.session.watched)
        elif state is None:
            self._show_stand(unread_text(self.session))
        elif self.plannable and state.state not in (State.BUILDING, State.READY) and not self._just_ended():
            self._show_plan()
        else:
            self._read_forecast(state)
            self._show_stand(self._standing(state))
        stand_by_state(self.session)

    def _read_forecast(self, state: DatabaseState) -> None:
        """After a run the rehearsal is what it is compared with, and what a decision rests on where one is taken up.

        Also in a wizard that did not run it.
        """
        run = None if state.run is None else (state.run.id, state.run.status)
        if (state.state is State.MIGRATED or self.interrupted) and self._forecast_read_for != run:
            self._forecast_read_for = run
            self.read(self._load_forecast, group="forecast")

    async def _load_forecast(self) -> None:
        async with self.session.looking("forecast") as context:
            self.forecast = await latest_forecast(context.connection, context.settings, context.state.shape)
            runs = {timeline.run: timeline for timeline in await run_timelines(context.connection)}
        state = self.session.state
        if state is not None and state.run is not None:
            self.timeline = runs.get(str(state.run.id))
        if state is not None and not self.running and state.state is State.MIGRATED:
            self._show_stand(self._standing(state))

    def _standing(self, state: DatabaseState) -> Content:
        parts = [standing_text(self.session, state, self.job)]
        if state.run is not None and state.state is State.MIGRATED:
            parts.append(against_actual(self.timeline, self.forecast))
        return Content("\n\n").join(part for part in parts if part.plain)

    def reveal(self, ref: str) -> bool:
        """The first step of a phase, the step that fills a table, or the maintenance flag's dialog."""
        kind, _, name = ref.partition(":")
        if kind == "action":
            if name == "maintenance":
                self.action_maintenance()
            return True
        if self.query_one("#panes", ContentSwitcher).current != "plan-pane":
            # What came of it is shown, or how it goes; there is no plan to point into.
            return self.session.state is not None
        steps = self.plan.steps if self.plan is not None else ()
        found = next(
            (
                step.id
                for step in steps
                if (step.phase.value == name if kind == "phase" else step.phase is Phase.BUILD and step.title == name)
            ),
            None,
        )
        table = self.query_one("#plan", Rows)
        table.focus()
        return found is not None and table.select(found)

    def _just_ended(self) -> bool:
        return self.job is not None and not self.job.running and not self.job.ok

    def _pane(self, name: str) -> None:
        switcher = self.query_one("#panes", ContentSwitcher)
        if switcher.current != name:
            switcher.current = name
            self.call_after_refresh(self.focus_first)

    def show_run(self) -> None:
        job = self.job
        self._pane("run-pane")
        view = self.query_one("#run", JobView)
        abandoning = job is not None and job.name == "abandon"
        view.phases = CLEANING if abandoning else with_forecast(PHASES, self.forecast)
        view.show(job)
        panel = self.query_one("#hold", HoldPanel)
        shown = self.holding and not self.held_back
        if shown and not panel.display:
            panel.display = True
            self.call_after_refresh(panel.focus_first)
        panel.display = shown
        facts = hold_facts(self.session, job, self.forecast) if self.holding and job is not None else None
        if shown and facts is not None:
            panel.show(facts)
        if job is not None:
            words = [f"elapsed {job.at}"]
            if not self.holding and (rehearsed := run_words(self.forecast)):
                words.append(rehearsed)
            if job.control.paused:
                # What is under way in the server ends first: half a step would have to be done again.
                at_work = job.current is not None and job.current.phase in (Phase.PREPARE, Phase.BUILD, Phase.PROVE)
                words.append("pausing" if at_work else "paused")
            if job.control.throttle < 1:
                words.append(f"at {job.control.throttle:.0%}")
            if job.running and job.overall is not None and job.overall.yielding and not self.holding:
                words.append("leaves room for the app")
            if job.stopping:
                words = words[:1]
            if not self.holding:
                begun = {step.phase for step in job.steps.values()}
                waits = job.running and Phase.CUT_OVER in begun and Phase.SETTLE not in begun
                words.append("cutting over: writes wait" if waits else "users: no wait")
            else:
                why = facts.why_not if facts is not None else None
                words.append(f"holding: {why.short if why else 'c cuts over'}")
            self.say(" · ".join(words))

    def _show_watched(self, job: Job) -> None:
        """Somebody else's run, as it goes."""
        self._pane("run-pane")
        self.query_one("#hold", HoldPanel).display = False
        view = self.query_one("#run", JobView)
        view.phases = WATCHED if job.name == "migrate" else ROLLING_BACK
        view.show(job)
        # Whose hand is on it is said to the end, however long their name is.
        who = short(job.title, max(12, self.size.width - 62))
        self.say(f"{who} runs it · {clock(job.elapsed)} · you watch")

    def _show_plan(self) -> None:
        self._pane("plan-pane")
        state = self.session.state
        assert state is not None
        # The plan is made anew when what it is made from has changed.
        made_from = (state.state, state.shape, self.session.settings, tuple(self.session.now.evidence.items()))
        if made_from != self._planned_for:
            self._planned_for = made_from
            self.read(self._make_plan, group="plan")
        elif self.plan is not None:
            self._say_plan(self.plan)

    def _say_plan(self, plan: Plan) -> None:
        if self.session.link is Link.DOWN:
            self.say(self.session.down_words)
            return
        cleaned = self.job is not None and self.job.name == "abandon" and self.job.ok
        before = "cleaned up, v1 is as it was" if cleaned else plural(len(plan.steps), "step")
        if cleaned:
            words = [before, "m starts again"]
        elif self.forecast is not None:
            words = [plan_words(self.forecast), "m starts"]
        else:
            words = [before, plan_words(None), "m starts and holds"]
        self.say(" · ".join(words))

    def _show_stand(self, text: Content) -> None:
        self._pane("stand-pane")
        self.say(standing_title(self.session, self.job, interrupted=self.interrupted))
        self.query_one("#stand", Static).update(text)

    async def _make_plan(self) -> None:
        self.say("making the plan")
        try:
            async with self.session.looking("plan") as context:
                plan = await plan_migration(context.connection, context.settings, context.state)
                self.forecast = await latest_forecast(context.connection, context.settings, context.state.shape)
        except Exception:
            self.say("no plan could be made")
            raise
        self.plan = plan
        rehearsed = self.forecast is not None
        steps = [Row(one.id, self._cells(one, rehearsed=rehearsed)) for one in plan.steps]
        self.query_one("#plan", Rows).set_columns(
            REHEARSED_COLUMNS if rehearsed else COLUMNS,
            [*steps, *dependent_rows(plan.dependents, rehearsed=rehearsed)],
        )
        self._explain()
        self._say_plan(plan)
        self.reveal_wanted()
        self.refresh_bindings()

    def _cells(self, step: PlanStep, *, rehearsed: bool) -> tuple[object, ...]:
        return (step.phase.value, step.title, step.rows, *([self._seconds(step)] if rehearsed else []), step.lock)

    def _seconds(self, step: PlanStep) -> str:
        """What the step took in the rehearsal, scaled to the rows there are now."""
        seconds = None if self.forecast is None else self.forecast.step_seconds(step.id)
        return "" if seconds is None else duration(seconds)

    @on(DataTable.RowHighlighted, "#plan")
    def _explain(self) -> None:
        if (dependent := self._selected_dependent()) is not None:
            self.query_one("#plan-detail", DetailPanel).show(dependent_panel(*dependent))
            return
        step = self._selected_step()
        if step is None:
            return
        heading = Content.assemble((safe_str(step.title), "bold"), f" · {step.phase.value}")
        rows = f"\nRows: {step.rows:,}" if step.rows is not None else ""
        facts = safe_block(f"Lock: {step.lock}\nUndo: {step.undo}{rows}", "$text-muted")
        self.query_one("#plan-detail", DetailPanel).show(
            Content("\n").join([heading, facts, Content(""), safe_block(step.sql)])
        )

    def _selected_step(self) -> PlanStep | None:
        selected = self.query_one("#plan", Rows).selected
        return next((step for step in self.plan.steps if step.id == selected), None) if self.plan is not None else None

    def _selected_dependent(self) -> tuple[Dependent, V1Shape] | None:
        if self.plan is None or self.session.state is None or self.session.state.shape is None:
            return None
        dependent = selected(self.plan.dependents, self.query_one("#plan", Rows).selected)
        return None if dependent is None else (dependent, self.session.state.shape)

    # Reading

    def action_pointing(self) -> None:
        """Everything that points at v1, and what becomes of it."""
        if self.plan is not None and self.session.state is not None and self.session.state.shape is not None:
            shown = dependent_text(self.plan.dependents, self.session.state.shape)
            self.open_window(TextView("What points at v1", shown))

    def action_sql(self) -> None:
        """The selected step's SQL in full, or what points at v1."""
        if (dependent := self._selected_dependent()) is not None:
            self.open_window(TextView(dependent[0].title, dependent_text(dependent[:1], dependent[1])))
        if (step := self._selected_step()) is not None:
            self.open_window(TextView(step.title, step.sql, language="sql"))

    def action_all_sql(self) -> None:
        """The whole plan, as psql would run it."""
        if self.plan is not None:
            self.open_window(TextView("The whole plan", self.plan.sql_text(), language="sql"))

    def action_gates(self) -> None:
        """Measure the gates now and say how they stand."""
        self.attempt(self._show_gates, group="gates", exclusive=True)

    async def _show_gates(self) -> None:
        outcomes = await self.measure_gates()
        await self.tell("The gates before a migration", gates_text(outcomes))
