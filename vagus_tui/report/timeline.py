"""When each phase of a run began and ended, beside what the rehearsal forecast: what the report draws."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vagus_tui.backup.forecast import TOPIC as REHEARSAL
from vagus_tui.backup.forecast import Comparison, Forecast, compare, parse_forecast
from vagus_tui.database.connection import Connection
from vagus_tui.journal.schema import journal_exists
from vagus_tui.report.stretches import Stretch, stretches

_RUNS = """
select id, id::text as run, kind, operator, status, started_at, finished_at, figures::text as figures
from vagus_migration.runs order by started_at
"""
_STEPS = "select run_id, step, phase, state, seconds, rows, at from vagus_migration.steps order by run_id, at"


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
    spans: tuple[Stretch, ...]
    waited: float | None = None
    rehearsed_at: datetime | None = None
    comparisons: tuple[Comparison, ...] = ()


async def run_timelines(connection: Connection) -> tuple[RunTimeline, ...]:
    """Every run in time, oldest first. Empty where there is no journal."""
    if not await journal_exists(connection):
        return ()
    forecasts = await _forecasts(connection)
    steps: dict[Any, list[Any]] = {}
    for step in await connection.fetch(_STEPS):
        steps.setdefault(step["run_id"], []).append(step)
    return tuple(_timeline(run, steps.get(run["id"], []), forecasts) for run in await connection.fetch(_RUNS))


async def _forecasts(connection: Connection) -> list[tuple[datetime, Forecast]]:
    rows = await connection.fetch(
        "select at, body from vagus_migration.notes where topic = $1 order by id desc limit 50", REHEARSAL
    )
    read = [(row["at"], parse_forecast(row["body"])) for row in rows]
    return [(at, forecast) for at, forecast in read if forecast is not None]


def _timeline(first: Any, steps: list[Any], forecasts: list[tuple[datetime, Forecast]]) -> RunTimeline:
    spans = sorted(stretches(steps), key=lambda span: (span.begun, span.ended))
    waited = json.loads(first["figures"]).get("writes_waited_seconds")
    forecast = None
    if first["kind"] == "migrate":
        forecast = next((known for at, known in forecasts if at < first["started_at"]), None)
    seconds = phase_seconds(spans)
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


def phase_seconds(spans: Iterable[Stretch]) -> dict[str, float]:
    """How long each phase took, all attempts together. What is done again after a hold is not what was forecast."""
    parts: dict[str, tuple[int, int]] = {}
    seconds: dict[str, float] = {}
    for span in sorted(spans, key=lambda one: (one.part, one.round)):
        if parts.setdefault(span.phase, (span.part, span.round)) == (span.part, span.round):
            seconds[span.phase] = seconds.get(span.phase, 0.0) + span.seconds
    return seconds
