"""Everything about one check: what it found, why it matters, its SQL, the offending rows, what helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable, Static

from vagus_tui.checks.base import Check, RowPage, offending_rows
from vagus_tui.events import CheckEvent, Status
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.text_view import TextView
from vagus_tui.widgets.detail_panel import explanation
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.long_lines import LongLines
from vagus_tui.widgets.read_on import ReadOn
from vagus_tui.widgets.row_page import PageTable, show_page
from vagus_tui.widgets.text import safe_block, safe_str
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

PAGE_ROWS = 200


class CheckDetail(WizardScreen):
    """One check over the whole window. Rows come a page at a time, read from the server when asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("f", "act('fix')", "fix", tooltip="guided fixes for this check"),
        Binding("o", "act('override')", "override", tooltip="let this check pass, by name and with a reason"),
        Binding("s", "sql", "SQL"),
        Binding("greater_than_sign", "page(1)", "next rows", key_display=">"),
        Binding("less_than_sign", "page(-1)", "previous rows", key_display="<"),
        Binding("c", "copy", "copy row"),
        Binding("y", "copy_account", "copy the plans"),
        Binding("j", "cursor(1)", show=False),
        Binding("k", "cursor(-1)", show=False),
    ]
    AUTO_FOCUS = ""

    def __init__(
        self, check: Check, event: CheckEvent, hint: str = "", acts: Mapping[str, Callable[[], None]] | None = None
    ) -> None:
        """One check.

        Args:
            hint: what can be done about it, in a line.
            acts: what the keys of that line do: `fix`, `override`. They lead back to the table first.
        """
        super().__init__()
        self.check = check
        self.event = event
        self.hint = hint
        self.acts = dict(acts or {})
        self.page = RowPage((), (), 0, more=False)
        self.sql_text = ""
        self.account = ""

    def compose(self) -> ComposeResult:
        """Explanation above, rows below."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine(safe_str(self.check.title))
            yield WaitLine(self.session)
            with ReadOn(id="explanation"):
                yield Static(explanation(self.check, self.event, self.hint))
            yield Static("", id="rows-note")
            yield PageTable(id="rows")
            with LongLines(id="account-scroll"):
                yield Static("", id="account")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Ask for the SQL and the first rows."""
        self.query_one("#rows").display = False
        self.query_one("#account-scroll").display = False
        if self.check.account is not None:
            self.query_one("#rows-note", Static).update(Content.styled("Asking the server for its plans …", "$accent"))
        self.read(lambda: self._load(0), group="rows")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that have nothing to work on are left out."""
        if action == "act":
            return parameters[0] in self.acts
        if action == "sql":
            return self.check.sql is not None or self.check.rows_sql is not None
        if action == "page":
            return self.page.more if parameters == (1,) else self.page.offset > 0
        if action == "copy":
            return bool(self.page.rows)
        if action == "copy_account":
            return bool(self.account)
        return True

    async def _load(self, offset: int) -> None:
        check = self.check
        async with self.session.looking("rows", statement_timeout="60000") as context:
            if check.sql is not None:
                self.sql_text = check.sql(context)
            elif check.rows_sql is not None:
                self.sql_text = check.rows_sql(context)
            if check.rows_sql is not None and self.event.status not in (Status.PENDING, Status.SKIP):
                self.page = await offending_rows(check, context, offset=offset, limit=PAGE_ROWS)
            if check.account is not None and self.event.status is not Status.SKIP:
                self.account = await check.account(context)
        self._show_rows()
        self.refresh_bindings()

    def _show_rows(self) -> None:
        page = self.page
        table: DataTable[object] = self.query_one("#rows", DataTable)
        note = self.query_one("#rows-note", Static)
        if self.account:
            scroll = self.query_one("#account-scroll", LongLines)
            scroll.display = True
            # Plans are read by their indentation: they scroll sideways rather than being broken.
            self.query_one("#account", Static).update(safe_block(self.account))
            scroll.focus()
            self.call_after_refresh(self._say_columns)
            return
        table.display = bool(page.rows)
        if not page.rows:
            none = "No rows to show." if self.check.rows_sql is not None else "This check is not about single rows."
            note.update(Content.styled(none, "$text-muted"))
            return
        last = page.offset + len(page.rows)
        of = f" of {self.event.rows:,}" if self.event.rows else ""
        note.update(Content.styled(f"Rows {page.offset + 1:,} to {last:,}{of}", "$text-muted"))
        show_page(table, page)
        table.focus()

    @on(LongLines.Moved)
    def _say_columns(self) -> None:
        """Which columns of the plans are in view, where there are more."""
        columns = self.query_one(LongLines).columns if self.is_mounted and self.account else ""
        if self.account:
            told = ("How the server goes about it, as the user", "$text-muted")
            self.query_one("#rows-note", Static).update(
                Content.assemble(told, " · " if columns else "", (columns, "$accent"))
            )

    def action_page(self, direction: int) -> None:
        """The next or previous page of rows."""
        offset = max(0, self.page.offset + direction * PAGE_ROWS)
        self.read(lambda: self._load(offset), group="rows")

    def action_cursor(self, direction: int) -> None:
        """One row up or down."""
        if self.account:
            self.query_one("#account-scroll", LongLines).scroll_relative(y=direction, animate=False)
            return
        table: DataTable[object] = self.query_one("#rows", DataTable)
        if direction > 0:
            table.action_cursor_down()
        else:
            table.action_cursor_up()

    def action_copy(self) -> None:
        """Copy the row under the cursor, tab-separated, as the server has it."""
        table: DataTable[object] = self.query_one("#rows", DataTable)
        row = self.page.rows[table.cursor_row]
        self.app.copy_to_clipboard("\t".join("" if value is None else str(value) for value in row))
        self.notify("Row copied.", timeout=2, markup=False)

    def action_copy_account(self) -> None:
        """Copy the server's plans."""
        self.app.copy_to_clipboard(self.account)
        self.notify("Plans copied.", timeout=2, markup=False)

    def action_sql(self) -> None:
        """The statement behind the check."""
        if self.sql_text:
            self.open_window(TextView(f"SQL · {self.check.title}", self.sql_text, language="postgresql"))

    def action_act(self, name: str) -> None:
        """What the table can do about the check, there."""
        if self.is_active:
            self.dismiss(None)
            self.app.call_later(self.acts[name])

    def action_back(self) -> None:
        """Back to the table."""
        if self.is_active:
            self.dismiss(None)
