"""Where copies of the backup go, if anywhere."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.events import Status

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")


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


async def _upload_target(context: Context) -> Outcome:
    url = context.settings.upload_url
    if not url:
        return Outcome(
            Status.SKIP, "none set", "Backups stay on this machine. Set VAGUS_UPLOAD_URL to copy them off it."
        )
    if reason := unusable(url):
        return Outcome(Status.FAIL, "not usable", f"{reason} It has the form s3://bucket/folder or gs://bucket/folder.")
    return Outcome(Status.PASS, url, "Copies are made after the backup and read back.")


CHECKS = (
    Check(
        id="upload-target",
        group=Group.PREREQUISITES,
        title="Upload target",
        why="A backup on one machine is lost with it.",
        expected="s3:// or gs://",
        probe=_upload_target,
        guide="Backup Procedures · Upload Backups to Cloud Storage",
    ),
)
