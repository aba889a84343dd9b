"""The panel beside or below a table that explains the selected check."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from vagus_tui.checks.base import Check, Group
from vagus_tui.events import CheckEvent, Status
from vagus_tui.format import plural
from vagus_tui.widgets.check_table import expected_text, measured_text
from vagus_tui.widgets.hanging import Hanging
from vagus_tui.widgets.marks import MARKS, STYLES, WORDS
from vagus_tui.widgets.read_on import ReadOn
from vagus_tui.widgets.text import safe, safe_block

FOLLOW_SECONDS = 0.06

BEFORE = (Group.PREREQUISITES, Group.DATA_QUALITY, "gates")
"""The groups whose failures hold up the migration; those of the others are found after it."""


def headline(event: CheckEvent) -> Content:
    """`✗ fail · Orphaned exercises · blocks the migration`."""
    status = event.status
    parts = [Content.styled(f"{MARKS[status]} {WORDS[status]}", STYLES[status]), safe(event.title, "bold")]
    if status.blocks:
        if event.overridden:
            parts.append(Content.styled("overridden", STYLES[Status.WARN]))
        elif event.group in BEFORE:
            parts.append(Content("blocks the migration"))
    if event.rows:
        parts.append(Content(plural(event.rows, "row")))
    return Content(" · ").join(parts)


def explanation(check: Check, event: CheckEvent, hint: str = "") -> Content:
    """What it means, why it matters, what helps, and where the guide asks for it."""
    lines = [headline(event)]
    if event.measured is not None:
        lines.append(
            Content.assemble(
                ("Measured ", "$text-muted") if event.status is not Status.ERROR else "",
                measured_text(event) if event.status is not Status.ERROR else measured_text(event).capitalize(),
                (", expected ", "$text-muted"),
                safe(expected_text(event) or "nothing particular"),
            )
        )
    if event.message:
        lines.append(safe_block(event.message))
    if event.overridden:
        lines.append(Content.assemble(("Overridden: ", "bold"), safe(event.overridden)))
    if hint:
        lines.append(Content(hint))
    lines.append(Content.assemble(("Why: ", "$text-muted"), safe_block(check.why)))
    lines.append(Content.styled(f"Guide: {check.guide}" if check.guide else "Not in the guide.", "$text-muted"))
    return Content("\n").join(lines)


class DetailPanel(ReadOn):
    """Text that follows the selection."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._content: Content | Hanging = Content("")
        self._waiting: Timer | None = None

    def compose(self) -> ComposeResult:
        """One block of text."""
        yield Static(id="detail-text")

    def show(self, content: Content | Hanging) -> None:
        """Say something else; the same again changes nothing, so that nothing flickers.

        It follows the cursor a moment later: laying the text out takes longer than drawing the cursor, which must not
        wait for it, nor for each of the rows that a held key runs through.
        """
        before = self._content
        if isinstance(content, Hanging) or isinstance(before, Hanging):
            same = isinstance(content, Hanging) and content.is_same(before)
        else:
            same = content.is_same(before)
        if same:
            return
        self._content = content
        if self._waiting is not None:
            self._waiting.stop()
        self._waiting = self.set_timer(FOLLOW_SECONDS, self._follow)

    def _follow(self) -> None:
        self._waiting = None
        text = self.query_one("#detail-text", Static)
        # The text fills the panel. As long as it fits, nothing on the screen has another place or size than before, and
        # to work all of them out again would take longer than to paint the text.
        width, height = text.size
        fits = bool(width) and not self.max_scroll_y and self._content.get_height({}, width) <= height
        text.update(self._content, layout=not fits)
        if not fits:
            self.scroll_home(animate=False)
