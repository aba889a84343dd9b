"""Why a connection could not be made, in plain words, and what to do about it.

The driver's own text may hold the address with its password: none of it is used. What a server or a pooler said is
passed on where it alone knows the reason: neither was told the password.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from dataclasses import dataclass

import asyncpg

from vagus_tui.database.certificates import refusal_of
from vagus_tui.database.target import FORM, Target
from vagus_tui.errors import RAISE_THE_LIMIT, ConfigurationError, ConnectionFailedError, VagusError, server_words

CONNECT_TIMEOUT_SECONDS = 10.0
_NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)
"""What a machine says that has no way to an address, such as one without IPv6."""
_HOST = "Check the host and port in VAGUS_DATABASE_URL and that the server runs."
_WAY = (
    "Check the host in VAGUS_DATABASE_URL and this machine's network. A direct Supabase address needs IPv6, and a "
    "paused project has no address; the session pooler's needs IPv4 alone."
)
_AT_THE_DOOR = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.ProtocolViolationError,
    asyncpg.ConnectionDoesNotExistError,
    ConnectionError,
)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class _Case:
    """Errors that mean the same: what happened, and what to do.

    In `happened` stand `{where}`, `{user}` and `{name}` for the parts of the address, `{code}` for the SQLSTATE and
    `{said}` for the server's words.
    """

    errors: tuple[type[Exception], ...]
    happened: str
    next_step: str
    told_as: type[VagusError] = ConnectionFailedError


_CASES = (
    _Case(
        (asyncpg.InvalidPasswordError,),
        "{where} refused the user “{user}”: wrong user or password.",
        "Check VAGUS_DATABASE_URL; the password is in the project's database settings. Through the session pooler the "
        "user is postgres.<project-ref>.",
    ),
    _Case(
        # Said before any password is looked at: who may come, from where, and whether without TLS.
        (asyncpg.InvalidAuthorizationSpecificationError,),
        "{where} does not let the user “{user}” in: {said}.",
        "Check the user and any sslmode in VAGUS_DATABASE_URL; on Supabase also the project's network restrictions and "
        "whether it enforces SSL.",
    ),
    _Case(
        (asyncpg.InvalidCatalogNameError,),
        "{where} has no database named “{name}”.",
        "Check the last part of VAGUS_DATABASE_URL; on Supabase it is postgres.",
    ),
    _Case(
        (TimeoutError,),
        f"{{where}} did not answer within {CONNECT_TIMEOUT_SECONDS:.0f} s.",
        "Check the network, the port, and whether the address needs IPv6 (a direct Supabase address does; the session "
        "pooler's does not).",
    ),
    _Case(
        (asyncpg.TooManyConnectionsError,),
        "{where} has no connection left to give.",
        "Close other clients, then try again.",
    ),
    _Case(
        (asyncpg.CannotConnectNowError,),
        "{where} is starting up or shutting down.",
        "Wait a little, then try again.",
    ),
    _Case(
        (asyncpg.TargetServerAttributeNotMatched,),
        "{where} is not the kind of server that target_session_attrs asks for.",
        "Name the primary in VAGUS_DATABASE_URL, or leave target_session_attrs out.",
    ),
    _Case(
        # PgBouncer's code for whatever it refuses: the password, the database, a connection without TLS.
        (asyncpg.ProtocolViolationError,),
        "{where} refused the connection: {said}.",
        "Check the user, the password, the database and any sslmode in VAGUS_DATABASE_URL.",
    ),
    _Case(
        (asyncpg.PostgresConnectionError,),
        "{where} hung up while the connection was made.",
        "Check the network and whether the server is being restarted, then try again.",
    ),
    _Case(
        # The server's words name a parameter of the address; the password is none of them.
        (asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError),
        "{where} does not take a parameter of the address: {said}.",
        "Leave it out of VAGUS_DATABASE_URL; pgbouncer=true and the like are for other programs.",
        ConfigurationError,
    ),
    _Case(
        (asyncpg.ConfigurationLimitExceededError,),
        "{where} stopped the session at a limit: {said}.",
        RAISE_THE_LIMIT,
    ),
    _Case(
        (asyncpg.PostgresError,),
        "{where} refused the connection (SQLSTATE {code}): {said}.",
        "Check VAGUS_DATABASE_URL. Through a Supabase pooler the user is postgres.<project-ref>, and the host is "
        "that of the project's region.",
    ),
)
"""In this order: the first that fits counts."""


def explained(error: Exception, target: Target) -> Exception:
    """The plain account of a connection that failed; what is none of these comes back as it is."""
    where = f"{target.host}:{target.port}"
    error = _telling(error, target.sslmode or target.shell_sslmode)
    if isinstance(error, asyncpg.InvalidPasswordError) and not target.has_password:
        return ConnectionFailedError(
            f"{where} asks for the password of “{target.user}”: neither the address nor PGPASSWORD holds one, and no "
            "password file the right one.",
            next_step="Write it behind the user in VAGUS_DATABASE_URL, as in postgresql://user:password@host:5432/database;"
            " it is in the project's database settings.",
        )
    for case in _CASES:
        if isinstance(error, case.errors):
            happened = case.happened.format(
                where=where,
                user=target.user,
                name=target.name,
                code=getattr(error, "sqlstate", ""),
                said=server_words(error).rstrip(".") if isinstance(error, asyncpg.PostgresError) else "",
            )
            # A pooler has one code for all it refuses, and may have been asked for nothing yet.
            unsaid = isinstance(error, asyncpg.ProtocolViolationError) and not target.has_password
            hint = "The address holds no password. " if unsaid else ""
            return case.told_as(happened, next_step=hint + case.next_step)
    if isinstance(error, ssl.SSLError):
        happened, next_step = refusal_of(error)
        return ConnectionFailedError(f"TLS with {where} failed: {happened}.", next_step=next_step)
    if isinstance(error, ConnectionError) and "SSL" in str(error):
        who = "VAGUS_SSL_ROOT_CERT insists on"
        if target.sslmode:
            who = f"the address insists on (sslmode={target.sslmode})"
        elif target.shell_sslmode:
            who = f"PGSSLMODE={target.shell_sslmode} in the environment insists on"
        return ConnectionFailedError(
            f"{where} does not offer TLS, which {who}.",
            next_step="Check the host and the port: Supabase always offers it. A server of your own may need it "
            "switched on.",
        )
    if isinstance(error, OSError):
        no_way = isinstance(error, socket.gaierror) or error.errno in _NO_WAY
        return ConnectionFailedError(
            f"No connection to {where}: {_reason(error)}.", next_step=_WAY if no_way else _HOST
        )
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError) and not isinstance(error, ValueError):
        # The driver's words for one that broke before the first statement.
        return explained(asyncpg.ConnectionDoesNotExistError(), target)
    if isinstance(error, ValueError):
        return _unusable(target)
    return error


def _telling(error: Exception, sslmode: str) -> Exception:
    """Of the two answers that the driver got where it tried both with TLS and without, the one that tells the reason.

    Who insists on TLS says so to the second try, whatever the first was refused for.
    """
    first = error.__cause__
    if not isinstance(first, asyncpg.PostgresError) or not _at_the_door(error):
        return error
    if sslmode == "allow" and isinstance(error, asyncpg.PostgresError) and _at_the_door(first):
        # There the second try is the one with TLS.
        return error
    return first


def _at_the_door(error: Exception) -> bool:
    """Whether this may be said before a password was looked at."""
    return isinstance(error, _AT_THE_DOOR) and not isinstance(error, asyncpg.InvalidPasswordError)


def _reason(error: OSError) -> str:
    """The system's own words; the event loop's repeat the address as Python writes it."""
    known = error.errno is not None and not isinstance(error, socket.gaierror)
    said = os.strerror(error.errno or 0) if known else error.strerror
    return said or "the host is unknown or nothing listens there"


def _unusable(target: Target) -> ConfigurationError:
    """The address was understood, and the driver cannot do what it asks for."""
    sslmode = target.sslmode or target.shell_sslmode
    if sslmode in ("verify-ca", "verify-full"):
        named = "sslmode" if target.sslmode else "PGSSLMODE"
        return ConfigurationError(
            f"{named}={sslmode} needs a CA file to verify the server with, and there is none.",
            next_step="Set VAGUS_SSL_ROOT_CERT to the CA file from the project's database settings.",
        )
    if sslmode and sslmode not in _SSL_MODES:
        named = "VAGUS_DATABASE_URL has an sslmode" if target.sslmode else "PGSSLMODE in the environment is an sslmode"
        return ConfigurationError(f"{named} that does not exist.", next_step=f"There are {', '.join(_SSL_MODES)}.")
    return ConfigurationError("VAGUS_DATABASE_URL is not an address that can be used.", next_step=FORM)
