"""What a test found wrong with a backup, told to the journal: an earlier proof counts no longer, though it was given.

That it was restored once stays on record, since it was so; what rests on it asks for the damage as well.
"""

from __future__ import annotations

from pathlib import Path

import asyncpg

from vagus_tui.database.connection import Database
from vagus_tui.errors import VagusError, account
from vagus_tui.journal import backup_records
from vagus_tui.settings import Settings


async def tell_journal(settings: Settings | None, path: Path, found: str, *, by: str) -> str:
    """Note what a test found of a backup, or with nothing that the same test finds it whole again.

    Returns why it could not be noted, or nothing.
    """
    if settings is None or settings.database_url is None:
        return ""
    try:
        async with Database(settings).connection("backup") as connection:
            await backup_records.record_damage(connection, str(path), found, by=by, operator=settings.operator)
    except (VagusError, asyncpg.PostgresError) as error:
        return f"The journal could not be told what was found of the backup. {account(error)}"
    return ""
