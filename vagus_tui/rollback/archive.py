"""The archives: schemas without API access in which a rollback sets v2, or damaged tables, aside."""

from __future__ import annotations

from datetime import datetime

from vagus_tui.database.connection import Connection
from vagus_tui.database.hanging_on import hanging_on
from vagus_tui.events import NoteEvent
from vagus_tui.journal.state import ARCHIVE_PREFIX

SHOWN = 8


def archive_name(now: datetime) -> str:
    """The schema that a rollback of this moment sets things aside in. To the millisecond: no two may share a name."""
    return f"{ARCHIVE_PREFIX}{now:%Y%m%d_%H%M%S}_{now.microsecond // 1000:03d}"


async def bound_to(connection: Connection, archive: str) -> list[str]:
    """What others have made that hangs on what an archive holds now, in the server's words."""
    rows = await connection.fetch(
        "select n.nspname::text as schema, c.relname::text as name from pg_class c "
        "join pg_namespace n on n.oid = c.relnamespace "
        "where starts_with(n.nspname, $1) and c.relkind in ('r', 'p', 'v', 'm')",
        archive,
    )
    relations = [(row["schema"], row["name"]) for row in rows]
    published = await connection.fetch(_PUBLISHED, archive)
    return [*await hanging_on(connection, relations, besides=ARCHIVE_PREFIX), *(row["what"] for row in published)]


_PUBLISHED = """
select format('publication %s of %s', p.pubname, c.relname) as what
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
where starts_with(n.nspname, $1) order by 1
"""


def bound_note(bound: list[str]) -> NoteEvent:
    """What the operator is told about it."""
    shown = "; ".join(bound[:SHOWN]) + (f"; and {len(bound) - SHOWN} more" if len(bound) > SHOWN else "")
    return NoteEvent(
        level="warning",
        message=f"Bound to what is in the archive now, and not to v1: {shown}. References refuse rows about what v1 "
        "gets from now on, views show what was, and publications say nothing new: make them again for v1, or drop "
        "them.",
    )
