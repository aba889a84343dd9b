"""What the app notices of a migration: how long its writes take, and whether any is lost, doubled or refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import Phase, ResultEvent, StepEvent, StepState
from vagus_tui.migration.runner import migrate
from vagus_tui.sandbox.app_requests import MARK, WRITES, Write
from vagus_tui.sandbox.traffic import Outcome, Traffic
from vagus_tui.settings import Settings

WRITES_PER_SECOND, READS_PER_SECOND = 50.0, 30.0
CONNECTIONS = 12
WRITING = frozenset(request.__name__ for request, _ in WRITES)


@dataclass(frozen=True, slots=True)
class Live:
    """Times in seconds; the medians are of writes.

    `around` is the cut-over with a second before and after it.
    """

    before: float
    building: float
    holding: float
    longest_write: float
    longest_read: float
    writes_around: int
    refused: int
    lost: int
    doubled: int
    locked: float


async def live(settings: Settings, authenticator_url: str, connection: Connection, *, quiet: float = 15.0) -> Live:
    """Migrate under traffic and measure the traffic.

    Args:
        connection: for looking at v2 afterwards.
        quiet: seconds of traffic before the migration, and again while it holds.
    """
    outcomes: list[Outcome] = []
    rate = WRITES_PER_SECOND + READS_PER_SECOND
    traffic = Traffic(
        authenticator_url,
        rate,
        connections=CONNECTIONS,
        write_share=WRITES_PER_SECOND / rate,
        on_outcome=outcomes.append,
        record_writes=True,
    )
    control = Control()
    moments: dict[str, float] = {}
    result: list[ResultEvent] = []
    holding = asyncio.Event()

    async def run() -> None:
        async for event in migrate(Database(settings), settings, control, hold=True):
            if isinstance(event, StepEvent):
                moments.setdefault(event.phase.value, time.monotonic())
                if event.phase is Phase.HOLD and event.state is StepState.STARTED:
                    holding.set()
                if event.phase is Phase.CUT_OVER:
                    moments["cut-over ended"] = time.monotonic()
            if isinstance(event, ResultEvent):
                result.append(event)

    async with traffic:
        await asyncio.sleep(quiet)
        task = asyncio.create_task(run())
        waiting = asyncio.create_task(holding.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(quiet)
        # From here on only what both shapes understand; whatever was under way ends first.
        traffic.either_shape = True
        await asyncio.sleep(2.0)
        control.go()
        await task
        await asyncio.sleep(2.0)
    if not result or not result[0].ok:
        raise RuntimeError(f"the migration failed: {result}")
    start, end = moments[Phase.CUT_OVER.value] - 1.0, moments["cut-over ended"] + 1.0
    around = [outcome for outcome in outcomes if outcome.started + outcome.seconds > start and outcome.started < end]
    lost, doubled = await missing(connection, traffic.committed)
    figures = result[0].figures or {}
    return Live(
        before=_median(outcomes, 0, moments[Phase.PREPARE.value]),
        building=_median(outcomes, moments[Phase.BUILD.value], moments[Phase.HOLD.value]),
        holding=_median(outcomes, moments[Phase.HOLD.value], start),
        longest_write=max(outcome.seconds for outcome in around if outcome.operation in WRITING),
        longest_read=max(outcome.seconds for outcome in around if outcome.operation not in WRITING),
        writes_around=sum(outcome.operation in WRITING for outcome in around),
        refused=sum(outcome.error is not None for outcome in outcomes),
        lost=lost,
        doubled=doubled,
        locked=float(figures.get("writes_waited_seconds", 0.0)),
    )


def _median(outcomes: Iterable[Outcome], start: float, end: float) -> float:
    return median(o.seconds for o in outcomes if o.operation in WRITING and start <= o.started < end)


async def missing(connection: Connection, writes: Iterable[Write]) -> tuple[int, int]:
    """How many committed writes are not in v2 as they were made, and how many rows of the traffic nobody wrote.

    Rows below a deleted one go with it: they count as lost only if what they hang on is there.
    """
    last: dict[tuple[str, object], Write] = {}
    made: dict[str, list[object]] = {}
    for write in writes:
        key = (write.table, write.id)
        if write.kind == "insert":
            made.setdefault(write.table, []).append(write.id)
        last[key] = write
    lost = 0
    deleted = [write.id for write in last.values() if write.kind == "delete"]
    for table in {table for table, _ in last}:
        gone = [write.id for write in last.values() if write.table == table and write.kind == "delete"]
        lost += await connection.fetchval(f"select count(*) from {table} where id = any($1)", gone)
        kept = [write.id for write in last.values() if write.table == table and write.kind != "delete"]
        lost += await connection.fetchval(_LOST[table], kept, deleted)
    weights = [(write.id, write.weight) for write in last.values() if write.weight is not None]
    lost += await connection.fetchval(
        "select count(*) from unnest($1::uuid[], $2::numeric[]) w (id, weight) join exercise_logs l using (id) "
        "where l.weight <> w.weight",
        [identity for identity, _ in weights],
        [weight for _, weight in weights],
    )
    doubled = 0
    for table in ("workout_sessions", "exercise_logs"):
        doubled += await connection.fetchval(
            f"select count(*) from {table} where notes = $1 and id <> all($2)", MARK, made.get(table, [])
        )
    return lost, doubled


_ABSENT = "select count(*) from unnest($1::uuid[]) w (id) where not exists (select from {} t where t.id = w.id)"
_LOST = {
    # A plan goes only by its own deletion.
    "workout_plans": _ABSENT.format("workout_plans") + " and w.id <> all($2)",
    "workout_sessions": _ABSENT.format("workout_sessions") + " and w.id <> all($2)",
    # v1 is kept: what is gone from there was deleted with its plan or session.
    "exercises": _ABSENT.format("exercises")
    + " and w.id <> all($2) and exists (select from exercises_v1 o where o.id = w.id)",
    "exercise_logs": _ABSENT.format("exercise_logs")
    + " and w.id <> all($2) and exists (select from exercise_logs_v1 o where o.id = w.id and o.session_id <> all($2))",
}
