"""Opening connections to the one database that is being moved, and saying plainly when one broke."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import time
import weakref
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from vagus_tui.database.addresses import NEEDED, right_address
from vagus_tui.database.refusals import CONNECT_TIMEOUT_SECONDS, explained
from vagus_tui.database.search_path import OWN
from vagus_tui.database.target import for_driver, target_of
from vagus_tui.errors import LOST_WORDS, ConfigurationError, ConnectionLostError
from vagus_tui.schema.identifiers import literal
from vagus_tui.settings import Settings

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

APPLICATION_NAME = "vagus-tui"

_SAME_EVERYWHERE = {
    "array_nulls": "on",
    "bytea_output": "hex",
    "datestyle": "ISO",
    "default_transaction_isolation": "read committed",
    "extra_float_digits": "1",
    "idle_session_timeout": "0",
    "intervalstyle": "postgres",
    "quote_all_identifiers": "off",
    "row_security": "on",
    "standard_conforming_strings": "on",
    "transaction_timeout": "0",
    "transform_null_equals": "off",
}
_ENOUGH_MEMORY = (
    "select set_config('work_mem', '4MB', false) where pg_size_bytes(current_setting('work_mem')) < 4194304"
)
"""The server's own default. With less even its list of settings goes through a temporary file, and those may be
limited."""

_BASELINE = (
    "select set_config(name, wanted, false) from (values "
    + ", ".join(f"({literal(name)}, {literal(wanted)})" for name, wanted in _SAME_EVERYWHERE.items())
    + ") settings (name, wanted) where split_part(current_setting(name, true), ',', 1) <> wanted "
    # What is told as done must outlive a crash. How the server as a whole waits for that is its keeper's choice.
    "union all select set_config('synchronous_commit', 'on', false) from pg_settings "
    "where name = 'synchronous_commit' and setting = 'off' and source in ('database', 'user', 'database user')"
)
"""What somebody may have set for the role or the database, and what would change the meaning of our statements, the
texts of values or the answers of access checks, or end a session that waits for the operator. Only what differs is set:
behind a transaction pooler, which is refused but has to be looked at first, a session is the app's as well."""

AS_EVERYWHERE = (_ENOUGH_MEMORY, _BASELINE)
"""Queries that set it, in this order."""

GONE_AFTER = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
"""When a network that says nothing any more counts as gone: after half a minute. Where an answer is owed, and a system
knows none of these, it would be waited for without end. In seconds, a number of tries, and milliseconds."""

LOST = (
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.ConnectionFailureError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    # A statement sent just as the server says goodbye: the driver trips over its own state.
    asyncpg.InternalClientError,
    ConnectionError,
)
"""What asyncpg raises when a connection breaks under a statement."""


def is_lost(error: BaseException) -> bool:
    """Whether an error says that a connection broke, rather than that a statement was refused."""
    if isinstance(error, asyncpg.InterfaceError):
        # Otherwise a misuse of the driver, not a lost connection: that is a defect to be seen.
        return "clos" in str(error)
    return isinstance(error, (ConnectionLostError, *LOST))


MIXED_UP = (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)
"""What the server says when the statements of several clients arrive in one of its processes."""


@contextlib.contextmanager
def lost_connections_explained(host: str = "") -> Iterator[None]:
    """Turn a broken connection into `ConnectionLostError`. Nothing is ever executed again by itself.

    Args:
        host: as in the address, for the advice about a better one.

    Raises:
        ConnectionLostError: the connection broke inside the block.
        ConfigurationError: something stands between that gives the server's processes to clients in turn.
    """
    try:
        yield
    except MIXED_UP as error:
        raise ConfigurationError(
            "Something stands between that serves several clients with one process of the server: a transaction "
            f"pooler. {NEEDED}",
            state="What was under way was undone by the server.",
            next_step=right_address(host),
        ) from error
    except LOST as error:
        if not is_lost(error):
            raise
        raise ConnectionLostError(
            LOST_WORDS,
            state="What was under way in it was undone by the server; nothing was repeated.",
            next_step="Once the server answers again, the state is read from it; then decide.",
        ) from error


class Database:
    """The database that the settings name: opens connections, one per concurrent job.

    It holds the address; nothing else should. `label` is what may be shown of it.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.database_url is None:
            raise ConfigurationError(
                "No database address is set.",
                next_step="Set VAGUS_DATABASE_URL in the environment or in .env, or try: vagus-tui demo",
            )
        self.settings = settings
        self._url = settings.database_url.get_secret_value()
        target = target_of(self._url)
        # The driver does not look at PGSSLMODE either where it is given a CA file.
        self._target = target if settings.ssl_root_cert is None else replace(target, shell_sslmode="")
        self.host, self.port = target.host, target.port
        self.user, self.name = target.user, target.name
        self._opened: weakref.WeakSet[Connection] = weakref.WeakSet()

    @property
    def own_pids(self) -> set[int]:
        """The server processes of the connections that were opened here and are still open."""
        return {connection.get_server_pid() for connection in self._opened if not connection.is_closed()}

    @property
    def url(self) -> str:
        """The whole address with its password: for drivers and tools only, never to be shown."""
        return self._url

    @property
    def project(self) -> str:
        """What has to be typed out before a destructive act in production."""
        return self.settings.project or self.host

    @property
    def label(self) -> str:
        """Host and database: the part of the address that may be shown."""
        return f"{self.host}/{self.name}"

    def _ssl(self) -> ssl.SSLContext | None:
        """Verify server and host name as soon as a CA file is set, whatever the address says."""
        if self.settings.ssl_root_cert is None or self._target.sslmode == "disable":
            return None
        try:
            return ssl.create_default_context(cafile=str(self.settings.ssl_root_cert))
        except OSError as error:
            # OpenSSL's own words are for programmers.
            said = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            raise ConfigurationError(
                f"The CA file that VAGUS_SSL_ROOT_CERT names cannot be used: {said or type(error).__name__}.",
                next_step="Download the CA certificate from the project's database settings and name it here.",
            ) from error

    async def connect(self, purpose: str = "", **server_settings: str) -> Connection:
        """Open one connection, named so that operators find us in pg_stat_activity.

        Args:
            purpose: a word or two after the application's name, such as "build exercises".
            server_settings: session settings, such as `statement_timeout="0"`.

        Raises:
            ConnectionFailedError: with the reason and what to do about it.
        """
        name = f"{APPLICATION_NAME} {purpose}".strip()[:63]
        arguments: dict[str, Any] = {}
        if (context := self._ssl()) is not None:
            arguments["ssl"] = context
        try:
            connection = await open_connection(
                for_driver(self._url),
                timeout=CONNECT_TIMEOUT_SECONDS,
                server_settings={"application_name": name},
                **arguments,
            )
        except Exception as error:
            raise explained(error, self._target) from None
        _notice_silence(connection)
        try:
            await _apply(connection, server_settings)
        except BaseException as error:
            connection.terminate()
            raise explained(error, self._target) if isinstance(error, Exception) else error from None
        self._opened.add(connection)
        return connection

    @contextlib.asynccontextmanager
    async def connection(self, purpose: str = "", **server_settings: str) -> AsyncIterator[Connection]:
        """A connection for the length of a block; a break inside it becomes `ConnectionLostError`."""
        connection = await self.connect(purpose, **server_settings)
        try:
            with lost_connections_explained(self.host):
                yield connection
        finally:
            await close(connection)


async def open_connection(url: str, **arguments: Any) -> Connection:
    """A connection as the driver makes it, which may be given up meanwhile.

    Interrupted just as the server is reached, the driver leaves an error to nobody, which Python prints as a defect
    of ours later on. So it goes on, and what comes of it is let go.
    """
    opening: asyncio.Future[Connection] = asyncio.ensure_future(asyncpg.connect(url, **arguments))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_let_go)
        raise


def _let_go(opening: asyncio.Future[Connection]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().terminate()


def _notice_silence(connection: Connection) -> None:
    """Let the system find out by itself that the way to the server is gone, as the server does the other way round."""
    transport: asyncio.BaseTransport | None = getattr(connection, "_transport", None)
    used = None if transport is None else transport.get_extra_info("socket")
    if used is None or used.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):
        used.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in GONE_AFTER.items():
            if (option := getattr(socket, name, None)) is not None:
                used.setsockopt(socket.IPPROTO_TCP, option, value)


_OWN_NAMES_FIRST = (
    f"select pg_catalog.set_config('search_path', '{OWN}', false) "
    "where 'pg_catalog'::pg_catalog.name operator(pg_catalog.=) any ((pg_catalog.current_schemas(true))[2:])"
)
"""Where somebody has set a search path with other schemas before the system's own, `lower`, `=` or `pg_class` may be
theirs: then, and only then, our statements go by a path of their own."""


async def _apply(connection: Connection, server_settings: Mapping[str, str]) -> None:
    """Make settings for the session. Poolers refuse them, all but the name, among the parameters of a connection."""
    statements = [_OWN_NAMES_FIRST, *AS_EVERYWHERE]
    if server_settings:
        made = (f"set_config({literal(name)}, {literal(value)}, false)" for name, value in server_settings.items())
        statements.append(f"select {', '.join(made)}")
    await connection.execute("; ".join(statements))


async def execute_all(connection: Connection, statements: Iterable[str]) -> str:
    """Run statements, if any, in one message, and give what the server says of the last, such as "INSERT 0 5".

    One by one, each waits for the answer to the one before: over a long line that takes longer than all the work, and
    under locks others wait for it.
    """
    script = "\n;\n".join(statements)
    return await connection.execute(script) if script else ""


async def fetch_named(connection: Connection, queries: Mapping[str, str]) -> list[asyncpg.Record]:
    """The rows of several queries of the same columns, asked for in one message; `name` says whose each is."""
    named = (f"select {literal(name)} as name, q.* from (\n{query}\n) q" for name, query in queries.items())
    return await connection.fetch("\nunion all\n".join(named))


async def fetch_together(
    connection: Connection, queries: Mapping[str, str], *arguments: Any
) -> dict[str, list[dict[str, Any]]]:
    """The rows of several queries of any columns, by the queries' names, asked for in one message.

    They come as JSON has them: fit for texts, names, truths, numbers that are no oids, and arrays of these. Arguments
    are the same for all.
    """
    asked = (f"(select coalesce(json_agg(q), '[]') from (\n{query}\n) q)" for query in queries.values())
    row = await connection.fetchrow(f"select {', '.join(asked)}", *arguments)
    assert row is not None
    return {name: json.loads(found) for name, found in zip(queries, row.values(), strict=True)}


async def answer_time(connection: Connection) -> float:
    """Seconds that the server's answer takes when it has nothing to do: of three the quickest, which met no delay."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        await connection.execute("select 1")
        times.append(time.perf_counter() - started)
    return min(times)


async def close(connection: Connection) -> None:
    """Close a connection that may already be broken; wait a moment for a clean end, no longer."""
    try:
        await asyncio.wait_for(connection.close(), timeout=2)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()
    except asyncio.CancelledError:
        connection.terminate()
        raise
