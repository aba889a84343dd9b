"""What the Backup screen says about a backup and about the checks of one."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from vagus_tui.backup.forecast import Forecast
from vagus_tui.backup.listing import BackupInfo
from vagus_tui.backup.options import Kind
from vagus_tui.backup.rehearsal_stages import BEGINNINGS
from vagus_tui.events import CheckEvent, Status
from vagus_tui.format import moment, number, plural, size
from vagus_tui.journal.state import state_words
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.rehearsed import forecast_line
from vagus_tui.widgets.text import fitted, safe, safe_block, safe_str

ROWS_WIDTH = 26
"""Cells of a line of the rows by table: what there is beside the list at 110 columns."""


def backup_text(info: BackupInfo, timezone: str, forecast: Forecast | None = None, *, other: bool = False) -> Content:
    """A backup from its manifest: where, how it was proved, what is wrong, and rows and bytes by table.

    Args:
        other: it is of another database than the one at work.
    """
    lines = [safe(str(info.path), "bold", limit=500)]
    if other and info.manifest is not None:
        of = info.manifest.fingerprint.label or info.manifest.fingerprint.database
        words = f"{MARKS[Status.SKIP]} Of another database: {of}. It counts for nothing here."
        lines.append(safe(words, STYLES[Status.WARN]))
    proved = "not read back yet"
    if info.verified:
        proved = f"read back {moment(info.verified, timezone)}"
    if info.restored:
        proved += f", restored {moment(info.restored, timezone)}"
    elif info.came_back:
        proved += ", in part restored and compared by a rehearsal"
    if info.uploaded:
        proved += f", copied to {info.uploaded_to} {moment(info.uploaded, timezone)}"
    if info.problems and info.verified:
        proved = f"Was {proved}. That counts no longer:"
    lines.append(safe(proved, "$text-muted"))
    if forecast is not None:
        words = (
            forecast_line(forecast) if forecast.complete else "rehearsed, but not to its end: e says where it failed"
        )
        lines.append(safe(words, "" if forecast.complete else "$warning"))
    if not info.problems and (hint := _next(info, forecast)):
        lines.append(hint)
    lines.extend(
        Content.assemble((f"{MARKS[Status.FAIL]} ", STYLES[Status.FAIL]), safe_block(problem))
        for problem in info.problems
    )
    manifest = info.manifest
    if manifest is None:
        return Content("\n").join(lines)
    lines.append(
        safe(
            f"{manifest.fingerprint.database}, PostgreSQL {manifest.server_major}, {state_words(manifest.state)}, "
            f"{plural(len(manifest.files), 'file')}, {size(info.bytes)}",
            "$text-muted",
        )
    )
    lines.append(Content.styled("Rows by table, as in the snapshot:", "$text-muted"))
    shown = sorted(
        (table for table in manifest.tables if table.schema_name == "public"),
        key=lambda table: (not table.workout, table.key),
    )
    counts = [(table.name, table.rows) for table in shown]
    others = [table for table in manifest.tables if table.schema_name != "public"]
    if others:
        counts.append((plural(len(others), "other"), sum(table.rows for table in others)))
    return Content("\n").join((*lines, *rows_lines(counts)))


def can_be_rehearsed(info: BackupInfo) -> bool:
    """Whether a migration can be tried on a copy of it: one that begins with v1, and is more than CSV."""
    return info.state in BEGINNINGS and any(kind is not Kind.CSV for kind in info.kinds)


def _next(info: BackupInfo, forecast: Forecast | None) -> Content:
    """What would prove the backup further; empty when all was done."""
    if not info.verified:
        key, words = "v", "reads every byte back"
    elif not info.restored:
        key, words = "t", "restores it locally and compares it"
    elif forecast is None and can_be_rehearsed(info):
        key, words = "e", "rehearses the whole migration on a copy of it"
    else:
        return Content("")
    return Content.assemble("Next: ", (key, "bold $accent"), f" {words}.")


def rows_lines(counts: Sequence[tuple[str, int]]) -> list[Content]:
    """A table and its count per line; names have what the widest count leaves, so that a `_v1` at the end is seen."""
    wide = max((len(number(rows)) for _, rows in counts), default=0)
    return [
        Content.assemble(fitted(name, ROWS_WIDTH - wide - 1), " ", fitted(number(rows), wide, right=True))
        for name, rows in counts
    ]


def checks_text(events: Sequence[CheckEvent]) -> Content:
    """The checks of a verification or restore: how many are done, and each that is not a plain pass."""
    latest = {event.id: event for event in events}
    done = [event for event in latest.values() if event.status not in (Status.PENDING, Status.RUNNING)]
    if not latest:
        return Content("")
    passed = sum(event.status is Status.PASS for event in done)
    lines = [Content(f"{passed} of {len(latest)} parts compared and equal")]
    for event in done:
        if event.status is not Status.PASS:
            lines.append(
                Content.assemble(
                    (f"{MARKS[event.status]} ", STYLES[event.status]),
                    safe(event.title, "bold"),
                    " ",
                    safe(event.measured),
                    f", expected {safe_str(event.expected)}",
                )
            )
            if event.message:
                lines.append(safe_block(event.message))
    return Content("\n").join(lines)
