"""Clean-up: its gates, what would go and what leads back afterwards, the act, how it ended."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from vagus_tui.checks.base import blocking
from vagus_tui.cleanup.gates import gates
from vagus_tui.cleanup.kept import Remains, read_remains
from vagus_tui.cleanup.run import IRREVERSIBLE, clean_up, plan_clean_up
from vagus_tui.events import CheckEvent, Phase, Status
from vagus_tui.format import duration, plural, size
from vagus_tui.journal.state import State
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.acts import override_check
from vagus_tui.screens.cut_off import read_again
from vagus_tui.screens.dialogs import TypedConfirmDialog
from vagus_tui.screens.finishing import FinishActs, interrupted_text
from vagus_tui.screens.job_acts import show_choice
from vagus_tui.screens.let_pass import told
from vagus_tui.screens.messages import SessionChanged
from vagus_tui.screens.text_view import TextView
from vagus_tui.session.job import Job
from vagus_tui.session.leftover import DROP, FINISH
from vagus_tui.widgets.check_table import measured_text
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.job_view import JobView, PhaseLine
from vagus_tui.widgets.marks import MARKS, STYLES, WORDS
from vagus_tui.widgets.outcome import job_outcome
from vagus_tui.widgets.rows import Column, Row, Rows
from vagus_tui.widgets.text import safe, safe_block, safe_str
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

JOB = "clean-up-v1"
FIGURES = ("removed", "bytes", "archives", "way_back")
FINISHING = "finish-clean-up"
PHASES = (PhaseLine(Phase.CLEAN_UP, "v1's tables removed in one transaction", "undo: a backup", "v1's tables go"),)
GATES = (Column("", 1), Column("Gate"), Column("Measured", 20), Column("Expected", 16, wide_only=100))


class CleanUpScreen(FinishActs):
    """The gates above, what the selected one says beside or below, what would go at the bottom."""

    HOME = Step.ROLLOUT
    jobs: ClassVar[tuple[str, ...]] = (JOB, FINISHING)
    AUTO_FOCUS = "#gates"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding(DROP, "clear_away", "clear away", tooltip="what a clean-up that broke off had made aside"),
        Binding(FINISH, "finish", "finish", tooltip="do the last steps of a clean-up that broke off"),
        Binding("c", "clean_up", "clean up", tooltip="when no gate holds it up; the name has to be typed out"),
        Binding("r", "measure", "measure again"),
        Binding("n", "next_problem", "next", tooltip="go to the next gate that holds it up"),
        Binding("a", "archives", "archives", tooltip="remove the archives of earlier rollbacks too, or leave them"),
        Binding("o", "override", "override", tooltip="let the selected gate pass, by name and with a reason"),
        Binding("s", "sql", "SQL"),
        Binding("l", "log", "log"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.archives = False
        self.events: dict[str, CheckEvent] = {}
        self.remains: Remains | None = None
        self.measured = False
        self._measured_after: Job | None = None

    def compose(self) -> ComposeResult:
        """Gates and their detail; the run; what it is about."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("Clean-up")
            yield WaitLine(self.session)
            with Vertical(classes="split", id="choice"):
                yield Rows(GATES, id="gates")
                yield DetailPanel(id="gate-detail")
            yield JobView(PHASES, id="run")
            with VerticalScroll(id="quick-text-scroll", can_focus=True):
                yield Static(id="quick-text")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Measure at once, and count the time while it runs."""
        self.follow_clock(lambda _: self._show())
        self._show()
        self.action_measure()

    # What is the case

    @property
    def possible(self) -> bool:
        """Whether v1's tables are there to be removed."""
        return self.session.state is not None and self.session.state.state is State.MIGRATED

    @property
    def held(self) -> list[CheckEvent]:
        """The gates that hold it up."""
        return blocking(list(self.events.values()))

    @property
    def selected(self) -> CheckEvent | None:
        """The gate under the cursor."""
        return self.events.get(self.query_one("#gates", Rows).selected or "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only the keys that do something now."""
        if not self.is_mounted or action == "back":
            return True
        if action == "log":
            return self.job is not None
        if action in ("clear_away", "finish"):
            return self.can_finish(action)
        if self.running or not self.possible:
            return False
        if action == "clean_up":
            busy = self.session.busy
            return (self.measured and not self.held and not busy) or None
        if action == "override":
            gate = self.selected
            return (gate is not None and (gate.status.blocks or gate.overridden is not None)) or None
        if action == "archives":
            return bool(self.remains is not None and self.remains.archives)
        return True

    # Showing it

    async def _measure(self) -> None:
        self.measured = False
        measured: set[str] = set()
        async with self.session.context("clean-up gates", statement_timeout="0") as context:
            if context.state.state is not State.MIGRATED:
                self.events = {}
                self._show()
                return
            self.remains = await read_remains(context.connection)
            async for event in gates(context, archives=self.archives):
                # Those of before stay on the list until they are measured again: the cursor keeps its gate.
                self.events[event.id] = event
                measured.add(event.id)
                self._show()
        self.events = {gate: event for gate, event in self.events.items() if gate in measured}
        self.measured = True
        self._show()

    @on(SessionChanged)
    def _session_changed(self, message: SessionChanged) -> None:
        self.query_one(HeaderLine).refresh()
        self._show()
        job = self.job
        if job is not None and job.ok and job.name == FINISHING and job is not self._measured_after:
            # What it had left held the gates up.
            self._measured_after = job
            self.action_measure()

    def _show(self) -> None:
        if not self.is_attached:
            return
        job, view = self.job, self.query_one("#run", JobView)
        choosing = not self.running and self.possible
        show_choice(self.query_one("#choice"), self.query_one("#gates"), shown=choosing)
        view.display = self.running
        if job is not None:
            view.show(job)
        self.query_one("#gates", Rows).set_rows(
            [
                Row(
                    event.id,
                    (
                        MARKS[Status.WARN if event.overridden else event.status],
                        event.title,
                        measured_text(event),
                        safe_str(event.expected or "", limit=40),
                    ),
                    "" if event.status is not Status.PENDING else "dim",
                )
                for event in self.events.values()
            ]
        )
        self.query_one("#quick-text", Static).update(self._text(job))
        self.query_one(TitleLine).set_summary(self._summary())
        self._explain()
        self.refresh_bindings()

    def _summary(self) -> str:
        if self.job is not None and self.job.running:
            return f"elapsed {self.job.at}"
        if (left := self.left) is not None:
            return f"interrupted · {left.key}: {left.label.lower()}"
        if not self.possible:
            job = self.job
            return f"done in {duration(job.elapsed)}" if job is not None and job.ok else "nothing to remove"
        if not self.measured:
            return "measuring"
        held = len(self.held)
        return f"{plural(held, 'gate holds', 'gates hold')} it up" if held else "nothing holds it up: c cleans up"

    def _text(self, job: Job | None) -> Content:
        state = self.session.state
        if job is not None and not job.running:
            ended = job_outcome(
                job, only=("removed", "bytes", "archives", "way_back"), read_again=read_again(self.session, job)
            )
            return Content("\n\n").join((ended, *interrupted_text(self.left, state, (ended,))))
        lines = interrupted_text(self.left, state)
        if not self.possible:
            return lines[0] if lines else safe_block(state.summary if state is not None else "")
        lines += self._what_goes()
        if self.remains is not None and self.remains.archives:
            lines.append(
                Content.assemble(("a", "bold $accent"), " keeps them" if self.archives else " removes them too")
            )
        return Content("\n").join(lines)

    def _what_goes(self) -> list[Content]:
        """What would be removed, by name and size, and what of earlier rollbacks would not."""
        lines = [Content(IRREVERSIBLE)]
        if self.remains is None:
            return lines
        names = ", ".join(table.name for table in self.remains.v1)
        lines.append(safe(f"To be removed: {names}, {size(self.remains.bytes)}."))
        archives = self.remains.archives
        if archives and self.archives:
            held = size(sum(table.bytes for tables in archives.values() for table in tables))
            lines.append(
                safe(f"And what v2 held before earlier rollbacks, in {', '.join(archives)}: {held}.", limit=600)
            )
        elif archives:
            lines.append(Content(f"Kept: {plural(len(archives), 'archive')} of earlier rollbacks."))
        return lines

    @on(DataTable.RowHighlighted, "#gates")
    def _explain(self) -> None:
        gate = self.selected
        panel = self.query_one("#gate-detail", DetailPanel)
        if gate is None:
            panel.show(Content(""))
            return
        status, word = (Status.WARN, "overridden") if gate.overridden else (gate.status, WORDS[gate.status])
        head = Content.assemble((f"{MARKS[status]} {word}", STYLES[status]), " · ", safe(gate.title, "bold"))
        parts = [head]
        if gate.message:
            parts.append(safe_block(gate.message))
        if gate.overridden:
            parts.append(safe(f"Overridden: {gate.overridden}"))
        elif gate.status.blocks and not gate.overridable:
            parts.append(Content.styled("This one cannot be overridden.", "$text-muted"))
        panel.show(Content("\n").join(parts))
        self.refresh_bindings()

    # Acting

    def action_measure(self) -> None:
        """Measure every gate."""
        self.read(self._measure, group="measure")

    def action_next_problem(self) -> None:
        """To the next gate that holds it up, round again after the last."""
        listed, gates = list(self.events), self.query_one("#gates", Rows)
        held = {gate.id for gate in self.held}
        here = listed.index(gates.selected) + 1 if gates.selected in listed else 0
        found = next((gate for gate in (*listed[here:], *listed[:here]) if gate in held), None)
        if found is None:
            self.notify("No gate holds it up.", markup=False)
        else:
            gates.select(found)

    def action_archives(self) -> None:
        """Remove the archives too, behind a gate of their own; or leave them."""
        self.archives = not self.archives
        self.action_measure()

    def action_override(self) -> None:
        """Let the selected gate pass."""
        if (gate := self.selected) is not None:
            self.attempt(self._override(gate), group="override")

    async def _override(self, gate: CheckEvent) -> None:
        await override_check(self, gate)
        await self._measure()

    def action_sql(self) -> None:
        """The plan, as psql would run it."""
        if self.remains is not None:
            text = plan_clean_up(self.remains, archives=self.archives).sql_text()
            self.open_window(TextView("Clean-up", text, language="sql"))

    def action_clean_up(self) -> None:
        """Ask for the name, and do it."""
        self.attempt(self._clean_up, group="start", exclusive=True)

    async def _clean_up(self) -> None:
        session, database = self.session, self.session.database
        if database is None or self.held or not self.measured:
            return
        archives = self.archives and self.remains is not None and bool(self.remains.archives)
        parts = [*self._what_goes(), Content("The gates are measured once more before anything goes.")]
        if (passed := told(session, self.events)) is not None:
            parts.append(passed)
        body = Content("\n").join(parts)
        title, yes = "Remove v1", "Remove v1's tables"
        if archives:
            title, yes = "Remove v1 and the archives", "Remove them all"
        if not await self.ask(TypedConfirmDialog(title, body, expected=session.project, yes=yes, no="Keep them")):
            return
        session.start_job(
            JOB,
            lambda control: clean_up(database, session.settings, control, archives=archives),
            title="Clean-up",
            on_quit="Before the commit nothing is removed; after it the last steps are done by the next start.",
        )

    def action_back(self) -> None:
        """Back to where it was opened; a running clean-up goes on."""
        if self.is_active:
            self.dismiss(None)
