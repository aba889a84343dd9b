"""What else in the database points at v1's tables, and would silently stay on them when they are renamed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vagus_tui.database.connection import Connection
from vagus_tui.schema.v1 import V1Shape


class Kind(StrEnum):
    """The kinds of things that can point at a table."""

    FOREIGN_KEY = "foreign key"
    VIEW = "view"
    MATERIALIZED_VIEW = "materialized view"
    FUNCTION = "function"
    POLICY = "policy"
    TRIGGER = "trigger"
    PUBLICATION = "publication"


@dataclass(frozen=True, slots=True)
class Dependent:
    """One thing that points at a v1 table.

    Args:
        schema, name: what it is; for foreign keys, policies and triggers, the table's that carries it in `on`.
        base: the v1 table it points at, by its v1 name ("" for several).
        definition: the SQL text that makes it, with v1's names unqualified where it is a query.
        validated: for foreign keys, whether every row was checked.
        options: for views, their storage options, such as security_invoker=true; for publications, the columns
            published, none for all. A publication's `definition` is its row filter.
    """

    kind: Kind
    schema: str
    name: str
    base: str
    definition: str
    on: str = ""
    detail: str = ""
    validated: bool = True
    options: tuple[str, ...] = ()


_FOREIGN_KEYS = """
select n.nspname as schema, k.conname as name, c.relname as on, r.relname as target,
       pg_get_constraintdef(k.oid) as definition, k.convalidated as validated
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class r on r.oid = k.confrelid
where k.contype = 'f' and k.confrelid = any($1::oid[]) and k.conrelid <> all($1::oid[]) and k.conparentid = 0
order by 1, 3, 2
"""

_VIEWS = """
select distinct n.nspname as schema, c.relname as name, c.relkind::text as relkind,
       pg_get_viewdef(c.oid) as definition, coalesce(c.reloptions, '{}') as options,
       (select string_agg(distinct t.relname, ', ') from pg_depend d2 join pg_class t on t.oid = d2.refobjid
        where d2.classid = 'pg_rewrite'::regclass and d2.objid = r.oid and d2.refclassid = 'pg_class'::regclass
          and t.oid = any($1::oid[])) as target
from pg_depend d join pg_rewrite r on r.oid = d.objid join pg_class c on c.oid = r.ev_class
join pg_namespace n on n.oid = c.relnamespace
where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = any($1::oid[])
  and c.oid <> all($1::oid[]) and c.relkind in ('v', 'm') and n.nspname <> all($2::text[])
order by 1, 2
"""

_FUNCTIONS = """
select n.nspname as schema, p.proname as name, pg_get_function_identity_arguments(p.oid) as arguments,
       pg_get_functiondef(p.oid) as definition
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where p.prokind in ('f', 'p') and n.nspname <> all($2::text[])
  and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%'
  and not exists (select from pg_depend e where e.objid = p.oid and e.classid = 'pg_proc'::regclass and e.deptype = 'e')
  and (p.prosrc ~* $3
       or exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                  and d.refclassid = 'pg_class'::regclass and d.refobjid = any($1::oid[]))
       or p.prorettype in (select reltype from pg_class where oid = any($1::oid[])))
order by 1, 2
"""

_POLICIES = """
select distinct n.nspname as schema, p.polname as name, c.relname as on,
       pg_get_expr(p.polqual, p.polrelid) as reads, pg_get_expr(p.polwithcheck, p.polrelid) as writes
from pg_depend d join pg_policy p on p.oid = d.objid join pg_class c on c.oid = p.polrelid
join pg_namespace n on n.oid = c.relnamespace
where d.classid = 'pg_policy'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = any($1::oid[])
  and p.polrelid <> all($1::oid[])
order by 1, 3, 2
"""

_TRIGGERS = """
select n.nspname as schema, t.tgname as name, c.relname as on, pg_get_triggerdef(t.oid) as definition
from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
where t.tgrelid = any($1::oid[]) and not t.tgisinternal and t.tgname not like 'vagus\\_%'
order by 3, 2
"""

_PUBLICATIONS = """
select p.pubname as name, c.relname as on, {columns} as columns, {filter} as filter
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid join pg_class c on c.oid = r.prrelid
where r.prrelid = any($1::oid[]) order by 1, 2
"""


def _publications(connection: Connection) -> str:
    """Column lists and row filters came with PostgreSQL 15."""
    if connection.get_server_version().major < 15:
        return _PUBLICATIONS.format(columns="null::text[]", filter="null::text")
    return _PUBLICATIONS.format(
        columns="(select array_agg(a.attname::text order by a.attnum) from pg_attribute a "
        "where a.attrelid = c.oid and a.attnum = any(r.prattrs))",
        filter="pg_get_expr(r.prqual, r.prrelid)",
    )


OURS = ["vagus_migration", "workout_v2", "workout_v1_compat", "workout_v1_restore"]


async def read_dependents(connection: Connection, shape: V1Shape) -> list[Dependent]:
    """Everything that points at v1's tables, in the order in which people would look for it."""
    bases = {table.name: base for base, table in shape.tables.items()}
    rows = await connection.fetch(
        "select c.oid, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = $1 and c.relname = any($2::text[])",
        shape.schema,
        list(bases),
    )
    oids = [row["oid"] for row in rows]
    word = r"\m(" + "|".join(table.name for table in shape.tables.values()) + r")\M"
    found: list[Dependent] = []
    async with connection.transaction():
        # Names of v1's tables come out unqualified, so that a definition can be bound to other tables.
        await connection.execute(f"set local search_path = {shape.schema}, pg_temp")
        for row in await connection.fetch(_FOREIGN_KEYS, oids):
            found.append(
                Dependent(
                    Kind.FOREIGN_KEY,
                    row["schema"],
                    row["name"],
                    bases[row["target"]],
                    row["definition"],
                    on=row["on"],
                    validated=row["validated"],
                )
            )
        for row in await connection.fetch(_VIEWS, oids, OURS):
            kind = Kind.MATERIALIZED_VIEW if row["relkind"] == "m" else Kind.VIEW
            found.append(
                Dependent(
                    kind,
                    row["schema"],
                    row["name"],
                    "",
                    row["definition"],
                    detail=row["target"] or "",
                    options=tuple(row["options"]),
                )
            )
        for row in await connection.fetch(_POLICIES, oids):
            text = "; ".join(
                part
                for part in (
                    f"using ({row['reads']})" if row["reads"] else "",
                    f"with check ({row['writes']})" if row["writes"] else "",
                )
                if part
            )
            found.append(Dependent(Kind.POLICY, row["schema"], row["name"], "", text, on=row["on"]))
        for row in await connection.fetch(_publications(connection), oids):
            found.append(
                Dependent(
                    Kind.PUBLICATION,
                    "",
                    row["name"],
                    bases[row["on"]],
                    row["filter"] or "",
                    on=row["on"],
                    options=tuple(row["columns"] or ()),
                )
            )
        for row in await connection.fetch(_TRIGGERS, oids):
            found.append(
                Dependent(Kind.TRIGGER, row["schema"], row["name"], bases[row["on"]], row["definition"], on=row["on"])
            )
        for row in await connection.fetch(_FUNCTIONS, oids, OURS, word):
            found.append(
                Dependent(
                    Kind.FUNCTION,
                    row["schema"],
                    row["name"],
                    "",
                    row["definition"],
                    detail=f"({row['arguments']})",
                )
            )
    return found
