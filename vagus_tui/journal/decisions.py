"""What people decided, in the journal: items of the checklists ticked, gates let pass by name.

Every function takes a connection, makes the journal where it writes, and reads an absent journal as empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vagus_tui.database.connection import Connection
from vagus_tui.journal.schema import ensure_journal, journal_exists
from vagus_tui.journal.store import note

OF_AN_ATTEMPT = ("communications", "timeline", "rollback")
"""How ids begin of items that are about one attempt, from its announcement to what follows its rollback."""

_SIGN_OFFS = """
with back as (
  select max(r.finished_at) as at from vagus_migration.runs r
  where r.kind in ('rollback', 'restore') and r.status = 'done' and exists (
    select from vagus_migration.runs m where m.kind = 'migrate' and m.status = 'done' and m.started_at < r.started_at))
select distinct on (item) item, ticked, operator, note, at from vagus_migration.sign_offs
where coalesce(not (item like any($1::text[]) and at < (select at from back)), true)
order by item, id desc
"""


@dataclass(frozen=True, slots=True)
class SignOff:
    """The latest word on one checklist item."""

    item: str
    ticked: bool
    operator: str
    note: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Override:
    """A gate that somebody let pass, by name and with a reason."""

    check_id: str
    reason: str
    operator: str
    at: datetime


async def sign(connection: Connection, item: str, *, ticked: bool, operator: str, note: str = "") -> None:
    """Tick or untick a checklist item; earlier ticks stay on record."""
    await ensure_journal(connection)
    await connection.execute(
        "insert into vagus_migration.sign_offs (item, ticked, operator, note) values ($1, $2, $3, $4)",
        item,
        ticked,
        operator,
        note,
    )


async def sign_in_spite(
    connection: Connection, item: str, against: Sequence[str], reason: str, *, operator: str
) -> None:
    """Tick an item against criteria that do not hold: each is overridden by name, and the reason stands with all.

    It happens whole or not at all.
    """
    await ensure_journal(connection)
    async with connection.transaction():
        for criterion in against:
            await override(connection, criterion, reason, operator=operator)
        await sign(connection, item, ticked=True, operator=operator, note=reason)


async def sign_offs(connection: Connection) -> dict[str, SignOff]:
    """The latest word on every item that anybody ever ticked, by item.

    What was said of a migration that was rolled back since is over with it: users were told of another day.
    """
    if not await journal_exists(connection):
        return {}
    rows = await connection.fetch(_SIGN_OFFS, [f"{group}.%" for group in OF_AN_ATTEMPT])
    return {row["item"]: SignOff(**dict(row)) for row in rows}


async def override(connection: Connection, check_id: str, reason: str, *, operator: str) -> None:
    """Record that a gate is let pass, and why. An empty reason is refused by the database too."""
    await ensure_journal(connection)
    await connection.execute(
        "insert into vagus_migration.overrides (check_id, reason, operator) values ($1, $2, $3)",
        check_id,
        reason,
        operator,
    )


async def withdraw_override(connection: Connection, check_id: str, *, operator: str) -> None:
    """Let a gate count again. That it was overridden stays on record, and who took that back."""
    if not await journal_exists(connection):
        return
    async with connection.transaction():
        found = await connection.fetch(
            "update vagus_migration.overrides set withdrawn = true where check_id = $1 and not withdrawn returning id",
            check_id,
        )
        if found:
            await note(connection, "override-withdrawn", {"check": check_id}, operator=operator)


async def overrides(connection: Connection) -> dict[str, Override]:
    """The overrides in force, by check."""
    if not await journal_exists(connection):
        return {}
    rows = await connection.fetch(
        "select distinct on (check_id) check_id, reason, operator, at "
        "from vagus_migration.overrides where not withdrawn order by check_id, id desc"
    )
    return {row["check_id"]: Override(**dict(row)) for row in rows}
