"""A bucket of S3, or of a server that speaks S3's protocol.

Keys come from the environment (AWS_*), from the shared files of the AWS tools (~/.aws, AWS_PROFILE), or from the
machine's role.
"""

from __future__ import annotations

import asyncio
import configparser
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from vagus_tui.backup.bucket import Cause, RemoteObject
from vagus_tui.backup.retrying import Retrying

if TYPE_CHECKING:
    from obstore.store import S3Store

PART = 8 << 20
"""Bytes of one part; S3 takes ten thousand parts, so larger files have larger ones."""
_MOST_PARTS = 9_000
_AT_ONCE = 4
_LONGEST_PAUSE = 5.0
_PART_RETRIES = 1_000
"""Of a part: not their number ends them but the time that is given."""
_STALL_SECONDS = 5.0
"""When nothing of a large file was taken for so long, it is asked whether anybody is there."""
_STATUS = re.compile(r"status(?: code)?:? (\d{3})", re.IGNORECASE)
_LATE = re.compile(r"kind: Timeout|TimedOut|operation timed out")
_CONNECT_SECONDS = 10
# One part on a slow line; the default of half a minute would end uploads that do move.
_REQUEST_SECONDS = 300
T = TypeVar("T")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class S3Bucket:
    """See `Bucket`."""

    def __init__(self, bucket: str, folder: str, *, endpoint: str, retrying: Retrying) -> None:
        """Raises whatever the library says of settings that it cannot use; that may repeat a key."""
        from obstore.store import S3Store

        amazon: dict[str, Any] = {**aws_profile(), "checksum_algorithm": "SHA256"}
        if endpoint:
            amazon["endpoint"] = endpoint
        where = endpoint or next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
        patience = retrying.patience_seconds
        self._retrying = retrying

        def opened(retries: int) -> S3Store:
            return S3Store(
                bucket,
                prefix=folder or None,
                config=amazon,  # type: ignore[arg-type]
                client_options={
                    "allow_http": where.startswith("http://"),
                    "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, patience)),
                    "timeout": timedelta(seconds=_REQUEST_SECONDS),
                },
                retry_config={
                    "max_retries": retries,
                    "retry_timeout": timedelta(seconds=patience),
                    "backoff": {"max_backoff": timedelta(seconds=_LONGEST_PAUSE)},
                },
            )

        # The library tries again without a word, which only the parts of a large file need: nobody else can send one
        # of them again.
        self._once, self._parts = opened(0), opened(_PART_RETRIES)

    async def _patiently(self, request: Callable[[], Awaitable[T]]) -> T:
        """Make a request, again and again as long as what is in the way may pass, and say so."""
        pause, begun = 0.5, time.monotonic()
        while True:
            try:
                answer = await request()
            except Exception as error:
                why = self._passing(error)
                if why is None:
                    self._retrying.answered()
                if why is None or time.monotonic() + pause - begun > self._retrying.patience_seconds:
                    raise
                self._retrying.failed(why)
            else:
                self._retrying.answered()
                return answer
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _passing(self, error: Exception) -> str | None:
        """Why a request failed, where that may pass; None where another try would fare no better."""
        if self.cause(error) is not Cause.BROKEN:
            return None
        text = str(error)
        if isinstance(error, TimeoutError):
            return "it did not answer in time"
        if (found := _STATUS.search(text)) is not None:
            code = int(found[1])
            return f"it answered with status {code}" if code >= 500 or code in (408, 429) else None
        if _LATE.search(text):
            return "it did not answer in time"
        return "the connection broke or was not possible"

    async def size(self, name: str) -> int | None:
        """See `Bucket.size`."""
        import obstore

        try:
            return int((await self._patiently(lambda: obstore.head_async(self._once, name)))["size"])
        except FileNotFoundError:
            return None

    async def put(self, name: str, data: bytes) -> None:
        """See `Bucket.put`."""
        import obstore

        await self._patiently(lambda: obstore.put_async(self._once, name, data, use_multipart=False))

    async def send(self, name: str, pieces: AsyncIterator[bytes], size: int) -> None:
        """See `Bucket.send`."""
        import obstore

        part = max(PART, -(-size // _MOST_PARTS))
        taken = time.monotonic()

        async def watched() -> AsyncIterator[bytes]:
            nonlocal taken
            async for piece in pieces:
                taken = time.monotonic()
                yield piece
            taken = time.monotonic()

        sending: asyncio.Future[Any] = asyncio.ensure_future(
            obstore.put_async(
                self._parts, name, watched(), use_multipart=True, chunk_size=part, max_concurrency=_AT_ONCE
            )
        )
        asking: asyncio.Future[Any] | None = None
        try:
            while not sending.done():
                await asyncio.wait({sending} if asking is None else {sending, asking}, timeout=1)
                if asking is not None and asking.done():
                    asking = None
                stalled = time.monotonic() - taken > _STALL_SECONDS
                if not stalled:
                    self._retrying.answered()
                elif self._retrying.exhausted:
                    # The library waits for minutes where a line is silent rather than broken.
                    raise TimeoutError
                elif asking is None:
                    asking = asyncio.ensure_future(self._ask_whether_there(name))
            await sending
            self._retrying.answered()
        finally:
            sending.cancel()
            if asking is not None:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async def _ask_whether_there(self, name: str) -> None:
        """A slow line takes parts slowly; one that is broken does not even answer, and then the parts wait for it."""
        import obstore

        patience = self._retrying.patience_seconds
        try:
            await asyncio.wait_for(obstore.head_async(self._once, name), min(_CONNECT_SECONDS, patience))
        except FileNotFoundError:
            self._retrying.answered()
        except Exception as error:
            if (why := self._passing(error)) is not None:
                self._retrying.failed(why)
                await asyncio.sleep(_LONGEST_PAUSE / 2)
        else:
            self._retrying.answered()

    async def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See `Bucket.get`."""
        import obstore

        async def ask() -> bytes:
            if end is None:
                return bytes(await (await obstore.get_async(self._once, name)).bytes_async())
            return bytes(await obstore.get_range_async(self._once, name, start=start, end=end))

        return await self._patiently(ask)

    async def delete(self, name: str) -> None:
        """See `Bucket.delete`."""
        import obstore

        await self._patiently(lambda: obstore.delete_async(self._once, name))

    async def names(self) -> list[RemoteObject]:
        """See `Bucket.names`."""
        import obstore

        async def ask() -> list[RemoteObject]:
            return [
                RemoteObject(item["path"], item["size"], item["last_modified"])
                async for page in obstore.list(self._once)
                for item in page
            ]

        return await self._patiently(ask)

    def cause(self, error: Exception) -> Cause | None:
        """See `Bucket.cause`: known causes by their codes."""
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        if not isinstance(error, BaseError | OSError | ValueError):
            return None
        text = str(error)

        def says(*codes: str) -> bool:
            return any(code in text for code in codes)

        if says("NoSuchBucket", "bucket does not exist"):
            return Cause.NO_BUCKET
        if says("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken"):
            return Cause.WRONG_CREDENTIALS
        if says("AccessDenied", "AllAccessDisabled") or isinstance(error, PermissionDeniedError | PermissionError):
            return Cause.DENIED
        if isinstance(error, UnauthenticatedError):
            return Cause.WRONG_CREDENTIALS
        if says("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"):
            return Cause.OTHER_REGION
        if says("169.254.", "metadata/identity", "InstanceCredential"):
            return Cause.NO_CREDENTIALS
        if isinstance(error, FileNotFoundError):
            return Cause.MISSING
        if says("QuotaExceeded", "EntityTooLarge", "InsufficientStorage"):
            return Cause.FULL
        return Cause.BROKEN


def aws_profile() -> dict[str, str]:
    """Keys and region from the AWS tools' shared files, for what the environment does not say."""
    found: dict[str, str] = {}
    profile = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE") or "default"
    keys = _section("AWS_SHARED_CREDENTIALS_FILE", "credentials", profile)
    config = _section("AWS_CONFIG_FILE", "config", profile if profile == "default" else f"profile {profile}")
    if not os.environ.get("AWS_ACCESS_KEY_ID"):
        names = {
            "aws_access_key_id": "access_key_id",
            "aws_secret_access_key": "secret_access_key",
            "aws_session_token": "session_token",
        }
        source = keys if "aws_access_key_id" in keys else config
        found |= {names[name]: value for name, value in source.items() if name in names}
    if not (os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")):
        region = config.get("region") or keys.get("region")
        found |= {"region": region} if region else {}
    return found


def _section(variable: str, name: str, section: str) -> dict[str, str]:
    path = Path(os.environ.get(variable) or Path("~/.aws").expanduser() / name).expanduser()
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        return dict(parser[section]) if section in parser else {}
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}
