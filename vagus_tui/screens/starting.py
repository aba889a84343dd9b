"""The first window of a demo: the embedded database as it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static

from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.text import safe

if TYPE_CHECKING:
    from vagus_tui.app import VagusApp


class SandboxNews(Message):
    """The sandbox has come a step further, or has failed."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error


class StartingScreen(Screen[None]):
    """What is being started, line by line; on failure what happened and how to try again."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("r", "retry", "try again"), Binding("q", "app.quit", "quit")]

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None

    @property
    def wizard(self) -> VagusApp:
        """The app, as what it is."""
        from vagus_tui.app import VagusApp

        assert isinstance(self.app, VagusApp)
        return self.app

    def compose(self) -> ComposeResult:
        """A few lines in the middle of the window."""
        with Vertical(id="starting"):
            yield Static(Content.styled("vagus-tui", "bold $accent"))
            yield Static("Workout v1 → v2, with nothing lost and a way back.", markup=False, classes="paragraph")
            yield Static(id="starting-lines")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Say at once that something is happening."""
        self._fill()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Trying again only makes sense after a failure."""
        return self.error is not None if action == "retry" else True

    def on_sandbox_news(self, message: SandboxNews) -> None:
        """One line further."""
        self.error = message.error
        self._fill()
        self.refresh_bindings()

    def _fill(self) -> None:
        demo = self.wizard.demo
        lines = demo.lines if demo is not None else []
        rows: list[Content] = []
        if demo is None:
            rows.append(Content("Connecting"))
        for number, line in enumerate(lines, start=1):
            under_way = number == len(lines)
            symbol, style = ("◐", "$accent") if under_way else ("✓", "$success")
            if under_way and self.error is not None:
                symbol, style = "✗", "$error"
            rows.append(Content.assemble((symbol, style), " ", safe(line)))
        if self.error is not None:
            from vagus_tui.screens.base import error_text

            rows += [Content(""), error_text(self.error)]
        if not rows:
            rows.append(Content.assemble(("◐", "$accent"), " Starting the sandbox"))
        self.query_one("#starting-lines", Static).update(Content("\n").join(rows))

    def action_retry(self) -> None:
        """Start again."""
        self.error = None
        self.wizard.start_demo()
        self._fill()
        self.refresh_bindings()
