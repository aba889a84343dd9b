"""A time axis in terminal cells: where a moment is, how long a bar is, and which labels stand above it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual.content import Content

NOW, ZERO = "│", "┊"


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time. `end` None: it goes on. Times are seconds on the axis; `fill` is one cell's character."""

    start: float
    end: float | None
    fill: str
    style: str


@dataclass(frozen=True, slots=True)
class Axis:
    """From `start` to `end`, in seconds relative to anything, drawn over `width` cells."""

    start: float
    end: float
    width: int

    def cell(self, at: float) -> int:
        """The cell of a moment; outside the axis below 0 or from `width` on."""
        return int((at - self.start) / max(self.end - self.start, 1e-9) * self.width // 1)

    def labels(self, ticks: Iterable[tuple[float, str]]) -> str:
        """Labels above their moments, that of 0 first; one that would touch another or the edge is left out."""
        cells = [" "] * self.width
        for at, label in sorted(ticks, key=lambda tick: (tick[0] != 0, tick[0])):
            place = self.cell(at)
            end = place + len(label)
            if place < 0 or end > self.width or any(cell != " " for cell in cells[max(0, place - 1) : end + 1]):
                continue
            cells[place:end] = label
        return "".join(cells)

    def draw(self, bars: Iterable[Bar], *, now: float | None = None, zero: float | None = None) -> Content:
        """Bars over the lines of T−0 and of now; a bar has at least one cell, one that goes on ends in an arrow."""
        cells = [(" ", "")] * self.width
        for at, line, style in ((zero, ZERO, "$text-muted"), (now, NOW, "bold $accent")):
            if at is not None and 0 <= (place := self.cell(at)) < self.width:
                cells[place] = (line, style)
        for bar in bars:
            first = self.cell(bar.start)
            last = self.width - 1 if bar.end is None else max(first, self.cell(bar.end - 1e-6))
            if last < 0 or first >= self.width:
                continue
            for place in range(max(0, first), min(self.width - 1, last) + 1):
                cells[place] = (bar.fill, bar.style)
            if bar.end is None:
                cells[self.width - 1] = ("▸", bar.style)
        return Content.assemble(*cells)
