"""What the journal knows of backups beyond their making: when one was rehearsed on to the end, and when copied away."""

from __future__ import annotations

from datetime import datetime

from vagus_tui.backup.forecast import TOPIC as REHEARSAL
from vagus_tui.backup.upload import TOPIC as UPLOAD
from vagus_tui.database.connection import Connection
from vagus_tui.journal.schema import journal_exists
from vagus_tui.runbook.model import Job

_LATEST = """
select topic, max(at) as at from vagus_migration.notes
where topic = $1 and body ->> 'complete' = 'true' or topic = $2
group by topic
"""


async def backup_evidence(connection: Connection) -> dict[str, datetime]:
    """When the jobs of the runbook that leave a note were last done, by job: `rehearse`, `upload`."""
    if not await journal_exists(connection):
        return {}
    jobs = {REHEARSAL: Job.REHEARSE.value, UPLOAD: Job.UPLOAD.value}
    return {jobs[row["topic"]]: row["at"] for row in await connection.fetch(_LATEST, REHEARSAL, UPLOAD)}
