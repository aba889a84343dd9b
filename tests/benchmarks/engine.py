"""How fast the engine is beside its rivals, what the app notices of it, and where its time goes.

Run as a program: `python -m tests.benchmarks.engine [--plans 20000 100000] [--markdown]`. Everything is measured in
one run on one embedded server, each part on its own clone of the same v1. Prints a table, asserts nothing about time.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import resource
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.benchmarks.live import Live, live
from tests.benchmarks.processor import seconds_used
from tests.benchmarks.rivals import copy_floor, row_loop
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.events import Phase, ResultEvent, StepEvent, StepState
from vagus_tui.journal.state import read_state
from vagus_tui.migration.plan import MigrationPlan, make_plan
from vagus_tui.migration.runner import migrate
from vagus_tui.migration.work import open_session
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.sandbox import build_v1
from vagus_tui.sandbox.server import AUTHENTICATOR, OPERATOR, EmbeddedServer
from vagus_tui.settings import Settings

BASE = "benchmark"

SHARED_BUFFERS = "4GB"
"""Of the server: what Supabase gives a project with 16 GB of memory, which is one for data of the larger size. The
sandbox's own servers make do with 128 MB, so that they fit any laptop."""


@dataclass
class Engine:
    """One migration without traffic: seconds per phase, passed and of the processor, and per step; the rows proved.

    A phase's processor time is that of the whole server until the next one begins; the last phase has none.
    """

    phases: dict[str, float]
    processor: dict[str, float]
    steps: dict[str, float]
    rows: int

    @property
    def build(self) -> float:
        """Everything from an empty staging schema to a finished v2: rows, indexes, keys, references, statistics."""
        return self.phases[Phase.BUILD.value]

    @property
    def proof(self) -> float:
        return self.phases[Phase.PROVE.value]


@dataclass
class Size:
    """Everything measured at one size."""

    plans: int
    rows: int
    engine: Engine
    loop: float | None
    floor: dict[str, float]
    plain_floor: dict[str, float]
    live: Live
    memory: float


class Bench:
    """One server with one v1, and clones of it."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        self._number = 0

    async def fill(self, plans: int) -> None:
        """Make v1, tidied up so that no part pays for what the sample data left behind."""
        async with self._admin("postgres") as admin:
            await admin.execute(f"create database {BASE} template template0 encoding 'UTF8' owner {OPERATOR}")
        options = SandboxOptions(plans=plans, clean=True)
        await build_v1(self.server.admin_url(BASE), self.server.url(OPERATOR, BASE), options, lambda _: None)
        async with self._admin(BASE) as admin:
            await admin.execute("vacuum analyze")

    @asynccontextmanager
    async def _admin(self, database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        settings = {"statement_timeout": "0"}
        connection = await asyncpg.connect(self.server.admin_url(database), server_settings=settings)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def clone(self) -> AsyncIterator[tuple[Settings, str]]:
        """A fresh copy of v1, gone after the block: settings for the operator, and the API's address."""
        self._number += 1
        name = f"{BASE}_{self._number}"
        async with self._admin("postgres") as admin:
            await admin.execute(f"create database {name} template {BASE} owner {OPERATOR} strategy file_copy")
            await admin.execute("checkpoint")
        try:
            settings = Settings.model_validate({"database_url": self.server.url(OPERATOR, name), "dotenv": None})
            yield settings, self.server.url(AUTHENTICATOR, name)
        finally:
            async with self._admin("postgres") as admin:
                await admin.execute(f"drop database {name} with (force)")


async def planned(settings: Settings) -> MigrationPlan:
    """The plan for a database, for what it knows of the mapping."""
    async with open_session(Database(settings), "benchmark") as connection:
        return await make_plan(connection, settings, await read_state(connection))


async def migrated(settings: Settings, data_dir: Path) -> Engine:
    """Migrate without traffic on the server that has this folder."""
    phases: dict[str, list[float]] = {}
    used: dict[str, float] = {}
    steps: dict[str, float] = {}
    rows = 0
    async for event in migrate(Database(settings), settings, Control(), hold=False):
        if isinstance(event, StepEvent):
            now, phase = time.perf_counter(), event.phase.value
            if phase not in phases:
                # Not at every step: looking takes a while.
                used[phase] = seconds_used(data_dir)
            phases.setdefault(phase, [now, now])[1] = now
            if event.state is StepState.DONE:
                steps[event.id] = event.seconds or 0.0
        if isinstance(event, ResultEvent):
            if not event.ok:
                raise RuntimeError(event.message)
            rows = sum((event.figures or {})["rows"].values())
    passed = {name: end - start for name, (start, end) in phases.items()}
    processor = {
        name: after - before for (name, before), after in zip(used.items(), [*used.values()][1:], strict=False)
    }
    return Engine(passed, processor, steps, rows)


async def measure(plans: int, *, loop: bool, repeat: int, buffers: str, say: Callable[[str], None]) -> Size:
    """Everything at one size. Of the repeated parts the quickest counts, for the engine and the copy floor alike."""
    server = await EmbeddedServer.start(settings={"shared_buffers": buffers})
    bench = Bench(server)
    try:
        say(f"{plans:,} plans: making v1")
        await bench.fill(plans)
        engines: list[Engine] = []
        floors: list[dict[str, float]] = []
        plain: list[dict[str, float]] = []
        for _ in range(repeat):
            async with bench.clone() as (settings, _):
                made = await planned(settings)
                engines.append(await migrated(settings, server.data_dir))
                say(f"  engine: build {engines[-1].build:.2f} s, proof {engines[-1].proof:.2f} s")
                async with open_session(Database(settings), "benchmark") as connection:
                    # As our own sessions are: no helpers for an index build.
                    floors.append(await copy_floor(connection, "public", made.ddl))
                async with Database(settings).connection("benchmark", statement_timeout="0") as connection:
                    plain.append(await copy_floor(connection, "public", made.ddl))
                say(f"  copy floor: {sum(floors[-1].values()):.2f} s, {sum(plain[-1].values()):.2f} s")
        async with bench.clone() as (settings, authenticator):
            async with open_session(Database(settings), "benchmark") as connection:
                noticed = await live(settings, authenticator, connection)
            say(f"  cut-over: longest write {noticed.longest_write:.3f} s, longest read {noticed.longest_read:.3f} s")
        looped = None
        if loop:
            async with bench.clone() as (settings, _):
                made = await planned(settings)
                async with open_session(Database(settings), "benchmark") as connection:
                    looped = await row_loop(connection, made.mapping, made.ddl)
            say(f"  row loop: {looped:.1f} s")
    finally:
        await server.stop()
    best = min(engines, key=lambda engine: engine.build)
    best.phases[Phase.PROVE.value] = min(engine.proof for engine in engines)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    floor, plain_floor = (min(each, key=lambda parts: sum(parts.values())) for each in (floors, plain))
    return Size(plans, best.rows, best, looped, floor, plain_floor, noticed, memory)


def table(sizes: list[Size]) -> list[tuple[str, ...]]:
    """The figures, a column per size."""

    def row(title: str, value: Callable[[Size], str]) -> tuple[str, ...]:
        return (title, *(value(size) for size in sizes))

    def compared(rival: float | None, ours: float) -> str:
        return "not run" if rival is None else f"{rival:.1f} s, {rival / ours:.1f} × ours"

    def copied(floor: dict[str, float], ours: float) -> str:
        whole = sum(floor.values())
        return f"{whole:.1f} s; ours is {ours / whole:.2f} of it"

    rows = [
        row("", lambda s: f"{s.plans:,} plans, {s.rows / 1e6:.1f} M rows of v2"),
        row("build: rows, indexes, keys, references", lambda s: f"{s.engine.build:.1f} s"),
        row("processor time of the build", lambda s: f"{s.engine.processor[Phase.BUILD.value]:.1f} s"),
        row("row loop, same tables", lambda s: compared(s.loop, s.engine.build)),
        row("copy floor, one connection, one process", lambda s: copied(s.floor, s.engine.build)),
        row("copy floor, index builds with helpers", lambda s: copied(s.plain_floor, s.engine.build)),
        row(
            "proof of every row",
            lambda s: f"{s.engine.proof:.1f} s, {s.engine.proof / s.engine.build:.2f} of the build",
        ),
        row("cut-over, 50 writes/s: longest write", lambda s: f"{s.live.longest_write:.2f} s"),
        row("longest read", lambda s: f"{s.live.longest_read:.2f} s"),
        row("writes lost, doubled, refused", lambda s: f"{s.live.lost}, {s.live.doubled}, {s.live.refused}"),
        row("median write before", lambda s: f"{s.live.before * 1e3:.1f} ms"),
        row("captured, while it holds", lambda s: _times(s.live.holding, s.live.before)),
        row("captured, while it builds and proves", lambda s: _times(s.live.building, s.live.before)),
        row("memory of the client, traffic included", lambda s: f"{s.memory:.0f} MB"),
    ]
    if len(sizes) > 1:
        first, last = sizes[0], sizes[-1]
        builds = {
            "time": [size.engine.build for size in (first, last)],
            "processor time": [size.engine.processor[Phase.BUILD.value] for size in (first, last)],
            "copy floor": [sum(size.floor.values()) for size in (first, last)],
        }
        for name, (small, large) in builds.items():
            exponent = math.log(large / small) / math.log(last.rows / first.rows)
            rows.append((f"{name} grows as rows to the power of", *[""] * (len(sizes) - 1), f"{exponent:.2f}"))
    return rows


def _times(ours: float, before: float) -> str:
    return f"{ours * 1e3:.1f} ms, {ours / before:.1f} ×"


def where(engine: Engine) -> list[tuple[str, float]]:
    """Seconds of work per kind of step, all connections added up: more than the time that passed."""
    kinds = {
        "build-day-keys": "days and weeks of every plan",
        "build-": "rows: ",
        "index-": "indexes",
        "analyze-": "statistics",
        "align": "first rounds of catching up",
        "validate-": "references",
        "prove-": "proof: ",
    }
    sums: dict[str, float] = defaultdict(float)
    for step, seconds in engine.steps.items():
        start = next((start for start in kinds if step.startswith(start)), None)
        if start is None:
            sums["everything else"] += seconds
            continue
        name = kinds[start]
        if name.endswith(" "):
            name += step.removeprefix(start).rstrip("-0123456789")
        sums[name] += seconds
    return sorted(sums.items(), key=lambda item: -item[1])


def machine() -> str:
    """What it ran on, in words."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores ({names[0].partition(': ')[2] if names else 'unknown'}), embedded PostgreSQL"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plans", type=int, nargs="+", default=[20_000])
    parser.add_argument("--repeat", type=int, default=2, help="runs of the engine and of the copy floor")
    parser.add_argument("--no-row-loop", action="store_true", help="leave out what takes longest")
    parser.add_argument("--shared-buffers", default=SHARED_BUFFERS, help="of the server, as in postgresql.conf")
    parser.add_argument("--markdown", action="store_true", help="a table for the README")
    wanted = parser.parse_args()

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    sizes = [
        await measure(plans, loop=not wanted.no_row_loop, repeat=wanted.repeat, buffers=wanted.shared_buffers, say=say)
        for plans in sorted(wanted.plans)
    ]
    print(f"{machine()}, {wanted.shared_buffers} of shared buffers; load {os.getloadavg()[0]:.1f}")
    rows = table(sizes)
    if wanted.markdown:
        rows.insert(1, ("---",) * len(rows[0]))
        print("\n".join(f"| {' | '.join(cells)} |" for cells in rows))
    else:
        widths = [max(len(cells[column]) for cells in rows) for column in range(len(rows[0]))]
        for cells in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
    for size in sizes:
        print(f"\nSeconds of work at {size.plans:,} plans, all connections added up:")
        for name, seconds in where(size.engine):
            print(f"  {name:<36} {seconds:6.2f}")


if __name__ == "__main__":
    asyncio.run(main())
