"""The checks tested, live: every fault that is planted, and whether its check saw it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker

from vagus_tui.checks.base import Check
from vagus_tui.checks.fault import Fault
from vagus_tui.checks.selftest import FaultEvent, SelfTest, cost, last_self_test, self_test, with_faults
from vagus_tui.events import Status
from vagus_tui.format import ago, duration, milliseconds, plural
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.screens.text_view import TextView
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.section_list import SectionList
from vagus_tui.widgets.text import fitted, safe_str
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

SEEN = {Status.PASS: "seen", Status.FAIL: "not seen", Status.SKIP: "not tried", Status.PENDING: ""}


def summary(found: SelfTest) -> Content:
    """`46 faults seen · 2 not tried`."""
    figures = found.figures
    parts = [
        Content.styled(f"{plural(figures['seen'], 'fault')} seen", STYLES[Status.PASS if found.ok else Status.FAIL])
    ]
    if figures["missed"]:
        parts.append(Content.styled(f"✗ {figures['missed']} not seen", STYLES[Status.FAIL]))
    if figures["skipped"]:
        parts.append(Content.styled(f"{figures['skipped']} not tried", "$text-muted"))
    return Content(" · ").join(parts)


def last_tested(found: SelfTest | None) -> Content:
    """When the checks themselves were last tested, by whom, with which result."""
    if found is None:
        return Content.styled("The checks were never tested here: t plants their faults.", "$text-muted")
    return Content.assemble(
        ("Tested ", "$text-muted"),
        f"{ago(found.at)}{found.where and f' {found.where}'}: ",
        summary(found),
        # Who comes last: where there is no room, what was found is not what is cut.
        f" · {safe_str(found.operator)}",
    )


def remembered(found: SelfTest | None, check: Check, fault: Fault) -> FaultEvent:
    """What a fault came to when the checks were last tested; pending where that is not known of this one."""
    status, message = Status.PENDING, None
    if found is not None and not found.where:
        missed, skipped = found.missed.get(check.id, []), found.skipped.get(check.id, [])
        reason = next((text for text in skipped if text.startswith(f"{fault.title}: ")), None)
        tried = found.seen.get(check.id, 0) + len(missed) + len(skipped)
        if fault.title in missed:
            status = Status.FAIL
        elif reason is not None:
            status, message = Status.SKIP, reason.removeprefix(f"{fault.title}: ")
        elif found.seen.get(check.id) and tried == len(check.faults):
            status = Status.PASS
    return FaultEvent(check=check.id, title=check.title, fault=fault.title, status=status, message=message)


class FaultList(SectionList[FaultEvent]):
    """Faults under their checks."""

    class At(SectionList.At):
        """The cursor is on another fault."""

    class Opened(SectionList.Opened):
        """Enter on a fault."""

    def key(self, item: FaultEvent) -> str:
        """Check and fault."""
        return f"{item.check}/{item.fault}"

    def header(self, width: int) -> Content:
        """The columns' names."""
        return Content.styled(
            f"   {fitted('Fault', width - 22)} {fitted('Check', 10)}{fitted('ms', 7, right=True)}", "dim"
        )

    def row(self, item: FaultEvent, width: int, *, here: bool, focused: bool) -> Content:
        """`✓ a weight is another   seen   260`."""
        return Content.assemble(
            " ",
            (MARKS[item.status], "" if here and focused else STYLES[item.status]),
            " ",
            fitted(item.fault, width - 22),
            " ",
            (fitted(SEEN[item.status], 10), "" if item.status is not Status.FAIL else STYLES[Status.FAIL]),
            (fitted("" if item.seconds is None else milliseconds(item.seconds), 7, right=True), "$text-muted"),
        )


class SelfTestScreen(WizardScreen):
    """The faults over the whole window."""

    AUTO_FOCUS = "#faults"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("t", "test", "test the checks"),
        Binding("x", "stop", "stop"),
        Binding("s", "sql", "SQL", tooltip="the statements that plant the selected fault"),
    ]

    def __init__(self, checks: Sequence[Check]) -> None:
        super().__init__()
        self.checks = with_faults(checks)
        self.found: SelfTest | None = None
        self._worker: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """When they were last tested, the faults, and what the selected one came to."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("The checks tested")
            yield WaitLine(self.session)
            yield Static(cost(self.checks), id="access-note")
            yield FaultList(id="faults")
            yield Static("", id="access-cell")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Every fault is there from the start."""
        self._fill(None)
        self.read(self._read)

    @property
    def running(self) -> bool:
        """Whether the checks are being tested."""
        return self._worker is not None and self._worker.is_running

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One test at a time."""
        if action == "test":
            return not self.running
        return self.running if action == "stop" else True

    def _fill(self, found: SelfTest | None) -> None:
        """Put every fault there, with what it came to last time, if that is known."""
        self.query_one("#faults", FaultList).fill(
            [
                (
                    check.title,
                    [remembered(found, check, fault) for fault in check.faults],
                )
                for check in self.checks
            ]
        )

    def _fault(self, event: FaultEvent) -> Fault:
        return next(
            fault
            for check in self.checks
            if check.id == event.check
            for fault in check.faults
            if fault.title == event.fault
        )

    async def _read(self) -> None:
        async with self.session.connection("self-test") as connection:
            self.found = await last_self_test(connection)
        if not self.running:
            self._fill(self.found)
        self._say()

    def _say(self, tried: int | None = None) -> None:
        if tried is not None:
            total = sum(len(check.faults) for check in self.checks)
            self.query_one(TitleLine).set_summary(f"◐ {tried} of {total} faults")
        elif self.found is not None:
            done = Content.assemble(("", ""), summary(self.found), f" · {ago(self.found.at)}")
            self.query_one(TitleLine).set_summary(done)
        else:
            self.query_one(TitleLine).set_summary("never tested here")
        self.refresh_bindings()

    def action_test(self) -> None:
        """Plant every fault, after asking."""
        self._worker = self.attempt(self._test, group="self-test", exclusive=True)

    async def _test(self) -> None:
        body = f"{cost(self.checks)}\n\nThe server is asked afterwards that each was rolled back. x stops at any time."
        yes = "Test the checks"
        agreed = (
            await self.confirm_destructive("Test the checks on production?", body, yes=yes)
            if self.session.production
            else await self.ask(ConfirmDialog("Test the checks?", body, yes=yes))
        )
        if not agreed:
            return
        self._fill(None)
        tried = 0
        try:
            async with self.session.context("self-test") as context:
                async for item in self_test(context, self.checks):
                    if isinstance(item, SelfTest):
                        self.found = item
                    else:
                        tried += 1
                        self.query_one("#faults", FaultList).put(item)
                        self._say(tried)
        finally:
            if self.is_attached:
                self.call_later(self._ended)

    def _ended(self) -> None:
        self._worker = None
        if self.is_attached:
            self._say()
            faults = self.query_one("#faults", FaultList)
            if missed := next((item for item in faults.items if item.status is Status.FAIL), None):
                faults.select(faults.key(missed))
            if self.found is not None and self.found.seconds:
                self.notify(f"Tested in {duration(self.found.seconds)}; everything was rolled back.", markup=False)

    def action_stop(self) -> None:
        """Stop; the fault that is planted is rolled back."""
        if self._worker is not None:
            self._worker.cancel()

    @on(FaultList.At, "#faults")
    def _highlighted(self, message: FaultList.At) -> None:
        event: FaultEvent = message.item
        fault = self._fault(event)
        held = (
            f"holds {fault.table}"
            if fault.exclusive
            else f"holds rows of {fault.table}"
            if fault.rows
            else "holds nothing"
        )
        words = Content.assemble(
            (f"{MARKS[event.status]} {SEEN[event.status] or 'not tested yet'}", STYLES[event.status]),
            f" · {event.title}: {event.fault}\n",
            (safe_str(event.message or held), "$text-muted"),
        )
        self.query_one("#access-cell", Static).update(words)

    @on(FaultList.Opened, "#faults")
    def _opened(self) -> None:
        self.action_sql()

    def action_sql(self) -> None:
        """The statements that plant the selected fault."""
        event = self.query_one("#faults", FaultList).selected
        if event is not None:
            self.attempt(self._show_sql(event))

    async def _show_sql(self, event: FaultEvent) -> None:
        async with self.session.context("sql") as context:
            statements = self._fault(event).statements(context)
        text = f"begin;\n{statements};\n-- the check “{event.title}” must fail now\nrollback;"
        self.open_window(TextView(f"SQL · {event.fault}", text, language="postgresql"))

    def action_back(self) -> None:
        """Back to the checks; a test that runs is stopped."""
        if self.is_active:
            self.dismiss(None)
