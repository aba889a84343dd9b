"""Guided fixes: which there are for a check, what each would do to which rows, and doing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable, Static

from vagus_tui.checks.base import Check
from vagus_tui.errors import RefusedError, VagusError
from vagus_tui.events import CheckEvent
from vagus_tui.format import plural
from vagus_tui.remedies import Preview, Remedy
from vagus_tui.remedies.offers import Offer, applicable, offers, safe_ones
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.screens.text_view import TextView
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.hanging import Hanging
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.row_page import PageTable, show_page
from vagus_tui.widgets.section_list import SectionList
from vagus_tui.widgets.text import fitted, safe, safe_str
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

COUNT_WIDTH = 22


def rows_and_below(preview: Preview) -> str:
    """`12 rows`, or `12 rows + 340 below`."""
    below = sum(preview.below.values())
    return plural(preview.rows, "row") + (f" + {below:,} below" if below else "")


def act_words(remedy: Remedy) -> str:
    """What the button says: `Change 12 rows`, `Set aside 12 rows`."""
    return "Set aside" if remedy.action == "set-aside" else "Change"


def consequences(choice: Offer) -> Content:
    """What will happen, to how many rows, and how it is undone."""
    remedy, preview = choice.remedy, choice.preview
    lines = [safe(remedy.description)]
    if preview.below:
        parts = ", ".join(f"{count:,} in {safe_str(table)}" for table, count in preview.below.items())
        lines.append(Content(f"What hangs on them goes along: {parts}."))
    lines.append(Content("One transaction. The originals are kept in the journal; u on Prerequisites puts them back."))
    return Content("\n\n").join(lines)


class FixList(SectionList[Offer]):
    """The fixes for one check, the gentlest first."""

    HEADER_LINES = 0

    class At(SectionList.At):
        """Another fix."""

    class Opened(SectionList.Opened):
        """This fix."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "apply this fix")]

    def key(self, item: Offer) -> str:
        """The fix's id."""
        return item.remedy.id

    def row(self, item: Offer, width: int, *, here: bool, focused: bool) -> Content:
        """`▸ Set aside                safe   12 rows + 340 below`."""
        words = f"{'safe  ' if item.remedy.safe else ''}{rows_and_below(item.preview)}"
        right = max(COUNT_WIDTH, len(words))
        return Content.assemble(
            "  ",
            fitted(item.remedy.title, max(4, width - right - 2)),
            fitted(words, right, right=True),
        )


class FixScreen(WizardScreen):
    """The fixes for one check: choose, look at the rows, apply after a question."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("s", "sql", "SQL", tooltip="the statements of the selected fix"),
        Binding("tab", "app.focus_next", "rows", show=True),
    ]

    def __init__(self, check: Check, event: CheckEvent, fixed: Callable[[], None]) -> None:
        super().__init__()
        self.check = check
        self.event = event
        self.fixed = fixed

    def compose(self) -> ComposeResult:
        """The fixes, what the selected one does, the rows."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine(f"Fix · {safe_str(self.check.title)}")
            yield WaitLine(self.session)
            yield FixList(id="fixes")
            yield Static(Content("Looking at the rows."), id="explanation")
            yield PageTable(id="rows")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Preview every fix."""
        self.query_one("#rows").display = False
        self.read(self._load)

    async def _load(self) -> None:
        choices: list[Offer] = []
        async with self.session.looking("fixes", statement_timeout="60000") as context:
            for remedy in applicable(self.check.id, context):
                choices.append(Offer(remedy, await remedy.preview(context)))
        table = self.query_one(FixList)
        table.styles.height = max(1, min(len(choices), 6))
        # What helps stands first: a fix for another case of the same fault has no rows here.
        choices.sort(key=lambda choice: not choice.preview.rows)
        table.fill([("", choices)])
        table.focus()
        if not choices:
            self.query_one("#explanation", Static).update(Content("There is no guided fix for this database."))

    @property
    def choice(self) -> Offer | None:
        """The fix under the cursor."""
        return self.query_one(FixList).selected

    @on(FixList.At)
    def _show(self) -> None:
        choice = self.choice
        if choice is None:
            return
        self.query_one("#explanation", Static).update(consequences(choice))
        table: DataTable[object] = self.query_one("#rows", DataTable)
        table.display = bool(choice.preview.page.rows)
        show_page(table, choice.preview.page)
        self.query_one(TitleLine).set_summary(rows_and_below(choice.preview))

    @on(FixList.Opened)
    def _opened(self) -> None:
        if (choice := self.choice) is not None:
            self.attempt(partial(self._apply, choice), group="apply", exclusive=True)

    async def _apply(self, choice: Offer) -> None:
        remedy, preview = choice.remedy, choice.preview
        if not preview.rows:
            self.notify("No rows to fix this way.", markup=False)
            return
        yes = f"{act_words(remedy)} {plural(preview.rows, 'row')}"
        title = f"{remedy.title} · {self.check.title}"
        if remedy.action == "set-aside":
            agreed = await self.confirm_destructive(title, consequences(choice), yes=yes)
        else:
            agreed = await self.ask(ConfirmDialog(title, consequences(choice), yes=yes))
        if not agreed:
            return
        async with self.session.context("fix") as context:
            applied = await remedy.apply(context, expected=preview)
        self.notify(f"{plural(applied.rows, 'row')} fixed. u puts them back.", markup=False)
        self.fixed()
        if self.is_active:
            self.dismiss(None)

    def action_sql(self) -> None:
        """The statements."""
        if (choice := self.choice) is not None:
            self.open_window(TextView(f"SQL · {choice.remedy.title}", choice.preview.sql, language="postgresql"))

    def action_back(self) -> None:
        """Back to the checks."""
        if self.is_active:
            self.dismiss(None)


async def fix_all_safe(screen: WizardScreen, events: Sequence[CheckEvent], fixed: Callable[[], None]) -> None:
    """Apply every safe fix for what these checks found, after one question with the whole list."""
    # Of many rows it takes a while, and the key has to answer.
    screen.notify("Looking at what can be fixed safely.", timeout=2, markup=False)
    async with screen.session.looking("fixes", statement_timeout="60000") as context:
        safely = safe_ones((event.id for event in events), context)
        choices = [offer async for offer in offers(safely, context)]
    if not choices:
        await screen.tell("Fix all safe", "None of what was found has a fix that is safe without looking at the rows.")
        return
    titles = {event.id: event.title for event in events}
    width = max(len(f"{choice.preview.rows:,}") for choice in choices)
    lines = [
        (
            Content.styled(f"{choice.preview.rows:>{width},}  ", "bold"),
            Content.assemble(safe(titles[choice.remedy.check_id]), (f": {choice.remedy.title}", "$text-muted")),
        )
        for choice in choices
    ]
    total = sum(choice.preview.rows for choice in choices)
    body = Hanging(
        [
            *lines,
            Content(
                "\nNo row leaves and no meaning is invented. Each fix is one transaction; the originals are kept in "
                "the journal, and u puts them back one fix at a time."
            ),
        ]
    )
    if not await screen.ask(ConfirmDialog("Fix all safe", body, yes=f"Change {plural(total, 'row')}")):
        return
    done = 0
    try:
        for choice in choices:
            async with screen.session.context("fix") as context:
                done += (await choice.remedy.apply(context, expected=choice.preview)).rows
    except VagusError as error:
        raise RefusedError(
            error.happened, state=f"{plural(done, 'row')} fixed before that; {error.state}", next_step=error.next_step
        ) from error
    finally:
        fixed()
    screen.notify(f"{plural(done, 'row')} fixed. u puts them back.", markup=False)
