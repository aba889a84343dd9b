"""Streams of events: what is said meanwhile, and which word is the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from vagus_tui.events import Event, NoteEvent, ResultEvent
from vagus_tui.jobs import with_notes


async def test_the_result_is_the_last_event_whatever_is_noted_around_it() -> None:
    notes: asyncio.Queue[Event] = asyncio.Queue()

    async def job() -> AsyncGenerator[Event, None]:
        yield NoteEvent(message="begins")
        await asyncio.sleep(0.01)
        for number in range(3):
            notes.put_nowait(NoteEvent(message=f"note {number}"))
        yield ResultEvent(ok=True, message="done")
        notes.put_nowait(NoteEvent(message="too late"))
        await asyncio.sleep(0.01)

    events = []
    async for event in with_notes(job(), notes):
        events.append(event)
        if isinstance(event, ResultEvent):
            # Whoever consumes takes their time, and a clock goes on ticking.
            notes.put_nowait(NoteEvent(message="too late"))
            await asyncio.sleep(0.01)
    assert [event.message for event in events if isinstance(event, NoteEvent | ResultEvent)] == [
        "begins",
        "note 0",
        "note 1",
        "note 2",
        "done",
    ]
