"""What must be true after a migration or a rollback, worked out without the engine's SQL.

`catalog_fingerprint` says everything about a schema, `v1_rows` every row of v1, and `v2_differences` what v2 says
otherwise than the mapping, restated in plain Python, has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.oracle_mapping import V1_TABLES, V2_TABLES, Row, expected_v2
from vagus_tui.database.connection import Connection

# ── the catalog ──────────────────────────────────────────────────────────────────────────────────────────────────

_CATALOG = {
    "relations": """
        select c.relname as key, c.relkind::text, pg_get_userbyid(c.relowner), c.relpersistence::text,
          c.relrowsecurity, c.relforcerowsecurity, c.relreplident::text, c.reloptions,
          array(select a::text from unnest(c.relacl) a order by 1) as acl
        from pg_class c where c.relnamespace = $1::regnamespace and c.relkind not in ('i', 'I')""",
    "columns": """
        select c.relname || '.' || a.attname as key,
          (select count(*) from pg_attribute b where b.attrelid = a.attrelid and b.attnum <= a.attnum
            and b.attnum > 0 and not b.attisdropped) as place,
          format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
          a.attidentity::text, a.attgenerated::text, a.attcollation::regcollation::text, a.attstorage::text,
          array(select x::text from unnest(a.attacl) x order by 1) as acl
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p', 'v', 'm')""",
    "indexes": """
        select i.relname as key, t.relname, pg_get_indexdef(i.oid), x.indisvalid, x.indisprimary, x.indisunique,
          x.indisreplident
        from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid
        where t.relnamespace = $1::regnamespace""",
    "constraints": """
        select c.relname || '.' || k.conname as key, k.contype::text, k.convalidated, k.condeferrable,
          k.condeferred, pg_get_constraintdef(k.oid)
        from pg_constraint k join pg_class c on c.oid = k.conrelid where c.relnamespace = $1::regnamespace""",
    "policies": """
        select c.relname || '.' || p.polname as key, p.polcmd::text, p.polpermissive,
          array(select r::regrole::text from unnest(p.polroles) r order by 1) as roles,
          pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
        from pg_policy p join pg_class c on c.oid = p.polrelid where c.relnamespace = $1::regnamespace""",
    "triggers": """
        select c.relname || '.' || t.tgname as key, t.tgenabled::text, pg_get_triggerdef(t.oid)
        from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where c.relnamespace = $1::regnamespace and not t.tgisinternal""",
    "views": """
        select c.relname as key, pg_get_viewdef(c.oid), c.reloptions
        from pg_class c where c.relnamespace = $1::regnamespace and c.relkind in ('v', 'm')""",
    "functions": """
        select p.oid::regprocedure::text as key, pg_get_userbyid(p.proowner), pg_get_functiondef(p.oid),
          array(select a::text from unnest(p.proacl) a order by 1) as acl
        from pg_proc p where p.pronamespace = $1::regnamespace and p.prokind in ('f', 'p')""",
    "sequences": """
        select c.relname as key, s.seqtypid::regtype::text, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcycle,
          (select d.refobjid::regclass::text || '.' || a.attname from pg_depend d
           join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
           where d.objid = c.oid and d.classid = 'pg_class'::regclass and d.deptype in ('a', 'i')) as owned_by
        from pg_sequence s join pg_class c on c.oid = s.seqrelid where c.relnamespace = $1::regnamespace""",
    "comments": """
        select o.identity || ' (' || o.type || ')' as key, d.description
        from pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) o
        where (o.schema = $1 or o.identity like $1 || '.%' or o.identity like '% on ' || $1 || '.%')""",
    "schema": """
        select nspname as key, pg_get_userbyid(nspowner), array(select a::text from unnest(nspacl) a order by 1) as acl
        from pg_namespace where nspname = $1""",
}

_PUBLICATIONS = """
select p.pubname || ': ' || c.relname as key, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate, {details}
from pg_publication_rel r join pg_publication p on p.oid = r.prpubid join pg_class c on c.oid = r.prrelid
where c.relnamespace = $1::regnamespace
"""

OURS = re.compile(r"^system_maintenance|system_maintenance_|\.system_maintenance")


async def catalog_fingerprint(conn: Connection, schema: str = "public") -> dict[str, dict[str, Any]]:
    """Everything the catalog says about a schema, by kind and name, without oids. `system_maintenance` is left out."""
    found: dict[str, dict[str, Any]] = {}
    with_filters = conn.get_server_version().major >= 15
    details = (
        "array(select attname from pg_attribute where attrelid = c.oid and attnum = any(r.prattrs) order by 1), "
        "pg_get_expr(r.prqual, r.prrelid)"
        if with_filters
        else "null, null"
    )
    publications = _PUBLICATIONS.format(details=details)
    async with conn.transaction(readonly=True):
        # The same text whoever asks: names are always qualified.
        await conn.execute("set local search_path = ''")
        for kind, query in [*_CATALOG.items(), ("publications", publications)]:
            rows = await conn.fetch(query, schema)
            found[kind] = {row["key"]: tuple(row.values())[1:] for row in rows if not OURS.search(row["key"])}
    return found


def changes(before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What two fingerprints, or two sets of rows, say differently, one line each."""
    lines = []
    for kind in sorted({*before, *after}):
        old, new = before.get(kind, {}), after.get(kind, {})
        for key in sorted({*old, *new}, key=str):
            if key not in new:
                lines.append(f"{kind} {key}: gone, was {old[key]}")
            elif key not in old:
                lines.append(f"{kind} {key}: new: {new[key]}")
            elif old[key] != new[key]:
                lines.append(f"{kind} {key}: was {old[key]}, is {new[key]}")
    return lines


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def rows_as_text(conn: Connection, schema: str, table: str) -> dict[str, str]:
    """Every row of a table by id, each as the server writes it."""
    rows = await conn.fetch(f'select t.id::text as id, (t.*)::text as row from "{schema}"."{table}" t')
    return {row["id"]: row["row"] for row in rows}


async def v1_rows(conn: Connection, suffix: str = "") -> dict[str, dict[str, str]]:
    """Every row of the four v1 tables as text, by id."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        await conn.execute("set local timezone = 'UTC'")
        return {table: await rows_as_text(conn, "public", table + suffix) for table in V1_TABLES}


async def read_rows(
    conn: Connection, tables: Sequence[str], suffix: str = "", schema: str = "public"
) -> dict[str, list[Row]]:
    """Every row of tables, as Python values."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        return {
            table: [dict(row) for row in await conn.fetch(f'select * from "{schema}"."{table}{suffix}"')]
            for table in tables
        }


# ── v2 against v1 ────────────────────────────────────────────────────────────────────────────────────────────────


def _comparable(value: Any) -> Any:
    """Values that mean the same compare as the same: json by what it says."""
    if isinstance(value, str) and value[:1] in '{["' and value:
        try:
            return json.dumps(json.loads(value), sort_keys=True)
        except ValueError:
            return value
    return value


def differences(expected: Mapping[str, Mapping[Any, Row]], found: Mapping[str, Sequence[Row]]) -> list[str]:
    """What v2's rows say otherwise than they must, one line each."""
    lines: list[str] = []
    for table, wanted in expected.items():
        actual = {row["id"]: row for row in found[table]}
        lines.extend(f"{table} {key}: missing" for key in wanted.keys() - actual.keys())
        lines.extend(f"{table} {key}: not in v1" for key in actual.keys() - wanted.keys())
        for key in wanted.keys() & actual.keys():
            for column, value in wanted[key].items():
                if column not in actual[key]:
                    lines.append(f"{table} {key}: has no column {column}")
                elif _comparable(actual[key][column]) != _comparable(value):
                    lines.append(f"{table} {key}.{column}: {actual[key][column]!r}, must be {value!r}")
    return lines


async def v2_differences(
    conn: Connection, *, suffix: str = "_v1", repeat: bool = False, schema: str = "public"
) -> list[str]:
    """How v2, where it is now, differs from what the kept v1 rows say it must be."""
    expected = expected_v2(await read_rows(conn, V1_TABLES, suffix), repeat=repeat)
    return differences(expected, await read_rows(conn, V2_TABLES, schema=schema))
