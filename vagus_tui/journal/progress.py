"""A run's progress in the journal while it runs, so that others can watch it from their own terminal.

One row per step, replaced as it goes: unlike `steps`, which is the record, this is only for looking. It is written on
a connection of its own, at a modest rate, and a failure to write it never fails the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from vagus_tui.database.connection import LOST, Connection, Database, close
from vagus_tui.errors import VagusError
from vagus_tui.events import Event, NoteEvent, Phase, ResultEvent, StepEvent, StepState
from vagus_tui.jobs import Emit
from vagus_tui.journal.schema import PROGRESS_DDL

INTERVAL_SECONDS = 0.7
NOTE = "note"
"""The step id of the row that holds the latest thing worth saying, such as who is in the way."""

# One that broke off may still be open when another begins; and the last words are those of a run that is over.
_NEWEST_RUN = """
select id from vagus_migration.runs where id = $1 or status in ('running', 'ready') and finished_at is null
order by started_at desc limit 1
"""
_PUT = """
insert into vagus_migration.progress as p
  (run_id, step, phase, title, state, rows, total, unit, seconds, message, started_at, ended_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
  clock_timestamp() - $11::float8 * interval '1 second', clock_timestamp() - $12::float8 * interval '1 second')
on conflict (run_id, step) do update set phase = excluded.phase, title = excluded.title, state = excluded.state,
  rows = excluded.rows, total = coalesce(excluded.total, p.total), unit = excluded.unit, seconds = excluded.seconds,
  message = excluded.message, at = clock_timestamp(),
  started_at = excluded.started_at,
  ended_at = excluded.ended_at
"""
_READ = """
select step as id, phase, title, state, rows, total, unit, seconds, message, started_at, ended_at, at
from vagus_migration.progress where run_id = $1 order by started_at, step
"""

_FORGET = "delete from vagus_migration.progress where run_id = $1 and step <> all($2) and step <> $3"
_MEND = """
insert into vagus_migration.progress as p
  (run_id, step, phase, title, state, rows, seconds, message, started_at, ended_at)
select s.run_id, s.step, s.phase, t.title, 'done', s.rows, s.seconds, s.message,
  s.at - coalesce(s.seconds, 0) * interval '1 second', s.at
from unnest($2::text[], $3::text[]) t(step, title)
cross join lateral (select * from vagus_migration.steps where run_id = $1 and step = t.step and state = 'done'
  order by at desc limit 1) s
on conflict (run_id, step) do update set state = 'done', rows = coalesce(excluded.rows, p.rows),
  seconds = excluded.seconds, ended_at = excluded.ended_at
where p.state <> 'done' or p.ended_at is null
"""

_DONE_BEFORE = """
select distinct on (s.step) s.step, s.phase, p.title, s.at,
  s.at - coalesce(s.seconds, 0) * interval '1 second' as started_at
from vagus_migration.progress p
join vagus_migration.steps s on s.run_id = p.run_id and s.step = p.step and s.state = 'done' and s.at < p.started_at
where p.run_id = $1 and p.phase = any($2) order by s.step, s.at desc
"""
REPEATED = (Phase.CATCH_UP, Phase.PROVE)
"""Phases that a run goes through once more after a hold, or when it is taken up again."""

Work = Callable[[Emit], Awaitable[ResultEvent]]


@dataclass(frozen=True, slots=True)
class StepTimes:
    """A step of a run as others see it, and when it began, ended and was last heard of by the server's clock."""

    event: StepEvent
    started_at: datetime
    ended_at: datetime | None
    heard_at: datetime | None = None


class _Publisher:
    """Collects the latest word on every step and writes what has changed, every now and then."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.changed: dict[str, tuple[object, ...]] = {}
        self.times: dict[str, tuple[float, float | None]] = {}
        self.run: UUID | None = None

    def take(self, event: Event) -> None:
        """Keep the latest word."""
        if isinstance(event, StepEvent):
            now = time.monotonic()
            begun = self.times.get(event.id, (now - (event.seconds or 0.0), None))[0]
            ended = now if event.state in (StepState.DONE, StepState.FAILED) else None
            self.times[event.id] = (now if event.state is StepState.STARTED else begun, ended)
            figures = (event.rows, event.total, event.unit, event.seconds, event.message)
            self.changed[event.id] = (event.phase.value, event.title, event.state.value, *figures)
        elif isinstance(event, NoteEvent):
            words = event.message[:500]
            self.changed[NOTE] = ("", event.level, StepState.DONE.value, None, None, None, None, words)

    async def publish(self) -> None:
        """Write until cancelled, then once more."""
        connection = await self.database.connect(
            "progress", statement_timeout="5000", lock_timeout="500", synchronous_commit="off"
        )
        try:
            while True:
                with contextlib.suppress(asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError):
                    await self._write(connection)
                await asyncio.sleep(INTERVAL_SECONDS)
        except asyncio.CancelledError:
            if not connection.is_closed():
                async with asyncio.timeout(2):
                    await self._write(connection)
            raise
        finally:
            await close(connection)

    async def _write(self, connection: Connection) -> None:
        if not self.changed:
            return
        if not await connection.fetchval("select to_regclass('vagus_migration.runs') is not null"):
            return
        known, self.run = self.run, await connection.fetchval(_NEWEST_RUN, self.run)
        if self.run is None:
            return
        if known is None:
            await connection.execute(PROGRESS_DDL)
        rows, self.changed = self.changed, {}
        now = time.monotonic()
        arguments = []
        for step, values in rows.items():
            begun, ended = self.times.get(step, (now, now))
            # Ages rather than times: the clock that counts is the server's.
            arguments.append((self.run, step, *values, now - begun, None if ended is None else now - ended))
        await connection.executemany(_PUT, arguments)


def published(database: Database, work: Work) -> Work:
    """The same work, with its steps in the journal for others to see while it runs."""

    async def run(emit: Emit) -> ResultEvent:
        publisher = _Publisher(database)

        def told(event: Event) -> None:
            publisher.take(event)
            emit(event)

        task = asyncio.create_task(publisher.publish(), name="publish progress")
        try:
            return await work(told)
        finally:
            task.cancel()
            # What nobody can watch is still done: a broken line here is no failure of the run.
            with contextlib.suppress(
                asyncio.CancelledError, *LOST, asyncpg.PostgresError, VagusError, OSError, TimeoutError
            ):
                await task

    return run


async def mend_progress(connection: Connection, run_id: UUID, done: Mapping[str, str]) -> None:
    """Bring what others see in line with the record, where a run that broke off did not get to say its last words.

    Args:
        done: the title of every step that is done and is not begun again, by its id.
    """
    if not await connection.fetchval("select to_regclass('vagus_migration.progress') is not null"):
        return
    await connection.execute(_FORGET, run_id, list(done), NOTE)
    await connection.execute(_MEND, run_id, list(done), list(done.values()))


async def read_progress(connection: Connection, run_id: UUID) -> list[StepTimes]:
    """The steps of a run so far, in the order in which they began; empty where none were published."""
    if not await connection.fetchval("select to_regclass('vagus_migration.progress') is not null"):
        return []
    steps = []
    for row in await connection.fetch(_READ, run_id):
        values = dict(row)
        started_at, ended_at, heard_at = (values.pop(name) for name in ("started_at", "ended_at", "at"))
        if values["id"] == NOTE:
            continue
        event = StepEvent(**{**values, "phase": Phase(values["phase"]), "state": StepState(values["state"])})
        steps.append(StepTimes(event, started_at, ended_at, heard_at))
    return steps


async def read_done_before(connection: Connection, run_id: UUID) -> list[StepTimes]:
    """What was done and then done again, such as the proof: of such a step progress has the latest alone."""
    if not await connection.fetchval("select to_regclass('vagus_migration.progress') is not null"):
        return []
    return [
        StepTimes(
            StepEvent(id=row["step"], phase=Phase(row["phase"]), title=row["title"], state=StepState.DONE),
            row["started_at"],
            row["at"],
            row["at"],
        )
        for row in await connection.fetch(_DONE_BEFORE, run_id, [phase.value for phase in REPEATED])
    ]


async def latest_word(connection: Connection, run_id: UUID) -> NoteEvent | None:
    """The latest note of a run, such as who is in the way; None where there is none."""
    if not await connection.fetchval("select to_regclass('vagus_migration.progress') is not null"):
        return None
    row = await connection.fetchrow(
        "select title, message from vagus_migration.progress where run_id = $1 and step = $2", run_id, NOTE
    )
    return NoteEvent(message=row["message"], level=row["title"]) if row else None
