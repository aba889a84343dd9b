"""A bucket of S3, or of a server that speaks S3's protocol.

Keys come from the environment (AWS_*), from the shared files of the AWS tools (~/.aws, AWS_PROFILE), or from the
machine's role.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vagus_tui.backup.bucket import Cause, RemoteObject

if TYPE_CHECKING:
    from obstore.store import S3Store

PART = 8 << 20
"""Bytes of one part; S3 takes ten thousand parts, so larger files have larger ones."""
_MOST_PARTS = 9_000
_AT_ONCE = 4
_RETRIES = 4
_CONNECT_SECONDS = 10
# One part on a slow line; the default of half a minute would end uploads that do move.
_REQUEST_SECONDS = 300
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class S3Bucket:
    """See `Bucket`."""

    def __init__(self, bucket: str, folder: str, *, endpoint: str, patience_seconds: int) -> None:
        """Raises whatever the library says of settings that it cannot use; that may repeat a key."""
        from obstore.store import S3Store

        amazon: dict[str, Any] = {**aws_profile(), "checksum_algorithm": "SHA256"}
        if endpoint:
            amazon["endpoint"] = endpoint
        where = endpoint or next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
        self._store: S3Store = S3Store(
            bucket,
            prefix=folder or None,
            config=amazon,  # type: ignore[arg-type]
            client_options={
                "allow_http": where.startswith("http://"),
                "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, patience_seconds)),
                "timeout": timedelta(seconds=_REQUEST_SECONDS),
            },
            retry_config={
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=patience_seconds),
                "backoff": {"max_backoff": timedelta(seconds=5)},
            },
        )

    async def size(self, name: str) -> int | None:
        """See `Bucket.size`."""
        import obstore

        try:
            return int((await obstore.head_async(self._store, name))["size"])
        except FileNotFoundError:
            return None

    async def put(self, name: str, data: bytes) -> None:
        """See `Bucket.put`."""
        import obstore

        await obstore.put_async(self._store, name, data, use_multipart=False)

    async def send(self, name: str, pieces: AsyncIterator[bytes], size: int) -> None:
        """See `Bucket.send`."""
        import obstore

        part = max(PART, -(-size // _MOST_PARTS))
        await obstore.put_async(
            self._store, name, pieces, use_multipart=True, chunk_size=part, max_concurrency=_AT_ONCE
        )

    async def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See `Bucket.get`."""
        import obstore

        if end is None:
            return bytes(await (await obstore.get_async(self._store, name)).bytes_async())
        return bytes(await obstore.get_range_async(self._store, name, start=start, end=end))

    async def delete(self, name: str) -> None:
        """See `Bucket.delete`."""
        import obstore

        await obstore.delete_async(self._store, name)

    async def names(self) -> list[RemoteObject]:
        """See `Bucket.names`."""
        import obstore

        return [
            RemoteObject(item["path"], item["size"], item["last_modified"])
            async for page in obstore.list(self._store)
            for item in page
        ]

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
