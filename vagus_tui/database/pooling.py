"""What kind of connection this is: direct, through a session pooler, or through a transaction pooler.

Found by behaviour. A transaction pooler gives each transaction whichever server process is free, so two clients are
seen in the same process, or one client in several. The port says nothing reliable.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import asyncpg

from vagus_tui.database.connection import Connection, Database, close


class ConnectionKind(StrEnum):
    """How a client reaches its server process."""

    DIRECT = "direct"
    SESSION_POOLER = "session pooler"
    TRANSACTION_POOLER = "transaction pooler"


@dataclass(frozen=True, slots=True)
class Pooling:
    """The kind of connection, and the evidence for it in a sentence."""

    kind: ConnectionKind
    evidence: str


# Irregular, so that a pooler which hands out its processes in turn cannot stay in step with it.
_PATTERN = "abbabaabbbaaab"
_TELL = "do $$ begin raise notice 'vagus-pid %', pg_backend_pid(); end $$"


async def pooling(database: Database) -> Pooling:
    """Find out through two connections of their own, with plain statements that any pooler lets through."""
    clients: dict[str, Connection] = {}
    try:
        for name in "ab":
            clients[name] = await database.connect("looking for a pooler")
        seen: dict[str, list[int]] = {"a": [], "b": []}
        for name in _PATTERN:
            seen[name].append(await _server_process(clients[name]))
        # A transaction that is held open keeps its process from everybody else.
        held = clients["b"].transaction()
        await held.start()
        try:
            seen["b"].append(await _server_process(clients["b"]))
            seen["a"].append(await _server_process(clients["a"]))
        finally:
            await held.rollback()
        told = {client.get_server_pid() for client in clients.values()}
        return conclude(seen["a"], seen["b"], told)
    finally:
        for client in clients.values():
            await close(client)


def conclude(first: list[int], second: list[int], told: Iterable[int]) -> Pooling:
    """What the processes seen by two clients mean.

    Args:
        first, second: the server's process ids, per client, in the order seen.
        told: the process ids that the two clients were told when they connected.
    """
    if shared := set(first) & set(second):
        return Pooling(
            ConnectionKind.TRANSACTION_POOLER,
            f"Two clients were served by the same process ({', '.join(map(str, sorted(shared)))}).",
        )
    if len(set(first)) > 1 or len(set(second)) > 1:
        return Pooling(
            ConnectionKind.TRANSACTION_POOLER, "One client was served by different processes, one per transaction."
        )
    if set(told) == {first[0], second[0]}:
        return Pooling(ConnectionKind.DIRECT, "Each client has the server process that it was told of.")
    return Pooling(
        ConnectionKind.SESSION_POOLER, "Something stands between, but each client keeps its own server process."
    )


async def _server_process(client: Connection) -> int:
    """The process that serves the next transaction, by way of a notice: a query might be prepared elsewhere."""
    heard: list[str] = []

    def listen(_: object, message: asyncpg.PostgresLogMessage) -> None:
        heard.append(str(message))

    client.add_log_listener(listen)
    try:
        await client.execute(_TELL)
        # The driver hands notices on in the loop's next turn.
        await asyncio.sleep(0)
    finally:
        client.remove_log_listener(listen)
    for text in heard:
        if found := re.search(r"vagus-pid (\d+)", text):
            return int(found.group(1))
    # The server keeps notices to itself (client_min_messages): ask in a transaction, which stays in one process.
    async with client.transaction():
        return int(await client.fetchval("select pg_backend_pid()"))
