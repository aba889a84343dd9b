"""A TLS end in front of a server that has none: the embedded PostgreSQL is built without it.

The key and certificates beside this file are for these tests alone; the authority's own key was thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

FOLDER = Path(__file__).parent / "tls"
CA = FOLDER / "ca.pem"
OTHER_CA = FOLDER / "other_ca.pem"
"""An authority that has signed nothing here."""


@dataclass(frozen=True, slots=True)
class TlsProxy:
    """A listening TLS end; `url` is its address, with the name localhost."""

    url: str

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, server_url: str, address: str = "127.0.0.1") -> AsyncIterator[TlsProxy]:
        """Listen in front of a server until the block ends.

        Args:
            address: where it listens; the certificate is for localhost and 127.0.0.1 alone.
        """
        parts = urlsplit(server_url)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(FOLDER / "server.pem", FOLDER / "server.key")
        jobs: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            jobs.add(task)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                # The client first asks in the clear whether there is TLS.
                await reader.readexactly(8)
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(context)
                there_reader, there_writer = await asyncio.open_connection(parts.hostname, parts.port)
                try:
                    await asyncio.gather(_pipe(reader, there_writer), _pipe(there_reader, writer))
                finally:
                    there_writer.close()
            writer.close()
            jobs.discard(task)

        server = await asyncio.start_server(serve, address, 0)
        port = server.sockets[0].getsockname()[1]
        place = f"{parts.netloc.rpartition('@')[0]}@{'localhost' if address == '127.0.0.1' else address}:{port}"
        try:
            yield cls(urlunsplit((parts.scheme, place, parts.path, "", "")))
        finally:
            server.close()
            for job in list(jobs):
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
