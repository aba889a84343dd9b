"""A checklist from the runbook: items under their headings, each with how it stands and who said so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from vagus_tui.events import Status
from vagus_tui.runbook.model import Group, Item
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.pointer import PointedList
from vagus_tui.widgets.text import fitted, safe_str

RIGHT_WIDTH = 26
LEAST_RIGHT = 10


@dataclass(frozen=True, slots=True)
class Entry:
    """How one item stands, and a few words about it for the right end: who signed, what a check found, who is asked."""

    status: Status
    words: str = ""


class Checklist(PointedList):
    """Items with marks. Space or Enter on one asks for it to be ticked or unticked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "select", "tick"),
        Binding("j", "cursor_down", show=False),
        Binding("k", "cursor_up", show=False),
    ]

    class ItemMessage(Message):
        """About one item."""

        def __init__(self, item: Item) -> None:
            super().__init__()
            self.item = item

    # A handler of a message hears those derived from it too: these two stand side by side.
    class Ticked(ItemMessage):
        """The operator wants to tick or untick an item."""

    class At(ItemMessage):
        """The cursor is on an item."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._groups: tuple[Group, ...] = ()
        self._entries: dict[str, Entry] = {}
        self._items: dict[str, Item] = {}
        self._width = 0
        self._wanted: str | None = None

    def show(self, groups: Sequence[Group], entries: Mapping[str, Entry]) -> None:
        """Show these groups; where only entries have changed, only their lines are drawn again."""
        new = dict(entries)
        if tuple(groups) != self._groups:
            self._groups, self._entries = tuple(groups), new
            self._items = {item.id: item for group in groups for item in group.items}
            self._fill()
            return
        changed = [item_id for item_id in self._items if new.get(item_id) != self._entries.get(item_id)]
        self._entries = new
        if not self.option_count:
            # Not shown yet, so there is no width to draw lines for.
            self._fill()
            return
        for item_id in changed:
            self.replace_option_prompt(item_id, self._line(self._items[item_id]))

    @property
    def selected(self) -> Item | None:
        """The item under the cursor."""
        option = self.highlighted_option
        return self._items.get(option.id or "") if option is not None else None

    def select(self, item_id: str) -> bool:
        """Put the cursor on an item, at once or when the list is first drawn; False where it is not on the list."""
        if item_id not in self._items:
            return False
        if self.option_count:
            self.highlighted = self.get_option_index(item_id)
        else:
            self._wanted = item_id
        return True

    @property
    def done(self) -> tuple[int, int]:
        """How many items are done, of how many."""
        statuses = [self._entries.get(item_id, Entry(Status.PENDING)).status for item_id in self._items]
        return sum(status is Status.PASS for status in statuses), len(statuses)

    def on_resize(self) -> None:
        """Lines follow the width."""
        if self.size.width != self._width:
            self._fill()

    def _fill(self) -> None:
        self._width = self.scrollable_content_region.width or self.size.width
        if not self._width:
            return
        selected = self._items.get(self._wanted) if self._wanted is not None else self.selected
        self._wanted = None
        options: list[Option] = []
        for group in self._groups:
            options.append(
                Option(Content.styled(fitted(group.title, self._width - 2), "bold $text-muted"), disabled=True)
            )
            options.extend(Option(self._line(item), id=item.id) for item in group.items)
        self.clear_options()
        self.add_options(options)
        if selected is not None and selected.id in self._items:
            self.highlighted = self.get_option_index(selected.id)
        elif self._items:
            self.highlighted = 1

    def _line(self, item: Item) -> Content:
        entry = self._entries.get(item.id, Entry(Status.PENDING))
        width = max(24, self._width - 2)
        # Titles first; who and when as far as there is room for something that can be read.
        title = min(Content(item.title).cell_length, width - 2)
        right = min(RIGHT_WIDTH, width - 2 - title - 1)
        words = entry.words if right >= min(LEAST_RIGHT, Content(safe_str(entry.words)).cell_length) else ""
        right = max(0, right) if words else 0
        parts: list[Content | str | tuple[str, str]] = [
            " ",
            (MARKS[entry.status], STYLES[entry.status]),
            " ",
            fitted(item.title, width - right - 2),
        ]
        if right:
            parts.append((fitted(words, right, right=True), "$text-muted"))
        return Content.assemble(*parts)

    def on_click(self, event: events.Click) -> None:
        """A click goes to an item; another one on it ticks. Who only wants to read must not sign by it."""
        clicked = event.style.meta.get("option")
        if clicked is not None and clicked != self.highlighted:
            event.prevent_default()
            if not self.get_option_at_index(clicked).disabled:
                self.highlighted = clicked

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if (item := self._items.get(event.option_id or "")) is not None:
            self.post_message(self.Ticked(item))

    @on(OptionList.OptionHighlighted)
    def _highlighted_item(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if (item := self._items.get(event.option_id or "")) is not None:
            self.post_message(self.At(item))
