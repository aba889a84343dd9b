"""What the data-quality checks say, where the server refused the data: its own words name no row and no remedy."""

from __future__ import annotations

import asyncio

import asyncpg

from vagus_tui.checks.base import Context, Group, run_checks
from vagus_tui.checks.registry import checks_for
from vagus_tui.errors import VagusError, sentences
from vagus_tui.events import Status
from vagus_tui.journal.state import read_state
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.work import impatient

PATIENCE_SECONDS = 60.0
SHOWN = 3


async def objections(run: MigrationRun) -> str:
    """The checks that object now, by name and in their words; "" where none does, or none can be asked in time.

    They had nothing against it before the run, or it was run past them: somebody has written it since.
    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), impatient(run.main, run.settings):
            context = Context(run.database, run.main, run.settings, await read_state(run.main))
            checks = checks_for(Group.DATA_QUALITY)
            found = [event async for event in run_checks(checks, context) if event.status is Status.FAIL]
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, VagusError):
        return ""
    said = [f"The check {event.id} says: {' '.join((event.message or event.title).split())}" for event in found[:SHOWN]]
    more = f"So do {len(found) - SHOWN} more." if len(found) > SHOWN else ""
    return sentences(*said, more)
