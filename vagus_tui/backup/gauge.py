"""How far a backup is across all of its steps, and how much longer it takes.

A step's weight is what it costs per byte of its tables, in seconds on a machine of some kind. Which machine does not
matter: how long the rest takes comes from how fast this backup has gone through its own weights, told apart by what
bounds them: the server's work, the line to it, and this machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from vagus_tui.backup.job import BackupJob
from vagus_tui.backup.options import Compression, Kind
from vagus_tui.backup.tables import BackupTable
from vagus_tui.events import Phase, ProgressEvent, StepEvent, StepState
from vagus_tui.migration.gauge import by_time


class Bound(Enum):
    """What a step's speed depends on."""

    SERVER = auto()
    LINE = auto()
    HERE = auto()


LEAST_WEIGHT = 0.02
DIGEST_COST, DUMP_COST, CSV_COST = 6.0, 12.0, 14.0
COMPRESS_COST, CHECKSUM_COST, ARCHIVE_COST, CSV_CHECK_COST = 10.0, 3.0, 7.0, 10.0
"""Nanoseconds per byte that the tables take on the server; measured on uuid-heavy rows."""
START_COST = 0.15
"""Seconds until a program of PostgreSQL's is at work."""
TELLING_SHARE = 0.05
"""So much of what is bound alike has to be done before its speed is believed: programs that start tell nothing."""
GZIP_COST = 30.0
"""What pg_dump takes longer when it compresses by itself; zstd costs next to nothing."""


@dataclass(slots=True)
class _Step:
    phase: Phase
    bound: Bound
    weight: float
    share: float = 0.0
    began: float | None = None
    spent: float = 0.0

    @property
    def done(self) -> float:
        return self.weight * self.share


def _start(step: str) -> float:
    return START_COST if step.startswith("dump-") else LEAST_WEIGHT


def _bytes(tables: Iterable[BackupTable]) -> int:
    return sum(table.bytes for table in tables if not table.partitioned)


def _planned(job: BackupJob) -> Iterator[tuple[str, Phase, Bound, float, int]]:
    """Every step that is still to come once the tables are known: its cost per byte, and the bytes."""
    kinds = job.options.kinds
    packing = 0.0 if job.compression is Compression.ZSTD else GZIP_COST
    dumps = [
        (name, _bytes(tables))
        for kind, name, tables in ((Kind.TABLES, "tables", job.selected), (Kind.FULL, "full", job.everything))
        if kind in kinds
    ]
    yield "digest", Phase.BACKUP, Bound.SERVER, DIGEST_COST, _bytes(job.tables)
    if Kind.TABLES in kinds:
        yield "dump-definitions", Phase.BACKUP, Bound.LINE, 0.0, 0
    for name, size in dumps:
        yield f"dump-{name}", Phase.BACKUP, Bound.LINE, DUMP_COST + (0.0 if job.packs else packing), size
        if job.packs:
            yield f"compress-{name}", Phase.BACKUP, Bound.HERE, COMPRESS_COST, size
    exported = [(table.name, table.bytes) for table in job.workout] if Kind.CSV in kinds else []
    for name, size in exported:
        yield f"csv-{name}", Phase.BACKUP, Bound.LINE, CSV_COST, size
    yield "checksums", Phase.BACKUP, Bound.HERE, CHECKSUM_COST / 3, sum(size for _, size in dumps)
    yield "verify-files", Phase.VERIFY, Bound.HERE, CHECKSUM_COST, sum(size for _, size in (*dumps, *exported))
    if Kind.TABLES in kinds:
        yield "verify-definitions", Phase.VERIFY, Bound.HERE, 0.0, 0
    for name, size in dumps:
        yield f"verify-{name}", Phase.VERIFY, Bound.HERE, ARCHIVE_COST, size
    for name, size in exported:
        yield f"verify-{name}.csv", Phase.VERIFY, Bound.HERE, CSV_CHECK_COST, size


class BackupGauge:
    """Follows the steps of one backup. Its share never falls and is the whole only when all is done."""

    def __init__(self) -> None:
        self.steps: dict[str, _Step] = {}
        self.phase = Phase.BACKUP
        self._highest = 0.0

    def plan(self, job: BackupJob) -> None:
        """The tables and the room for them are known: so is what is to be done."""
        self.steps = {
            name: _Step(phase, bound, _start(name) + cost * size / 1e9)
            for name, phase, bound, cost, size in _planned(job)
        }

    def take(self, event: StepEvent) -> None:
        """Hear of a step."""
        if (step := self.steps.get(event.id)) is None:
            return
        self.phase = step.phase
        if event.state is StepState.STARTED:
            step.began = time.monotonic()
        elif event.state is StepState.PROGRESS and event.rows and event.total:
            step.share = max(step.share, min(0.99, event.rows / event.total))
        elif event.state is StepState.DONE:
            step.spent, step.began, step.share = event.seconds or 0.0, None, 1.0

    def _pace(self, bound: Bound | None) -> float | None:
        """Seconds that a unit of weight took here; None where too little was done to tell."""
        steps = [step for step in self.steps.values() if bound in (None, step.bound)]
        begun, now = [step for step in steps if step.share], time.monotonic()
        spent = sum(step.spent if step.began is None else now - step.began for step in begun)
        done, whole = sum(step.done for step in begun), sum(step.weight for step in steps)
        return spent / done if done > TELLING_SHARE * whole and spent > LEAST_WEIGHT else None

    def tick(self) -> None:
        """Judge by its time what says nothing of how far it is."""
        overall = self._pace(None)
        for step in self.steps.values():
            if step.began is not None and overall is not None:
                pace = self._pace(step.bound) or overall
                judged = by_time(time.monotonic() - step.began, step.weight * pace)
                # Who has told something is believed rather than the clock.
                step.share = step.share or min(0.99, judged)

    @property
    def share(self) -> float:
        """The share of the whole, 0 to 1."""
        whole = sum(step.weight for step in self.steps.values())
        if whole:
            self._highest = max(self._highest, min(1.0, sum(step.done for step in self.steps.values()) / whole))
        return self._highest

    @property
    def seconds_left(self) -> float | None:
        """How much longer; None while that cannot be said."""
        if (overall := self._pace(None)) is None:
            return None
        return sum((step.weight - step.done) * (self._pace(step.bound) or overall) for step in self.steps.values())

    def event(self, elapsed: float) -> ProgressEvent | None:
        """All of it; None before anything is known."""
        if not self.steps:
            return None
        here = [step for step in self.steps.values() if step.phase is self.phase]
        left = self.seconds_left
        return ProgressEvent(
            phase=self.phase,
            share=round(self.share, 4),
            phase_share=round(sum(step.done for step in here) / sum(step.weight for step in here), 4),
            elapsed=round(elapsed, 2),
            seconds_left=None if left is None else round(left, 1),
        )
