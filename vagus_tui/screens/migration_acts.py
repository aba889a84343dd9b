"""What an operator does to a migration: start, resume, clean up, pause, throttle, stop, cut over."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import ClassVar

from textual import on
from textual.content import Content
from textual.widgets import Button

from vagus_tui.events import CheckEvent, Status, StepState
from vagus_tui.format import plural
from vagus_tui.journal import store
from vagus_tui.migration.abandon import abandon
from vagus_tui.migration.gates import GATES, gate_checks, gates, refusal
from vagus_tui.migration.runner import migrate
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens import let_pass
from vagus_tui.screens.blockers import BlockersScreen
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.screens.job_acts import JobActs
from vagus_tui.screens.maintenance_acts import MaintenanceActs
from vagus_tui.screens.migration_words import before_migration, gates_text
from vagus_tui.session.checking import UNCHECKED
from vagus_tui.session.knowledge import Topic
from vagus_tui.widgets.hold_panel import HoldPanel
from vagus_tui.widgets.text import safe_block, safe_str

THROTTLES = (1.0, 0.5, 0.25)
ON_QUIT = "It is stopped and undone: what was built aside is dropped, v1 stays as it is."


class MigrationActs(JobActs, MaintenanceActs):
    """The acts; the screen itself shows what comes of them."""

    # The second is the clean-up after an interrupted one.
    jobs: ClassVar[tuple[str, ...]] = ("migration", "abandon")
    held_back = False
    _gate = ""

    def say(self, summary: Content | str) -> None:
        """While gates are measured, which: whatever else happens on the screen meanwhile must not hide that."""
        super().say(self._gate or summary)

    def show_run(self) -> None:
        """Bring the run's pane up to date."""
        raise NotImplementedError

    @property
    def holding(self) -> bool:
        """Whether it waits for the decision."""
        step = self.job.steps.get("hold") if self.job is not None and self.job.running else None
        return step is not None and step.state in (StepState.STARTED, StepState.PROGRESS) and not self._decided

    @property
    def _decided(self) -> bool:
        return self.job is not None and (self.job.control.decided or self.job.control.cancelled)

    async def measure_gates(self) -> list[CheckEvent]:
        """Measure every gate afresh, and keep the outcomes in the journal."""
        outcomes: list[CheckEvent] = []
        total = len(gate_checks())
        try:
            async with self.session.context("gates") as context:
                async for event in gates(context):
                    if event.status is Status.RUNNING:
                        self._gate = f"gate {len(outcomes) + 1} of {total}: {safe_str(event.title)}"
                        self.say(self._gate)
                    elif event.status is not Status.PENDING:
                        outcomes.append(event)
                        if event.group != GATES:
                            self.session.take_result(event)
                await store.record_checks(context.connection, outcomes, operator=context.settings.operator)
        finally:
            self._gate = ""
        return outcomes

    # Acting

    def action_migrate(self) -> None:
        """Measure the gates, ask, and start."""
        self.attempt(partial(self._start, resuming=False), group="start", exclusive=True)

    def action_resume(self) -> None:
        """Go on with an interrupted run."""
        self.attempt(partial(self._start, resuming=True), group="start", exclusive=True)

    async def _start(self, *, resuming: bool) -> None:
        body = (
            "v2 is built beside v1, brought up to date and proved. Users notice nothing. Then it holds: the cut-over "
            "is yours to decide.\n\nUndo: x stops at any moment before the cut-over and drops what was built; v1 is "
            "not touched."
        )
        yes = "Go on with it" if resuming else "Start, hold before the cut-over"
        if self.session.state is not None and self.session.state.owes_settling:
            yes = "Do the last steps"
            body = (
                "v2 is in place. What is left of the migration is done: references are checked, statistics gathered. "
                "Users notice nothing.\n\nWhat is done by then stays done; the rest can be done later."
            )
            passed = None
        else:
            passed = let_pass.told(self.session, before_migration())
        said = body if passed is None else Content("\n\n").join((Content(body), passed))
        dialog = ConfirmDialog("Migrate to v2", said, yes=yes)
        # The question is there at once, and the gates are measured while it is read.
        measuring = asyncio.create_task(self.measure_gates(), name="gates")

        def measured(task: asyncio.Task[list[CheckEvent]]) -> None:
            if not task.cancelled() and (task.exception() is not None or refusal(task.result())):
                # What is in the way is told in place of the question.
                dialog.answer(True)

        measuring.add_done_callback(measured)
        try:
            outcomes = await measuring if await self.ask(dialog) else None
        finally:
            measuring.cancel()
            await asyncio.gather(measuring, return_exceptions=True)
        self.changed(frozenset(), ())
        if outcomes is None:
            return
        if held := refusal(outcomes):
            await self.tell("Not yet", Content("\n\n").join((safe_block(held), gates_text(outcomes))))
            return
        session = self.session
        database = session.database
        assert database is not None
        self.held_back = False
        session.start_job(
            "migration",
            lambda control: migrate(database, session.settings, control, hold=True),
            title="Migration",
            on_quit=ON_QUIT,
        )

    def action_abandon(self) -> None:
        """Drop what an interrupted run has built."""
        self.attempt(self._abandon, group="start", exclusive=True)

    async def _abandon(self) -> None:
        body = (
            "The unfinished v2 tables and the change capture are dropped. v1 stays exactly as it is. It takes a few "
            "seconds.\n\nUndo: none is needed; a migration can be started again at any time, from the beginning."
        )
        dialog = ConfirmDialog("Clean up the interrupted run", body, yes="Drop what was built", danger=True)
        if not await self.ask(dialog):
            return
        session = self.session
        database = session.database
        assert database is not None
        session.start_job(
            "abandon",
            lambda control: abandon(database, session.settings),
            title="Clean-up",
            on_quit="It is cut off; what is left can be cleaned up again.",
        )

    def action_pause(self) -> None:
        """Pause at the next clean point."""
        if self.job is not None:
            self.job.control.pause()
            self.show_run()
            self.refresh_bindings()

    def action_unpause(self) -> None:
        """Go on after a pause."""
        if self.job is not None:
            self.job.control.resume()
            self.show_run()
            self.refresh_bindings()

    def action_throttle(self) -> None:
        """Full speed, half, a quarter, and round again."""
        if self.job is not None:
            now = THROTTLES.index(self.job.control.throttle) if self.job.control.throttle in THROTTLES else 0
            self.job.control.throttle = THROTTLES[(now + 1) % len(THROTTLES)]
            self.show_run()

    def action_blockers(self) -> None:
        """Who is in the way, with the means to stop them."""
        self.open_window(BlockersScreen())

    def action_stop(self) -> None:
        """Stop and undo."""
        self.attempt(self._stop, group="stop", exclusive=True)

    async def _stop(self) -> None:
        body = "What was built aside is dropped.\n\nv1 stays as it is, and the migration can be started again."
        stop = await self.ask(ConfirmDialog("Stop the migration", body, yes="Stop, v1 untouched", no="Go on"))
        if stop and self.job is not None:
            self.job.control.cancel()
            self.session.changed(Topic.JOB)

    def action_cut_over(self) -> None:
        """The decision: one key alone does not take it. In production the project's name is typed first."""
        go = self.query_one("#hold-go", Button)
        # A button that was just hidden may keep the focus for a moment: only one that is seen counts.
        seen = go.has_focus and not self.held_back
        if not self.holding or self.session.production or seen:
            self.attempt(self._cut_over, group="stop", exclusive=True)
            return
        # Back to what it rests on, with the button under the next press.
        self.held_back = False
        self.show_run()
        self.call_after_refresh(go.focus)

    async def _cut_over(self) -> None:
        if self.job is None or not self.holding:
            return
        if self.session.production:
            body = (
                "One short transaction swaps v1 for v2. Writes wait, never over 3 s; if it cannot get its locks it "
                "is undone as a whole and holds again.\n\nWay back: the quick rollback, which keeps later writes."
            )
            if not await self.confirm_destructive("Cut over now", body, yes="Cut over", no="Keep holding"):
                return
        failing = [gate for gate in self.session.failing(Step.MIGRATION) if gate.id != UNCHECKED.id]
        if failing:
            named = "\n".join(f"✗ {safe_str(gate.title)}: {safe_str(gate.measured, limit=60)}" for gate in failing[:6])
            body = f"They passed when the run began and fail now:\n\n{named}\n\nWhat was proved stays proved."
            question = f"Cut over although {plural(len(failing), 'check fails', 'checks fail')}?"
            if not await self.ask(ConfirmDialog(question, body, yes="Cut over all the same", no="Keep holding")):
                return
        if self.holding and self.job is not None:
            self.job.control.go()
            self.show_run()

    @on(HoldPanel.Decided)
    def _decided_by_button(self, message: HoldPanel.Decided) -> None:
        if message.choice == "go":
            self.attempt(self._cut_over, group="stop", exclusive=True)
        elif message.choice == "stop":
            self.action_stop()
        else:
            self.held_back = True
            self.show_run()
            self.notify("Holding. Changes go on being caught up; c cuts over.", markup=False)
