"""The overrides in force: what was let pass by name, since when, by whom and why; each can be taken back."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from vagus_tui.format import ago, moment, plural
from vagus_tui.journal.decisions import Override
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.screens.let_pass import in_force, title_of
from vagus_tui.screens.messages import SessionChanged
from vagus_tui.session.session import Topic
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.section_list import SectionList
from vagus_tui.widgets.text import fitted, safe, safe_block
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

SINCE, WHO = 12, 16


class OverrideList(SectionList[Override]):
    """Overrides in force, the oldest first."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "take back")]

    class At(SectionList.At):
        """Another one."""

    class Opened(SectionList.Opened):
        """Take this one back."""

    def key(self, item: Override) -> str:
        """The gate's id: each has one override in force at most."""
        return item.check_id

    def _columns(self, width: int, start: str, what: str, since: str, who: str) -> str:
        left = max(8, width - 2 - SINCE - WHO - 4)
        return " ".join((start, fitted(what, left), fitted(since, SINCE), fitted(who, WHO)))

    def header(self, width: int) -> Content:
        """The columns' names."""
        return Content.styled(self._columns(width, " ", "Let pass", "Since", "By"), "$text-muted")

    def row(self, item: Override, width: int, *, here: bool, focused: bool) -> Content:
        """What, for how long, by whom."""
        return Content(self._columns(width, " ", title_of(item), ago(item.at), item.operator))


class OverridesScreen(WizardScreen):
    """The list, and the selected one in full."""

    AUTO_FOCUS = "#overrides"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "back", key_display="esc")]

    def compose(self) -> ComposeResult:
        """The list, and below it the reason."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("Let pass by name")
            yield WaitLine(self.session)
            yield Static("", id="rows-note")
            yield OverrideList(id="overrides")
            yield Static("", id="explanation")
        yield KeyFooter()

    def on_mount(self) -> None:
        """What is known already."""
        self._fill()

    @on(SessionChanged)
    def _session_changed(self, message: SessionChanged) -> None:
        if Topic.OVERRIDES in message.topics:
            self._fill()

    def _fill(self) -> None:
        found = in_force(self.session)
        listed = self.query_one(OverrideList)
        listed.fill([("", found)])
        listed.display = bool(found)
        self.query_one(TitleLine).set_summary(f"{plural(len(found), 'override')} in force" if found else "")
        if not found:
            self.query_one("#rows-note", Static).update(Content("Nothing is let pass: every gate counts."))
            self.query_one("#explanation", Static).update(Content(""))
        self.refresh_bindings()

    @on(OverrideList.At)
    def _highlighted(self, message: OverrideList.At) -> None:
        one: Override = message.item
        at = moment(one.at, self.session.settings.timezone)
        lines = [
            safe(title_of(one), "bold"),
            safe(f"Let pass by {one.operator} at {at}: {one.check_id}.", limit=200),
            safe_block(f"Reason: {one.reason}"),
            Content.styled("It stays in force, for every run to come, until somebody takes it back.", "$text-muted"),
        ]
        self.query_one("#explanation", Static).update(Content("\n").join(lines))

    @on(OverrideList.Opened)
    def _opened(self, message: OverrideList.Opened) -> None:
        self.attempt(self._take_back(message.item), group="take back")

    async def _take_back(self, one: Override) -> None:
        body = Content.assemble(
            safe(one.operator, "bold"),
            f" let this pass {ago(one.at)}: ",
            safe(one.reason),
            "\n\nTaken back, it counts again. Both stay on record.",
        )
        if await self.ask(ConfirmDialog(title_of(one), body, yes="Take the override back")):
            await self.session.withdraw_override(one.check_id)
            self.notify("Taken back: it counts again.", markup=False)

    def action_back(self) -> None:
        """Back to the overview."""
        if self.is_active:
            self.dismiss(None)
