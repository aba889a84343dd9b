"""What screens with several views and with checklists share: turning the views over, and signing items off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import ContentSwitcher

from vagus_tui.events import Status
from vagus_tui.journal.acceptance import Verdict, count
from vagus_tui.runbook.model import Fulfilment, Group, Item
from vagus_tui.screens.base import StepScreen
from vagus_tui.screens.dialogs import PromptDialog
from vagus_tui.screens.session import Session
from vagus_tui.widgets.checklist import Checklist, Entry
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.format import moment
from vagus_tui.widgets.marks import MARKS, STYLES, WORDS, worst
from vagus_tui.widgets.text import safe, safe_block, safe_str
from vagus_tui.widgets.views import ViewStrip

_SEEN = (Status.PASS, Status.WARN, Status.FAIL, Status.ERROR, Status.RUNNING)
"""What a check says when it could look; a check that was left out leaves the item to people."""


class NoteDialog(PromptDialog):
    """Asks for a note, which may be empty."""

    def problem(self, text: str) -> str:
        """Anything will do."""
        return ""


def check_entry(session: Session, check: str) -> Entry:
    """How a check stands: by what was measured here, or else by the latest that anybody measured."""
    result = session.results.get(check)
    if result is not None:
        return Entry(result.status, WORDS[result.status])
    other = session.now.measured.get(check)
    if other is None:
        return Entry(Status.PENDING, "not measured yet")
    at = moment(other.at, session.settings.timezone)
    return Entry(other.status, f"{WORDS[other.status]}, {safe_str(other.operator, limit=10)} {at[5:]}")


def item_entry(session: Session, item: Item) -> Entry:
    """How an item stands: by its checks, or by the latest sign-off."""
    if item.fulfilment is Fulfilment.CHECK:
        results = [check_entry(session, check) for check in item.checks]
        pending = [result for result in results if result.status is Status.PENDING]
        if pending:
            return pending[0]
        status = worst([result.status for result in results])
        return next(result for result in results if result.status is status)
    signed = session.now.sign_offs.get(item.id)
    ticked = signed is not None and signed.ticked
    passed, failed = count(tried for tried in session.now.tries.values() if tried.step == item.id)
    if failed:
        # Signed off in spite of it or not: what failed for somebody stays in sight until it is tried again.
        return Entry(Status.WARN if ticked else Status.FAIL, f"{failed} of {passed + failed} fail")
    seen = [one for one in (check_entry(session, check) for check in item.measured) if one.status in _SEEN]
    if item.measured and len(seen) == len(item.measured):
        status = worst([one.status for one in seen])
        if not ticked or status is not Status.PASS:
            one = next(one for one in seen if one.status is status)
            # What a person signs off against the measurement stays in sight.
            return replace(one, status=Status.WARN) if ticked else one
    if signed is not None and ticked:
        at = moment(signed.at, session.settings.timezone)
        return Entry(Status.PASS, f"{safe_str(signed.operator, limit=12)} {at[5:]}")
    return Entry(Status.RUNNING, f"{passed} pass, to be ticked") if passed else Entry(Status.PENDING, item.owner.value)


def item_text(session: Session, item: Item) -> Content:
    """All about an item, for the detail panel."""
    entry = item_entry(session, item)
    lines = [
        Content.assemble(
            (f"{MARKS[entry.status]} {WORDS[entry.status]}", STYLES[entry.status]), " · ", safe(item.title, "bold")
        ),
        safe_block(item.why),
    ]
    for check in (*item.checks, *item.measured):
        words = check_entry(session, check).words
        result = session.results.get(check) or session.now.measured.get(check)
        if result is not None:
            words += f": {safe_str(result.measured)}"
        lines.append(Content.assemble((f"Check {check}: ", "$text-muted"), words))
    signed = session.now.sign_offs.get(item.id)
    if signed is not None:
        done = "Signed off" if signed.ticked else "Taken back"
        when = moment(signed.at, session.settings.timezone)
        note = f": {signed.note}" if signed.note else ""
        lines.append(safe(f"{done} by {signed.operator}, {when}{note}", "$text-muted", limit=1200))
    for tried in session.now.tries.values():
        if tried.step == item.id and tried.verdict is Verdict.FAIL:
            lines.append(safe(f"Failed for {tried.person[:8]}: {tried.note}", STYLES[Status.FAIL], limit=400))
    lines.append(safe(f"{item.owner.value}{f' · Guide: {item.guide}' if item.guide else ''}", "$text-muted"))
    return Content("\n").join(lines)


class ViewedScreen(StepScreen):
    """A step whose content is several views, of which one is open. `VIEWS` are (id, title) pairs."""

    VIEWS: ClassVar[tuple[tuple[str, str], ...]]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "next_view", "next view"),
        Binding("e", "tick_with_note", "tick with a note"),
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
        for widget in self.query(f"#{self.view} *"):
            if widget.focusable:
                widget.focus()
                return
        self.set_focus(None)

    def focus_first(self) -> None:
        """The open view has the next act."""
        self.focus_view()

    def action_next_view(self) -> None:
        """The next view, and the first after the last."""
        self.open_view(self.query_one(ViewStrip).following)

    @on(ViewStrip.Chosen)
    def _view_chosen(self, message: ViewStrip.Chosen) -> None:
        self.open_view(message.view)

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
        if item.fulfilment is not Fulfilment.SIGN_OFF:
            self.notify("This one is measured, not signed off.", markup=False)
            return
        signed = self.session.now.sign_offs.get(item.id)
        ticked = not (signed is not None and signed.ticked)
        note = ""
        if with_note:
            yes = "Sign off" if ticked else "Take back"
            answer = await self.ask(NoteDialog(item.title, "A note, to be kept with it.", yes=yes, required=False))
            if answer is None:
                return
            note = answer
        await self.session.sign(item.id, ticked=ticked, note=note)
