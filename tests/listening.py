"""Servers in the test's own event loop: they stand before something else, and leave nothing open behind them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(serve: Serve, address: str = "127.0.0.1") -> AsyncIterator[int]:
    """Serve each connection until the block ends; gives the port.

    The block's end breaks what is open and waits until it is closed: a transport that outlives its event loop is told
    of whenever it is collected, in whatever test runs by then.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            async with _closing(writer):
                with contextlib.suppress(OSError, EOFError):
                    await serve(reader, writer)
        except asyncio.CancelledError:
            # Only the block's end cancels it; asyncio would tell of a cancelled connection as of an error.
            pass
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(connected, address, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        # One that has just been accepted has no task yet: its transport is made in one turn of the loop, told of in
        # the next, and served in the one after that.
        for _ in range(5):
            await asyncio.sleep(0)
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def connected_to(host: str | None, port: int | None) -> AsyncIterator[Stream]:
    """A connection to what a server stands before, for the length of a block."""
    reader, writer = await asyncio.open_connection(host, port)
    async with _closing(writer):
        yield reader, writer


async def pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, through: asyncio.Event | None = None
) -> None:
    """Pass all that is read on, whenever `through` is set, and then the end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            if through is not None:
                await through.wait()
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        writer.transport.abort()
        raise
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
