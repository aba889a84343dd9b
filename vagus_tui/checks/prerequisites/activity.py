"""Who else is at work in the database, and what of it would stand in the way of a lock."""

from __future__ import annotations

import asyncpg

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.database.connection import APPLICATION_NAME
from vagus_tui.events import Status
from vagus_tui.format import plural, span
from vagus_tui.journal.lock import at_work, lock_holder

PREPARATION = "Pre-Migration Checklist · Environment Preparation"
CONNECTIONS = 50
SPARE_CONNECTIONS = 5
LONG_WARN_SECONDS, LONG_FAIL_SECONDS = 60.0, 600.0
IDLE_WARN_SECONDS, IDLE_FAIL_SECONDS = 10.0, 300.0
SLOT_LAG = 1_000_000_000
"""Bytes of log that a slot may hold back before it is worth a word."""

_OTHERS = f"""
from pg_stat_activity a
where a.datname = current_database() and a.backend_type = 'client backend' and a.pid <> pg_backend_pid()
  and a.application_name !~ '^{APPLICATION_NAME}'
"""

_HIDDEN = """
select count(*) as hidden from pg_stat_activity a
where a.datname = current_database() and a.backend_type is null and a.pid <> pg_backend_pid()
"""
"""Sessions of which a role without pg_monitor sees that they are there, and nothing else."""

_CONNECTIONS = f"""
select count(*) + ({_HIDDEN.strip()}) as here,
  (select count(*) from pg_stat_activity
   where backend_type = 'client backend' or (backend_type is null and datname is not null)) as everywhere,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most
{_OTHERS.strip()}
"""

_WHO = (
    "a.pid, coalesce(a.usename, '–')::text as usename, coalesce(a.application_name, '') as application, "
    "coalesce(host(a.client_addr), 'local') as client"
)

_CONNECTION_ROWS = f"""
select {_WHO}, a.state, a.backend_start as connected_since, a.state_change as in_state_since, a.query
{_OTHERS.strip()}
"""

_LONG = f"""
select pid, usename, application, client, state, since, seconds, query from (
  select {_WHO}, a.state, a.xact_start as since,
    extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds, a.query
  {_OTHERS.strip()} and a.xact_start is not null
  union all
  select 0, p.owner::text, '', p.gid, 'prepared', p.prepared,
    extract(epoch from clock_timestamp() - p.prepared)::float8,
    pg_catalog.format('commit prepared %L; or: rollback prepared %L;', p.gid, p.gid)
  from pg_prepared_xacts p where p.database = current_database()
) as open_transactions
"""

_IDLE = f"""
select {_WHO}, a.state, a.state_change as since,
  extract(epoch from clock_timestamp() - a.state_change)::float8 as seconds, a.query
{_OTHERS.strip()} and a.state ~ '^idle in transaction'
"""

_SLOTS = """
select s.slot_name::text as slot_name, s.slot_type, s.plugin::text as plugin, s.active, s.wal_status,
  pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end,
    s.restart_lsn)::bigint as held_back
from pg_replication_slots s
"""
"""Of every database: each of them keeps the log of the whole server."""


def _over(seconds: float, query: str) -> str:
    return f"select * from ({query}) as found where seconds >= {seconds}"


async def _active_connections(context: Context) -> Outcome:
    row = await context.connection.fetchrow(_CONNECTIONS)
    assert row is not None
    needed = context.settings.parallel_connections + SPARE_CONNECTIONS
    free = row["most"] - row["everywhere"]
    if free < needed:
        return Outcome(
            Status.FAIL,
            row["here"],
            f"{row['everywhere']} of the server's {row['most']} connections are taken; the migration needs {needed}. "
            "Close other clients or lower VAGUS_PARALLEL_CONNECTIONS.",
        )
    if row["here"] >= CONNECTIONS:
        return Outcome(Status.WARN, row["here"], "Busier than the guide wants it: a quieter hour would be better.")
    return Outcome(Status.PASS, row["here"], f"{free} of the server's {row['most']} connections are free.")


async def _waiting(context: Context, query: str, warn: float, fail: float, what: str) -> Outcome:
    rows = await context.connection.fetch(f"select * from ({query}) as found where seconds >= $1 order by 7 desc", warn)
    hidden = await context.connection.fetchval(_HIDDEN)
    unseen = (
        f"What {plural(hidden, 'session')} of other roles are at cannot be seen: "
        "grant pg_monitor to the role that is logged in."
        if hidden
        else ""
    )
    if not rows:
        return Outcome(Status.WARN, "not all visible", unseen) if hidden else Outcome(Status.PASS, 0)
    longest = rows[0]["seconds"]
    prepared = _PREPARED if any(row["state"] == "prepared" for row in rows) else ""
    listed = "; ".join(f"{_who(row)} since {row['since']:%H:%M:%S} ({span(row['seconds'])})" for row in rows[:3])
    more = f"; and {len(rows) - 3} more" if len(rows) > 3 else ""
    return Outcome(
        Status.FAIL if longest >= fail else Status.WARN,
        len(rows),
        f"{what}: {listed}{more}. Wait for their end, or have them ended. {prepared}{unseen}".rstrip(),
        rows=len(rows),
    )


_PREPARED = (
    "A prepared transaction never ends by itself: its owner or a superuser runs COMMIT PREPARED or ROLLBACK PREPARED "
    "with its name, in this database. "
)


def _who(row: asyncpg.Record) -> str:
    if row["state"] == "prepared":
        return f"prepared transaction {row['client']} of {row['usename']}"
    return f"PID {row['pid']} {row['usename']} {row['application']}".strip() + f" from {row['client']}"


async def _long_transactions(context: Context) -> Outcome:
    return await _waiting(
        context,
        _LONG,
        LONG_WARN_SECONDS,
        LONG_FAIL_SECONDS,
        f"Open for longer than {span(LONG_WARN_SECONDS)}",
    )


async def _idle_in_transaction(context: Context) -> Outcome:
    return await _waiting(
        context,
        _IDLE,
        IDLE_WARN_SECONDS,
        IDLE_FAIL_SECONDS,
        f"Idle for longer than {span(IDLE_WARN_SECONDS)}",
    )


async def _replication_slots(context: Context) -> Outcome:
    rows = await context.connection.fetch(_SLOTS)
    if not rows:
        return Outcome(Status.PASS, "none")
    inactive = [row for row in rows if not row["active"]]
    behind = [row for row in rows if (row["held_back"] or 0) >= SLOT_LAG or row["wal_status"] in ("unreserved", "lost")]
    measured = f"{len(rows)}, {len(inactive)} inactive"
    if not inactive and not behind:
        return Outcome(Status.PASS, measured)
    parts = []
    if inactive:
        names = ", ".join(row["slot_name"] for row in inactive[:5])
        parts.append(
            f"Nobody reads from {names}: the log of the build piles up on the server's disk until somebody does."
        )
    if behind:
        names = ", ".join(f"{row['slot_name']} ({(row['held_back'] or 0) / 1e9:.1f} GB)" for row in behind[:5])
        parts.append(f"Behind: {names}.")
    return Outcome(Status.WARN, measured, " ".join(parts), rows=len({row["slot_name"] for row in inactive + behind}))


async def _migration_lock(context: Context) -> Outcome:
    holder = await lock_holder(context.connection)
    if holder is None:
        return Outcome(Status.PASS, "free")
    # A run of this very program is nobody in the way: the checks go on beside it, on connections of their own.
    # Behind a pooler only the server knows this session's process, so it is asked as well.
    mine = context.database.own_pids | {await context.connection.fetchval("select pg_backend_pid()")}
    if holder.pid in mine:
        return Outcome(Status.PASS, "ours")
    return Outcome(
        Status.FAIL,
        "taken",
        f"Another operator is at work on this database: {await at_work(context.connection, holder)}.",
    )


CHECKS = (
    Check(
        id="active-connections",
        group=Group.PREREQUISITES,
        title="Active connections",
        why="A busy database makes the build slower and the cut-over wait longer, and the migration needs connections "
        "of its own.",
        expected=f"under {CONNECTIONS}",
        probe=_active_connections,
        guide=PREPARATION,
        sql=lambda _: _CONNECTIONS.strip(),
        rows_sql=lambda _: _CONNECTION_ROWS,
    ),
    Check(
        id="long-transactions",
        group=Group.PREREQUISITES,
        title="Long transactions",
        why="Locks wait for every transaction that has touched the tables. One that stays open keeps the cut-over from "
        "happening, however few connections there are.",
        expected="0",
        probe=_long_transactions,
        sql=lambda _: _over(LONG_WARN_SECONDS, _LONG.strip()),
        rows_sql=lambda _: _over(LONG_WARN_SECONDS, _LONG),
    ),
    Check(
        id="idle-in-transaction",
        group=Group.PREREQUISITES,
        title="Idle in transaction",
        why="A session that began a transaction and then did nothing holds its locks all the same.",
        expected="0",
        probe=_idle_in_transaction,
        sql=lambda _: _over(IDLE_WARN_SECONDS, _IDLE.strip()),
        rows_sql=lambda _: _over(IDLE_WARN_SECONDS, _IDLE),
    ),
    Check(
        id="replication-slots",
        group=Group.PREREQUISITES,
        title="Replication slots",
        why="Building v2 writes as much log as data. A slot that nobody reads keeps all of it on the server's disk.",
        expected="none behind",
        probe=_replication_slots,
        sql=lambda _: _SLOTS.strip(),
        rows_sql=lambda _: _SLOTS,
    ),
    Check(
        id="migration-lock",
        group=Group.PREREQUISITES,
        title="Operator's lock",
        why="Two operators migrating one database would undo each other's work; the lock keeps the second out.",
        expected="free",
        probe=_migration_lock,
        overridable=False,
    ),
)
