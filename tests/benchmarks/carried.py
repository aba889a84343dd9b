"""What a quick rollback keeps waiting after much was written: `python -m tests.benchmarks.carried [PLANS] [SHARE]`.

After the cut-over new sessions with six sets each are written, a fifth of SHARE of all logs as many, a tenth of SHARE
of the logs is changed, and some exercises and plans: as an app leaves it that was in use for hours. Then v2 goes back,
nothing else at work. It prints what was foretold and what it took, and asserts nothing.
"""

from __future__ import annotations

import asyncio
import sys

import asyncpg

from tests.benchmarks.engine import Bench, migrated
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import ResultEvent, StepEvent, StepState
from vagus_tui.journal.state import read_state
from vagus_tui.migration.work import open_session
from vagus_tui.rollback.cost import cost_of
from vagus_tui.rollback.preview import preview
from vagus_tui.rollback.quick import roll_back
from vagus_tui.sandbox.server import EmbeddedServer

PLANS, SHARE = 20_000, 0.05

TRAINED = """
with s as (
  insert into workout_sessions (id, user_id, day_id, started_at, total_sets, total_volume)
  select gen_random_uuid(), user_id, day_id, now() - random() * interval '3 h', 6, 2400 from workout_sessions
  where day_id is not null order by random() limit $1 returning id, day_id)
insert into exercise_logs (id, session_id, exercise_id, set_number, reps, weight, completed_at)
select gen_random_uuid(), s.id, e.id, n, 8, 50, now()
from s cross join lateral (select e.id from exercises e where e.day_id = s.day_id limit 2) e, generate_series(1, 3) n
"""
CHANGED = "update {table} set {change} where id in (select id from {table} order by random() limit $1)"


async def _written(connection: Connection, share: float) -> int:
    """Write to v2 as its users do; returns how many changes were noted."""
    logs = int(await connection.fetchval("select count(*) from exercise_logs") * share)
    await connection.execute(TRAINED, logs // 5)
    for table, change, rows in (
        ("exercise_logs", "reps = reps + 1", logs // 10),
        ("exercises", "notes = 'x'", logs // 40),
        ("workout_plans", "name = name || '!'", logs // 80),
    ):
        await connection.execute(CHANGED.format(table=table, change=change), rows)
    await connection.execute("analyze")
    return int(await connection.fetchval("select count(*) from vagus_migration.v2_changes"))


async def run(plans: int, share: float) -> None:
    """Migrate, write, go back."""
    server = await EmbeddedServer.start(settings={"shared_buffers": "4GB"})
    try:
        bench = Bench(server)
        await bench.fill(plans)
        async with bench.clone() as (settings, _):
            await migrated(settings, server.data_dir)
            database = Database(settings)
            connection: Connection = await asyncpg.connect(database.url)
            changes = await _written(connection, share)
            await connection.close()
            async with open_session(database, "preview") as session:
                cost = await cost_of(session, settings, await preview(session, await read_state(session)))
            print(f"{plans:,} plans, {changes:,} changes noted; foretold: {cost.expected:.1f} s under the locks")
            async for event in roll_back(database, settings, Control()):
                if isinstance(event, StepEvent) and event.state is StepState.DONE and (event.seconds or 0) > 0.05:
                    print(f"  {event.id:<28}{event.seconds:>7.2f} s")
                if isinstance(event, ResultEvent):
                    waited = float((event.figures or {}).get("writes_waited_seconds", 0))
                    print(
                        f"{event.message}\nin all {event.seconds or 0:.1f} s, under the locks {waited:.2f} s: "
                        f"{waited / max(changes, 1) * 1e6:.0f} µs a change"
                    )
    finally:
        await server.stop()


def main() -> None:
    """Measure and print."""
    plans = int(sys.argv[1]) if len(sys.argv) > 1 else PLANS
    share = float(sys.argv[2]) if len(sys.argv) > 2 else SHARE
    asyncio.run(run(plans, share))


if __name__ == "__main__":
    main()
