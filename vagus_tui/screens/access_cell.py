"""One cell of the access matrix: the rows lost or gained, the policies that decide, and how to try it by hand."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from vagus_tui.checks.access.checks import try_it
from vagus_tui.checks.access.classes import coach_columns
from vagus_tui.checks.access.evaluation import Ground, evaluation
from vagus_tui.checks.access.guards import Guard
from vagus_tui.checks.access.matrix import COMMANDS, Cell, Person, Verdict
from vagus_tui.checks.access.measure import read_ground
from vagus_tui.checks.base import RowPage, read_page
from vagus_tui.database.identifiers import literal, qualified
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.text_view import TextView
from vagus_tui.widgets.access_grid import figures, verdict_line
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.row_page import PageTable, show_page
from vagus_tui.widgets.text import safe, safe_block
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

MEANING = {
    Verdict.SAME: "v2 gives what v1 gave.",
    Verdict.BY_DESIGN: "v1's policies gave less; v2's rules promise it: the owner's and, by a coach_clients row, the "
    "active coach's.",
    Verdict.LOST: "v1 gave it, or v2's rules promise it, and v2 does not give it. If it was meant to end, override the "
    "check with the reason; else mend v2's policies or grants.",
    Verdict.GAINED: "v2 gives it, and neither v1 nor v2's rules do: somebody reaches what is another's. Mend the "
    "policies at once, or roll back.",
}


def _policies(guard: Guard | None, person: Person, command: str, side: str) -> Content:
    """What a side's catalog says about this role and command."""
    if guard is None:
        return Content.styled(f"{side}: the table was removed.", "$text-muted")
    head = Content.assemble((f"{side}, {guard.relation}: ", "bold"))
    if (person.role, command) not in guard.granted:
        return head + safe(f"no grant of {command} to {person.role}, so no row.")
    if person.role not in guard.enforced:
        reason = f"{person.role} passes row level security by" if guard.enabled else "row level security is off"
        return head + safe(f"{reason}: every row.")
    words = [command] if command in ("select", "insert") else ["select", command]
    found = {policy.name: policy for word in words for policy in guard.for_command(person.role, word)}
    if not found:
        return head + Content("no policy, so no row.")
    return Content("\n").join([head, *(safe_block(policy.text) for policy in found.values())])


class AccessCell(WizardScreen):
    """The cell over the whole window."""

    AUTO_FOCUS = "#cell-scroll"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("s", "sql", "SQL", tooltip="what to type into psql to see it, and how it was measured"),
        Binding("c", "copy", "copy ids", tooltip="the ids of the rows lost and gained"),
    ]

    def __init__(self, person: Person, table: str, command: str, cell: Cell) -> None:
        super().__init__()
        self.person = person
        self.table_name = table
        self.command = command
        self.cell = cell
        self.ground: Ground | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The rows that changed hands, as far as their ids were kept."""
        return (*self.cell.gained_ids, *self.cell.lost_ids)

    def compose(self) -> ComposeResult:
        """Words above, the rows below."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("Access")
            yield WaitLine(self.session)
            with VerticalScroll(id="cell-scroll", can_focus=True):
                yield Static(self._words(), id="cell-words")
            yield Static("", id="rows-note")
            yield PageTable(id="rows")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Read the policies and the rows."""
        self.query_one("#rows").display = False
        self.read(self._load)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There may be no ids to copy."""
        return bool(self.ids) if action == "copy" else True

    def _words(self) -> Content:
        person, cell = self.person, self.cell
        parts = [
            verdict_line(person, self.table_name, self.command, cell),
            figures(cell),
            Content(MEANING[cell.verdict]),
        ]
        if person.label:
            parts.append(safe(f"Chosen for: {person.label}.", "$text-muted"))
        if self.ground is not None:
            old, new = self.ground.old_for(self.table_name), self.ground.new[self.table_name]
            parts += [Content(""), _policies(old, person, self.command, "v1")]
            parts += [Content(""), _policies(new, person, self.command, "v2")]
        return Content("\n").join(parts)

    async def _load(self) -> None:
        page, coached = RowPage((), (), 0, more=False), False
        async with self.session.looking("access", statement_timeout="60000") as context:
            self.ground = await read_ground(context)
            if self.ids:
                listed = ", ".join(literal(row).strip() for row in self.ids)
                query = f"select t.* from {qualified('public', self.table_name)} t where t.id::text in ({listed})"
                page = await read_page(context.connection, query)
            elif self.cell.verdict is Verdict.BY_DESIGN and await coach_columns(context.connection):
                who = literal(self.person.id).strip()
                query = f"select c.* from public.coach_clients c where c.coach_id::text = {who}"
                page, coached = await read_page(context.connection, query), True
        self.query_one("#cell-words", Static).update(self._words())
        table: DataTable[object] = self.query_one("#rows", DataTable)
        table.display = bool(page.rows)
        # Without rows the words have the window to themselves.
        self.query_one("#cell-scroll").set_class(not page.rows, "-whole")
        if coached and page.rows:
            self.query_one("#rows-note", Static).update(
                Content.styled("The coach_clients rows it rests on", "$text-muted")
            )
            show_page(table, page)
        if not self.ids:
            return
        all_rows = self.cell.lost + self.cell.gained
        word = "One row stands for those that no policy tells apart." if all_rows > len(self.ids) else ""
        gone = "" if page.rows else " None of them is in v2 any more."
        note = f"{len(self.ids):,} of {all_rows:,} rows lost or gained.{gone} {word}"
        self.query_one("#rows-note", Static).update(Content.styled(note, "$text-muted"))
        show_page(table, page)

    def action_sql(self) -> None:
        """What to type, and the statement that measured it."""
        text = try_it(self.person, self.table_name, self.command)
        if self.ground is not None:
            measured = evaluation(self.table_name, self.person.role, self.ground)
            commands = ", ".join(COMMANDS)
            text = f"{text}\n\n-- how it was measured, {commands} at once; v_person is the user's id\n{measured};"
        self.open_window(TextView(f"SQL · {self.command} {self.table_name}", text, language="postgresql"))

    def action_copy(self) -> None:
        """The ids, one per line."""
        self.app.copy_to_clipboard("\n".join(self.ids))
        self.notify(f"Copied {len(self.ids)} ids.", timeout=2, markup=False)

    def action_back(self) -> None:
        """Back to the matrix."""
        if self.is_active:
            self.dismiss(None)
