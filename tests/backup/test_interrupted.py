"""Whatever stops a backup, nothing that looks finished is left, and the reason is said."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.backup.helpers import collect, leftovers, make, tools_running, wait_for_tool
from tests.conftest import Connect
from tests.databases import TestDatabase
from vagus_tui.backup import BackupOptions, Kind, list_backups, make_backup
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.errors import CancelledByOperatorError, ConnectionLostError, RefusedError, UndoneError, VagusError
from vagus_tui.events import Event, NoteEvent, StepEvent, StepState
from vagus_tui.settings import Settings

TABLES = BackupOptions(kinds=frozenset({Kind.TABLES}))
CSV = BackupOptions(kinds=frozenset({Kind.CSV}))


class Halted:
    """A backup whose pg_dump waits for a table that somebody holds, so that a test can reach it."""

    def __init__(self, settings: Settings, control: Control) -> None:
        self.settings = settings
        self.control = control
        self.events: list[Event] = []
        self.task: asyncio.Task[None] | None = None

    async def begin(self, holder: Connection) -> int:
        """Run until pg_dump waits; returns its process.

        The table has nothing to do with the workout tables, so that only pg_dump, which reads all definitions, waits.
        """
        await holder.execute("create table public.held (id int)")
        await holder.execute("begin; lock table public.held in access exclusive mode")

        async def run() -> None:
            async for event in make_backup(Database(self.settings), self.settings, TABLES, self.control):
                self.events.append(event)

        self.task = asyncio.create_task(run())
        return await wait_for_tool()

    async def end(self) -> None:
        """Wait for the job's end; it raises what stopped it."""
        assert self.task is not None
        await asyncio.wait_for(self.task, 15)


@pytest.fixture
async def halted(settings: Settings) -> AsyncIterator[Halted]:
    job = Halted(settings, Control())
    yield job
    if job.task and not job.task.done():
        job.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, VagusError):
            await job.task


def nothing_left(settings: Settings) -> bool:
    return not leftovers(settings) and not list_backups(settings) and not tools_running()


async def test_a_killed_pg_dump_is_said_and_leaves_nothing(
    halted: Halted, settings: Settings, clean_database: TestDatabase, connect: Connect
) -> None:
    pid = await halted.begin(await connect(clean_database.url))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(UndoneError, match=r"pg_dump was ended from outside \(SIGKILL\)"):
        await halted.end()
    assert nothing_left(settings)
    assert any(isinstance(event, StepEvent) and event.state is StepState.FAILED for event in halted.events)


async def test_a_stop_ends_pg_dump_at_once_and_leaves_nothing(
    halted: Halted, settings: Settings, clean_database: TestDatabase, connect: Connect
) -> None:
    await halted.begin(await connect(clean_database.url))
    halted.control.cancel()
    with pytest.raises(CancelledByOperatorError, match="removed"):
        await asyncio.wait_for(halted.end(), 5)
    assert nothing_left(settings)


async def test_a_cancelled_task_ends_pg_dump_too(
    halted: Halted, settings: Settings, clean_database: TestDatabase, connect: Connect
) -> None:
    await halted.begin(await connect(clean_database.url))
    assert halted.task is not None
    halted.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await halted.task
    assert nothing_left(settings)


async def test_a_lost_connection_of_pg_dump_is_said(
    halted: Halted, settings: Settings, clean_database: TestDatabase, connect: Connect
) -> None:
    await halted.begin(await connect(clean_database.url))
    admin = await connect(clean_database.admin_url)
    for _ in range(200):
        ended = await admin.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and application_name like 'vagus-tui pg_dump%' "
            "and wait_event_type = 'Lock'"
        )
        if ended:
            break
        await asyncio.sleep(0.02)
    with pytest.raises(ConnectionLostError, match="pg_dump lost its connection"):
        await halted.end()
    assert nothing_left(settings)


async def test_a_lost_snapshot_is_said(settings: Settings, clean_database: TestDatabase, connect: Connect) -> None:
    admin = await connect(clean_database.admin_url)
    job = make_backup(Database(settings), settings, CSV, Control())
    with pytest.raises(ConnectionLostError) as told:
        async for event in job:
            if isinstance(event, StepEvent) and event.id == "digest":
                await admin.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where application_name = 'vagus-tui backup snapshot' and datname = current_database()"
                )
    assert nothing_left(settings)
    assert "removed" in told.value.state and "start the backup again" in told.value.next_step


async def test_a_table_that_goes_away_meanwhile_is_said(
    settings: Settings, clean_database: TestDatabase, connect: Connect
) -> None:
    other = await connect(clean_database.url)
    await other.execute("create table public.dropped (plan uuid references workout_plans)")
    with pytest.raises(UndoneError, match=r'relation "public\.dropped" does not exist'):
        async for event in make_backup(Database(settings), settings, TABLES, Control()):
            if isinstance(event, StepEvent) and event.id == "snapshot" and event.state is StepState.STARTED:
                await other.execute("drop table public.dropped")
    assert nothing_left(settings)


async def test_a_connection_that_is_lost_during_the_csv_is_said_of_its_step(
    settings: Settings, clean_database: TestDatabase, connect: Connect
) -> None:
    admin = await connect(clean_database.admin_url)
    events: list[StepEvent] = []
    with pytest.raises(ConnectionLostError) as told:
        async for event in make_backup(Database(settings), settings, CSV, Control()):
            if isinstance(event, StepEvent):
                events.append(event)
                if event.id == "csv-exercises" and event.state is StepState.STARTED:
                    await admin.execute(
                        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                        "where application_name = 'vagus-tui backup snapshot' and datname = current_database()"
                    )
    assert events[-1].state is StepState.FAILED and "connection to the database was lost" in (events[-1].message or "")
    assert nothing_left(settings)
    assert "removed" in told.value.state and "start the backup again" in told.value.next_step


async def test_somebody_who_holds_a_table_for_long_is_not_waited_for_forever(
    halted: Halted, settings: Settings, clean_database: TestDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus_tui.backup.dump.LOCK_WAIT_MS", 300)
    await halted.begin(await connect(clean_database.url))
    with pytest.raises(UndoneError, match="Somebody changes a table's structure"):
        await halted.end()
    assert nothing_left(settings)


@pytest.mark.parametrize("options", [TABLES, CSV], ids=["tables", "csv"])
async def test_a_folder_that_vanishes_is_said(settings: Settings, options: BackupOptions) -> None:
    step = "dump-tables" if options is TABLES else "csv-exercises"
    with pytest.raises(UndoneError, match="folder went away"):
        async for event in make_backup(Database(settings), settings, options, Control()):
            if isinstance(event, StepEvent) and event.id == step and event.state is StepState.STARTED:
                shutil.rmtree(settings.backup_dir)
    assert not list_backups(settings)


@contextlib.contextmanager
def small_files(limit: int) -> Iterator[None]:
    """No file can grow beyond this: what a full disk does, for us and for the programs we start."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("options", [TABLES, CSV], ids=["tables", "csv"])
async def test_a_full_disk_is_said_and_leaves_nothing(settings: Settings, options: BackupOptions) -> None:
    with small_files(30_000), pytest.raises(UndoneError, match=r"disk is full|SIGXFSZ"):
        await make(settings, options)
    assert nothing_left(settings)


async def test_too_little_space_is_refused_before_anything_is_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a database of less than a megabyte, 64 more are asked for: disks that are nearly full are full soon."""
    monkeypatch.setattr("vagus_tui.backup.make.free_bytes", lambda _: 64 << 20)
    steps = []
    with pytest.raises(RefusedError, match=" free"):
        async for event in make_backup(Database(settings), settings, CSV, Control()):
            steps.append((event.id, event.state) if isinstance(event, StepEvent) else None)
    assert steps[-1] == ("space", StepState.FAILED)
    assert nothing_left(settings)
    monkeypatch.setattr("vagus_tui.backup.make.free_bytes", lambda _: 65 << 20)
    assert (await make(settings, CSV)).result.ok


@pytest.mark.parametrize("kind", ["file in the way", "closed to us"])
async def test_a_folder_that_cannot_be_made_is_refused(settings: Settings, tmp_path: Path, kind: str) -> None:
    if kind == "file in the way":
        (tmp_path / "a file").write_text("")
        folder = tmp_path / "a file" / "backups"
    else:
        # Even root cannot make folders there.
        folder = Path("/proc/vagus-backups")
    with pytest.raises(RefusedError, match="No backup can be written") as caught:
        await make(settings.model_copy(update={"backup_dir": folder}))
    assert "VAGUS_BACKUP_DIR" in str(caught.value)


async def test_a_stop_during_the_csv_leaves_nothing(settings: Settings) -> None:
    control = Control()
    with pytest.raises(CancelledByOperatorError):
        async for event in make_backup(Database(settings), settings, CSV, control):
            if isinstance(event, StepEvent) and event.id == "csv-exercise_logs":
                control.cancel()
    assert nothing_left(settings)


async def test_without_a_fitting_pg_dump_only_csv_is_possible(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("vagus_tui.database.tools._SYSTEM_FOLDERS", ())
    monkeypatch.setattr("vagus_tui.database.tools.bundled_tools", lambda: None)
    with pytest.raises(RefusedError, match="CSV backup"):
        await make(settings, TABLES)
    done = await make(settings, CSV)
    assert done.result.ok


async def test_a_backup_that_cannot_be_read_back_is_not_kept(settings: Settings) -> None:
    with pytest.raises(UndoneError, match="could not be read back"):
        async for event in make_backup(Database(settings), settings, CSV, Control()):
            if isinstance(event, StepEvent) and event.id == "verify-files" and event.state is StepState.STARTED:
                (path,) = settings.backup_dir.glob("*/*.partial")
                with (path / "csv" / "exercises.csv").open("ab") as file:
                    file.write(b"x")
    assert nothing_left(settings)


async def test_the_collected_events_end_with_the_result(settings: Settings) -> None:
    done = await collect(make_backup(Database(settings), settings, CSV, Control()))
    assert done.result.ok and done.result.figures is not None
    assert done.result.figures["rows"] > 0 and done.result.figures["bytes"] > 0


async def test_what_a_killed_program_left_is_known_and_cleared_away(settings: Settings, tmp_path: Path) -> None:
    """Killed for good, in the middle: the list says so, the next backup removes it; one under way is left alone."""
    code = (
        "import os, signal, sys, time; from pathlib import Path; from datetime import datetime\n"
        "from vagus_tui.backup.folder import BackupFolder\n"
        "folder = BackupFolder.create(Path(sys.argv[1]), 'v1', datetime(2026, 3, 1))\n"
        "(folder.path / 'half').write_text('x'); print(folder.path, flush=True); time.sleep(600)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(settings.backup_dir), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    left = Path((await process.stdout.readline()).decode().strip())
    beside = await make(settings, CSV)
    assert beside.result.ok and left.exists()
    process.kill()
    await process.wait()
    known = next(info for info in list_backups(settings) if info.path == left)
    assert known.problems == ("It was never finished.",) and not known.usable
    done = await make(settings, CSV)
    assert done.result.ok and not left.exists()
    assert any(isinstance(event, NoteEvent) and left.name in event.message for event in done.events)
