"""Where copies of backups go: an S3 or Google Cloud Storage bucket, opened with the credentials of its own tools.

S3 keys come from the environment (AWS_*), from the shared files of the AWS tools (~/.aws, AWS_PROFILE), or from the
machine's role; Google's from GOOGLE_APPLICATION_CREDENTIALS, from gcloud's application default, or from the machine.
None of them is ever shown: of what a server or the library says, only known causes are told, in our own words.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from vagus_tui.errors import ConfigurationError, RefusedError, VagusError
from vagus_tui.settings import Settings

if TYPE_CHECKING:
    from obstore.store import GCSStore, S3Store

    Store: TypeAlias = GCSStore | S3Store

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_FORM = "It has the form s3://bucket/folder or gs://bucket/folder."
_RETRIES = 4
_RETRY_SECONDS = 60
_CONNECT_SECONDS = 10
# One part on a slow line; the default of half a minute would end uploads that do move.
_REQUEST_SECONDS = 300


class UploadFailedError(VagusError):
    """A copy could not be made, or is not what was sent. The backup on this machine is as it was."""

    exit_status = 3


def unusable(url: str) -> str | None:
    """Why an upload address cannot be used, in one sentence that does not repeat it, or None."""
    try:
        parts = urlsplit(url)
        bucket = parts.hostname or ""
    except ValueError:
        return "VAGUS_UPLOAD_URL is not an address."
    if parts.scheme not in ("s3", "gs"):
        return "VAGUS_UPLOAD_URL must begin with s3:// or gs://."
    if parts.username or parts.password or parts.query or parts.fragment:
        return "VAGUS_UPLOAD_URL must hold the bucket and a folder only; keys come from the cloud's own settings."
    if bucket != parts.netloc or not _BUCKET.fullmatch(bucket):
        return "VAGUS_UPLOAD_URL does not name a bucket (lower-case letters, digits, dots, dashes)."
    return None


@dataclass(frozen=True, slots=True)
class Remote:
    """An opened bucket, at the folder of the settings' address; names are below that folder."""

    store: Store
    scheme: str
    bucket: str
    folder: str

    def address(self, name: str = "") -> str:
        """The address of something in it, for people; it holds no secret."""
        return "/".join(part for part in (f"{self.scheme}://{self.bucket}", self.folder, name) if part)

    @property
    def cloud(self) -> str:
        """Whose it is."""
        return "Google Cloud Storage" if self.scheme == "gs" else "S3"


def open_remote(settings: Settings, *, patience_seconds: int = _RETRY_SECONDS) -> Remote:
    """Open the bucket that the settings name. Nothing is sent yet.

    Args:
        patience_seconds: how long requests that fail are tried again.

    Raises:
        ConfigurationError: no address is set, or it cannot be used.
    """
    url = settings.upload_url
    if not url:
        raise ConfigurationError("No upload target is set.", next_step=f"Set VAGUS_UPLOAD_URL. {_FORM}")
    if reason := unusable(url):
        raise ConfigurationError(reason, next_step=_FORM)
    from obstore.store import GCSStore, S3Store

    parts = urlsplit(url)
    folder = "/".join(part for part in parts.path.split("/") if part)
    endpoint = settings.upload_endpoint
    common: dict[str, Any] = {
        "prefix": folder or None,
        "client_options": {
            "allow_http": _endpoint(endpoint, parts.scheme).startswith("http://"),
            "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, patience_seconds)),
            "timeout": timedelta(seconds=_REQUEST_SECONDS),
        },
        "retry_config": {
            "max_retries": _RETRIES,
            "retry_timeout": timedelta(seconds=patience_seconds),
            "backoff": {"max_backoff": timedelta(seconds=5)},
        },
    }
    store: Store
    try:
        if parts.scheme == "gs":
            google: dict[str, Any] = {"base_url": endpoint} if endpoint else {}
            store = GCSStore(parts.netloc, config=google, **common)  # type: ignore[arg-type]
        else:
            amazon: dict[str, Any] = {**aws_profile(), "checksum_algorithm": "SHA256"}
            if endpoint:
                amazon["endpoint"] = endpoint
            store = S3Store(parts.netloc, config=amazon, **common)  # type: ignore[arg-type]
    except Exception:
        # The library repeats in its errors what it was given: a broken key file among it.
        raise ConfigurationError(
            "The credentials or the endpoint for the upload cannot be used.",
            next_step="Check the cloud's settings in the environment (AWS_* or GOOGLE_*) and VAGUS_UPLOAD_ENDPOINT.",
        ) from None
    return Remote(store, parts.scheme, parts.netloc, folder)


def _endpoint(endpoint: str, scheme: str) -> str:
    """The endpoint that counts: ours, or that of the cloud's own settings."""
    names = ("GOOGLE_BASE_URL",) if scheme == "gs" else ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
    return endpoint or next((os.environ[name] for name in names if os.environ.get(name)), "")


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


@contextlib.contextmanager
def explained(remote: Remote) -> Iterator[None]:
    """Turn what the library raises into the family of errors that is shown.

    Raises:
        RefusedError: no such bucket, not ours to write, wrong credentials.
        UploadFailedError: anything else that went wrong on the way.
    """
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError, PermissionError, ValueError, OSError) as error:
        raise _explanation(remote, error) from None


def _has(text: str, *codes: str) -> bool:
    return any(code in text for code in codes)


def _explanation(remote: Remote, error: Exception) -> VagusError:
    """Known causes by their codes; the text itself may repeat headers and is not shown."""
    from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

    text, where = str(error), remote.address()
    if _has(text, "NoSuchBucket", "bucket does not exist"):
        return RefusedError(
            f"There is no bucket named “{remote.bucket}” ({remote.cloud}).",
            next_step="Make it, or correct VAGUS_UPLOAD_URL.",
        )
    if _has(text, "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "invalid_grant"):
        return _wrong_credentials(remote)
    if _has(text, "AccessDenied", "AllAccessDisabled") or isinstance(error, PermissionDeniedError | PermissionError):
        return RefusedError(
            f"{where} is not ours to write: {remote.cloud} denies the access.",
            next_step="Ask for the right to put, get, list and delete objects there, or use another bucket.",
        )
    if isinstance(error, UnauthenticatedError):
        return _wrong_credentials(remote)
    if _has(text, "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"):
        return RefusedError(
            f"The bucket “{remote.bucket}” is in another region.", next_step="Set AWS_REGION to the bucket's region."
        )
    if _has(text, "169.254.", "metadata.google", "metadata/identity", "InstanceCredential"):
        return RefusedError(
            f"No credentials for {remote.cloud} were found.",
            next_step="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with AWS_PROFILE."
            if remote.scheme == "s3"
            else "Name a key file with GOOGLE_APPLICATION_CREDENTIALS, or run: gcloud auth application-default login",
        )
    if isinstance(error, FileNotFoundError):
        return UploadFailedError(f"Something is missing at {where} that was there before.", state="")
    if _has(text, "QuotaExceeded", "EntityTooLarge", "InsufficientStorage"):
        return UploadFailedError(f"{where} takes no more.", next_step="Make room there, then start again.")
    return UploadFailedError(
        f"The connection to {remote.cloud} broke or was not possible ({where}).",
        state="What had arrived there stays; the backup on this machine is as it was.",
        next_step="Check the network and the endpoint, then start again: what is there already is not sent again.",
    )


def _wrong_credentials(remote: Remote) -> RefusedError:
    return RefusedError(
        f"{remote.cloud} does not accept the credentials.",
        next_step="Check the access key and its secret: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the profile."
        if remote.scheme == "s3"
        else "Check GOOGLE_APPLICATION_CREDENTIALS, or log in again: gcloud auth application-default login",
    )
