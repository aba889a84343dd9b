"""How many rows of v1 do not meet a check of their own table: one that asks the clock, or what somebody has changed."""

from __future__ import annotations

import asyncpg

from vagus_tui.database.connection import Connection
from vagus_tui.database.impersonation import undone
from vagus_tui.errors import server_words
from vagus_tui.format import plural
from vagus_tui.migration.carried import Bound
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.v1 import V1Shape

PATIENCE_MS = 30_000


async def unmet(connection: Connection, shape: V1Shape, one: Bound) -> str:
    """A sentence about the rows of v1 that its check would refuse today, with the SQL that lists them. Changes nothing.

    Args:
        one: a check of v1, as it is carried over.
    """
    condition = one.definition.removeprefix("CHECK ").removesuffix(" NOT VALID").removesuffix(" NO INHERIT")
    rows = f"from {qualified(shape.schema, shape.tables[one.base].name)} where not ({condition})"
    try:
        async with undone(connection, timeout_ms=PATIENCE_MS):
            await connection.execute(
                f"set transaction read only; set local search_path = {quote(shape.schema)}, pg_temp"
            )
            found = await connection.fetchval(f"select count(*) {rows}")
    except asyncpg.PostgresError as error:
        return f"How many rows of v1 meet it was not to be had: {server_words(error)}"
    if not found:
        return "Every row of v1 meets it today."
    many = plural(found, "row of v1 does", "rows of v1 do")
    return f"{many} not meet it any more, and can be changed in neither: select * {rows};"
