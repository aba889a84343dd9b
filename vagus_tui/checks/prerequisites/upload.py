"""Where copies of the backup go, if anywhere."""

from __future__ import annotations

import asyncio

from vagus_tui.backup.remote import open_remote
from vagus_tui.backup.upload import probe_target
from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.errors import VagusError, sentences
from vagus_tui.events import Status

PATIENCE_SECONDS = 10


async def _upload_target(context: Context) -> Outcome:
    url = context.settings.upload_url
    if not url:
        return Outcome(
            Status.SKIP, "none set", "Backups stay on this machine. Set VAGUS_UPLOAD_URL to copy them off it."
        )
    try:
        remote = open_remote(context.settings, patience_seconds=PATIENCE_SECONDS)
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            await probe_target(remote)
    except VagusError as error:
        return Outcome(Status.FAIL, "not usable", sentences(error.happened, error.next_step))
    except TimeoutError:
        return Outcome(Status.FAIL, "no answer", f"{remote.address()} did not answer within {2 * PATIENCE_SECONDS} s.")
    return Outcome(
        Status.PASS, remote.address(), "A small object was put there, read back and deleted with the same bytes."
    )


CHECKS = (
    Check(
        id="upload-target",
        group=Group.PREREQUISITES,
        title="Upload target",
        why="A backup on one machine is lost with it.",
        expected="writable",
        probe=_upload_target,
        guide="Backup Procedures · Upload Backups to Cloud Storage",
    ),
)
