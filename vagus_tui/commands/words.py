"""Outside text, figures and outcomes as the lines for people have them."""

from __future__ import annotations

from vagus_tui.events import Status
from vagus_tui.format import number
from vagus_tui.widgets.harmless import BLOCK_LIMIT, safe_str

MARKS = {
    Status.PASS: ("✓ pass", "green"),
    Status.WARN: ("! warn", "yellow"),
    Status.FAIL: ("✗ fail", "red"),
    Status.SKIP: ("– skip", "dim"),
    Status.ERROR: ("✗ error", "red"),
}
"""The mark, the word and the colour of a check's outcome; the word is always there."""


def one_line(value: object, *, most: int = 300) -> str:
    """Outside text on one line."""
    return safe_str(value, limit=most)


def block(value: object) -> str:
    """Outside text of several lines."""
    return safe_str(value, limit=BLOCK_LIMIT, lines=True)


def measured(value: object) -> str:
    """A check's figure: numbers with thousands separators, everything else as text."""
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else one_line(value or "")
