"""Turns a job that reports by calling into a stream of events that both faces can consume."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

from vagus_tui.errors import VagusError, sentences
from vagus_tui.events import Event, ResultEvent

Emit = Callable[[Event], None]


def failure(error: VagusError, **values: object) -> ResultEvent:
    """The last event of a job that failed in a way that is understood."""
    state = values.get("state")
    return ResultEvent(
        ok=False,
        message=sentences(error.happened, error.state),
        next_step=error.next_step or None,
        exit_status=error.exit_status,
        state=str(state) if state is not None else None,
    )


async def streamed(job: Callable[[Emit], Awaitable[ResultEvent]]) -> AsyncIterator[Event]:
    """Run a job and yield what it emits, its result last.

    An understood failure becomes a failed result; anything else is raised. Closing the stream cancels the job and
    waits until it has cleaned up.
    """
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    async def run() -> ResultEvent:
        try:
            return await job(queue.put_nowait)
        except VagusError as error:
            return failure(error)
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(run())
    try:
        while (event := await queue.get()) is not None:
            yield event
        yield await task
    finally:
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def with_notes(events: AsyncGenerator[Event, None], notes: asyncio.Queue[Event]) -> AsyncGenerator[Event, None]:
    """The events of a stream, and between them at once what is put into the queue meanwhile.

    The result is the last word: notes of before come before it, later ones are dropped. What the stream raises is
    raised here; closing this one closes it.
    """
    coming: asyncio.Future[Event] | None = None
    said: asyncio.Future[Event] = asyncio.ensure_future(notes.get())
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(events))
            await asyncio.wait({coming, said}, return_when=asyncio.FIRST_COMPLETED)
            if said.done():
                yield said.result()
                said = asyncio.ensure_future(notes.get())
                continue
            try:
                event = coming.result()
            except StopAsyncIteration:
                return
            coming = None
            if isinstance(event, ResultEvent):
                said.cancel()
                await asyncio.wait({said})
                if not said.cancelled():
                    yield said.result()
                while not notes.empty():
                    yield notes.get_nowait()
                said = asyncio.get_running_loop().create_future()
            yield event
    finally:
        said.cancel()
        if coming is not None and not coming.done():
            coming.cancel()
        await asyncio.gather(said, *([coming] if coming is not None else []), return_exceptions=True)
        await events.aclose()
