"""A short transaction on v1's tables in which nobody else writes and no trigger of the app fires."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import asyncpg

from vagus_tui.database.connection import Connection, execute_all
from vagus_tui.database.identifiers import quote
from vagus_tui.errors import RefusedError, UndoneError, beyond_a_limit, server_words
from vagus_tui.journal.lock import at_work, lock_holder
from vagus_tui.journal.state import DatabaseState, State, read_state
from vagus_tui.settings import Settings

T = TypeVar("T")

EXACT_TEXT = (
    "set local timezone = 'UTC'; set local datestyle = 'ISO'; set local intervalstyle = 'postgres'; "
    "set local extra_float_digits = 1; set local bytea_output = 'hex'"
)
"""Within a transaction: values as text are spelled the same, whoever asks, and say all of themselves."""

CAPTURED = (State.BUILDING, State.READY)
"""While v2 is built aside, and until the cut-over, every write to v1's rows is noted and brought over: a fix too."""
FIXABLE = (State.V1, State.V1_RENAMED, State.ROLLED_BACK, *CAPTURED)
"""Once v2 is in place, a change to the kept v1 would reach nobody."""

_BLOCKERS = """
with held as (
  select l.pid, l.virtualtransaction from pg_locks l
  where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_backend_pid()
    and l.database = (select oid from pg_database where datname = current_database())
    and l.relation = any(select t::regclass from unnest($1::text[]) t)
    and l.mode not in ('AccessShareLock', 'RowShareLock'))
select pg_catalog.format('PID %s (%s)', a.pid,
  pg_catalog.concat_ws(' ', coalesce(a.usename, '–'), nullif(a.application_name, ''))) as who
from pg_stat_activity a where a.pid in (select pid from held)
union all
select pg_catalog.format('prepared transaction %s (%s)', p.gid, p.owner) from pg_prepared_xacts p
where p.database = current_database() and exists (
  -- It keeps the virtual transaction that it had; after a restart it has one of no session.
  select from held h join pg_locks x using (virtualtransaction)
  where h.pid is null and x.pid is null and x.locktype = 'transactionid' and x.transactionid = p.transaction)
order by 1
"""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a lock is waited for, and how often it is tried."""

    timeout_ms: int = 500
    attempts: int = 10

    @classmethod
    def of(cls, settings: Settings) -> Patience:
        """As the settings have it."""
        return cls(settings.lock_timeout_ms, settings.lock_attempts)


async def fixable_state(connection: Connection) -> DatabaseState:
    """The state, read anew, if rows of v1 may be changed in it.

    Raises:
        RefusedError: a migration is done, or another operator is at work who is not migrating.
    """
    state = await read_state(connection)
    if state.state not in FIXABLE or state.shape is None:
        raise RefusedError(
            f"v1's rows cannot be changed now: {state.summary}",
            next_step="Fixes belong before the cut-over or after a rollback.",
        )
    if state.state in CAPTURED:
        # Whoever migrates holds the lock, and is helped by it.
        return state
    holder = await lock_holder(connection)
    if holder is not None and holder.pid != await connection.fetchval("select pg_backend_pid()"):
        raise RefusedError(
            f"Another operator is at work on this database: {await at_work(connection, holder)}.",
            next_step="Wait until they are done.",
        )
    return state


async def in_locked_transaction(
    connection: Connection, tables: Sequence[str], patience: Patience, work: Callable[[], Awaitable[T]]
) -> T:
    """Do work in one transaction that keeps other writers off the tables; readers go on.

    Args:
        tables: quoted names, in the order in which they are locked.
        work: runs inside; whatever it raises undoes everything.

    Raises:
        RefusedError: the locks could not be had, naming who holds them; or v2 has taken v1's place while waiting.
        UndoneError: the server refused something in between; everything was undone.
    """
    for attempt in range(patience.attempts):
        try:
            async with connection.transaction():
                await connection.execute(
                    f"set local lock_timeout = {patience.timeout_ms}; set local work_mem = '96MB'; {EXACT_TEXT}"
                )
                await connection.execute(f"lock table {', '.join(tables)} in share row exclusive mode")
                # Once more, now that nobody can cut over.
                await fixable_state(connection)
                return await work()
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if attempt + 1 < patience.attempts:
                await asyncio.sleep(random.uniform(0.05, 0.2) * (attempt + 1))
        except asyncpg.PostgresError as error:
            if connection.is_closed():
                raise
            raise UndoneError(
                f"The server refused it: {server_words(error)}",
                state="Everything was undone.",
                next_step=beyond_a_limit(error) or "See who owns the tables and what hangs on them.",
            ) from error
    holders = await connection.fetch(_BLOCKERS, list(tables))
    who = ", ".join(row["who"] for row in holders[:5])
    raise RefusedError(
        f"The tables are in use and were not to be had in {patience.attempts} tries. {who and f'In the way: {who}.'}",
        next_step="Wait for their end, then try again.",
    )


_TRIGGERS = """
select t.tgname::text as name, t.tgenabled = 'A' as always
from pg_trigger t join pg_proc f on f.oid = t.tgfoid
where t.tgrelid = $1::regclass and not t.tgisinternal and t.tgenabled in ('O', 'A')
  and f.pronamespace is distinct from to_regnamespace('vagus_migration')
order by t.tgname
"""
"""Not those of a migration, or what is done to the rows would not reach v2."""


@dataclass(frozen=True, slots=True)
class QuietTriggers:
    """Triggers of the app that were switched off, to be switched on again as they were."""

    statements: tuple[str, ...]

    async def wake(self, connection: Connection) -> None:
        """Switch them on again. Checks that were put off are made first, or the server refuses."""
        await execute_all(connection, ["set constraints all immediate", *self.statements])


async def quieten(connection: Connection, tables: Sequence[str]) -> QuietTriggers:
    """Switch the app's triggers off until the transaction wakes them: no updated_at moves, no notice goes out."""
    off, on = [], []
    for table in tables:
        for row in await connection.fetch(_TRIGGERS, table):
            name = quote(row["name"])
            off.append(f"alter table {table} disable trigger {name}")
            on.append(f"alter table {table} enable {'always ' if row['always'] else ''}trigger {name}")
    await execute_all(connection, off)
    return QuietTriggers(tuple(on))
