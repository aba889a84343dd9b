"""One item of the app's update, running: what it prints as it prints it, and how it ended."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import Log
from textual.worker import Worker

from vagus_tui.control import Control
from vagus_tui.events import OutputEvent, ResultEvent
from vagus_tui.format import duration
from vagus_tui.rollout.app_update import run_command
from vagus_tui.runbook.rollout import Command
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.text import safe, safe_str
from vagus_tui.widgets.title import TitleLine

KEPT_LINES = 10_000


class CommandRun(ModalScreen[ResultEvent | None]):
    """Runs an item's commands. Escape asks before it stops what runs, and then gives the result back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "back", key_display="esc"),
        Binding("x", "stop", "stop it"),
        Binding("c", "copy", "copy the output"),
    ]
    AUTO_FOCUS = "#output"

    def __init__(self, command: Command, folder: Path | None) -> None:
        super().__init__()
        self.command = command
        self.folder = folder
        self.control = Control()
        self.result: ResultEvent | None = None
        self._runner: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """Title, output, keys."""
        yield TitleLine(safe_str(self.command.title))
        yield Log(id="output", max_lines=KEPT_LINES, highlight=False)
        yield KeyFooter()

    def on_mount(self) -> None:
        """Start at once."""
        self._runner = self.run_worker(self._run(), exit_on_error=False)

    async def _run(self) -> None:
        title, log = self.query_one(TitleLine), self.query_one("#output", Log)
        title.set_summary(f"running in {safe_str(self.folder, limit=40)}")
        async for event in run_command(self.command, self.folder, self.control):
            if isinstance(event, OutputEvent):
                log.write_line(safe_str(event.text, limit=2000))
            elif isinstance(event, ResultEvent):
                self.result = event
        assert self.result is not None
        took = f" · {duration(self.result.seconds)}" if self.result.seconds is not None else ""
        log.write_line("")
        for line in filter(None, (self.result.message, self.result.next_step)):
            log.write_line(safe_str(line, limit=2000))
        title.set_summary(safe(f"{'✓ done' if self.result.ok else '✗ failed'}{took}"))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is only something to stop while it runs."""
        return self.result is None if action == "stop" else True

    def action_stop(self) -> None:
        """Ask, then end it and what it started."""
        self.run_worker(self._stop(), exclusive=True, group="stop", exit_on_error=False)

    async def _stop(self) -> bool:
        if self.result is not None:
            return True
        body = "It and everything it started are ended. What it has done in the checkout so far stays as it is."
        if await self.app.push_screen_wait(ConfirmDialog("Stop the command?", body, yes="Stop it", no="Let it run")):
            self.control.cancel()
            if self._runner is not None:
                await self._runner.wait()
        return self.result is not None

    def action_copy(self) -> None:
        """All that was printed and is still kept."""
        self.app.copy_to_clipboard("\n".join(self.query_one("#output", Log).lines))
        self.notify("Copied.", timeout=2, markup=False)

    def action_close(self) -> None:
        """Back; what still runs is asked about first."""
        self.run_worker(self._close(), exclusive=True, group="stop", exit_on_error=False)

    async def _close(self) -> None:
        if await self._stop() and self.is_active:
            self.dismiss(self.result)
