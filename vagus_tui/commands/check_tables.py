"""Checks for people at a terminal: a table of them, what is to be said of those that do not pass, and the matrix.

They are held until something else comes, since only then a table's columns are known.
"""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.status import Status as Spinner
from rich.table import Table
from rich.text import Text

from vagus_tui.checks.access.matrix import AccessEvent
from vagus_tui.commands.access_table import LEGEND, access_table
from vagus_tui.commands.words import MARKS, block, measured, one_line
from vagus_tui.events import CheckEvent, Status
from vagus_tui.format import milliseconds


class CheckTables:
    """The checks and cells of the access matrix that were told and not printed yet."""

    def __init__(self, console: Console, errors: Console) -> None:
        self._console = console
        self._errors = errors
        self._checks: list[CheckEvent] = []
        self._cells: list[AccessEvent] = []
        self._spinner: Spinner | None = None

    def put(self, event: CheckEvent) -> None:
        """Hold an outcome; say which check runs, and for whose lock one waits."""
        if event.status is Status.PENDING:
            return
        if event.status is not Status.RUNNING:
            self._checks.append(event)
        elif event.waiting is not None:
            self._stop_spinner()
            self._errors.print(Text(block(f"{event.title}: {event.message}"), "yellow"))
        elif self._console.is_terminal:
            words = Text(f"{len(self._checks) + 1}  {one_line(event.title)}")
            if self._spinner is None:
                self._spinner = self._console.status(words)
                self._spinner.start()
            else:
                self._spinner.update(words)

    def _stop_spinner(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def flush(self) -> None:
        """Print the table of the checks that were held."""
        self._stop_spinner()
        if not self._checks:
            return
        checks, self._checks = self._checks, []
        # One alone, among the steps that it belongs to, is a line like theirs.
        table = Table(box=None, show_header=len(checks) > 1, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("Status", no_wrap=True)
        table.add_column("Check", overflow="fold")
        table.add_column("Measured", overflow="fold")
        table.add_column("Expected", overflow="fold")
        table.add_column("ms", justify="right", no_wrap=True)
        for event in checks:
            word, colour = MARKS[event.status]
            if event.overridden:
                word, colour = f"{word}, overridden", "yellow"
            table.add_row(
                Text(word, colour),
                Text(f"{one_line(event.title)}\n{event.id}" if event.status.blocks else one_line(event.title)),
                Text(measured(event.measured)),
                Text(measured(event.expected)),
                Text(milliseconds(event.seconds)),
            )
        self._console.print(table)
        for event in checks:
            if event.status in (Status.WARN, Status.FAIL, Status.ERROR) and (event.message or event.overridden):
                word, colour = MARKS[event.status]
                self._console.print()
                self._console.print(Text(f"{word}  {one_line(event.title)} ({event.id})", colour))
                if event.overridden:
                    self._console.print(Text(f"  overridden: {one_line(event.overridden, most=500)}"))
                if event.message:
                    self._console.print(Padding(Text(block(event.message)), (0, 0, 0, 2)))

    def hold(self, cell: AccessEvent) -> None:
        """Hold a cell of the access matrix; all of them come together."""
        self._cells.append(cell)

    def flush_cells(self) -> None:
        """All cells of a matrix come together."""
        if self._cells:
            cells, self._cells = self._cells, []
            self._console.print()
            self._console.print(access_table(cells))
            self._console.print(Text(LEGEND, "dim"))
