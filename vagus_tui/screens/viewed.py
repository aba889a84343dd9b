"""What screens with several views and with checklists share: turning the views over, and signing items off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import ContentSwitcher

from vagus_tui.runbook.model import Group, Item
from vagus_tui.screens.base import StepScreen, first_shown
from vagus_tui.screens.item_facts import item_entry, item_text
from vagus_tui.screens.ticking import tick_item
from vagus_tui.widgets.checklist import Checklist, Entry
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.views import ViewStrip


class ViewedScreen(StepScreen):
    """A step whose content is several views, of which one is open. `VIEWS` are (id, title) pairs."""

    VIEWS: ClassVar[tuple[tuple[str, str], ...]]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "next_view", "next view"),
        Binding("e", "tick_with_note", "with a note"),
    ]

    def compose_body(self) -> ComposeResult:
        """The strip, then the views."""
        yield ViewStrip(self.VIEWS)
        with ContentSwitcher(initial=self.VIEWS[0][0], id="views"):
            yield from self.compose_views()

    def compose_views(self) -> ComposeResult:
        """One container per view, with the view's id."""
        raise NotImplementedError

    @property
    def view(self) -> str:
        """The open view."""
        return self.query_one("#views", ContentSwitcher).current or self.VIEWS[0][0]

    def open_view(self, view: str) -> None:
        """Open a view and put the focus into it."""
        if view == self.view:
            return
        self.query_one("#views", ContentSwitcher).current = view
        self.query_one(ViewStrip).open(view)
        self.view_opened(view)
        self.call_after_refresh(self.focus_view)
        self.refresh_bindings()

    def view_opened(self, view: str) -> None:
        """A view has been opened."""

    def focus_view(self) -> None:
        """Put the focus on the first thing in the open view that takes it."""
        self.set_focus(first_shown(self.query(f"#{self.view} *")))

    def focus_first(self) -> None:
        """The open view has the next act."""
        self.focus_view()

    def action_next_view(self) -> None:
        """The next view, and the first after the last."""
        self.open_view(self.query_one(ViewStrip).following)

    @on(ViewStrip.Chosen)
    def _view_chosen(self, message: ViewStrip.Chosen) -> None:
        self.open_view(message.view)

    def reveal(self, ref: str) -> bool:
        """A view, or an item of whichever view lists it."""
        for view, _ in self.VIEWS:
            lists = self.query(f"#{view}-list")
            checklist = lists.first(Checklist) if lists else None
            if ref == view or (checklist is not None and checklist.select(ref)):
                self.open_view(view)
                self.call_after_refresh(self.focus_view if checklist is None or ref == view else checklist.focus)
                return True
        return False

    # Checklists

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A note goes with a tick, so only where there is a checklist."""
        if action == "tick_with_note":
            return self.is_mounted and isinstance(self.focused, Checklist)
        return True

    def fill_checklist(self, selector: str, groups: Sequence[Group], more: Mapping[str, Entry] | None = None) -> None:
        """Bring a checklist up to date; `more` has the items whose standing the screen knows better."""
        entries = {item.id: item_entry(self.session, item) for group in groups for item in group.items}
        self.query_one(selector, Checklist).show(groups, {**entries, **(more or {})})

    def compose_checklist(self, view: str) -> ComposeResult:
        """A view with a checklist `#<view>-list` and its detail."""
        with Vertical(id=view, classes="split"):
            yield Checklist(id=f"{view}-list")
            yield DetailPanel(id=f"{view}-detail")

    @on(Checklist.At)
    def _item_at(self, message: Checklist.At) -> None:
        self.show_item(message.item)
        self.refresh_bindings()

    def show_item(self, item: Item) -> None:
        """Explain the item under the cursor beside its list."""
        panels = self.query(f"#{self.view}-detail")
        if panels:
            panels.first(DetailPanel).show(item_text(self.session, item))

    def refresh_item(self) -> None:
        """Explain the selected item again, after something has changed."""
        for checklist in self.query(f"#{self.view}-list"):
            if isinstance(checklist, Checklist) and checklist.selected is not None:
                self.show_item(checklist.selected)

    @on(Checklist.Ticked)
    def _ticked(self, message: Checklist.Ticked) -> None:
        self.attempt(self._tick(message.item, with_note=False), group="tick")

    def action_tick_with_note(self) -> None:
        """Tick the selected item and keep a note with it."""
        if isinstance(self.focused, Checklist) and self.focused.selected is not None:
            self.attempt(self._tick(self.focused.selected, with_note=True), group="tick")

    async def _tick(self, item: Item, *, with_note: bool) -> None:
        await tick_item(self, item, with_note=with_note)
