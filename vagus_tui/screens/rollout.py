"""Rollout: the app's update, its three phases with their criteria, and the guarded clean-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable

from vagus_tui.checks.base import Check
from vagus_tui.checks.base import Group as CheckGroup
from vagus_tui.checks.registry import checks_for
from vagus_tui.events import Event, Status
from vagus_tui.format import duration, moment
from vagus_tui.journal.state import State
from vagus_tui.rollout.app_update import check_folder, keep_outcome
from vagus_tui.runbook.criteria import Criterion
from vagus_tui.runbook.model import Item
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.runbook.rollout import APP_UPDATE, CLEAN_UP, Command, RolloutPhase
from vagus_tui.runbook.timeline import at
from vagus_tui.screens.clean_up_guards import guard_lines, guards, since_cut_over
from vagus_tui.screens.cleanup import CleanUpScreen
from vagus_tui.screens.command_run import CommandRun
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.screens.item_facts import checks_behind, holds, item_entry, item_text, unmet, unmet_lines
from vagus_tui.screens.ticking import let_criterion_pass
from vagus_tui.screens.viewed import ViewedScreen
from vagus_tui.session.leftover import leftover
from vagus_tui.session.session import Topic
from vagus_tui.widgets.checklist import Checklist
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.marks import MARKS
from vagus_tui.widgets.rows import Column, Row, Rows
from vagus_tui.widgets.text import safe, safe_str
from vagus_tui.widgets.views import ViewStrip

COMMANDS = (Column("What"), Column("Run", 20), Column("By", 16, wide_only=72))
MEASURING = (CheckGroup.VERIFICATION, CheckGroup.ACCESS, CheckGroup.PERFORMANCE, CheckGroup.ROLLOUT)
CRITERIA = "criteria"
"""The name under which the checks of criteria run."""
BEARING = frozenset(
    {
        Topic.SIGN_OFFS,
        Topic.OVERRIDES,
        Topic.PLANNED,
        Topic.STATE,
        Topic.CHECKS,
        Topic.BACKUPS,
        Topic.LINK,
        Topic.TEXTS,
    }
)


class RolloutScreen(ViewedScreen):
    """Three views: the app's update, the phases, the clean-up."""

    STEP = Step.ROLLOUT
    VIEWS = (("app", "App update"), ("phases", "Phases"), ("clean-up", "Clean-up"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "run", "run", tooltip="run the selected commands in the checkout of the app, and keep the output"),
        Binding("c", "copy", "copy", tooltip="the selected commands, to be run somewhere else"),
        Binding("r", "run_checks", "measure", tooltip="measure the selected criterion now, or all of its phase's"),
        Binding("o", "let_pass", "let pass", tooltip="go on against the selected criterion, by name and with a reason"),
        Binding("c", "clean_up", "clean up v1", tooltip="its gates, its SQL, and the removal of v1's kept tables"),
        Binding("W", "app.watch", "watch", tooltip="checks that run by themselves: two hours after the cut-over"),
    ]

    FOOTER_FIRST: ClassVar[tuple[str, ...]] = ("select", "run", "copy", "run_checks", "let_pass")

    def compose_views(self) -> ComposeResult:
        """Commands, checklists, guards."""
        with Vertical(id="app", classes="split"):
            yield Rows(COMMANDS, id="commands")
            yield DetailPanel(id="app-detail")
        yield from self.compose_checklist("phases")
        yield from self.compose_checklist("clean-up")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Copying and running are for commands."""
        if action in ("copy", "run"):
            return not self.is_mounted or self.view == "app"
        if action == "run_checks":
            return self.is_mounted and self.view == "phases" and (bool(self._checks_here()) or None)
        if action == "let_pass":
            selected = self.query_one("#phases-list", Checklist).selected if self.is_mounted else None
            return self.is_mounted and self.view == "phases" and (isinstance(selected, Criterion) or None)
        if action == "clean_up":
            if self.session.state is not None and self.session.state.interrupted:
                return self._broke_off
            return self.is_mounted and self.view == "clean-up" and self._in_state(State.MIGRATED)
        return super().check_action(action, parameters)

    @property
    def _broke_off(self) -> bool:
        """Whether a clean-up did: it is told of, and gone on with, in its window."""
        left = leftover(self.session.state)
        return left is not None and left.screen is self.STEP

    def _in_state(self, *states: State) -> bool:
        return self.session.state is not None and self.session.state.state in states

    def reveal(self, ref: str) -> bool:
        """A command of the app's update, or an item of the lists."""
        if self.query_one("#commands", Rows).select(ref):
            self.open_view("app")
            self.call_after_refresh(self.focus_view)
            return True
        return super().reveal(ref)

    def changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        """Bring ticks, dates and guards up to date."""
        if not topics & BEARING:
            return
        planned, zone = self.session.planned, self.session.settings.timezone

        def due(command: Command) -> str:
            return moment(at(command.due, planned), zone) if planned else "a week before"

        self.query_one("#commands", Rows).set_rows(
            [Row(one.id, (one.title, self._ran(one), due(one))) for one in APP_UPDATE]
        )
        self._explain_command()
        phases = self.session.settings.book.phases
        self.fill_checklist("#phases-list", [group for phase in phases for group in phase.groups])
        self.fill_checklist("#clean-up-list", (CLEAN_UP,), guards(self.session))
        self.refresh_item()
        done, total = self.query_one("#phases-list", Checklist).done
        met, of = self.query_one("#clean-up-list", Checklist).done
        strip = self.query_one(ViewStrip)
        strip.say("phases", f"{done} of {total}")
        strip.say("clean-up", f"{met} of {of}")
        self.say(self._phase() or "the app in stages, the data at once")
        state = self.session.state
        moved = state is not None and state.state in (State.MIGRATED, State.CLEANED)
        over = sum(holds(item_entry(self.session, phase.over)) for phase in phases)
        if self._broke_off:
            self.session.set_standing(self.STEP, Status.WARN, "interrupted")
        elif moved and over == len(phases):
            self.session.set_standing(self.STEP, Status.PASS, "done")
        elif moved and done:
            self.session.set_standing(self.STEP, Status.RUNNING, f"phase {min(over + 1, len(phases))} of {len(phases)}")
        else:
            self.session.set_standing(self.STEP, Status.PENDING, "")

    def _phase(self) -> str:
        """Which phase today belongs to, counted from the cut-over, and which should be over by now and is not."""
        since = since_cut_over(self.session)
        if since is None:
            return ""
        day, phases = since.days + 1, self.session.settings.book.phases
        today = next((one for one in phases if one.first_day <= day <= one.last_day), None)
        late = next((one for one in phases if not holds(item_entry(self.session, one.over))), None)
        if today is not None and (late is None or late.number >= today.number):
            share = f"{today.percent} %" if today.percent else "the team"
            return f"day {day}: phase {today.number}, {today.title.lower()}, {share}"
        planned = f"day {day}, for phase {today.number}" if today is not None else f"day {day} since the cut-over"
        return f"{planned}: {'every phase is over' if late is None else f'phase {late.number} is not over'}"

    # The app's update

    @property
    def command(self) -> Command | None:
        """The selected item of the app's update."""
        return next((one for one in APP_UPDATE if one.id == self.query_one("#commands", Rows).selected), None)

    def _ran(self, command: Command) -> Text:
        """How it ended when it was last run, in a word or two."""
        outcome = self.session.now.app_update.get(command.id)
        status = Status.PENDING if outcome is None else Status.PASS if outcome.ok else Status.FAIL
        word = "" if outcome is None else f" {'done' if outcome.ok else 'failed'} in {duration(outcome.seconds)}"
        return Text(f"{MARKS[status]}{word}")

    @on(DataTable.RowHighlighted, "#commands")
    def _explain_command(self) -> None:
        if (command := self.command) is None:
            return
        lines = [
            Content.styled(command.title, "bold"),
            *(safe(f"  {line}", "$accent") for line in command.commands),
            safe(command.why),
        ]
        folder = self.session.settings.app_dir
        where = f"x runs it in {safe_str(folder)}" if folder else "Set VAGUS_APP_DIR to a checkout of the app to run it"
        lines.append(Content.styled(f"{where}; c copies it.", "$text-muted"))
        outcome = self.session.now.app_update.get(command.id)
        if outcome is not None:
            lines.append(Content.styled("The last lines it printed:", "bold $text-muted"))
            lines.extend(safe(line, limit=300) for line in outcome.tail[-12:])
        self.query_one("#app-detail", DetailPanel).show(Content("\n").join(lines))

    def action_clean_up(self) -> None:
        """Open the guarded removal of v1."""
        self.open_window(CleanUpScreen())

    def action_copy(self) -> None:
        """The selected commands."""
        if (command := self.command) is not None:
            self.app.copy_to_clipboard("\n".join(command.commands) + "\n")
            self.notify("Copied.", timeout=2, markup=False)

    def action_run(self) -> None:
        """Run the selected commands, after a question."""
        if (command := self.command) is not None:
            self.attempt(self._run_command(command), group="run")

    async def _run_command(self, command: Command) -> None:
        session, folder = self.session, check_folder(self.session.settings.app_dir)
        body = "\n".join([f"  $ {line}" for line in command.commands] + ["", f"in {folder}. It can be stopped."])
        if not await self.ask(ConfirmDialog(command.title, body, yes="Run it")):
            return
        result = await self.ask(CommandRun(command, folder))
        if result is not None and result.figures is not None:
            async with session.written("app update") as connection:
                await keep_outcome(connection, command, result.figures, operator=session.settings.operator)

    # Criteria

    def show_item(self, item: Item) -> None:
        """An item, and the criteria of the phase it belongs to."""
        guard = guards(self.session).get(item.id) if self.view == "clean-up" else None
        first = guard_lines(self.session, item, guard) if guard is not None else []
        parts = [item_text(self.session, item, guard, first)]
        if (phase := self._phase_of(item)) is not None:
            days = f"day {phase.first_day}" + (f" to {phase.last_day}" if phase.last_day > phase.first_day else "")
            share = f"{phase.percent} % of installations" if phase.percent else "the internal team"
            parts.append(Content.styled(f"Phase {phase.number}: {days}, {share}", "bold $text-muted"))
            parts.extend(unmet_lines(unmet(self.session, item), "Not met: "))
        self.refresh_bindings()
        if self.view == "clean-up":
            done = "v1's tables are gone; only a backup leads back to v1."
            parts.append(Content(done if self._in_state(State.CLEANED) else CLEAN_UP.note))
        panel = self.query_one(f"#{self.view}-detail", DetailPanel)
        panel.show(Content("\n").join(parts))

    def _phase_of(self, item: Item) -> RolloutPhase | None:
        phases = self.session.settings.book.phases
        return next((one for one in phases if item.group in {group.id for group in one.groups}), None)

    def _checks_here(self) -> tuple[Check, ...]:
        """The checks behind the selected criterion; on what begins or ends a phase, those behind all it rests on."""
        item = self.query_one("#phases-list", Checklist).selected
        if item is None or not self._in_state(State.MIGRATED, State.CLEANED):
            return ()
        phase = self._phase_of(item)
        of_phase = [] if phase is None else [one for group in phase.groups for one in group.items]
        asked = [item] if isinstance(item, Criterion) else [one for one in of_phase if one.group in item.after]
        wanted = {check for one in asked for check in checks_behind(self.session, one)}
        return tuple(check for group in MEASURING for check in checks_for(group) if check.id in wanted)

    def action_run_checks(self) -> None:
        """Measure now."""
        if self.session.checking(CRITERIA):
            self.notify("They are being measured.", timeout=2, markup=False)
        elif checks := self._checks_here():
            self.session.start_checks(CRITERIA, checks, self.session.wake)

    def action_let_pass(self) -> None:
        """Go on against a criterion, or take that back."""
        item = self.query_one("#phases-list", Checklist).selected
        if isinstance(item, Criterion):
            self.attempt(let_criterion_pass(self, item), group="tick")
