"""What the Troubleshooting screen says about a trouble and its repairs."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from vagus_tui.events import CheckEvent, Status
from vagus_tui.format import moment
from vagus_tui.remedies.repairs import Finding, Repair
from vagus_tui.remedies.repairs_undo import Applied
from vagus_tui.runbook.troubleshooting import Issue
from vagus_tui.widgets.check_table import measured_text
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.text import safe

LINES_SHOWN = 8
FEW_LINES = 3


def _line(name: str, words: str) -> tuple[Content, Content]:
    return Content.styled(f"{name:<9} ", "$text-muted"), Content(words)


def issue_text(issue: Issue) -> list[tuple[Content, Content]]:
    """A trouble: how it shows, what is behind it, what helps and what never does."""
    return [
        _line("Shows as", issue.symptom),
        _line("Behind it", issue.cause),
        _line("Found by", issue.detected),
        _line("Remedy", issue.remedy),
        _line("Undo", issue.undo),
        _line("Never", issue.never),
    ]


def results_text(results: Sequence[CheckEvent]) -> list[Content]:
    """What was measured of it, a line per check."""
    return [
        Content.assemble(
            (f"{MARKS[result.status]} ", STYLES[result.status]),
            safe(result.title),
            f": {measured_text(result) or '…'}",
        )
        for result in results
    ]


def finding_text(repair: Repair, found: Finding | None, *, possible: bool, limit: int = LINES_SHOWN) -> Content:
    """A repair and what it would change now."""
    if not possible:
        return Content.assemble((f"{repair.title}: ", "bold"), ("only once v2 is in place", "$text-muted"))
    if found is None:
        return Content.assemble((f"{repair.title}: ", "bold"), ("r looks what it would do", "$text-muted"))
    status = Status.WARN if found.trouble else Status.PASS
    lines = [
        Content.assemble(
            (f"{MARKS[status]} ", STYLES[status]),
            (repair.title, "bold"),
            ": nothing to do" if not found.count else "" if found.trouble else ": can be done, nothing asks for it",
        )
    ]
    lines.extend(safe(f"  {line}") for line in found.lines[:limit])
    if len(found.lines) > limit:
        lines.append(Content(f"  and {len(found.lines) - limit} more"))
    if found.count:
        lines.append(Content.styled(f"  Undo: {repair.undo}", "$text-muted"))
    return Content("\n").join(lines)


def applied_text(done: Applied, timezone: str) -> Content:
    """A repair that was made: what, by whom, when, and whether it was taken back or can be."""
    words = f"{moment(done.at, timezone)} {done.operator}: {done.title} ({done.count:,})"
    if done.undone_at is not None:
        return safe(f"Taken back {moment(done.undone_at, timezone)} by {done.undone_by}: {words}", "$text-muted")
    tail = Content.assemble("  ", ("u", "bold $accent"), " takes it back") if done.undoable else Content("")
    return Content.assemble(("✓ repaired ", "$success"), safe(words), tail)
