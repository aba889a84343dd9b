"""The database's address for PostgreSQL's own tools: through their environment, never through their arguments."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from vagus_tui.database.connection import APPLICATION_NAME, Database

# What asyncpg reads from the environment too, so that both reach the same server with the same rights.
_KEPT = frozenset(
    {
        "PGHOST",
        "PGPORT",
        "PGUSER",
        "PGPASSWORD",
        "PGPASSFILE",
        "PGDATABASE",
        "PGSSLMODE",
        "PGSSLCERT",
        "PGSSLKEY",
        "PGSSLROOTCERT",
        "PGSSLCRL",
        "PGSSLMINPROTOCOLVERSION",
        "PGSSLMAXPROTOCOLVERSION",
        "PGTARGETSESSIONATTRS",
    }
)
_PARAMETERS = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "dbname": "PGDATABASE",
    "database": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "krbsrvname": "PGKRBSRVNAME",
}
_WEAKER_THAN_TLS = ("", "allow", "prefer")


@dataclass(frozen=True, slots=True)
class ToolAddress:
    """The environment that leads a tool to the database, and the texts in it that must never be shown."""

    environment: dict[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    def scrubbed(self, text: str) -> str:
        """The text without any of the secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "•••")
        return text


def tool_address(url: str, *, purpose: str, tls: bool = False, root_cert: str | None = None) -> ToolAddress:
    """Spell an address for libpq.

    Args:
        url: postgresql://…, password included.
        purpose: a word for pg_stat_activity, such as "pg_dump".
        tls: the driver's own connection is encrypted; then the tool's must be, whatever the address says.
        root_cert: the CA file to verify the server with.
    """
    values = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not (name.startswith("PG") or name == "VAGUS_DATABASE_URL")
    }
    # Messages are searched for known causes, so they have to be in one language; of a locale like C.UTF-8 LANGUAGE
    # would make another.
    values.pop("LANGUAGE", None)
    values["LC_ALL"] = "C.UTF-8" if "UTF" in values.get("LC_ALL", values.get("LANG", "C.UTF-8")).upper() else "C"
    values["LC_MESSAGES"] = "C"
    values["PGAPPNAME"] = f"{APPLICATION_NAME} {purpose}"[:63]
    values["PGCONNECT_TIMEOUT"] = "15"
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    if user:
        values["PGUSER"] = unquote(user)
    if password:
        values["PGPASSWORD"] = unquote(password)
    if hosts:
        values |= _hosts(hosts)
    if database := unquote(parts.path.removeprefix("/")):
        values["PGDATABASE"] = database
    given = dict(parse_qsl(parts.query))
    for name, value in given.items():
        if name in _PARAMETERS and value and not (name in ("host", "port") and hosts):
            values[_PARAMETERS[name]] = value
    values.setdefault("PGDATABASE", values.get("PGUSER", "postgres"))
    # Only the address itself may do without, as with the driver: PGSSLMODE may be for another server.
    if root_cert and given.get("sslmode") != "disable":
        values |= {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": root_cert}
    elif tls and values.get("PGSSLMODE", "") in _WEAKER_THAN_TLS:
        values["PGSSLMODE"] = "require"
    secret = values.get("PGPASSWORD", "")
    return ToolAddress(values, tuple({text for text in (url, secret, quote(secret, safe="")) if len(text) > 2}))


def _hosts(netloc: str) -> dict[str, str]:
    """One or several `host:port`, IPv6 in brackets, as libpq's two lists."""
    hosts, ports = [], []
    for item in netloc.split(","):
        if item.startswith("["):
            host, _, rest = item[1:].partition("]")
            port = rest.removeprefix(":")
        else:
            host, _, port = item.partition(":")
        hosts.append(unquote(host))
        ports.append(port or "5432")
    return {"PGHOST": ",".join(hosts), "PGPORT": ",".join(ports)}


def database_address(database: Database, *, purpose: str, tls: bool) -> ToolAddress:
    """The address of the database that the settings name, with the CA file they name."""
    root_cert = database.settings.ssl_root_cert
    return tool_address(
        database.url, purpose=purpose, tls=tls, root_cert=str(root_cert) if root_cert is not None else None
    )
