"""What others have measured: the latest outcome of every check of the runbook, as long as it still says something."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from vagus_tui.database.connection import Connection
from vagus_tui.events import Status
from vagus_tui.journal.schema import journal_exists
from vagus_tui.journal.store import Run
from vagus_tui.runbook.check_ids import ACCESS, CHECK_IDS, PERFORMANCE, ROLLOUT, VERIFICATION

OF_V2 = VERIFICATION | ACCESS | PERFORMANCE | ROLLOUT
"""What these find holds for one run: after the next one it is history."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The latest outcome of a check: whoever ran it, from whichever terminal.

    `good_since` is the first outcome of this run after the last that failed; None while the latest one fails.
    """

    check_id: str
    status: Status
    measured: str
    operator: str
    at: datetime
    good_since: datetime | None = None


async def latest_measured(connection: Connection, run: Run | None) -> dict[str, Measured]:
    """The latest outcome of every check of the runbook, by its id.

    Args:
        run: the latest run; what was measured of v2 before it began is left out.
    """
    if not await journal_exists(connection):
        return {}
    rows = await connection.fetch(
        "select c.check_id, c.status, coalesce(left(c.measured, 200), '') as measured, c.operator, c.at, "
        "(select min(g.at) from vagus_migration.checks g where g.check_id = c.check_id and g.at >= $2 "
        "and g.at > coalesce(b.at, '-infinity')) as good_since "
        "from unnest($1::text[]) wanted(id) cross join lateral (select * from vagus_migration.checks "
        "where check_id = wanted.id order by at desc limit 1) c "
        "left join lateral (select max(x.at) as at from vagus_migration.checks x "
        "where x.check_id = c.check_id and x.status in ('fail', 'error')) b on true",
        sorted(CHECK_IDS),
        run.started_at if run is not None else datetime(1970, 1, 1, tzinfo=UTC),
    )
    found = {}
    for row in rows:
        stale = run is not None and row["check_id"] in OF_V2 and row["at"] < run.started_at
        if not stale and row["status"] in set(Status):
            found[row["check_id"]] = Measured(**{**dict(row), "status": Status(row["status"])})
    return found
