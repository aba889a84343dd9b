"""Labelled text whose further lines stand under the text, not under the label, whatever the window's width."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.css.styles import RulesMap
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual

LEAST_ROOM = 12
"""With less room than this beside the labels, lines are wrapped over the whole width."""


class Hanging(Visual):
    """Paragraphs for a Static: plain Content, or a label with the text that belongs beside it."""

    def __init__(self, parts: Sequence[Content | tuple[Content, Content]]) -> None:
        self.parts = tuple(parts)
        self._laid_out: tuple[int, Content] = (-1, Content(""))

    @property
    def plain(self) -> str:
        """All of it as text, unwrapped."""
        return "\n".join(
            part.plain if isinstance(part, Content) else part[0].plain + part[1].plain for part in self.parts
        )

    def is_same(self, other: object) -> bool:
        """Whether the other one looks the same."""
        if not isinstance(other, Hanging) or len(self.parts) != len(other.parts):
            return False
        return all(_same(mine, theirs) for mine, theirs in zip(self.parts, other.parts, strict=True))

    def lines(self, width: int) -> Content:
        """The text as it stands in so many cells."""
        if self._laid_out[0] != width:
            self._laid_out = (width, Content("\n").join(_lines(part, width) for part in self.parts))
        return self._laid_out[1]

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        """Part of the Visual protocol."""
        return self.lines(width).render_strips(width, height, style, options)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """Part of the Visual protocol: the widest paragraph on one line."""
        return max(
            (part.cell_length if isinstance(part, Content) else part[0].cell_length + part[1].cell_length)
            for part in self.parts or (Content(""),)
        )

    def get_height(self, rules: RulesMap, width: int) -> int:
        """Part of the Visual protocol."""
        return self.lines(width).get_height(rules, width)


def _same(mine: Content | tuple[Content, Content], theirs: Content | tuple[Content, Content]) -> bool:
    if isinstance(mine, Content) or isinstance(theirs, Content):
        return isinstance(mine, Content) and isinstance(theirs, Content) and mine.is_same(theirs)
    return mine[0].is_same(theirs[0]) and mine[1].is_same(theirs[1])


def _lines(part: Content | tuple[Content, Content], width: int) -> Content:
    if isinstance(part, Content):
        return part
    label, text = part
    indent = label.cell_length
    if width - indent < LEAST_ROOM:
        return label + text
    below = Content("\n" + " " * indent)
    return label + below.join(text.wrap(width - indent))
