"""The access matrix: who reaches what by which command, v1 against v2; a sample of people, or everybody on demand."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static
from textual.worker import Worker

from vagus_tui.checks.access.checks import events_of
from vagus_tui.checks.access.matrix import AccessMatrix, Verdict, access_matrix, keep_matrix
from vagus_tui.checks.access.measure import Progress, measure
from vagus_tui.events import Status
from vagus_tui.format import duration, moment, number, plural
from vagus_tui.journal import store
from vagus_tui.journal.schema import journal_exists
from vagus_tui.screens.access_cell import AccessCell
from vagus_tui.screens.base import WizardScreen
from vagus_tui.widgets.access_grid import LEGEND, AccessGrid, figures, verdict_line
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.marks import STYLES
from vagus_tui.widgets.text import safe_str
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

EMPTY = (
    "Access has not been measured yet.\n\n"
    "r measures a sample: owners with most and fewest plans, of templates, coaches of active and former clients, users "
    "with nothing, and the roles anon and service_role.\na measures every user.\n\n"
    "Both run as the users themselves, in transactions that are rolled back. Nothing is written, nobody waits."
)


def headline(matrix: AccessMatrix) -> Content:
    """The sum: how many were measured, how many lost or gained something."""
    lost = sum(total.people_lost for total in matrix.totals.values())
    gained = sum(total.people_gained for total in matrix.totals.values())
    people = plural(matrix.measured, "person", "people")
    parts = [Content(f"{people}, {'everybody' if matrix.everyone else 'a sample'}")]
    if gained:
        parts.append(Content.styled(f"! {number(gained)} gained", STYLES[Status.FAIL]))
    if lost:
        parts.append(Content.styled(f"✗ {number(lost)} lost", STYLES[Status.FAIL]))
    if matrix.disagreements:
        parts.append(Content.styled("✗ the server disagrees", STYLES[Status.FAIL]))
    if matrix.gaps:
        parts.append(Content.styled("✗ policies are missing", STYLES[Status.FAIL]))
    if not (lost or gained or matrix.disagreements or matrix.gaps):
        words = "✓ nobody lost or gained" if matrix.verdict is Verdict.SAME else "✓ nobody lost; more by design"
        parts.append(Content.styled(words, STYLES[Status.PASS]))
    return Content(" · ").join(parts)


class AccessMatrixScreen(WizardScreen):
    """The matrix over the whole window. It shows the latest measurement that the journal has."""

    AUTO_FOCUS = "#grid"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("r", "measure", "measure again", tooltip="the sample of people that the data proposes"),
        Binding("a", "measure_everyone", "everyone", tooltip="every user; takes minutes on large data, can be stopped"),
        Binding("x", "stop", "stop"),
        Binding("n", "next_problem", "next lost or gained"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.matrix: AccessMatrix | None = None
        self.progress: Progress | None = None
        self._worker: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        """The grid, and the cell under the cursor in words."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("Access · v1 against v2")
            yield WaitLine(self.session)
            yield Static("", id="access-note")
            yield AccessGrid(id="grid")
            yield Static(LEGEND, id="access-legend")
            yield Static("", id="access-cell")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Show the latest measurement."""
        self._show()
        self.read(self._read)

    @property
    def running(self) -> bool:
        """Whether access is being measured."""
        return self._worker is not None and self._worker.is_running

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One measurement at a time."""
        if action == "stop":
            return self.running
        if action in ("measure", "measure_everyone"):
            return not self.running
        if action == "next_problem":
            return self.matrix is not None and self.matrix.verdict in (Verdict.LOST, Verdict.GAINED)
        return True

    async def _read(self) -> None:
        async with self.session.connection("access") as connection:
            self.matrix = await access_matrix(connection)
        self._show()

    def _show(self) -> None:
        matrix = self.matrix
        grid = self.query_one("#grid", AccessGrid)
        for part in ("#grid", "#access-legend", "#access-cell"):
            self.query_one(part).display = matrix is not None
        note = self.query_one("#access-note", Static)
        if self.running:
            note.update(self._running_words())
        elif matrix is None:
            note.update(EMPTY)
        else:
            at = moment(matrix.at, self.session.settings.timezone)
            note.update(
                Content.styled(
                    f"{at} by {safe_str(matrix.operator)} in {duration(matrix.seconds)}; "
                    f"{matrix.tried:,} real statements agree"
                    if not (matrix.gaps or matrix.disagreements)
                    else f"{at}: {safe_str((*matrix.gaps, *matrix.disagreements)[0])}",
                    "$text-muted",
                )
            )
        if matrix is not None and matrix is not grid.matrix:
            grid.show_matrix(matrix)
            if grid.has_focus is False and self.is_current:
                grid.focus()
        self.query_one(TitleLine).set_summary("" if matrix is None else headline(matrix))
        self.refresh_bindings()

    def _running_words(self) -> Content:
        progress = self.progress
        if progress is None or not progress.done:
            return Content.styled("◐ measuring: putting rows that no policy tells apart together …", "$accent")
        words = f"◐ measuring: {number(progress.done)} of {number(progress.total)} people"
        found = f" · {plural(progress.failing, 'person', 'people')} lost or gained" if progress.failing else ""
        left = f" · about {duration(progress.left)} to go" if progress.done < progress.total else ""
        return Content.assemble((words, "$accent"), (left, "$text-muted"), (found, STYLES[Status.FAIL]))

    # Measuring

    def action_measure(self) -> None:
        """Measure the sample."""
        self._start(everyone=False)

    def action_measure_everyone(self) -> None:
        """Measure everybody."""
        self._start(everyone=True)

    def _start(self, *, everyone: bool) -> None:
        if not self.running:
            self.progress = None
            self._worker = self.attempt(lambda: self._measure(everyone), group="measure", exclusive=True)
            self._show()

    async def _measure(self, everyone: bool) -> None:
        try:
            async with self.session.looking("access") as context:
                async for item in measure(context, everyone=everyone):
                    if isinstance(item, Progress):
                        self.progress = item
                        self._show()
                        continue
                    events = events_of(item)
                    await keep_matrix(context.connection, item)
                    if await journal_exists(context.connection):
                        await store.record_checks(context.connection, events, operator=item.operator)
                    self.matrix = item
                    for event in events:
                        self.session.take_result(event)
        finally:
            if self.is_attached:
                self.call_later(self._ended)

    def _ended(self) -> None:
        self._worker = None
        if self.is_attached:
            self._show()

    def action_stop(self) -> None:
        """Stop measuring; the last measurement stays."""
        if self._worker is not None:
            self._worker.cancel()

    # Walking

    @on(AccessGrid.At, "#grid")
    def _highlighted(self, message: AccessGrid.At) -> None:
        grid = self.query_one("#grid", AccessGrid)
        table, command = grid.place
        cell = grid.cell_of(message.item, table, command)
        words = Content("\n").join((verdict_line(message.item, table, command, cell), figures(cell)))
        self.query_one("#access-cell", Static).update(words)

    @on(AccessGrid.Opened, "#grid")
    def _opened(self, message: AccessGrid.Opened) -> None:
        grid = self.query_one("#grid", AccessGrid)
        table, command = grid.place
        self.open_window(AccessCell(message.item, table, command, grid.cell_of(message.item, table, command)))

    def action_next_problem(self) -> None:
        """To the next cell in which something was lost or gained."""
        self.query_one("#grid", AccessGrid).select_problem()

    def action_back(self) -> None:
        """Back to the checks; what is being measured is stopped."""
        if self.is_active:
            self.dismiss(None)
