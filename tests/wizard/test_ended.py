"""Tasks that are ended with the session."""

from __future__ import annotations

import asyncio

import pytest

from vagus_tui.session import session


async def test_a_task_that_loses_a_cancellation_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "CANCELLED_AGAIN_SECONDS", 0.05)
    heard = 0

    async def deaf() -> None:
        nonlocal heard
        while heard < 3:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                heard += 1
        raise ValueError

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await session.ended(tasks)
    assert heard == 3 and all(task.done() for task in tasks)
