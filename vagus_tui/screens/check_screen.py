"""A step that is a table of checks: runs them, shows them live, explains the selected one.

Subclasses give `sections()`; everything else (run, override, SQL, rows, detail) is here. `RUN` names the run in the
session, so that it goes on when the screen is left and is found again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from vagus_tui.checks.base import Check, Group
from vagus_tui.events import CheckEvent, Event, Status
from vagus_tui.format import every
from vagus_tui.screens.acts import override_check
from vagus_tui.screens.base import StepScreen
from vagus_tui.screens.check_detail import CheckDetail
from vagus_tui.screens.text_view import TextView
from vagus_tui.session.session import Link, Topic
from vagus_tui.session.standings import checks_standing
from vagus_tui.widgets.check_table import CheckTable, summary
from vagus_tui.widgets.detail_panel import DetailPanel, explanation


class CheckScreen(StepScreen):
    """See the module's text."""

    RUN: ClassVar[str] = "checks"
    RUN_ON_ENTRY: ClassVar[bool] = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "run again"),
        Binding("n", "next_problem", "next", tooltip="go to the next check that fails, or warns when none does"),
        Binding("s", "sql", "SQL", tooltip="the statement behind the selected check"),
        Binding("o", "override", "override", tooltip="let the selected check pass, by name and with a reason"),
        Binding("M", "repeat", "monitor", tooltip="run again by itself: off, every 30 s, 1 min, 5 min"),
        Binding("W", "app.watch", "watch", tooltip="how watched checks went over time"),
    ]

    def sections(self) -> list[tuple[str, tuple[Check, ...]]]:
        """Heading and checks, in the order in which they are shown and run."""
        raise NotImplementedError

    def hint(self, event: CheckEvent) -> str:
        """One more line for the detail panel: what can be done here."""
        if event.status.blocks and not event.overridden:
            return "o overrides it." if event.overridable else "It cannot be overridden."
        return ""

    def acts(self, event: CheckEvent) -> dict[str, Callable[[], None]]:
        """What can be done about a check, by the names of the keys' actions."""

        def override() -> None:
            self.attempt(self._override(event))

        return {"override": override} if event.status.blocks else {}

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks of the screen."""
        return tuple(check for _, checks in self.sections() for check in checks)

    def check_of(self, event: CheckEvent) -> Check:
        """The check that an event is about."""
        return next(check for check in self.checks if check.id == event.id)

    @property
    def table(self) -> CheckTable:
        """The table."""
        return self.query_one("#checks", CheckTable)

    def compose_body(self) -> ComposeResult:
        """The table and the selected check's explanation."""
        with Vertical(classes="split"):
            yield CheckTable(id="checks")
            yield DetailPanel(id="check-detail")

    def on_mount(self) -> None:
        """Every row is there from the start."""
        self.table.set_checks(self.sections())

    def reveal(self, ref: str) -> bool:
        """A check; or with `action:fix` the first that fails."""
        if ref == "action:fix":
            self.table.select_problem(after=False)
        elif not any(check.id == ref for check in self.checks):
            return False
        else:
            self.table.select(ref)
        self.table.focus()
        return True

    def entered(self) -> None:
        """Run on entry, unless the outcomes are there already."""
        self._run_on_entry()

    def _run_on_entry(self) -> None:
        ready = self.session.link is Link.UP and self.session.state is not None
        fresh = not self.session.outcomes(self.checks)
        if ready and self.RUN_ON_ENTRY and fresh and not self.session.checking(self.RUN) and self.is_current:
            self.action_run()

    def changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        """Turn the rows that have news."""
        if Topic.CHECKS in topics:
            news = events or self.session.outcomes(self.checks)
            for event in news:
                if isinstance(event, CheckEvent):
                    self.table.put(event)
        if topics & {Topic.CHECKS, Topic.WATCH}:
            self.say(self._summary())
        if Topic.CHECKS in topics and self.session.checking(self.RUN):
            # Not only what was begun here: what a lost connection cut off runs again by itself.
            self.settle()
        if Topic.OVERRIDES in topics:
            self.session.apply_overrides()
        if Topic.WATCH in topics and self.session.outcomes(self.checks):
            self.settle()
        if topics & {Topic.STATE, Topic.LINK}:
            self._run_on_entry()

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups that the screen's checks belong to."""
        return tuple(dict.fromkeys(check.group for check in self.checks))

    def _summary(self) -> Content:
        """How the checks stand, and how often they run by themselves, if they do."""
        intervals = {self.session.interval(group) for group in self.groups} - {None}
        found = summary(self.table.events, short=bool(intervals))
        if not intervals:
            return found
        often = every(min(seconds for seconds in intervals if seconds))
        return Content.assemble(found, " · ", (f"every {often}", "$accent"))

    def action_repeat(self) -> None:
        """Run by themselves: the next interval of off, 30 s, 1 min, 5 min."""
        wanted = self.session.next_interval(self.groups[0])
        # Whoever goes through the intervals is told of the one where they are.
        self.app.clear_notifications()
        for group in self.groups:
            self.session.watch(group, wanted)
        if wanted is None:
            self.notify("They run no more by themselves.", timeout=2, markup=False)
        else:
            self.notify(f"They run every {every(wanted)} by themselves. W shows how it goes.", markup=False)

    def settle(self) -> None:
        """Put the group's standing on the rail."""
        status, word = checks_standing(self.session, self.checks)
        if self.session.checking(self.RUN):
            status, word = Status.RUNNING, ""
        self.session.set_standing(self.STEP, status, word)

    @on(CheckTable.At, "#checks")
    def _highlighted(self, message: CheckTable.At) -> None:
        message.stop()
        event = message.event
        self.query_one("#check-detail", DetailPanel).show(explanation(self.check_of(event), event, self.hint(event)))
        self.refresh_bindings()

    @on(CheckTable.Opened, "#checks")
    def _opened(self, message: CheckTable.Opened) -> None:
        message.stop()
        event = message.event
        self.open_window(CheckDetail(self.check_of(event), event, self.hint(event), self.acts(event)))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys follow the selected check."""
        if action in ("override", "sql") and self.is_mounted:
            event = self.table.selected
            if event is None:
                return None
            if action == "sql":
                check = self.check_of(event)
                return True if check.sql or check.rows_sql else None
            return True if event.status.blocks else None
        return True

    def action_run(self) -> None:
        """Run all of them again."""
        self.session.set_standing(self.STEP, Status.RUNNING, "running")
        self.session.start_checks(self.RUN, self.checks, done=self._finished)

    def _finished(self) -> None:
        if self.is_attached:
            self.call_later(self._after_run)

    def _after_run(self) -> None:
        self.settle()
        # The next act is at what fails; whoever has moved the cursor meanwhile keeps their place.
        if self.table.cursor == 0:
            self.table.select_problem(after=False)
        self.refresh_bindings()

    def action_next_problem(self) -> None:
        """Go to the next check that fails, or when none does, that warns."""
        if not self.table.select_problem(after=True):
            self.notify("No check fails and none warns.", markup=False)

    def action_override(self) -> None:
        """Override the selected check, or take that back."""
        event = self.table.selected
        if event is not None:
            self.attempt(self._override(event))

    async def _override(self, event: CheckEvent) -> None:
        await override_check(self, event)
        self.settle()

    def action_sql(self) -> None:
        """The statement behind the selected check."""
        event = self.table.selected
        if event is not None:
            self.attempt(self._show_sql(self.check_of(event)))

    async def _show_sql(self, check: Check) -> None:
        make = check.sql or check.rows_sql
        if make is None:
            return
        async with self.session.context("sql") as context:
            sql = make(context)
        self.open_window(TextView(f"SQL · {check.title}", sql, language="postgresql"))
