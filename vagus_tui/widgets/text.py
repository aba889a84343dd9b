"""The one way in which anything from outside becomes text on the wizard's screens.

`safe_str` (see `harmless`) takes the harm out of a value and shows that it was there; `safe` wraps the result in a
type that Textual never parses as markup.
"""

from __future__ import annotations

from textual.content import Content

from vagus_tui.widgets.harmless import BLOCK_LIMIT, CELL_LIMIT, safe_str

__all__ = ["BLOCK_LIMIT", "CELL_LIMIT", "fitted", "safe", "safe_block", "safe_str", "short"]


def safe(value: object, style: str = "", *, limit: int = CELL_LIMIT, lines: bool = False) -> Content:
    """Any outside value for Static, Label, Button and our own widgets. `style` is ours, never the value's."""
    text = safe_str(value, limit=limit, lines=lines)
    return Content.styled(text, style) if style else Content(text)


def safe_block(value: object, style: str = "") -> Content:
    """Outside text of several lines."""
    return safe(value, style, limit=BLOCK_LIMIT, lines=True)


def fitted(value: object, width: int, *, right: bool = False) -> str:
    """Outside text in exactly `width` terminal cells, with an ellipsis where it had to be cut."""
    content = Content(safe_str(value))
    if content.cell_length > width:
        content = content.truncate(width, ellipsis=True)
    room = max(0, width - content.cell_length)
    return " " * room + content.plain if right else content.plain + " " * room


def short(value: object, width: int) -> str:
    """Outside text in at most `width` terminal cells, such as a name beside a date; an ellipsis where it was cut."""
    return fitted(value, width).rstrip()
