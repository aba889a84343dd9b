"""How the server is reached: not through a transaction pooler, with a verified identity, and from near enough."""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.database.addresses import NEEDED, right_address
from vagus_tui.database.connection import answer_time
from vagus_tui.database.pooling import ConnectionKind, pooling
from vagus_tui.database.tls import link_security
from vagus_tui.events import Status
from vagus_tui.format import milliseconds, span
from vagus_tui.migration.cut_over import ANSWERS
from vagus_tui.settings import Environment

PREPARATION = "Pre-Migration Checklist · Environment Preparation"

NEAR_SECONDS, FAR_SECONDS = 0.06, 0.17
"""How long an answer may take for writes to wait under a second at the cut-over, and for a cut-over to come to its end
within the three that they may wait at all."""


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


async def _answer_time(context: Context) -> Outcome:
    taken = await answer_time(context.connection)
    measured = "under 1 ms" if taken < 0.001 else f"{milliseconds(taken)} ms"
    waits = f"While writes wait, the cut-over waits for {ANSWERS} answers of the server"
    if taken <= NEAR_SECONDS:
        return Outcome(Status.PASS, measured, f"{waits}.")
    nearer = "Run vagus-tui from a machine in the project's region."
    if taken <= FAR_SECONDS:
        return Outcome(Status.WARN, measured, f"{waits}: {span(ANSWERS * taken)} for the way alone. {nearer}")
    return Outcome(
        Status.FAIL, measured, f"{waits}: from here it would not come to its end in the 3 s that they may. {nearer}"
    )


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
    Check(
        id="answer-time",
        group=Group.PREREQUISITES,
        title="Answer time",
        why="At the cut-over users wait for the server, and the server for us: what the way there and back takes, they "
        "wait a dozen times.",
        expected=f"under {milliseconds(NEAR_SECONDS)} ms",
        probe=_answer_time,
    ),
)
