"""Opening connections to the one database that is being moved, and saying plainly why one failed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from vagus_tui.database.addresses import NEEDED, right_address
from vagus_tui.database.certificates import refusal_of
from vagus_tui.database.target import FORM, for_driver, target_of
from vagus_tui.errors import ConfigurationError, ConnectionFailedError, ConnectionLostError
from vagus_tui.schema.identifiers import literal
from vagus_tui.settings import Settings

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

APPLICATION_NAME = "vagus-tui"
CONNECT_TIMEOUT_SECONDS = 10.0
_SSL_MODES = ("", "disable", "allow", "prefer", "require", "verify-ca", "verify-full")

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
_BASELINE = (
    "select set_config(name, wanted, false) from (values "
    + ", ".join(f"({literal(name)}, {literal(wanted)})" for name, wanted in _SAME_EVERYWHERE.items())
    + ") settings (name, wanted) where split_part(current_setting(name, true), ',', 1) <> wanted"
)
"""What somebody may have set for the role or the database, and what would change the meaning of our statements, the
texts of values or the answers of access checks, or end a session that waits for the operator. Only what differs is set:
behind a transaction pooler, which is refused but has to be looked at first, a session is the app's as well."""

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
            "The connection to the database was lost.",
            state="What was under way in it was undone by the server; nothing was repeated.",
            next_step="Connect again: the state is read from the database.",
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
        self.host, self.port = target.host, target.port
        self.user, self.name = target.user, target.name
        self.sslmode = target.sslmode
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
    def label(self) -> str:
        """Host and database: the part of the address that may be shown."""
        return f"{self.host}/{self.name}"

    def _ssl(self) -> ssl.SSLContext | None:
        """Verify server and host name as soon as a CA file is set, whatever the address says."""
        if self.settings.ssl_root_cert is None or self.sslmode == "disable":
            return None
        try:
            return ssl.create_default_context(cafile=str(self.settings.ssl_root_cert))
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                "The CA file that VAGUS_SSL_ROOT_CERT names cannot be used: "
                f"{error.strerror or error.__class__.__name__}.",
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
            connection: Connection = await asyncpg.connect(
                for_driver(self._url),
                timeout=CONNECT_TIMEOUT_SECONDS,
                server_settings={"application_name": name},
                **arguments,
            )
        except Exception as error:
            raise self._explained(error) from None
        try:
            await _apply(connection, server_settings)
        except BaseException as error:
            connection.terminate()
            raise self._explained(error) if isinstance(error, Exception) else error from None
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

    def _explained(self, error: Exception) -> Exception:
        """The plain account of a failed connection. The driver's text may hold the address: it is not used."""
        where = f"{self.host}:{self.port}"
        if isinstance(error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError):
            return ConnectionFailedError(
                f"{where} refused the user “{self.user}”: wrong user or password.",
                next_step="Check VAGUS_DATABASE_URL; the password is in the project's database settings. "
                "Through the session pooler the user is postgres.<project-ref>.",
            )
        if isinstance(error, asyncpg.InvalidCatalogNameError):
            return ConnectionFailedError(
                f"{where} has no database named “{self.name}”.",
                next_step="Check the last part of VAGUS_DATABASE_URL; on Supabase it is postgres.",
            )
        if isinstance(error, ssl.SSLError):
            happened, next_step = refusal_of(error)
            return ConnectionFailedError(f"TLS with {where} failed: {happened}.", next_step=next_step)
        if isinstance(error, TimeoutError | asyncio.TimeoutError):
            return ConnectionFailedError(
                f"{where} did not answer within {CONNECT_TIMEOUT_SECONDS:.0f} s.",
                next_step="Check the network, the port, and whether the address needs IPv6 "
                "(a direct Supabase address does; the session pooler's does not).",
            )
        if isinstance(error, asyncpg.TooManyConnectionsError):
            return ConnectionFailedError(
                f"{where} has no connection left to give.", next_step="Close other clients, then try again."
            )
        if isinstance(error, asyncpg.CannotConnectNowError):
            return ConnectionFailedError(
                f"{where} is starting up or shutting down.", next_step="Wait a little, then try again."
            )
        if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
            return ConnectionFailedError(
                f"{where} is not the kind of server that target_session_attrs asks for.",
                next_step="Name the primary in VAGUS_DATABASE_URL, or leave target_session_attrs out.",
            )
        if isinstance(error, ConnectionError) and "SSL" in str(error):
            return ConnectionFailedError(
                f"{where} does not offer TLS, which the address insists on (sslmode={self.sslmode or 'require'}).",
                next_step="Check the host and the port: Supabase always offers it. A server of your own may need it "
                "switched on.",
            )
        if isinstance(error, OSError):
            # The event loop's own words repeat the address as Python writes it.
            known = error.errno is not None and not isinstance(error, socket.gaierror)
            reason = os.strerror(error.errno or 0) if known else error.strerror
            reason = reason or "the host is unknown or nothing listens there"
            return ConnectionFailedError(
                f"No connection to {where}: {reason}.",
                next_step="Check the host and port in VAGUS_DATABASE_URL and that the server runs.",
            )
        if isinstance(error, asyncpg.PostgresConnectionError):
            return ConnectionFailedError(
                f"{where} hung up while the connection was made.",
                next_step="Check the network and whether the server is being restarted, then try again.",
            )
        if isinstance(error, asyncpg.UndefinedObjectError | asyncpg.InvalidParameterValueError):
            # The server's words name a parameter of the address; the password is none of them.
            return ConfigurationError(
                f"{where} does not take a parameter of the address: {error.args[0]}.",
                next_step="Leave it out of VAGUS_DATABASE_URL; pgbouncer=true and the like are for other programs.",
            )
        if isinstance(error, asyncpg.PostgresError):
            return ConnectionFailedError(
                f"{where} refused the connection (SQLSTATE {error.sqlstate}).",
                next_step="Check VAGUS_DATABASE_URL.",
            )
        if isinstance(error, ValueError | asyncpg.InterfaceError):
            return self._unusable()
        return error

    def _unusable(self) -> ConfigurationError:
        """The address was understood, and the driver cannot do what it asks for."""
        if self.sslmode in ("verify-ca", "verify-full"):
            return ConfigurationError(
                f"sslmode={self.sslmode} needs a CA file to verify the server with, and there is none.",
                next_step="Set VAGUS_SSL_ROOT_CERT to the CA file from the project's database settings.",
            )
        if self.sslmode not in _SSL_MODES:
            return ConfigurationError(
                "VAGUS_DATABASE_URL has an sslmode that does not exist.",
                next_step=f"There are {', '.join(filter(None, _SSL_MODES))}.",
            )
        return ConfigurationError("VAGUS_DATABASE_URL is not an address that can be used.", next_step=FORM)


async def _apply(connection: Connection, server_settings: Mapping[str, str]) -> None:
    """Make settings for the session. Poolers refuse them, all but the name, among the parameters of a connection."""
    statements = [_BASELINE]
    if server_settings:
        made = (f"set_config({literal(name)}, {literal(value)}, false)" for name, value in server_settings.items())
        statements.append(f"select {', '.join(made)}")
    await connection.execute("; ".join(statements))


async def close(connection: Connection) -> None:
    """Close a connection that may already be broken; wait a moment for a clean end, no longer."""
    try:
        await asyncio.wait_for(connection.close(), timeout=2)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()
    except asyncio.CancelledError:
        connection.terminate()
        raise
