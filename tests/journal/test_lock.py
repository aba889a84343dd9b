"""The operator's lock: a second run is refused by name, a session that is just ending is waited for."""

from __future__ import annotations

import asyncio

import pytest

from tests.conftest import Connect
from tests.databases import TestDatabase
from vagus_tui.errors import RefusedError
from vagus_tui.journal.lock import take_lock


async def test_a_second_operator_is_told_who_is_first(empty_database: TestDatabase, connect: Connect) -> None:
    first, second = await connect(empty_database.url), await connect(empty_database.url)
    await take_lock(first)
    with pytest.raises(RefusedError, match=f"PID {first.get_server_pid()}, since"):
        await take_lock(second)


async def test_a_session_that_is_just_ending_is_waited_for(empty_database: TestDatabase, connect: Connect) -> None:
    first, second = await connect(empty_database.url), await connect(empty_database.url)
    await take_lock(first)
    waiting = asyncio.create_task(take_lock(second))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await first.close()
    await waiting
