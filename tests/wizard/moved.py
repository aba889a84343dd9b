"""Databases on which something has happened already, for the later screens."""

from __future__ import annotations

from tests.wizard.walk import Walk, wizard
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.events import ResultEvent
from vagus_tui.migration.runner import migrate
from vagus_tui.settings import Settings


async def migrated(settings: Settings) -> None:
    """Migrate, without the wizard, and insist that it worked."""
    last = None
    async for event in migrate(Database(settings), settings, Control(), hold=False):
        last = event
    assert isinstance(last, ResultEvent) and last.ok, last


def ended(pilot: Walk) -> bool:
    """Whether there was a job, and it is over."""
    job = wizard(pilot).session.job
    return job is not None and not job.running
