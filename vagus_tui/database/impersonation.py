"""Acting as the app's users do: as one of the API roles, with a user's claims, inside a transaction.

Row level security proves nothing when it is looked at as `postgres`, which passes it by.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import quote

NOBODY = "00000000-0000-0000-0000-000000000000"
"""A user who does not exist."""


@contextlib.asynccontextmanager
async def undone(connection: Connection, *, timeout_ms: int = 60_000, one_moment: bool = False) -> AsyncIterator[None]:
    """A transaction that is always rolled back; waits for no lock longer than a moment.

    With `one_moment` all of it sees the rows as they were at one moment, whatever is written meanwhile.
    """
    transaction = connection.transaction(isolation="repeatable_read" if one_moment else None)
    await transaction.start()
    try:
        await connection.execute(f"set local lock_timeout = '500ms'; set local statement_timeout = {timeout_ms}")
        yield
    finally:
        if not connection.is_closed():
            await transaction.rollback()


@contextlib.asynccontextmanager
async def acting_as(connection: Connection, role: str, user_id: str | None = None) -> AsyncIterator[None]:
    """Be an API role, with a user's claims in both forms that auth.uid() reads, until the block ends.

    To be used inside a transaction; a savepoint brings role and claims back to what they were, whatever happens.
    """
    claims = {"role": role} | ({"sub": user_id} if user_id else {})
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        await connection.execute(
            "select set_config('request.jwt.claim.sub', $1, true), set_config('request.jwt.claim.role', $2, true), "
            "set_config('request.jwt.claims', $3, true)",
            user_id or "",
            role,
            json.dumps(claims),
        )
        await connection.execute(f"set local role {quote(role)}")
        yield
    finally:
        if not connection.is_closed():
            await savepoint.rollback()
