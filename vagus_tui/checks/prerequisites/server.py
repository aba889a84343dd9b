"""The server itself: its version, its encoding, its timeouts, its clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.database.encoding import ENCODING_SQL, UTF8, wrong_encoding
from vagus_tui.events import Status
from vagus_tui.format import span

TECHNICAL = "Pre-Migration Checklist · Technical Prerequisites"
OLDEST_MAJOR, NEWEST_MAJOR = 14, 18
CLOCK_WARN_SECONDS, CLOCK_FAIL_SECONDS = 5.0, 60.0
WAIT_SECONDS = 3.0
"""How long the cut-over may make the app's writes wait at most."""

_VERSION = "select current_setting('server_version') as version, current_setting('server_version_num')::int as number"

# A session may lift all of these for itself; what the app's sessions have is theirs.
_TIMEOUTS = """
select name, setting::bigint as milliseconds from pg_settings
where name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout',
               'transaction_timeout')
order by name
"""

_ROLE_TIMEOUTS = """
select r.rolname as role, split_part(setting, '=', 2) as value,
  (extract(epoch from case when split_part(setting, '=', 2) ~ '^\\d+$' then split_part(setting, '=', 2) || ' ms'
    else split_part(setting, '=', 2) end::interval))::float8 as seconds
from pg_roles r left join pg_db_role_setting s on s.setrole = r.oid
  and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
cross join unnest(s.setconfig) setting
where r.rolname in ('anon', 'authenticated', 'service_role', 'authenticator')
  and setting ~ '^statement_timeout=\\d+ *(us|ms|s|min|h|d)?$'
order by 3, 1
"""


async def _server_version(context: Context) -> Outcome:
    row = await context.connection.fetchrow(_VERSION)
    assert row is not None
    version, major = row["version"].split(" ")[0], row["number"] // 10000
    if major < OLDEST_MAJOR:
        return Outcome(
            Status.FAIL, version, f"PostgreSQL {OLDEST_MAJOR} or later is needed. Upgrade the project's database first."
        )
    if major > NEWEST_MAJOR:
        return Outcome(
            Status.WARN, version, f"This program was tried on {OLDEST_MAJOR} to {NEWEST_MAJOR}. Rehearse before you go."
        )
    return Outcome(Status.PASS, version)


async def _encoding(context: Context) -> Outcome:
    encoding = str(await context.connection.fetchval(ENCODING_SQL))
    if encoding != UTF8:
        return Outcome(Status.FAIL, encoding, wrong_encoding(encoding))
    return Outcome(Status.PASS, encoding)


def _seconds(milliseconds: int) -> str:
    return "none" if milliseconds == 0 else f"{milliseconds / 1000:g} s"


async def _timeouts(context: Context) -> Outcome:
    connection = context.connection
    rows = await connection.fetch(_TIMEOUTS)
    in_force = {row["name"]: row["milliseconds"] for row in rows}
    detail = tuple(f"{name}: {_seconds(value)}" for name, value in in_force.items())
    measured = f"{_seconds(in_force['statement_timeout'])}, lock {_seconds(in_force['lock_timeout'])}"
    short = [row for row in await connection.fetch(_ROLE_TIMEOUTS) if 0 < row["seconds"] < WAIT_SECONDS]
    if short:
        roles = ", ".join(f"{row['role']} {row['value']}" for row in short)
        return Outcome(
            Status.WARN,
            measured,
            f"Statements of the app are cut off early ({roles}): during the cut-over they may fail where they would "
            f"wait, for up to {WAIT_SECONDS:g} s.",
            detail=detail,
        )
    return Outcome(Status.PASS, measured, "They are lifted for the build, in its own sessions only.", detail=detail)


def now() -> datetime:
    """The operator's clock."""
    return datetime.now(UTC)


async def _clock(context: Context) -> Outcome:
    started = time.perf_counter()
    before = now()
    server: datetime = await context.connection.fetchval("select clock_timestamp()")
    trip = time.perf_counter() - started
    # The server read its clock about half way through the trip.
    behind = (server - before).total_seconds() - trip / 2
    apart = max(0.0, abs(behind) - trip / 2)
    measured = f"{span(apart)} apart"
    if apart >= CLOCK_WARN_SECONDS:
        status = Status.FAIL if apart >= CLOCK_FAIL_SECONDS else Status.WARN
        return Outcome(
            status,
            measured,
            f"This machine's clock is {'behind' if behind > 0 else 'ahead of'} the server's. Set it, or planned times "
            "will mislead.",
        )
    return Outcome(Status.PASS, measured)


CHECKS = (
    Check(
        id="server-version",
        group=Group.PREREQUISITES,
        title="Server version",
        why="v2 and the way it is built need PostgreSQL 14.",
        expected="14 or later",
        probe=_server_version,
        guide=TECHNICAL,
        sql=lambda _: _VERSION,
        overridable=False,
    ),
    Check(
        id="encoding",
        group=Group.PREREQUISITES,
        title="Encoding",
        why="Rows are compared, backed up and restored as texts; only UTF8 holds every one of them everywhere alike.",
        expected=UTF8,
        probe=_encoding,
        sql=lambda _: ENCODING_SQL,
        overridable=False,
    ),
    Check(
        id="timeouts",
        group=Group.PREREQUISITES,
        title="Timeouts",
        why="Supabase stops statements after two minutes, which a build may outlast. It is lifted for the build alone; "
        "the app's own limits decide whether its writes can wait out the cut-over.",
        expected="adjustable",
        probe=_timeouts,
        sql=lambda _: _TIMEOUTS.strip(),
    ),
    Check(
        id="clock",
        group=Group.PREREQUISITES,
        title="Clock",
        why="Planned times, the age of backups and the journal compare this machine's clock with the server's.",
        expected="within 5 s",
        probe=_clock,
        sql=lambda _: "select clock_timestamp()",
    ),
)
