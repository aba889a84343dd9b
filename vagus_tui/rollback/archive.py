"""The archives: schemas without API access in which a rollback sets v2, or damaged tables, aside."""

from __future__ import annotations

from datetime import datetime

from vagus_tui.journal.state import ARCHIVE_PREFIX


def archive_name(now: datetime) -> str:
    """The schema that a rollback of this moment sets things aside in. To the millisecond: no two may share a name."""
    return f"{ARCHIVE_PREFIX}{now:%Y%m%d_%H%M%S}_{now.microsecond // 1000:03d}"
