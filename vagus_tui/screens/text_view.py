"""A full window of text to read and copy: SQL with its keywords in colour, a message, a log."""

from __future__ import annotations

import re
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen

from vagus_tui.errors import VagusError
from vagus_tui.format import plural
from vagus_tui.report.files import folder_words
from vagus_tui.screens.editing import PathDialog, write_text
from vagus_tui.settings import whole_path
from vagus_tui.widgets.code import CodeText
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.long_lines import LongLines
from vagus_tui.widgets.text import safe_str
from vagus_tui.widgets.title import TitleLine

LONGEST = 1_000_000
"""Characters that are shown; a whole plan has some 300,000."""


class TextView(ModalScreen[None]):
    """Text over everything else. `c` copies the whole of it, uncut, to the terminal's clipboard."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "close", "back", key_display="esc"),
        Binding("c", "copy", "copy"),
        Binding("w", "wrap", "wrap lines"),
        Binding("f", "save", "to a file"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]
    AUTO_FOCUS = "#text-scroll"

    def __init__(self, title: str, text: str, *, language: str = "") -> None:
        super().__init__()
        self.view_title = title
        self.text = text
        self.language = language
        self.wrapped = not language

    def compose(self) -> ComposeResult:
        """Title, text, keys."""
        yield TitleLine(safe_str(self.view_title))
        with LongLines(id="text-scroll"):
            shown = safe_str(self.text, limit=LONGEST, lines=True)
            yield CodeText(shown, wrapped=self.wrapped, id="text")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Colours come when they are there; a long text takes its time for them, and nobody waits."""
        self._set_class()
        if self.language and not self.app.no_color:
            work = self.query_one(CodeText).colour(self.language, dark=self.app.current_theme.dark)
            self.run_worker(work, exit_on_error=False)

    def _set_class(self) -> None:
        self.query_one(CodeText).set_class(not self.wrapped, "-unwrapped")

    @on(LongLines.Moved)
    def _say(self) -> None:
        """How long it is, and which columns of it are in view where there are more."""
        if self.is_mounted:
            columns = self.query_one(LongLines).columns
            lines = plural(self.text.count("\n") + 1, "line")
            summary = Content.assemble(lines, " · " if columns else "", (columns, "$accent"))
            self.query_one(TitleLine).set_summary(summary)

    def action_copy(self) -> None:
        """Copy by the terminal's own means (OSC 52), which works over SSH too."""
        self.app.copy_to_clipboard(self.text)
        self.notify("Copied.", timeout=2, markup=False)

    def action_wrap(self) -> None:
        """Wrap long lines, or let them run."""
        self.wrapped = not self.wrapped
        self.query_one(LongLines).scroll_to(x=0, animate=False)
        self._set_class()
        self.query_one(CodeText).wrap(self.wrapped)

    @property
    def file_name(self) -> str:
        """A name for the text as a file, after its title."""
        slug = re.sub(r"[^a-z0-9]+", "-", safe_str(self.view_title).lower()).strip("-")[:60].rstrip("-")
        return f"{slug or 'text'}.{'sql' if self.language else 'txt'}"

    @work(exclusive=True, exit_on_error=False)
    async def action_save(self) -> None:
        """Write the whole of it to a file of the operator's choice."""
        body = "It is written as it stands here, uncut."
        asked = PathDialog("Write to a file", body, yes="Write it", value=self.file_name)
        if named := await self.app.push_screen_wait(asked):
            path = whole_path(named)
            made = folder_words(path)
            try:
                write_text(path, self.text)
            except VagusError as error:
                self.notify(safe_str(error, limit=400), severity="error", timeout=8, markup=False)
            else:
                self.notify(f"Written to {path}.{made}", timeout=8 if made else 4, markup=False)

    def action_scroll(self, lines: int) -> None:
        """One line."""
        self.query_one("#text-scroll", LongLines).scroll_relative(y=lines, animate=False)

    def action_close(self) -> None:
        """Back to where it was opened."""
        if self.is_active:
            self.dismiss(None)
