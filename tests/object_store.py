"""A server on this machine that speaks S3's protocol, for the uploads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from tests.listening import connected_to, listening, pass_on
from vagus_tui.settings import Settings

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "kept-to-yourself", "AWS_REGION": "us-east-1"}
"""Credentials as the tools of AWS have them in the environment."""
_ANYBODY = "AWS4-HMAC-SHA256 Credential=key/20260301/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
_SERVER = """
import os, sys, threading
from moto.server import main
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""
"""It ends with whoever started it, also when that one is killed: its stdin ends then."""


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """The running server. `bucket` makes one; `get` and `put` go past everything under test."""

    port: int

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def _ask(self, method: str, path: str, data: bytes | None = None) -> bytes:
        # Unsigned, which it takes as long as it asks nobody for credentials.
        headers = {"Authorization": _ANYBODY, "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(f"{self.endpoint}/{path}", method=method, data=data, headers=headers)
        with urllib.request.urlopen(request) as answer:
            body: bytes = answer.read()
            return body

    def bucket(self, name: str) -> None:
        """Make a bucket."""
        self._ask("PUT", name)

    def put(self, path: str, data: bytes) -> None:
        """Write an object; the path begins with the bucket."""
        self._ask("PUT", path, data)

    def get(self, path: str) -> bytes:
        """Read an object."""
        return self._ask("GET", path)

    def unfinished(self, bucket: str) -> int:
        """Uploads in parts that were neither finished nor taken back."""
        return self._ask("GET", f"{bucket}?uploads").count(b"<UploadId>")

    def forbid_writing(self, bucket: str) -> None:
        """Deny everybody to write into a bucket."""
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket}/*",
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self._ask("PUT", f"{bucket}?policy", json.dumps(policy).encode())

    @contextlib.contextmanager
    def asking_for_credentials(self) -> Iterator[None]:
        """Only known keys are let in, and it knows none."""
        self._ask("POST", "moto-api/reset-auth", b"0")
        try:
            yield
        finally:
            self._ask("POST", "moto-api/reset-auth", b"inf")

    def settings(self, base: Settings, url: str, endpoint: str = "") -> Settings:
        """Settings that upload there."""
        return base.model_copy(update={"upload_url": url, "upload_endpoint": endpoint or self.endpoint})


@contextlib.contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Start the server, and stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-W", "ignore", "-c", _SERVER, str(port)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        assert process.poll() is None, "the object store did not start"
        yield ObjectStore(port)
    finally:
        process.terminate()
        process.communicate()


class Line:
    """A way to the object store that can be cut, or held: then nothing goes through and nothing breaks."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.cut = False
        self._open = asyncio.Event()
        self._open.set()
        self._held: list[asyncio.Event] = []
        self._hold_next = False
        self._writers: set[asyncio.StreamWriter] = set()

    def mend(self) -> None:
        """Let connections through again."""
        self.cut = False

    def hold(self) -> None:
        """Pass nothing on any more, and break nothing either."""
        self._open.clear()

    def hold_next(self) -> None:
        """Do so with the next connection alone."""
        self._held.append(asyncio.Event())
        self._hold_next = True

    def cut_now(self) -> None:
        """Break every connection and let none through."""
        self.cut = True
        for held in (*self._held, self._open):
            held.set()
        for writer in self._writers:
            writer.transport.abort()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        if self.cut:
            writer.transport.abort()
            return
        async with connected_to("127.0.0.1", self.target) as (there_reader, there_writer):
            writers = {writer, there_writer}
            self._writers |= writers
            through, self._hold_next = self._held[-1] if self._hold_next else self._open, False
            await asyncio.gather(pass_on(reader, there_writer, through), pass_on(there_reader, writer, through))
            self._writers -= writers


@contextlib.asynccontextmanager
async def line_to(store: ObjectStore) -> AsyncIterator[Line]:
    """A way to the object store, for the length of a block."""
    line = Line(store.port)
    async with listening(line.connected) as port:
        line.port = port
        yield line
