"""What v2 does otherwise than v1 by its design, so that nobody has to find out: defaults, deletions, policies.

Nothing of it can follow: v2's own rule stands in its place. It is said before the migration, and decided by people.
"""

from __future__ import annotations

import re

from vagus_tui.database.connection import Connection, fetch_together
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.inverse import counterpart
from vagus_tui.schema.v1 import Column, V1Shape

_DEFAULT = re.compile(r"\bdefault (.+?)(?: not null)?$")
_RANDOM = re.compile(r"(?:\w+\.)?(?:gen_random_uuid|uuid_generate_v4)\(\)")
_SPELLING = re.compile(r"[\s()]|::[\w ]+")

_DELETIONS = {
    (v1.PLANS, "user_id"): ("CASCADE", "the plans of a user who leaves go with them"),
    (v1.PLANS, "created_by"): ("SET NULL", "plans stay when who made them leaves"),
    (v1.EXERCISES, "plan_id"): ("CASCADE", "exercises go with their plan"),
    (v1.SESSIONS, "user_id"): ("CASCADE", "the sessions of a user who leaves go with them"),
    (v1.SESSIONS, "plan_id"): ("CASCADE", "sessions and their logs go with the plan, through its days"),
    (v1.LOGS, "session_id"): ("CASCADE", "logs go with their session"),
    (v1.LOGS, "exercise_id"): ("CASCADE", "logs go with their exercise"),
}
"""What a deletion does in v2, by v1's column."""

_KEYS = """
select c.relname, a.attname, k.conname, k.confrelid = any(v1.oids) as inner, k.confrelid::regclass::text as target,
  case k.confdeltype when 'c' then 'CASCADE' when 'n' then 'SET NULL' when 'd' then 'SET DEFAULT'
    when 'r' then 'RESTRICT' else 'NO ACTION' end as action
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum = k.conkey[1]
cross join (select array_agg(o.oid) as oids from pg_class o join pg_namespace p on p.oid = o.relnamespace
            where p.nspname = $1 and o.relname = any($2::text[])) v1
where k.contype = 'f' and cardinality(k.conkey) = 1 and n.nspname = $1 and c.relname = any($2::text[]) order by 1, 2, 3
"""

_POLICIES = """
select c.relname, p.polname, p.polpermissive as permissive,
  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
    else 'all' end as command,
  array(select coalesce(r.rolname::text, 'public') from unnest(p.polroles) u(role)
        left join pg_roles r on r.oid = u.role order by 1) as roles,
  pg_catalog.concat_ws(' with check ', 'using (' || pg_get_expr(p.polqual, p.polrelid) || ')',
            '(' || pg_get_expr(p.polwithcheck, p.polrelid) || ')') as says
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) order by 1, 2
"""


_ZONE = """
select coalesce((
  select substr(c, 10) from pg_db_role_setting s cross join unnest(s.setconfig) c
  where c ilike 'timezone=%' and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
    and s.setrole in (0, coalesce((select oid from pg_roles where rolname = 'authenticator'), 0))
  order by s.setrole = 0, s.setdatabase = 0 limit 1), boot.setting) as zone
from (select reset_val as setting from pg_settings where name = 'TimeZone') boot
"""
"""The time zone that the app's sessions work in, where nobody asks for another."""

_UTC = frozenset({"utc", "etc/utc", "gmt", "etc/gmt", "uct", "etc/uct", "zulu", "universal", "etc/universal"})


async def otherwise(connection: Connection, shape: V1Shape) -> tuple[str, ...]:
    """What v2 does otherwise, one line each."""
    bases = {table.name: base for base, table in shape.tables.items()}
    queries = {"zone": _ZONE, "keys": _KEYS, "policies": _POLICIES}
    found = await fetch_together(connection, queries, shape.schema, list(bases))
    zone = str(found["zone"][0]["zone"])
    lines = [line for base in v1.TABLES for line in (*_of_times(shape, base, zone), *_of_columns(shape, base))]
    for row in found["keys"]:
        rule = _DELETIONS.get((bases[row["relname"]], row["attname"]))
        if rule is not None and rule[0] != row["action"]:
            lines.append(f"{row['relname']}.{row['attname']}: on delete {row['action']} in v1; in v2 {rule[1]}")
        if not row["inner"] and row["action"] in ("NO ACTION", "RESTRICT"):
            lines.append(
                f"{row['relname']}.{row['attname']}: on delete {row['action']} in v1: what v1's kept rows refer to in "
                f"{row['target']} cannot be deleted before the clean-up"
            )
    for row in found["policies"]:
        # v2 knows owners and coaches, by who is logged in, and whoever sees the plan; for others it has no like.
        known = any(word in row["says"] for word in ("uid()", *bases))
        if row["permissive"] and known and set(row["roles"]) <= {"public", "authenticated"}:
            continue
        kind = "" if row["permissive"] else "restrictive, "
        lines.append(
            f"{row['relname']}: policy {row['polname']} ({kind}{row['command']} to {', '.join(row['roles'])}: "
            f"{row['says']}) has no like in v2, where owners and their coaches have rights"
        )
    return tuple(lines)


def _of_times(shape: V1Shape, base: str, zone: str) -> list[str]:
    """What becomes of moments that v1 keeps in another way than v2: none of it can be told from the values."""
    table, known = shape.tables[base], {column.name: column for column in v2.MODEL[base].columns}
    carried = {column.name for column in table.carried}
    lines = []
    for column in table.columns.values():
        name = f"{table.name}.{column.name}"
        there = known.get(counterpart(base, table, column.name) or "")
        if column.name == "start_date" and base == v1.PLANS and column.plain.startswith("timestamp"):
            day = "" if column.plain.endswith("without time zone") else ", as it is in UTC"
            lines.append(f"{name}: a moment in v1; v2 has its day{day}")
        if there is None or column.name in carried or there.type != "timestamptz":
            continue
        if column.plain.startswith("timestamp") and column.plain.endswith("without time zone"):
            text = f"{name}: times without a zone in v1, taken for UTC in v2"
            if zone.lower() not in _UTC:
                text += (
                    f"; but the app's sessions work in {zone}. If its times are meant so: alter table "
                    f"{qualified(shape.schema, table.name)} alter column {quote(column.name)} "
                    f"type timestamptz using {quote(column.name)} at time zone {literal(zone).strip()};"
                )
            lines.append(text)
        if column.plain == "date":
            lines.append(
                f"{name}: days in v1, moments in v2, at midnight in UTC; of what is written to v2, a rollback brings "
                "the day back and leaves the time in the archive"
            )
    return lines


def _of_columns(shape: V1Shape, base: str) -> list[str]:
    table, known = shape.tables[base], {column.name: column for column in v2.MODEL[base].columns}
    carried = {column.name for column in table.carried}
    follows = V2Ddl(shape.schema, shape).defaults(base)
    lines = []
    for column in table.columns.values():
        there = known.get(counterpart(base, table, column.name) or "")
        if there is None or column.name in carried:
            continue
        if there.type == "jsonb" and column.plain != "jsonb":
            lines.append(_of_json(shape, base, column))
        name = f"{table.name}.{column.name}"
        own = _DEFAULT.search(there.rest)
        if there.name not in follows and _is_another(column, own[1] if own else ""):
            given = f"v2's is {own[1]}" if own else "v2 has none"
            lines.append(f"{name}: v1's default is {column.default}, {given}")
        if column.not_null and "not null" not in there.rest:
            lines.append(f"{name}: NOT NULL in v1, not in v2")
    return lines


def _of_json(shape: V1Shape, base: str, column: Column) -> str:
    name = f"{shape.tables[base].name}.{column.name}: {column.type} in v1, jsonb in v2"
    if column.plain == "json":
        return f"{name}: the same values, but of a key given twice the last one counts"
    relation = qualified(shape.schema, shape.tables[base].name)
    return (
        f"{name}, where each text is one string. If the texts are JSON themselves: alter table {relation} "
        f"alter column {quote(column.name)} type jsonb using {quote(column.name)}::jsonb;"
    )


def _is_another(column: Column, default: str) -> bool:
    """Whether v1's default gives another value than v2's; ids that are numbered or random are so in v2 too."""
    if column.default is None or (column.name == "id" and (column.serial or _RANDOM.fullmatch(column.default))):
        return False
    return _SPELLING.sub("", column.default).lower() != _SPELLING.sub("", default).lower()
