"""Who is in the way: who holds locks on the workout tables, and cancelling one of them by its id or name.

Never by the text of a query: that can hit the wrong session, or one's own (guide, Migration Script Fails Midway).
"""

from __future__ import annotations

import asyncpg

from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.format import first_upper
from vagus_tui.migration.blockers import Blocker, blockers
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import literal, qualified


async def in_the_way(connection: Connection) -> list[Blocker]:
    """Who holds a lock on any workout table, v1's or v2's: sessions and prepared transactions, the oldest first.

    Reads nothing of the tables themselves, so that it answers while one of them is locked against everybody.
    """
    names = {*v1.TABLES, *(f"{name}{v1.SUFFIX}" for name in v1.TABLES), *v2.TABLES}
    return await blockers(connection, [qualified("public", name) for name in sorted(names)])


async def cancel(connection: Connection, blocker: Blocker, *, end: bool = False) -> bool:
    """Cancel what one session runs now, or end it; True when the server has told it to.

    The session must still be the one that was shown: ids are used again. A prepared transaction is rolled back.

    Raises:
        RefusedError: it is gone or another by now, or belongs to a superuser, or to another role.
    """
    now = next((one for one in await in_the_way(connection) if one.key == blocker.key), None)
    if now is None or (now.user, now.application) != (blocker.user, blocker.application):
        raise RefusedError(f"{first_upper(blocker.title)} is no longer in the way.", next_step="Look again.")
    if now.gid:
        await _roll_back_prepared(connection, now)
        return True
    try:
        # A session that is idle in a transaction runs nothing that could be cancelled: it is ended instead.
        function = "pg_terminate_backend" if end or now.state.startswith("idle") else "pg_cancel_backend"
        return bool(await connection.fetchval(f"select {function}($1)", blocker.pid))
    except asyncpg.InsufficientPrivilegeError:
        raise RefusedError(
            f"PID {blocker.pid} belongs to a superuser, and only one of those may stop it.",
            next_step="Wait for it, or ask the provider's support.",
        ) from None


async def _roll_back_prepared(connection: Connection, blocker: Blocker) -> None:
    statement = f"rollback prepared {literal(blocker.gid).strip()}"
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        raise RefusedError(
            f"{first_upper(blocker.title)} belongs to {blocker.user}: only that role or a superuser may end it.",
            next_step=f"Let {blocker.user} run, in this database: {blocker.query}",
        ) from None
    except asyncpg.UndefinedObjectError:
        raise RefusedError(f"{first_upper(blocker.title)} is no longer there.", next_step="Look again.") from None
