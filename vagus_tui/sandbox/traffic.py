"""The app at work: readers and writers who come in through the API's login, at a rate, measured one by one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import Any

import asyncpg

from vagus_tui.database.connection import LOST, Connection, open_connection
from vagus_tui.sandbox.app_requests import EITHER_READS, EITHER_WRITES, READS, WRITES, Request, Write
from vagus_tui.sandbox.binaries import SandboxError

# What PostgREST applies for the role it takes on.
_STATEMENT_TIMEOUT = "8s"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request went.

    Attributes:
        operation: which one, such as `log_set`.
        seconds: from asking to commit or failure.
        error: None, or the SQLSTATE, or the exception's name where the server said none.
        message: the error's text, from the server and so not to be trusted.
        writes: the rows it wrote, now committed.
    """

    operation: str
    started: float
    seconds: float
    error: str | None = None
    message: str = ""
    writes: tuple[Write, ...] = ()


@dataclass(slots=True)
class Figures:
    """The sums of one operation, or of all. Times are seconds."""

    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    longest: float = 0.0

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return self.errors.total()

    def add(self, outcome: Outcome) -> None:
        """Count one request in."""
        self.requests += 1
        self.longest = max(self.longest, outcome.seconds)
        if outcome.error is not None:
            self.errors[outcome.error] += 1


class Traffic:
    """Users of the app, reading and writing v1 until stopped.

    After the cut-over v1's statements fail; the figures say so. `either_shape`, which may be set while it runs, keeps
    to requests that v1 and v2 understand alike: then every failure is the cut-over's. Values written are sound, and no
    two connections act for the same user, so that the traffic never makes the faults that sample data has.

    Args:
        authenticator_url: the API's login.
        rate: requests per second, all connections together; `rate` may be set while it runs.
        connections: how many requests can be under way at once.
        write_share: the share of requests that write, 0 to 1.
        seed: makes the choice of users and requests repeatable.
        on_outcome: called after every request.
        record_writes: keep every committed write in `committed`, in order of commit per connection.
    """

    def __init__(
        self,
        authenticator_url: str,
        rate: float = 20.0,
        *,
        connections: int = 4,
        write_share: float = 0.4,
        seed: int = 0,
        on_outcome: Callable[[Outcome], None] | None = None,
        record_writes: bool = False,
    ) -> None:
        self.rate = rate
        self.write_share = write_share
        self.either_shape = False
        self.all = Figures()
        self.by_operation: dict[str, Figures] = {}
        self.last_errors: deque[Outcome] = deque(maxlen=50)
        self.committed: list[Write] = []
        self._url = authenticator_url
        self._connections = connections
        self._seed = seed
        self._on_outcome = on_outcome
        self._record_writes = record_writes
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def running(self) -> bool:
        """Whether requests are being made."""
        return any(not task.done() for task in self._tasks)

    async def start(self) -> None:
        """Begin; returns at once.

        Raises:
            SandboxError: there are no users to act for.
        """
        if self.running:
            return
        users = await self._find_users()
        if not users:
            raise SandboxError(
                "There is no user to make traffic for.", next_step="Start a sandbox with sample data, not an empty one."
            )
        self._ending = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._work(users[number :: self._connections], Random(self._seed * 1000 + number)))
            for number in range(min(self._connections, len(users)))
        ]

    async def stop(self, patience: float = 10.0) -> None:
        """End, once the requests under way are done, so that what was committed is known. Safe to call twice.

        Args:
            patience: seconds after which requests still under way are given up.
        """
        tasks, self._tasks = self._tasks, []
        self._ending.set()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience)
            for task in late:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome

    async def __aenter__(self) -> Traffic:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _find_users(self) -> list[Any]:
        conn = await self._connect()
        try:
            async with conn.transaction():
                await conn.execute("SET LOCAL ROLE service_role")
                # Both tables' keys hold, unlike those of v1, so these users exist.
                rows = await conn.fetch(
                    "SELECT user_id FROM plan_favourites UNION SELECT client_id FROM coach_clients"
                    " UNION SELECT coach_id FROM coach_clients ORDER BY 1"
                )
        finally:
            await conn.close()
        return [row[0] for row in rows]

    async def _connect(self) -> Connection:
        # No statement cache: a plan made for a table before the swap would fail after it.
        return await open_connection(
            self._url, statement_cache_size=0, server_settings={"application_name": "sandbox traffic"}, timeout=10
        )

    async def _work(self, users: list[Any], random: Random) -> None:
        conn: Connection | None = None
        due = monotonic()
        try:
            while not self._ending.is_set():
                due = max(due, monotonic() - 1.0) + random.expovariate(max(self.rate, 0.001) / self._connections)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), max(due - monotonic(), 0))
                    break
                reads, writes = (EITHER_READS, EITHER_WRITES) if self.either_shape else (READS, WRITES)
                choices = writes if random.random() < self.write_share else reads
                [request] = random.choices([item for item, _ in choices], [weight for _, weight in choices])
                conn = await self._make(conn, request, random.choice(users), random)
        finally:
            if conn is not None:
                conn.terminate()

    async def _make(self, conn: Connection | None, request: Request, user: Any, random: Random) -> Connection | None:
        """Make one request, connecting first if need be, and keep what came of it."""
        began = monotonic()
        error: str | None = None
        message = ""
        writes: list[Write] = []
        try:
            if conn is None or conn.is_closed():
                conn = await self._connect()
            async with conn.transaction():
                await self._become(conn, user)
                writes = await request(conn, user, random)
        except (asyncpg.PostgresError, *LOST, OSError, TimeoutError) as failure:
            error = getattr(failure, "sqlstate", None) or type(failure).__name__
            message = str(failure)
            writes = []
        self._keep(Outcome(request.__name__, began, monotonic() - began, error, message, tuple(writes)))
        return conn

    async def _become(self, conn: Connection, user: Any) -> None:
        """Take on the app's role and the user's claims for this transaction, as PostgREST does."""
        claims = json.dumps({"sub": str(user), "role": "authenticated"})
        await conn.execute("SET LOCAL ROLE authenticated")
        await conn.fetchval(
            "SELECT set_config('request.jwt.claims', $1, true), set_config('statement_timeout', $2, true)",
            claims,
            _STATEMENT_TIMEOUT,
        )

    def _keep(self, outcome: Outcome) -> None:
        self.all.add(outcome)
        self.by_operation.setdefault(outcome.operation, Figures()).add(outcome)
        if outcome.error is not None:
            self.last_errors.append(outcome)
        if self._record_writes:
            self.committed.extend(outcome.writes)
        if self._on_outcome is not None:
            self._on_outcome(outcome)
