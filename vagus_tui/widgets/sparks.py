"""The course of figures as one line of little columns."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from vagus_tui.checks.history import Sample
from vagus_tui.events import Status
from vagus_tui.widgets.marks import MARKS, STYLES

SPARKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float]) -> str:
    """The course of some figures, from nothing to the largest of them."""
    top = max(values, default=0.0)
    if top <= 0:
        return SPARKS[0] * len(values)
    return "".join(SPARKS[min(7, int(max(value, 0.0) / top * 7.99))] for value in values)


def course(samples: Sequence[Sample], width: int) -> Content:
    """The latest outcomes of a check, one cell each: the figure's height where it passed, its mark where it did not.

    Failures show as ✗ and warnings as !, so that nothing depends on colours.
    """
    shown = samples[-width:] if width > 0 else ()
    values = [sample.value for sample in shown if sample.value is not None]
    top = max(values, default=0.0)
    if top > 0 and min(values) == top:
        # Always the same: a quiet line half way up.
        top *= 2
    cells = []
    for sample in shown:
        if sample.status.blocks or sample.status in (Status.WARN, Status.SKIP):
            cells.append(Content.styled(MARKS[sample.status], STYLES[sample.status]))
        elif sample.value is None or top <= 0:
            cells.append(Content.styled(SPARKS[0], "$accent"))
        else:
            cells.append(Content.styled(sparkline((top, sample.value))[1], "$accent"))
    line = Content("").join(cells)
    return line.pad_right(max(0, width - line.cell_length))
