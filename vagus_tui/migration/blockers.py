"""Who is in the way of a lock: sessions that hold anything on the tables, and how long they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vagus_tui.database.connection import Connection


@dataclass(frozen=True, slots=True)
class Blocker:
    """One session in the way. `seconds` is how long its transaction has been open."""

    pid: int
    user: str
    application: str
    state: str
    seconds: float
    query: str

    def to_dict(self) -> Mapping[str, Any]:
        """As plain data, for an event."""
        return {name: getattr(self, name) for name in self.__slots__}


_BLOCKERS = """
select a.pid, coalesce(a.usename, '') as user, coalesce(a.application_name, '') as application,
       coalesce(a.state, '') as state,
       coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::double precision as seconds,
       left(coalesce(a.query, ''), 500) as query
from pg_stat_activity a
where a.pid <> pg_backend_pid() and a.pid in (
  select l.pid from pg_locks l
  where l.granted and l.locktype = 'relation'
    and l.database = (select oid from pg_database where datname = current_database())
    and l.relation = any(select to_regclass(name)::oid from unnest($1::text[]) name))
order by a.xact_start nulls last
"""


async def blockers(connection: Connection, relations: list[str]) -> list[Blocker]:
    """The sessions that hold a lock on any of the tables, the oldest transaction first."""
    return [Blocker(**dict(row)) for row in await connection.fetch(_BLOCKERS, relations)]


def describe(found: list[Blocker]) -> str:
    """The first few in one line: PID, who, since when."""
    if not found:
        return "nobody any more"
    parts = [
        f"PID {blocker.pid} ({blocker.application or blocker.user or 'unnamed'}, {blocker.state}, "
        f"{blocker.seconds:.0f} s)"
        for blocker in found[:3]
    ]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(parts) + more
