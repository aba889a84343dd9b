"""Streaming a table's rows from one server to another, or from a CSV file; memory stays flat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from vagus_tui.backup.snapshot import SESSION
from vagus_tui.database.connection import Connection
from vagus_tui.schema.identifiers import qualified, quote

_PIECES = 8
"""Pieces of the stream (of some tens of kilobytes each) that may wait for the slower side."""


async def stream_rows(
    source: Connection,
    source_table: tuple[str, str],
    target: Connection,
    target_table: tuple[str, str],
    columns: Sequence[str],
    told: Callable[[int], None],
) -> int:
    """Copy every row of a table into an empty one of another server; returns how many there were.

    Both sides must be in a transaction under `SESSION`, so that they write and read the same texts.

    Args:
        source_table, target_table: schema and name.
        columns: the columns of both, in one order.
        told: hears how many rows have gone by, again and again.
    """
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue(_PIECES)
    listed = ", ".join(quote(name) for name in columns)
    query = f"select {listed} from only {qualified(*source_table)}"

    rows = 0

    async def take(data: bytes) -> None:
        nonlocal rows
        await pieces.put(bytes(data))
        # A line each: breaks within a value are written otherwise.
        rows += data.count(b"\n")
        told(rows)

    async def give() -> AsyncIterator[bytes]:
        while (piece := await pieces.get()) is not None:
            yield piece

    async def read() -> None:
        try:
            await source.copy_from_query(query, output=take, encoding="utf8")
        finally:
            await pieces.put(None)

    reading = asyncio.create_task(read())
    try:
        status = await target.copy_to_table(
            target_table[1], source=give(), schema_name=target_table[0], columns=list(columns), encoding="utf8"
        )
        await reading
    except BaseException:
        reading.cancel()
        # A reader that waits for a place in the queue has to be let go before it can end.
        while not pieces.empty():
            pieces.get_nowait()
        await asyncio.gather(reading, return_exceptions=True)
        raise
    return int(status.split()[-1])


async def steady(connection: Connection) -> None:
    """Give the open transaction the settings under which values have the same texts everywhere."""
    await connection.execute(SESSION)
