"""A bucket of S3, or of a server that speaks S3's protocol.

Keys come from the environment (AWS_*), from the shared files of the AWS tools (~/.aws, AWS_PROFILE), or from the
machine's role.
"""

from __future__ import annotations

import asyncio
import configparser
import math
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
"""When nothing of a request came or went for so long, it is asked whether anybody is there."""
_SLOW_SECONDS = 15.0
"""When a request has not moved for so long, though somebody is there, that is said."""
_ANSWER_SECONDS = 20.0
"""What an answer may take that carries no data."""
_SLOWEST_LINE = 50_000
"""Bytes per second: a request with data on a slower line than that is given up and made again."""
_STATUS = re.compile(r"status(?: code)?:? (\d{3})", re.IGNORECASE)
_LATE = re.compile(r"kind: Timeout|TimedOut|operation timed out")
_CONNECT_SECONDS = 10
# One part on a slow line; the default of half a minute would end uploads that do move.
_REQUEST_SECONDS = 300.0
T = TypeVar("T")
_NO_OBJECT = ".vagus-tui-nothing"
"""To ask whether anybody is there, of a bucket of which no object is known."""
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

    async def _patiently(self, name: str, request: Callable[[], Awaitable[T]], carries: int = 0) -> T:
        """Make a request, again and again as long as what is in the way may pass, and say so.

        Args:
            name: an object that may be asked for when there is no answer.
            request: makes it.
            carries: the bytes of data that go with it, either way.
        """
        pause, since = 0.5, math.inf
        limit = min(_REQUEST_SECONDS, _ANSWER_SECONDS + carries / _SLOWEST_LINE)
        while True:
            try:
                return await self._attended(name, request(), limit=limit)
            except Exception as error:
                why = self._passing(error)
                if why is None:
                    self._retrying.answered()
                since = min(since, time.monotonic())
                late = time.monotonic() + pause - since > self._retrying.patience_seconds
                if why is None or late or self._retrying.exhausted:
                    raise
                self._retrying.failed(why)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _attended(
        self,
        name: str,
        request: Awaitable[T],
        *,
        moved: Callable[[], float] | None = None,
        limit: float = math.inf,
    ) -> T:
        """Wait for a request. Where nothing moves, it is asked whether anybody is there, and what comes of it is said.

        The library alone would wait for minutes, without a word, where a line is silent rather than broken.

        Args:
            name: an object that may be asked for.
            request: what is under way.
            moved: when it last moved, on the monotonic clock; None where that cannot be seen.
            limit: seconds after which a request that does not move is given up, whoever else is answered.

        Raises:
            TimeoutError: nothing was answered for as long as was promised, or this request was not within its limit.
        """
        work: asyncio.Future[T] = asyncio.ensure_future(request)
        asking: asyncio.Future[bool] | None = None
        seen = heard = time.monotonic()
        try:
            while not work.done():
                waiting: set[asyncio.Future[Any]] = {work} if asking is None else {work, asking}
                await asyncio.wait(waiting, timeout=min(1.0, _STALL_SECONDS))
                now = time.monotonic()
                if moved is not None and (last := moved()) > seen:
                    seen = heard = last
                    self._retrying.answered()
                if asking is not None and asking.done():
                    heard, asking = now if asking.result() else heard, None
                silent = now - seen
                if work.done() or silent <= _STALL_SECONDS:
                    continue
                if silent > limit or self._retrying.exhausted:
                    raise TimeoutError
                if heard > seen and silent > _SLOW_SECONDS:
                    self._retrying.waiting(silent, limit)
                if asking is None:
                    asking = asyncio.ensure_future(self._somebody_is_there(name, heard))
            answer = await work
            self._retrying.answered()
            return answer
        finally:
            work.cancel()
            if asking is not None:
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)

    async def _somebody_is_there(self, name: str, heard: float) -> bool:
        """A slow line moves slowly; one that is broken does not even answer. It takes its time, so as not to insist."""
        import obstore

        patience = self._retrying.patience_seconds
        why: str | None = None
        try:
            await asyncio.wait_for(obstore.head_async(self._once, name), min(_CONNECT_SECONDS, patience))
        except FileNotFoundError:
            # That, too, is an answer.
            pass
        except Exception as error:
            why = self._passing(error)
        if why is None:
            self._retrying.answered()
        else:
            self._retrying.failed(why, heard)
        await asyncio.sleep(_LONGEST_PAUSE / 2)
        return why is None

    def _passing(self, error: Exception) -> str | None:
        """Why a request failed, where that may pass; None where another try would fare no better."""
        if self.cause(error) is not Cause.BROKEN:
            return None
        text = str(error)
        if isinstance(error, TimeoutError):
            return "it did not answer in time"
        if (status := answered_status(text)) is not None:
            return f"it answered with status {status}"
        if _LATE.search(text):
            return "it did not answer in time"
        return "the connection broke or was not possible"

    async def size(self, name: str) -> int | None:
        """See `Bucket.size`."""
        import obstore

        try:
            return int((await self._patiently(name, lambda: obstore.head_async(self._once, name)))["size"])
        except FileNotFoundError:
            return None

    async def put(self, name: str, data: bytes) -> None:
        """See `Bucket.put`."""
        import obstore

        await self._patiently(
            name, lambda: obstore.put_async(self._once, name, data, use_multipart=False), carries=len(data)
        )

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

        sending = obstore.put_async(
            self._parts, name, watched(), use_multipart=True, chunk_size=part, max_concurrency=_AT_ONCE
        )
        await self._attended(name, sending, moved=lambda: taken)

    async def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See `Bucket.get`."""
        import obstore

        async def ask() -> bytes:
            if end is None:
                return bytes(await (await obstore.get_async(self._once, name)).bytes_async())
            return bytes(await obstore.get_range_async(self._once, name, start=start, end=end))

        return await self._patiently(name, ask, carries=PART if end is None else end - start)

    async def delete(self, name: str) -> None:
        """See `Bucket.delete`."""
        import obstore

        await self._patiently(name, lambda: obstore.delete_async(self._once, name))

    async def names(self) -> list[RemoteObject]:
        """See `Bucket.names`."""
        import obstore

        async def ask() -> list[RemoteObject]:
            return [
                RemoteObject(item["path"], item["size"], item["last_modified"])
                async for page in obstore.list(self._once)
                for item in page
            ]

        # Page after page: as long as so much data.
        return await self._patiently(_NO_OBJECT, ask, carries=PART)

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
        if says("ExpiredToken"):
            return Cause.EXPIRED_CREDENTIALS
        if says("RequestTimeTooSkewed"):
            return Cause.CLOCK
        if says("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken"):
            return Cause.WRONG_CREDENTIALS
        if says("AccessDenied", "AllAccessDisabled") or isinstance(error, PermissionDeniedError | PermissionError):
            return Cause.DENIED
        if isinstance(error, UnauthenticatedError):
            return Cause.WRONG_CREDENTIALS
        if says(
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraint",
            "redirect without LOCATION",
        ):
            return Cause.OTHER_REGION
        if says("169.254.", "metadata/identity", "InstanceCredential"):
            return Cause.NO_CREDENTIALS
        if isinstance(error, FileNotFoundError):
            return Cause.MISSING
        if says("QuotaExceeded", "EntityTooLarge", "InsufficientStorage"):
            return Cause.FULL
        status = answered_status(text)
        # What it has no mind to do now or ever, such as with a key that was disabled; trying again helps nobody.
        refused = status is not None and status < 500 and status not in (408, 429)
        return Cause.REFUSED if refused else Cause.BROKEN


def answered_status(text: str) -> int | None:
    """The status of the answer that an error tells of, if there was one."""
    found = _STATUS.search(text)
    return None if found is None else int(found[1])


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
