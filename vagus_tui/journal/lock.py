"""The operator's lock: a session advisory lock that keeps a second run out of the same database."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.format import ago
from vagus_tui.journal.state import LOCK_KEY
from vagus_tui.journal.store import RESUMED, latest_run, run_words

PATIENCE = 1.0
"""Seconds: a session that has just ended, or was killed, lets go of the lock a moment later."""


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds the operator's lock, as the server shows them."""

    pid: int
    user: str
    application: str
    address: str
    since: datetime | None

    @property
    def words(self) -> str:
        """The session, and since when it is there."""
        since = f", connected {ago(self.since)}" if self.since else ""
        return f"{self.application or self.user} from {self.address}, PID {self.pid}{since}"


_HOLDER = """
select a.pid, coalesce(a.usename, '') as user, coalesce(a.application_name, '') as application,
       coalesce(host(a.client_addr), 'local') as address, a.backend_start as since
from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory' and l.granted and l.objsubid = 1
  and l.database = (select oid from pg_database where datname = current_database())
  and (l.classid::bigint << 32) + l.objid::bigint = $1
"""

_BEGUN = """
select greatest($2::timestamptz, max(at)) from vagus_migration.steps
where run_id = $1 and step = $3
"""
"""When a run was begun, or last taken up after it had broken off."""


async def lock_holder(connection: Connection) -> LockHolder | None:
    """Who holds the lock, or None when it is free."""
    row = await connection.fetchrow(_HOLDER, LOCK_KEY)
    return LockHolder(**dict(row)) if row else None


async def take_lock(connection: Connection) -> None:
    """Take the lock for as long as this connection lives.

    Raises:
        RefusedError: somebody else holds it; says who and since when.
    """
    until = time.monotonic() + PATIENCE
    while not await connection.fetchval("select pg_try_advisory_lock($1)", LOCK_KEY):
        if time.monotonic() > until:
            await _refuse(connection)
        await asyncio.sleep(0.1)


async def at_work(connection: Connection, holder: LockHolder) -> str:
    """Who holds the lock, in words: their session, and the operator whose run it is where the journal knows one."""
    session = holder.words
    run = await latest_run(connection)
    if run is None or run.finished_at is not None or holder.since is None:
        return session
    begun = await connection.fetchval(_BEGUN, run.id, run.started_at, RESUMED)
    # One that broke off earlier is not theirs, whatever they are about to do with it.
    return session if begun < holder.since else f"{run.at_work}, {run_words(run.kind)} begun {ago(begun)} ({session})"


async def _refuse(connection: Connection) -> NoReturn:
    holder = await lock_holder(connection)
    who = await at_work(connection, holder) if holder else "another session"
    raise RefusedError(
        f"Another operator is at work on this database: {who}.",
        next_step="Wait until they are done, or watch their run here.",
    )
