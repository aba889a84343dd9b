"""What a backup consists of: the guide's "Backup Procedures", where a backup is what has been restored."""

from __future__ import annotations

from datetime import timedelta

from vagus_tui.runbook.model import DAY, HOUR, Group, Item, Job, Owner, Screen

_TAKE, _VERIFY, _STORE = "backup.take", "backup.verify", "backup.store"


def _item(group: str, slug: str, title: str, why: str, job: Job, guide: str = "", due: timedelta = -DAY) -> Item:
    return Item(
        id=f"backup.{slug}",
        title=title,
        why=why,
        group=group,
        owner=Owner.DEVOPS,
        due=due,
        job=job,
        guide=guide,
    )


TAKE = Group(
    id=_TAKE,
    title="Take",
    screen=Screen.BACKUP,
    note="All parts come from one snapshot, so they agree with each other.",
    items=(
        _item(
            _TAKE,
            "directory",
            "A dated directory, readable by you alone",
            "It holds personal data of every user.",
            Job.BACKUP,
            "Full Database Backup",
        ),
        _item(
            _TAKE,
            "full",
            "Full dump of the project's own schemas",
            "Supabase restores its managed schemas itself; a dump of them cannot be restored.",
            Job.BACKUP,
            "Full Database Backup",
        ),
        _item(
            _TAKE,
            "compressed",
            "Compressed as a part of making it",
            "The guide's gzip afterwards renames the file that its later commands look for.",
            Job.BACKUP,
            "Full Database Backup",
        ),
        _item(
            _TAKE,
            "selective",
            "Dump of the workout tables alone",
            "Faster to restore. Table names are those found, with or without _v1.",
            Job.BACKUP,
            "Selective Table Backups",
        ),
        _item(
            _TAKE,
            "csv",
            "CSV of plans, exercises, sessions and logs",
            "Readable without PostgreSQL. Streamed to this machine; the server's disk is out of reach.",
            Job.BACKUP,
            "Export Data to CSV",
        ),
        _item(
            _TAKE,
            "manifest",
            "Manifest of counts, digests and checksums",
            "What every later comparison is made against.",
            Job.BACKUP,
        ),
    ),
)

VERIFY = Group(
    id=_VERIFY,
    title="Verify",
    screen=Screen.BACKUP,
    items=(
        _item(
            _VERIFY,
            "sizes",
            "File sizes and checksums match the manifest",
            "A full disk or a broken copy shows here first.",
            Job.RESTORE_TEST,
            "Backup Verification",
        ),
        _item(
            _VERIFY,
            "read-back",
            "The whole archive read back",
            "Listing its contents succeeds on a truncated archive; reading it does not.",
            Job.RESTORE_TEST,
            "Backup Verification",
        ),
        _item(
            _VERIFY,
            "restored",
            "Restored into a local database and compared",
            "Counts and digests must equal the manifest. Only then is it a backup.",
            Job.RESTORE_TEST,
            "Backup Verification",
        ),
        _item(
            _VERIFY,
            "rehearsed",
            "Migration and rollback rehearsed on the copy",
            "Its times are the forecast for the real run.",
            Job.REHEARSE,
        ),
    ),
)

STORE = Group(
    id=_STORE,
    title="Store",
    screen=Screen.BACKUP,
    items=(
        _item(
            _STORE,
            "uploaded",
            "Copied to S3 or Google Cloud Storage",
            "A backup on one laptop is one accident away from none.",
            Job.UPLOAD,
            "Upload Backups to Cloud Storage",
        ),
        _item(
            _STORE,
            "upload-verified",
            "Size and checksum of the copy read back",
            "A name in a listing says nothing about the bytes.",
            Job.UPLOAD,
            "Upload Backups to Cloud Storage",
        ),
        _item(
            _STORE,
            "final",
            "Final backup within two hours of the cut-over",
            "Yesterday's backup leaves today's workouts unprotected.",
            Job.BACKUP,
            "Complete Migration Timeline",
            -2 * HOUR,
        ),
    ),
)

GROUPS: tuple[Group, ...] = (TAKE, VERIFY, STORE)
