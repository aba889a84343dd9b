"""What stands in the way of a locked screen: the gates by name, each to be met or overridden."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from vagus_tui.events import CheckEvent
from vagus_tui.format import plural
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.session.session import Session
from vagus_tui.widgets.check_table import CheckTable
from vagus_tui.widgets.text import safe_block


def _overridable(gates: Iterable[CheckEvent]) -> bool:
    return any(gate.overridable for gate in gates)


class LockPanel(Vertical):
    """Shown only while its screen is locked. Enter explains a gate, `o` overrides it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("o", "override", "override")]

    class GateMessage(Message):
        """About one gate."""

        def __init__(self, event: CheckEvent) -> None:
            super().__init__()
            self.event = event

    class OverrideAsked(GateMessage):
        """The operator wants to let a gate pass."""

    class ToldMore(GateMessage):
        """The operator wants to know more about a gate."""

        @property
        def text(self) -> Content:
            """The gate's own words."""
            return safe_block(self.event.message or "No more is known about it.")

    def __init__(self, session: Session, step: Step) -> None:
        super().__init__()
        self.session = session
        self.step = step
        self._shown: tuple[CheckEvent, ...] = ()

    def compose(self) -> ComposeResult:
        """One line on what is locked, and the gates."""
        yield Static(id="lock-title")
        yield CheckTable(id="lock-gates")

    def update_gates(self) -> bool:
        """Bring the gates up to date; True when there are any."""
        gates = self.session.locks(self.step)
        self.display = bool(gates)
        if gates != self._shown:
            self._shown = gates
            them = "it" if len(gates) == 1 else "them"
            ways = (
                f"Meet {them}, or override {them} by name."
                if _overridable(gates)
                else f"Enter says how to meet {them}."
            )
            title = Content.assemble(("Locked", "$warning bold"), f" by {plural(len(gates), 'gate')}. {ways}")
            self.query_one("#lock-title", Static).update(title)
            table = self.query_one(CheckTable)
            table.set_events([("", gates)])
            table.styles.height = min(len(gates) + 1, 5 if self.app.size.height < 32 else 10)
        return bool(gates)

    def focus_gates(self) -> None:
        """Put the focus on the gates."""
        self.query_one(CheckTable).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where no gate may be let pass, there is no key for it."""
        return action != "override" or _overridable(self._shown)

    def action_override(self) -> None:
        """Override the selected gate."""
        if (event := self.query_one(CheckTable).selected) is not None:
            self.post_message(self.OverrideAsked(event))

    @on(CheckTable.Opened)
    def _opened(self, message: CheckTable.Opened) -> None:
        message.stop()
        self.post_message(self.ToldMore(message.event))

    @on(CheckTable.At)
    def _highlighted(self, message: CheckTable.At) -> None:
        message.stop()
