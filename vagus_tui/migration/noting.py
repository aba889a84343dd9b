"""Whether what is written to v2 after the cut-over is noted as the migration arranged it, and how it is put right.

A rollback carries back what was noted. So whatever somebody did by hand to the notes, or to the triggers that make
them, has to be known beforehand: which rows were written meanwhile, only a comparison of all rows can tell then.
"""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.migration.capture import (
    CAPTURE_TRIGGER,
    V2_BODIES,
    V2_CHANGES,
    V2_LOG,
    install_v2_functions,
    v2_triggers,
)
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import free_name, literal, qualified, quote

_ROW, _TRUNCATE = 29, 34
"""pg_trigger.tgtype: after each row that is inserted, deleted or updated; before TRUNCATE."""

_LOG = """
select c.oid::bigint as number, pg_has_role(c.relowner, 'usage') as ours, pg_get_userbyid(c.relowner)::text as owner,
  c.relkind = 'r' and not c.relhasrules and not c.relforcerowsecurity
    and not exists(select from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal)
    and array(select a.attname || ' ' || format_type(a.atttypid, a.atttypmod) from pg_attribute a
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum)
        = array['table_name text', 'row_id text'] as plain
from pg_class c where c.oid = to_regclass($1)
"""

_TRIGGERS = """
select w.name, w.trigger, t.oid is not null as there, coalesce(t.tgenabled <> 'D', false) as fires,
  coalesce(t.tgenabled = 'A' and t.tgfoid = to_regprocedure(w.routine) and t.tgtype = w.type::integer
           and t.tgqual is null and t.tgattr::text = '', false) as as_made, t.oid::bigint as number
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) w (name, relation, trigger, routine, type)
join pg_class c on c.oid = to_regclass(w.relation) and c.relkind in ('r', 'p')
left join pg_trigger t on t.tgrelid = c.oid and t.tgname = w.trigger and not t.tgisinternal
"""

_BODIES = """
select p.proname::text as name, p.prosrc as body from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname = 'vagus_migration' and p.pronargs = 0 and p.prosecdef and p.proname = any($1::text[])
"""


@dataclass(frozen=True, slots=True)
class Noting:
    """How the noting of later writes stands.

    Args:
        log: the table of notes is there and is the one of the migration.
        gone: it is not there at all.
        foreign: what stands in its place is not ours to use: why, in words; "" where it is.
        settled: the SQL that makes way for a table of notes of our own.
        functions: those behind the triggers that are missing, or say something else now.
        unnoted: tables of v2 whose writes are not noted, or not all of them.
        refused: tables of v2 whose writes fail, since their trigger finds no table of notes.
    """

    schema: str
    log: bool = True
    gone: bool = False
    foreign: str = ""
    settled: str = ""
    functions: tuple[str, ...] = ()
    unnoted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether every write since the cut-over was noted, as far as the catalog can tell."""
        return self.log and not self.functions and not self.unnoted

    @property
    def affected(self) -> tuple[str, ...]:
        """The tables of v2 that have writes which were not noted, or may have."""
        return v2.TABLES if not self.log or self.functions else self.unnoted

    @property
    def words(self) -> str:
        """What is wrong and what that means, in sentences; "" where nothing is."""
        if self.intact:
            return ""
        parts = []
        if self.gone:
            parts.append(f"{V2_CHANGES}, where every write to v2 since the cut-over was noted, is gone")
        elif self.foreign:
            parts.append(f"{V2_CHANGES}, where every write to v2 since the cut-over was noted, {self.foreign}")
        elif not self.log:
            parts.append(f"{V2_CHANGES}, where every write to v2 since the cut-over was noted, was made anew by hand")
        if self.functions:
            parts.append(f"{', '.join(f'vagus_migration.{name}()' for name in self.functions)} is not as it was made")
        if self.unnoted:
            parts.append(f"the triggers that note writes to {', '.join(self.unnoted)} were dropped or changed")
        refused = (
            f" Until that is put right, the app's writes to {', '.join(self.refused)} fail." if self.refused else ""
        )
        which = "of their rows" if self.log and not self.functions else "rows"
        return (
            f"Changed by hand since the cut-over: {'; '.join(parts)}. So nobody knows which {which} were written "
            f"since.{refused}"
        )

    def statements(self) -> list[str]:
        """What puts it right: from then on every write is noted again. Safe to repeat."""
        made = [V2_LOG, *install_v2_functions()]
        for table in self.affected:
            relation = qualified(self.schema, table)
            if not self.log:
                # Made anew after the table of notes, by which it is known later that these belong together.
                made += [f"drop trigger if exists {name} on {relation}" for name in _NAMES]
            made += v2_triggers(relation)
        return made

    @property
    def tables(self) -> list[str]:
        """The tables of v2 that are locked for an instant by that, quoted."""
        return [qualified(self.schema, table) for table in self.affected]


_NAMES = {CAPTURE_TRIGGER: _ROW, f"{CAPTURE_TRIGGER}_truncate": _TRUNCATE}


async def read_noting(connection: Connection, schema: str) -> Noting:
    """Look at the table of notes, the functions and the triggers, as they are now.

    A trigger that was switched off and on again by hand is told from one that never was: only ours fire always. And a
    table of notes that was made anew is told by its number, which is greater than those of the triggers.
    """
    log = await connection.fetchrow(_LOG, V2_CHANGES)
    wanted = [(table, name, kind) for table in v2.TABLES for name, kind in _NAMES.items()]
    rows = await connection.fetch(
        _TRIGGERS,
        [table for table, _, _ in wanted],
        [qualified(schema, table) for table, _, _ in wanted],
        [name for _, name, _ in wanted],
        [f"vagus_migration.{'capture_v2' if kind == _ROW else 'capture_v2_truncate'}()" for _, _, kind in wanted],
        [str(kind) for _, _, kind in wanted],
    )
    bodies = {row["name"]: row["body"] for row in await connection.fetch(_BODIES, list(V2_BODIES))}
    foreign = settled = ""
    if log is not None and not log["ours"]:
        foreign, settled = f"belongs to {log['owner']} now", f"alter table {V2_CHANGES} owner to current_user"
    elif log is not None and not log["plain"]:
        name = V2_CHANGES.partition(".")[2]
        foreign = "is not the plain table that the migration made"
        settled = f"alter table {V2_CHANGES} rename to {quote(free_name(name, {name}, '_other'))}"
    first = min((row["number"] for row in rows if row["there"]), default=None)
    anew = log is not None and first is not None and log["number"] > first
    return Noting(
        schema,
        log=log is not None and not foreign and not anew,
        gone=log is None,
        foreign=foreign,
        settled=settled,
        functions=tuple(name for name, body in V2_BODIES.items() if bodies.get(name) != body),
        unnoted=tuple(table for table in v2.TABLES if any(r["name"] == table and not r["as_made"] for r in rows)),
        refused=tuple(
            table
            for table in v2.TABLES
            if log is None and any(r["name"] == table and r["fires"] and r["trigger"] == CAPTURE_TRIGGER for r in rows)
        ),
    )


def still_noted(schema: str) -> str:
    """The query for how many of the triggers are not as they were made; for a script, within its transaction."""
    wanted = ", ".join(
        f"(to_regclass({literal(qualified(schema, table)).strip()}), {literal(name).strip()})"
        for table in v2.TABLES
        for name in _NAMES
    )
    return (
        f"select {len(v2.TABLES) * len(_NAMES)} - count(*) from pg_trigger t\n"
        f"where t.tgenabled = 'A' and t.tgqual is null and (t.tgrelid, t.tgname) in ({wanted})"
    )
