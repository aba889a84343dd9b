"""A bucket of Google Cloud Storage, by Google's own library.

Credentials come from GOOGLE_APPLICATION_CREDENTIALS (keys, workload identity), from gcloud's application default, or
from the machine. An emulator is found by VAGUS_UPLOAD_ENDPOINT or STORAGE_EMULATOR_HOST. The library is an extra, since
it is larger than all the rest of what is needed for uploads: `pip install "vagus-tui[gcs]"`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from vagus_tui.backup.bucket import Cause, RemoteObject
from vagus_tui.backup.retrying import Retrying

T = TypeVar("T")

LIBRARY = "google.cloud.storage"
CHUNK = 2 << 20
"""Bytes of one request of an upload. Each must be sent within the time limit, also on a slow line."""
_REQUEST_SECONDS = 60
_LONGEST_PAUSE = 5.0
_KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"


def installed() -> bool:
    """Whether Google's library is there."""
    try:
        return importlib.util.find_spec(LIBRARY) is not None
    except ModuleNotFoundError:
        return False


class GoogleBucket:
    """See `Bucket`. The library is synchronous: every request is made by a thread."""

    def __init__(self, bucket: str, folder: str, *, endpoint: str, retrying: Retrying) -> None:
        self._name = bucket
        self._prefix = f"{folder}/" if folder else ""
        self._endpoint = endpoint
        self._retrying = retrying
        self._opened: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def _bucket(self) -> Any:
        """The opened bucket. Only when it is first needed, in a thread: to look for credentials may take seconds.

        Raises what `google.auth` raises.
        """
        if self._opened is None:
            from google.auth.credentials import AnonymousCredentials
            from google.cloud import storage

            options = {"client_options": {"api_endpoint": self._endpoint}} if self._endpoint else {}
            # Over a line that is not encrypted no credentials are sent: what listens there is an emulator.
            anonymous = AnonymousCredentials() if self._endpoint.startswith("http://") else None
            client = storage.Client(project=None, credentials=anonymous, **options)
            self._opened = client.bucket(self._name)
        return self._opened

    @functools.cached_property
    def _often(self) -> dict[str, Any]:
        """How long a request may take, and how long it is tried again."""
        from google.cloud.storage.retry import DEFAULT_RETRY

        patience = self._retrying.patience_seconds
        again = DEFAULT_RETRY.with_timeout(patience).with_delay(initial=1.0, maximum=_LONGEST_PAUSE, multiplier=2.0)

        def telling(request: Callable[[], Any]) -> Callable[[], Any]:
            tried: Callable[[], Any] = again(request, self._tried)
            return tried

        return {"timeout": min(_REQUEST_SECONDS, patience), "retry": telling}

    def _tried(self, error: Exception) -> None:
        """In a request's thread: a try failed of which the library thinks that it may be made again."""
        why, loop = _why(error), self._loop
        with contextlib.suppress(RuntimeError):
            if loop is not None:
                loop.call_soon_threadsafe(self._retrying.failed, why)

    async def _asked(self, work: Callable[[], T]) -> T:
        """The answer to a request, which a thread makes."""
        self._loop = asyncio.get_running_loop()
        answer = await _threaded(work)
        self._retrying.answered()
        return answer

    def _blob(self, name: str) -> Any:
        return self._bucket().blob(self._prefix + name, chunk_size=CHUNK)

    async def size(self, name: str) -> int | None:
        """See `Bucket.size`."""

        def ask() -> int | None:
            found = self._bucket().get_blob(self._prefix + name, **self._often)
            return None if found is None else int(found.size)

        return await self._asked(ask)

    async def put(self, name: str, data: bytes) -> None:
        """See `Bucket.put`."""

        def write() -> None:
            with _needs_the_bucket_alone():
                self._blob(name).upload_from_string(
                    data, content_type="application/octet-stream", checksum="auto", **self._often
                )

        await self._asked(write)

    async def send(self, name: str, pieces: AsyncIterator[bytes], size: int) -> None:
        """See `Bucket.send`: a resumable upload, whose chunks are each tried again; the library compares checksums.

        The size is not told to the library, so that it cannot finish the object before `pieces` has come to its end.
        """
        source = _Stream(pieces, asyncio.get_running_loop())

        def write() -> None:
            self._blob(name).upload_from_file(
                source, size=None, content_type="application/octet-stream", checksum="auto", **self._often
            )

        try:
            await self._asked(write)
        except CancelledError:
            raise asyncio.CancelledError from None

    async def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See `Bucket.get`."""
        last = None if end is None else end - 1

        def read() -> bytes:
            data: bytes = self._blob(name).download_as_bytes(
                start=start or None,
                end=last,
                raw_download=True,
                checksum="auto" if end is None else None,
                **self._often,
            )
            return data

        return await self._asked(read)

    async def delete(self, name: str) -> None:
        """See `Bucket.delete`."""
        await self._asked(lambda: self._blob(name).delete(**self._often))

    async def names(self) -> list[RemoteObject]:
        """See `Bucket.names`."""

        def ask() -> list[RemoteObject]:
            with _needs_the_bucket_alone():
                found = self._bucket().list_blobs(prefix=self._prefix or None, **self._often)
                return [RemoteObject(blob.name[len(self._prefix) :], int(blob.size), blob.updated) for blob in found]

        return await self._asked(ask)

    def cause(self, error: Exception) -> Cause | None:
        """See `Bucket.cause`: by the kind of error, never by its text."""
        from google.api_core import exceptions as answers
        from google.auth import exceptions as access
        from google.cloud.storage.exceptions import DataCorruption, InvalidResponse

        known: tuple[tuple[type[Exception], Cause], ...] = (
            (_NoBucketError, Cause.NO_BUCKET),
            (answers.NotFound, Cause.MISSING),
            (answers.Unauthorized, Cause.WRONG_CREDENTIALS),
            (answers.Forbidden, Cause.DENIED),
            (access.RefreshError, Cause.WRONG_CREDENTIALS),
            # A key file that was named and cannot be read or used is not the same as none.
            (
                access.DefaultCredentialsError,
                Cause.WRONG_CREDENTIALS if os.environ.get(_KEY_FILE) else Cause.NO_CREDENTIALS,
            ),
        )
        for kind, cause in known:
            if isinstance(error, kind):
                return cause
        others = answers.GoogleAPIError, access.GoogleAuthError, DataCorruption, InvalidResponse, OSError, ValueError
        return Cause.BROKEN if isinstance(error, others) else None


def _why(error: Exception) -> str:
    """Why a try failed, by the kind of error and never by its text."""
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return f"it answered with status {int(code)}"
    if "Timeout" in type(error).__name__:
        return "it did not answer in time"
    return "the connection broke or was not possible"


class _NoBucketError(Exception):
    """There is no such bucket."""


@contextlib.contextmanager
def _needs_the_bucket_alone() -> Iterator[None]:
    """For requests that need no object to be there: what they do not find is the bucket."""
    from google.api_core.exceptions import NotFound

    try:
        yield
    except NotFound:
        raise _NoBucketError from None


async def _threaded(work: Callable[[], T]) -> T:
    """What `work` returns. Its thread is one that the program's end does not wait for: it may hang in a request."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def tell(value: T | None, error: BaseException | None) -> None:
        if outcome.done():
            return
        if error is None:
            outcome.set_result(value)  # type: ignore[arg-type]
        else:
            outcome.set_exception(error)

    def run() -> None:
        value, failed = None, None
        try:
            value = work()
        except BaseException as error:
            failed = error
        # Nobody listens any more when the loop is gone.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, value, failed)

    threading.Thread(target=run, name="google storage", daemon=True).start()
    return await outcome


class _Stream:
    """The pieces of an asynchronous stream, as the file that the library reads in its thread."""

    def __init__(self, pieces: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._pieces = pieces
        self._loop = loop
        self._rest = b""
        self._at = 0

    def tell(self) -> int:
        """How many bytes were read."""
        return self._at

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer only at the end; raises what the stream raises."""
        while len(self._rest) < size:
            piece = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if not piece:
                break
            self._rest += piece
        data, self._rest = self._rest[:size], self._rest[size:]
        self._at += len(data)
        return data

    async def _next(self) -> bytes:
        return await anext(self._pieces, b"")
