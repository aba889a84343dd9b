"""The watch: every group of checks that fits the state, how its checks went over time, and what changed.

Reached from everywhere with W. Which groups run by themselves, and how often, is chosen here or on their own screens;
it goes on when this screen is left (guide, T+31 min to T+2 h: monitor for issues).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from vagus_tui.checks.base import Check, Group
from vagus_tui.checks.registry import check_by_id, checks_for
from vagus_tui.events import ChangeEvent, Status, drawn_by_time
from vagus_tui.format import clock, clock_time, duration, every, plural
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.check_detail import CheckDetail
from vagus_tui.screens.messages import SessionChanged
from vagus_tui.session.session import Link, Topic
from vagus_tui.session.watching import Watch
from vagus_tui.widgets.check_table import summary
from vagus_tui.widgets.detail_panel import DetailPanel, explanation
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.marks import MARKS, STYLES, WORDS
from vagus_tui.widgets.monitor_table import MonitorTable, Watched
from vagus_tui.widgets.text import fitted, safe
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.too_small import TooSmall
from vagus_tui.widgets.wait_line import WaitLine

TITLES: dict[Group, str] = {
    Group.PREREQUISITES: "Prerequisites",
    Group.DATA_QUALITY: "Data quality",
    Group.VERIFICATION: "Verification",
    Group.ACCESS: "Access",
    Group.PERFORMANCE: "Performance",
    Group.ROLLOUT: "Rollout",
}

CHANGES_SHOWN = 4


class MonitorScreen(WizardScreen):
    """See the module's text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("M", "repeat", "monitor", tooltip="run the selected group by itself: off, every 30 s, 1 min, 5 min"),
        Binding("r", "run", "run now", tooltip="run the selected group once"),
        Binding("n", "next_problem", "next", tooltip="go to the next check that fails, or has failed"),
    ]
    AUTO_FOCUS = "#watched"

    def compose(self) -> ComposeResult:
        """What is watched above, the checks below, the selected one beside."""
        yield HeaderLine(self.session)
        yield TooSmall()
        with Vertical(id="detail"):
            yield TitleLine("Watch")
            yield WaitLine(self.session)
            yield Static("", id="watches")
            with Vertical(classes="split"):
                yield MonitorTable(self.session.settings.timezone, id="watched")
                yield DetailPanel(id="watched-detail")
        yield KeyFooter()

    @property
    def table(self) -> MonitorTable:
        """The table."""
        return self.query_one("#watched", MonitorTable)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups shown."""
        return self.session.watch_groups()

    @property
    def group(self) -> Group | None:
        """The group of the selected check."""
        selected = self.table.selected
        return None if selected is None else Group(selected.event.group)

    def on_mount(self) -> None:
        """Show what is known, then what the journal remembers, and follow the clock."""
        self._fill()
        # The next act is at what failed.
        if alarms := self.session.alarm_list:
            self.table.select(alarms[0].change.id)
        self.set_interval(1.0, self._tick)
        self.attempt(self._remember)

    async def _remember(self) -> None:
        if self.session.link is not Link.UP:
            return
        async with self.session.connection("watch") as connection:
            await self.session.history.load(connection, [check.id for check in self._checks()])
        self._fill()

    def _checks(self) -> list[Check]:
        return [check for group in self.groups for check in checks_for(group)]

    @on(SessionChanged)
    def _news(self, message: SessionChanged) -> None:
        if message.topics & {Topic.WATCH, Topic.CHECKS, Topic.STATE, Topic.LINK}:
            self._fill()

    def on_screen_resume(self) -> None:
        """Shown again: bring it up to date."""
        if self.is_mounted:
            self._fill()

    def _watched(self, check: Check) -> Watched:
        session = self.session
        return Watched(
            session.results.get(check.id) or check.event(Status.PENDING),
            session.history.samples(check.id),
            session.history.changed_at(check.id),
            alarm=check.id in session.alarms,
        )

    def _fill(self) -> None:
        sections = []
        for group in self.groups:
            seconds = self.session.interval(group)
            often = f"every {every(seconds)}" if seconds else "off: M starts it"
            sections.append((f"{TITLES[group]} · {often}", [self._watched(check) for check in checks_for(group)]))
        self.table.fill(sections)
        known = [self.session.results[check.id] for check in self._checks() if check.id in self.session.results]
        self.query_one(TitleLine).set_summary(summary(known))
        self._tick()
        self.refresh_bindings()

    # What is watched

    def _tick(self) -> None:
        lines = [self._line(self.session.watches[group]) for group in self.groups if group in self.session.watches]
        if not lines:
            lines = [Content.styled("Nothing runs by itself. M starts the selected group.", "$text-muted")]
        text = Content("\n").join(lines)
        static = self.query_one("#watches", Static)
        if not isinstance(static.content, Content) or not static.content.is_same(text):
            static.update(text)

    def _line(self, watch: Watch) -> Content:
        """`✓ Performance     every 1 min · next in 0:42 · none fails · 14 rounds of 1.2 s`."""
        latest = watch.round
        status, parts = Status.PENDING, [f"every {every(watch.every)}"]
        if watch.waiting:
            parts.append("waits for what is running")
        elif watch.running:
            status = Status.RUNNING
            parts.append("running")
        elif latest is not None:
            left = max(0.0, (latest.next_at - datetime.now(UTC)).total_seconds())
            parts.append(f"{'tries again' if latest.problem else 'next'} in {clock(left)}")
        if latest is not None:
            failing = len(self.session.blocking(checks_for(watch.group)))
            if status is not Status.RUNNING:
                status = Status.FAIL if failing or latest.problem else Status.PASS
            if latest.problem is None:
                parts.append(plural(failing, "fails", "fail") if failing else "none fails")
            took = f" of {duration(latest.seconds)}" if latest.problem is None else ""
            parts.append(f"{plural(latest.number, 'round')}{took}")
        width = max(20, self.size.width - 2)
        line = Content.assemble(
            (MARKS[status], STYLES[status]),
            " ",
            (f"{TITLES[watch.group]:<14}", "bold"),
            " ",
            fitted(" · ".join(parts), width - 17),
        )
        if watch.problem_since is None or latest is None or latest.problem is None:
            return line
        since = clock_time(watch.problem_since, self.session.settings.timezone)
        told = f"  ✗ not measured since {since}: {latest.problem}"
        return Content.assemble(line, "\n", (fitted(told, width), STYLES[Status.FAIL]))

    # The selected check

    @on(MonitorTable.At, "#watched")
    def _at(self, message: MonitorTable.At) -> None:
        message.stop()
        item: Watched = message.item
        check = check_by_id(item.event.id)
        changes = self.session.history.changes(check.id)
        parts = [self._change(change) for change in reversed(changes[-CHANGES_SHOWN:])]
        parts.append(explanation(check, item.event))
        if item.samples:
            since = clock_time(item.samples[0].at, self.session.settings.timezone)
            drawn = " What is drawn is how long it took." if drawn_by_time(item.event) else ""
            told = f"{plural(len(item.samples), 'outcome')} since {since}.{drawn}"
            parts.append(Content.styled(told, "$text-muted"))
        self.query_one("#watched-detail", DetailPanel).show(Content("\n").join(parts))
        self.refresh_bindings()

    def _change(self, change: ChangeEvent) -> Content:
        """`14:03:12  pass → ✗ fail · 44 ms, 17.9×`."""
        return Content.assemble(
            (f"{clock_time(change.at, self.session.settings.timezone)}  ", "$text-muted"),
            f"{WORDS[change.was]} → ",
            (f"{MARKS[change.now]} {WORDS[change.now]}", STYLES[change.now]),
            " · ",
            safe(change.measured if change.measured is not None else ""),
        )

    @on(MonitorTable.Opened, "#watched")
    def _opened(self, message: MonitorTable.Opened) -> None:
        message.stop()
        event = message.item.event
        self.open_window(CheckDetail(check_by_id(event.id), event))

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that need a check, and a connection."""
        if action in ("repeat", "run") and self.is_mounted:
            return True if self.group is not None and self.session.database is not None else None
        return True

    def action_repeat(self) -> None:
        """The next interval for the selected group."""
        group = self.group
        if group is not None:
            self.session.watch(group, self.session.next_interval(group))

    def action_run(self) -> None:
        """The selected group, once."""
        if self.group is not None:
            self.session.run_group(self.group)

    def action_next_problem(self) -> None:
        """The next check that fails now, or that an alarm is about."""
        items = self.table.items
        for step in range(1, len(items) + 1):
            item = items[(self.table.cursor + step) % len(items)]
            if item.alarm or item.event.status.blocks:
                self.table.select(item.event.id)
                return
        self.notify("No check fails.", timeout=2, markup=False)

    def action_back(self) -> None:
        """Back to what was shown before."""
        if self.is_active:
            self.dismiss(None)
