"""Who is in the way of a lock: sessions that hold anything on the tables, and how long they have.

A prepared transaction (PREPARE TRANSACTION) holds its locks without any session, over restarts too, until somebody
ends it by its name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from vagus_tui.database.connection import Connection


@dataclass(frozen=True, slots=True)
class Blocker:
    """One session in the way, or one prepared transaction.

    Args:
        pid: 0 for a prepared transaction.
        seconds: how long its transaction has been open, or has been prepared.
        gid: the name of a prepared transaction; "" for a session.
    """

    pid: int
    user: str
    application: str
    state: str
    seconds: float
    query: str
    gid: str = ""

    @property
    def key(self) -> str:
        """What tells it from others."""
        return f"prepared {self.gid}" if self.gid else str(self.pid)

    @property
    def title(self) -> str:
        """What it is called in a sentence."""
        return f"prepared transaction {self.gid}" if self.gid else f"PID {self.pid}"

    def to_dict(self) -> Mapping[str, Any]:
        """As plain data, for an event."""
        return {name: getattr(self, name) for name in self.__slots__}


_SESSION = """
a.pid, coalesce(a.usename, '') as user, coalesce(a.application_name, '') as application,
       coalesce(a.state, '') as state,
       coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::double precision as seconds,
       left(coalesce(a.query, ''), 500) as query, '' as gid
"""

_BLOCKERS = f"""
with held as (
  select l.pid, l.virtualtransaction from pg_locks l
  where l.granted and l.locktype = 'relation'
    and l.database = (select oid from pg_database where datname = current_database())
    and l.relation = any(select to_regclass(name)::oid from unnest($1::text[]) name))
select {_SESSION.strip()}
from pg_stat_activity a
where a.pid <> pg_backend_pid() and a.pid in (select pid from held)
union all
select 0, p.owner::text, '', 'prepared',
       extract(epoch from clock_timestamp() - p.prepared)::double precision,
       pg_catalog.format('commit prepared %L; or: rollback prepared %L;', p.gid, p.gid), p.gid
from pg_prepared_xacts p
where p.database = current_database()
  and exists (
  -- It keeps the virtual transaction that it had; after a restart it has one of no session.
  select from held h join pg_locks x using (virtualtransaction)
  where h.pid is null and x.pid is null and x.locktype = 'transactionid' and x.transactionid = p.transaction)
order by seconds desc
"""


async def blockers(connection: Connection, relations: list[str]) -> list[Blocker]:
    """Who holds a lock on any of the tables, the oldest transaction first."""
    return [Blocker(**dict(row)) for row in await connection.fetch(_BLOCKERS, relations)]


async def sessions(connection: Connection, pids: Collection[int]) -> list[Blocker]:
    """The sessions with these process ids, the oldest transaction first."""
    query = (
        f"select {_SESSION.strip()} from pg_stat_activity a where a.pid::text = any($1::text[]) order by a.xact_start"
    )
    return [Blocker(**dict(row)) for row in await connection.fetch(query, [*map(str, pids)])]


_WAITED_FOR = """
select distinct unnest(pg_blocking_pids(a.pid)) as pid from pg_stat_activity a
where a.pid::text = any($1::text[]) and a.wait_event_type = 'Lock'
"""


async def waited_for(connection: Connection, own: Collection[int]) -> list[Blocker]:
    """Whose locks our sessions wait for now, other than each other's; prepared transactions are nobody's session."""
    pids = {row["pid"] for row in await connection.fetch(_WAITED_FOR, [*map(str, own)])} - {*own}
    return await sessions(connection, pids) if pids else []


def describe(found: list[Blocker]) -> str:
    """The first few in one line: PID or name, who, since when."""
    if not found:
        return "nobody any more"
    parts = [
        f"{blocker.title} ({blocker.application or blocker.user or 'unnamed'}, {blocker.state}, "
        f"{blocker.seconds:.0f} s)"
        for blocker in found[:3]
    ]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(parts) + more
