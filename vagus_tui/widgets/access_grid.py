"""The access matrix as a grid: people down, tables across, and in every field one mark per command."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.reactive import reactive
from textual.strip import Strip

from vagus_tui.checks.access.matrix import COMMANDS, AccessMatrix, Cell, Kind, Person, Verdict
from vagus_tui.format import number
from vagus_tui.schema import v2
from vagus_tui.widgets.section_list import SectionList
from vagus_tui.widgets.text import fitted, safe_str

NARROW = {v2.EXERCISES: "exerc.", v2.SESSIONS: "sess."}
SHORT = {
    v2.PLANS: "plans",
    v2.WEEKS: "weeks",
    v2.DAYS: "days",
    v2.GROUPS: "groups",
    v2.EXERCISES: "exercises",
    v2.SESSIONS: "sessions",
    v2.LOGS: "logs",
}
HEADINGS = {
    Kind.OWNER: "Owners",
    Kind.COACH: "Coaches",
    Kind.FORMER_COACH: "Coaches without an active client",
    Kind.OTHER: "Neither",
    Kind.ANON: "Without a login",
    Kind.SERVICE: "The service",
}
MARKS = {Verdict.SAME: "✓", Verdict.BY_DESIGN: "+", Verdict.LOST: "✗", Verdict.GAINED: "!"}
NOTHING = "·"
VERDICT_STYLES = {
    Verdict.SAME: "$success",
    Verdict.BY_DESIGN: "$accent",
    Verdict.LOST: "$error bold",
    Verdict.GAINED: "$error bold reverse",
}
LEGEND = "✓ same  + by design  ✗ lost  ! gained  · no rows   select insert update delete"
NAME_WIDTH, WIDEST_NAME = 22, 40
FIELD, WIDE_FIELD = 7, 12
"""Four marks and a gap; where there is room, the rows that SELECT finds now as well."""


def mark_of(cell: Cell) -> tuple[str, str]:
    """A cell's mark and its style; no rows before and none now is a dot."""
    if cell.verdict is Verdict.SAME and not cell.before and not cell.now:
        return NOTHING, "$text-muted"
    return MARKS[cell.verdict], VERDICT_STYLES[cell.verdict]


def brief(count: int) -> str:
    """A number of rows in five characters at most: 9,999, 12.6k, 126k, 1.9M."""
    if count < 10_000:
        return number(count)
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            amount = count / size
            return f"{amount:.1f}{unit}" if amount < 100 else f"{amount:.0f}{unit}"
    return number(count)


class AccessGrid(SectionList[Person]):
    """The grid. Arrows walk over fields and the commands in them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "across(-1)", "Command to the left", show=False),
        Binding("right,l", "across(1)", "Command to the right", show=False),
        Binding("tab", "across(4)", "Next table", show=False),
        Binding("shift+tab", "across(-4)", "Previous table", show=False),
    ]
    HEADER_LINES = 2
    LAST = len(v2.TABLES) * len(COMMANDS) - 1

    column: reactive[int] = reactive(0)

    class At(SectionList.At):
        """The cursor is on another cell."""

    class Opened(SectionList.Opened):
        """Enter or a second click on a cell."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.matrix: AccessMatrix | None = None

    def show_matrix(self, matrix: AccessMatrix) -> None:
        """Show a measurement; the cursor stays with its person, table and command."""
        self.matrix = matrix
        self.fill([(words, [p for p in matrix.people if p.kind is kind]) for kind, words in HEADINGS.items()])

    @property
    def place(self) -> tuple[str, str]:
        """Table and command under the cursor."""
        table, command = divmod(self.column, len(COMMANDS))
        return v2.TABLES[table], COMMANDS[command]

    def cell_of(self, person: Person, table: str, command: str) -> Cell:
        """One cell."""
        assert self.matrix is not None
        return self.matrix.cells[person.id, table, command]

    def key(self, item: Person) -> str:
        """The person's id."""
        return item.id

    # Drawing

    def _widths(self, width: int) -> tuple[int, int]:
        """Of the name and of one field."""
        fields = len(v2.TABLES)
        field = WIDE_FIELD if width >= 2 + NAME_WIDTH + fields * WIDE_FIELD else FIELD
        return max(8, min(WIDEST_NAME, width - 2 - fields * field)), field

    def header(self, width: int) -> Content:
        """The tables."""
        name, field = self._widths(width)
        names = SHORT if field == WIDE_FIELD else {**SHORT, **NARROW}
        tables = "".join(fitted(names[table], field - 1) + " " for table in v2.TABLES)
        return Content.styled(f"  {fitted('Who', name)}{tables}", "$text-muted")

    def render_line(self, y: int) -> Strip:
        """Under the tables stand the commands' letters."""
        if y != 1:
            return super().render_line(y)
        width = self.scrollable_content_region.width
        name, field = self._widths(width)
        letters = "".join(command[0] for command in COMMANDS)
        wide = field == WIDE_FIELD
        line = fitted(letters, len(COMMANDS)) + (fitted("finds", field - 6, right=True) if wide else "")
        line = (fitted(line, field - 1) + " ") * len(v2.TABLES)
        return self._strip(Content.styled(f"  {' ' * name}{line}", "$text-muted"), width, "")

    def row(self, item: Person, width: int, *, here: bool, focused: bool) -> Content:
        """`▸ most plans: 14   ✓✓✓✓ 14   ✓✓✓✓ …`."""
        name, field = self._widths(width)
        label = item.label or item.id
        short = label if item.user_id is None or not item.label else f"{label} · {item.id[:8]}"
        if len(short) >= name:
            short = label
        parts: list[Content | str | tuple[str, str]] = ["  ", fitted(safe_str(short), name - 1), " "]
        for place, table in enumerate(v2.TABLES):
            for step, command in enumerate(COMMANDS):
                mark, style = mark_of(self.cell_of(item, table, command))
                if here and self.column == place * len(COMMANDS) + step:
                    style = "bold reverse"
                parts.append((mark, style))
            found = brief(self.cell_of(item, table, "select").now) if field == WIDE_FIELD else ""
            parts.append((fitted(found, field - len(COMMANDS) - 2, right=True) + "  ", "$text-muted"))
        return Content.assemble(*parts)

    # Moving

    def validate_column(self, column: int) -> int:
        """Keep the cursor within the grid."""
        return max(0, min(column, self.LAST))

    def watch_column(self) -> None:
        """Another cell."""
        self.refresh()
        self._tell()

    def action_across(self, step: int) -> None:
        """To the next or previous command, or table."""
        self.column += step

    def select_problem(self) -> bool:
        """Put the cursor on the next cell in which something was lost or gained; False when there is none."""
        people = self.items
        cells = [(row, column) for row in range(len(people)) for column in range(self.LAST + 1)]
        here = cells.index((self.cursor, self.column)) if people else 0
        for row, column in (*cells[here + 1 :], *cells[: here + 1]):
            table, command = divmod(column, len(COMMANDS))
            verdict = self.cell_of(people[row], v2.TABLES[table], COMMANDS[command]).verdict
            if verdict in (Verdict.LOST, Verdict.GAINED):
                self.cursor, self.column = row, column
                return True
        return False

    def on_click(self, event: events.Click) -> None:
        """A click puts the cursor on a cell, a second one opens it."""
        name, field = self._widths(self.scrollable_content_region.width)
        place, step = divmod(event.x - name - 2, field)
        if 0 <= place < len(v2.TABLES) and step < len(COMMANDS):
            column = place * len(COMMANDS) + step
            if column != self.column:
                self.column = column
                line = event.y - self.HEADER_LINES + self.scroll_offset.y
                if event.y >= self.HEADER_LINES and 0 <= line < len(self._lines):
                    entry = self._lines[line]
                    if isinstance(entry, tuple):
                        self.select(entry[0])
                return
        super().on_click(event)


def figures(cell: Cell) -> Content:
    """A cell in words and figures: before, now, and what makes the difference."""
    parts = [
        Content.assemble(
            ("v1 ", "$text-muted"), number(cell.before), ("  →  v2 ", "$text-muted"), number(cell.now), " rows"
        )
    ]
    for count, words, style in (
        (cell.gained, "gained", VERDICT_STYLES[Verdict.LOST]),
        (cell.lost, "lost", VERDICT_STYLES[Verdict.LOST]),
        (cell.by_design, "more by design", VERDICT_STYLES[Verdict.BY_DESIGN]),
        (cell.since, "written since the cut-over", "$text-muted"),
    ):
        if count:
            parts.append(Content.styled(f"{number(count)} {words}", style))
    return Content(" · ").join(parts)


def verdict_line(person: Person, table: str, command: str, cell: Cell) -> Content:
    """`✗ lost · owner 05da… · select workout_plans`."""
    mark, style = mark_of(cell)
    words = "no rows, as before" if mark == NOTHING else cell.verdict.value
    return Content.assemble((f"{mark} {words}", style.replace(" reverse", "")), f" · {person.name} · {command} {table}")
