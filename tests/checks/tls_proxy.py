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

from tests.listening import connected_to, listening, pass_on

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

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # The client first asks in the clear whether there is TLS.
            await reader.readexactly(8)
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(context)
            async with connected_to(parts.hostname, parts.port) as (there_reader, there_writer):
                await asyncio.gather(pass_on(reader, there_writer), pass_on(there_reader, writer))

        async with listening(serve, address) as port:
            host = "localhost" if address == "127.0.0.1" else address
            place = f"{parts.netloc.rpartition('@')[0]}@{host}:{port}"
            yield cls(urlunsplit((parts.scheme, place, parts.path, "", "")))
