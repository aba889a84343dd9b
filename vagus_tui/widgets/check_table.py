"""A live table of checks: rows appear as pending and turn, measured against expected, without ever jumping."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual.content import Content

from vagus_tui.checks.base import Check
from vagus_tui.events import CheckEvent, Status
from vagus_tui.format import milliseconds, number, plural
from vagus_tui.session.standings import display_status
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.section_list import SectionList
from vagus_tui.widgets.text import fitted, safe_str

MS_WIDTH = 5
GAP = 2
BEFORE_MEASURED = BEFORE_MS = 1
"""Fewer where the cells beside it seldom fill their columns; never none."""
AT_END = 1
"""Between the last figure and the scroll bar."""
WIDEST_MEASURED = 26
EXPECTED = 11
"""Cells that what is expected always has; a test holds its wordings to them."""


@dataclass(frozen=True, slots=True)
class _Widths:
    title: int
    measured: int
    expected: int


def measured_text(event: CheckEvent) -> str:
    """What was measured, with thousands separators; an ellipsis while it is being measured, or that it waits."""
    if event.status is Status.RUNNING:
        return "…" if event.waiting is None else "waits"
    if event.measured is None:
        return "" if event.status is Status.PENDING else "–"
    if isinstance(event.measured, int | float) and not isinstance(event.measured, bool):
        return number(event.measured)
    return safe_str(event.measured)


def expected_text(event: CheckEvent) -> str:
    """What was expected, written the way the measured value is."""
    if isinstance(event.expected, int | float) and not isinstance(event.expected, bool):
        return number(event.expected)
    return safe_str(event.expected or "")


def summary(events: Iterable[CheckEvent], *, short: bool = False) -> Content:
    """`9 of 14 · 1 fails`, `14 of 14 · all pass`, `12 of 14 · 2 not measured`.

    Args:
        short: something else has to stand beside it.
    """
    found = list(events)
    if not found:
        return Content("")
    done = [event for event in found if event.status not in (Status.PENDING, Status.RUNNING)]
    # What could not be measured counts as failing, but nobody is to read from it that rows are wrong.
    unknown = sum(event.status is Status.ERROR and not event.overridden for event in done)
    parts = [Content(f"{len(done) - unknown} of {len(found)}")]
    fails = sum(event.status.blocks and not event.overridden for event in done) - unknown
    overridden = sum(event.status.blocks and bool(event.overridden) for event in done)
    warns = sum(event.status is Status.WARN for event in done)
    if fails:
        parts.append(Content.styled(plural(fails, "fails", "fail"), STYLES[Status.FAIL]))
    if unknown:
        parts.append(Content.styled(f"{unknown} not measured", STYLES[Status.ERROR]))
    if overridden:
        parts.append(Content.styled(f"{overridden} overridden", STYLES[Status.WARN]))
    if warns and len(done) == len(found) and not (fails or unknown or overridden):
        parts.append(Content.styled("none fails", STYLES[Status.PASS]))
    if warns:
        # With all of them to say there is no room for the long word.
        short = short or sum(map(bool, (fails, unknown, overridden))) > 1
        words = f"{warns} warn" if short else plural(warns, "warning")
        parts.append(Content.styled(words, STYLES[Status.WARN]))
    if len(done) == len(found) and not (fails or unknown or warns or overridden):
        # What was left out has not passed.
        skipped = sum(event.status is Status.SKIP for event in done)
        word = f"{len(done) - skipped} pass" if skipped else "all pass"
        parts.append(Content.styled(word, STYLES[Status.PASS]))
        if skipped:
            parts.append(Content(f"{skipped} skipped"))
    return Content(" · ").join(parts)


class CheckTable(SectionList[CheckEvent]):
    """Checks under section headings."""

    class CheckMessage(SectionList.RowMessage):
        """About one check."""

        @property
        def event(self) -> CheckEvent:
            """The check as it stands."""
            event: CheckEvent = self.item
            return event

    # A handler of a message hears those derived from it too: these two stand side by side.
    class At(CheckMessage, SectionList.At):
        """The cursor is on another check, or its check has turned."""

    class Opened(CheckMessage, SectionList.Opened):
        """Enter or a second click on a check."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._known_widths: dict[int, _Widths] = {}

    def key(self, item: CheckEvent) -> str:
        """The check's id."""
        return item.id

    def set_checks(self, sections: Sequence[tuple[str, Sequence[Check]]]) -> None:
        """Fill the table with what is known, else as pending."""
        known = self._items
        self.fill(
            [
                (title, [known.get(check.id) or check.event(Status.PENDING) for check in checks])
                for title, checks in sections
            ]
        )

    def set_events(self, sections: Sequence[tuple[str, Sequence[CheckEvent]]]) -> None:
        """Fill the table with rows as they stand."""
        self.fill(sections)

    def select_problem(self, *, after: bool) -> bool:
        """Put the cursor on a check that fails, or else warns: the first one, or with `after` the next one round."""
        items = self.items
        start = self.cursor + 1 if after else 0
        for wanted in (lambda status: status.blocks, lambda status: status is Status.WARN):
            for step in range(len(items)):
                item = items[(start + step) % len(items)]
                if wanted(display_status(item)):
                    self.select(item.id)
                    return True
        return False

    @property
    def events(self) -> list[CheckEvent]:
        """Every row as it stands."""
        return self.items

    def rows_changed(self) -> None:
        """The widths depend on all rows."""
        self._known_widths = {}

    def _widths(self, width: int) -> _Widths:
        """The columns' widths; worked out once, as every line asks for them."""
        if width not in self._known_widths:
            self._known_widths[width] = self._fitting(width)
        return self._known_widths[width]

    def _fitting(self, width: int) -> _Widths:
        room = max(20, width - 3 - MS_WIDTH - BEFORE_MEASURED - GAP - BEFORE_MS - AT_END)
        title = max((len(event.title) for event in self._items.values()), default=20)
        expected = max((len(expected_text(event)) for event in self._items.values()), default=EXPECTED)
        # The name comes first: what is cut of the other two stands in full in the detail.
        expected = min(max(expected, EXPECTED), max(EXPECTED, room * 23 // 100))
        title = min(max(title, 12), max(12, room - expected - max(12, room * 24 // 100)))
        # Room to spare goes to the end of the line rather than between name and figure.
        measured = min(WIDEST_MEASURED, max(1, room - title - expected))
        return _Widths(title, measured, expected)

    def header(self, width: int) -> Content:
        """The columns' names."""
        return self._columns(self._widths(width), "   ", "Check", "Measured", "Expected", "ms", "$text-muted")

    def row(self, item: CheckEvent, width: int, *, here: bool, focused: bool) -> Content:
        """`✗ Orphaned exercises   12 rows  0   31`."""
        status = display_status(item)
        start = Content.assemble(" ", (MARKS[status], "" if here and focused else STYLES[status]), " ")
        return self._columns(
            self._widths(width),
            start,
            item.title,
            measured_text(item),
            "overridden" if item.overridden and item.status.blocks else expected_text(item),
            "" if item.seconds is None else milliseconds(item.seconds),
            "$text-muted" if status is Status.PENDING and not here else "",
        )

    def _columns(
        self, widths: _Widths, start: Content | str, title: str, measured: str, expected: str, ms: str, style: str
    ) -> Content:
        # A long name takes what a short figure leaves, and the other way round: seldom are both long. The columns after
        # them begin at one place in every row.
        room = widths.title + BEFORE_MEASURED + widths.measured
        own = min(cell_len(measured), widths.measured)
        name = min(cell_len(title), room - BEFORE_MEASURED - own)
        # What a figure has beyond its own column does not come as close to the name.
        figure = min(cell_len(measured), max(own, room - GAP - name))
        name = room - BEFORE_MEASURED - figure
        return Content.assemble(
            start,
            (fitted(title, name), style),
            " " * BEFORE_MEASURED,
            (fitted(measured, figure, right=True), style),
            " " * GAP,
            (fitted(expected, widths.expected), style),
            " " * BEFORE_MS,
            (fitted(ms, MS_WIDTH, right=True), style),
        )
