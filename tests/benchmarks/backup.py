"""How long a backup takes beside what the guide has operators type, and how much memory it needs here.

Run as a program: `python -m tests.benchmarks.backup [--plans 20000] [--making-alone]`.
Prints ratios, asserts nothing about time.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from vagus_tui.backup import BackupOptions, Kind, make_backup, restore_test, verify_backup
from vagus_tui.backup.address import tool_address
from vagus_tui.backup.digest import table_content
from vagus_tui.backup.rehearsal import rehearse
from vagus_tui.backup.snapshot import SESSION
from vagus_tui.backup.tables import select_tables
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.database.tools import ClientTools, find_tools
from vagus_tui.events import ResultEvent, StepEvent, StepState
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.sandbox import start_sandbox
from vagus_tui.schema.v1 import TABLES
from vagus_tui.settings import Settings

ROUNDS = 3


def tree(path: Path) -> int:
    """Bytes of a file or of all files below a folder."""
    return path.stat().st_size if path.is_file() else sum(file.stat().st_size for file in path.rglob("*"))


def timed(command: Sequence[str | Path], environment: dict[str, str]) -> float:
    """Seconds that a program takes."""
    started = time.perf_counter()
    subprocess.run([str(part) for part in command], env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def copy_command(table: str, folder: str) -> str:
    """What the guide's CSV export comes to with psql."""
    return f"\\copy (select * from public.{table}) to '{folder}/{table}.csv' with csv header force quote *"


async def steps(settings: Settings, options: BackupOptions) -> tuple[dict[str, float], Path, float]:
    """Seconds per step of a backup, its folder, and seconds in all."""
    seconds: dict[str, float] = {}
    path = Path()
    started = time.perf_counter()
    async for event in make_backup(Database(settings), settings, options, Control()):
        if isinstance(event, StepEvent) and event.state is StepState.DONE:
            seconds[event.id] = event.seconds or 0.0
        if isinstance(event, ResultEvent) and event.figures:
            path = Path(event.figures["path"])
    return seconds, path, time.perf_counter() - started


def show(what: str, ours: float, theirs: float | None = None, than: str = "") -> None:
    """One line of the report."""
    compared = f"   {theirs:7.2f} s {than}   ratio {ours / theirs:.2f}" if theirs else ""
    print(f"{what:<44} {ours:7.2f} s{compared}")


async def measure(plans: int, *, making_alone: bool) -> None:
    """Fill a sandbox and time every part."""
    tools = find_tools(18, needs_tls=False)
    assert isinstance(tools, ClientTools) and tools.psql is not None
    box = await start_sandbox(SandboxOptions(plans=plans, clean=True), print)
    try:
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings.model_validate({"database_url": box.url, "backup_dir": Path(folder) / "backups"})
            environment = tool_address(box.url, purpose="benchmark").environment
            database = Database(settings)
            async with database.connection("benchmark", statement_timeout="0") as connection:
                await connection.execute("vacuum analyze")
                async with connection.transaction(readonly=True):
                    await connection.execute(SESSION)
                    rows = 0
                    started = time.perf_counter()
                    for table in await select_tables(connection, TABLES):
                        rows += (await table_content(connection, table)).rows
                    show(f"digests of {rows:,} rows", time.perf_counter() - started)

            guide = Path(folder) / "guide.dump"
            selected = [f"--table=public.{name}" for name in TABLES]
            command: list[str | Path] = [tools.pg_dump, "--format=custom", f"--file={guide}", *selected]
            kinds = BackupOptions(kinds=frozenset({Kind.TABLES, Kind.CSV}))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            runs: list[tuple[float, float, float, float, float]] = []
            for _ in range(ROUNDS):
                custom = timed(command, environment)
                copied = sum(
                    timed(
                        [tools.psql, "--no-psqlrc", "--quiet", f"--command={copy_command(name, folder)}"], environment
                    )
                    for name in TABLES
                )
                seconds, path, whole = await steps(settings, kinds)
                csv = sum(value for name, value in seconds.items() if name.startswith("csv-"))
                dumped = seconds["dump-tables"] + seconds.get("compress-tables", 0.0)
                runs.append((custom, copied, dumped, csv, whole))
            # The least of each: what else the machine does only ever adds.
            custom, copied, dumped, csv, whole = (min(run[part] for run in runs) for part in range(5))
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            show("dump of the workout tables", dumped, custom, "pg_dump -F c")
            ours, theirs = tree(path / "workout-tables"), tree(guide)
            print(f"{'its size':<44} {ours / 1e6:7.1f} MB  {theirs / 1e6:7.1f} MB   ratio {ours / theirs:.2f}")
            show("CSV, hashed on the way", csv, copied, "psql \\copy")
            show("tables + CSV, digested, hashed, read back", whole)
            print(f"{'memory of this process above its start':<44} {(after - before) / 1024:7.1f} MB")

            if making_alone:
                return
            for title, job in (
                ("verification alone", verify_backup(path, Control())),
                ("restore test", restore_test(path, settings, Control())),
                ("rehearsal, there and back and there again", rehearse(path, settings, Control())),
            ):
                started = time.perf_counter()
                result = [event async for event in job][-1]
                assert isinstance(result, ResultEvent) and result.ok
                show(title, time.perf_counter() - started)
    finally:
        await box.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", type=int, default=20_000)
    parser.add_argument("--making-alone", action="store_true", help="leave verification, restore and rehearsal out")
    asked = parser.parse_args()
    asyncio.run(measure(asked.plans, making_alone=asked.making_alone))
