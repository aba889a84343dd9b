"""When each phase of a run began and ended, beside what the rehearsal forecast: what the report draws."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vagus_tui.backup.forecast import TOPIC as REHEARSAL
from vagus_tui.backup.forecast import Comparison, Forecast, compare, parse_forecast
from vagus_tui.database.connection import Connection
from vagus_tui.events import Phase
from vagus_tui.journal.schema import journal_exists

_SPANS = """
select r.id::text as run, r.kind, r.operator, r.status, r.started_at, r.finished_at, r.figures::text as figures,
  s.phase, min(s.at - make_interval(secs => coalesce(s.seconds, 0))) as begun, max(s.at) as ended,
  count(*) as steps
from vagus_migration.runs r
left join vagus_migration.steps s on s.run_id = r.id and s.state in ('done', 'failed')
group by r.id, s.phase order by r.started_at, begun
"""

_ORDER = {phase.value: number for number, phase in enumerate(Phase)}


@dataclass(frozen=True, slots=True)
class Span:
    """One phase of a run, from its first step's beginning to its last one's end."""

    phase: str
    begun: datetime
    ended: datetime
    steps: int

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, (self.ended - self.begun).total_seconds())


@dataclass(frozen=True, slots=True)
class RunTimeline:
    """One run in time.

    Attributes:
        waited: how long writes waited at the swap, in seconds, where it came to that.
        comparisons: forecast against actual, of the latest rehearsal before the run; empty without one.
    """

    run: str
    kind: str
    operator: str
    status: str
    started_at: datetime
    finished_at: datetime | None
    spans: tuple[Span, ...]
    waited: float | None = None
    rehearsed_at: datetime | None = None
    comparisons: tuple[Comparison, ...] = ()


async def run_timelines(connection: Connection) -> tuple[RunTimeline, ...]:
    """Every run in time, oldest first. Empty where there is no journal."""
    if not await journal_exists(connection):
        return ()
    rows = await connection.fetch(_SPANS)
    forecasts = await _forecasts(connection)
    runs: dict[str, list[Any]] = {}
    for row in rows:
        runs.setdefault(row["run"], []).append(row)
    return tuple(_timeline(found, forecasts) for found in runs.values())


async def _forecasts(connection: Connection) -> list[tuple[datetime, Forecast]]:
    rows = await connection.fetch(
        "select at, body from vagus_migration.notes where topic = $1 order by id desc limit 50", REHEARSAL
    )
    read = [(row["at"], parse_forecast(row["body"])) for row in rows]
    return [(at, forecast) for at, forecast in read if forecast is not None]


def _timeline(rows: list[Any], forecasts: list[tuple[datetime, Forecast]]) -> RunTimeline:
    first = rows[0]
    spans = sorted(
        (Span(row["phase"], row["begun"], row["ended"], row["steps"]) for row in rows if row["phase"] is not None),
        key=lambda span: (_ORDER.get(span.phase, len(_ORDER)), span.begun),
    )
    waited = json.loads(first["figures"]).get("writes_waited_seconds")
    forecast = None
    if first["kind"] == "migrate":
        forecast = next((known for at, known in forecasts if at < first["started_at"]), None)
    seconds = {span.phase: span.seconds for span in spans}
    return RunTimeline(
        run=first["run"],
        kind=first["kind"],
        operator=first["operator"],
        status=first["status"],
        started_at=first["started_at"],
        finished_at=first["finished_at"],
        spans=tuple(spans),
        waited=None if waited is None else float(waited),
        rehearsed_at=None if forecast is None else forecast.rehearsed_at,
        comparisons=() if forecast is None else compare(forecast, seconds, waited),
    )
