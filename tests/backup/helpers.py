"""Driving the backup's jobs in tests: collect events, find the tools they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.databases import TestDatabase
from tests.google_store import GoogleStore
from tests.object_store import ObjectStore
from vagus_tui.backup import BackupOptions, make_backup
from vagus_tui.backup.upload import upload_backup
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.events import CheckEvent, Event, ResultEvent, Status, StepEvent
from vagus_tui.settings import Settings

Store = ObjectStore | GoogleStore


def settings_for(database: TestDatabase, folder: Path) -> Settings:
    """Settings that name a test database; backups go below the folder."""
    return Settings.model_validate(
        {"database_url": database.url, "backup_dir": folder / "backups", "operator": "tester"}
    )


@dataclass(frozen=True, slots=True)
class Made:
    """A finished job: its events, and the path it speaks of."""

    events: list[Event]

    @property
    def result(self) -> ResultEvent:
        """Its last event."""
        assert isinstance(self.events[-1], ResultEvent)
        return self.events[-1]

    @property
    def path(self) -> Path:
        """The backup's folder."""
        assert self.result.figures is not None
        return Path(self.result.figures["path"])

    @property
    def steps(self) -> list[StepEvent]:
        """Its steps."""
        return [event for event in self.events if isinstance(event, StepEvent)]

    @property
    def checks(self) -> dict[str, CheckEvent]:
        """The outcome of every check, by id."""
        checks = [event for event in self.events if isinstance(event, CheckEvent)]
        return {event.id: event for event in checks if event.status is not Status.RUNNING}

    @property
    def problems(self) -> str:
        """Everything that the failing checks say, in one text."""
        return "\n".join(event.message or "" for event in self.checks.values() if event.status.blocks)


async def collect(events: AsyncIterator[Event]) -> Made:
    """Run a job to its end."""
    return Made([event async for event in events])


async def make(settings: Settings, options: BackupOptions | None = None, control: Control | None = None) -> Made:
    """Make a backup."""
    return await collect(make_backup(Database(settings), settings, options or BackupOptions(), control or Control()))


async def upload(path: Path, settings: Settings, control: Control | None = None) -> Made:
    """Copy a backup to where the settings say."""
    return await collect(upload_backup(path, settings, control or Control()))


def tools_running(name: str = "pg_dump") -> list[int]:
    """The processes of that program that this process started."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            # Not those that are only asked for their version.
            if Path(command[0].decode()).name == name and any(part.startswith(b"--file=") for part in command):
                found.append(int(pid))
    return found


async def wait_for_tool(name: str = "pg_dump") -> int:
    """The first process of that program, as soon as it runs."""
    for _ in range(200):
        if found := tools_running(name):
            return found[0]
        await asyncio.sleep(0.02)
    raise AssertionError(f"{name} was not started")


def leftovers(settings: Settings) -> list[str]:
    """Everything below the backup folder."""
    return sorted(str(path.relative_to(settings.backup_dir)) for path in settings.backup_dir.rglob("*"))
