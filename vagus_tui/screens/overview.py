"""Overview: which database this is, where it stands, what is planned, what it costs, and what comes next."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import ClassVar

import asyncpg
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Static

from vagus_tui.backup.forecast import Forecast, latest_forecast
from vagus_tui.errors import VagusError
from vagus_tui.events import Event
from vagus_tui.journal.state import State
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens import overview_text as text
from vagus_tui.screens.base import StepScreen
from vagus_tui.screens.let_pass import in_force
from vagus_tui.screens.override_list import OverridesScreen
from vagus_tui.screens.planning import ask_planned_moment
from vagus_tui.session.leftover import BUILT, DROP, FINISH, leftover
from vagus_tui.session.session import Link, Topic
from vagus_tui.session.standings import overview_standing
from vagus_tui.session.way_on import next_screen, next_words
from vagus_tui.widgets.marks import STYLES
from vagus_tui.widgets.pointer import ActButton

AGE_SECONDS = 30.0


def _relabel(button: Button, label: str) -> None:
    """Give a button another label, and the room for it: by itself it keeps its width, and a longer label vanishes."""
    if str(button.label) != label:
        button.label = Content(label)
        button.refresh(layout=True)


class OverviewScreen(StepScreen):
    """The first screen, and the one that Escape leads back to."""

    STEP = Step.OVERVIEW
    FOOTER_FIRST: ClassVar[tuple[str, ...]] = (
        "press",
        "clean_up",
        "finish",
        "overrides",
        "plan",
        "app.guide",
        "app.timeline",
        "app.plans",
    )

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "retry", "look again", tooltip="connect and read the state again"),
        Binding("t", "plan", "set T−0", tooltip="the planned start of the cut-over"),
        Binding("G", "app.guide", "guide", tooltip="every item of the guide, and how it stands"),
        Binding("T", "app.timeline", "timeline", tooltip="what is due when, drawn on the calendar"),
        Binding("P", "app.plans", "plans", tooltip="any plan, v1 beside v2, and what its user sees"),
        Binding("o", "overrides", "overrides", tooltip="what was let pass by name, since when; take one back"),
        Binding(DROP, "clean_up", "clean up", tooltip="drop what the interrupted run had made aside"),
        Binding(FINISH, "finish", "finish", tooltip="do the last steps of the interrupted run"),
        Binding("down,j", "scroll(1)", "Scroll down", show=False),
        Binding("up,k", "scroll(-1)", "Scroll up", show=False),
        Binding("pagedown", "scroll(10)", "Page down", show=False),
        Binding("pageup", "scroll(-10)", "Page up", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.forecast: Forecast | None = None

    def compose_body(self) -> ComposeResult:
        """The state and the next act stay in view; the rest scrolls."""
        with Vertical(id="overview-top"):
            yield Static(id="where")
            with Horizontal(id="next"):
                yield ActButton("", id="go", compact=True)
                yield ActButton("", id="other", compact=True)
        with VerticalScroll(id="overview-scroll", can_focus=False), Horizontal(id="columns"):
            with Vertical(id="left"):
                yield Static(id="server", classes="section")
                yield Static(id="data", classes="section")
                yield Static(id="estimate", classes="section")
                yield Static(id="run", classes="section")
            with Vertical(id="right"):
                yield Static(id="shape", classes="section")
                yield Static(id="timeline", classes="section")
                yield Static(text.risks(self.session), id="risks", classes="section")

    def on_mount(self) -> None:
        """Ages are told here."""
        self.set_interval(AGE_SECONDS, self._grow_older)

    def reveal(self, ref: str) -> bool:
        """How long it takes."""
        self.query_one("#estimate").scroll_visible(animate=False, top=True)
        return True

    def changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        """Fill every paragraph from what is known."""
        session = self.session
        parts: dict[str, Content] = {}
        if topics & {Topic.LINK, Topic.STATE, Topic.COUNTS, Topic.LOCK, Topic.MAINTENANCE, Topic.OVERRIDES}:
            parts |= {
                "where": text.where_things_stand(session),
                "server": text.server(session),
                "data": text.data(session),
                "shape": text.shape(session),
                "run": text.last_run(session),
                "estimate": text.estimate(session, self.forecast),
            }
        if topics & {Topic.BACKUPS, Topic.LINK} and session.state is not None:
            self.read(self._read_forecast, group="forecast")
        if topics & {Topic.PLANNED, Topic.SIGN_OFFS, Topic.LINK}:
            parts["timeline"] = text.timeline(session)
        for name, content in parts.items():
            self.query_one(f"#{name}", Static).update(content)
        self.query_one("#overview-scroll").display = session.database is not None and session.link is not Link.DOWN
        self._offer()
        self._say_state()

    async def _read_forecast(self) -> None:
        """What a rehearsal has measured, if there was one; without it the estimates stand alone."""
        with contextlib.suppress(VagusError, asyncpg.PostgresError):
            async with self.session.context("forecast") as context:
                # Scaling counts rows, and a count holds a lock that somebody's cut-over would have to wait for.
                shape = context.state.shape if self.session.now.lock is None else None
                self.forecast = await latest_forecast(context.connection, context.settings, shape)
            if self.is_attached:
                self.query_one("#estimate", Static).update(text.estimate(self.session, self.forecast))

    def _say_state(self) -> None:
        status, words = overview_standing(self.session)
        self.session.set_standing(self.STEP, status, words)
        self.say(Content.styled(words, STYLES[status]))

    def _grow_older(self) -> None:
        """What is said to be so long ago is longer ago by now."""
        if self.is_current and self.session.link is Link.UP:
            self.query_one("#where", Static).update(text.where_things_stand(self.session))
            self.query_one("#run", Static).update(text.last_run(self.session))

    # The next act

    def _offer(self) -> None:
        go, other = self.query_one("#go", Button), self.query_one("#other", Button)
        step = next_screen(self.session)
        state = self.session.state
        left = leftover(state)
        label = ""
        if step is not None and state is not None:
            label = f"Next: {next_words(step, state.state)}"
            if state.state in (State.BUILDING, State.READY):
                looking = "Back to the migration" if self.session.lock_ours else "Watch the migration"
                label = "Resume the migration" if left is not None else looking
        elif self.session.link is Link.DOWN or (state is not None and state.state is State.UNKNOWN):
            label = "Try again"
        go.display = bool(label)
        other.display = left is not None
        _relabel(go, label)
        _relabel(other, left.label if left is not None else "")
        if go.display and self.focused is None and self.is_current:
            go.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that make no sense now are left out."""
        state = self.session.state
        if action in ("clean_up", "finish"):
            left = leftover(state)
            return left is not None and left.key == (DROP if action == "clean_up" else FINISH)
        if action == "back":
            # This is where it would lead.
            return False
        if action == "overrides":
            return bool(in_force(self.session))
        if action == "plan":
            # Once v1 is gone, nothing is planned any more.
            settled = state is None or state.state in (State.UNKNOWN, State.CLEANED)
            return not settled and self.session.link is not Link.DOWN
        return True

    @on(Button.Pressed, "#go")
    def _go(self) -> None:
        step = next_screen(self.session)
        if step is None:
            self.action_retry()
        elif leftover(self.session.state) is BUILT:
            # It asks before it does anything, where it can be watched.
            self.attempt(self.wizard.action_elsewhere(step.value, "resume"))
        else:
            self.wizard.action_go(step.value)

    @on(Button.Pressed, "#other")
    def action_clean_up(self) -> None:
        """Do what is done about the interrupted run, where it is at home and can be watched."""
        if (left := leftover(self.session.state)) is not None:
            self.attempt(self.wizard.action_elsewhere(left.screen.value, left.action))

    def action_finish(self) -> None:
        """The same for one that owes its last steps."""
        self.action_clean_up()

    def action_overrides(self) -> None:
        """What was let pass by name."""
        self.open_window(OverridesScreen())

    def action_retry(self) -> None:
        """Connect, or read the state, again."""
        if self.session.link is Link.UP:
            self.session.wake()
            self.notify("Reading the state again.", timeout=2, markup=False)
        else:
            self.session.connect()

    def action_plan(self) -> None:
        """Set T−0."""
        self.attempt(ask_planned_moment(self))

    def action_scroll(self, amount: int) -> None:
        """Scroll the paragraphs, wherever the focus is."""
        self.query_one("#overview-scroll", VerticalScroll).scroll_relative(y=amount, animate=False)
