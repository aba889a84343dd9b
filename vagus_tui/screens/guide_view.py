"""The whole guide on one list: every item of it, where the wizard does it, and how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input

from vagus_tui.events import Status
from vagus_tui.runbook.model import Item
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.guide_facts import GuideLine, guide_lines
from vagus_tui.screens.item_facts import item_text
from vagus_tui.screens.messages import SessionChanged
from vagus_tui.screens.spots import Window
from vagus_tui.screens.ticking import tick_item
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.search_field import SearchField
from vagus_tui.widgets.section_list import SectionList
from vagus_tui.widgets.text import fitted, safe
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine


class GuideList(SectionList[GuideLine]):
    """Entries under the guide's headings."""

    HEADER_LINES: ClassVar[int] = 0

    class At(SectionList.At):
        """The cursor is on another entry."""

    class Opened(SectionList.Opened):
        """Go where it is done."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "go there")]

    def key(self, item: GuideLine) -> str:
        """The entry's id."""
        return item.id

    def row(self, item: GuideLine, width: int, *, here: bool, focused: bool) -> Content:
        """Mark, title, how it stands, and the screen where it is done."""
        words = 20 if width >= 60 else 0
        place = 16 if width >= 46 else 0
        title = fitted(item.title, max(8, width - words - place - 4))
        return Content.assemble(
            " ",
            (MARKS[item.entry.status], STYLES[item.entry.status]),
            " ",
            title,
            (fitted(f" {item.entry.words}", words), "$text-muted") if words else "",
            (fitted(f" {item.spot.label}", place), "$text-muted") if place else "",
        )


class GuideScreen(WizardScreen):
    """The list, a field to narrow it, and what fulfils the selected entry."""

    HELP: ClassVar[str] = (
        "Every numbered item, check box and table row of the migration guide, and what the guide lacks, with how it "
        "stands: measured by checks, shown by evidence, or signed off by people. “to know” asks for nothing. "
        "Enter goes to the very place where it is done."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("space", "tick", "tick"),
        Binding("e", "tick_with_note", "with a note"),
        Binding("o", "only_open", "only open"),
        Binding("slash", "search", "search", key_display="/"),
        Binding("down", "list", show=False),
    ]
    AUTO_FOCUS = "#guide-list"

    def __init__(self) -> None:
        super().__init__()
        self.only_open = False

    def compose(self) -> ComposeResult:
        """Field, list, detail."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("The guide")
            yield WaitLine(self.session)
            yield SearchField("/ narrows the list", id="guide-search")
            with Vertical(classes="split"):
                yield GuideList(id="guide-list")
                yield DetailPanel(id="guide-detail")
        yield KeyFooter()

    def on_mount(self) -> None:
        """All of it, with the cursor where it was when the list was last open."""
        at = self.wizard.guide_at
        self.fill()
        self.query_one(GuideList).select(at)

    @on(SessionChanged)
    def _changed(self) -> None:
        self.query_one(HeaderLine).refresh()
        self.fill()

    def fill(self) -> None:
        """Bring the list up to date; the cursor stays on its entry."""
        if not self.query(GuideList):
            return
        lines = guide_lines(self.session)
        wanted = self.query_one("#guide-search", Input).value.casefold().split()
        shown = [line for line in lines if self._wanted(line, wanted)]
        sections = dict.fromkeys(line.section for line in shown)
        table = self.query_one(GuideList)
        if shown != table.items:
            table.fill([(section, [line for line in shown if line.section == section]) for section in sections])
        self._say(lines)
        self.refresh_bindings()

    def _wanted(self, line: GuideLine, words: Sequence[str]) -> bool:
        if self.only_open and line.entry.status in (Status.PASS, Status.SKIP):
            return False
        text = f"{line.section} {line.title} {line.spot.label} {' '.join(name for name, _ in line.parts)}".casefold()
        return all(word in text for word in words)

    def _say(self, lines: Sequence[GuideLine]) -> None:
        asked = [line for line in lines if line.entry.status is not Status.SKIP]
        done = sum(line.entry.status in (Status.PASS, Status.WARN) for line in asked)
        failing = sum(line.entry.status.blocks for line in asked)
        parts = [Content(f"{done} of {len(asked)} done")]
        if failing:
            parts.append(Content.styled(f"{failing} failing", STYLES[Status.FAIL]))
        if self.only_open:
            parts.append(Content("only open ones"))
        self.query_one(TitleLine).set_summary(Content(" · ").join(parts))

    @on(GuideList.At)
    def _at(self, message: GuideList.At) -> None:
        line: GuideLine = message.item
        self.wizard.guide_at = line.id
        parts = [safe(line.title, "bold"), safe(f"{line.section} · on {line.spot.label}", "$text-muted")]
        for name, entry in line.parts:
            parts.append(
                Content.assemble((MARKS[entry.status], STYLES[entry.status]), " ", safe(name), f": {entry.words}")
            )
        for item in line.items:
            parts += [Content(""), item_text(self.session, item)]
        self.query_one(DetailPanel).show(Content("\n").join(parts))
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what people sign off is ticked."""
        if action in ("tick", "tick_with_note"):
            return self._item() is not None or None
        return True

    def _item(self) -> Item | None:
        line = self.query_one(GuideList).selected if self.is_mounted else None
        return line.signable if line is not None else None

    # Acts

    @on(Input.Changed, "#guide-search")
    def _typed(self) -> None:
        self.fill()

    @on(Input.Submitted, "#guide-search")
    def action_list(self) -> None:
        """From the field into the list."""
        self.query_one(GuideList).focus()

    def action_search(self) -> None:
        """Into the field."""
        self.query_one("#guide-search", Input).focus()

    def action_only_open(self) -> None:
        """Only what is still to be done, or all."""
        self.only_open = not self.only_open
        self.fill()

    def action_tick(self) -> None:
        """Tick or untick in one's own name."""
        self.attempt(lambda: self._tick(with_note=False), group="tick")

    def action_tick_with_note(self) -> None:
        """Tick or untick, and keep a note with it."""
        self.attempt(lambda: self._tick(with_note=True), group="tick")

    async def _tick(self, *, with_note: bool) -> None:
        if (item := self._item()) is not None:
            await tick_item(self, item, with_note=with_note)

    @on(GuideList.Opened)
    def _opened(self, message: GuideList.Opened) -> None:
        line: GuideLine = message.item
        if line.spot.window is Window.GUIDE:
            self.notify("It is signed off here: space ticks it, e keeps a note with it.", markup=False)
            return
        # Enter that is held down comes again before it is gone.
        if not self.is_active:
            return
        if not isinstance(line.spot.window, Window):
            self.dismiss(None)
        self.app.call_later(self.wizard.go_to, line.spot)

    def action_back(self) -> None:
        """From the field into the list first."""
        if isinstance(self.focused, Input):
            self.query_one(GuideList).focus()
        elif self.is_active:
            self.dismiss(None)
