"""Making room for v1 where a backup brings it back: v2's tables under other names, and whatever has v1's names.

The way back from a backup must not fail on what somebody made or renamed by hand. What is a table or a view goes into
the archive, an index or a sequence of somebody else's gets another name; both are told beforehand, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vagus_tui.database.connection import Connection
from vagus_tui.journal.missing_v2 import places, stray_tables
from vagus_tui.migration import capture, maintenance
from vagus_tui.rollback.findings import Prevents, relation_kind
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import free_name, qualified, quote

SCHEMA = "public"

_IN_THE_WAY = """
select c.relname::text as name, c.relkind::text as kind, pg_get_userbyid(c.relowner)::text as owner,
  pg_has_role(c.relowner, 'usage') as ours, current_user::text as me
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) and c.relkind <> 't'
  and not (c.relname = any($3::text[]) and c.relkind in ('r', 'p'))
  -- Indexes and sequences go with their tables.
  and not exists (select from pg_index x join pg_class t on t.oid = x.indrelid join pg_namespace h
                    on h.oid = t.relnamespace
                  where x.indexrelid = c.oid and (h.nspname = $1 and t.relname = any($3::text[])
                    or (h.nspname, t.relname) in (select * from unnest($4::text[], $5::text[]))))
  and not exists (select from pg_depend q join pg_class t on t.oid = q.refobjid
                  where q.classid = 'pg_class'::regclass and q.objid = c.oid and q.deptype in ('a', 'i')
                    and q.refclassid = 'pg_class'::regclass and t.relnamespace = n.oid and t.relname = any($3::text[]))
order by 1
"""


@dataclass(frozen=True, slots=True)
class Room:
    """What has to make room.

    Args:
        stray: v2's tables that are called otherwise by now, as schema and name: they go into the archive too.
        known: the same by the names they had, as far as their columns tell which each is.
        statements: what moves or renames everything else.
        words: the same for people, a sentence each without its full stop.
        prevents: what belongs to somebody else, and so cannot make room by us.
    """

    stray: tuple[tuple[str, str], ...] = ()
    known: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    statements: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    prevents: tuple[Prevents, ...] = ()

    def set_aside(self, archive: str) -> list[str]:
        """The statements that make room, when the workout tables have gone into the archive."""
        made = []
        for schema, name in self.stray:
            relation = qualified(schema, name)
            made += [*capture.remove_triggers(relation), maintenance.remove_fence(relation)]
            if schema != SCHEMA:
                # Another of that name may be there already.
                made.append(f"alter table {relation} rename to {quote(f'{schema}.{name}'[:63])}")
                relation = qualified(schema, f"{schema}.{name}"[:63])
            made.append(f"alter table {relation} set schema {quote(archive)}")
        return [*made, *self.statements]


async def read_room(connection: Connection, wanted: Iterable[str], going: Iterable[str], archive: str) -> Room:
    """Look for what is in the way.

    Args:
        wanted: every name of a relation that v1 will have in its schema, now or in the end.
        going: the tables there that are set aside by their names.
    """
    found = await stray_tables(connection)
    stray = tuple((row["home"], row["name"]) for row in found)
    aside = list(going)
    rows = await connection.fetch(
        _IN_THE_WAY,
        SCHEMA,
        sorted(set(wanted)),
        aside,
        [home for home, _ in stray],
        [name for _, name in stray],
    )
    taken = {
        row["relname"]
        for row in await connection.fetch(
            "select relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1",
            SCHEMA,
        )
    }
    statements, words, prevents = [], [], []
    for schema, name in stray:
        place = name if schema == SCHEMA else f"{schema}.{name}"
        words.append(f"{place} is a table of v2 under another name: it is set aside in {archive} too")
    for row in rows:
        kind, relation = relation_kind(row["kind"]), qualified(SCHEMA, row["name"])
        named = f"{kind} {row['name']}"
        if not row["ours"]:
            settled = f"alter {kind} {relation} owner to {quote(row['me'])}"
            prevents.append(Prevents(f"{named} has a name that v1 needs, and belongs to {row['owner']}", settled))
        elif kind in ("index", "sequence", "type"):
            other = free_name(row["name"], taken, "_other")
            statements.append(f"alter {kind} {relation} rename to {quote(other)}")
            words.append(f"{named} has a name that v1 needs: it is called {other} then")
        else:
            statements.append(f"alter {kind} {relation} set schema {quote(archive)}")
            words.append(f"{named} has a name that v1 needs: it is set aside in {archive}")
    known = places(found, [table for table in v2.TABLES if table not in aside])
    return Room(stray, known, tuple(statements), tuple(words), tuple(prevents))
