"""Sessions in the way: who holds locks on the workout tables, and cancelling one of them by its id.

Never by the text of a query: that can hit the wrong session, or one's own (guide, Migration Script Fails Midway).
"""

from __future__ import annotations

import asyncpg

from vagus_tui.checks.base import Context
from vagus_tui.errors import RefusedError
from vagus_tui.migration.blockers import Blocker, blockers
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified


async def in_the_way(context: Context) -> list[Blocker]:
    """Sessions that hold a lock on any workout table, v1's or v2's, the oldest transaction first."""
    names = {*v1.TABLES, *v2.TABLES}
    if context.state.shape is not None:
        names |= {table.name for table in context.state.shape.tables.values()}
    return await blockers(context.connection, [qualified("public", name) for name in sorted(names)])


async def cancel(context: Context, blocker: Blocker, *, end: bool = False) -> bool:
    """Cancel what one session runs now, or end it; True when the server has told it to.

    The session must still be the one that was shown: ids are used again.

    Raises:
        RefusedError: it is gone or another by now, or belongs to a superuser.
    """
    now = next((one for one in await in_the_way(context) if one.pid == blocker.pid), None)
    if now is None or (now.user, now.application) != (blocker.user, blocker.application):
        raise RefusedError(f"The session with PID {blocker.pid} is no longer in the way.", next_step="Look again.")
    try:
        # A session that is idle in a transaction runs nothing that could be cancelled: it is ended instead.
        function = "pg_terminate_backend" if end or now.state.startswith("idle") else "pg_cancel_backend"
        return bool(await context.connection.fetchval(f"select {function}($1)", blocker.pid))
    except asyncpg.InsufficientPrivilegeError:
        raise RefusedError(
            f"PID {blocker.pid} belongs to a superuser, and only one of those may stop it.",
            next_step="Wait for it, or ask the provider's support.",
        ) from None
