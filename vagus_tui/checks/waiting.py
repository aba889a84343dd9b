"""Locks that checks wait for: who holds one is told while a check waits for it, and none waits for ever.

Looking takes a lock too, if the least one: behind an ALTER TABLE that is open, a VACUUM FULL or a dump's LOCK TABLE a
check would stand still without a word. It is stopped by cancelling its statement, not by a `lock_timeout`: behind a
transaction pooler, which is refused but has to be looked at first, a session's settings are the app's as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import asyncpg

from vagus_tui.database.connection import Connection, Database, close
from vagus_tui.errors import VagusError
from vagus_tui.format import clock_time, duration
from vagus_tui.migration.blockers import Blocker, blockers, sessions
from vagus_tui.schema.identifiers import qualified

TELL_AFTER_SECONDS = 1.0
"""A lock that is waited for no longer than this is not worth a word."""
PATIENCE_SECONDS = 15.0
"""How long the checks of one run wait for locks, all of them together."""
IMPATIENT_SECONDS = 0.3
"""When a check that waits is given up once that time is used up."""
SHOWN = 2

T = TypeVar("T")
QUERY_CHARACTERS = 200

_WAITS_FOR = """
select n.nspname as schema, c.relname as name, pg_blocking_pids($1)::text[] as pids
from pg_locks l join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
where l.pid = $1 and not l.granted
limit 1
"""

_FURTHER = "select f::text from unnest($1::text[]) p, unnest(pg_blocking_pids(p::integer)) f where p <> '0'"
"""Numbers as text: of their arrays the driver would have to learn first, which over a long line takes half a second."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A check waits for a lock.

    Args:
        holders: who holds it or stands before us in its queue, and for whom those wait in turn; the oldest first.
        until: when the wait is given up.
    """

    relation: str
    holders: tuple[Blocker, ...]
    until: datetime

    @property
    def key(self) -> tuple[str, ...]:
        """What is worth telling again when it changes."""
        return (self.relation, *(f"{one.key} {one.query}" for one in self.holders))

    def who(self, timezone: str) -> str:
        """Who holds it, since when, and what they run, a line each."""
        now = datetime.now(UTC)
        lines = []
        for one in self.holders[:SHOWN]:
            since = clock_time(now - timedelta(seconds=one.seconds), timezone)
            about = ", ".join(filter(None, (one.application, one.user, one.state)))
            query = " ".join(one.query.split())
            if len(query) > QUERY_CHARACTERS:
                query = f"{query[:QUERY_CHARACTERS]} …"
            runs = "is ended by" if one.gid else "runs" if one.state == "active" else "last ran"
            who = one.title[:1].upper() + one.title[1:]
            lines.append(f"{who} ({about}), open since {since}, {runs}: {query or 'no query is shown'}")
        if len(self.holders) > SHOWN:
            lines.append(f"and {len(self.holders) - SHOWN} more.")
        return "\n".join(lines) or "Whoever holds it cannot be seen by this user."

    def words(self, timezone: str) -> str:
        """What it waits for, who holds it, and until when it waits."""
        until = clock_time(self.until, timezone)
        return f"Waits for a lock on {self.relation}, until {until} at most.\n{self.who(timezone)}"

    def to_dict(self) -> Mapping[str, Any]:
        """As plain data, for an event."""
        return {
            "relation": self.relation,
            "until": self.until,
            "blockers": [one.to_dict() for one in self.holders],
        }


class LockedError(VagusError):
    """Something was not looked at, since somebody held a table for too long (exit status 1)."""

    exit_status = 1

    def __init__(self, waiting: Waiting, seconds: float, timezone: str) -> None:
        self.seconds = seconds
        super().__init__(
            f"Given up after {duration(seconds)}: {waiting.relation} is locked.",
            state=waiting.who(timezone),
            next_step="Run it again once that is over.",
        )

    def __str__(self) -> str:
        return "\n".join((self.happened, self.state, self.next_step))


class Patience:
    """Watches one connection for locks that it waits for, over the length of a run; looks from a second one.

    Where there is no second connection to be had, a wait ends with the server's own time limit.
    """

    def __init__(self, database: Database, pid: int, timezone: str) -> None:
        self.database = database
        self.pid = pid
        self.timezone = timezone
        self.left = PATIENCE_SECONDS
        self._beside: Connection | None = None
        self._looking: asyncio.Future[tuple[str, tuple[Blocker, ...]]] | None = None
        self._blind = False

    @classmethod
    @contextlib.asynccontextmanager
    async def with_(cls, database: Database, connection: Connection, timezone: str) -> AsyncIterator[Patience]:
        """Watch a connection for the length of a block."""
        # Behind a pooler the number that came with the connection is the pooler's own.
        patience = cls(database, await connection.fetchval("select pg_backend_pid()"), timezone)
        try:
            yield patience
        finally:
            if patience._looking is not None:
                patience._looking.cancel()
                await asyncio.wait({patience._looking})
            if patience._beside is not None:
                await close(patience._beside)

    async def through(self, work: Coroutine[Any, Any, T], tell: Callable[[Waiting | None], None]) -> T:
        """Do some work on the connection, telling of every lock that holds it up, and None when it is past that.

        Raises:
            LockedError: it waited for too long; it was cancelled.
        """
        task = asyncio.ensure_future(work)
        told = False
        try:
            async with contextlib.aclosing(self.over(task)) as waits:
                async for waiting in waits:
                    told = True
                    tell(waiting)
        finally:
            if told:
                tell(None)
        return task.result()

    @contextlib.asynccontextmanager
    async def within(self, tell: Callable[[Waiting | None], None]) -> AsyncIterator[None]:
        """Watch whatever the calling task does on the connection, for the length of a block; tells as `through`.

        Raises:
            LockedError: it waited for too long; what was under way was cancelled.
        """
        here = asyncio.current_task()
        assert here is not None
        given_up: LockedError | None = None

        async def follow() -> None:
            nonlocal given_up
            told: tuple[str, ...] = ()
            began = looked = time.monotonic()
            while (pause := self._pause) is not None:
                await asyncio.sleep(pause)
                if self._looking is not None:
                    await asyncio.wait({self._looking})
                relation, holders = await self._look()
                before, looked = looked, time.monotonic()
                if not relation:
                    began = looked
                    if told:
                        told = ()
                        tell(None)
                    continue
                self.left -= looked - before
                waiting = Waiting(relation, holders, datetime.now(UTC) + timedelta(seconds=max(0.0, self.left)))
                if self.left <= 0:
                    given_up = LockedError(waiting, looked - began, self.timezone)
                    here.cancel()
                    return
                if waiting.key != told:
                    told = waiting.key
                    tell(waiting)

        following = asyncio.create_task(follow(), name="who is in the way")
        try:
            yield
        except asyncio.CancelledError:
            # Somebody else may have cancelled as well: theirs goes on.
            if given_up is not None and not here.uncancel():
                raise given_up from None
            raise
        finally:
            following.cancel()
            await asyncio.wait({following})
            tell(None)

    async def over(self, work: asyncio.Future[Any]) -> AsyncGenerator[Waiting, None]:
        """Wait until some work on the connection is done; tell of every lock that holds it up meanwhile.

        Raises:
            LockedError: it waited for too long; it was cancelled.
        """
        told: tuple[str, ...] = ()
        began = looked = time.monotonic()
        try:
            while not (await asyncio.wait({work}, timeout=self._pause))[0]:
                found = await self._look_beside(work)
                before, looked = looked, time.monotonic()
                if found is None:
                    return
                relation, holders = found
                if not relation:
                    continue
                self.left -= looked - before
                waiting = Waiting(relation, holders, datetime.now(UTC) + timedelta(seconds=max(0.0, self.left)))
                if self.left <= 0:
                    raise LockedError(waiting, looked - began, self.timezone)
                if waiting.key != told:
                    told = waiting.key
                    yield waiting
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
            if not work.cancelled():
                # Whoever gives it up has no use for its error, which would be reported as one that nobody saw.
                work.exception()

    @property
    def _pause(self) -> float | None:
        if self._blind:
            return None
        return min(TELL_AFTER_SECONDS, self.left) if self.left > 0 else IMPATIENT_SECONDS

    async def _look_beside(self, work: asyncio.Future[Any]) -> tuple[str, tuple[Blocker, ...]] | None:
        """What `_look` gives; None where the work was done before, which then waits for no answer of this look."""
        if self._looking is not None:
            # It was about what was done before.
            await asyncio.wait({work, self._looking}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return None
        self._looking = asyncio.ensure_future(self._look())
        await asyncio.wait({work, self._looking}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return None
        looking, self._looking = self._looking, None
        return looking.result()

    async def _look(self) -> tuple[str, tuple[Blocker, ...]]:
        """What the connection waits for, and for whom; "" where it waits for nothing, or that cannot be seen."""
        if self._beside is None or self._beside.is_closed():
            try:
                self._beside = await self.database.connect("who is in the way", statement_timeout="3000")
            except VagusError:
                self._blind = True
                return "", ()
        try:
            return await self._holders(self._beside)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return "", ()

    async def _holders(self, beside: Connection) -> tuple[str, tuple[Blocker, ...]]:
        row = await beside.fetchrow(_WAITS_FOR, self.pid)
        if row is None:
            return "", ()
        pids = {int(pid) for pid in row["pids"]}
        further = await beside.fetch(_FURTHER, row["pids"])
        found = await sessions(beside, {*pids, *(int(one["f"]) for one in further)})
        if 0 in pids:
            found += [one for one in await blockers(beside, [qualified(row["schema"], row["name"])]) if one.gid]
        name = row["name"] if row["schema"] == "public" else f"{row['schema']}.{row['name']}"
        return name, tuple(sorted(found, key=lambda one: -one.seconds))
