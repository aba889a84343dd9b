"""What the operator's role must be allowed, right by right. Superuser is neither needed nor to be had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.database.identifiers import qualified, quote
from vagus_tui.events import Status
from vagus_tui.schema import v1

_SQL = """
select
  current_user::text as me,
  array(select pg_catalog.format('%I.%I (owned by %I)', n.nspname, c.relname, r.rolname)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_roles r on r.oid = c.relowner
        where n.nspname = 'public' and c.relname = any($1::text[]) and not pg_has_role(c.relowner, 'USAGE')
        order by 1) as not_owned,
  has_schema_privilege('public', 'CREATE') as may_create_tables,
  has_database_privilege(current_database(), 'CREATE') as may_create_schemas,
  has_database_privilege(current_database(), 'TEMPORARY') as may_make_temporary,
  journal is null or has_schema_privilege(journal, 'USAGE') and has_schema_privilege(journal, 'CREATE') as may_note,
  current_setting('session_replication_role') = 'replica' as replica,
  array(select rolname::text from pg_roles where rolname in ('anon', 'authenticated', 'service_role')) as api_roles,
  coalesce((select pg_has_role(oid, @MEMBER@) from pg_roles where rolname = 'authenticated'), false)
    as may_set_role,
  users.oid is not null as users_there,
  coalesce(has_schema_privilege(users.schema, 'USAGE'), false) as may_enter_auth,
  exists (select from pg_proc where pronamespace = users.schema and proname = 'uid' and pronargs = 0) as knows_callers,
  coalesce(has_table_privilege(users.oid, 'SELECT'), false)
    and coalesce(not row_security_active(users.oid), false) as may_read_users,
  coalesce(has_table_privilege(users.oid, 'REFERENCES'), false) as may_reference_users,
  array(select pg_catalog.format('%I', c.relname)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relname = any($1::text[]) and row_security_active(c.oid)
        order by 1) as hidden_rows,
  pg_is_in_recovery() as standby,
  current_setting('transaction_read_only')::boolean as read_only,
  pg_has_role('pg_monitor', 'USAGE') as may_watch,
  coalesce(pg_has_role('pg_signal_backend', 'USAGE'), false) as may_cancel
-- By the catalog: a name cannot be looked up in a schema that one may not enter.
from (select to_regnamespace('vagus_migration')::oid as journal) ours left join (
  select c.oid, n.oid as schema from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'auth' and c.relname = 'users') users on true
"""


def _sql(context: Context) -> str:
    # Since 16 membership and the right to SET ROLE are two things.
    set_right = context.connection.get_server_version().major >= 16
    return _SQL.replace("@MEMBER@", "'SET'" if set_right else "'MEMBER'").strip()


def _lacking(row: Mapping[str, Any], database: str) -> list[str]:
    """What this user may not do to v1's tables and beside them, with what gives the right."""
    me = quote(row["me"])
    missing: list[str] = []
    if row["standby"]:
        missing.append("This is a read replica: name the primary in VAGUS_DATABASE_URL.")
    elif row["read_only"]:
        missing.append(
            "Nothing may be written: default_transaction_read_only is on. Supabase sets it when the disk is full; "
            "make room there, then let it write again."
        )
    missing += [f"{name}: log in as its owner, or be granted its owner's role." for name in row["not_owned"]]
    if row["hidden_rows"]:
        names = ", ".join(qualified("public", name) for name in row["hidden_rows"])
        missing.append(f"Row level security hides rows of {names} from {me}: the owner needs NO FORCE, or BYPASSRLS.")
    if not row["may_create_tables"]:
        missing.append(f"No right to create tables: grant create on schema public to {me};")
    if not row["may_create_schemas"]:
        missing.append(f"No right to create schemas: grant create on database {database} to {me};")
    if not row["may_make_temporary"]:
        missing.append(f"No right to make temporary tables: grant temporary on database {database} to {me};")
    if not row["may_note"]:
        missing.append(
            "The schema vagus_migration is there, and may not be used: "
            f"grant usage, create on schema vagus_migration to {me}; or rename it, if another program made it."
        )
    if row["replica"]:
        missing.append(
            "session_replication_role is replica, so that references and triggers do nothing in our sessions: "
            f"alter role {me} reset session_replication_role; or the same of the database."
        )
    absent = {"anon", "authenticated", "service_role"} - set(row["api_roles"])
    if absent:
        missing.append(f"The roles of a Supabase project are missing: {', '.join(sorted(absent))}.")
    if "authenticated" not in absent and not row["may_set_role"]:
        missing.append(f"No right to act as the app's users for the access checks: grant authenticated to {me};")
    return missing


def _lacking_of_users(row: Mapping[str, Any]) -> list[str]:
    """The same of auth.users, which v2's tables and policies go by."""
    me = quote(row["me"])
    if not row["users_there"]:
        return ["There is no table auth.users: this is not a Supabase database, or not the right one."]
    missing: list[str] = []
    if not row["may_enter_auth"]:
        missing.append(f"The schema auth may not be entered: grant usage on schema auth to {me};")
    if not row["may_read_users"]:
        missing.append(
            f"auth.users cannot be read past its row level security: grant select on auth.users to {me}; "
            f"and {me} needs BYPASSRLS, as a project's postgres has it."
        )
    if not row["may_reference_users"]:
        missing.append(f"v2 cannot be tied to auth.users: grant references on auth.users to {me};")
    if not row["knows_callers"]:
        missing.append("There is no function auth.uid(), by which v2's policies know who asks.")
    return missing


async def _rights(context: Context) -> Outcome:
    shape = context.state.shape
    tables = [table.name for table in shape.tables.values()] if shape else list(v1.TABLES)
    found = await context.connection.fetchrow(_sql(context), tables)
    assert found is not None
    row = dict(found)
    missing = [*_lacking(row, quote(context.database.name)), *_lacking_of_users(row)]
    if missing:
        return Outcome(Status.FAIL, f"{len(missing)} missing", " ".join(missing), rows=len(missing))
    limits = [
        text
        for allowed, text in (
            (row["may_watch"], "other sessions cannot be watched (pg_monitor)"),
            (row["may_cancel"], "sessions in the way cannot be cancelled (pg_signal_backend)"),
        )
        if not allowed
    ]
    if limits:
        return Outcome(Status.WARN, "enough", f"As {row['me']}, {', and '.join(limits)}.")
    return Outcome(Status.PASS, "all there", f"As {row['me']}.")


CHECKS = (
    Check(
        id="rights",
        group=Group.PREREQUISITES,
        title="Rights",
        why="The tables must be ours to rename, v2 ours to create, and auth.users ours to refer to; and the access "
        "checks act as the app's users do. A superuser, which the guide asks for, is not to be had on Supabase.",
        expected="owner of v1",
        probe=_rights,
        guide="Pre-Migration Checklist · Technical Prerequisites",
        sql=_sql,
        overridable=False,
    ),
)
