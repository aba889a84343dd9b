"""What a clean-up would remove: v1's kept tables and old archives, and what still hangs on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vagus_tui.database import hanging_on as hanging
from vagus_tui.database.connection import Connection
from vagus_tui.database.dependent_reader import KEPT
from vagus_tui.journal import store
from vagus_tui.journal.state import ARCHIVE_PREFIX
from vagus_tui.migration.survey import PREFERENCES, Survey
from vagus_tui.rollback.in_place import migration_record
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import qualified

SCHEMA = "public"


@dataclass(frozen=True, slots=True)
class KeptTable:
    """A table that would be removed: its bytes include its indexes; rows are the statistics' estimate."""

    schema: str
    name: str
    rows: int
    bytes: int

    @property
    def key(self) -> str:
        """Schema and name, as backups have them."""
        return f"{self.schema}.{self.name}"

    @property
    def relation(self) -> str:
        """The table in SQL."""
        return qualified(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class Remains:
    """Everything that a migration and its rollbacks left beside v2.

    Args:
        v1: v1's kept tables, those that refer to others first.
        archives: the tables of every archive schema, by schema.
        survey: what the migration wrote down; None where it left no record.
        cut_over_at: when v2 went into service, as the journal has it.
    """

    v1: tuple[KeptTable, ...]
    archives: dict[str, tuple[KeptTable, ...]]
    survey: Survey | None
    cut_over_at: datetime | None

    @property
    def bytes(self) -> int:
        """The size of v1's kept tables."""
        return sum(table.bytes for table in self.v1)


_SIZES = """
select n.nspname::text as schema, c.relname::text as name, greatest(c.reltuples, 0)::bigint as rows,
       pg_total_relation_size(c.oid) as bytes
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and ((n.nspname = $1 and c.relname = any($2::text[])) or starts_with(n.nspname, $3))
order by 1, 2
"""


async def read_remains(connection: Connection) -> Remains:
    """Look at what is left."""
    names = [f"{base}{v1.SUFFIX}" for base in reversed(v1.TABLES)]
    survey = await migration_record(connection)
    if survey is not None and survey.preferences == "rows":
        names += [r.new for r in survey.renames if r.kind == "table" and r.old == PREFERENCES]
    found = [KeptTable(**dict(row)) for row in await connection.fetch(_SIZES, SCHEMA, names, ARCHIVE_PREFIX)]
    archives: dict[str, tuple[KeptTable, ...]] = {
        row["name"]: ()
        for row in await connection.fetch(
            "select nspname::text as name from pg_namespace where starts_with(nspname, $1) order by 1", ARCHIVE_PREFIX
        )
    }
    for table in found:
        if table.schema in archives:
            archives[table.schema] = (*archives[table.schema], table)
    here = {table.name: table for table in found if table.schema == SCHEMA}
    run = await store.latest_run(connection, "migrate", done=True)
    return Remains(
        v1=tuple(here[name] for name in names if name in here),
        archives=archives,
        survey=survey,
        cut_over_at=run.finished_at if run is not None else None,
    )


async def hanging_on(connection: Connection, tables: Sequence[KeptTable]) -> list[str]:
    """What else of the database hangs on these tables, in the server's words; nothing of it may be there any more.

    What lies in the same archive goes with it, and so do v1's own materialized views with v1.
    """
    relations = [(table.schema, table.name) for table in tables]
    return await hanging.hanging_on(connection, relations, besides=ARCHIVE_PREFIX, schemas=(KEPT,))
