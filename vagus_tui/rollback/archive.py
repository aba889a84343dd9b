"""The archives: schemas without API access in which a rollback sets v2, or damaged tables, aside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from vagus_tui.database.connection import Connection
from vagus_tui.database.dependent_reader import OURS
from vagus_tui.database.hanging_on import hanging_on
from vagus_tui.events import NoteEvent
from vagus_tui.journal.state import ARCHIVE_PREFIX
from vagus_tui.migration import matviews, repoint
from vagus_tui.migration.surroundings import bound_to_v2
from vagus_tui.migration.survey import Survey
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.functions import signatures

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
select pg_catalog.format('publication %s of %s', p.pubname, c.relname) as what
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
where starts_with(n.nspname, $1) order by 1
"""


_BOUND_AGAIN = """
select pg_describe_object('pg_constraint'::regclass, k.oid, 0) as what
from unnest($1::text[], $2::text[], $3::text[]) w (home, carrier, name) join pg_constraint k on k.conname = w.name
cross join lateral (select to_regclass(pg_catalog.format('%I.%I', w.home, w.carrier)) as relation) c
-- A partitioned table's references are its partitions' too.
where k.conrelid = c.relation or k.conrelid in (select relid from pg_partition_tree(c.relation))
union all
select pg_describe_object('pg_policy'::regclass, p.oid, 0)
from unnest($1::text[], $2::text[], $3::text[]) w (home, carrier, name) join pg_policy p on p.polname = w.name
where p.polrelid = to_regclass(pg_catalog.format('%I.%I', w.home, w.carrier))
union all
select pg_describe_object('pg_class'::regclass, r.ev_class, 0)
from unnest($1::text[], $3::text[]) w (home, name)
join pg_rewrite r on r.ev_class = to_regclass(pg_catalog.format('%I.%I', w.home, w.name)) and r.rulename = '_RETURN'
union all
select pg_describe_object('pg_proc'::regclass, p.oid, 0)
from unnest($1::text[], $3::text[]) w (home, name) join pg_namespace n on n.nspname = w.home
join pg_proc p on p.pronamespace = n.oid and p.proname = w.name
"""

_PUBLISHED_NOW = """
select p.pubname::text as name, c.relname::text as base
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) order by 1, 2
"""


async def will_be_bound(connection: Connection, survey: Survey) -> list[str]:
    """What others have made on v2 that a rollback does not bind to v1: it will hang on the archive.

    Args:
        survey: what the rollback binds to v1 again.
    """
    schema = survey.shape.schema
    tables = [*v2.TABLES, *([] if survey.preferences == "jsonb" else [v2.PREFERENCES])]
    relations = [(schema, table) for table in tables] + [(one.schema, one.name) for one in matviews.rebuilt(survey)]
    hanging = await hanging_on(connection, relations, besides=ARCHIVE_PREFIX, schemas=OURS)
    known = bound_to_v2(survey)
    places = [(one.schema, one.on, one.name) for one in known]
    places += [(schema, "", name) for name in signatures(V2Ddl(schema, survey.shape))]
    columns = [[place[number] for place in places] for number in range(3)]
    again = {row["what"] for row in await connection.fetch(_BOUND_AGAIN, *columns)}
    published = {(one.name, one.base) for one in repoint.publications(survey)}
    rows = await connection.fetch(_PUBLISHED_NOW, schema, tables)
    return [
        *(what for what in hanging if what not in again),
        *(f"publication {r['name']} of {r['base']}" for r in rows if (r["name"], r["base"]) not in published),
    ]


_FATE = (
    "References refuse rows about what v1 gets from then on, views show what was, and publications say nothing new: "
    "make them again for v1, or drop them."
)


def will_be_bound_words(bound: Sequence[str]) -> list[str]:
    """What is told about it before a rollback: a sentence, or none."""
    return [f"Made on v2 since the cut-over, and bound to the archive then, not to v1: {_shown(bound)}. {_FATE}"] * (
        len(bound) > 0
    )


def _shown(bound: Sequence[str]) -> str:
    return "; ".join(bound[:SHOWN]) + (f"; and {len(bound) - SHOWN} more" if len(bound) > SHOWN else "")


def bound_note(bound: Sequence[str]) -> NoteEvent:
    """What the operator is told about it afterwards."""
    return NoteEvent(
        level="warning",
        message=f"Bound to what is in the archive now, and not to v1: {_shown(bound)}. {_FATE}",
    )
