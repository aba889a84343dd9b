"""How the server is reached: not through a transaction pooler, and with a verified identity."""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.database.addresses import NEEDED, right_address
from vagus_tui.database.pooling import ConnectionKind, pooling
from vagus_tui.database.tls import link_security
from vagus_tui.events import Status
from vagus_tui.settings import Environment

PREPARATION = "Pre-Migration Checklist · Environment Preparation"


async def _connection_kind(context: Context) -> Outcome:
    found = await pooling(context.database)
    if found.kind is ConnectionKind.TRANSACTION_POOLER:
        return Outcome(
            Status.FAIL,
            found.kind.value,
            f"{found.evidence} {NEEDED} {right_address(context.database.host)}",
        )
    return Outcome(Status.PASS, found.kind.value, found.evidence)


async def _tls(context: Context) -> Outcome:
    link = link_security(context.connection)
    if link.verified:
        return Outcome(Status.PASS, "verify-full", f"{link.version}, certificate and host name verified.")
    production = context.settings.environment is Environment.PRODUCTION
    bad = Status.FAIL if production else Status.WARN
    advice = (
        "Download the CA certificate from the project's database settings, name it in VAGUS_SSL_ROOT_CERT, and use the "
        "server's real host name in VAGUS_DATABASE_URL."
    )
    if link.encrypted:
        return Outcome(
            bad, "not verified", f"{link.version} is on, but nobody checked who is at the other end. {advice}"
        )
    if link.local and production:
        return Outcome(
            bad,
            "local socket",
            "The connection does not leave this machine, and no production project is on it. Check VAGUS_DATABASE_URL "
            "and VAGUS_ENVIRONMENT.",
        )
    if link.local:
        return Outcome(Status.PASS, "local socket", "The connection does not leave this machine.")
    if link.loopback and context.settings.environment is Environment.DEVELOPMENT:
        return Outcome(
            Status.PASS,
            "this machine",
            "The address is this machine's own, where nobody listens in; this is development.",
        )
    return Outcome(bad, "off", f"The password and every row travel in the clear. {advice}")


CHECKS = (
    Check(
        id="connection-kind",
        group=Group.PREREQUISITES,
        title="Connection",
        why="A transaction pooler gives every transaction another server process: locks, snapshots and settings that "
        "the migration holds on to would be lost between two statements.",
        expected="a session",
        probe=_connection_kind,
        guide=PREPARATION,
        overridable=False,
    ),
    Check(
        id="tls",
        group=Group.PREREQUISITES,
        title="TLS",
        why="Every user's data and the database's password pass over this link. Only a verified certificate says that "
        "the other end is the project's server.",
        expected="verify-full",
        probe=_tls,
    ),
)
