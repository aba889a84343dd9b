"""Watching a run from beside it, on a connection of its own: what long statements have done so far, and the app.

An index says by itself how far it is; a table being filled says it by its size. A watcher that fails is no failure of
the run: what cannot be measured is judged by its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping

import asyncpg

from vagus_tui.database.connection import Connection, close
from vagus_tui.errors import VagusError
from vagus_tui.events import Event, NoteEvent, Phase, StepEvent, StepState
from vagus_tui.jobs import Emit
from vagus_tui.journal.state import STAGING
from vagus_tui.migration.blockers import describe, waited_for
from vagus_tui.migration.gauge import UNTIL_HOLD, WITHOUT_HOLD, Gauge, by_size
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.steps import PlanStep
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified

INTERVAL_SECONDS = 0.5
WAITED_SECONDS = 2.0
"""Whoever is waited for longer than this is named: nobody needs to know of an instant."""

LEAST_INTERVAL_SECONDS = 0.1

MADE_BYTES: Mapping[str, int] = {v2.WEEKS: 112, v2.DAYS: 160, v2.PREFERENCES: 190}
"""Bytes per row of tables that v1 has nothing like."""

MORE_BYTES: Mapping[str, int] = {v2.PLANS: 32, v2.EXERCISES: 24, v2.SESSIONS: 24, v2.LOGS: 0}
"""What a row of v2 has over v1's."""

_INDEXES = """
select pid, case
    when phase like 'building index: loading%' then 0.6 + 0.4 * tuples_done / greatest(tuples_total, 1)
    when phase like 'building index: sorting%' then 0.5
    when blocks_total > 0 then 0.5 * blocks_done / blocks_total
    else 0 end::double precision as share
from pg_stat_progress_create_index where pid::text = any($1::text[])
"""
_SIZES = "select name, coalesce(pg_relation_size(to_regclass(name)), 0) as size from unnest($1::text[]) name"


@contextlib.asynccontextmanager
async def watched(run: MigrationRun, *, hold: bool) -> AsyncIterator[None]:
    """Let a run say how far it is, as long as the block lasts: up to its hold, or to its end where it does not hold."""
    gauge = Gauge(run.made.plan.steps, run.done, UNTIL_HOLD if hold else WITHOUT_HOLD)
    inner = run.emit
    watcher = _Watcher(run, gauge, inner)
    told_at = 0.0

    def told(event: Event) -> None:
        nonlocal told_at
        if isinstance(event, StepEvent):
            gauge.take(event)
            watcher.settling = event.phase is Phase.SETTLE
        inner(event)
        if not isinstance(event, StepEvent) or event.state is not StepState.DONE or event.phase not in gauge.counted:
            return
        # Short steps come by the dozen: one word on them is enough.
        now = time.perf_counter()
        if now - told_at > LEAST_INTERVAL_SECONDS or gauge.share == 1:
            told_at = now
            inner(gauge.event(now - run.started, yielding=run.courtesy.yielding))

    run.emit = told
    task = asyncio.create_task(watcher.watch(), name="watch the run")
    try:
        yield
    finally:
        run.emit = inner
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Watcher:
    def __init__(self, run: MigrationRun, gauge: Gauge, emit: Emit) -> None:
        self.run = run
        self.gauge = gauge
        self.emit = emit
        self.bytes_per_row: dict[str, float] = {}
        self.told_share = 0.0
        self.waiting_since: float | None = None
        self.named: tuple[str, ...] = ()
        self.settling = False

    async def watch(self) -> None:
        """Measure and tell, until cancelled."""
        connection: Connection | None = None
        before = time.perf_counter()
        try:
            while True:
                await asyncio.sleep(INTERVAL_SECONDS)
                before, since = time.perf_counter(), time.perf_counter() - before
                if not self.gauge.running:
                    # Paused, or between two phases: what ended last has not been told perhaps.
                    if self.gauge.share != self.told_share:
                        self._tell_all()
                    if not self.settling:
                        continue
                shares: dict[str, float] = {}
                if self.settling or self.gauge.phase in (Phase.BUILD, Phase.CATCH_UP, Phase.PROVE):
                    try:
                        if connection is None or connection.is_closed():
                            connection = await self.run.database.connect(
                                "watch", lock_timeout="100", statement_timeout="2000"
                            )
                        await self._name_who_is_waited_for(connection)
                        if self.gauge.phase is not Phase.CATCH_UP and not self.settling:
                            await self._look_after_the_app(connection)
                        if self.gauge.phase is Phase.BUILD and not self.settling:
                            shares = await self._measure(connection)
                    except (asyncpg.PostgresError, asyncpg.InterfaceError, VagusError, OSError, TimeoutError):
                        shares = {}
                if self.gauge.running:
                    self._tell(shares, 0.0 if self.run.control.paused else since)
        finally:
            if connection is not None:
                await close(connection)

    async def _look_after_the_app(self, connection: Connection) -> None:
        """Let one connection work alone while the app is in use, and say so."""
        run = self.run
        if not run.settings.yield_to_app or len(run.lanes) < 2 or not await run.courtesy.look(connection):
            return
        if run.courtesy.yielding:
            often = f"v1's tables are used {run.courtesy.rate:,.0f} times a second"
            words = f"The app is in use ({often}): one connection works."
        else:
            words = f"The app is quiet: {len(run.lanes)} connections work side by side again."
        self.emit(NoteEvent(message=words))

    async def _name_who_is_waited_for(self, connection: Connection) -> None:
        """Say so once where a lock of somebody's holds the run up, and when it goes on."""
        found = await waited_for(connection, self.run.database.own_pids)
        if not found:
            if self.named:
                self.emit(NoteEvent(message="It goes on: nobody is waited for any more."))
            self.waiting_since, self.named = None, ()
            return
        now = time.monotonic()
        self.waiting_since = self.waiting_since or now
        keys = tuple(sorted(blocker.key for blocker in found))
        if now - self.waiting_since >= WAITED_SECONDS and keys != self.named:
            self.named = keys
            self.emit(
                NoteEvent(
                    level="warning",
                    message=f"Waiting for {describe(found)}: they have locked what the step under way needs.",
                    detail={"blockers": [blocker.to_dict() for blocker in found]},
                )
            )

    def _tell(self, shares: Mapping[str, float], worked: float) -> None:
        for name, share in shares.items():
            self.gauge.measured(name, share)
        self.gauge.tick(worked, frozenset(shares))
        for name in shares.keys() & self.gauge.running.keys():
            step = self.gauge.steps[name]
            if step.rows:
                self.emit(
                    StepEvent(
                        id=name,
                        phase=step.phase,
                        title=step.title,
                        state=StepState.PROGRESS,
                        rows=int(step.rows * self.gauge.shares.get(name, 0.0)),
                        total=step.rows,
                        seconds=round(time.monotonic() - self.gauge.running[name], 3),
                    )
                )
        self._tell_all()

    def _tell_all(self) -> None:
        self.told_share = self.gauge.share
        elapsed = time.perf_counter() - self.run.started
        self.emit(self.gauge.event(elapsed, yielding=self.run.courtesy.yielding))

    async def _measure(self, connection: Connection) -> dict[str, float]:
        """The shares of the running steps that can be measured, by step."""
        running = {name: self.gauge.steps[name] for name in self.gauge.running}
        shares: dict[str, float] = {}
        pids = {self.run.working[name]: name for name in running if name in self.run.working}
        for row in await connection.fetch(_INDEXES, [*map(str, pids)]):
            shares[pids[row["pid"]]] = row["share"]
        filling: dict[str, list[PlanStep]] = {}
        for step in running.values():
            if step.table:
                filling.setdefault(step.table, []).append(step)
        names = {qualified(STAGING, table): table for table in filling}
        for row in await connection.fetch(_SIZES, list(names)):
            table = names[row["name"]]
            size = await self._bytes_per_row(connection, table)
            finished = sum(
                step.rows or 0
                for step in self.gauge.steps.values()
                if step.table == table and step.phase is Phase.BUILD and self.gauge.shares.get(step.id) == 1.0
            )
            parts = filling[table]
            expected = sum(step.rows or 0 for step in parts)
            done = row["size"] / size - finished
            for step in parts:
                shares[step.id] = by_size(done / expected) if expected else 0.0
        return shares

    async def _bytes_per_row(self, connection: Connection, table: str) -> float:
        """How much room a row of v2 takes, judged by v1's own."""
        if table not in self.bytes_per_row:
            found = float(MADE_BYTES.get(table, 120))
            base = v2.V1_BASES.get(table)
            survey = self.run.made.survey
            if base is not None and survey.rows.get(base):
                relation = qualified(survey.shape.schema, survey.shape.tables[base].name)
                size = await connection.fetchval("select pg_relation_size(to_regclass($1))", relation)
                found = (size or 0) / survey.rows[base] + MORE_BYTES[table]
            self.bytes_per_row[table] = max(found, 32.0)
        return self.bytes_per_row[table]
