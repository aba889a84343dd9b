"""Contacts, questions, risks and the rest of what the runbook knows, searchable, one key away from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from vagus_tui.format import plural
from vagus_tui.runbook.book import Book
from vagus_tui.runbook.overview import SCOPE
from vagus_tui.runbook.phases import MIGRATION_PHASES
from vagus_tui.runbook.rollback_advice import CRITERIA
from vagus_tui.runbook.troubleshooting import ISSUES
from vagus_tui.screens.base import WizardScreen
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.search_field import SearchField
from vagus_tui.widgets.section_list import SectionList
from vagus_tui.widgets.text import fitted, safe, safe_block
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry: its section, a title, a few words for the right end, and all of it. `copy` is what `c` copies."""

    id: str
    section: str
    title: str
    words: str
    text: str
    copy: str = ""

    def has(self, wanted: str) -> bool:
        """Whether all the words that are looked for occur in it."""
        everything = f"{self.section} {self.title} {self.words} {self.text}".casefold()
        return all(word in everything for word in wanted.casefold().split())


def leaves(book: Book) -> list[Leaf]:
    """Every entry, contacts first: they are wanted in a hurry."""
    found = [
        Leaf(one.id, "Contacts", one.role, one.address or "no address yet", one.when, one.address or "")
        for one in book.contacts
    ]
    found += [Leaf(one.id, "Questions", one.question, "", one.answer) for one in book.questions]
    found += [
        Leaf(
            one.id,
            "Risks",
            one.title,
            f"{one.probability.value}, {one.impact.value}",
            f"{one.mitigation}\nProbability {one.probability.value}, impact {one.impact.value}; on {one.screen.label}.",
        )
        for one in book.risks
    ]
    found += [Leaf(one.id, "What is migrated", one.title, one.treatment.value, one.detail) for one in SCOPE]
    found += [
        Leaf(
            f"phase.{one.id}",
            "Phases",
            one.title,
            one.users_feel,
            f"{one.what}\nUsers feel: {one.users_feel}\nWay back: {one.way_back}",
        )
        for one in MIGRATION_PHASES
    ]
    found += [
        Leaf(one.id, "Troubles", one.title, "", f"{one.symptom}\n{one.remedy}\nNever: {one.never}") for one in ISSUES
    ]
    found += [Leaf(one.id, "Whether to roll back", one.question, one.weight.value, one.advice) for one in CRITERIA]
    return found


class LeafList(SectionList[Leaf]):
    """Entries under their sections."""

    HEADER_LINES: ClassVar[int] = 0

    class At(SectionList.At):
        """The cursor is on another entry."""

    def key(self, item: Leaf) -> str:
        """The entry's id."""
        return item.id

    def row(self, item: Leaf, width: int, *, here: bool, focused: bool) -> Content:
        """Title, and a few words at the right."""
        right = min(len(item.words), 26) if width >= 60 else 0
        title = fitted(item.title, width - right - 3)
        return Content.assemble("  ", title, " ", (fitted(item.words, right, right=True), "$text-muted"))


class HandbookScreen(WizardScreen):
    """A field to search in, the entries, and the selected one in full."""

    HELP: ClassVar[str] = (
        "Whom to call, what people ask, what may go wrong and what answers it. Type to search; the words may stand "
        "anywhere. Names, addresses and texts come from the runbook; a file that VAGUS_RUNBOOK names changes them."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("slash", "search", "search", key_display="/"),
        Binding("c", "copy", "copy"),
        Binding("down", "list", show=False),
    ]
    AUTO_FOCUS = "#leaf-search"

    def __init__(self, at: str = "") -> None:
        """`at` is the entry that the cursor is put on; without it one begins in the field."""
        super().__init__()
        self.at = at

    def compose(self) -> ComposeResult:
        """Field, list, text."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("Runbook")
            yield WaitLine(self.session)
            yield SearchField("contacts, questions, risks … type to search", id="leaf-search")
            yield Static("", id="rows-note")
            with Vertical(classes="split"):
                yield LeafList(id="leaves")
                yield DetailPanel(id="leaf-detail")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Show all of it."""
        self._fill()
        if self.at:
            table = self.query_one(LeafList)
            table.select(self.at)
            self.call_after_refresh(table.focus)

    def _fill(self) -> None:
        wanted = self.query_one("#leaf-search", Input).value
        found = [leaf for leaf in leaves(self.session.settings.book) if leaf.has(wanted)]
        sections = dict.fromkeys(leaf.section for leaf in found)
        table = self.query_one(LeafList)
        table.fill([(section, [leaf for leaf in found if leaf.section == section]) for section in sections])
        own = self.session.settings.runbook
        self.query_one(TitleLine).set_summary(
            safe(f"with {own.name}" if own else plural(len(found), "entry", "entries"))
        )
        if not found:
            self.query_one(DetailPanel).show(Content("Nothing of the runbook has these words."))

    @on(Input.Changed, "#leaf-search")
    def _typed(self) -> None:
        self._fill()

    @on(Input.Submitted, "#leaf-search")
    def action_list(self) -> None:
        """From the field into the list."""
        self.query_one(LeafList).focus()

    def action_search(self) -> None:
        """Into the field."""
        self.query_one("#leaf-search", Input).focus()

    @on(LeafList.At)
    def _at(self, message: LeafList.At) -> None:
        leaf: Leaf = message.item
        parts = [safe(leaf.title, "bold")]
        if leaf.copy:
            parts.append(safe(leaf.copy, "$accent"))
        parts.append(safe_block(leaf.text))
        self.query_one(DetailPanel).show(Content("\n").join(parts))

    def action_copy(self) -> None:
        """The address, or the whole entry, to the terminal's clipboard."""
        leaf = self.query_one(LeafList).selected
        if leaf is not None:
            self.app.copy_to_clipboard(leaf.copy or f"{leaf.title}\n{leaf.text}")
            self.notify("Copied.", timeout=2, markup=False)

    def action_back(self) -> None:
        """From the list into the field is no step back: close."""
        if self.is_active:
            self.dismiss(None)
