"""Running the engine in tests: a job's events collected, and things done to the database while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from pydantic import SecretStr

from tests.databases import TestDatabase
from tests.forks import FORKS
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import Event, NoteEvent, ResultEvent, StepEvent, StepState
from vagus_tui.journal.state import DatabaseState, read_state
from vagus_tui.migration.abandon import abandon
from vagus_tui.migration.runner import migrate
from vagus_tui.rollback.quick import roll_back
from vagus_tui.settings import Settings

OnEvent = Callable[[Event, Control], Awaitable[None]]


@dataclass
class Ran:
    """What a job said."""

    events: list[Event] = field(default_factory=list)

    @property
    def result(self) -> ResultEvent:
        """Its last word."""
        last = self.events[-1]
        assert isinstance(last, ResultEvent)
        return last

    @property
    def notes(self) -> list[NoteEvent]:
        """Its notes."""
        return [event for event in self.events if isinstance(event, NoteEvent)]

    def step(self, name: str) -> StepEvent:
        """The last event of one step."""
        return [event for event in self.events if isinstance(event, StepEvent) and event.id == name][-1]

    @property
    def steps_done(self) -> set[str]:
        """Steps that were finished."""
        return {e.id for e in self.events if isinstance(e, StepEvent) and e.state is StepState.DONE}


def settings_for(database: TestDatabase, **values: Any) -> Settings:
    """Settings that name a test's database; short waits, two connections."""
    values = {"lock_timeout_ms": 200, "parallel_connections": 2, "operator": "tester", **values}
    return Settings(_env_file=None, database_url=SecretStr(database.url), **values)  # type: ignore[call-arg]


async def collected(stream: AsyncIterator[Event], control: Control, on_event: OnEvent | None = None) -> Ran:
    """Run a job to its end."""
    ran = Ran()
    async for event in stream:
        ran.events.append(event)
        if on_event is not None:
            await on_event(event, control)
    return ran


async def do_migrate(
    database: TestDatabase, *, hold: bool = False, on_event: OnEvent | None = None, **values: Any
) -> Ran:
    """Migrate, and collect what was said."""
    settings, control = settings_for(database, **values), Control()
    return await collected(migrate(Database(settings), settings, control, hold=hold), control, on_event)


async def migrated(database: TestDatabase, **values: Any) -> Ran:
    """Migrate; it must succeed."""
    ran = await do_migrate(database, **values)
    assert ran.result.ok, ran.result
    return ran


async def do_roll_back(
    database: TestDatabase, *, apply_deletions: bool = False, on_event: OnEvent | None = None, **values: Any
) -> Ran:
    """Roll back, and collect what was said."""
    settings, control = settings_for(database, **values), Control()
    stream = roll_back(Database(settings), settings, control, apply_deletions=apply_deletions)
    return await collected(stream, control, on_event)


async def rolled_back(database: TestDatabase, **values: Any) -> Ran:
    """Roll back; it must succeed."""
    ran = await do_roll_back(database, **values)
    assert ran.result.ok, ran.result
    return ran


async def do_abandon(database: TestDatabase, **values: Any) -> Ran:
    """Clean up an interrupted run."""
    settings = settings_for(database, **values)
    return await collected(abandon(Database(settings), settings), Control())


async def state_of(database: TestDatabase) -> DatabaseState:
    """The state, as anyone who comes in now reads it."""
    async with database.connect() as conn:
        return await read_state(conn)


@asynccontextmanager
async def as_user(database: TestDatabase, user: Any, role: str = "authenticated") -> AsyncIterator[Connection]:
    """A transaction as the app's API makes it for one user, committed at the end."""
    import asyncpg

    conn: Connection = await asyncpg.connect(database.authenticator_url, statement_cache_size=0)
    try:
        async with conn.transaction():
            await conn.execute(f"set local role {role}")
            claims = json.dumps({"sub": str(user), "role": role})
            await conn.fetchval("select set_config('request.jwt.claims', $1, true)", claims)
            yield conn
    finally:
        await conn.close()


async def vanished(database: TestDatabase) -> None:
    """Wait until the server has noticed that its clients are gone, and takes connections."""
    for _ in range(200):
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            async with database.as_admin() as admin:
                if not await admin.fetchval(
                    "select count(*) from pg_stat_activity where datname = current_database() "
                    "and application_name like 'vagus-tui%'"
                ):
                    return
        await asyncio.sleep(0.05)
    raise AssertionError("our sessions are still there")


async def killed(database: TestDatabase, code: str, *arguments: str) -> None:
    """Run a program on the database in a process of its own that kills itself."""
    process = await FORKS.run(arguments, code=code, env={**os.environ, "VAGUS_DATABASE_URL": database.url})
    assert await asyncio.wait_for(process.wait(), 90) == -signal.SIGKILL
    await vanished(database)
