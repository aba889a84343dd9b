"""What the app tells its users, through the guide's maintenance row: a banner beforehand, a page during the cut-over.

The app shows its maintenance page while the row is enabled ("Enable Maintenance Mode"). A row that is not enabled and
whose start lies ahead is an announcement: an app that wants a banner reads its message; another never sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.journal import store
from vagus_tui.migration import maintenance

PAGE_TOPIC, BANNER_TOPIC = "maintenance-page", "banner"
DEFAULT_PAGE = "Workout features are being upgraded. This takes a moment; your data is safe."


@dataclass(frozen=True, slots=True)
class Announcement:
    """The banner as the app can read it: its text, and the window it speaks of."""

    message: str
    starts: datetime | None
    ends: datetime | None


async def announce(connection: Connection, announcement: Announcement, *, operator: str) -> None:
    """Write the banner into the one row. The row stays, or is made, not enabled: nothing is closed by it.

    Raises:
        RefusedError: maintenance is on, and its message is what users see now.
    """
    async with connection.transaction():
        if (await maintenance.read_maintenance(connection)).flag:
            raise RefusedError(
                "Maintenance is on: the row holds the message that users see now.",
                state="Nothing was written.",
                next_step="Switch maintenance off first, or wait for the end of the run.",
            )
        await maintenance.ensure_flag(connection)
        newest = await connection.fetchval("select max(id) from public.system_maintenance")
        if newest is None:
            newest = await connection.fetchval(
                "insert into public.system_maintenance (enabled) values (false) returning id"
            )
        await connection.execute(
            "update public.system_maintenance set message = $2, started_at = $3, estimated_completion = $4 "
            "where id = $1",
            newest,
            announcement.message,
            announcement.starts,
            announcement.ends,
        )
        await store.note(connection, BANNER_TOPIC, {"message": announcement.message}, operator=operator)


async def read_announcement(connection: Connection) -> Announcement | None:
    """The banner as it stands in the row, or None while there is none or maintenance is on."""
    if not await connection.fetchval("select to_regclass('public.system_maintenance') is not null"):
        return None
    row = await connection.fetchrow(
        "select message, started_at, estimated_completion, enabled from public.system_maintenance "
        "order by enabled desc nulls last, id desc limit 1"
    )
    if row is None or row["enabled"] or not row["message"]:
        return None
    return Announcement(row["message"], row["started_at"], row["estimated_completion"])


async def withdraw(connection: Connection, *, operator: str) -> None:
    """Take the banner away. Safe to repeat, and where there is no row; what users see during maintenance stays."""
    if not await connection.fetchval("select to_regclass('public.system_maintenance') is not null"):
        return
    async with connection.transaction():
        await connection.execute(
            "update public.system_maintenance set message = null where not coalesce(enabled, false) and id = ("
            "select id from public.system_maintenance order by enabled desc nulls last, id desc limit 1)"
        )
        await store.note(connection, BANNER_TOPIC, {"message": None}, operator=operator)


async def keep_page(connection: Connection, message: str, *, operator: str) -> None:
    """Keep the text that the cut-over puts into the row when it switches maintenance on."""
    await store.note(connection, PAGE_TOPIC, {"message": message}, operator=operator)


async def maintenance_page(connection: Connection) -> str:
    """The maintenance page's text: the operator's, or the program's own."""
    kept = await store.latest_note(connection, PAGE_TOPIC)
    return str(kept["message"]) if isinstance(kept, dict) and kept.get("message") else DEFAULT_PAGE
