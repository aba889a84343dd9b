"""How a job ended, in words: done, refused, stopped or failed; the state it left; what to do next."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from textual.content import Content

from vagus_tui.errors import LOST_WORDS
from vagus_tui.events import Status, StepState
from vagus_tui.format import duration, moment, number, size
from vagus_tui.session.job import Job
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.text import safe_block, safe_str

FIGURES_AT = 27
"""The cell at which figures begin, whatever their names are indented by."""
LONG = 30


def figure(value: object) -> str:
    """One figure of a run: numbers with separators, several of them in a row."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, str) and (at := _moment(value)) is not None:
        return moment(at)
    if isinstance(value, Mapping):
        return ", ".join(f"{safe_str(name)} {figure(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(figure(item) for item in value)
    return safe_str(value)


def _moment(text: str) -> datetime | None:
    """The time that a text of a figure is, or None for any other text."""
    if "T" not in text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _words(name: str) -> str:
    """A figure's name as words; a table's name with its schema stays as it is."""
    said = safe_str(name)
    return said if "." in said else said.replace("_", " ").replace("-", " ")


def _counts(values: Mapping[str, Any]) -> bool:
    """Whether there are only counts in it."""
    return all(isinstance(value, int) and not isinstance(value, bool) for value in values.values())


def figures(values: Mapping[str, Any] | None, indent: str = "  ", *, nested: bool = False) -> Content:
    """The figures of a run, one per line; their names as words, those of a table below its heading.

    Where all of them are counts, they stand at the right; counts within a table within a table share a line.
    """
    lines: list[Content] = []
    right = max((len(number(value)) for value in values.values()), default=0) if values and _counts(values) else 0
    begin = max([FIGURES_AT, *(len(indent + _words(name)) + 2 for name in values)]) if values and right else FIGURES_AT
    for name, value in (values or {}).items():
        words = _words(name)
        if words == "bytes" and isinstance(value, int):
            words, value = "size", size(value)
        elif words.endswith(" seconds") and isinstance(value, int | float):
            words, value = words.removesuffix(" seconds"), duration(value)
        if isinstance(value, Mapping) and value and not (nested and _counts(value)):
            lines.append(Content.styled(f"{indent}{words}", "$text-muted"))
            lines.append(figures(value, indent + "  ", nested=True))
        elif value not in (None, "", [], {}):
            said = figure(value).rjust(right)
            # What is long, a path say, stands below its name: beside it, it would be torn from it in a narrow window.
            name_part = f"{indent + words:<{begin}}" if len(said) <= LONG else f"{indent}{words}\n{indent}  "
            lines.append(Content.assemble((name_part, "$text-muted"), said))
    return Content("\n").join(lines)


def job_outcome(job: Job, *, only: Collection[str] | None = None, read_again: str = "") -> Content:
    """The end of a job; empty while it runs.

    Args:
        only: the figures worth showing, where not all are.
        read_again: what the database says since, in place of what could only be guessed when the job was cut off.
    """
    if job.running:
        return Content("")
    parts: list[Content] = []
    if job.error is not None:
        failed = next((step for step in job.steps.values() if step.state is StepState.FAILED), None)
        where = f" in “{safe_str(failed.title)}”" if failed is not None else ""
        parts.append(
            Content.assemble(
                (f"{MARKS[Status.FAIL]} {safe_str(job.title)} ended{where}", STYLES[Status.FAIL]),
                "\n",
                safe_block(job.error.happened),
            )
        )
        told = (read_again,) if read_again else (job.error.state, job.error.next_step)
        parts.extend(safe_block(words) for words in told if words)
    elif job.result is not None:
        status = Status.PASS if job.result.ok else Status.FAIL
        parts.append(
            Content.assemble(
                (f"{MARKS[status]} ", STYLES[status]),
                safe_block(LOST_WORDS if read_again else job.result.message, "bold"),
                (f"  {duration(job.elapsed)}", "$text-muted"),
            )
        )
        if not job.result.ok and (state := read_again or job.result.state):
            parts.append(safe_block(state))
        shown = {name: value for name, value in (job.result.figures or {}).items() if only is None or name in only}
        if shown:
            parts.append(figures(shown))
        if job.result.next_step and not read_again:
            parts.append(safe_block(job.result.next_step))
    return Content("\n\n").join(parts)
