"""Over a long line every answer is waited for, and under locks the app waits too. Answers are counted, not timed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import pytest
from pydantic import SecretStr

from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from tests.listening import connected_to, listening
from tests.migration.support import collected, settings_for
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.migration.cut_over import ANSWERS
from vagus_tui.migration.runner import migrate
from vagus_tui.rollback import cost
from vagus_tui.rollback.quick import roll_back
from vagus_tui.sandbox.options import SandboxOptions

LOCKING, ENDING = b"in access exclusive mode", b"COMMIT"


@dataclass
class Line:
    """How often the server was asked and answered, from each message that takes the locks to the end of its
    transaction."""

    url: str = ""
    answers: list[int] = field(default_factory=list)


@contextlib.asynccontextmanager
async def line_to(database: TestDatabase) -> AsyncIterator[Line]:
    """A line that counts."""
    target, line = urlsplit(database.url), Line()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        locked, asked = False, 0

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
                asked += waiting.is_set()
                waiting.clear()
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


@pytest.mark.timeout(60)
async def test_few_answers_are_waited_for_under_locks(make_database: MakeDatabase) -> None:
    """With a server a fifth of a second away, a cut-over still comes to its end within the 3 s that writes may wait."""
    database = await make_database(SandboxOptions(plans=10, clean=True))
    async with line_to(database) as line:
        settings = settings_for(database).model_copy(update={"database_url": SecretStr(line.url)})
        for job in (
            migrate(Database(settings), settings, control := Control(), hold=False),
            roll_back(Database(settings), settings, control),
        ):
            ran = await collected(job, control)
            assert ran.result.ok, ran.result
    cut_over, rollback = line.answers
    assert ANSWERS - 2 <= cut_over <= ANSWERS and cost.ANSWERS - 2 <= rollback <= cost.ANSWERS, line.answers
