"""What is in the database: whether it is v1, and what new tables are open to by default."""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.database.dependent_reader import COMPAT, KEPT
from vagus_tui.database.identifiers import qualified, quote
from vagus_tui.events import Status
from vagus_tui.journal.state import RESTORING, STAGING, State
from vagus_tui.migration.survey import IN_THE_WAY, names_in_the_way
from vagus_tui.schema import v1, v2
from vagus_tui.schema.helpers import ours
from vagus_tui.schema.v1 import V1Shape

_DEFAULTS = """
select r.rolname::text as maker, coalesce(g.rolname, 'public')::text as grantee,
  string_agg(a.privilege_type, ', ' order by a.privilege_type) as privileges
from pg_default_acl d
join pg_roles r on r.oid = d.defaclrole
left join pg_namespace n on n.oid = d.defaclnamespace
cross join aclexplode(d.defaclacl) a
left join pg_roles g on g.oid = a.grantee
where d.defaclobjtype = 'r' and (n.nspname is null or n.nspname = 'public') and a.grantee <> d.defaclrole
group by 1, 2
"""


_ELSEWHERE = """
select n.nspname::text as schema from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relname = any($1::text[]) and c.relkind in ('r', 'p', 'v', 'f') and n.nspname <> 'public'
  and n.nspname not like 'workout\\_%'
group by 1 having count(*) = cardinality($1::text[]) order by 1
"""
"""Schemas, other than ours, that hold tables of v1's names."""


async def _in_the_way(context: Context, shape: V1Shape) -> list[str]:
    """What has a name that the migration needs, a sentence each."""
    found = [
        f"There is something named {name} in schema {shape.schema}, where {IN_THE_WAY}."
        for name in await names_in_the_way(context.connection, shape)
    ]
    for schema in (STAGING, COMPAT, KEPT, RESTORING):
        if await context.connection.fetchval(
            f"select to_regnamespace($1) is not null and not {ours(schema)}", quote(schema)
        ):
            found.append(f"There is a schema {schema} that this program has not made, and needs.")
    return found


async def _v1_shape(context: Context) -> Outcome:
    shape = context.state.shape
    if shape is None:
        if context.state.state is State.CLEANED:
            return Outcome(Status.SKIP, "v1 was removed", "v2 is in place; v1 was removed after the migration.")
        reasons = " ".join(context.state.reasons) or "None of v1's workout tables is here."
        if elsewhere := [row["schema"] for row in await context.connection.fetch(_ELSEWHERE, list(v1.TABLES))]:
            moved = " ".join(f"alter table {qualified(elsewhere[0], name)} set schema public;" for name in v1.TABLES)
            reasons += (
                f" Tables of all four names are in schema {', '.join(elsewhere)}. This program knows them in schema "
                f"public alone, where Supabase's API looks for tables: {moved}"
            )
        return Outcome(
            Status.FAIL,
            "not v1",
            f"{reasons} Check that VAGUS_DATABASE_URL is the right database.",
            rows=len(context.state.reasons) or None,
        )
    if context.state.state in (State.V1, State.V1_RENAMED, State.ROLLED_BACK) and (
        found := await _in_the_way(context, shape)
    ):
        return Outcome(
            Status.FAIL,
            "names are taken",
            f"{' '.join(found)} Rename it or move it away: nothing that others made is replaced.",
            rows=len(found),
        )
    detail = []
    for base, table in shape.tables.items():
        if absent := [name for name in v1.OPTIONAL[base] if not table.has(name)]:
            detail.append(f"{table.name} does without: {', '.join(absent)}")
        for old, new in v2.carried_columns(base, table).items():
            renamed = f" as {new}, since v2 has its own {old}" if new != old else ""
            detail.append(f"{table.name}.{old} ({table.columns[old].type}) is carried over{renamed}")
    if shape.coach_clients is None:
        detail.append("There is no coach_clients: coaches get no access to clients' plans through it")
    if context.state.state is State.MIGRATED:
        return Outcome(Status.PASS, "kept as *_v1", "v2 is in place, and v1 is kept.", detail=tuple(detail))
    measured = "v1, as *_v1" if shape.renamed else "v1"
    text = "Somebody has renamed the tables already, as the guide has it; that works too." if shape.renamed else ""
    return Outcome(Status.PASS, measured, text, detail=tuple(detail))


async def _default_privileges(context: Context) -> Outcome:
    rows = await context.connection.fetch(f"{_DEFAULTS} order by 1, 2")
    open_to = sorted({row["grantee"] for row in rows if row["grantee"] in (*v2.API_ROLES, "public")})
    detail = tuple(f"tables of {row['maker']}: {row['grantee']} gets {row['privileges']}" for row in rows)
    if "public" in open_to:
        return Outcome(
            Status.WARN,
            "everybody's",
            "New tables are open to every role of this database, by a default that no Supabase project has of itself. "
            "v2 is closed and then given v1's grants alone; what else is made here stays open.",
            detail=detail,
        )
    if open_to:
        return Outcome(
            Status.PASS,
            "app's roles",
            f"An older project: new tables are open to {', '.join(open_to)} at once. "
            "v2 is closed first, then given v1's grants.",
            detail=detail,
        )
    return Outcome(
        Status.PASS, "closed", "New tables are open to nobody. v2 is given the grants that v1 has.", detail=detail
    )


CHECKS = (
    Check(
        id="v1-shape",
        group=Group.PREREQUISITES,
        title="v1 tables",
        why="The migration knows v1 by its tables and columns. What it does not know is carried over, never dropped; "
        "another structure is refused.",
        expected="v1",
        probe=_v1_shape,
        guide="Data Transformation · Schema Mapping",
        overridable=False,
    ),
    Check(
        id="default-privileges",
        group=Group.PREREQUISITES,
        title="Default privileges",
        why="Supabase projects differ in whether a new table is open to the app's roles. v2's grants are explicit, so "
        "both kinds end up the same.",
        expected="not public",
        probe=_default_privileges,
        sql=lambda _: _DEFAULTS.strip(),
        rows_sql=lambda _: _DEFAULTS,
    ),
)
