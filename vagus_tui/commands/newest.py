"""The backup that is meant where none is named: the newest that can be relied on, of the settings' database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from vagus_tui.errors import RefusedError, VagusError
from vagus_tui.events import NoteEvent

if TYPE_CHECKING:
    from pathlib import Path

    from vagus_tui.backup.manifest import Fingerprint, Manifest
    from vagus_tui.settings import Settings


async def newest(
    settings: Settings, purpose: str, fits: Callable[[Manifest], bool] = lambda _: True, *, what: str = "whole"
) -> tuple[Path, NoteEvent]:
    """The newest backup that fits, and the word that it was taken. Never one of another database.

    Where the database cannot be asked, it is the newest of any: what is to be done with it does without.

    Args:
        purpose: a word for pg_stat_activity.
        what: what the backup has to be, for the error.

    Raises:
        RefusedError: there is none.
    """
    from vagus_tui.backup.listing import latest_backup

    fingerprint = await _fingerprint(settings, purpose)
    found = await asyncio.to_thread(latest_backup, settings, fingerprint, fits)
    if found is None:
        of_it = "" if fingerprint is None else " of this database"
        raise RefusedError(
            f"There is no {what} backup{of_it} in {settings.backup_dir}.",
            next_step="Make one with: vagus-tui backup; or name one by its path.",
        )
    return found.path, NoteEvent(message=f"The newest one that fits: {found.path}", detail={"path": found.path})


async def _fingerprint(settings: Settings, purpose: str) -> Fingerprint | None:
    """What tells the settings' database from others; None where it cannot be asked."""
    import asyncpg

    from vagus_tui.backup.identity import read_fingerprint
    from vagus_tui.database.connection import Database

    if settings.database_url is None:
        return None
    try:
        database = Database(settings)
        async with database.connection(purpose) as connection:
            return await read_fingerprint(connection, database.label)
    except (VagusError, asyncpg.PostgresError):
        return None
