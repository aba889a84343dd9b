"""What a rehearsal measured, as a forecast for the real run: seconds per step, how long writes wait, space.

The figures come from a restored copy on the operator's machine. They are scaled to the rows that the real database
has by now where the work grows with them; how fast the real server is, nobody knows before the real run.

    forecast = await latest_forecast(connection, settings, shape)
    if forecast is not None:
        forecast.seconds_before_cut_over, forecast.writes_blocked_seconds, forecast.age()
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vagus_tui.backup.folder import REHEARSAL
from vagus_tui.backup.identity import read_identity
from vagus_tui.backup.listing import list_backups
from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.identifiers import qualified
from vagus_tui.events import Phase
from vagus_tui.journal import store
from vagus_tui.schema.v1 import V1Shape
from vagus_tui.settings import Settings

TOPIC = "rehearsal"
"""The journal's notes on rehearsals, each a whole `Forecast`."""

WITH_ROWS = frozenset({Phase.BUILD, Phase.CATCH_UP, Phase.PROVE, Phase.SETTLE, Phase.VERIFY, Phase.BACKUP})
"""Phases whose work grows with the rows; the others take what they take."""

BEFORE_CUT_OVER = (Phase.PREPARE, Phase.BUILD, Phase.CATCH_UP, Phase.PROVE)
"""The phases that users do not notice."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class StepForecast(_Model):
    """One step of the plan: its id is that of `PlanStep`, so that the real run's step is found by it."""

    id: str
    phase: Phase
    title: str
    seconds: float = Field(ge=0)
    rows: int | None = None


class StageForecast(_Model):
    """One stage of the rehearsal as it went, such as the restore or the rollback."""

    id: str
    title: str
    seconds: float = Field(ge=0)
    ok: bool = True
    message: str = ""


class Forecast(_Model):
    """What one rehearsal measured. Times are seconds, sizes bytes.

    Attributes:
        rehearsed_at: when the rehearsal ended.
        complete: whether it went through to its end; an incomplete one forecasts what it got to.
        backup: the backup's id; `server_major` is the copy's version.
        rows: rows by v1 table (`workout_plans`, …), those that the figures are for.
        steps: the first migration's steps, in the order in which they ended.
        phases: seconds by phase, from its first step's start to its last one's end (steps run side by side).
        writes_blocked_seconds: how long writes wait at the cut-over; `rollback_blocked_seconds` at the rollback.
        dump_seconds: what the backup took against the real server; `restore_seconds` what restoring it took here.
        disk_bytes: what v2 takes beside v1; `wal_bytes` the log that writing it makes.
        scale: real rows against rehearsed ones, where `scaled_to` was used.
    """

    rehearsed_at: datetime
    complete: bool
    backup: str
    server_major: int
    operator: str = ""
    environment: str = ""
    rows: dict[str, int]
    stages: tuple[StageForecast, ...] = ()
    steps: tuple[StepForecast, ...] = ()
    phases: dict[str, float] = Field(default_factory=dict)
    migrate_seconds: float | None = None
    writes_blocked_seconds: float | None = None
    rollback_seconds: float | None = None
    rollback_blocked_seconds: float | None = None
    again_seconds: float | None = None
    verify_seconds: float | None = None
    dump_seconds: float | None = None
    restore_seconds: float | None = None
    disk_bytes: int | None = None
    wal_bytes: int | None = None
    scale: float = 1.0

    def age(self, now: datetime | None = None) -> timedelta:
        """How long ago the rehearsal was."""
        return (now or datetime.now(UTC)) - self.rehearsed_at

    def phase_seconds(self, phase: Phase) -> float | None:
        """What a phase will take; None when the rehearsal did not get to it."""
        return self.phases.get(phase.value)

    def step_seconds(self, step_id: str) -> float | None:
        """What a step will take. None when the plan that was rehearsed had no such step."""
        return next((step.seconds for step in self.steps if step.id == step_id), None)

    @property
    def seconds_before_cut_over(self) -> float | None:
        """What happens before the cut-over and users do not notice; None when it was not rehearsed to there."""
        if Phase.CUT_OVER.value not in self.phases:
            return None
        return sum(self.phases.get(phase.value, 0.0) for phase in BEFORE_CUT_OVER)

    def scaled_to(self, rows: Mapping[str, int]) -> Forecast:
        """The same forecast for a database of other rows.

        A step that names a table is scaled by that table's rows, any other by all rows together. What does not grow
        with the rows (taking locks, the swap) stays.
        """
        known = {table: count for table, count in self.rows.items() if table in rows}
        before, now = sum(known.values()), sum(rows[table] for table in known)
        if not before or not now or known == {table: rows[table] for table in known}:
            return self
        scale = now / before

        def factor(step: StepForecast) -> float:
            if step.phase not in WITH_ROWS:
                return 1.0
            for table in known:
                if table in step.id and known[table]:
                    return rows[table] / known[table]
            return scale

        def grown(seconds: float | None) -> float | None:
            return None if seconds is None else seconds * scale

        steps = tuple(
            step.model_copy(
                update={
                    "seconds": step.seconds * factor(step),
                    "rows": None if step.rows is None else round(step.rows * factor(step)),
                }
            )
            for step in self.steps
        )
        phases = {
            name: seconds * (scale if Phase(name) in WITH_ROWS else 1.0)
            for name, seconds in self.phases.items()
            if name in set(Phase)
        }
        return self.model_copy(
            update={
                "rows": {**self.rows, **{table: rows[table] for table in known}},
                "steps": steps,
                "phases": phases,
                "migrate_seconds": None if self.migrate_seconds is None else sum(phases.values()),
                "rollback_seconds": grown(self.rollback_seconds),
                "again_seconds": grown(self.again_seconds),
                "verify_seconds": grown(self.verify_seconds),
                "dump_seconds": grown(self.dump_seconds),
                "restore_seconds": grown(self.restore_seconds),
                "disk_bytes": None if self.disk_bytes is None else round(self.disk_bytes * scale),
                "wal_bytes": None if self.wal_bytes is None else round(self.wal_bytes * scale),
                "scale": self.scale * scale,
            }
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of the forecast against what really happened. `id` is a phase's or a figure's name."""

    id: str
    title: str
    forecast: float
    actual: float

    @property
    def ratio(self) -> float | None:
        """The actual figure as a multiple of the forecast; None where nothing was forecast."""
        return self.actual / self.forecast if self.forecast > 0 else None


def compare(forecast: Forecast, phases: Mapping[str, float], writes_waited: float | None) -> tuple[Comparison, ...]:
    """Forecast against actual, phase by phase and for the wait of writes.

    Args:
        phases: seconds by phase of the real run, from its first step's start to its last one's end.
        writes_waited: how long writes really waited at the cut-over, in seconds.
    """
    found = [
        Comparison(phase.value, phase.value.replace("-", " "), forecast.phases[phase.value], phases[phase.value])
        for phase in Phase
        if phase.value in forecast.phases and phase.value in phases
    ]
    if forecast.writes_blocked_seconds is not None and writes_waited is not None:
        found.append(Comparison("writes-waited", "writes waited", forecast.writes_blocked_seconds, writes_waited))
    return tuple(found)


def parse_forecast(data: object) -> Forecast | None:
    """A forecast from JSON (text, bytes or already read); None when it is none."""
    try:
        if isinstance(data, str | bytes):
            return Forecast.model_validate_json(data)
        return Forecast.model_validate(data)
    except ValidationError:
        return None


def read_forecast(folder: Path) -> Forecast | None:
    """The forecast that lies in a backup's folder, or None. Blocks for a moment."""
    try:
        return parse_forecast((folder / REHEARSAL).read_bytes()[: 16 << 20])
    except OSError:
        return None


async def latest_forecast(connection: Connection, settings: Settings, shape: V1Shape | None = None) -> Forecast | None:
    """The newest forecast for this database, from its journal or from a backup of it on this machine.

    A complete rehearsal counts before a newer one that did not get to its end.

    Args:
        connection: to the real database.
        shape: v1 as found; with it the figures are scaled to the rows that are there now (four counts).

    Returns:
        None when nothing was rehearsed.
    """
    known = [parse_forecast(body) for body in await store.latest_notes(connection, TOPIC)]
    identity = await read_identity(connection, Database(settings).label)

    def beside_backups() -> Iterable[Forecast | None]:
        return [
            read_forecast(info.path)
            for info in list_backups(settings)
            if info.manifest is not None and identity.vouches_for(info.manifest)
        ]

    known += await asyncio.to_thread(beside_backups)
    found = [forecast for forecast in known if forecast is not None]
    if not found:
        return None
    newest = max(found, key=lambda forecast: (forecast.complete, forecast.rehearsed_at))
    if shape is None:
        return newest
    return newest.scaled_to(await current_rows(connection, shape))


async def current_rows(connection: Connection, shape: V1Shape) -> dict[str, int]:
    """Rows by v1 table, counted now."""
    return {
        base: int(await connection.fetchval(f"select count(*) from {qualified(shape.schema, table.name)}"))
        for base, table in shape.tables.items()
    }
