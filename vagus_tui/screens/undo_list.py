"""What was fixed, by whom and when; each fix can be put back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from vagus_tui.format import moment, plural
from vagus_tui.remedies import Batch, ChangedSinceError, batches, remedy_by_id, undo
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.section_list import SectionList
from vagus_tui.widgets.text import fitted, safe, safe_str
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

WHEN, STANDS = 11, 8
LONGEST_NAME = 10


def fix_name(batch: Batch) -> str:
    """The fix's words, or its id where this version does not know it."""
    try:
        remedy = remedy_by_id(batch.remedy)
    except KeyError:
        return safe_str(batch.remedy)
    return f"{remedy.rule.title}: {remedy.title}"


class BatchList(SectionList[Batch]):
    """Applied fixes, newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "put back")]

    class At(SectionList.At):
        """Another one."""

    class Opened(SectionList.Opened):
        """Put this one back."""

    def __init__(self, timezone: str) -> None:
        super().__init__(id="batches")
        self.timezone = timezone
        self._rows, self._who = len("Rows"), len("Who")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What was put back already cannot be again."""
        if action == "open" and (batch := self.selected) is not None and batch.restored_at is not None:
            return None
        return True

    def rows_changed(self) -> None:
        """The fix gets the room that figures and names leave: some differ only at their end."""
        self._rows = max([len("Rows"), *(len(f"{item.rows:,}") for item in self.items)])
        names = max([len("Who"), *(cell_len(safe_str(item.operator)) for item in self.items)])
        self._who = min(LONGEST_NAME, names)

    def key(self, item: Batch) -> str:
        """The batch's id."""
        return str(item.id)

    def _columns(self, width: int, start: str, when: str, what: str, rows: str, who: str, stands: str) -> str:
        left = max(8, width - 2 - WHEN - self._rows - self._who - STANDS - 4)
        return " ".join(
            (
                start,
                fitted(when, WHEN),
                fitted(what, left),
                fitted(rows, self._rows, right=True),
                fitted(who, self._who),
                fitted(stands, STANDS),
            )
        )

    def header(self, width: int) -> Content:
        """The columns' names."""
        return Content.styled(self._columns(width, " ", "When", "Fix", "Rows", "Who", "Stands"), "$text-muted")

    def row(self, item: Batch, width: int, *, here: bool, focused: bool) -> Content:
        """When, what, how much, who, and whether it still stands."""
        # The year stands below, with all the rest that a narrow row has no room for.
        when = moment(item.at, self.timezone)[5:]
        stands = "put back" if item.restored_at else "in place"
        text = self._columns(width, " ", when, fix_name(item), f"{item.rows:,}", item.operator, stands)
        return Content.styled(text, "$text-muted" if item.restored_at and not here else "")


def in_full(batch: Batch, timezone: str) -> Content:
    """What a narrow row cuts off: the fix, what it changed, and who put it back."""
    stands = "It is in place; enter puts it back."
    if batch.back:
        were = "was" if batch.back == 1 else "were"
        stands = f"{batch.back:,} more {were} put back before; enter puts back what is left."
    if batch.restored_at is not None:
        stands = f"Put back {moment(batch.restored_at, timezone)} by {safe_str(batch.restored_by or 'somebody')}."
    return Content("\n").join(
        [
            safe(fix_name(batch), "bold"),
            safe(f"{_changed(batch)}, by {safe_str(batch.operator)} at {moment(batch.at, timezone)}."),
            safe(stands),
        ]
    )


def _changed(batch: Batch) -> str:
    """`12 in workout_plans, 340 in exercise_logs`."""
    return ", ".join(f"{count:,} in {safe_str(table)}" for table, count in batch.tables.items())


class UndoScreen(WizardScreen):
    """The list of applied fixes, and the selected one in full."""

    AUTO_FOCUS = "#batches"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "back", key_display="esc")]

    def __init__(self, undone: Callable[[], None]) -> None:
        super().__init__()
        self.undone = undone

    def compose(self) -> ComposeResult:
        """The list, and the selected fix under it."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("Fixes that were applied")
            yield WaitLine(self.session)
            yield Static("", id="rows-note")
            yield BatchList(self.session.settings.timezone)
            yield Static("", id="explanation")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Read the list."""
        self.read(self._load)

    async def _load(self) -> None:
        async with self.session.connection("fixes") as connection:
            found = await batches(connection)
        self.query_one(BatchList).fill([("", found)])
        standing = sum(batch.restored_at is None for batch in found)
        self.query_one(TitleLine).set_summary(f"{standing} of {len(found)} in place" if found else "")
        self.query_one(BatchList).display = bool(found)
        if not found:
            self.query_one("#rows-note", Static).update(Content("No fix has been applied to this database."))

    @on(BatchList.At)
    def _highlighted(self, message: BatchList.At) -> None:
        self.query_one("#explanation", Static).update(in_full(message.item, self.session.settings.timezone))
        self.refresh_bindings()

    @on(BatchList.Opened)
    def _opened(self, message: BatchList.Opened) -> None:
        batch: Batch = message.item
        if batch.restored_at is not None:
            self.notify("It has been put back already.", markup=False)
            return
        self.attempt(partial(self._undo, batch), group="undo", exclusive=True)

    async def _undo(self, batch: Batch) -> None:
        body = (
            f"Every row becomes what it was before the fix: {_changed(batch)}. "
            "Where a row has changed since, you are asked about the others. The check that objected will object again."
        )
        if not await self.ask(ConfirmDialog(fix_name(batch), body, yes=f"Put back {plural(batch.rows, 'row')}")):
            return
        try:
            await self._put_back(batch)
        except ChangedSinceError as error:
            if error.others == 0:
                raise
            others = "the others" if error.others is None else f"the other {plural(error.others, 'row')}"
            body = (
                f"{error.happened} What was not changed can be put back without that, which stays as it is until "
                f"it is put back later.\n\n{error.next_step}"
            )
            if not await self.ask(ConfirmDialog(fix_name(batch), body, yes=f"Put back {others}")):
                return
            await self._put_back(batch, partly=True)
        self.undone()
        await self._load()

    async def _put_back(self, batch: Batch, *, partly: bool = False) -> None:
        async with self.session.connection("undo") as connection:
            applied = await undo(connection, batch.id, self.session.settings.operator, partly=partly)
        back = applied.rows + sum(applied.below.values())
        left = f", {plural(len(applied.left), 'row')} left" if applied.left else ""
        self.notify(f"{plural(back, 'row')} put back{left}.", markup=False)

    def action_back(self) -> None:
        """Back to the checks."""
        if self.is_active:
            self.dismiss(None)
