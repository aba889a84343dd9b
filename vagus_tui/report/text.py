"""The report as plain text: the story first, then one line per row, and below it what is too long for one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from vagus_tui.format import span
from vagus_tui.journal.store import run_words
from vagus_tui.report.contents import STORY, Report, facts
from vagus_tui.report.lines import LONG, WIDTH, hanging, long_lines
from vagus_tui.report.notes import note_in_words
from vagus_tui.report.words import clean, moment

_TONES = {"good": "+", "bad": "!", "warn": "~"}


def as_text(report: Report) -> str:
    """Plain text, safe for a terminal."""
    lines = ["Workout v1 → v2: what was done", ""]
    lines += [f"{name:<12} {clean(value)}" for name, value in facts(report)]
    lines += _titled("What happened")
    for line in report.story:
        who = f"{clean(line.who, 40)}: " if line.who else ""
        told = f"{moment(line.at)} {_TONES.get(line.tone, ' ')} {who}{' '.join(clean(line.what).split())}"
        lines += hanging(told, "    ") if len(told) > 2 * WIDTH else [told]
    if not report.story:
        lines.append("Nothing has been run.")
    for timeline in report.timelines:
        if not timeline.comparisons:
            continue
        lines += _titled(f"Forecast and actual, {run_words(timeline.kind)} of {moment(timeline.started_at)}")
        for item in timeline.comparisons:
            lines.append(f"{item.title:<14} {span(item.forecast):>10} {span(item.actual):>10}")
    for section in report.sections:
        if section.key == STORY:
            continue
        lines += _titled(section.title)
        if not section.rows:
            lines.append(section.empty)
        for row in section.rows:
            lines += _row(section.columns, _told(row) if section.key == "notes" else row)
    return "\n".join(lines) + "\n"


def _told(row: Sequence[Any]) -> Sequence[Any]:
    """A note of the program's own that is long, in words: its figures are for the page to draw."""
    topic, body, *rest = row
    if len(body) <= LONG or topic.startswith("text."):
        return row
    words, _ = note_in_words(topic, json.loads(body))
    return (topic, f"{words}; its figures are in the report as HTML and as JSON", *rest) if words else row


def _row(columns: Sequence[str], row: Sequence[Any]) -> list[str]:
    """What is short on one line; what is not, below it, as lines of its own."""
    short, below = [], []
    for column, value in zip(columns, row, strict=True):
        name = column.replace("_", " ")
        if value in (None, "", "{}"):
            continue
        if isinstance(value, str) and (len(value) > LONG or "\n" in value.strip()):
            below += long_lines(name, value)
        else:
            short.append(f"{name} {' '.join(clean(value).split())}")
    return ["; ".join(short), *below]


def _titled(title: str) -> list[str]:
    return ["", title, "-" * len(title)]
