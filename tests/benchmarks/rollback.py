"""What the app notices of a rollback: `python -m tests.benchmarks.rollback [PLANS] [SECONDS]`.

An app of 50 writes and 30 reads a second works on the sandbox through the migration, the quick rollback, and a
rollback from a backup. Measured: the longest write and read around each, and writes that are not there afterwards.
It prints figures and asserts nothing.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import SecretStr

from tests.benchmarks.live import CONNECTIONS, READS_PER_SECOND, WRITES_PER_SECOND, WRITING
from vagus_tui.backup import BackupOptions, Kind, make_backup
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import Event, Phase, ResultEvent, StepEvent
from vagus_tui.migration.runner import migrate
from vagus_tui.rollback.from_backup import roll_back_from
from vagus_tui.rollback.quick import roll_back
from vagus_tui.sandbox.app_requests import Write
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.sandbox import start_sandbox
from vagus_tui.sandbox.server import AUTHENTICATOR
from vagus_tui.sandbox.traffic import Outcome, Traffic
from vagus_tui.settings import Settings

PLANS, SECONDS = 2_000, 20.0


@dataclass(frozen=True, slots=True)
class Way:
    """One way back under traffic; times in seconds."""

    name: str
    total: float
    locked: float
    longest_write: float
    longest_read: float
    requests: int
    refused: int
    lost: int


async def done(events: AsyncIterator[Event], moments: dict[str, float] | None = None) -> ResultEvent:
    """Run a job to its end; it must succeed."""
    result: ResultEvent | None = None
    async for event in events:
        if moments is not None and isinstance(event, StepEvent) and event.phase is Phase.ROLLBACK:
            moments.setdefault("begun", time.monotonic())
            moments["ended"] = time.monotonic()
        if isinstance(event, ResultEvent):
            result = event
    if result is None or not result.ok:
        raise RuntimeError(f"it failed: {result}")
    return result


async def lost(connection: Connection, writes: list[Write]) -> int:
    """How many rows that were written, and not deleted by their writer, are in none of v1's tables."""
    last = {(write.table, str(write.id)): write for write in writes}
    missing = 0
    for table in {table for table, _ in last}:
        there = {row["id"] for row in await connection.fetch(f"select id::text as id from {table}")}
        kept = {key for (name, key), write in last.items() if name == table and write.kind != "delete"}
        missing += len(kept - there)
    return missing


async def way_back(name: str, url: str, events: AsyncIterator[Event], connection: Connection, seconds: float) -> Way:
    """Go back under traffic, and measure the traffic."""
    outcomes: list[Outcome] = []
    rate = WRITES_PER_SECOND + READS_PER_SECOND
    traffic = Traffic(
        url,
        rate,
        connections=CONNECTIONS,
        write_share=WRITES_PER_SECOND / rate,
        on_outcome=outcomes.append,
        record_writes=True,
    )
    traffic.either_shape = True
    moments: dict[str, float] = {}
    async with traffic:
        await asyncio.sleep(seconds)
        result = await done(events, moments)
        await asyncio.sleep(2)
    start, end = moments["begun"] - 1, moments["ended"] + 1
    around = [one for one in outcomes if one.started + one.seconds > start and one.started < end]
    return Way(
        name=name,
        total=float(result.seconds or 0),
        locked=float((result.figures or {}).get("writes_waited_seconds", 0)),
        longest_write=max((one.seconds for one in around if one.operation in WRITING), default=0),
        longest_read=max((one.seconds for one in around if one.operation not in WRITING), default=0),
        requests=len(around),
        refused=sum(one.error is not None for one in outcomes),
        lost=await lost(connection, traffic.committed),
    )


async def run(plans: int, seconds: float) -> list[Way]:
    """Both ways back, on one sandbox."""
    sandbox = await start_sandbox(SandboxOptions(plans=plans, clean=True))
    try:
        with tempfile.TemporaryDirectory() as folder:
            values: dict[str, Any] = {"_env_file": None, "backup_dir": Path(folder), "operator": "benchmark"}
            settings = Settings(database_url=SecretStr(sandbox.url), **values)
            database, url = Database(settings), sandbox.server.url(AUTHENTICATOR)
            connection: Connection = await asyncpg.connect(sandbox.url)
            options = BackupOptions(kinds=frozenset({Kind.TABLES}))
            made = await done(make_backup(database, settings, options, Control()))
            path = Path((made.figures or {})["path"])
            await done(migrate(database, settings, Control(), hold=False))
            quick = roll_back(database, settings, Control())
            ways = [await way_back("quick rollback", url, quick, connection, seconds)]
            await done(migrate(database, settings, Control(), hold=False))
            restore = roll_back_from(database, settings, Control(), path)
            ways.append(await way_back("from a backup", url, restore, connection, seconds))
            await connection.close()
            return ways
    finally:
        await sandbox.stop()


def main() -> None:
    """Measure and print."""
    plans = int(sys.argv[1]) if len(sys.argv) > 1 else PLANS
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    ways = asyncio.run(run(plans, seconds))
    rate = WRITES_PER_SECOND
    print(f"{plans:,} plans, {rate:.0f} writes a second for {seconds:.0f} s before each way back\n")
    print(f"{'':<16}{'in all':>9}{'locked':>9}{'longest write':>15}{'longest read':>14}{'refused':>9}{'not in v1':>11}")
    for way in ways:
        print(
            f"{way.name:<16}{way.total:>7.1f} s{way.locked:>7.2f} s{way.longest_write:>13.2f} s"
            f"{way.longest_read:>12.2f} s{way.refused:>9,}{way.lost:>11,}"
        )
    print("\nWhat is not in v1 after a rollback from a backup is in the archive; after a quick one it must be none.")


if __name__ == "__main__":
    main()
