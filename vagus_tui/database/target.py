"""Where an address leads: host, port, user and database, found in the order in which the driver finds them.

What the address leaves open comes from the environment (PGHOST …), as with every client of PostgreSQL. The label
that the operator is shown, the name that is typed out and the journal's copy hang on this, so it must be the truth.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from vagus_tui.errors import ConfigurationError

FORM = "It has the form postgresql://user:password@host:5432/database"
ESCAPES = "characters such as @ / # in the password are written as %40 %2F %23."

_LIBPQ_ALONE = frozenset(
    {
        "connect_timeout",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)
"""Parameters for libpq about waiting, which the driver would hand to the server; none makes a connection safer."""

_WITH_AT = frozenset({"application_name", "database", "dbname", "options", "password", "user"})
"""Parameters of an address in whose value an @ may well stand."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server and database that an address leads to; nothing secret.

    Attributes:
        sslmode: the address's own, or "".
        has_password: it, or PGPASSWORD, holds one; where not, a password file may.
        shell_sslmode: what PGSSLMODE says where the address says nothing, or "".
    """

    host: str
    port: int
    user: str
    name: str
    sslmode: str
    has_password: bool = True
    shell_sslmode: str = ""


def target_of(url: str, environment: Mapping[str, str] = os.environ) -> Target:
    """Read an address.

    Raises:
        ConfigurationError: it is none, or it leads to more than one place; says which part, and no value.
    """
    parts = _split(url)
    given = dict(parse_qsl(parts.query))
    if "service" in given or environment.get("PGSERVICE"):
        raise ConfigurationError(
            "VAGUS_DATABASE_URL asks for a service file."
            if "service" in given
            else "PGSERVICE is set: parts of the address would come from a service file.",
            next_step="Write the whole address into VAGUS_DATABASE_URL and unset PGSERVICE: backups are made by other "
            "programs, which must be led to the same server.",
        )
    host = unquote(parts.hostname or "") or given.get("host") or environment.get("PGHOST") or "localhost"
    port = _port(parts) or given.get("port") or environment.get("PGPORT") or "5432"
    if "," in host or "," in str(port):
        raise ConfigurationError(
            "VAGUS_DATABASE_URL names several hosts.", next_step="Name the one that takes writes: the primary."
        )
    user = unquote(parts.username or "") or given.get("user") or environment.get("PGUSER") or ""
    name = unquote(parts.path.removeprefix("/")) or given.get("dbname") or given.get("database")
    name = name or environment.get("PGDATABASE") or user or "postgres"
    if not str(port).isdecimal():
        raise _unreadable()
    has_password = bool(parts.password or given.get("password") or environment.get("PGPASSWORD"))
    sslmode = given.get("sslmode", "")
    shell_sslmode = "" if sslmode else environment.get("PGSSLMODE", "")
    return Target(host, int(port), user, name, sslmode, has_password, shell_sslmode)


def for_driver(url: str) -> str:
    """The address without parameters that libpq keeps to itself and the driver would pass to the server."""
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(name, value) for name, value in given if name not in _LIBPQ_ALONE]
    if kept == given:
        return url
    return urlunsplit(parts._replace(query=urlencode(kept)))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.hostname
    except ValueError:
        raise _unreadable() from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise ConfigurationError("VAGUS_DATABASE_URL does not start with postgresql://", next_step=FORM)
    if parts.netloc.count("@") > 1:
        # The driver would take what follows the first one for the host, and ask the network for it.
        raise ConfigurationError(
            "VAGUS_DATABASE_URL has more than one @ before the host: the password holds one.",
            next_step="Write every @ of the password as %40.",
        )
    if parts.fragment or ("@" not in parts.netloc and _password_goes_on(parts)):
        # What comes before it would be taken for a host and a port, shown, and asked the network for.
        raise ConfigurationError(
            "VAGUS_DATABASE_URL has a # / or ? before the host: the password holds one.",
            next_step="Write it as %23, %2F or %3F.",
        )
    return parts


def _password_goes_on(parts: SplitResult) -> bool:
    """Whether the @ before the host stands behind a character that ends the part it should stand in."""
    return "@" in parts.path or any(
        "@" in piece and piece.partition("=")[0] not in _WITH_AT for piece in parts.query.split("&")
    )


def _port(parts: SplitResult) -> str:
    """The port as it stands in the address; "" where there is none."""
    place = parts.netloc.rpartition("@")[2]
    if "," in place:
        return place
    try:
        return str(parts.port or "")
    except ValueError:
        raise _unreadable() from None


def _unreadable() -> ConfigurationError:
    return ConfigurationError("VAGUS_DATABASE_URL is not an address that can be read.", next_step=f"{FORM}; {ESCAPES}")
