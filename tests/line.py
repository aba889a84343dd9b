"""A line to a server: it counts how often an answer is waited for, and may take its time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from tests.databases import TestDatabase
from tests.listening import connected_to, listening

LOCKING, ENDING = b"in access exclusive mode", b"COMMIT"


@dataclass
class Line:
    """How often the server was asked and answered: on each connection, and under locks, from each message that takes
    them to the end of its transaction."""

    url: str = ""
    connections: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextlib.asynccontextmanager
async def line_to(database: TestDatabase, seconds: float = 0.0) -> AsyncIterator[Line]:
    """A line that counts.

    Args:
        seconds: how long an answer takes to get here, the way there counted in.
    """
    target, line = urlsplit(database.url), Line()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        locked, asked = False, 0
        place = len(line.connections)
        line.connections.append(0)

        async def ask(down: asyncio.StreamWriter) -> None:
            nonlocal locked, asked
            while data := await reader.read(1 << 20):
                if LOCKING in data:
                    locked, asked = True, 0
                if locked and ENDING in data:
                    # That it is committed is the last answer.
                    line.answers.append(asked + 1)
                    locked = False
                waiting.set()
                down.write(data)
                await down.drain()
            down.close()

        async def answer(up: asyncio.StreamReader) -> None:
            nonlocal asked
            while data := await up.read(1 << 20):
                # What comes in several pieces is one answer.
                if waiting.is_set():
                    waiting.clear()
                    asked += 1
                    line.connections[place] += 1
                    await asyncio.sleep(seconds)
                writer.write(data)
                await writer.drain()
            writer.close()

        waiting = asyncio.Event()
        async with connected_to(target.hostname, target.port) as (up, down):
            await asyncio.gather(ask(down), answer(up))

    user = target.netloc.rpartition("@")[0]
    async with listening(serve) as port:
        line.url = urlunsplit(target._replace(netloc=f"{user}@127.0.0.1:{port}"))
        yield line
