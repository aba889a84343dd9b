"""Where copies of backups go: a bucket of S3 or of Google Cloud Storage, opened with the credentials of its own tools.

None of them is ever shown: of what a server or a library says, only known causes are told, in our own words.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from vagus_tui.backup import google_bucket
from vagus_tui.backup.bucket import Bucket, Cause
from vagus_tui.backup.google_bucket import GoogleBucket
from vagus_tui.backup.retrying import Retrying, Tell
from vagus_tui.backup.s3_bucket import S3Bucket
from vagus_tui.errors import ConfigurationError, RefusedError, VagusError
from vagus_tui.settings import Settings

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_FORM = "It has the form s3://bucket/folder or gs://bucket/folder."
RETRY_SECONDS = 60
"""How long requests that fail are tried again."""


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

    store: Bucket
    scheme: str
    bucket: str
    folder: str

    def address(self, name: str = "") -> str:
        """The address of something in it, for people; it holds no secret."""
        return "/".join(part for part in (f"{self.scheme}://{self.bucket}", self.folder, name) if part)

    @property
    def cloud(self) -> str:
        """Whose it is."""
        return _cloud(self.scheme)


def _cloud(scheme: str) -> str:
    return "Google Cloud Storage" if scheme == "gs" else "S3"


def open_remote(settings: Settings, *, patience_seconds: int = RETRY_SECONDS, tell: Tell | None = None) -> Remote:
    """Open the bucket that the settings name. Nothing is sent yet.

    Args:
        patience_seconds: how long requests that fail are tried again.
        tell: hears of each try that failed, and when there are answers again.

    Raises:
        ConfigurationError: no address is set, or it cannot be used, or Google's library is not there.
    """
    url = settings.upload_url
    if not url:
        raise ConfigurationError("No upload target is set.", next_step=f"Set VAGUS_UPLOAD_URL. {_FORM}")
    if reason := unusable(url):
        raise ConfigurationError(reason, next_step=_FORM)
    parts = urlsplit(url)
    if parts.scheme == "gs" and not google_bucket.installed():
        raise ConfigurationError(
            "Google's library, which copies to gs:// need, is not installed.",
            next_step='Install it: pip install "google-cloud-storage>=3,<4". Or copy to S3 instead.',
        )
    folder = "/".join(part for part in parts.path.split("/") if part)
    kind = GoogleBucket if parts.scheme == "gs" else S3Bucket
    retrying = Retrying(_cloud(parts.scheme), patience_seconds)
    if tell is not None:
        retrying.tell = tell
    try:
        bucket = kind(parts.netloc, folder, endpoint=settings.upload_endpoint, retrying=retrying)
    except Exception:
        # The library repeats in its errors what it was given: a broken key among it.
        raise ConfigurationError(
            "The credentials or the endpoint for the upload cannot be used.",
            next_step="Check the cloud's settings in the environment (AWS_* or GOOGLE_*) and VAGUS_UPLOAD_ENDPOINT.",
        ) from None
    return Remote(bucket, parts.scheme, parts.netloc, folder)


@contextlib.contextmanager
def explained(remote: Remote) -> Iterator[None]:
    """Turn what the library raises into the family of errors that is shown.

    Raises:
        RefusedError: no such bucket, not ours to write, wrong credentials.
        UploadFailedError: anything else that went wrong on the way.
    """
    try:
        yield
    except VagusError:
        raise
    except Exception as error:
        if (cause := remote.store.cause(error)) is None:
            raise
        raise _explanation(remote, cause, _answer(str(error))) from None


_STATUS = re.compile(r"status(?: code)?:? ([1-5]\d\d)", re.IGNORECASE)
_CODE = re.compile(r"<Code>([A-Za-z.]{1,40})</Code>")


def _answer(text: str) -> str:
    """The status of an answer, and the word that stands for its reason, of all that an error says; "" where none."""
    status, code = _STATUS.search(text), _CODE.search(text)
    return ", ".join([*([f"status {status[1]}"] if status else []), *([code[1]] if code else [])])


def _explanation(remote: Remote, cause: Cause, answer: str) -> VagusError:
    where, amazon = remote.address(), remote.scheme == "s3"
    match cause:
        case Cause.NO_BUCKET:
            return RefusedError(
                f"There is no bucket named “{remote.bucket}” ({remote.cloud}).",
                next_step="Make it, or correct VAGUS_UPLOAD_URL.",
            )
        case Cause.WRONG_CREDENTIALS:
            return RefusedError(
                f"{remote.cloud} does not accept the credentials.",
                next_step="Check the key and its secret: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, or the profile."
                if amazon
                else "Check GOOGLE_APPLICATION_CREDENTIALS, or log in again: gcloud auth application-default login",
            )
        case Cause.EXPIRED_CREDENTIALS:
            return RefusedError(
                f"The credentials for {remote.cloud} have expired.",
                next_step="Get new ones from where these came from (aws sso login, or a new AWS_SESSION_TOKEN).",
            )
        case Cause.CLOCK:
            return RefusedError(
                f"{remote.cloud} refuses requests of this time: this machine's clock is too far off.",
                next_step="Set the clock, then start again.",
            )
        case Cause.NO_CREDENTIALS:
            return RefusedError(
                f"No credentials for {remote.cloud} were found.",
                next_step="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with AWS_PROFILE."
                if amazon
                else "Set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run: gcloud auth application-default login",
            )
        case Cause.DENIED:
            return RefusedError(
                f"{where} is not ours to write: {remote.cloud} denies the access.",
                next_step="Ask for the right to put, get, list and delete objects there, or use another bucket.",
            )
        case Cause.OTHER_REGION:
            return RefusedError(
                f"The bucket “{remote.bucket}” is in another region.",
                next_step="Set AWS_REGION to the bucket's region.",
            )
        case Cause.MISSING:
            return UploadFailedError(f"Something is missing at {where} that was there before.", state="")
        case Cause.FULL:
            return UploadFailedError(f"{where} takes no more.", next_step="Make room there, then start again.")
        case Cause.REFUSED:
            return UploadFailedError(
                f"{remote.cloud} refuses the request ({where}): {answer}.",
                state="What had arrived there stays; the backup on this machine is as it was.",
                next_step="See what the bucket demands (keys of its own, retention, versions), or use another one.",
            )
        case Cause.BROKEN:
            return UploadFailedError(
                f"{remote.cloud} does not take it now ({where}): {answer}."
                if answer
                else f"The connection to {remote.cloud} broke or was not possible ({where}).",
                state="What had arrived there stays; the backup on this machine is as it was.",
                next_step="Check the network and the endpoint, then start again: what is there is not sent again.",
            )
